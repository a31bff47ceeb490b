const pageBits = 10;
const pageSize = 1 << pageBits;
const inPage = pageSize - 1;

/** Room for so many keys at first: most maps are small. */
const initialSize = 16;

/**
 * The key of each slot, in pages of 1,024. An array of them all would have a third of its room empty on average, and be copied
 * whole each time it is full, which takes some 20 ms at a million keys.
 */
export class SlotKeys<K> {
  // Each is made with its length, the first one too, which grows: V8 keeps arrays with holes in them and such without apart,
  // and what it has compiled for the one serves only that.
  readonly #pages: (K | undefined)[][] = [];

  /** Returns the key of a slot; `undefined` for none, and for one for which there is no room any more. */
  get(slot: number): K | undefined {
    return this.#pages[slot >>> pageBits]?.[slot & inPage];
  }

  /** A slot has this key now. It is one that had a key before, or the next one after all that had. */
  set(slot: number, key: K): void {
    const page = slot >>> pageBits;
    if (page === this.#pages.length) {
      this.#pages.push(new Array<K | undefined>(page === 0 ? initialSize : pageSize));
    }
    (this.#pages[page] as (K | undefined)[])[slot & inPage] = key;
  }

  /** A slot has no key any more. */
  delete(slot: number): void {
    (this.#pages[slot >>> pageBits] as (K | undefined)[])[slot & inPage] = undefined;
  }

  /** Gives back the room for slots from `used` on, which have no keys. */
  shrink(used: number): void {
    this.#pages.length = (used + inPage) >>> pageBits;
    if (this.#pages.length === 1) (this.#pages[0] as (K | undefined)[]).length = used;
  }

  /** Gives all room back. */
  clear(): void {
    this.#pages.length = 0;
  }
}
