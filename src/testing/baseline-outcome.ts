import type { Course } from './course.js';
import type { Leavings } from './leaving.js';
import type { MapLedger } from './ledger.js';
import type { Survivor } from './survivors.js';

/**
 * How the entries of a map fared.
 *
 * - `back`: nothing that came has stayed
 * - `bounded`: what stayed is within the map's own `maxEntries`
 * - `stopped`: what stayed was made once, and no more of it came
 * - `turns-over`: what stayed has made room for others since
 * - `paced`: as few came however often the scenario ran: they go by time
 * - `grows`: a leak
 * - `late`: what stayed left, or will, by its own lifetime, later than `drain` allows
 * - `undecided`: it would need more time than could be let pass
 * - `doubtful`, `sparse`: the check has ended before it could tell, since something else grew
 */
export type BaselineCourse = Course | 'late' | 'undecided';

/** How one map fared. */
export interface BaselineMap {
  /** The name of the map. */
  readonly name: string;
  /** Entries after the warm-up. */
  readonly before: number;
  /** Entries after the first stretch. */
  readonly after: number;
  /** Of a map that grows, the entries that came and stayed, per run; of others, the growth; negative if it shrank. */
  readonly perRun: number;
  /** What its number of entries did. */
  readonly course: BaselineCourse;
  /** By which rules entries left that came in the first stretch, and how many. */
  readonly left: Leavings;
  /** The first of the entries that came and stayed; empty if the map is not to blame. */
  readonly survivors: readonly Survivor[];
}

/** What came of {@link returnToBaseline}. */
export interface BaselineResult {
  /**
   * Whether nothing stayed behind that goes on growing, deliveries that are owed included, none was given up, and the check
   * proves it.
   */
  readonly held: boolean;
  /** Every map, in the order in which they were registered. */
  readonly maps: readonly BaselineMap[];
  /** Notifications that wait to be delivered, before and after. */
  readonly pending: {
    /** After the warm-up. */
    readonly before: number;
    /** After the first stretch. */
    readonly after: number;
  };
  /** Endings that were given up, so that nobody heard of them. */
  readonly deadLetters: number;
  /** Entries that left only by a safety net. */
  readonly nets: number;
  /** How much time was let pass after the first stretch, ms. */
  readonly elapsedMs: number;
  /** How often the scenario ran after the warm-up. */
  readonly runs: number;
  /**
   * `false` if nobody can say: no map was touched; or entries would leave by themselves, and no time could be let
   * pass, or not enough of it. The outcome says little then.
   */
  readonly decided: boolean;
  /** For a person: what grew, by how much a run, and its first survivors; and by which rules entries left. */
  readonly message: string;
}

/** What of the options the outcome depends on. */
export interface Asked {
  readonly times: number;
  readonly nets: 'pass' | 'fail';
  readonly drain: boolean | number;
  /** Whether anything can let time pass. */
  readonly isTimed: boolean;
}

/** How a map fared, and what is known of its entries. */
export interface JudgedMap {
  readonly ledger: MapLedger;
  readonly result: BaselineMap;
}

/** Returns whether a map speaks against the scenario. */
export function isToBlame(course: BaselineCourse): boolean {
  return course === 'grows' || course === 'late' || course === 'undecided';
}
