import type { LeakSuspectedEvent } from '../events/event-bus.js';
import type { SweepReport } from '../events/sweep-report.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { LeakDetector, type LeakDetectorOptions, type LeakVerdict } from './leak-detector.js';

/** How many of the oldest keys a suspicion names. */
const oldestKeysTold = 5;

/** Watches the size of every map after each pass, and tells when the verdict about one changes. */
export class LeakMonitor {
  readonly #engine: Engine;
  readonly #options: Omit<LeakDetectorOptions, 'longestLifetime'>;
  readonly #sitesOf: (tracker: Tracker) => LeakSuspectedEvent['sites'];
  readonly #detectors = new WeakMap<Tracker, LeakDetector>();

  constructor(
    engine: Engine,
    options: Omit<LeakDetectorOptions, 'longestLifetime'>,
    sitesOf: (tracker: Tracker) => LeakSuspectedEvent['sites'],
  ) {
    this.#engine = engine;
    this.#options = options;
    this.#sitesOf = sitesOf;
    engine.afterPass.add((report) => this.#observe(report));
  }

  /** The latest verdict about a map. */
  verdictOf(tracker: Tracker): LeakVerdict {
    return this.#detectorOf(tracker).verdict;
  }

  #observe(report: SweepReport): void {
    if (report.skipped !== undefined) return;
    const now = this.#engine.timeline.now();
    for (const tracker of this.#engine.trackers.values()) {
      const detector = this.#detectorOf(tracker);
      const before = detector.verdict.suspected;
      const verdict = detector.observe(now, tracker.native.size());
      if (verdict.suspected !== before) this.#tell(tracker, verdict);
    }
  }

  #tell(tracker: Tracker, { suspected, since, entriesPerMinute }: LeakVerdict): void {
    const oldestKeys = tracker.stamps.oldestKeys(oldestKeysTold);
    this.#engine.bus.emit('leak-suspected', {
      map: tracker.name,
      suspected,
      entriesPerMinute,
      since: since === undefined ? undefined : this.#engine.timeline.toEpoch(since),
      size: tracker.native.size(),
      oldestKeys,
      sites: this.#sitesOf(tracker),
    });
  }

  #detectorOf(tracker: Tracker): LeakDetector {
    let detector = this.#detectors.get(tracker);
    if (detector === undefined) {
      detector = new LeakDetector({ ...this.#options, longestLifetime: longestLifetimeMs(tracker) });
      this.#detectors.set(tracker, detector);
    }
    return detector;
  }
}

/**
 * For how long a healthy entry stays: a map whose load has risen grows for that long, and no leak is suspected sooner.
 *
 * A TTL says so. Beside one, `maxIdle` and `maxAge` are ceilings for what went wrong, and a rise that lasts until they
 * bite is the very thing to be told of; alone, they are how long an entry stays. A companion stays with its leader.
 */
function longestLifetimeMs({ policy, companions: { leader } }: Tracker): number {
  const spans = [policy.own, ...policy.rules.map((rule) => rule.lifetimes)].map(
    ({ ttlMs, maxIdleMs, maxAgeMs }) =>
      [ttlMs, Math.min(maxIdleMs, maxAgeMs)].find((span) => Number.isFinite(span)) ?? 0,
  );
  return Math.max(leader === undefined ? 0 : longestLifetimeMs(leader), ...spans);
}
