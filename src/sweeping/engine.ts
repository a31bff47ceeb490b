import type { SweepReport } from '../events/sweep-report.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import { BeforeSweepGate } from './before-sweep.js';
import { CapacityPasses } from './capacity.js';
import { Followings } from './companions.js';
import { type EngineOptions, Shared } from './shared.js';
import { Sweeper, type SweeperHost } from './sweeper.js';
import { type MapServices, Tracker } from './tracker.js';

/**
 * Several maps under one sweeper: what they share, and what works on them. A registry has one; so has a `TrackedMap`
 * that is used alone.
 */
export class Engine extends Shared implements MapServices, SweeperHost {
  readonly sweeper: Sweeper;
  readonly hooks: BeforeSweepGate;
  readonly capacity: CapacityPasses;
  /** What a sweep does after the maps, in its slices: each call is a step, and answers whether there is more. */
  readonly chores = new Set<() => boolean>();
  /** Called after each pass, before `sweep-finished` is emitted. */
  readonly afterPass = new Set<(report: SweepReport) => void>();
  readonly #trackers = new Map<string, Tracker>();
  readonly #followings = new Followings<Tracker>();

  constructor(options: EngineOptions) {
    super(options);
    this.hooks = new BeforeSweepGate(this);
    this.capacity = new CapacityPasses(this, this.hooks);
    this.sweeper = new Sweeper(this);
  }

  /** The maps, in the order in which they were added. */
  get trackers(): ReadonlyMap<string, Tracker> {
    return this.#trackers;
  }

  /** Adds a map under a name that is free. */
  add(
    name: string,
    policy: CompiledPolicy<unknown, unknown>,
    native: NativeCollection<unknown, unknown>,
  ): Tracker {
    const tracker = new Tracker(name, policy, native, this);
    this.#trackers.set(name, tracker);
    this.failures.add(name);
    const leader = policy.follows === undefined ? undefined : this.#trackers.get(policy.follows);
    for (const related of this.#followings.add(tracker, leader)) related.refileAll();
    this.sweeper.watch(tracker);
    this.measurements.tell((listener) => listener.mapAdded?.());
    return tracker;
  }

  /** Takes a map away; what followed it has no leader now. */
  remove(tracker: Tracker): void {
    if (this.#trackers.get(tracker.name) !== tracker) return;
    this.#trackers.delete(tracker.name);
    this.capacity.forget(tracker);
    this.sweeper.unwatch(tracker);
    this.hooks.forget(tracker);
    this.failures.forget(tracker.name);
    this.#followings.remove(tracker);
    tracker.release();
    this.measurements.tell((listener) => listener.mapRemoved?.(tracker.name));
  }

  /** Ends all timers and passes. What was due stays until somebody sweeps. */
  stop(): void {
    // What a sweep by hand has begun since the last stop ends too.
    this.sweeper.stop();
    this.hooks.close();
    if (this.isStopped) return;
    this.isStopped = true;
    this.capacity.stop();
    this.timers.pause();
  }

  /** Tells whoever wants to know of a pass that is through. */
  passFinished(report: SweepReport): void {
    if (report.skipped === undefined) this.watched.look(this.timeline.now());
    for (const call of this.afterPass) {
      try {
        call(report);
      } catch (error) {
        this.failures.report('', 'sweep', undefined, error);
      }
    }
    if (report.skipped === undefined) {
      this.measurements.tell((listener) => listener.sweepFinished?.(report.durationMs));
    }
    this.bus.emit('sweep-finished', report);
    // Guards may have let go meanwhile, and hooks may be due for their next attempt.
    for (const tracker of this.#trackers.values()) this.capacity.request(tracker);
  }
}
