import { type Clock, isRealTime, realMonotonic } from '../time/clock.js';
import type { AgeTable } from './age-table.js';
import { BlockMinima } from './block-minima.js';
import { resized } from './typed-arrays.js';

/** A call that follows the one before within this many ms may belong to a burst. */
const closeMs = 0.01;
/** So many of them in a row are one. */
const closeOnes = 16;
/** At most so many entries wait for the same reading of the clock. */
const batchSize = 64;

// Captured at load, as `setImmediate` is: a burst must end though a test runner has frozen the global one.
const realQueueMicrotask = queueMicrotask;
const RealDate = Date;

/**
 * When the entry of each slot was registered and was last active, monotonic ms.
 *
 * To read the clock takes longer than all the rest of a `touch`, and a fifth of a `set`. So a *burst*, many calls in one
 * turn of the event loop right after each other, has it read once for up to 64 calls: their slots wait, and get the
 * reading that is made when the batch is full, when anybody asks for an instant, or when the turn is over, whichever
 * comes first. What is read is therefore never before the call, so that nothing becomes due early, and never after the
 * present; it is late by at most the time that the rest of the batch took, or of the turn. Single calls, and clocks
 * other than the real one of the process, are stamped at once.
 */
export class EntryTimes {
  #registeredAt: Float64Array;
  #lastActiveAt: Float64Array;
  readonly #registrations = new BlockMinima();
  readonly #clock: Clock;
  readonly #ages: AgeTable | undefined;
  // Made at the first burst: most maps never see one. Of a registration it has the complement of the slot.
  #waiting: Int32Array | undefined;
  #waitingCount = 0;
  #isBurst = false;
  #closeCount = 0;
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param ages who counts registrations */
  constructor(clock: Clock, capacity: number, ages: AgeTable | undefined) {
    this.#clock = clock;
    this.#ages = ages;
    this.#registeredAt = new Float64Array(capacity);
    this.#lastActiveAt = new Float64Array(capacity);
  }

  /** The last reading of the clock: not after the last call, and little before it in a burst. */
  get readAt(): number {
    return this.#readAt;
  }

  /** Returns when the entry of a slot was registered. */
  registeredAt(slot: number): number {
    this.settle();
    return this.#registeredAt[slot] as number;
  }

  /** Returns the last activity of a slot. */
  lastActiveAt(slot: number): number {
    this.settle();
    return this.#lastActiveAt[slot] as number;
  }

  /** The slot has a new entry, now. */
  register(slot: number): void {
    if (this.#isBurst && this.#waits(~slot)) return;
    const at = this.#clock.monotonic();
    this.registerAt(slot, at);
    this.#hasRead(at);
  }

  /** The slot has a new entry, since an instant that is known already. */
  registerAt(slot: number, at: number): void {
    this.#registeredAt[slot] = at;
    this.#lastActiveAt[slot] = at;
    this.#registrations.add(slot, at);
    this.#ages?.registered(at);
  }

  /** The slot is active now. */
  refresh(slot: number): void {
    if (this.#isBurst && this.#waits(slot)) return;
    const at = this.#clock.monotonic();
    this.#lastActiveAt[slot] = at;
    this.#hasRead(at);
  }

  /** The slot was active at an instant that is known already. */
  refreshAt(slot: number, at: number): void {
    this.settle();
    this.#lastActiveAt[slot] = at;
  }

  /** The entry of a slot is older than it looked. */
  restamp(slot: number, registeredAt: number, lastActiveAt: number): void {
    this.forget(slot);
    this.#registeredAt[slot] = registeredAt;
    this.#lastActiveAt[slot] = lastActiveAt;
    this.#registrations.add(slot, registeredAt);
  }

  /** The entry of a slot is leaving. */
  forget(slot: number): void {
    this.#registrations.remove(slot, this.registeredAt(slot));
  }

  /** Keeps a number of a slot without an entry, until it has one again. */
  note(slot: number, number: number): void {
    this.#registeredAt[slot] = number;
  }

  /** Returns that number. */
  noteOf(slot: number): number {
    return this.#registeredAt[slot] as number;
  }

  /** Stamps what waits, and has it counted. */
  settle(): void {
    if (this.#waitingCount > 0) this.#stampWaiting();
  }

  /** Returns the earliest registration of the slots that `isUsed`. */
  oldest(isUsed: (slot: number) => boolean): number {
    this.settle();
    return this.#registrations.least(this.#whereUsed(isUsed));
  }

  /** Returns the slots of the earliest registrations, at most `count`, the earliest first. */
  oldestSlots(count: number, isUsed: (slot: number) => boolean): number[] {
    this.settle();
    return this.#registrations.leastSlots(count, this.#whereUsed(isUsed));
  }

  /** All entries have left. */
  clear(): void {
    this.settle();
    this.#registrations.clear();
  }

  /** Makes room, or gives it back: no entry has a higher slot. */
  resize(capacity: number): void {
    this.settle();
    this.#registeredAt = resized(this.#registeredAt, new Float64Array(capacity));
    this.#lastActiveAt = resized(this.#lastActiveAt, new Float64Array(capacity));
  }

  #whereUsed(isUsed: (slot: number) => boolean): (slot: number) => number {
    return (slot) => (isUsed(slot) ? (this.#registeredAt[slot] as number) : Number.POSITIVE_INFINITY);
  }

  /** Has a call of a burst wait, unless the burst is over. */
  #waits(call: number): boolean {
    // Fake timers replace `Date` too, and unlike the getter of `performance` that costs nothing to look at.
    if (Date !== RealDate) {
      this.#endBurst();
      return false;
    }
    (this.#waiting as Int32Array)[this.#waitingCount] = call;
    this.#waitingCount += 1;
    if (this.#waitingCount === batchSize) this.#stampBatch();
    return true;
  }

  #hasRead(at: number): void {
    if (at - this.#readAt > closeMs) this.#closeCount = 0;
    else if (++this.#closeCount >= closeOnes) this.#beginBurst();
    this.#readAt = at;
  }

  #beginBurst(): void {
    this.#closeCount = 0;
    if (!isRealTime(this.#clock)) return;
    this.#waiting ??= new Int32Array(batchSize);
    this.#isBurst = true;
    realQueueMicrotask(() => this.#endBurst());
  }

  #endBurst(): void {
    this.settle();
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
    const waiting = this.#waiting as Int32Array;
    for (let index = 0; index < this.#waitingCount; index += 1) {
      const call = waiting[index] as number;
      if (call < 0) this.registerAt(~call, at);
      else this.#lastActiveAt[call] = at;
    }
    this.#waitingCount = 0;
    this.#readAt = at;
  }
}
