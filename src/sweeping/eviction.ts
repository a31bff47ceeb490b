import { LEAVING } from '../stamps/stamp-store.js';
import type { BeforeSweepGate } from './before-sweep.js';
import { isFree } from './look.js';
import { evict, sweepOut } from './removals.js';
import type { Tracker } from './tracker.js';

/** What a pass over one map evicts. */
export class Eviction {
  /** Entries that wait for their `beforeSweep`: each counts as one that has left. */
  readonly going = new Set<number>();
  readonly #tracker: Tracker;
  readonly #hooks: BeforeSweepGate;
  /** How many are to be shed yet. */
  #left: number;

  /** @param quota how many entries are to leave, though the map may be within its caps */
  constructor(tracker: Tracker, hooks: BeforeSweepGate, quota: number) {
    this.#tracker = tracker;
    this.#hooks = hooks;
    this.#left = quota;
  }

  /** There are more entries than `maxEntries`. */
  get isBeyondMax(): boolean {
    return this.#tracker.native.size() - this.going.size > this.#tracker.policy.maxEntries;
  }

  /** More have to leave. Not so where the map is another tracker's by now. */
  get isOver(): boolean {
    return (this.#left > 0 || this.isBeyondMax) && !this.#tracker.isReleased;
  }

  /** Removes an entry, or starts its `beforeSweep`. */
  take(slot: number, rule: string): void {
    this.#left -= 1;
    // Its leader has left, and its owner's `delete` refused: it goes by that, whatever the caps say.
    const { stamps, companions, shared } = this.#tracker;
    if (stamps.hasFlag(slot, LEAVING) && !companions.hasLeader(slot))
      sweepOut(this.#tracker, slot, shared.timeline.now());
    else if (this.#tracker.policy.beforeSweep === undefined) evict(this.#tracker, slot, rule);
    else {
      this.#hooks.request(this.#tracker, slot, rule === 'shed' ? 'shed' : 'evicted');
      this.going.add(slot);
    }
  }

  /** Does the same, unless it is on its way already, or a guard or a hold keeps it. */
  takeUnlessKept(slot: number, rule: string): void {
    if (!this.isGoing(slot) && isFree(this.#tracker, slot)) this.take(slot, rule);
  }

  /** Returns whether an entry waits for its `beforeSweep`. One that has failed waits for somebody to ask for its next attempt. */
  isGoing(slot: number): boolean {
    if (!this.going.has(slot) && this.#hooks.stateOf(this.#tracker, slot) !== undefined) {
      this.#hooks.request(this.#tracker, slot, 'evicted');
      this.going.add(slot);
    }
    return this.going.has(slot);
  }
}
