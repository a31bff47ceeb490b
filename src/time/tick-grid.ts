/** The instants at which sweeps tick: one every `everyMs` from `origin` on, which is tick 0. Monotonic ms. */
export class TickGrid {
  readonly origin: number;
  readonly everyMs: number;

  constructor(origin: number, everyMs: number) {
    this.origin = origin;
    this.everyMs = everyMs;
  }

  /** The first tick at or after an instant. */
  tickOf(at: number): number {
    return Math.ceil((at - this.origin) / this.everyMs);
  }

  /** The last tick at or before an instant. One that was computed as that of a tick may be less by a rounding error. */
  lastTickBy(at: number): number {
    return Math.floor((at - this.origin) / this.everyMs + 1e-9);
  }
}
