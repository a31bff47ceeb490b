import { FAILED } from '../policy/ask.js';
import type { MaxPerOwner } from '../policy/policy.js';
import { IdleOrder } from '../stamps/idle-order.js';
import { mapKey } from '../stamps/map-key.js';
import { setAt } from '../stamps/set-at.js';
import { AskedAtSet, type AskedMap } from './asked-at-set.js';

/** A map whose entries have owners. */
export interface OwnedMap extends AskedMap {
  readonly claims: { isClaimed(slot: number): boolean } | undefined;
  readonly due: {
    /** Returns an instant before which an entry is not due by durations, monotonic ms. */
    earliestDeadline(slot: number): number;
  };
}

/** An entry that may have left, and its slot be another's, when its turn comes. */
export interface Ranked {
  readonly slot: number;
  readonly generation: number;
}

/** When an entry was active last. */
export interface LastActive {
  /** Monotonic ms. */
  readonly activeAt: number;
  /** Of those who were active at one instant, who has the lesser goes first. */
  readonly turn: number;
}

/**
 * The entries of one owner as a look at all of them has found them: which are due, and who has been idle longest. It
 * serves many evictions: whoever has been active since, or come since, is less idle than all in it that have not.
 */
export class Ranking {
  /** The pass of the sweeper after which it was made. */
  readonly pass: number;
  /** When it was begun, monotonic ms. */
  readonly madeAt: number;
  /** By durations nothing is due before, but what was found due; monotonic ms. */
  nextDueAt = Number.POSITIVE_INFINITY;
  /** What was found due, the last first. */
  readonly due: Ranked[] = [];
  readonly #entries: (Ranked & LastActive)[] = [];
  readonly #order = new IdleOrder();

  constructor(pass: number, madeAt: number) {
    this.pass = pass;
    this.madeAt = madeAt;
  }

  add(entry: Ranked & LastActive): void {
    const place = this.#entries.push(entry) - 1;
    this.#order.place(place, entry.activeAt, entry.turn);
  }

  /** Takes out who has been idle longest; `undefined` if there is nobody left. */
  next(): (Ranked & LastActive) | undefined {
    const place = this.#order.oldest;
    if (place < 0) return undefined;
    this.#order.remove(place);
    return this.#entries[place];
  }
}

/** The entries of one owner. */
export interface Owned {
  readonly owner: unknown;
  /** In the order in which they became his. */
  readonly slots: Set<number>;
  /** Those whose end was announced, the first ended first. */
  readonly ended: Set<number>;
  /** Kept from one eviction to the next. */
  ranking: Ranking | undefined;
}

/**
 * Whose each entry of a map with `maxPerOwner` is, so that an eviction looks at the entries of one owner alone. The owner is
 * asked for at the registration and at each `set`; one without entries is forgotten.
 */
export class Owners {
  /** How many entries an owner may have. */
  readonly max: number;
  /** Those who have more. */
  readonly over = new Set<Owned>();
  readonly #map: OwnedMap;
  readonly #byOwner = new Map<unknown, Owned>();
  readonly #question: AskedAtSet;
  #bySlot: (Owned | undefined)[] = [];

  constructor(map: OwnedMap, { owner, max }: MaxPerOwner<unknown, unknown>) {
    this.#map = map;
    this.#question = new AskedAtSet(map, 'owner', owner, 'a value that tells owners apart, or undefined');
    this.max = max;
  }

  /** Returns the entries of the owner of an entry; `undefined` if it has none. */
  of(slot: number): Owned | undefined {
    return this.#bySlot[slot];
  }

  /** Returns how many entries an owner has. */
  countOf(owner: unknown): number {
    return this.#byOwner.get(owner)?.slots.size ?? 0;
  }

  /** How many entries there are beyond what their owners may have. */
  get excess(): number {
    let excess = 0;
    for (const { slots } of this.over) excess += slots.size - this.max;
    return excess;
  }

  /** Returns whether an entry is of an owner who has too many. */
  isOver(slot: number): boolean {
    const owned = this.#bySlot[slot];
    return owned !== undefined && this.over.has(owned);
  }

  /** Asks whose an entry is that was registered or set. One about which nobody can say stays whose it was. */
  ask(slot: number, key: unknown): void {
    const owner = this.#question.ask(slot, key);
    if (owner !== FAILED) this.#give(slot, owner);
  }

  /** The end of an entry was announced. */
  ended(slot: number): void {
    this.#bySlot[slot]?.ended.add(slot);
  }

  /** An entry has other stamps than before. */
  restamped(slot: number): void {
    const owned = this.#bySlot[slot];
    if (owned !== undefined) owned.ranking = undefined;
  }

  /** The entry has left. */
  forget(slot: number): void {
    const owned = this.#bySlot[slot];
    if (owned === undefined) return;
    this.#bySlot[slot] = undefined;
    owned.slots.delete(slot);
    owned.ended.delete(slot);
    if (owned.slots.size <= this.max) {
      this.over.delete(owned);
      // It would be as large as he ever was.
      if (owned.slots.size <= this.max / 2) owned.ranking = undefined;
    }
    if (owned.slots.size === 0) this.#byOwner.delete(owned.owner);
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#bySlot.length > capacity) this.#bySlot = this.#bySlot.slice(0, capacity);
  }

  /** All entries have left. */
  clear(): void {
    this.over.clear();
    this.#byOwner.clear();
    this.#bySlot = [];
  }

  #give(slot: number, answer: unknown): void {
    const owner = mapKey(answer);
    const before = this.#bySlot[slot];
    if (before !== undefined && before.owner === owner) return;
    this.forget(slot);
    if (owner === undefined) return;
    let owned = this.#byOwner.get(owner);
    if (owned === undefined) {
      owned = { owner, slots: new Set(), ended: new Set(), ranking: undefined };
      this.#byOwner.set(owner, owned);
    }
    setAt(this.#bySlot, slot, owned, undefined);
    owned.slots.add(slot);
    if (this.#map.claims?.isClaimed(slot)) owned.ended.add(slot);
    const { ranking } = owned;
    if (ranking !== undefined) {
      ranking.nextDueAt = Math.min(ranking.nextDueAt, this.#map.due.earliestDeadline(slot));
      // It has come back from an earlier life, or was another's.
      if (this.#map.activity.latest(slot) < ranking.madeAt) owned.ranking = undefined;
    }
    if (owned.slots.size > this.max) this.over.add(owned);
  }
}
