import { type AgeTable, ageAt, aliveNow, type Cohort, countedAges, leftAfter } from '../stamps/age-table.js';

/*
 * The rule by age: in a leak, what has survived its youth never leaves.
 *
 * Healthy maps go on losing entries at every age, whatever their load does: it grows, it comes by day, in steps, in
 * bursts. In a leak most of what is registered leaves, young, and of what does not nothing leaves. So for each age (an
 * hour, two, four …) the cohorts are asked that have been watched until four times that age:
 *
 *  1. Survivors: at least 12 entries reached the fourfold age, and they come from at least five cohorts.
 *  2. None leaves: at most 5 % of what reached the age were gone at the fourfold age, whoever removed them; and at most
 *     5 % have left since, but for those that a ceiling removed (`maxAge`, `maxIdle`, `orphanAfter`, a cap): nobody else
 *     would have. Cohorts that are remembered no more count too, so that a weekly purge is remembered for weeks.
 *  3. Youth: 30 % or more had left before that age. Where fewer had, entries may just stay long.
 *  4. Long enough: of entries that stay two days on average several would have left by now (four for a dozen survivors,
 *     six for many), and three more for every two that have. So connections of two days among short ones are hardly
 *     ever taken for a leak, though none of the first dozen has left yet.
 *  5. Still arriving: the latest third of the time has brought a sixth of the survivors, at least.
 *  6. No TTL ends later than the age.
 *
 * A cohort counts three times as much as the median one at most, so that one bulk load decides nothing.
 *
 * What it must get wrong: short entries and long ones in one map, of which the long ones stay for days and leave all
 * at once, look like a leak until the first of them leave. Say `expectedMax` there.
 */

/** What the rule compares with. Lengths are in cohorts, which are hours by default. */
export const survivorRule = {
  fewestCohorts: 5,
  mostLeaving: 0.05,
  /** A verdict that stands falls only beyond this. */
  mostLeavingOnceFound: 0.2,
  leastYouth: 0.3,
  /** How long entries stay that must not be taken for a leak. */
  longStay: 48,
  leastExpected: { ofFew: 2.5, ofEachSurvivor: 0.1, most: 6.5 },
  expectedForEach: 1.5,
  mostWeight: 3,
  /** Without new survivors for so long, a leak has ended: a long week-end. */
  longestPause: 72,
  /** The rate is that of a cycle of the load, so that it does not change by the hour of day. */
  cycle: 24,
} as const;

/** Entries that never leave, as the rule found them. */
export interface Survivors {
  /** The index of the age that they have in common, see {@link ageAt}. */
  readonly age: number;
  /** When the first cohort of them began, monotonic ms. */
  readonly sinceAt: number;
  /** How many there are; what a ceiling has removed since counts. */
  readonly count: number;
  /** How many of them a ceiling has removed. */
  readonly caught: number;
  readonly cohorts: number;
  /** How many of all entries had left before that age, from 0 to 1. */
  readonly leftYoung: number;
  /** How many more there were after each cohort's length, in the latest cycle of which that is known. */
  readonly perCohort: number;
  /** When the latest cohort of them ended, monotonic ms. */
  readonly untilAt: number;
}

/** At what the rule looks. */
export interface SurvivorQuestion {
  /** The present, monotonic ms, and the same in watched time. */
  readonly at: number;
  readonly watchedMs: number;
  /** Fewer survivors are no leak. */
  readonly fewest: number;
  /** The longest TTL, ms. */
  readonly ttlMs: number;
}

/** Asks for every age, the youngest first. Returns `undefined` if entries leave at all of them. */
export function findSurvivors(table: AgeTable, question: SurvivorQuestion): Survivors | undefined {
  for (let age = 1; age + 2 < countedAges; age += 1) {
    // An age counts from the end of the cohort, so that the youngest of it have that age.
    if (ageAt(age) * table.cohortMs < question.ttlMs) continue;
    const survivors = survivorsOf(table, age, question);
    if (survivors !== undefined) return survivors;
  }
  return undefined;
}

/** Returns whether a leak that was found at an age still is one: its entries are there, and more have come. */
export function areStillThere(table: AgeTable, age: number, { at }: SurvivorQuestion): boolean {
  const judged = judgedCohorts(table, age);
  const bearing = judged.filter((cohort) => (cohort.alive[age + 2] as number) > 0);
  const latest = bearing.at(-1);
  const pauseMs = (survivorRule.longestPause + ageAt(age + 2)) * table.cohortMs;
  if (latest === undefined || at - latest.startAt > pauseMs) return false;
  // Of what had stayed so long, and not of what left between: bursts may, beside a leak.
  const stayed = sum(bearing, (cohort) => cohort.alive[age + 2] as number);
  const left = sum(bearing, (cohort) => leftAfter(cohort, age + 2));
  return left <= survivorRule.mostLeavingOnceFound * stayed;
}

function survivorsOf(table: AgeTable, age: number, question: SurvivorQuestion): Survivors | undefined {
  const judged = judgedCohorts(table, age);
  const bearing = judged.filter((cohort) => (cohort.alive[age + 2] as number) > 0);
  const count = sum(bearing, (cohort) => cohort.alive[age + 2] as number);
  if (count < question.fewest || bearing.length < survivorRule.fewestCohorts) return undefined;

  const weigh = weights(bearing.map((cohort) => cohort.alive[age] as number));
  const weight = (cohort: Cohort): number => weigh(cohort.alive[age] as number);
  const reached = sum(judged, (cohort) => weight(cohort) * (cohort.alive[age] as number));
  const leftSoon = sum(
    judged,
    (cohort) => weight(cohort) * ((cohort.alive[age] as number) - (cohort.alive[age + 2] as number)),
  );
  if (leftSoon > survivorRule.mostLeaving * reached) return undefined;
  const left = sum(judged, (cohort) => weight(cohort) * leftAfter(cohort, age));
  const { past } = table;
  const everReached = reached + (past.reached[age] as number);
  if (left + (past.left[age] as number) > survivorRule.mostLeaving * everReached) return undefined;

  if (shareLeftYoung(judged, age) < survivorRule.leastYouth) return undefined;

  const stayed = sum(
    judged,
    (cohort) => weight(cohort) * stayedAfter(cohort, age, table, question.watchedMs),
  );
  const wouldHaveLeft = stayed / survivorRule.longStay;
  if (wouldHaveLeft < leastExpected(count, Math.max(left, leftSoon))) return undefined;

  const sinceAt = (bearing[0] as Cohort).startAt;
  if (!isStillArriving(table, age, sinceAt, question.at)) return undefined;
  return knownSurvivors(table, age, sinceAt, question.at);
}

/** Returns what is known by now of the survivors of an age, the first cohort of which began then. */
export function knownSurvivors(table: AgeTable, age: number, sinceAt: number, at: number): Survivors {
  const judged = judgedCohorts(table, age);
  const bearing = judged.filter((cohort) => (cohort.alive[age + 2] as number) > 0);
  const stayed = sum(bearing, (cohort) => cohort.alive[age + 2] as number);
  const left = sum(bearing, (cohort) => leftAfter(cohort, age + 2));
  const knownAt = at - ageAt(age + 2) * table.cohortMs;
  const fromAt = Math.max(sinceAt, knownAt - survivorRule.cycle * table.cohortMs);
  const recent = bearing.filter(({ startAt }) => startAt + table.cohortMs > fromAt);
  const came = sum(recent, (cohort) => cohort.alive[age + 2] as number);
  return {
    age,
    sinceAt,
    count: stayed - left,
    caught: stayed - left - sum(bearing, aliveNow),
    cohorts: bearing.length,
    leftYoung: shareLeftYoung(judged, age),
    perCohort: came / Math.max(1, Math.floor((knownAt - fromAt) / table.cohortMs)),
    untilAt: (bearing.at(-1) as Cohort).startAt + table.cohortMs,
  };
}

/** Returns whether the latest third of the time brought a sixth of what reached the age, at least. */
function isStillArriving(table: AgeTable, age: number, sinceAt: number, at: number): boolean {
  const arrived = table.cohorts.filter(({ startAt, alive }) => startAt >= sinceAt && (alive[age] ?? 0) > 0);
  const weigh = weights(arrived.map(({ alive }) => alive[age] as number));
  const weighed = (cohorts: readonly Cohort[]): number =>
    sum(cohorts, ({ alive }) => weigh(alive[age] as number) * (alive[age] as number));
  const untilAt = at - ageAt(age) * table.cohortMs;
  const recentAt = untilAt - (untilAt - sinceAt) / 3;
  const recent = arrived.filter(({ startAt }) => startAt + table.cohortMs > recentAt);
  return weighed(recent) >= weighed(arrived) / 6;
}

/**
 * Returns how many entries that stay long would have left by now, at least, if nothing is to be called a leak that they
 * might be.
 */
export function leastExpected(survivors: number, left: number): number {
  const { ofFew, ofEachSurvivor, most } = survivorRule.leastExpected;
  // Where many come there is time to see more.
  return Math.min(most, ofFew + ofEachSurvivor * survivors) + survivorRule.expectedForEach * left;
}

/** The cohorts that have been watched until four times the age. */
const judgedCohorts = (table: AgeTable, age: number): Cohort[] =>
  table.cohorts.filter(({ alive }) => alive.length > age + 2);

/** Returns which share of some cohorts left before an age; what a ceiling removed has not. */
export function shareLeftYoung(cohorts: readonly Cohort[], age: number): number {
  const weigh = weights(cohorts.map(({ registered }) => registered));
  let registered = 0;
  let left = 0;
  for (const cohort of cohorts) {
    const weight = weigh(cohort.registered);
    registered += weight * cohort.registered;
    left +=
      weight *
      (cohort.registered -
        (cohort.alive[age] as number) -
        (cohort.ceilings[age] ?? cohort.ceilings.at(-1) ?? 0));
  }
  return registered === 0 ? 0 : left / registered;
}

/** How long the entries of a cohort have been watched after an age, all together, in lengths of a cohort. */
export function stayedAfter(cohort: Cohort, from: number, table: AgeTable, watchedMs: number): number {
  const { alive, endedMs } = cohort;
  let stayed = 0;
  for (let age = from + 1; age < alive.length; age += 1) {
    stayed += (alive[age] as number) * (ageAt(age) - ageAt(age - 1));
  }
  const sinceLastMs = watchedMs - (endedMs as number) - ageAt(alive.length - 1) * table.cohortMs;
  return stayed + (aliveNow(cohort) * Math.max(0, sinceLastMs)) / table.cohortMs;
}

function weights(sizes: readonly number[]): (size: number) => number {
  const sorted = sizes.toSorted((a, b) => a - b);
  const most = survivorRule.mostWeight * (sorted[sorted.length >> 1] ?? 0);
  return (size) => (size > most ? most / size : 1);
}

/** Adds up what a function says of each cohort. */
export function sum(cohorts: readonly Cohort[], of: (cohort: Cohort) => number): number {
  let total = 0;
  for (const cohort of cohorts) total += of(cohort);
  return total;
}
