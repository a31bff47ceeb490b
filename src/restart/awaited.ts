import type { PastEntry } from './left.js';

/**
 * The entries of one map that have not come back: each by its key, and by the owner's own identity of its run if there
 * is one.
 */
export class Awaited {
  readonly #byKey = new Map<unknown, PastEntry>();
  /** Runs whose key a later one had taken. Only by their identity can they come back. */
  readonly #others = new Set<PastEntry>();
  readonly #byId: Map<string, PastEntry> | undefined;
  /** Those for which `decode` fails. */
  readonly undecoded = new Set<PastEntry>();
  /** What it failed with last. */
  decodeError: unknown;
  /** For how long that had been awaited which was awaited longest, as far as this life began with it; ms of running time. */
  absentMs = Number.NEGATIVE_INFINITY;
  #hasOwnId = false;

  /** @param hasOwnIds whether the owner says which run is which */
  constructor(hasOwnIds: boolean) {
    this.#byId = hasOwnIds ? new Map() : undefined;
  }

  /** How many there are. */
  get size(): number {
    return this.#byKey.size + this.#others.size;
  }

  /**
   * Adds an entry.
   *
   * @returns an entry that has no part in anything any more: its key is a later one's, and nobody waits for its end
   */
  add(entry: PastEntry): PastEntry | undefined {
    this.absentMs = Math.max(this.absentMs, entry.absentMs);
    const before = this.#byKey.get(entry.key);
    if (before === undefined) {
      this.#byKey.set(entry.key, entry);
      this.#identify(entry);
      return undefined;
    }
    const [later, earlier] = entry.generation > before.generation ? [entry, before] : [before, entry];
    this.#byKey.set(entry.key, later);
    this.#identify(entry);
    if (earlier.id !== undefined && !earlier.claimed) {
      this.#others.add(earlier);
      return undefined;
    }
    this.#unidentify(earlier);
    return earlier;
  }

  /** The entry of a key. */
  at(key: unknown): PastEntry | undefined {
    return this.#byKey.get(key);
  }

  /**
   * The entry that is the same: by the owner's own identity if there is one, else by its key. Those of a life in which the owner did
   * not say which run is which yet go by their keys.
   */
  find(key: unknown, id: string | undefined): PastEntry | undefined {
    const ofKey = this.#byKey.get(key);
    if (id === undefined || ofKey?.id === id) return ofKey;
    return this.#hasOwnId ? this.#byId?.get(id) : ofKey;
  }

  remove(entry: PastEntry): void {
    if (!this.#others.delete(entry)) this.#byKey.delete(entry.key);
    this.undecoded.delete(entry);
    this.#unidentify(entry);
  }

  /** All of them; stays right while they are removed between two steps. */
  *[Symbol.iterator](): Generator<PastEntry> {
    yield* this.#byKey.values();
    yield* this.#others;
  }

  /** Of several entries of one run, one is open at most: that one is found. */
  #identify(entry: PastEntry): void {
    if (this.#byId === undefined || entry.id === undefined) return;
    this.#hasOwnId ||= !entry.hasMadeUpId;
    const known = this.#byId.get(entry.id);
    if (known === undefined || known.claimed) this.#byId.set(entry.id, entry);
  }

  #unidentify(entry: PastEntry): void {
    if (entry.id !== undefined && this.#byId?.get(entry.id) === entry) this.#byId.delete(entry.id);
  }
}
