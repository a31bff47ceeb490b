import { countedAges, type KeptAges, type KeptCohort } from '../stamps/age-table.js';
import type { HourlySize } from '../stamps/size-history.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { JournalRecord } from './journal.js';
import { instant, list } from './record-fields.js';

/** What earlier lives counted in one map, for its leak verdict. Instants are ms of the past. */
export interface PastAges extends KeptAges {
  /** When it was written. */
  at: number;
  /** Oldest first. */
  readonly sizes: readonly HourlySize[];
}

/**
 * What the verdict about a map is made of, as one record, which takes the place of the one before: a week of cohorts, of
 * about 50 bytes each, and of sizes.
 *
 * A cohort is `[startAt, registered, left, byCeiling, agedMs, alive, ceilings]`, with an `agedMs` of -1 until it is
 * complete; `past` is `[reached, left]`; a size is `[startAt, floor]`.
 *
 * @param at makes instants of records of those of the monotonic clock
 * @returns `undefined` where nothing was counted
 */
export function agesRecord(
  { ages, sizes, shared }: Tracker,
  index: number,
  at: (monotonic: number) => number,
): string | undefined {
  if (ages.cohorts.length === 0) return undefined;
  const { cohortMs, cohorts, past } = ages.kept(shared.watched.ms);
  return JSON.stringify([
    'ages',
    index,
    at(shared.timeline.now()),
    cohortMs,
    cohorts.map(({ startAt, registered, left, byCeiling, agedMs = -1, alive, ceilings }) => [
      at(startAt),
      registered,
      left,
      byCeiling,
      Math.round(agedMs),
      alive,
      ceilings,
    ]),
    [past.reached, past.left].map((counts) => counts.map(Math.round)),
    sizes.hours.map(({ startAt, floor }) => [at(startAt), floor]),
  ]);
}

/**
 * Reads what {@link agesRecord} wrote.
 *
 * @param at makes instants of the past of those of the record
 * @throws TypeError a field that is none of these
 */
export function pastAgesOf(record: JournalRecord, at: (given: unknown) => number): PastAges {
  const [, , writtenAt, cohortMs, cohorts, past, sizes] = record;
  const [reached, left] = list(past);
  return {
    at: at(writtenAt),
    cohortMs: instant(cohortMs),
    cohorts: list(cohorts).map((cohort) => cohortOf(list(cohort), at)),
    past: { reached: counts(reached), left: counts(left) },
    sizes: list(sizes).map((size) => {
      const [startAt, floor] = list(size);
      return { startAt: at(startAt), floor: instant(floor) };
    }),
  };
}

/** The same by the clock of this life, in which all that is complete has grown older until the end of the last one. */
export function agesNow(ages: PastAges, { at, shift }: { at: number; shift: number }): PastAges {
  const agedMs = Math.max(0, at - (ages.at + shift));
  return {
    ...ages,
    cohorts: ages.cohorts.map((cohort) => ({
      ...cohort,
      startAt: cohort.startAt + shift,
      agedMs: cohort.agedMs === undefined ? undefined : cohort.agedMs + agedMs,
    })),
    sizes: ages.sizes.map(({ startAt, floor }) => ({ startAt: startAt + shift, floor })),
  };
}

function cohortOf(
  [startAt, registered, left, byCeiling, agedMs, alive, ceilings]: unknown[],
  at: (given: unknown) => number,
): KeptCohort {
  return {
    startAt: at(startAt),
    registered: atMostSafe(registered),
    left: atMostSafe(left),
    byCeiling: atMostSafe(byCeiling),
    agedMs: agedMs === -1 ? undefined : instant(agedMs),
    alive: counts(alive),
    ceilings: counts(ceilings),
  };
}

/** No more and no larger than can be added up: what comes of it has to be read again. */
const counts = (value: unknown): number[] => list(value).slice(0, countedAges).map(atMostSafe);

const atMostSafe = (value: unknown): number =>
  Math.max(-Number.MAX_SAFE_INTEGER, Math.min(instant(value), Number.MAX_SAFE_INTEGER));
