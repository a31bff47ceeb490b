/** How many are remembered, and for how long. */
export interface MemoryLimits {
  readonly max: number;
  readonly ttlMs: number;
}

/** So many are forgotten in one step of a slice: some 10 us. */
const purgedAtOnce = 32;

/** What is remembered, and since when; monotonic ms. */
interface Dated {
  readonly at: number;
}

/**
 * Bounded memory, in order of age: the oldest goes first, when there are too many or when its time is over.
 *
 * A Map, since it can be walked in slices whatever is set and deleted between two of them: a walk of lru-cache is over as
 * soon as the entry at which it stands is renewed. While one after the other has to make room, the oldest is found by an
 * iterator that is kept, since a new one would have to pass the places of all that have left. Else none is: an iterator that
 * stands still keeps each table that the Map has grown out of, a third more memory.
 */
export class ExpiringCache<Key, Value extends Dated> {
  readonly #limits: MemoryLimits;
  readonly #now: () => number;
  readonly #entries = new Map<Key, Value>();
  // What it has passed has left, but for the one that is known as the oldest.
  #walk: MapIterator<[key: Key, value: Value]> | undefined;
  #oldest: readonly [key: Key, value: Value] | undefined;
  #evicted = 0;

  constructor(limits: MemoryLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many were forgotten before their time because there were more than `max`. */
  get evictedTotal(): number {
    return this.#evicted;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    return value === undefined || this.#isOver(value) ? undefined : value;
  }

  /** One that is renewed becomes the youngest. Returns the one that was forgotten before its time to make room. */
  set(key: Key, value: Value): readonly [key: Key, value: Value] | undefined {
    const before = this.#entries.size;
    this.#entries.set(key, value);
    if (this.#entries.size === before) {
      // Behind all others, where the youngest is.
      this.delete(key);
      this.#entries.set(key, value);
    }
    if (this.#entries.size <= this.#limits.max) {
      this.#walk = undefined;
      return undefined;
    }
    const oldest = this.#findOldest() as readonly [key: Key, value: Value];
    this.delete(oldest[0]);
    // One whose time was over has only been in the way.
    if (this.#isOver(oldest[1])) return undefined;
    this.#evicted += 1;
    return oldest;
  }

  delete(key: Key): void {
    if (this.#oldest !== undefined && Object.is(this.#oldest[0], key)) this.#oldest = undefined;
    this.#entries.delete(key);
  }

  /** Forgets the oldest whose time is over, a few of them. Returns whether there may be more. */
  purgeSome(): boolean {
    const now = this.#now();
    for (let left = purgedAtOnce; left > 0; left -= 1) {
      const oldest = this.#findOldest();
      if (oldest === undefined || !this.#isOver(oldest[1], now)) return false;
      this.delete(oldest[0]);
    }
    return true;
  }

  /**
   * Yields all that are remembered, the oldest first; whatever is done between two of them, all that stay come up. One whose
   * time was over at the start is `undefined`, so that a walk in slices can pause there too.
   */
  *entries(): Generator<readonly [key: Key, value: Value] | undefined> {
    const now = this.#now();
    // What is added meanwhile comes last, and there may always be more of it.
    let left = this.#entries.size;
    for (const entry of this.#entries) {
      if (left === 0) return;
      left -= 1;
      yield this.#isOver(entry[1], now) ? undefined : entry;
    }
  }

  #findOldest(): readonly [key: Key, value: Value] | undefined {
    while (this.#oldest === undefined && this.#entries.size > 0) {
      this.#walk ??= this.#entries.entries();
      const { value, done } = this.#walk.next();
      // An iterator that has come to the end stays there.
      if (done) this.#walk = undefined;
      else this.#oldest = value;
    }
    return this.#oldest;
  }

  #isOver({ at }: Value, now = this.#now()): boolean {
    return now >= at + this.#limits.ttlMs;
  }
}
