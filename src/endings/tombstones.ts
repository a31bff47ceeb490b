import { ExpiringCache, type MemoryLimits } from './expiring-cache.js';

/** Memory of one claimed ending. */
export interface Tombstone {
  id: string;
  generation: number;
  /** When it was claimed, monotonic ms. */
  readonly at: number;
}

/** Stands for a key that is an object, so that a tombstone does not keep it alive. */
interface KeyToken {
  readonly key: WeakRef<object>;
}

/** Bounded memory of which runs have ended, by key, so that a second "ended" is known for what it is. */
export class Tombstones {
  readonly #cache: ExpiringCache<NonNullable<unknown>, Tombstone>;
  readonly #tokens = new WeakMap<object, KeyToken>();

  constructor(limits: MemoryLimits, now: () => number) {
    this.#cache = new ExpiringCache(limits, now);
  }

  get size(): number {
    return this.#cache.size;
  }

  /** How many were forgotten before their time because there were more than `max`. */
  get evictedTotal(): number {
    return this.#cache.evictedTotal;
  }

  get(key: unknown): Tombstone | undefined {
    const token = this.#tokenOf(key, false);
    return token === undefined ? undefined : this.#cache.get(token);
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
    this.#cache.purge();
  }

  /** Yields all that are remembered, the oldest first. A key that was collected meanwhile is left out. */
  *entries(): Generator<readonly [key: unknown, tombstone: Tombstone]> {
    for (const [token, tombstone] of this.#cache.entries()) {
      if (isToken(token)) {
        const key = token.key.deref();
        if (key !== undefined) yield [key, tombstone];
      } else yield [token === absentKey ? undefined : token === nullKey ? null : token, tombstone];
    }
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
