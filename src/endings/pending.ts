import type { Obligation } from './obligation.js';

/** After more than this were pending at once, the memory of their places is given back when few are. */
const burstSize = 1_024;
/** Few: so many times less than there are places. */
const fewerTimes = 16;

/**
 * The obligations of one recipient that are pending, by id, in the order in which they came.
 *
 * The Map holds places and no obligations: what many pass through, a Map keeps. Each table that it leaves behind holds what
 * was in it, and refers to the next one; with the first that becomes old all later ones wait for a major collection, and so
 * would what was delivered long ago, with the values of the runs (V8's `OrderedHashTable::Rehash`).
 */
export class Pending<K, V> {
  readonly #places = new Map<string, number>();
  readonly #obligations: (Obligation<K, V> | undefined)[] = [];
  readonly #free: number[] = [];
  // The first one has waited longest: none has come from an earlier life or another process.
  #isInOrder = true;
  #latest = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#places.size;
  }

  /** The one that has waited longest; `undefined` if none is pending. */
  get oldest(): Obligation<K, V> | undefined {
    let oldest: Obligation<K, V> | undefined;
    for (const obligation of this.all()) {
      if (this.#isInOrder) return obligation;
      if (oldest === undefined || obligation.since < oldest.since) oldest = obligation;
    }
    return oldest;
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  get(id: string): Obligation<K, V> | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#obligations[place];
  }

  /** Adds one whose id is not pending. */
  add(obligation: Obligation<K, V>): void {
    const { id, since } = obligation;
    this.#isInOrder = this.size === 0 || (this.#isInOrder && since >= this.#latest);
    this.#latest = since;
    const place = this.#free.pop() ?? this.#obligations.length;
    obligation.place = place;
    this.#obligations[place] = obligation;
    this.#places.set(id, place);
  }

  /** Returns whether it was pending: not if only another one of its id is. */
  delete(obligation: Obligation<K, V>): boolean {
    const { id, place } = obligation;
    if (this.#obligations[place] !== obligation) return false;
    this.#places.delete(id);
    this.#obligations[place] = undefined;
    this.#free.push(place);
    const places = this.#obligations.length;
    if (places > burstSize && this.size * fewerTimes < places) this.#giveBack();
    return true;
  }

  /** Leaves no place free. Where there is always one in flight, to wait until none is pending would be to wait for ever. */
  #giveBack(): void {
    const pending = [...this.all()];
    this.#obligations.length = 0;
    this.#free.length = 0;
    for (const obligation of pending) {
      // Their order stays.
      obligation.place = this.#obligations.length;
      this.#places.set(obligation.id, obligation.place);
      this.#obligations.push(obligation);
    }
  }

  /** Yields them, the first that came first; stays right while they change between two steps. */
  *all(): Generator<Obligation<K, V>> {
    for (const place of this.#places.values()) yield this.#obligations[place] as Obligation<K, V>;
  }
}
