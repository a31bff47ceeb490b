import type { RemovalAudit } from '../events/audit.js';
import { CallbackFailures } from '../events/callback-failures.js';
import { EventBus } from '../events/event-bus.js';
import { warnOfUnheard } from '../events/unheard-failures.js';
import type { Clock } from '../time/clock.js';
import { Slices, type SlicesOptions } from '../time/slices.js';
import { TickGrid } from '../time/tick-grid.js';
import { Timeline } from '../time/timeline.js';
import { TimerQueue } from '../time/timer-queue.js';
import { WatchedTime } from '../time/watched-time.js';
import { MeasurementListeners } from './measurement-listeners.js';
import { Unsettled } from './unsettled.js';

/** What an engine is made of. */
export interface EngineOptions {
  /** The name of its registry; `undefined` for a map that is used alone. */
  readonly name?: string;
  readonly clock: Clock;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  /** The mode of all maps: `true` removes, evicts and claims nothing. */
  readonly observing: boolean;
  /** How long the registrations of a map count as one cohort, ms, for its leak verdict. Default: an hour. */
  readonly cohortMs?: number;
}

/** What all maps of an engine share: time, timers, and whom to tell. It knows of no map. */
export class Shared {
  readonly name: string | undefined;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly observing: boolean;
  /** How long the registrations of a map count as one cohort, ms: two sweeps at least, since those count them. */
  readonly cohortMs: number;
  readonly timeline: Timeline;
  /** Looks with each sweep. */
  readonly watched: WatchedTime;
  readonly timers: TimerQueue;
  readonly grid: TickGrid;
  readonly bus: EventBus;
  readonly failures: CallbackFailures;
  readonly measurements: MeasurementListeners;
  /** Writes a line for each entry that leaves, if the owner wants that. */
  audit: RemovalAudit | undefined;
  /** Says whether a key is awaited in the map of a name. Nothing comes back from an earlier life unless somebody says so. */
  isAwaited: (map: string, key: unknown) => boolean = () => false;
  /** Is told of each registration, if the memory of the process is watched. */
  memory: { registered(): void } | undefined;
  /** What `dispose` and `replaced` have answered, until it settles. */
  readonly unsettled = new Unsettled();
  /** Nothing is removed by itself any more, and no `beforeSweep` starts. */
  isStopped = false;

  constructor({ name, clock, sweepEveryMs, sliceBudgetMs, observing, cohortMs = 3_600_000 }: EngineOptions) {
    this.name = name;
    this.sweepEveryMs = sweepEveryMs;
    this.sliceBudgetMs = sliceBudgetMs;
    this.observing = observing;
    this.cohortMs = Math.max(cohortMs, 2 * sweepEveryMs);
    this.timeline = new Timeline(clock, (jump) => this.bus.emit('clock-jumped', jump));
    this.grid = new TickGrid(this.timeline.now(), sweepEveryMs);
    this.watched = new WatchedTime(this.grid.origin, this.cohortMs / 2);
    this.failures = new CallbackFailures((event) => {
      // Whoever listens for failed deliveries knows of these.
      const isHeard =
        this.bus.hasListener('callback-failed') ||
        (event.callback === 'deliver' && this.bus.hasListener('delivery-failed'));
      if (!isHeard) warnOfUnheard(name, event);
      this.bus.emit('callback-failed', event);
    });
    this.measurements = new MeasurementListeners(this.failures);
    this.bus = new EventBus((type, error) => {
      // To tell a listener of `callback-failed` that it has failed itself, now or in a rejection, would never end.
      if (type === 'callback-failed') this.failures.count('', 'listener');
      else this.failures.report('', 'listener', type, error);
    });
    this.timers = new TimerQueue(clock, {
      onError: (error) => this.failures.report('', 'timer', undefined, error),
    });
  }

  /** Begins to slice long work by the clock and the budget of the owner. */
  newSlices(options?: Omit<SlicesOptions, 'clock' | 'budgetMs'>): Slices {
    return new Slices({ clock: this.timeline.clock, budgetMs: this.sliceBudgetMs, ...options });
  }
}
