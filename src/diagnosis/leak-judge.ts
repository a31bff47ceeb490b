import { type Duration, durationMs } from '../policy/duration.js';
import { readInteger, readOptions } from '../policy/read-options.js';
import { type AgeTable, ageAt, aliveNow, type Cohort, leftAfter } from '../stamps/age-table.js';
import { type Growth, type HourlySize, SizeHistory } from '../stamps/size-history.js';
import { exactSpan, span } from './explain.js';
import { type LeakState, type LeakVerdict, okVerdict } from './leak-verdict.js';
import {
  areStillThere,
  findSurvivors,
  knownSurvivors,
  leastExpected,
  type SurvivorQuestion,
  type Survivors,
  shareLeftYoung,
  stayedAfter,
  sum,
  survivorRule,
} from './survivor-rule.js';

/** What the leak verdict may be told about the load. */
export interface LeakDetectionOptions {
  /**
   * After which time the load repeats itself; all spans of the verdict are parts of it, and what they are called is true
   * of a day: its 24th part is an hour. Default `'1d'`, at least `'1m'`. In a soak test `'10m'` finds in minutes what
   * takes hours otherwise, as far as sweeps come often enough: an hour has two at least.
   */
  readonly cycle?: Duration;
  /** Fewer entries are not called a leak, nor growing, however long they take to come. Default 12, at least 1. */
  readonly minGrowth?: number;
}

/** The options with every default applied. */
export interface CompiledLeakDetection {
  readonly hourMs: number;
  readonly minGrowth: number;
}

/**
 * Checks the options of the leak verdict.
 *
 * @throws {MapsweepTypeError | MapsweepRangeError} an option that is unknown, of a wrong type or out of range
 */
export function readLeakDetection(value: unknown, path: string): CompiledLeakDetection {
  const read = readOptions(path, value, {
    cycle: (cycle: unknown, option: string) => durationMs(cycle, option, { min: 60_000 }),
    minGrowth: (growth: unknown, option: string) => readInteger(growth, option, { min: 1 }),
  });
  return { hourMs: (read.cycle ?? 86_400_000) / 24, minGrowth: read.minGrowth ?? 12 };
}

/** What is judged. */
export interface LeakSubject {
  /** When it began to be watched, monotonic ms. */
  readonly originAt: number;
  /** What is called an hour here, ms. */
  readonly hourMs: number;
  readonly minGrowth: number;
  /** How many entries reached each age; `undefined` for a size of which nothing else is known. */
  readonly ages?: AgeTable;
  /** Where the sizes go that are judged. Default: a history that begins now. */
  readonly sizes?: SizeHistory;
  /** What the size counts. Default `entries`. */
  readonly by?: LeakVerdict['by'];
}

/** How things stand at one instant. */
export interface LeakInstant {
  /** Monotonic ms. */
  readonly at: number;
  /** The same in watched time, ms. */
  readonly watchedMs: number;
  readonly size: number;
  /** The known bound and what it is called; `undefined` if there is none. */
  readonly bound?: { readonly max: number; readonly name: string } | undefined;
  /** For how long entries may stay by the rules of the map, ms. Default: nothing is known. */
  readonly stay?: { readonly ttlMs: number; readonly longestMs: number } | undefined;
  /** How much more the heap holds, in the unit of the size; asked while it grows. Default: nobody knows. */
  readonly heapRoom?: () => number | undefined;
}

const anHourMs = 3_600_000;

/** By what a size is judged: how many of its spans it has to grow in, and in hours how long it may rest. */
interface Scale {
  readonly spanHours: number;
  readonly growing: number;
  readonly leaking: number;
  readonly pause: number;
  readonly recent: number;
}

const byHour: Scale = {
  spanHours: 1,
  growing: 4,
  leaking: 12,
  pause: 24,
  recent: 2,
};
const byDay: Scale = {
  spanHours: 24,
  growing: 5,
  // A load that doubles in a week, or entries with a long tail of ages, do the same.
  leaking: Number.POSITIVE_INFINITY,
  pause: 96,
  recent: 48,
};
/** A leak that brings nothing for so many hours is said to: in fewer that may be chance. */
const leastRest = 6;
/** It has to grow for as much of what its entries may stay. */
const leastOfStay = 4 / 3;
const mostFallen = { growing: 0.05, leaking: 0.01, onceFound: 0.2 };

/**
 * Says whether one map leaks, or one size of which nothing else is known. There are two rules:
 *
 *  - by age, for maps from which most entries leave: see `survivor-rule.ts`
 *  - by size, for those from which nothing does. It is `growing` when it grew in 4 hours and next to nothing (5 %) has
 *    left; with a known bound it is `filling` instead, and nothing worse below that. It is `leaking` when it grew in 12
 *    hours, as fast at the end as before, and nothing (1 %) has left, nor would have, had it stayed for two days.
 *    Hours in which it does not grow lie between and do not count, so a leak of office hours is found on the second day.
 *    Where nothing but the size is known, and it falls every night, it is `growing` when the smallest size of each day has
 *    risen for 5 days.
 *
 * A verdict stands until its cause has gone: what had stayed leaves (a fifth of it), or nothing is added for so long that
 * no night or week-end explains it. So it does not change by the hour of day; its numbers and its words are up to date.
 */
export class LeakJudge {
  readonly #subject: LeakSubject;
  readonly #history: SizeHistory;
  readonly #ok: LeakVerdict;
  #verdict: LeakVerdict;
  /** What was found to leak, by age. */
  #survivors: Survivors | undefined;

  constructor(subject: LeakSubject) {
    this.#subject = subject;
    const { originAt, hourMs, by = 'entries' } = subject;
    this.#history = subject.sizes ?? new SizeHistory(originAt, hourMs, by === 'entries');
    this.#ok = okVerdict(by);
    this.#verdict = this.#ok;
  }

  /** The latest verdict. */
  get verdict(): LeakVerdict {
    return this.#verdict;
  }

  /** The sizes that were judged, by the hour, oldest first. */
  get sizes(): readonly HourlySize[] {
    return this.#history.hours;
  }

  /** Judges once more: after a sweep. */
  judge(now: LeakInstant): LeakVerdict {
    const isHourOver = this.#history.add(now.at, now.size);
    const hasAged = this.#subject.ages?.count(now.at, now.watchedMs) ?? false;
    // What has been found ends at once, and begins by the hour.
    if (!isHourOver && !hasAged && this.#verdict.state === 'ok') return this.#verdict;
    const verdict = this.#byAge(now) ?? this.#bySize(now, byHour) ?? this.#byDay(now) ?? this.#early(now);
    this.#verdict = Object.freeze(verdict);
    return verdict;
  }

  #byAge(now: LeakInstant): LeakVerdict | undefined {
    const { ages, minGrowth } = this.#subject;
    if (ages === undefined) return undefined;
    const question: SurvivorQuestion = {
      at: now.at,
      watchedMs: now.watchedMs,
      fewest: minGrowth,
      ttlMs: now.stay?.ttlMs ?? 0,
    };
    // What the owner bounds by means of his own is not called a leak below that.
    if (now.bound?.name === 'expectedMax' && now.size <= now.bound.max) {
      this.#survivors = undefined;
      return undefined;
    }
    const found = this.#survivors;
    const survivors =
      found !== undefined && areStillThere(ages, found.age, question)
        ? knownSurvivors(ages, found.age, found.sinceAt, now.at)
        : findSurvivors(ages, question);
    this.#survivors = survivors;
    if (survivors === undefined) return undefined;
    const { age, sinceAt, count, caught, cohorts, leftYoung, perCohort, untilAt } = survivors;
    const noneLeaveAfterMs = (ageAt(age) + 1) * ages.cohortMs;
    const stayPerMs = perCohort / ages.cohortMs;
    // As many as a ceiling removes, there are no more of.
    const risenPerMs = Math.max(0, this.#history.risenPerMs(survivorRule.cycle));
    const perMs = caught > 0 ? Math.min(stayPerMs, risenPerMs) : stayPerMs;
    const leaves = caught > 0 ? 'leaves only by a ceiling or a cap' : 'never does';
    const there = caught > 0 ? `, of which ${count - caught} are there` : '';
    // Of the youngest nobody knows yet.
    const rest = restInWords(
      ', none of them from the last ',
      now.at - untilAt,
      ages.cohortMs,
      ageAt(age + 2),
    );
    return {
      state: 'leaking',
      reason:
        `${share(leftYoung)} of its entries leave young, and what is older than ${span(noneLeaveAfterMs)} ${leaves}: ` +
        `${count} entries, registered at ${cohorts} different times, have stayed${there}${rest}`,
      by: 'entries',
      perHour: perMs * anHourMs,
      since: sinceAt,
      noneLeaveAfterMs,
      hoursToLimit: undefined,
    };
  }

  /** Entries have ages, which tell more than the size of a night. */
  #byDay(now: LeakInstant): LeakVerdict | undefined {
    return this.#subject.ages === undefined ? this.#bySize(now, byDay) : undefined;
  }

  #bySize(now: LeakInstant, scale: Scale): LeakVerdict | undefined {
    const { hourMs, by = 'entries' } = this.#subject;
    const before = this.#verdict.state === 'ok' ? undefined : this.#verdict;
    const least = before === undefined ? this.#leastGrowth(now) : Number.NEGATIVE_INFINITY;
    const growth = this.#growth(now, scale, scale.growing, least);
    if (growth === undefined) return undefined;
    const fallen = this.#fallen(growth);
    if (fallen > (before === undefined ? mostFallen.growing : mostFallen.onceFound)) return undefined;
    const pause =
      before === undefined
        ? scale.recent
        : before.state === 'leaking'
          ? Math.max(scale.pause, survivorRule.longestPause)
          : scale.pause;
    const restMs = now.at - growth.lastAt;
    if (restMs > pause * hourMs) return undefined;

    const isBounded = now.bound !== undefined && now.size <= now.bound.max;
    // A bound that is reached is kept by whoever keeps it.
    if (isBounded && now.size === now.bound?.max && restMs > scale.recent * hourMs) return undefined;
    const state: LeakState = isBounded ? 'filling' : this.#isLeak(now, scale, before) ? 'leaking' : 'growing';
    const isLeaking = state === 'leaking';
    // It has fallen by more than it has grown since: what was found to leak does so until enough has left.
    if (growth.grown <= 0 && !(isLeaking && before?.state === state)) return undefined;
    // When something is full is not said anew by night.
    if (!isLeaking && before?.state === state && restMs > scale.recent * hourMs) return before;
    // By day it is known only of whole days.
    const stoppedMs = isLeaking && scale === byHour ? restMs : 0;
    const stillPerHour = growth.grown > 0 ? growth.perMs * anHourMs : (before as LeakVerdict).perHour;
    const perHour = stoppedMs < survivorRule.cycle * hourMs ? stillPerHour : 0;
    const room = isBounded ? (now.bound as { max: number }).max - now.size : now.heapRoom?.();
    const hasRoom = !isLeaking && room !== undefined;
    const hoursToLimit = hasRoom ? Math.max(0, room) / perHour : undefined;
    return {
      state,
      reason:
        this.#reasonBySize(state, now, scale, fallen) +
        restInWords('; it has not grown for ', stoppedMs, hourMs),
      by,
      perHour,
      since: before?.since ?? growth.sinceAt,
      noneLeaveAfterMs: undefined,
      hoursToLimit,
    };
  }

  /** Nothing is found: says so where that is because entries may stay for longer than it has grown. */
  #early(now: LeakInstant): LeakVerdict {
    if (this.#bySize({ ...now, stay: undefined }, byHour) === undefined) return this.#ok;
    const stayMs = now.stay?.longestMs ?? 0;
    const judged = exactSpan(Math.ceil((leastOfStay * stayMs) / 60_000) * 60_000);
    return {
      ...this.#ok,
      reason: `its growth is not judged before ${judged}: entries may stay ${span(stayMs)}`,
    };
  }

  #growth({ stay }: LeakInstant, scale: Scale, spans: number, least: number): Growth | undefined {
    const spanMs = scale.spanHours * this.#history.hourMs;
    // A TTL of a day makes a healthy map grow for a day whenever the load does.
    const leastMs = Math.max(
      spans * scale.spanHours * this.#subject.hourMs,
      leastOfStay * (stay?.longestMs ?? 0),
    );
    return this.#history.growth(Math.ceil(leastMs / spanMs), least, scale.spanHours);
  }

  /** By how much it has to grow, in whatever time. A weight is an estimate: by a tenth. */
  #leastGrowth({ size }: LeakInstant): number {
    const { by, minGrowth } = this.#subject;
    return by === 'weight' ? Math.max(1, size / 10) : minGrowth;
  }

  #isLeak(now: LeakInstant, scale: Scale, before: LeakVerdict | undefined): boolean {
    if (before?.state === 'leaking') return true;
    const growth = this.#growth(now, scale, scale.leaking, this.#leastGrowth(now));
    if (growth === undefined || !growth.isSteady || this.#fallen(growth) > mostFallen.leaking) return false;
    const { ages } = this.#subject;
    if (ages === undefined) return true;
    const old = oldCohorts(ages);
    const stayed = sum(old, (cohort) => stayedAfter(cohort, 1, ages, now.watchedMs));
    const left = sum(old, (cohort) => leftAfter(cohort, 1));
    return stayed / survivorRule.longStay >= leastExpected(growth.grown, left);
  }

  /** How much has left, as a share of what has come: by the ages, if they are known, beyond the first hour. */
  #fallen(growth: Growth): number {
    const { ages } = this.#subject;
    if (ages === undefined) return growth.fallen;
    if (growth.fallen > mostFallen.growing) return growth.fallen;
    const old = oldCohorts(ages);
    // Where more leave young, the rule by age decides.
    if (shareLeftYoung(old, 1) > survivorRule.leastYouth) return 1;
    const reached = sum(old, ({ alive }) => alive[1] as number) + (ages.past.reached[1] as number);
    // What a ceiling removes counts too: a map in which one does no longer grows.
    const left =
      sum(old, (cohort) => (cohort.alive[1] as number) - aliveNow(cohort)) + (ages.past.left[1] as number);
    return reached === 0 ? 0 : left / reached;
  }

  #reasonBySize(state: LeakState, { bound }: LeakInstant, scale: Scale, fallen: number): string {
    const { ages } = this.#subject;
    // What a ceiling removes young has left all the same.
    const old = ages?.cohorts.some(({ left }) => left > 0)
      ? ` of what is older than ${span((ageAt(1) + 1) * ages.cohortMs)}`
      : '';
    const leaves = `${fallen === 0 ? 'nothing' : `next to nothing (${share(fallen)})`} leaves${old}`;
    if (state === 'filling') return `it grows, ${leaves}, and its ${bound?.name} is ${bound?.max}`;
    const beyond =
      bound === undefined ? 'no bound is known' : `it is beyond its ${bound.name} of ${bound.max}`;
    const spans = state === 'leaking' && scale === byHour ? scale.leaking : scale.growing;
    const lasted = exactSpan(Math.floor(spans * scale.spanHours * this.#subject.hourMs));
    const how = scale === byDay ? ' by its smallest size of each day' : '';
    return `it has grown${how} for ${lasted} or more, ${leaves}, and ${beyond}`;
  }
}

/** The cohorts that are older than one of their lengths. */
const oldCohorts = (ages: AgeTable): Cohort[] => ages.cohorts.filter(({ alive }) => alive.length > 1);

/** Says for how many whole hours a leak has brought nothing, if for more of those in which it is known than chance would. */
function restInWords(words: string, restMs: number, hourMs: number, unknownHours = 0): string {
  const hours = Math.floor(restMs / hourMs);
  return hours - unknownHours < leastRest ? '' : words + exactSpan(hours * hourMs);
}

const share = (part: number): string => `${Math.round(100 * part)} %`;
