import { type Clock, isRealTime, realMonotonic } from '../time/clock.js';
import { resized } from './typed-arrays.js';

/** Activity that follows the one before within this many ms may belong to a burst. */
const closeMs = 0.01;
/** So many of them in a row are one. */
const closeOnes = 16;
/** At most so many entries wait for the same reading of the clock. */
const batchSize = 64;

// Captured at load, as `setImmediate` is: a burst must end though a test runner has frozen the global one.
const realQueueMicrotask = queueMicrotask;
const RealDate = Date;

/**
 * The last activity of each slot, monotonic ms.
 *
 * To read the clock takes longer than all the rest of a `touch`. So a *burst*, many calls in one turn of the event loop
 * right after each other, has it read once for up to 64 calls: their slots wait, and get the reading that is made when
 * the batch is full, when anybody asks for an instant, or when the turn is over, whichever comes first. What is read is
 * therefore never before the activity, so that nothing becomes due early, and never after the present; it is late by at
 * most the time that the rest of the batch took, or of the turn. Single calls, and clocks other than the real one of
 * the process, are stamped at once.
 */
export class ActivityTimes {
  #at: Float64Array;
  readonly #clock: Clock;
  // Made at the first burst: most maps never see one.
  #waiting: Int32Array | undefined;
  #waitingCount = 0;
  #isBurst = false;
  #closeCount = 0;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, capacity: number) {
    this.#clock = clock;
    this.#at = new Float64Array(capacity);
  }

  /** Returns the last activity of a slot. */
  at(slot: number): number {
    if (this.#waitingCount > 0) this.#stampWaiting();
    return this.#at[slot] as number;
  }

  /** Sets the last activity of a slot. */
  set(slot: number, at: number): void {
    if (this.#waitingCount > 0) this.#stampWaiting();
    this.#at[slot] = at;
  }

  /** The slot is active now. */
  refresh(slot: number): void {
    if (this.#isBurst) {
      // Fake timers replace `Date` too, and unlike the getter of `performance` that costs nothing to look at.
      if (Date === RealDate) {
        (this.#waiting as Int32Array)[this.#waitingCount] = slot;
        this.#waitingCount += 1;
        if (this.#waitingCount === batchSize) this.#stampBatch();
        return;
      }
      this.#endBurst();
    }
    const at = this.#clock.monotonic();
    this.#at[slot] = at;
    if (at - this.#readAt > closeMs) this.#closeCount = 0;
    else if (++this.#closeCount >= closeOnes) this.#beginBurst();
    this.#readAt = at;
  }

  /** Makes room, or gives it back. */
  resize(capacity: number): void {
    this.#at = resized(this.#at, new Float64Array(capacity));
  }

  #beginBurst(): void {
    this.#closeCount = 0;
    if (!isRealTime(this.#clock)) return;
    this.#waiting ??= new Int32Array(batchSize);
    this.#isBurst = true;
    realQueueMicrotask(() => this.#endBurst());
  }

  #endBurst(): void {
    if (this.#waitingCount > 0) this.#stampWaiting();
    this.#isBurst = false;
  }

  // A full batch that took long is no burst any more: what follows is stamped at once.
  #stampBatch(): void {
    const before = this.#readAt;
    this.#stampWaiting();
    if (this.#readAt - before > batchSize * closeMs) this.#isBurst = false;
  }

  #stampWaiting(): void {
    // The clock that the burst began under, though somebody may have put another in its place since.
    const at = realMonotonic();
    const slots = this.#waiting as Int32Array;
    for (let index = 0; index < this.#waitingCount; index += 1) this.#at[slots[index] as number] = at;
    this.#waitingCount = 0;
    this.#readAt = at;
  }
}
