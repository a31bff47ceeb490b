import type { AgeTable } from './age-table.js';
import { EarlyGrowth } from './early-growth.js';
import { EntryTimes, type StampingTimeline } from './entry-times.js';
import { mapKey } from './map-key.js';
import { SlotKeys } from './slot-keys.js';
import { take } from './take.js';
import { capacityFor, resized } from './typed-arrays.js';

/** An entry is claimed: the end of its registration was announced, or is none of ours to announce. */
export const CLAIMED = 1;
/** A sweep found the entry due and it is still there: guarded, observed, waiting, or its `delete` refused. */
export const OVERDUE = 2;
/** The entry is due and `keepWhile` holds it. */
export const GUARDED = 4;
/** A `beforeSweep` of the entry is queued, running, or waiting for its next attempt. */
export const HOOKED = 8;
/** A policy function of this entry has failed and that has been said. */
export const COMPLAINED = 16;
/** A companion whose leader left while its own `delete` refused: it leaves at the next look. */
export const LEAVING = 32;
/** The owner's own `delete` has refused to remove the entry, or has thrown, when the library last asked it to. */
export const REFUSED = 64;
/** The entry was written into the journal. */
export const RECORDED = 128;

const initialCapacity = 16;
const noSlot = -1;
/** The first key of all, so that the table of the keys shrinks in another call than that of the owner's Map. */
const nobody = Symbol('nobody');
const noSlots = <K>(): Map<K, number> => new Map([[nobody as K, noSlot]]);
/** A store that has had more entries than this gives memory back when most have left. */
const burstSize = 1_024;
const mostIn32Bits = 2 ** 32 - 1;
/** Most have left when fewer than one in so many slots is used. */
const sparseness = 8;
/** No slot is as high as that: a Map has fewer keys. */
const aboveAll = 2 ** 30;

/**
 * The stamps of one map's entries: structure of arrays by *slot*, a small integer that an entry keeps while it is
 * registered. Typed arrays, because an object per entry costs three times the bytes and pins nothing less.
 *
 * All instants are monotonic ms.
 */
export class StampStore<K> {
  #slots = noSlots<K>();
  // The owner's Map has the same keys.
  #growth: EarlyGrowth;
  readonly #mostKeys: number | undefined;
  readonly #keys = new SlotKeys<K>();
  // Free slots are a list: each has the next one where the instant of a registration would be.
  #firstFree = noSlot;
  // From here on they are not in it: after a burst they are left free, for their memory to be given back, until there are no others.
  #firstLeft = aboveAll;
  #used = 0;
  #lastGeneration = 0;
  #capacity = initialCapacity;
  // Keys stand in the order of their registration, as long as no entry has stamps from elsewhere.
  #isInOrder = true;

  /**
   * Indexed by slot; in 32 bits each until they do not fit. Replaced by a larger array when the store grows: do not keep a
   * reference across a registration. Nobody else writes to it.
   */
  generation: Uint32Array | Float64Array = new Uint32Array(initialCapacity);
  /** As `generation` is, but for anybody to write to. */
  flags = new Uint8Array(initialCapacity);
  readonly times: EntryTimes;

  /**
   * @param timeline what stamps entries
   * @param ages who counts registrations
   * @param mostKeys how many a Map has at most. Default: what V8 allows
   */
  constructor(timeline: StampingTimeline, ages?: AgeTable, mostKeys?: number) {
    this.#mostKeys = mostKeys;
    this.#growth = new EarlyGrowth(this.#slots, nobody, mostKeys);
    this.times = new EntryTimes(timeline, initialCapacity, (slot) => this.isUsed(slot), ages);
  }

  /** How many entries are stamped. */
  get size(): number {
    return this.#growth.hasNobody ? this.#slots.size - 1 : this.#slots.size;
  }

  /** Whether a large table is rebuilt when the next entry leaves: that of the owner's Map, or the one here. */
  get isAboutToShrink(): boolean {
    return this.#growth.isAboutToShrink;
  }

  /** How many slots the arrays hold. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The last generation that was given out. */
  get lastGeneration(): number {
    return this.#lastGeneration;
  }

  /** Makes every later generation greater than `generation`. */
  raiseGeneration(generation: number): void {
    if (generation <= this.#lastGeneration) return;
    this.#lastGeneration = generation;
    if (generation > mostIn32Bits && this.generation instanceof Uint32Array) {
      this.generation = Float64Array.from(this.generation);
    }
  }

  /** Gives a registration another generation. Default: a new one, greater than any before. */
  renumber(slot: number, generation = this.#lastGeneration + 1): void {
    this.raiseGeneration(generation);
    this.generation[slot] = generation;
  }

  /** Returns when the entry was registered. */
  registeredAt(slot: number): number {
    return this.times.registeredAt(slot);
  }

  /** Returns the last activity of the entry itself. */
  lastActiveAt(slot: number): number {
    return this.times.lastActiveAt(slot);
  }

  slotOf(key: K): number | undefined {
    return this.#slots.get(key);
  }

  keyOf(slot: number): K {
    return this.#keys.get(slot) as K;
  }

  /** Returns whether `slot` still belongs to the registration that had this generation. */
  holds(slot: number, generation: number): boolean {
    return this.generation[slot] === generation;
  }

  /** Returns whether a flag of the slot is up. */
  hasFlag(slot: number, flag: number): boolean {
    return ((this.flags[slot] as number) & flag) !== 0;
  }

  /** Puts a flag up or down, and returns whether that changed it. */
  setFlag(slot: number, flag: number, up: boolean): boolean {
    const flags = this.flags[slot] as number;
    if (((flags & flag) !== 0) === up) return false;
    this.flags[slot] = flags ^ flag;
    return true;
  }

  /**
   * Yields the entries that are there now, in the order of their registration. One that leaves meanwhile does not come up
   * any more, nor does one that is registered meanwhile.
   */
  *present(): Generator<readonly [key: K, slot: number, generation: number]> {
    const last = this.#lastGeneration;
    for (const [key, slot] of this.entries()) {
      const generation = this.generation[slot] as number;
      // What is registered stands behind all others.
      if (generation > last) return;
      yield [key, slot, generation];
    }
  }

  /** Stamps a key that has no stamp yet as of an instant, and returns its slot. */
  register(key: K, at: number): number {
    const slot = this.#occupy(key);
    this.times.registerAt(slot, at);
    return slot;
  }

  /** Stamps a key that has no stamp yet as of now, and returns its slot. */
  registerNow(key: K): number {
    const slot = this.#occupy(key);
    this.times.register(slot);
    return slot;
  }

  #occupy(key: K): number {
    const slot = this.#freeSlot();
    this.#slots.set(key, slot);
    this.#growth.added();
    this.#keys.set(slot, mapKey(key));
    this.renumber(slot);
    this.flags[slot] = 0;
    return slot;
  }

  /** Forgets the stamp of a slot, and returns whether it was the last. Its generation reads 0 until the slot is used again. */
  unregister(slot: number): boolean {
    this.times.forget(slot);
    this.#slots.delete(this.#keys.get(slot) as K);
    this.#growth.deleted();
    this.#keys.delete(slot);
    this.generation[slot] = 0;
    this.flags[slot] = 0;
    if (this.size > 0) {
      this.#free(slot);
      return false;
    }
    this.#reset();
    return true;
  }

  /**
   * Gives the memory of a burst back, when most of its entries have left: that of the slots above the last one in use. Those
   * that are free in the lowest quarter are used first from then on, so that the rest follows when its entries leave. Next to
   * nothing is to be done until some have.
   *
   * @returns how many slots there is room for now; `undefined` if that has not changed
   */
  shrink(): number | undefined {
    if (!this.#isSparse) return undefined;
    while (this.#used > 0 && !this.isUsed(this.#used - 1)) this.#used -= 1;
    const used = this.#used;
    const isShrinking = used * 4 <= this.#capacity;
    if (isShrinking) {
      this.#keys.shrink(used);
      this.#resize(capacityFor(2 * used - 1, initialCapacity));
    } else if (this.#firstLeft <= this.#capacity >> 2) return undefined;
    this.#firstLeft = this.#isSparse ? this.#capacity >> 2 : aboveAll;
    this.#firstFree = noSlot;
    for (let slot = used - 1; slot >= 0; slot -= 1) if (!this.isUsed(slot)) this.#free(slot);
    return isShrinking ? this.#capacity : undefined;
  }

  /** A burst is over. */
  get #isSparse(): boolean {
    return this.#capacity > burstSize && this.size * sparseness <= this.#capacity;
  }

  #freeSlot(): number {
    const slot = this.#firstFree;
    if (slot !== noSlot) {
      this.#firstFree = this.times.noteOf(slot);
      return slot;
    }
    while (this.#firstLeft < this.#used) {
      this.#firstLeft += 1;
      if (!this.isUsed(this.#firstLeft - 1)) return this.#firstLeft - 1;
    }
    if (this.#used === this.#capacity) this.#resize(capacityFor(this.#used, this.#capacity));
    this.#used += 1;
    return this.#used - 1;
  }

  #free(slot: number): void {
    // To be found by whoever needs one that is as high.
    if (slot >= this.#firstLeft) return;
    this.times.note(slot, this.#firstFree);
    this.#firstFree = slot;
  }

  /** Gives an entry stamps that are not of its registration here. */
  restamp(slot: number, registeredAt: number, lastActiveAt: number): void {
    this.times.restamp(slot, registeredAt, lastActiveAt);
    this.#isInOrder = false;
  }

  /** Returns the keys that have been there longest, the oldest first. Looks at few of them, also after a restore. */
  oldestKeys(count: number): K[] {
    if (this.#isInOrder) return [...take(this.keys(), count)];
    return this.times.oldestSlots(count).map((slot) => this.keyOf(slot));
  }

  /** Returns the earliest registration; `undefined` if there is none. Looks at no entry as long as the oldest stays. */
  oldestRegisteredAt(): number | undefined {
    if (this.size === 0) return undefined;
    return this.times.oldest();
  }

  /** Returns whether a slot has an entry. */
  isUsed(slot: number): boolean {
    return (this.generation[slot] as number) > 0;
  }

  /** Returns the keys in order of registration. */
  keys(): MapIterator<K> {
    const keys = this.#slots.keys();
    if (this.#growth.hasNobody) keys.next();
    return keys;
  }

  /** Returns keys and slots in order of registration. */
  entries(): MapIterator<[K, number]> {
    const entries = this.#slots.entries();
    if (this.#growth.hasNobody) entries.next();
    return entries;
  }

  /** Forgets all stamps at once. */
  clear(): void {
    // Whoever walks along them is at the end.
    this.#slots.clear();
    this.#slots = noSlots();
    this.#growth = new EarlyGrowth(this.#slots, nobody, this.#mostKeys);
    this.#reset();
    this.generation.fill(0);
    this.flags.fill(0);
  }

  // An emptied store gives its memory back, so that one burst is not paid for ever.
  #reset(): void {
    this.#keys.clear();
    this.#firstFree = noSlot;
    this.#firstLeft = aboveAll;
    this.#used = 0;
    this.times.clear();
    this.#isInOrder = true;
    if (this.#capacity <= burstSize) return;
    this.#resize(initialCapacity);
  }

  #resize(capacity: number): void {
    this.times.resize(capacity);
    this.generation = resized(this.generation, capacity);
    this.flags = resized(this.flags, capacity);
    this.#capacity = capacity;
  }
}
