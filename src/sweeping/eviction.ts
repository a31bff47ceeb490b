import { LEAVING } from '../stamps/stamp-store.js';
import type { BeforeSweepGate } from './before-sweep.js';
import { leavesBy } from './look.js';
import { evict, sweepOut } from './removals.js';
import type { Tracker } from './tracker.js';

/** What a pass over one map evicts. */
export class Eviction {
  readonly #tracker: Tracker;
  readonly #hooks: BeforeSweepGate;
  /** How many are to be shed yet. */
  #left: number;
  /** How many have left, or have a `beforeSweep` now. */
  taken = 0;

  /** @param quota how many entries are to leave, though the map may be within its caps */
  constructor(tracker: Tracker, hooks: BeforeSweepGate, quota: number) {
    this.#tracker = tracker;
    this.#hooks = hooks;
    this.#left = quota;
  }

  /** Entries wait for their `beforeSweep`. */
  get isAnyGoing(): boolean {
    return this.#hooks.goingOf(this.#tracker) > 0;
  }

  /** There are more entries than `maxEntries`. One that waits for its `beforeSweep` counts as one that has left. */
  get isBeyondMax(): boolean {
    const { native, policy } = this.#tracker;
    return native.size() - this.#hooks.goingOf(this.#tracker) > policy.maxEntries;
  }

  /** More have to leave. Not so where the map is another tracker's by now. */
  get isOver(): boolean {
    return (this.#left > 0 || this.isBeyondMax) && !this.#tracker.isReleased;
  }

  /** Removes an entry, or starts its `beforeSweep`; one that has that already is left alone. */
  take(slot: number, rule: string): void {
    if (this.#hasHook(slot)) return;
    this.#left -= 1;
    // Its leader has left, and its owner's `delete` refused: it goes by that, whatever the caps say.
    const { stamps, companions, shared } = this.#tracker;
    let isTaken = true;
    if (stamps.hasFlag(slot, LEAVING) && companions.isLeaderless(slot))
      isTaken = sweepOut(this.#tracker, slot, shared.timeline.now());
    else if (this.#tracker.policy.beforeSweep === undefined) isTaken = evict(this.#tracker, slot, rule);
    else this.#hooks.request(this.#tracker, slot, rule === 'shed' ? 'shed' : 'evicted');
    if (isTaken) this.taken += 1;
  }

  /**
   * Does the same for the sake of a cap, unless a guard or a hold keeps it.
   *
   * @param isOver whether there are still too many when that was asked, which may have removed others
   */
  takeUnlessKept(slot: number, cap: string, isOver: () => boolean): void {
    if (this.#hasHook(slot)) return;
    const rule = leavesBy(this.#tracker, slot, cap);
    if (rule !== undefined && isOver()) this.take(slot, rule);
  }

  /** Returns whether an entry waits for its `beforeSweep`. */
  isGoing(slot: number): boolean {
    return this.#hooks.isGoing(this.#tracker, slot);
  }

  /** Returns whether there is a `beforeSweep` of an entry, even one that was told to stop and has not done so. */
  #hasHook(slot: number): boolean {
    return this.#hooks.stateOf(this.#tracker, slot) !== undefined;
  }
}
