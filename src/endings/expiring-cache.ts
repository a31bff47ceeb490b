import type { LRUCache } from 'lru-cache';
import { boundedCache } from './bounded-cache.js';

/** How many are remembered, and for how long. */
export interface MemoryLimits {
  readonly max: number;
  readonly ttlMs: number;
}

/** So many are forgotten in one step of a slice: some 20 us. */
const purgedAtOnce = 32;

/** What is remembered, and since when; monotonic ms. */
interface Dated {
  readonly at: number;
}

/**
 * Bounded memory, in order of age: the oldest goes first, when there are too many or when its time is over.
 *
 * lru-cache bounds the number. The time is our own: its clock would be read at import, and a purge there looks at
 * every entry, while ours come in order of age.
 */
export class ExpiringCache<Key extends NonNullable<unknown>, Value extends Dated> {
  readonly #ttlMs: number;
  readonly #now: () => number;
  readonly #cache: LRUCache<Key, Value>;
  #evicted = 0;

  /** @param removed is told of what somebody replaces or deletes before its time is over */
  constructor({ max, ttlMs }: MemoryLimits, now: () => number, removed?: (value: Value, key: Key) => void) {
    this.#ttlMs = ttlMs;
    this.#now = now;
    this.#cache = boundedCache(max, (value, key, reason) => {
      // One whose time was over has only been in the way.
      if (this.#isOver(value)) return;
      if (reason === 'evict') this.#evicted += 1;
      else removed?.(value, key);
    });
  }

  get size(): number {
    return this.#cache.size;
  }

  /** How many were forgotten before their time because there were more than `max`. */
  get evictedTotal(): number {
    return this.#evicted;
  }

  get(key: Key): Value | undefined {
    const value = this.#cache.peek(key);
    return value === undefined || this.#isOver(value) ? undefined : value;
  }

  /** One that is renewed becomes the youngest. */
  set(key: Key, value: Value): void {
    this.#cache.set(key, value);
  }

  delete(key: Key): void {
    this.#cache.delete(key);
  }

  /** Forgets the oldest whose time is over, a few of them. Returns whether there may be more. */
  purgeSome(): boolean {
    let left = purgedAtOnce;
    for (const key of this.#cache.rkeys()) {
      const value = this.#cache.peek(key);
      if (value !== undefined && !this.#isOver(value)) return false;
      this.#cache.delete(key);
      left -= 1;
      if (left === 0) return true;
    }
    return false;
  }

  /** Yields all that are remembered, the oldest first. */
  *entries(): Generator<readonly [key: Key, value: Value]> {
    for (const [key, value] of this.#cache.rentries()) {
      if (!this.#isOver(value as Value)) yield [key as Key, value as Value];
    }
  }

  #isOver({ at }: Value): boolean {
    return this.#now() >= at + this.#ttlMs;
  }
}
