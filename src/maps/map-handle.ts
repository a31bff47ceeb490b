import type { Explanation } from '../diagnosis/explain.js';
import type { SweepReport } from '../events/sweep-report.js';
import type { EntryStamps } from '../stamps/entry-stamps.js';
import type { Engine } from '../sweeping/engine.js';
import type { Adoption } from './adoption.js';
import { explainByKey, stampsByKey } from './by-key.js';
import { touch } from './owner-writes.js';

/** What adopting a live Map or Set gives: the way back, and the questions a `TrackedMap` answers itself. */
export class MapHandle<M, K> {
  readonly #engine: Engine;
  readonly #adoption: Adoption;

  /** Made by `adopt` and `registry.adopt`. */
  constructor(engine: Engine, adoption: Adoption) {
    this.#engine = engine;
    this.#adoption = adoption;
  }

  /** The name in metrics, reports and messages. */
  get name(): string {
    return this.#adoption.tracker.name;
  }

  /** The very object that was adopted. */
  get map(): M {
    return this.#adoption.tracker.native.target as M;
  }

  /** Counts as activity of the entry, as a `set` does. Returns `false` if there is no such entry. */
  touch(key: K): boolean {
    return touch(this.#adoption.tracker, key);
  }

  /** Returns when the entry was registered and last active; `undefined` if there is no such entry. */
  stamps(key: K): EntryStamps | undefined {
    return stampsByKey(this.#adoption.tracker, key);
  }

  /** Says whether the entry is due, by which lifetime, and why it is still there. */
  explain(key: K): Explanation {
    return explainByKey(this.#engine, this.#adoption.tracker, key);
  }

  /** Removes everything that is due now; in a registry, in all of its maps. */
  sweep(): Promise<SweepReport> {
    return this.#engine.sweeper.sweep();
  }

  /**
   * Stops tracking and leaves no trace on the object; its entries stay. If somebody else has wrapped a method since,
   * theirs is left alone. In a registry the name is free again. Idempotent.
   */
  release(): void {
    this.#adoption.release();
  }
}
