import { isRealTime, realMonotonic } from '../time/clock.js';
import type { Timeline } from '../time/timeline.js';
import type { AgeTable } from './age-table.js';
import { BlockMinima } from './block-minima.js';
import { resized } from './typed-arrays.js';

/** A call that follows the one before within this many ms may belong to a burst. */
const closeMs = 0.01;
/** So many of them in a row are one. */
const closeOnes = 16;
/** At most so many entries wait for the same reading of the clock. */
const batchSize = 64;
/** Instants up to so many ms apart are kept in 32 bits each: 49.7 days, less one on either side before the next look. */
const mostSpanMs = 2 ** 32 - 2 * 86_400_000;

// Captured at load, as `setImmediate` is: a burst must end though a test runner has frozen the global one.
const realQueueMicrotask = queueMicrotask;
const RealDate = Date;

/** What entries are stamped by. */
export type StampingTimeline = Pick<Timeline, 'clock' | 'stampOf'>;

/**
 * When the entry of each slot was registered and was last active, monotonic ms.
 *
 * To read the clock takes longer than all the rest of a `touch`, and a fifth of a `set`. So a *burst*, many calls in one
 * turn of the event loop right after each other, has it read once for up to 64 calls: their slots wait, and get the
 * reading that is made when the batch is full, when anybody asks for an instant, or when the turn is over, whichever
 * comes first. What is read is therefore never before the call, and never after the present; it is late by at most the
 * time that the rest of the batch took, or of the turn. Single calls, and clocks other than the real one of the process,
 * are stamped at once.
 *
 * A stamp is the beginning of a ms of the wall clock, since people are shown that. It is kept in 32 bits, as the distance
 * from a *base* near to it; of a map whose entries are further apart than 49 days, in 64, until it is empty again.
 */
export class EntryTimes {
  #registeredAt: Int32Array | Float64Array;
  #lastActiveAt: Int32Array | Float64Array;
  // The beginning of a ms. Until the first instant there is none.
  #base = Number.NaN;
  readonly #registrations = new BlockMinima();
  readonly #timeline: StampingTimeline;
  readonly #isUsed: (slot: number) => boolean;
  readonly #ages: AgeTable | undefined;
  // Made at the first burst: most maps never see one. Of a registration it has the complement of the slot.
  #waiting: Int32Array | undefined;
  #waitingCount = 0;
  #isBurst = false;
  #closeCount = 0;
  #readAt = Number.NEGATIVE_INFINITY;

  /**
   * @param isUsed tells which slots have an entry
   * @param ages who counts registrations
   */
  constructor(
    timeline: StampingTimeline,
    capacity: number,
    isUsed: (slot: number) => boolean,
    ages?: AgeTable,
  ) {
    this.#timeline = timeline;
    this.#isUsed = isUsed;
    this.#ages = ages;
    this.#registeredAt = new Int32Array(capacity);
    this.#lastActiveAt = new Int32Array(capacity);
  }

  /** The last reading of the clock: not after the last call, and little before it in a burst. */
  get readAt(): number {
    return this.#readAt;
  }

  /** Returns when the entry of a slot was registered. */
  registeredAt(slot: number): number {
    this.stampWaiting();
    return this.#base + (this.#registeredAt[slot] as number);
  }

  /** Returns the last activity of a slot. */
  lastActiveAt(slot: number): number {
    this.stampWaiting();
    return this.#base + (this.#lastActiveAt[slot] as number);
  }

  /** The slot has a new entry, now. */
  register(slot: number): void {
    if (this.#isBurst && this.#waits(~slot)) return;
    const at = this.#timeline.clock.monotonic();
    this.registerAt(slot, at);
    this.#hasRead(at);
  }

  /** The slot has a new entry, since an instant that is known already. */
  registerAt(slot: number, at: number): void {
    const distance = this.#distanceOf(at);
    this.#registeredAt[slot] = distance;
    this.#lastActiveAt[slot] = distance;
    const stamp = this.#base + distance;
    this.#registrations.add(slot, stamp);
    this.#ages?.registered(stamp);
  }

  /** The slot is active now. */
  refresh(slot: number): void {
    if (this.#isBurst && this.#waits(slot)) return;
    const at = this.#timeline.clock.monotonic();
    this.#setActive(slot, at);
    this.#hasRead(at);
  }

  /** The slot was active at an instant that is known already. */
  refreshAt(slot: number, at: number): void {
    this.stampWaiting();
    this.#setActive(slot, at);
  }

  /** The entry of a slot is older than it looked. */
  restamp(slot: number, registeredAt: number, lastActiveAt: number): void {
    this.forget(slot);
    const distance = this.#distanceOf(registeredAt);
    this.#registeredAt[slot] = distance;
    this.#setActive(slot, lastActiveAt);
    this.#registrations.add(slot, this.registeredAt(slot));
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
  stampWaiting(): void {
    if (this.#waitingCount > 0) this.#stampBurst();
  }

  /** Returns the earliest registration. */
  oldest(): number {
    this.stampWaiting();
    return this.#registrations.least(this.#registeredWhereUsed);
  }

  /** Returns the slots of the earliest registrations, at most `count`, the earliest first. */
  oldestSlots(count: number): number[] {
    this.stampWaiting();
    return this.#registrations.leastSlots(count, this.#registeredWhereUsed);
  }

  /** All entries have left. */
  clear(): void {
    this.stampWaiting();
    this.#registrations.clear();
    // What comes next may come after months, and there is nothing to be far from.
    this.#base = Number.NaN;
    if (!this.#isWide) return;
    this.#registeredAt = new Int32Array(this.#registeredAt.length);
    this.#lastActiveAt = new Int32Array(this.#lastActiveAt.length);
  }

  /** Makes room, or gives it back: no entry has a higher slot. */
  resize(capacity: number): void {
    this.stampWaiting();
    this.#registeredAt = resized(this.#registeredAt, capacity);
    this.#lastActiveAt = resized(this.#lastActiveAt, capacity);
  }

  #registeredWhereUsed = (slot: number): number =>
    this.#isUsed(slot) ? this.#base + (this.#registeredAt[slot] as number) : Number.POSITIVE_INFINITY;

  get #isWide(): boolean {
    return this.#registeredAt instanceof Float64Array;
  }

  #setActive(slot: number, at: number): void {
    // Before the column is named: it may be replaced by a wider one.
    const distance = this.#distanceOf(at);
    this.#lastActiveAt[slot] = distance;
  }

  /** Returns how far the ms of an instant is from the base, whole ms. Moves the base if that does not fit. */
  #distanceOf(at: number): number {
    const distance = Math.floor(at - this.#base);
    return distance === (distance | 0) ? distance : this.#makeRoom(at);
  }

  /** Has the base in the middle of all instants, or wider columns if 32 bits are too few for them. */
  #makeRoom(at: number): number {
    if (Number.isNaN(this.#base)) this.#base = this.#timeline.stampOf(at);
    else if (!this.#isWide) this.#moveBase(at);
    return Math.floor(at - this.#base);
  }

  #moveBase(at: number): void {
    const registeredAt = this.#registeredAt;
    const lastActiveAt = this.#lastActiveAt;
    let earliest = at;
    let latest = at;
    // A slot that waits for its first stamp counts with what it was left with, and is stamped over: at most the base moves less far,
    // or the columns are wider than they have to be.
    for (let slot = 0; slot < registeredAt.length; slot += 1) {
      if (!this.#isUsed(slot)) continue;
      earliest = Math.min(earliest, this.#base + (registeredAt[slot] as number));
      latest = Math.max(latest, this.#base + (lastActiveAt[slot] as number));
    }
    // An instant that is no number does not fit either.
    if (!(latest - earliest <= mostSpanMs)) {
      this.#registeredAt = Float64Array.from(registeredAt);
      this.#lastActiveAt = Float64Array.from(lastActiveAt);
      return;
    }
    const moved = Math.floor((earliest + latest) / 2 - this.#base);
    for (let slot = 0; slot < registeredAt.length; slot += 1) {
      if (!this.#isUsed(slot)) continue;
      (registeredAt[slot] as number) -= moved;
      (lastActiveAt[slot] as number) -= moved;
    }
    this.#base += moved;
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
    if (!isRealTime(this.#timeline.clock)) return;
    this.#waiting ??= new Int32Array(batchSize);
    this.#isBurst = true;
    realQueueMicrotask(() => this.#endBurst());
  }

  #endBurst(): void {
    this.stampWaiting();
    this.#isBurst = false;
  }

  // A full batch that took long is no burst any more: what follows is stamped at once.
  #stampBatch(): void {
    const before = this.#readAt;
    this.#stampBurst();
    if (this.#readAt - before > batchSize * closeMs) this.#isBurst = false;
  }

  #stampBurst(): void {
    // The clock that the burst began under, though somebody may have put another in its place since.
    const at = realMonotonic();
    const waiting = this.#waiting as Int32Array;
    for (let index = 0; index < this.#waitingCount; index += 1) {
      const call = waiting[index] as number;
      if (call < 0) this.registerAt(~call, at);
      else this.#setActive(call, at);
    }
    this.#waitingCount = 0;
    this.#readAt = at;
  }
}
