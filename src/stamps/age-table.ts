/** What came of the entries that were registered in one stretch of time. */
export interface Cohort {
  /** Its first instant, monotonic ms. */
  readonly startAt: number;
  registered: number;
  /** Of those, how many have left, whoever removed them. */
  left: number;
  /** Of those, how many stayed until a ceiling removed them. */
  byCeiling: number;
  /** When it was complete, ms of watched time; `undefined` until then. */
  endedMs: number | undefined;
  /** How many were there at each of the ages that it has reached, see {@link ageAt}. */
  readonly alive: number[];
  /** How many ceilings had removed by then; shorter than `alive` if they have removed none since. */
  readonly ceilings: number[];
}

/** How many of those that reached an age left later, of cohorts that are remembered no more. */
export interface PastCohorts {
  readonly reached: readonly number[];
  readonly left: readonly number[];
}

/** A cohort of an earlier life, as it is written down. Instants are monotonic ms of the life that has them. */
export interface KeptCohort extends Pick<Cohort, 'startAt' | 'registered' | 'left' | 'byCeiling'> {
  /** How long it had been complete, ms of watched time; `undefined` if it was not. */
  readonly agedMs: number | undefined;
  readonly alive: readonly number[];
  readonly ceilings: readonly number[];
}

/** What outlasts the process of an {@link AgeTable}. */
export interface KeptAges {
  readonly cohortMs: number;
  /** Oldest first. */
  readonly cohorts: readonly KeptCohort[];
  readonly past: PastCohorts;
}

/** The ages that are counted: the end of the cohort, and 1, 2, 4 … 128 times its length after that. */
export const countedAges = 9;

/** Returns a counted age in lengths of a cohort, from the end of the cohort on. */
export const ageAt = (index: number): number => (index === 0 ? 0 : 2 ** (index - 1));

/** Returns how many of a cohort are there now. */
export const aliveNow = ({ registered, left }: Cohort): number => registered - left;

/** Returns how many have left after a counted age that nobody but the owner, or their own time, removed. */
export function leftAfter(cohort: Cohort, age: number): number {
  const { alive, byCeiling, ceilings } = cohort;
  return (alive[age] as number) - aliveNow(cohort) - (byCeiling - (ceilings[age] ?? ceilings.at(-1) ?? 0));
}

/** So many cohorts are remembered one by one: a week of hours. */
const rememberedCohorts = 168;
/** What is remembered of earlier ones counts half after as many again. */
const forgetting = 0.5 ** (1 / rememberedCohorts);

/**
 * How many entries of one map reached each age, by cohorts, in doublings of age: what demographers call a life table,
 * and heap profilers know as surviving generations.
 *
 * An entry costs one addition when it is registered and one when it leaves. Nothing is kept of single entries, and no
 * clock is read: how many of a cohort are there is counted when the cohort reaches an age. About 200 bytes a cohort, so
 * 32 kB for a map that was written to in every hour of a week.
 *
 * Ages go by watched time, in which a stretch without a sweep is short: while a process stands still nothing can leave.
 */
export class AgeTable {
  /** The length of a cohort, ms. */
  readonly cohortMs: number;
  /** When it began to count, monotonic ms. */
  readonly originAt: number;
  // Oldest first; of hours in which nothing was registered there is none.
  #cohorts: Cohort[] = [];
  readonly #past = {
    reached: new Array<number>(countedAges).fill(0),
    left: new Array<number>(countedAges).fill(0),
  };
  #latest: Cohort = newCohort(Number.POSITIVE_INFINITY);
  #endAt = Number.NEGATIVE_INFINITY;
  #countAt: number;
  #counts = 0;

  /** @param originAt the present, as entries are stamped with it: entries that are older are not counted */
  constructor(originAt: number, cohortMs: number) {
    this.originAt = originAt;
    this.cohortMs = cohortMs;
    this.#countAt = originAt + cohortMs;
  }

  /** The cohorts that are remembered one by one, oldest first. */
  get cohorts(): readonly Cohort[] {
    return this.#cohorts;
  }

  /** What is remembered of earlier ones. */
  get past(): PastCohorts {
    return this.#past;
  }

  /** How often a cohort has reached an age so far. */
  get counts(): number {
    return this.#counts;
  }

  /** An entry was registered, now. */
  registered(at: number): void {
    if (at >= this.#endAt) this.#open(at);
    this.#latest.registered += 1;
  }

  /** An entry has left. */
  left(registeredAt: number): void {
    const cohort = registeredAt >= this.#latest.startAt ? this.#latest : this.#find(registeredAt);
    if (cohort !== undefined) cohort.left += 1;
  }

  /** An entry that is about to leave, or has left, was removed by a ceiling. */
  byCeiling(registeredAt: number): void {
    const cohort = this.#find(registeredAt);
    if (cohort !== undefined) cohort.byCeiling += 1;
  }

  /** All entries have left at once. */
  emptied(isByCeiling: boolean): void {
    for (const cohort of this.#cohorts) {
      if (isByCeiling) cohort.byCeiling += aliveNow(cohort);
      cohort.left = cohort.registered;
    }
  }

  /** An entry is older than it looked. */
  restamped(fromAt: number, toAt: number): void {
    const from = this.#find(fromAt);
    const to = this.#find(toAt);
    if (from !== undefined) from.registered -= 1;
    if (to !== undefined) to.registered += 1;
  }

  /** An entry that was registered just now is one of an earlier life, which has been counted as there all the time. */
  cameBack(registeredAt: number): void {
    const cohort = this.#find(registeredAt);
    if (cohort !== undefined) cohort.registered -= 1;
  }

  /** What has to be known of it in the next life of the process. @param watchedMs the present in watched time */
  kept(watchedMs: number): KeptAges {
    const cohorts = this.#cohorts.map(({ endedMs, ...cohort }) => ({
      ...cohort,
      agedMs: endedMs === undefined ? undefined : watchedMs - endedMs,
    }));
    return { cohortMs: this.cohortMs, cohorts, past: this.#past };
  }

  /**
   * Goes on with what an earlier life has counted, unless that went by another length of cohorts, or it does so already.
   * What is complete grows older from now on.
   *
   * @param watchedMs the present in watched time
   * @param thereSince when each of the entries was registered that are there still, or may come back
   * @returns whether it does
   */
  goOn({ cohortMs, cohorts, past }: KeptAges, watchedMs: number, thereSince: Iterable<number>): boolean {
    if (cohortMs !== this.cohortMs || (this.#cohorts[0]?.startAt ?? Infinity) < this.originAt) return false;
    const earlier = cohorts
      .filter(({ startAt }) => startAt < this.originAt)
      .map(({ agedMs, alive, ceilings, ...cohort }) => ({
        ...cohort,
        endedMs: watchedMs - (agedMs ?? 0),
        alive: [...alive],
        ceilings: [...ceilings],
      }));
    this.#cohorts = [...earlier, ...this.#cohorts];
    // However short this life will be.
    this.#countAt = this.originAt;
    for (let age = 0; age < countedAges; age += 1) {
      (this.#past.reached[age] as number) += past.reached[age] ?? 0;
      (this.#past.left[age] as number) += past.left[age] ?? 0;
    }
    // Between the last count and the end of that life some have left, and some have come.
    const there = new Map<Cohort, number>();
    for (const registeredAt of thereSince) {
      const cohort = this.#find(registeredAt);
      if (cohort !== undefined) there.set(cohort, (there.get(cohort) ?? 0) + 1);
    }
    for (const cohort of earlier) {
      const isThere = there.get(cohort) ?? 0;
      cohort.registered = Math.max(cohort.registered, isThere);
      cohort.left = cohort.registered - isThere;
    }
    return true;
  }

  /**
   * Counts who is there, if a cohort has reached an age since the last count.
   *
   * @param at the present, monotonic ms
   * @param watchedMs the same in watched time
   * @returns whether it has
   */
  count(at: number, watchedMs: number): boolean {
    if (at < this.#countAt) return false;
    this.#countAt = this.#startOf(at) + this.cohortMs;
    for (const cohort of this.#cohorts) {
      if (cohort.startAt + this.cohortMs > at) break;
      cohort.endedMs ??= watchedMs;
      // Sweeps come some time after the instants that they are for.
      const agedMs = watchedMs - cohort.endedMs + this.cohortMs / 2;
      while (cohort.alive.length < countedAges && agedMs >= ageAt(cohort.alive.length) * this.cohortMs) {
        cohort.alive.push(aliveNow(cohort));
        this.#counts += 1;
        if (cohort.byCeiling > 0) {
          while (cohort.ceilings.length < cohort.alive.length - 1) cohort.ceilings.push(0);
          cohort.ceilings.push(cohort.byCeiling);
        }
      }
    }
    const oldestAt = this.#startOf(at) - rememberedCohorts * this.cohortMs;
    while ((this.#cohorts[0]?.startAt ?? Infinity) < oldestAt) this.#forget(this.#cohorts.shift() as Cohort);
    return true;
  }

  #forget(cohort: Cohort): void {
    const { reached, left } = this.#past;
    for (let age = 0; age < cohort.alive.length; age += 1) {
      reached[age] = (reached[age] as number) * forgetting + (cohort.alive[age] as number);
      left[age] = (left[age] as number) * forgetting + leftAfter(cohort, age);
    }
  }

  #open(at: number): void {
    const startAt = this.#startOf(at);
    this.#latest = newCohort(startAt);
    this.#endAt = startAt + this.cohortMs;
    this.#cohorts.push(this.#latest);
  }

  #startOf(at: number): number {
    return this.originAt + Math.floor((at - this.originAt) / this.cohortMs) * this.cohortMs;
  }

  #find(registeredAt: number): Cohort | undefined {
    let low = 0;
    let high = this.#cohorts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#cohorts[middle] as Cohort).startAt <= registeredAt) low = middle + 1;
      else high = middle;
    }
    const cohort = this.#cohorts[low - 1];
    // Of an hour that is not counted, or before all that are.
    return cohort !== undefined && registeredAt < cohort.startAt + this.cohortMs ? cohort : undefined;
  }
}

function newCohort(startAt: number): Cohort {
  return { startAt, registered: 0, left: 0, byCeiling: 0, endedMs: undefined, alive: [], ceilings: [] };
}
