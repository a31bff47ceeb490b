/** So many entries of a map may have their `beforeSweep` called at once in an interval; the others are spread over it. */
const burst = 256;

/**
 * When the next call of `beforeSweep` of one map may start. What falls due in one instant would else meet a database in
 * one, too: beyond a burst the calls are spread evenly over one interval of the sweeper.
 */
export class Pace {
  readonly #everyMs: number;
  #burstSince = Number.NEGATIVE_INFINITY;
  #credit = 0;
  #nextAt = Number.NEGATIVE_INFINITY;
  #spreadUntil = Number.NEGATIVE_INFINITY;

  /** @param everyMs the interval over which they are spread, ms */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Another entry waits, from now on; monotonic ms. */
  arrived(now: number): void {
    this.#spreadUntil = now + this.#everyMs;
  }

  /** Returns when the next call may start, monotonic ms; what is past is now. */
  next(now: number): number {
    if (now - this.#burstSince >= this.#everyMs) {
      this.#burstSince = now;
      this.#credit = burst;
    }
    return this.#credit > 0 ? now : this.#nextAt;
  }

  /**
   * A call has started.
   *
   * @param count of so many entries
   * @param callsLeft how many more calls wait
   */
  started(now: number, count: number, callsLeft: number): void {
    this.#credit -= count;
    if (this.#credit > 0) return;
    // Never slower than a burst in each interval.
    const slowestMs = (this.#everyMs * count) / burst;
    const spreadMs = Math.max(0, this.#spreadUntil - now) / Math.max(1, callsLeft);
    this.#nextAt = now + Math.min(slowestMs, spreadMs);
  }
}
