import type { IdleOrder } from './idle-order.js';
import type { StampStore } from './stamp-store.js';
import { resized } from './typed-arrays.js';

/** Whoever has to know that entries are active. None of its methods may throw or call back. */
export interface ActivityListener {
  /** The entry itself is active. */
  active(slot: number): void;
  /** Its companions are. */
  used(slot: number): void;
  /** It was active at other instants than was known. */
  restored(slot: number): void;
}

/**
 * The last activity of each entry of one map: its own, and what it borrows from its companions. Kept apart, since the
 * stamps of an entry show its own alone.
 */
export class Activity {
  readonly #stamps: StampStore<unknown>;
  readonly #order: IdleOrder | undefined;
  // Made at the first loan: most maps have no companions.
  #borrowed: Float64Array | undefined;
  #writes = 0;
  listener: ActivityListener | undefined;

  constructor(stamps: StampStore<unknown>, order: IdleOrder | undefined) {
    this.#stamps = stamps;
    this.#order = order;
  }

  /** A number that is another one after any registration, activity, or change of stamps. */
  get writes(): number {
    return this.#writes;
  }

  /** The last activity that counts, monotonic ms. */
  latest(slot: number): number {
    const own = this.#stamps.lastActiveAt(slot);
    const borrowed = this.#borrowed?.[slot];
    return borrowed !== undefined && borrowed > own ? borrowed : own;
  }

  /** A slot has a new entry; what the one before had borrowed is no activity of it. */
  begin(slot: number, at: number): void {
    this.#writes += 1;
    if (this.#borrowed !== undefined) this.#lend(slot, at);
    this.#order?.touch(slot);
  }

  /** The entry is older than it looked: what it had borrowed is known from elsewhere. */
  restore(slot: number, borrowedAt: number): void {
    this.#writes += 1;
    if (this.#borrowed !== undefined || borrowedAt > Number.NEGATIVE_INFINITY) this.#lend(slot, borrowedAt);
    this.listener?.restored(slot);
  }

  /** The entry itself is set or touched now. */
  refresh(slot: number): void {
    this.#writes += 1;
    this.#stamps.activity.refresh(slot);
    this.#order?.touch(slot);
    this.listener?.active(slot);
  }

  /** The entry itself was set or touched at this instant, which is known already. */
  refreshAt(slot: number, at: number): void {
    this.#writes += 1;
    this.#stamps.activity.set(slot, at);
    this.#order?.touch(slot);
    this.listener?.active(slot);
  }

  /** A companion was registered, set or touched. */
  borrow(slot: number, at: number): void {
    // A companion that came back after a restart was active when it was, which may be long ago.
    if (at <= this.latest(slot)) return;
    this.#writes += 1;
    this.#lend(slot, at);
    this.#order?.touch(slot);
    this.listener?.used(slot);
  }

  /** All entries are gone. */
  clear(): void {
    this.#borrowed = undefined;
    this.#order?.clear();
  }

  #lend(slot: number, at: number): void {
    let borrowed = this.#borrowed;
    if (borrowed === undefined || borrowed.length < this.#stamps.capacity) {
      const grown = new Float64Array(this.#stamps.capacity).fill(Number.NEGATIVE_INFINITY);
      borrowed = borrowed === undefined ? grown : resized(borrowed, grown);
      this.#borrowed = borrowed;
    }
    borrowed[slot] = at;
  }
}
