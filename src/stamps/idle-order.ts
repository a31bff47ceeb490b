import { capacityFor, resized } from './typed-arrays.js';

const none = -1;
const initialCapacity = 16;

/**
 * The entries of a map by how long they have been idle, by slot. Kept only for maps with a cap, so that an eviction does
 * not have to search.
 *
 * A binary heap of the activity that was known when somebody last looked. What is known is never later than what is, so
 * activity moves nothing: whoever takes the longest idle brings it up to date first, and takes another if that has moved
 * it away. So every activity is sorted in once at most, and only where there are evictions. An entry that has left stays
 * until it comes up, or its slot has another.
 */
export class IdleOrder {
  // By place in the heap.
  #activeAt = new Float64Array(initialCapacity);
  #turn = new Uint32Array(initialCapacity);
  #slots = new Int32Array(initialCapacity);
  #size = 0;
  // By slot.
  #places = new Int32Array(initialCapacity).fill(none);

  /** The slot that has been idle longest, as far as is known; -1 if there is none. */
  get oldest(): number {
    return this.#size === 0 ? none : (this.#slots[0] as number);
  }

  /** Returns whether a slot is in. */
  has(slot: number): boolean {
    return slot < this.#places.length && this.#places[slot] !== none;
  }

  /**
   * Puts a slot where its activity belongs.
   *
   * @param activeAt monotonic ms
   * @param turn tells apart what was active at one instant: the lesser goes first
   */
  place(slot: number, activeAt: number, turn: number): void {
    if (slot >= this.#places.length) this.#growSlots(slot);
    let place = this.#places[slot] as number;
    if (place === none) {
      if (this.#size === this.#slots.length) this.#growHeap();
      place = this.#size;
      this.#size += 1;
    }
    this.#put(place, slot, activeAt, turn);
    this.#up(place);
    this.#down(this.#places[slot] as number);
  }

  /** Brings a slot up to date. Returns `false` if it was not: then another one may be the longest idle. */
  isUpToDate(slot: number, activeAt: number, turn: number): boolean {
    const place = this.#places[slot] as number;
    if (place === none) return false;
    if (this.#activeAt[place] === activeAt && this.#turn[place] === turn) return true;
    this.place(slot, activeAt, turn);
    return false;
  }

  /** Takes a slot out; one that is not in is left alone. */
  remove(slot: number): void {
    if (!this.has(slot)) return;
    const place = this.#places[slot] as number;
    const last = this.#size - 1;
    this.#size = last;
    this.#places[slot] = none;
    if (place === last) return;
    const moved = this.#slots[last] as number;
    this.#put(place, moved, this.#activeAt[last] as number, this.#turn[last] as number);
    this.#up(place);
    this.#down(this.#places[moved] as number);
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#places.length <= capacity) return;
    const before = { size: this.#size, slots: this.#slots, activeAt: this.#activeAt, turn: this.#turn };
    this.clear();
    this.#places = new Int32Array(capacity).fill(none);
    for (let place = 0; place < before.size; place += 1) {
      const slot = before.slots[place] as number;
      if (slot >= capacity) continue;
      if (this.#size === this.#slots.length) this.#growHeap();
      this.#put(this.#size, slot, before.activeAt[place] as number, before.turn[place] as number);
      this.#size += 1;
      this.#up(this.#size - 1);
    }
  }

  /** Gives all memory back: all entries have left. */
  clear(): void {
    this.#activeAt = new Float64Array(initialCapacity);
    this.#turn = new Uint32Array(initialCapacity);
    this.#slots = new Int32Array(initialCapacity);
    this.#size = 0;
    this.#places = new Int32Array(initialCapacity).fill(none);
  }

  #put(place: number, slot: number, activeAt: number, turn: number): void {
    this.#slots[place] = slot;
    this.#activeAt[place] = activeAt;
    this.#turn[place] = turn;
    this.#places[slot] = place;
  }

  #isBefore(one: number, other: number): boolean {
    const difference = (this.#activeAt[one] as number) - (this.#activeAt[other] as number);
    return (
      difference < 0 || (difference === 0 && (this.#turn[one] as number) < (this.#turn[other] as number))
    );
  }

  #up(from: number): void {
    for (let place = from; place > 0; ) {
      const parent = (place - 1) >> 1;
      if (!this.#isBefore(place, parent)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #down(from: number): void {
    for (let place = from; ; ) {
      const left = 2 * place + 1;
      if (left >= this.#size) return;
      const right = left + 1;
      const child = right < this.#size && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(child, place)) return;
      this.#swap(place, child);
      place = child;
    }
  }

  #swap(one: number, other: number): void {
    const slot = this.#slots[one] as number;
    const activeAt = this.#activeAt[one] as number;
    const turn = this.#turn[one] as number;
    this.#put(
      one,
      this.#slots[other] as number,
      this.#activeAt[other] as number,
      this.#turn[other] as number,
    );
    this.#put(other, slot, activeAt, turn);
  }

  #growHeap(): void {
    const capacity = 2 * this.#slots.length;
    this.#activeAt = resized(this.#activeAt, capacity);
    this.#turn = resized(this.#turn, capacity);
    this.#slots = resized(this.#slots, capacity);
  }

  #growSlots(slot: number): void {
    const capacity = capacityFor(slot, this.#places.length);
    this.#places = resized(this.#places, capacity, none);
  }
}
