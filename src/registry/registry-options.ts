import type { CompiledLeakDetection, LeakDetectionOptions } from '../diagnosis/leak-judge.js';
import type { CompiledEnded } from '../endings/ended-policy.js';
import type { Logger } from '../events/log-lines.js';
import type { RegistryMaps } from '../maps/collection-types.js';
import type { Duration } from '../policy/duration.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { PersistTo, readPersistTo } from '../restart/persist-to.js';
import type { Clock } from '../time/clock.js';
import type { CompiledMemory, MemoryOptions } from './memory-options.js';
import type { EndedOf, KnownMaps, PoliciesOf, Written } from './policy-types.js';

/**
 * The options of `createRegistry`.
 *
 * @typeParam M the collections by name
 * @typeParam P the policies as they are written, if the collections are inferred
 */
export interface RegistryOptions<M extends RegistryMaps, P = unknown> {
  /** What tells it from other registries of the process: the label `registry` of its metrics. 1 to 128 characters. Default `'default'`. */
  name?: string;
  /** A policy by map name. Names have 1 to 128 characters and stand in metrics. */
  maps?: PoliciesOf<M> & Written<P>;
  /** Announces the end of every registration in one of the maps, exactly once. Default: none is announced. */
  ended?: EndedOf<KnownMaps<M, P>>;
  /** The interval of the sweeper. From 1 ms to 24 days. Default `'60s'`. */
  sweepEvery?: Duration;
  /** How long a slice of a sweep may hold the event loop, ms. From 0.1 to 1,000. Default 5. */
  sliceBudget?: number;
  /** `observe` judges, counts and reports, and removes, evicts and claims nothing. Default `'sweep'`. */
  mode?: 'sweep' | 'observe';
  /** Time for everything in the registry. Default: the clock of the process. */
  clock?: Clock;
  /** The share of registrations whose call site is sampled, from 0 to 1. Default 0, which costs nothing. */
  captureSites?: number;
  /** What the leak verdict takes for a cycle of the load, and for too small to mention. */
  leakDetection?: LeakDetectionOptions;
  /**
   * How long after a restart a run has to come back before it ends as `lost`, in running time, counted over lives. From
   * 0 to 24 days. Default `'10m'`.
   */
  restoreWindow?: Duration;
  /**
   * A folder that a journal is kept in, so that a restart loses nothing: the stamps, claims and undelivered endings of
   * the map of `ended`, and the entries of maps that `persist`. Taken for this process and read before `createRegistry`
   * returns; an open journal (`openJournal`) was read before, in slices. Default: none.
   */
  persistTo?: PersistTo;
  /**
   * Where to write what somebody should know: sweeps that removed something, failures, dead letters, leaks. Whatever takes an
   * object and then a message, as pino does. At most ten lines a second of each kind of event (of failed callbacks, of each
   * callback), and how many were left out. Default: nothing is written.
   */
  logger?: Logger;
  /**
   * One line to `logger` for each entry that leaves, whoever removes it, each ending, delivery and dead letter: of which map and
   * key, why, by whom, at what age. These are not limited: an audit that leaves out lines is none. Each removal then
   * takes as long as its line. Default `false`.
   */
  audit?: boolean;
  /** What to do before the memory of the process is full: `{}` warns at 80 % and sheds at 90 %. Default: it is not looked at. */
  memory?: MemoryOptions;
}

/** The options with every default applied. */
export interface CompiledRegistryOptions {
  readonly name: string;
  readonly maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>;
  readonly ended: CompiledEnded | undefined;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly mode: 'sweep' | 'observe';
  readonly clock: Clock;
  readonly captureSites: number;
  readonly leakDetection: CompiledLeakDetection;
  readonly restoreWindowMs: number;
  readonly persistTo: ReturnType<typeof readPersistTo> | undefined;
  readonly logger: Logger | undefined;
  readonly audit: boolean;
  readonly memory: CompiledMemory | undefined;
}
