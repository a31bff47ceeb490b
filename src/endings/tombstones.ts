import type { LRUCache } from 'lru-cache';
import { boundedCache } from './bounded-cache.js';

/** Memory of one claimed ending. */
export interface Tombstone {
  id: string;
  generation: number;
  /** When it was claimed, monotonic ms. */
  readonly at: number;
}

/** How many tombstones are kept, and for how long. */
export interface TombstoneLimits {
  readonly max: number;
  readonly ttlMs: number;
}

/** Stands for a key that is an object, so that a tombstone does not keep it alive. */
interface KeyToken {
  readonly key: WeakRef<object>;
}

/**
 * Bounded memory of which runs have ended, by key, so that a second "ended" is known for what it is. The oldest goes
 * first, when there are too many or when its time is over.
 *
 * lru-cache bounds the number. The time is our own: its clock would be read at import, and a purge there looks at
 * every entry, while ours come in order of age.
 */
export class Tombstones {
  readonly #limits: TombstoneLimits;
  readonly #now: () => number;
  readonly #cache: LRUCache<NonNullable<unknown>, Tombstone>;
  readonly #tokens = new WeakMap<object, KeyToken>();
  #evicted = 0;

  constructor(limits: TombstoneLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#cache = boundedCache(limits.max, (tombstone, _key, reason) => {
      // One whose time was over has only been in the way.
      if (reason === 'evict' && !this.#isOver(tombstone)) this.#evicted += 1;
    });
  }

  get size(): number {
    return this.#cache.size;
  }

  /** How many were forgotten before their time because there were more than `max`. */
  get evictedTotal(): number {
    return this.#evicted;
  }

  get(key: unknown): Tombstone | undefined {
    const token = this.#tokenOf(key, false);
    const tombstone = token === undefined ? undefined : this.#cache.peek(token);
    return tombstone === undefined || this.#isOver(tombstone) ? undefined : tombstone;
  }

  set(key: unknown, tombstone: Tombstone): void {
    // One that is renewed becomes the youngest.
    this.#cache.set(this.#tokenOf(key, true) as NonNullable<unknown>, tombstone);
  }

  /** The registration that ended is known by another id or generation now. It stays as old as it was. */
  rename(key: unknown, { id, generation }: Pick<Tombstone, 'id' | 'generation'>): void {
    const tombstone = this.get(key);
    if (tombstone !== undefined) Object.assign(tombstone, { id, generation });
  }

  delete(key: unknown): void {
    const token = this.#tokenOf(key, false);
    if (token !== undefined) this.#cache.delete(token);
  }

  /** Forgets those whose time is over; looks at no more than those and one. */
  purge(): void {
    for (const token of this.#cache.rkeys()) {
      const tombstone = this.#cache.peek(token);
      if (tombstone !== undefined && !this.#isOver(tombstone)) return;
      this.#cache.delete(token);
    }
  }

  /** Yields all that are remembered, the oldest first. A key that was collected meanwhile is left out. */
  *entries(): Generator<readonly [key: unknown, tombstone: Tombstone]> {
    for (const [token, tombstone] of this.#cache.rentries()) {
      if (this.#isOver(tombstone as Tombstone)) continue;
      if (isToken(token)) {
        const key = token.key.deref();
        if (key !== undefined) yield [key, tombstone as Tombstone];
      } else
        yield [token === absentKey ? undefined : token === nullKey ? null : token, tombstone as Tombstone];
    }
  }

  #isOver(tombstone: Tombstone): boolean {
    return this.#now() >= tombstone.at + this.#limits.ttlMs;
  }

  #tokenOf(key: unknown, create: boolean): NonNullable<unknown> | undefined {
    if (key === undefined) return absentKey;
    if (key === null) return nullKey;
    if (typeof key !== 'object' && typeof key !== 'function') return key;
    let token = this.#tokens.get(key);
    if (token === undefined && create) {
      token = new Token(key);
      this.#tokens.set(key, token);
    }
    return token;
  }
}

class Token implements KeyToken {
  readonly key: WeakRef<object>;

  constructor(key: object) {
    this.key = new WeakRef(key);
  }
}

function isToken(token: unknown): token is KeyToken {
  return token instanceof Token;
}

// lru-cache takes no `undefined` and no `null` for a key; a Map does.
const absentKey = Symbol('undefined');
const nullKey = Symbol('null');
