/**
 * Time in which a process was able to do something. Nothing leaves, and nothing is counted, while it stands still: of a
 * silence that is much longer than the one before only a part counts.
 */
export class WatchedTime {
  readonly #leastMs: number;
  #lastAt: number;
  #lastSilenceMs = 0;
  #ms = 0;

  /**
   * @param originAt the present, monotonic ms
   * @param leastMs a silence of this length counts in full
   */
  constructor(originAt: number, leastMs: number) {
    this.#lastAt = originAt;
    this.#leastMs = leastMs;
  }

  /** How much it was until it was looked last, ms. */
  get ms(): number {
    return this.#ms;
  }

  /** Somebody looks. @param at the present, monotonic ms */
  look(at: number): void {
    const silenceMs = at - this.#lastAt;
    this.#ms += Math.min(silenceMs, Math.max(this.#leastMs, 2 * this.#lastSilenceMs));
    this.#lastSilenceMs = silenceMs;
    this.#lastAt = at;
  }
}
