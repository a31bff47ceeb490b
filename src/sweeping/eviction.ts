import type { BeforeSweepGate } from './before-sweep.js';
import { keep } from './look.js';
import { evict } from './removals.js';
import type { Tracker } from './tracker.js';

/** What a pass over one map evicts. */
export class Eviction {
  /** Entries that wait for their `beforeSweep`: each counts as one that has left. */
  readonly going = new Set<number>();
  readonly #tracker: Tracker;
  readonly #hooks: BeforeSweepGate;

  constructor(tracker: Tracker, hooks: BeforeSweepGate) {
    this.#tracker = tracker;
    this.#hooks = hooks;
  }

  /** Removes an entry, or starts its `beforeSweep`. */
  take(slot: number, rule: string): void {
    if (this.#tracker.policy.beforeSweep === undefined) evict(this.#tracker, slot, rule);
    else {
      this.#hooks.request(this.#tracker, slot, 'evicted');
      this.going.add(slot);
    }
  }

  /** Does the same, unless it is on its way already, or a guard or a hold keeps it. */
  takeUnlessKept(slot: number, rule: string): void {
    const { stamps, due, shared } = this.#tracker;
    if (this.isGoing(slot)) return;
    const generation = stamps.generation[slot] as number;
    const keeping = due.keepingOf(slot, shared.timeline.now());
    if (!stamps.holds(slot, generation)) return;
    if (keeping === 'guarded') keep(this.#tracker, slot, stamps.keyOf(slot), keeping);
    else if (keeping === undefined) this.take(slot, rule);
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
