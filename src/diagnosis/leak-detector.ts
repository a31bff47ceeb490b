import { type Duration, durationMs } from '../policy/duration.js';
import { readInteger, readOptions } from '../policy/read-options.js';
import { KEPT_WINDOWS, type SizeWindow, SizeWindows } from './size-windows.js';
import { mannKendallS, theilSenSlope } from './trend.js';

/*
 * The rule: a map leaks when its floor rises, steadily, for longer than its load can be the reason.
 *
 * The floor is the smallest size in a window of time: entries that come and go lift a size, only entries that stay lift
 * the minimum (HPjmeter judges a Java heap the same way, by its size after each garbage collection: HPjmeter 4.3 User's
 * Guide, "How Memory Leak Detection Works"). Windows double in length from 1/64 of a cycle, a day by default, so 22.5 min,
 * 45 min … 4 days. Of every length the latest nine are judged when one is complete, and a rise is suspected when all of
 * this holds:
 *
 *  1. Trend: Mann-Kendall's S of the nine floors is at least 32 of 36, which chance reaches once in 8,000 times.
 *  2. No stairs: at least seven of the eight rises are a quarter of their mean or more. A step to a new plateau has one.
 *  3. Steady: each quarter brings two thirds of its share or more. A warm-up slows down; the rising half of a sine wave
 *     has 59 % in its outer quarters.
 *  4. Size: the floor rose by `minGrowth` entries at least.
 *  5. Long enough: the rise spans half a cycle and 4/3 of the longest lifetime. An eighth of a cycle is enough where
 *     hardly anything leaves (all falls together are at most 5 % of all rises), and a quarter if there was a week of
 *     history to compare with.
 *  6. New: the floor halfway up is above everything in the remembered history, in floors of the shortest windows. So a
 *     rise that was there yesterday or last Monday is none. Rises that span 8 cycles need not be new: they are longer
 *     than a week, and a leak of a few entries a day takes long to get out of the daily peak.
 *
 * Mann-Kendall alone is known to cry too often for this purpose, since loads are autocorrelated: F. Machida et al., "On
 * the effectiveness of Mann-Kendall test for detection of software aging", ISSREW 2013. Points 2, 3, 5 and 6 are for that.
 * The numbers were set on simulated maps; test/leak-verdict.test.ts measures them on others.
 *
 * What this finds, with sweeps every 60 s (the tests hold most of it):
 *  - a map from which nothing leaves, at an entry a minute or more: after 4 hours;
 *  - an entry a minute under churn: after 14 to 16 hours, or 7 to 10 in a process that is a week old; if everything
 *    else goes up and down daily: after one to three days;
 *  - 6 an hour under churn: after one to three days, on top of a daily cycle four to ten;
 *  - an entry an hour: after two to four days if the map is quiet, one to two weeks under heavy churn.
 * With sweeps an hour apart windows are 11 times as long, and nothing is found within a day and a half.
 *
 * What it must get wrong: in its first hours a process has no past, and a first morning, a batch or a slow warm-up looks
 * like a leak. The choice is to wait half a day there, unless nothing leaves: such a map is suspected after 3.5
 * hours even if it is to be drained at night. That alarm takes itself back, and the same rise does not raise it again
 * (point 6). The price is that a leak under churn is not found in the first half day, and that after a drain a leak is
 * found only once it is above the old height. A map that drains to the same floor every time is a sawtooth, no leak.
 * Load that itself grows steadily for half a day beyond all that was seen before is suspected, and so are steps that
 * come one after the other in nearly every window.
 */

/** Says whether a map leaks, judged by its sizes alone. */
export interface LeakVerdict {
  readonly suspected: boolean;
  /**
   * Monotonic ms at which the rising floor began, as far back as the windows reach that showed it first. `undefined`
   * while nothing is suspected.
   */
  readonly since: number | undefined;
  /** Robust slope of the floor, over the longest rise found. 0 while nothing is suspected. */
  readonly entriesPerMinute: number;
}

/** What a {@link LeakDetector} must know about the map. */
export interface LeakDetectorOptions {
  /**
   * After which time the load repeats itself; every window is a part or a multiple of it. Default `'1d'`, at least
   * `'1m'`. In a soak test without a daily rhythm `'10m'` finds in minutes what takes hours otherwise.
   */
  readonly cycle?: Duration;
  /**
   * For how long an entry may stay by the map's own rules: a TTL of a day makes a healthy map grow for a day whenever
   * the load does. Default 0: not known.
   */
  readonly longestLifetime?: Duration;
  /** A smaller rise of the floor, in entries, is never suspected. Default 24, at least 1. */
  readonly minGrowth?: number;
}

const WINDOWS_A_CYCLE = 64;
// The longest windows are four days then, and nine of them a month.
const LEVELS = 9;
const LEAST_S = 32;
const STAIR_SHARE = 1 / 4;
const LEAST_STEPS = KEPT_WINDOWS - 2;
const QUARTER_SHARE = 2 / 3;
const MOST_FALLEN = 0.05;
const SPAN = { usual: 1 / 2, withHistory: 1 / 4, drainless: 1 / 8, ofLifetime: 4 / 3 };
const HISTORY_CYCLES = 7;
const SEASONLESS_CYCLES = 8;

const NOT_SUSPECTED: LeakVerdict = Object.freeze({ suspected: false, since: undefined, entriesPerMinute: 0 });

/** A rise that is suspected, as windows of one length show it. */
interface Rise {
  readonly since: number;
  readonly floorBefore: number;
  /** The latest floor that kept up with the rise, and when. */
  highest: number;
  highestMs: number;
  /** Entries per ms of watched time. */
  slope: number;
  /** How long the floor may stay without getting higher. */
  patienceMs: number;
}

/**
 * Watches the size of one map and says whether it leaks. The rule, and how soon it finds what, are at the head of this
 * file.
 *
 * The verdict takes itself back: at once when the map has lost half of what piled up since the rise began, and otherwise
 * when the floor has not grown, at a quarter of its former rate at least, for twice the span of the rise, though not for
 * longer than a cycle (or half the span, if that is longer). So a leak that follows office hours stays suspected at
 * night.
 *
 * It keeps about 500 numbers at most, 60 in its first hours. A size costs a few comparisons; one in twenty or
 * so, with sweeps every minute, judges nine floors or two times nine.
 */
export class LeakDetector {
  readonly #cycleMs: number;
  readonly #longestLifetimeMs: number;
  readonly #minGrowth: number;
  readonly #windows: SizeWindows;
  /** By level, in the order in which they were found. */
  readonly #rises = new Map<number, Rise>();
  #drainedBelow = -Infinity;
  #verdict = NOT_SUSPECTED;

  /**
   * @throws {MapsweepTypeError | MapsweepRangeError} an option that is unknown, of a wrong type or out of range; the
   *   `code` is `ERR_UNKNOWN_OPTION`, `ERR_INVALID_OPTION` or `ERR_INVALID_DURATION`
   * @param path where the options stand, for messages
   */
  constructor(options: LeakDetectorOptions = {}, path = 'leakDetector') {
    const read = readOptions(path, options, {
      cycle: (value, option) => durationMs(value, option, { min: 60_000 }),
      longestLifetime: (value, option) => durationMs(value, option),
      minGrowth: (value, option) => readInteger(value, option, { min: 1 }),
    });
    this.#cycleMs = read.cycle ?? 86_400_000;
    this.#longestLifetimeMs = read.longestLifetime ?? 0;
    this.#minGrowth = read.minGrowth ?? 24;
    const shortestMs = this.#cycleMs / WINDOWS_A_CYCLE;
    const longestSpanMs = SPAN.ofLifetime * this.#longestLifetimeMs;
    const levelsForLifetime = 1 + Math.ceil(Math.log2(longestSpanMs / ((KEPT_WINDOWS - 1) * shortestMs)));
    this.#windows = new SizeWindows(shortestMs, Math.max(LEVELS, levelsForLifetime));
  }

  /** The latest verdict. The same object until it changes. */
  get verdict(): LeakVerdict {
    return this.#verdict;
  }

  /**
   * Takes the size that the map has after a sweep, at any interval. What is not a size (`NaN`, negative, infinite) and
   * what is older than the last size is ignored; this never throws.
   *
   * @param atMonotonic ms of a monotonic clock
   */
  add(atMonotonic: number, size: number): LeakVerdict {
    if (!(size >= 0 && size < Infinity && Number.isFinite(atMonotonic))) return this.#verdict;
    if (atMonotonic < (this.#windows.lastAt ?? -Infinity)) return this.#verdict;
    const completed = this.#windows.add(atMonotonic, size);
    for (let level = 0; level < completed; level++) this.#judge(level);
    if (size < this.#drainedBelow) {
      for (const [level, rise] of this.#rises) if (size < drainedBelow(rise)) this.#rises.delete(level);
      this.#conclude();
    } else if (completed > 0) {
      this.#conclude();
    }
    return this.#verdict;
  }

  #judge(level: number): void {
    const windows = this.#windows.at(level);
    if (windows.length < KEPT_WINDOWS) return;
    const last = windows[KEPT_WINDOWS - 1]!;
    if (this.#isRise(level, windows)) this.#raise(level, windows);
    const rise = this.#rises.get(level);
    if (rise === undefined) return;
    const keepsUp = rise.highest + (rise.slope / 4) * (last.startMs - rise.highestMs);
    if (last.floor > rise.highest && last.floor >= keepsUp) {
      rise.highest = last.floor;
      rise.highestMs = last.startMs;
    }
    if (this.#windows.watchedMs - rise.highestMs > rise.patienceMs) this.#rises.delete(level);
  }

  // A rise that goes on keeps its beginning: the windows move on, and would say that it began later and later.
  #raise(level: number, windows: readonly SizeWindow[]): void {
    const first = windows[0]!;
    const last = windows[KEPT_WINDOWS - 1]!;
    const spanMs = last.startMs - first.startMs;
    this.#rises.set(level, {
      since: first.startAt,
      floorBefore: first.floor,
      highest: last.floor,
      highestMs: last.startMs,
      ...this.#rises.get(level),
      slope: theilSenSlope(windows.map(startOf), windows.map(floorOf)),
      patienceMs: Math.min(2 * spanMs, Math.max(this.#cycleMs, spanMs / 2)),
    });
  }

  #isRise(level: number, windows: readonly SizeWindow[]): boolean {
    const first = windows[0]!;
    const last = windows[KEPT_WINDOWS - 1]!;
    const growth = last.floor - first.floor;
    const spanMs = last.startMs - first.startMs;
    if (growth < this.#minGrowth || spanMs < this.#leastSpanMs(windows)) return false;
    const floors = windows.map(floorOf);
    if (mannKendallS(floors) < LEAST_S || !isSteady(floors, growth)) return false;
    if (spanMs >= SEASONLESS_CYCLES * this.#cycleMs) return true;
    return floors[(KEPT_WINDOWS - 1) / 2]! > this.#windows.peakBefore(first.startMs, level);
  }

  #leastSpanMs(windows: readonly SizeWindow[]): number {
    let rose = 0;
    let fell = 0;
    for (const window of windows) {
      rose += window.rose;
      fell += window.fell;
    }
    let cycles = SPAN.usual;
    if (windows[0]!.startMs >= HISTORY_CYCLES * this.#cycleMs) cycles = SPAN.withHistory;
    if (fell <= MOST_FALLEN * rose) cycles = SPAN.drainless;
    return Math.max(cycles * this.#cycleMs, SPAN.ofLifetime * this.#longestLifetimeMs);
  }

  #conclude(): void {
    this.#drainedBelow = -Infinity;
    if (this.#rises.size === 0) {
      this.#verdict = NOT_SUSPECTED;
      return;
    }
    // The rise that was found first says since when: longer windows, judged later, say it less exactly.
    const { since } = this.#rises.values().next().value!;
    let longest = -1;
    for (const [level, rise] of this.#rises) {
      longest = Math.max(longest, level);
      this.#drainedBelow = Math.max(this.#drainedBelow, drainedBelow(rise));
    }
    const entriesPerMinute = this.#rises.get(longest)!.slope * 60_000;
    if (since === this.#verdict.since && entriesPerMinute === this.#verdict.entriesPerMinute) return;
    this.#verdict = Object.freeze({ suspected: true, since, entriesPerMinute });
  }
}

const startOf = (window: SizeWindow) => window.startMs;
const floorOf = (window: SizeWindow) => window.floor;
const drainedBelow = (rise: Rise) => (rise.floorBefore + rise.highest) / 2;

function isSteady(floors: readonly number[], growth: number): boolean {
  const rises = KEPT_WINDOWS - 1;
  const stair = (STAIR_SHARE * growth) / rises;
  let steps = 0;
  for (let index = 1; index < KEPT_WINDOWS; index++) {
    if (floors[index]! - floors[index - 1]! >= stair) steps++;
  }
  if (steps < LEAST_STEPS) return false;
  const quarter = rises / 4;
  for (let index = quarter; index < KEPT_WINDOWS; index += quarter) {
    if (floors[index]! - floors[index - quarter]! < (QUARTER_SHARE * growth) / 4) return false;
  }
  return true;
}
