import type { Clock } from './clock.js';

/** How far the wall clock moved against the monotonic one, in ms; positive is forward. */
export interface ClockJump {
  /** Milliseconds the wall clock moved beyond what the monotonic clock saw. */
  readonly byMs: number;
  /** Wall time after the jump, epoch ms. */
  readonly at: number;
}

/** Below this the two clocks merely drift (NTP slewing, rounding of `Date.now()`). */
const jumpThresholdMs = 1_000;

/** More remembered jumps than this and the oldest two become one: a bound, not a tuning knob. */
const maxSegments = 64;

interface Segment {
  readonly from: number;
  readonly offset: number;
}

/**
 * Translates between monotonic instants, which every stamp and deadline is kept in, and epoch ms, which people and
 * values use.
 *
 * A wall-clock jump starts a new segment: an instant from before it goes on being shown as the wall read then, and no
 * deadline moves, since none was ever kept in wall time.
 */
export class Timeline {
  readonly clock: Clock;
  readonly #onJump: (jump: ClockJump) => void;
  readonly #segments: Segment[];
  // Found by readers; at most one a segment.
  readonly #untold: ClockJump[] = [];
  #lastDrift = 0;

  constructor(clock: Clock, onJump: (jump: ClockJump) => void) {
    this.clock = clock;
    this.#onJump = onJump;
    const monotonic = clock.monotonic();
    this.#segments = [{ from: Number.NEGATIVE_INFINITY, offset: clock.now() - monotonic }];
  }

  /** Returns the present, monotonic ms. */
  now(): number {
    return this.clock.monotonic();
  }

  /** Compares both clocks. A difference that appeared at once is a jump and is told; one that crept in is followed. */
  compareClocks(): void {
    this.notice();
    for (const jump of this.#untold.splice(0)) this.#onJump(jump);
  }

  /** Compares both clocks for somebody who only reads: a jump is taken into account, and told by the next `compareClocks()`. */
  notice(): void {
    const monotonic = this.clock.monotonic();
    const wall = this.clock.now();
    const drift = wall - monotonic - this.#current().offset;
    const sudden = drift - this.#lastDrift;
    this.#lastDrift = drift;
    if (Math.abs(drift) < jumpThresholdMs) return;
    this.#segments.push({ from: monotonic, offset: wall - monotonic });
    if (this.#segments.length > maxSegments) this.#segments.splice(1, 1);
    this.#lastDrift = 0;
    if (Math.abs(sudden) >= jumpThresholdMs) this.#untold.push({ byMs: Math.round(sudden), at: wall });
  }

  /** Returns the monotonic instant of an epoch instant, by the wall clock as it reads now. */
  toMonotonic(epochMs: number): number {
    return epochMs - this.#current().offset;
  }

  /** The monotonic instant that is shown as epoch 0, whatever the wall clock has done since. */
  get epochStart(): number {
    return -(this.#segments[0] as Segment).offset;
  }

  /**
   * Returns the monotonic instant of an epoch instant that somebody has written down, by the wall clock to the ms. A
   * drift too small to be a jump counts too: without it a deadline could come up to a second early.
   */
  instantOf(epochMs: number): number {
    return epochMs - this.#offsetNow();
  }

  /**
   * Returns the epoch ms that the wall clock showed at a monotonic instant; never later than the wall clock shows now. After it
   * was set back, what it had shown before is shown as the time to which it was set, and stays there.
   *
   * @param wallNow what it shows now, if that is known already
   */
  toEpoch(monotonic: number, wallNow = this.clock.now()): number {
    let shown = wallNow;
    for (let index = this.#segments.length - 1; index >= 0; index -= 1) {
      const { from, offset } = this.#segments[index] as Segment;
      shown = Math.min(shown, Math.floor(Math.max(from, monotonic) + offset));
      if (from <= monotonic) break;
    }
    return shown;
  }

  /** Returns what the wall clock will show at a monotonic instant, as far as is known now. */
  toEpochAhead(monotonic: number): number {
    return Math.ceil(monotonic + this.#offsetNow());
  }

  #offsetNow(): number {
    const known = this.#current().offset;
    const exact = this.clock.now() - this.clock.monotonic();
    // A wall clock of whole ms differs by up to one from reading to reading, and deadlines should not waver with it.
    return Math.abs(exact - known) < 1 ? known : exact;
  }

  #current(): Segment {
    return this.#segments[this.#segments.length - 1] as Segment;
  }
}
