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

/**
 * Any clock of these days differs from the monotonic one by a multiple of it, as numbers of that size are. Of one that is
 * near the epoch, as fake ones are, instants that are whole ms apart would not be in numbers, but a little more or less.
 */
const gridMs = 2 ** -12;

/** Returns the first multiple of it that is not less. */
const onGrid = (ms: number): number => Math.ceil(ms / gridMs) * gridMs;

interface Segment {
  readonly from: number;
  /** It may have begun as early as this: the wall was last seen to follow the segment before. */
  readonly notBefore: number;
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
  #comparedAt: number;
  /** What the clocks differed by when that was last another whole ms. */
  #followed: number;
  /** The offset to the ms that was read for this instant. */
  #offset = { at: Number.NaN, ms: 0 };

  constructor(clock: Clock, onJump: (jump: ClockJump) => void) {
    this.clock = clock;
    this.#onJump = onJump;
    const monotonic = clock.monotonic();
    const always = Number.NEGATIVE_INFINITY;
    this.#followed = onGrid(clock.now() - monotonic);
    this.#segments = [{ from: always, notBefore: always, offset: this.#followed }];
    this.#comparedAt = monotonic;
    // So that its fields hold fractions from the start: an unused timeline has the shape of a used one then.
    this.notice();
  }

  /** Returns the present, monotonic ms. */
  now(): number {
    return this.clock.monotonic();
  }

  /** Returns the present as entries are stamped with it, see `stampOf`. */
  stamp(): number {
    return this.stampOf(this.clock.monotonic());
  }

  /** Returns the monotonic instant at which the ms of the wall clock began that an instant lies in. */
  stampOf(at: number): number {
    return this.epochStart + Math.floor(at - this.epochStart);
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
    const notBefore = this.#comparedAt;
    this.#comparedAt = monotonic;
    this.#offset.at = Number.NaN;
    const drift = wall - monotonic - this.#current().offset;
    const sudden = drift - this.#lastDrift;
    this.#lastDrift = drift;
    if (Math.abs(drift) < jumpThresholdMs) return;
    this.#followed = wall - monotonic;
    this.#segments.push({ from: monotonic, notBefore, offset: this.#followed });
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
   * Returns the monotonic instant at which the wall clock reads an epoch instant, by what it reads at `now`. To the ms: a
   * drift too small to be a jump counts too, without which a deadline could come up to a second early.
   *
   * @param now the present, monotonic ms; both clocks are read once for it, until they are compared
   */
  instantAt(epochMs: number, now: number): number {
    return epochMs - this.#offsetAt(now);
  }

  /**
   * Returns the monotonic instant of an epoch instant that somebody took from the wall clock, whatever that has done since.
   * Of an instant that the clock has shown more than once, having been set back, it is the last time, so that nothing
   * becomes due early; of one that it never showed, having been set forward over it, the time when it would have. It lies
   * ahead only if the clock has never shown it.
   */
  instantRead(epochMs: number, now: number): number {
    const byClockNow = this.instantAt(epochMs, now);
    let end = now;
    let earlier: number | undefined;
    for (let index = this.#segments.length - 1; index >= 0; index -= 1) {
      const { from, notBefore, offset } = this.#segments[index] as Segment;
      const instant = index === this.#segments.length - 1 ? byClockNow : epochMs - offset;
      if (instant >= notBefore && instant <= end) return instant;
      if (instant > end && earlier === undefined) earlier = instant;
      end = Math.min(end, from);
    }
    return byClockNow > now ? byClockNow : (earlier ?? byClockNow);
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

  #offsetAt(now: number): number {
    if (now !== this.#offset.at) this.#offset = { at: now, ms: this.#offsetNow() };
    return this.#offset.ms;
  }

  #offsetNow(): number {
    const exact = this.clock.now() - this.clock.monotonic();
    // A wall clock of whole ms differs by up to one from reading to reading, and deadlines should not waver with it, nor what
    // is known of somebody's activity: not after a drift either.
    if (Math.abs(exact - this.#followed) >= 1) this.#followed = exact;
    return this.#followed;
  }

  #current(): Segment {
    return this.#segments[this.#segments.length - 1] as Segment;
  }
}
