import { capacityFor, resized } from './typed-arrays.js';

const initialCapacity = 16;

/** The order in which entries were active, by slot: it tells apart what was active in the same ms. */
export class ActivityTurns {
  #latest = new Uint32Array(initialCapacity);
  #last = 0;

  /** A slot is active: it is the last that was. */
  next(slot: number): void {
    this.#last += 1;
    if (slot >= this.#latest.length) {
      this.#latest = resized(this.#latest, capacityFor(slot, this.#latest.length));
    }
    this.#latest[slot] = this.#last;
  }

  /** Returns a number that is greater for a later activity; 0 for a slot that never was active. */
  of(slot: number): number {
    return this.#latest[slot] ?? 0;
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#latest.length > capacity) this.#latest = resized(this.#latest, capacity);
  }

  /** Gives all memory back: all entries have left. */
  clear(): void {
    this.#latest = new Uint32Array(initialCapacity);
  }
}
