/** The sizes of a map over one stretch of time. */
export interface SizeWindow {
  /** Monotonic ms of its first size. */
  readonly startAt: number;
  /** The same instant on the axis of watched time, see {@link SizeWindows}. */
  readonly startMs: number;
  /** The smallest size seen. */
  readonly floor: number;
  /** The highest floor among the shortest windows inside this one: a burst shorter than those does not count. */
  readonly peak: number;
  /** How much the size rose from one compared size to the next, added up. */
  readonly rose: number;
  /** How much it fell between them, added up, as a positive number. */
  readonly fell: number;
}

/** Complete windows kept of every length: nine floors have eight rises between them, so four quarters of two. */
export const KEPT_WINDOWS = 9;

// A window of a single size would make its floor a random draw from the churn instead of a minimum.
const FEWEST_SIZES = 4;

// Sizes are compared 32 times a window at most, so that a map does not look busier because it is swept more often.
const COMPARISONS = 32;

/**
 * Keeps the latest nine windows of each of several lengths. A window is two of the next shorter length: two neighbours
 * that are complete make one of the next length, so a size costs a constant amount of work on average, and a history
 * that goes back 2^n windows costs the memory of n.
 *
 * Windows are in time, because what they must be told apart from (days, lifetimes) is; only a window must also hold four
 * sizes, so with sweeps an hour apart the shortest is four hours. The length is a least one: a window ends with the
 * first size that comes after it, and the next begins with that.
 *
 * Time means watched time: a silence longer than a window and than twice the silence before it counts as one of the
 * two, the longer. A process that was suspended for a night has not been watched for a night, and leaked nothing.
 */
export class SizeWindows {
  readonly #shortestMs: number;
  readonly #levels: SizeWindow[][];
  /** Of each length the first window of a pair whose second is not complete. */
  readonly #unpaired: (SizeWindow | undefined)[];
  #lastAt: number | undefined;
  #comparedSize = 0;
  #comparedMs = -Infinity;
  #lastSilenceMs = 0;
  #watchedMs = 0;
  #startAt = 0;
  #startMs = 0;
  #floor = 0;
  #rose = 0;
  #fell = 0;
  #sizes = 0;

  /**
   * @param shortestMs the length of the shortest windows
   * @param levels how many lengths there are, each twice the one before
   */
  constructor(shortestMs: number, levels: number) {
    this.#shortestMs = shortestMs;
    this.#levels = Array.from({ length: levels }, () => []);
    this.#unpaired = new Array(levels);
  }

  /** Monotonic ms of the latest size. `undefined` before the first. */
  get lastAt(): number | undefined {
    return this.#lastAt;
  }

  /** For how long the map has been watched, in ms of watched time. */
  get watchedMs(): number {
    return this.#watchedMs;
  }

  /** Returns the complete windows of one length, oldest first, at most nine. Level 0 is the shortest. */
  at(level: number): readonly SizeWindow[] {
    return this.#levels[level]!;
  }

  /**
   * Takes one size. The instant must not be before that of the last one.
   *
   * @returns how many lengths have a new complete window: those of the levels below that number
   */
  add(atMonotonic: number, size: number): number {
    let completed = 0;
    if (this.#lastAt !== undefined) {
      const silenceMs = atMonotonic - this.#lastAt;
      this.#watchedMs += Math.min(silenceMs, Math.max(this.#shortestMs, 2 * this.#lastSilenceMs));
      this.#lastSilenceMs = silenceMs;
      if (this.#sizes >= FEWEST_SIZES && this.#watchedMs - this.#startMs >= this.#shortestMs) {
        completed = this.#complete();
      }
    }
    if (this.#sizes === 0) {
      this.#startAt = atMonotonic;
      this.#startMs = this.#watchedMs;
      this.#floor = size;
    }
    this.#floor = Math.min(this.#floor, size);
    this.#sizes++;
    this.#lastAt = atMonotonic;
    if (this.#watchedMs - this.#comparedMs >= this.#shortestMs / COMPARISONS) this.#compare(size);
    return completed;
  }

  // A change across the border of two windows belongs to the later one; otherwise a drain there would be in neither.
  #compare(size: number): void {
    const change = this.#comparedMs === -Infinity ? 0 : size - this.#comparedSize;
    if (change > 0) this.#rose += change;
    else this.#fell -= change;
    this.#comparedSize = size;
    this.#comparedMs = this.#watchedMs;
  }

  /**
   * Returns the highest floor of any shortest window in what is remembered from before `startMs` by windows of this
   * level and the longer ones; `-Infinity` if nothing is. What lies in a window that reaches past it is left out.
   */
  peakBefore(startMs: number, level: number): number {
    let peak = -Infinity;
    for (const windows of this.#levels.slice(level)) {
      for (let index = 0; index + 1 < windows.length; index++) {
        if (windows[index + 1]!.startMs <= startMs) peak = Math.max(peak, windows[index]!.peak);
      }
    }
    return peak;
  }

  #complete(): number {
    let window: SizeWindow = {
      startAt: this.#startAt,
      startMs: this.#startMs,
      floor: this.#floor,
      peak: this.#floor,
      rose: this.#rose,
      fell: this.#fell,
    };
    this.#sizes = 0;
    this.#rose = 0;
    this.#fell = 0;
    for (const [level, windows] of this.#levels.entries()) {
      windows.push(window);
      if (windows.length > KEPT_WINDOWS) windows.shift();
      const first = this.#unpaired[level];
      this.#unpaired[level] = first === undefined ? window : undefined;
      if (first === undefined) return level + 1;
      window = {
        startAt: first.startAt,
        startMs: first.startMs,
        floor: Math.min(first.floor, window.floor),
        peak: Math.max(first.peak, window.peak),
        rose: first.rose + window.rose,
        fell: first.fell + window.fell,
      };
    }
    return this.#levels.length;
  }
}
