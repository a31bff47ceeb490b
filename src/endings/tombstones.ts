import { ExpiringCache, type MemoryLimits } from './expiring-cache.js';

/** Memory of one claimed ending. */
export interface Tombstone {
  id: string;
  generation: number;
  /** When it was claimed, monotonic ms. */
  readonly at: number;
  /** By the owner's ids: with this registration its run has ended. Else another one has that run, or nobody says. */
  endsRun: boolean;
}

/** What is remembered of a run that has ended. */
export interface EndedId {
  readonly key: unknown;
  readonly generation: number;
  /** Monotonic ms. */
  readonly at: number;
}

/**
 * Bounded memory of which runs have ended, so that a second "ended" is known for what it is: by key and, where the owner
 * says which run is which, by id. A run whose id is its key is remembered once.
 */
export class Tombstones {
  readonly #byKey: ExpiringCache<unknown, Tombstone>;
  // Runs that no tombstone is of whose key is their id.
  readonly #byId: ExpiringCache<string, EndedId>;
  readonly #tokens = new WeakMap<object, Token>();
  /** How long each is remembered. */
  readonly ttlMs: number;

  constructor(limits: MemoryLimits, now: () => number) {
    this.ttlMs = limits.ttlMs;
    this.#byKey = new ExpiringCache(limits, now);
    this.#byId = new ExpiringCache(limits, now);
  }

  /** How many there are, by key. */
  get size(): number {
    return this.#byKey.size;
  }

  /** How many were forgotten before their time because there were more than `max`. */
  get evictedTotal(): number {
    return this.#byKey.evictedTotal;
  }

  get(key: unknown): Tombstone | undefined {
    return this.#byKey.get(this.#tokenOf(key));
  }

  /** The end of a registration is claimed. One that is renewed becomes the youngest. Returns what was known of the key. */
  set(key: unknown, tombstone: Tombstone): Tombstone | undefined {
    const { id, generation, at, endsRun } = tombstone;
    const before = this.putBack(key, tombstone);
    if (endsRun && id !== key) this.#byId.set(id, { key, generation, at });
    return before;
  }

  /** Another ending of the key was claimed and taken back: this one is its last again, and becomes the youngest. */
  putBack(key: unknown, tombstone: Tombstone): Tombstone | undefined {
    const token = this.#tokenOf(key, true);
    const before = this.#byKey.get(token);
    const isSameRun = tombstone.endsRun && tombstone.id === key;
    if (before !== undefined && !isSameRun) this.#keepRun(before, key);
    const evicted = this.#byKey.set(token, tombstone);
    // A run that has ended is not to be forgotten for a registration that was none.
    if (evicted !== undefined) this.#keepRun(evicted[1], evicted[0]);
    return before;
  }

  /** The registration that ended is known by another id or generation now. It stays as old as it was. */
  rename(key: unknown, { id, generation }: Pick<Tombstone, 'id' | 'generation'>): void {
    const tombstone = this.get(key);
    if (tombstone === undefined) return;
    if (tombstone.id !== id) {
      this.#keepRun(tombstone, key);
      tombstone.endsRun = false;
    }
    Object.assign(tombstone, { id, generation });
  }

  delete(key: unknown): void {
    const token = this.#tokenOf(key);
    const before = this.#byKey.get(token);
    if (before !== undefined) this.#keepRun(before, key);
    this.#byKey.delete(token);
  }

  /** A run has ended in an earlier life. A later end that is known counts, of its id and of its key. */
  restore(id: string, ended: EndedId): void {
    const { key, generation, at } = ended;
    const ofKey = this.get(key);
    if (ofKey === undefined || ofKey.at <= at) this.putBack(key, { id, generation, at, endsRun: true });
    const known = this.#byId.get(id) ?? this.#ofRun(id);
    if (known === undefined || known.at < ended.at) this.#byId.set(id, ended);
  }

  /** Whether the run of an id has ended, as far as is remembered. */
  hasRun(id: string): boolean {
    return this.#byId.get(id) !== undefined || this.#ofRun(id) !== undefined;
  }

  /** The run of an id has not ended after all. */
  deleteRun(id: string): void {
    this.#byId.delete(id);
    const tombstone = this.#ofRun(id);
    if (tombstone !== undefined) tombstone.endsRun = false;
  }

  /** Forgets some of those whose time is over. Returns whether there may be more. */
  purgeSome(): boolean {
    return this.#byKey.purgeSome() || this.#byId.purgeSome();
  }

  /**
   * Yields all runs that are remembered; whatever is done between two of them, all that stay come up. Passes over one place a
   * step: `undefined` is one that tells of no run.
   */
  *runs(): Generator<readonly [id: string, ended: EndedId] | undefined> {
    // By key first: what goes from there to the others meanwhile comes up there.
    for (const entry of this.#byKey.entries()) yield entry && runOf(...entry);
    for (const run of this.#byId.entries()) {
      const isLatest = run !== undefined && run[1].at > (this.#ofRun(run[0])?.at ?? Number.NEGATIVE_INFINITY);
      yield isLatest ? run : undefined;
    }
  }

  /** Yields all that are remembered, the oldest first. A key that was collected meanwhile is left out. */
  *entries(): Generator<readonly [key: unknown, tombstone: Tombstone]> {
    for (const entry of this.#byKey.entries()) {
      if (entry === undefined) continue;
      const [token, tombstone] = entry;
      if (!(token instanceof Token)) yield [token, tombstone];
      else {
        const key = token.key.deref();
        if (key !== undefined) yield [key, tombstone];
      }
    }
  }

  #ofRun(id: string): Tombstone | undefined {
    const tombstone = this.#byKey.get(id);
    return tombstone?.id === id && tombstone.endsRun ? tombstone : undefined;
  }

  /** The tombstone of a key is another's from now on, or nobody's. */
  #keepRun(tombstone: Tombstone, key: unknown): void {
    const run = runOf(key, tombstone);
    if (run === undefined) return;
    const known = this.#byId.get(run[0]);
    if (known === undefined || known.at < run[1].at) this.#byId.set(...run);
  }

  /** Returns what a key is kept by: one that is an object and has no token yet is kept by nothing, unless it gets one. */
  #tokenOf(key: unknown, isToBeKept = false): unknown {
    if ((typeof key !== 'object' && typeof key !== 'function') || key === null) return key;
    let token = this.#tokens.get(key);
    if (token === undefined && isToBeKept) {
      token = new Token(key);
      this.#tokens.set(key, token);
    }
    return token ?? key;
  }
}

/** Returns the run that a tombstone is of, if its key is its id. */
function runOf(key: unknown, { id, generation, at, endsRun }: Tombstone): [id: string, EndedId] | undefined {
  return endsRun && id === key ? [id, { key, generation, at }] : undefined;
}

/** Stands for a key that is an object, so that a tombstone does not keep it alive. */
class Token {
  readonly key: WeakRef<object>;

  constructor(key: object) {
    this.key = new WeakRef(key);
  }
}
