import { ActivityTurns } from './activity-turns.js';
import type { IdleOrder } from './idle-order.js';
import type { StampStore } from './stamp-store.js';
import { resized } from './typed-arrays.js';

/**
 * The last activity of each entry of one map: its own and, kept apart, that of its companions, since most maps have none and
 * need no room for it.
 */
export class Activity {
  readonly #stamps: StampStore<unknown>;
  readonly #order: IdleOrder | undefined;
  readonly #turns: ActivityTurns | undefined;
  // Made when the first companion is active: most maps have none.
  #ofCompanions: Float64Array | undefined;
  #writes = 0;

  /** @param isRanked somebody asks who of several entries was active last */
  constructor(stamps: StampStore<unknown>, order: IdleOrder | undefined, isRanked: boolean) {
    this.#stamps = stamps;
    this.#order = order;
    this.#turns = isRanked ? new ActivityTurns() : undefined;
  }

  /** How many registrations, activities and changes of stamps there were. */
  get writes(): number {
    return this.#writes;
  }

  /** Returns the last activity that counts, the entry's own or a companion's; monotonic ms. */
  latest(slot: number): number {
    const own = this.#stamps.lastActiveAt(slot);
    const ofCompanions = this.#ofCompanions?.[slot];
    return ofCompanions !== undefined && ofCompanions > own ? ofCompanions : own;
  }

  /** Returns what tells apart entries that were active at one instant: the greater was so later. */
  turnOf(slot: number): number {
    return this.#turns?.of(slot) ?? 0;
  }

  /** A slot has a new entry; the companions of the one before it were none of its own. */
  begin(slot: number, at: number): void {
    this.#writes += 1;
    if (this.#ofCompanions !== undefined) this.#setOfCompanions(slot, at);
    this.#turns?.next(slot);
    this.#order?.place(slot, at, this.turnOf(slot));
  }

  /** The entry is older than it looked, and the last activity of its companions is known from elsewhere. */
  restore(slot: number, companionAt: number): void {
    this.#writes += 1;
    if (this.#ofCompanions !== undefined || companionAt > Number.NEGATIVE_INFINITY) {
      this.#setOfCompanions(slot, companionAt);
    }
    this.#order?.place(slot, this.latest(slot), this.turnOf(slot));
  }

  /** The entry itself is set or touched now. */
  refresh(slot: number): void {
    this.#writes += 1;
    this.#stamps.times.refresh(slot);
    this.#turns?.next(slot);
  }

  /** The entry itself was set or touched at this instant, which is known already. */
  refreshAt(slot: number, at: number): void {
    this.#writes += 1;
    this.#stamps.times.refreshAt(slot, at);
    this.#turns?.next(slot);
  }

  /** A companion was registered, set or touched. */
  companionActive(slot: number, at: number): void {
    // A companion that came back after a restart was active when it was, which may be long ago.
    if (at < this.latest(slot)) return;
    this.#writes += 1;
    this.#setOfCompanions(slot, at);
    this.#turns?.next(slot);
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#ofCompanions !== undefined && this.#ofCompanions.length > capacity) {
      this.#ofCompanions = resized(this.#ofCompanions, capacity);
    }
    this.#order?.shrink(capacity);
    this.#turns?.shrink(capacity);
  }

  /** All entries have left. */
  clear(): void {
    this.#ofCompanions = undefined;
    this.#order?.clear();
    this.#turns?.clear();
  }

  #setOfCompanions(slot: number, at: number): void {
    let times = this.#ofCompanions;
    const { capacity } = this.#stamps;
    if (times === undefined || times.length < capacity) {
      times = resized(times ?? new Float64Array(0), capacity, Number.NEGATIVE_INFINITY);
      this.#ofCompanions = times;
    }
    times[slot] = at;
  }
}
