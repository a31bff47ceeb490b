import { CallbackFailures } from '../events/callback-failures.js';
import { EventBus } from '../events/event-bus.js';
import type { Measurements } from '../events/measurements.js';
import type { LibraryReason } from '../events/reasons.js';
import type { SweepReport } from '../events/sweep-report.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import type { Clock } from '../time/clock.js';
import { Timeline } from '../time/timeline.js';
import { TimerQueue } from '../time/timer-queue.js';
import { BeforeSweepGate } from './before-sweep.js';
import { CapacityPasses } from './capacity.js';
import { Sweeper } from './sweeper.js';
import { Tracker, type TrackerHost } from './tracker.js';

/** What an engine is made of. */
export interface EngineOptions {
  readonly clock: Clock;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly observing: boolean;
}

/**
 * Everything that several maps share: one timeline, one timer, one sweeper, one bus. A registry has one; so has a
 * `TrackedMap` that is used alone.
 */
export class Engine implements TrackerHost {
  readonly timeline: Timeline;
  readonly bus: EventBus;
  readonly failures: CallbackFailures;
  readonly timers: TimerQueue;
  readonly sweeper: Sweeper;
  readonly hooks: BeforeSweepGate;
  readonly observing: boolean;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly observers = new Set<Measurements>();
  /** Called after each pass, before `sweep-finished` is emitted. */
  readonly afterPass = new Set<(report: SweepReport) => void>();
  readonly #trackers = new Map<string, Tracker>();
  readonly #capacity: CapacityPasses;
  #isStopped = false;

  constructor({ clock, sweepEveryMs, sliceBudgetMs, observing }: EngineOptions) {
    this.sweepEveryMs = sweepEveryMs;
    this.sliceBudgetMs = sliceBudgetMs;
    this.observing = observing;
    this.timeline = new Timeline(clock, (jump) => this.bus.emit('clock-jumped', jump));
    this.failures = new CallbackFailures((event) => this.bus.emit('callback-failed', event));
    this.bus = new EventBus((type, error) => {
      // To tell a listener of `callback-failed` that it has failed itself, now or in a rejection, would never end.
      if (type === 'callback-failed') this.failures.count('', 'listener');
      else this.failures.report('', 'listener', type, error);
    });
    this.timers = new TimerQueue(clock, {
      onError: (error) => this.failures.report('', 'timer', undefined, error),
    });
    const { timeline, timers } = this;
    this.sweeper = new Sweeper({
      timeline,
      timers,
      sweepEveryMs,
      sliceBudgetMs,
      trackers: () => this.#trackers.values(),
      sliceFinished: (durationMs) => this.observe((observer) => observer.sliceFinished?.(durationMs)),
      passFinished: (report) => this.#passFinished(report),
    });
    this.hooks = new BeforeSweepGate({
      timeline,
      timers,
      failures: this.failures,
      sliceBudgetMs,
      firstPauseMs: sweepEveryMs,
      isStopped: () => this.#isStopped,
      proceed: (tracker, slot, reason) => this.#hookSucceeded(tracker, slot, reason),
    });
    this.#capacity = new CapacityPasses({
      clock,
      timers,
      sliceBudgetMs,
      now: () => timeline.now(),
      isStopped: () => this.#isStopped,
      currentTick: () => this.tickOf(timeline.now()),
      isWaiting: (tracker, slot) => this.hooks.stateOf(tracker, slot) !== undefined,
      waitingCount: (tracker) => this.hooks.countOf(tracker),
      runHook: (tracker, slot) => this.hooks.request(tracker, slot, 'evicted'),
    });
  }

  get isStopped(): boolean {
    return this.#isStopped;
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
    this.#relate();
    return tracker;
  }

  /** Takes a map away; what followed it has no leader now. */
  remove(tracker: Tracker): void {
    if (this.#trackers.get(tracker.name) !== tracker) return;
    this.#trackers.delete(tracker.name);
    this.#capacity.forget(tracker);
    this.failures.forget(tracker.name);
    tracker.abandon();
    this.#relate();
  }

  /** Ends all timers and passes. What was due stays until somebody sweeps. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.sweeper.stop();
    this.hooks.close();
    this.#capacity.stop();
    this.timers.pause();
  }

  /** Tells every observer; one that throws harms nobody. */
  observe(tell: (observer: Measurements) => void): void {
    for (const observer of this.observers) {
      try {
        tell(observer);
      } catch (error) {
        this.failures.report('', 'observer', undefined, error);
      }
    }
  }

  // --- TrackerHost --------------------------------------------------------------------------------------------------

  tickOf(deadline: number): number {
    return this.sweeper.tickOf(deadline);
  }

  requestCapacityPass(tracker: Tracker): void {
    this.#capacity.request(tracker);
  }

  runHook(tracker: Tracker, slot: number, reason: LibraryReason): void {
    this.hooks.request(tracker, slot, reason);
  }

  cancelHook(tracker: Tracker, slot: number): void {
    this.hooks.cancel(tracker, slot);
  }

  get isObserved(): boolean {
    return this.observers.size > 0;
  }

  sweptLate(map: string, lateMs: number): void {
    if (this.isObserved) this.observe((observer) => observer.sweptLate?.(map, lateMs));
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  #relate(): void {
    for (const tracker of this.#trackers.values()) tracker.followers.length = 0;
    for (const tracker of this.#trackers.values()) {
      const { follows } = tracker.policy;
      const leader = follows === undefined ? undefined : this.#trackers.get(follows);
      leader?.followers.push(tracker);
      if (leader === tracker.leader) continue;
      tracker.leader = leader;
      tracker.refileAll();
    }
  }

  #hookSucceeded(tracker: Tracker, slot: number, reason: LibraryReason): void {
    if (reason === 'evicted' && tracker.native.size() > tracker.policy.maxEntries) {
      const generation = tracker.stamps.generation[slot] as number;
      const isFree = !tracker.isGuarded(slot);
      // The guard may have removed the entry itself.
      if (isFree && tracker.stamps.holds(slot, generation)) tracker.removals.evict(slot, 'maxEntries');
      return;
    }
    tracker.pass.lookAfterHook(slot, this.timeline.now());
  }

  #passFinished(report: SweepReport): void {
    for (const call of this.afterPass) call(report);
    if (report.skipped === undefined) this.observe((observer) => observer.sweepFinished?.(report.durationMs));
    this.bus.emit('sweep-finished', report);
    // Guards may have let go meanwhile, and hooks may be due for their next attempt.
    for (const tracker of this.#trackers.values()) this.#capacity.request(tracker);
  }
}
