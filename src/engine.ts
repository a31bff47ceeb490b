import { BeforeSweepGate } from './before-sweep.js';
import { CallbackFailures } from './callback-failures.js';
import { evictExcess } from './capacity.js';
import { type Clock, giveWay } from './clock.js';
import { EventBus } from './events.js';
import type { NativeCollection } from './native-collection.js';
import type { RegistryObserver } from './observer.js';
import { Pacer, type PacerTicket } from './pacer.js';
import type { CompiledPolicy } from './policy.js';
import type { SweepReport } from './sweep-report.js';
import { Sweeper } from './sweeper.js';
import { Timeline } from './timeline.js';
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
  readonly pacer: Pacer;
  readonly sweeper: Sweeper;
  readonly hooks: BeforeSweepGate;
  readonly observing: boolean;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly observers = new Set<RegistryObserver>();
  /** Called after each pass, before `sweep-finished` is emitted. */
  readonly afterPass = new Set<(report: SweepReport) => void>();
  readonly #trackers = new Map<string, Tracker>();
  readonly #overCapacity = new Set<Tracker>();
  // Maps in which an eviction found nothing left to evict: to be tried again after the next sweep.
  readonly #stuck = new Set<Tracker>();
  #capacityTicket: PacerTicket | undefined;
  #isEvicting = false;
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
    this.pacer = new Pacer(clock, {
      onError: (error) => this.failures.report('', 'timer', undefined, error),
    });
    const { timeline, pacer } = this;
    this.sweeper = new Sweeper({
      timeline,
      pacer,
      sweepEveryMs,
      sliceBudgetMs,
      trackers: () => this.#trackers.values(),
      sliceFinished: (durationMs) => this.observe((observer) => observer.sliceFinished?.(durationMs)),
      passFinished: (report) => this.#passFinished(report),
    });
    this.hooks = new BeforeSweepGate({
      timeline,
      pacer,
      failures: this.failures,
      firstPauseMs: sweepEveryMs,
      isStopped: () => this.#isStopped,
      proceed: (tracker, slot, reason) => this.#hookSucceeded(tracker, slot, reason),
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
    this.#overCapacity.delete(tracker);
    this.#stuck.delete(tracker);
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
    this.#overCapacity.clear();
    if (this.#capacityTicket !== undefined) this.pacer.cancel(this.#capacityTicket);
    this.#capacityTicket = undefined;
    this.pacer.pause();
  }

  /** Tells every observer; one that throws harms nobody. */
  observe(tell: (observer: RegistryObserver) => void): void {
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
    if (this.#isStopped || tracker.observing || this.#stuck.has(tracker)) return;
    this.#overCapacity.add(tracker);
    if (this.#isEvicting || this.#capacityTicket !== undefined) return;
    this.#capacityTicket = this.pacer.schedule(this.timeline.now(), () => {
      this.#capacityTicket = undefined;
      void this.#evict();
    });
  }

  runHook(tracker: Tracker, slot: number, reason: 'swept' | 'evicted'): void {
    this.hooks.request(tracker, slot, reason);
  }

  cancelHook(tracker: Tracker, slot: number): void {
    this.hooks.cancel(tracker, slot);
  }

  sweptLate(tracker: Tracker, lateMs: number): void {
    if (this.observers.size > 0) this.observe((observer) => observer.sweptLate?.(tracker.name, lateMs));
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

  #hookSucceeded(tracker: Tracker, slot: number, reason: 'swept' | 'evicted'): void {
    const now = this.timeline.now();
    if (reason === 'evicted' && tracker.native.size() > tracker.policy.maxEntries) {
      if (!tracker.isGuarded(slot)) tracker.removals.evict(slot, 'maxEntries');
      return;
    }
    tracker.lookAfterHook(slot, now);
  }

  async #evict(): Promise<void> {
    this.#isEvicting = true;
    const { clock } = this.timeline;
    let sliceBegan = this.timeline.now();
    const trackers = [...this.#overCapacity];
    this.#overCapacity.clear();
    for (const tracker of trackers) {
      const steps = evictExcess(tracker, {
        now: () => this.timeline.now(),
        currentTick: () => this.tickOf(this.timeline.now()),
        isWaiting: (of, slot) => this.hooks.stateOf(of, slot) !== undefined,
        runHook: (of, slot) => this.hooks.request(of, slot, 'evicted'),
      });
      while (!steps.next().done && !this.#isStopped) {
        if (this.timeline.now() - sliceBegan < this.sliceBudgetMs) continue;
        await giveWay(clock);
        sliceBegan = this.timeline.now();
      }
      // Unless something was added meanwhile: then the next pass has something to find.
      const isStuck = tracker.native.size() > tracker.policy.maxEntries && !this.#overCapacity.has(tracker);
      if (isStuck) this.#stuck.add(tracker);
    }
    this.#isEvicting = false;
    // What callbacks of this pass added has the next one, in a later macrotask: a `dispose` that adds cannot loop here.
    for (const tracker of [...this.#overCapacity]) this.requestCapacityPass(tracker);
  }

  #passFinished(report: SweepReport): void {
    for (const call of this.afterPass) call(report);
    if (report.skipped === undefined) this.observe((observer) => observer.sweepFinished?.(report.durationMs));
    this.bus.emit('sweep-finished', report);
    const stuck = [...this.#stuck];
    this.#stuck.clear();
    for (const tracker of stuck) {
      if (tracker.native.size() > tracker.policy.maxEntries) this.requestCapacityPass(tracker);
    }
  }
}
