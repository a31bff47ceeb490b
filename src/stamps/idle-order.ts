import { resized } from './typed-arrays.js';

const none = -1;
const initialCapacity = 16;

/**
 * The entries of a map from the longest idle to the latest active, by slot. A doubly linked list in two integer arrays,
 * kept only for maps with `maxEntries`, so that an eviction does not have to search.
 */
export class IdleOrder {
  #older = new Int32Array(initialCapacity).fill(none);
  #newer = new Int32Array(initialCapacity).fill(none);
  #oldest = none;
  #newest = none;

  /** The slot that has been idle longest; -1 if there is none. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Returns the slot that was active next after `slot`; -1 at the end. */
  next(slot: number): number {
    return this.#newer[slot] as number;
  }

  /** Adds a new slot, or moves a known one to the latest. */
  touch(slot: number): void {
    if (slot === this.#newest) return;
    this.remove(slot);
    if (slot >= this.#older.length) this.#grow(slot);
    this.#older[slot] = this.#newest;
    this.#newer[slot] = none;
    if (this.#newest === none) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  /** Takes a slot out; one that is not in is left alone. */
  remove(slot: number): void {
    if (slot >= this.#older.length) return;
    const older = this.#older[slot] as number;
    const newer = this.#newer[slot] as number;
    if (older === none && newer === none && slot !== this.#oldest) return;
    if (older === none) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === none) this.#newest = older;
    else this.#older[newer] = older;
    this.#older[slot] = none;
    this.#newer[slot] = none;
  }

  /** Gives all memory back: all entries have left. */
  clear(): void {
    this.#older = new Int32Array(initialCapacity).fill(none);
    this.#newer = new Int32Array(initialCapacity).fill(none);
    this.#oldest = none;
    this.#newest = none;
  }

  #grow(slot: number): void {
    const from = this.#older.length;
    let capacity = from;
    while (capacity <= slot) capacity *= 2;
    this.#older = resized(this.#older, new Int32Array(capacity).fill(none));
    this.#newer = resized(this.#newer, new Int32Array(capacity).fill(none));
  }
}
