/** The instants at which sweeps tick: one every `everyMs` from `origin` on, which is tick 0. Monotonic ms. */
export class TickGrid {
  readonly origin: number;
  readonly everyMs: number;

  constructor(origin: number, everyMs: number) {
    this.origin = origin;
    this.everyMs = everyMs;
  }

  /** Returns the instant of a tick. */
  instantOf(tick: number): number {
    return this.origin + tick * this.everyMs;
  }

  /** Returns the first tick at or after an instant. */
  tickOf(at: number): number {
    return Math.ceil((at - this.origin) / this.everyMs);
  }

  /** Returns the last tick at or before an instant. An instant less than a tick by a rounding error counts as it. */
  lastTickBy(at: number): number {
    return Math.floor((at - this.origin) / this.everyMs + 1e-9);
  }
}
