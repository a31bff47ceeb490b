import type { Measurements } from '../events/measurements.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import { isShown, type MetricDescription, mapLabel, type Sample } from './pulled.js';

/** A metric that is a distribution: it is measured when something happens, since nobody keeps the single values. */
export interface DistributionMetric extends MetricDescription {
  readonly type: 'histogram';
  /** Upper bounds, ascending. Each costs a line for each map, or one. */
  readonly buckets: readonly number[];
  /** For a metric that has a series for each map: which of those that were adopted later and have lost something. Default: all. */
  includes?(tracker: Tracker): boolean;
  /** Returns the measurements that hand their seconds to `observe`. */
  measurements(observe: (seconds: number, map?: string) => void): Measurements;
}

const byMap = ['map'];

/** How sweeps go. */
export const distributionsOfEngine: readonly DistributionMetric[] = [
  {
    type: 'histogram',
    name: 'sweep_duration_seconds',
    help: 'How long a pass over all maps took, pauses between its slices included.',
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30],
    measurements: (observe) => ({ sweepFinished: (durationMs) => observe(durationMs / 1_000) }),
  },
  {
    type: 'histogram',
    name: 'sweep_slice_seconds',
    help: 'How long one slice of a pass held the event loop.',
    // Around the default slice budget of 5 ms.
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    measurements: (observe) => ({ sliceFinished: (durationMs) => observe(durationMs / 1_000) }),
  },
];

/** How entries leave each map. Few buckets, since there may be hundreds of maps: a line of each is 115 bytes. */
export const distributionsOfMaps: readonly DistributionMetric[] = [
  {
    type: 'histogram',
    name: 'age_at_removal_seconds',
    help: 'How old entries were when they left the map, whoever removed them.',
    labelNames: byMap,
    buckets: [60, 3_600],
    // How a map goes that nobody sweeps and nobody has named is told by its size.
    includes: ({ observing }) => !observing,
    measurements: (observe) => ({ removed: (map, ageMs) => observe(ageMs / 1_000, map) }),
  },
  {
    type: 'histogram',
    name: 'sweep_lag_seconds',
    help: 'How long after an entry became due it was removed.',
    labelNames: byMap,
    // Up to two intervals of 60 s are as they should be; what is longer was guarded or waited for its beforeSweep.
    buckets: [60, 120, 600, 3_600],
    includes: ({ isManaged }) => isManaged,
    measurements: (observe) => ({ sweptLate: (map, lateMs) => observe(lateMs / 1_000, map) }),
  },
];

/** How long `beforeSweep` takes, of all maps. */
export const distributionsOfHooks: readonly DistributionMetric[] = [
  {
    type: 'histogram',
    name: 'before_sweep_seconds',
    help: 'How long a call of beforeSweep took until it settled or was given up on.',
    // Up to the default time-out of 30 s.
    buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60],
    measurements: (observe) => ({ beforeSweepSettled: (durationMs) => observe(durationMs / 1_000) }),
  },
];

/** How deliveries go. */
export const distributionsOfEndings: readonly DistributionMetric[] = [
  {
    type: 'histogram',
    name: 'ended_delivery_seconds',
    help: 'How long the attempt took that delivered an ending.',
    // Up to the default attempt time-out of 10 s, and a late success after that.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    measurements: (observe) => ({ delivered: (durationMs) => observe(durationMs / 1_000) }),
  },
];

/** How the disk takes the journal. */
export const distributionsOfJournal: readonly DistributionMetric[] = [
  {
    type: 'histogram',
    name: 'journal_append_seconds',
    help: 'How long the journal took for one append.',
    // A write that the kernel takes at once, and up to a disk that is ill.
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    measurements: (observe) => ({ journalAppended: (durationMs) => observe(durationMs / 1_000) }),
  },
];

/** How many values fell below each bound, and their sum. */
class Distribution {
  // The last is of what is above every bound.
  readonly #counts: Float64Array;
  readonly #buckets: readonly number[];
  #sum = 0;

  constructor(buckets: readonly number[]) {
    this.#buckets = buckets;
    this.#counts = new Float64Array(buckets.length + 1);
  }

  add(value: number): void {
    let bucket = 0;
    while (bucket < this.#buckets.length && value > (this.#buckets[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  /** Returns its series, with the labels of a histogram. */
  samples(labels: Sample['labels']): DistributionSample[] {
    let count = 0;
    const samples: DistributionSample[] = [];
    for (const [bucket, ofBucket] of this.#counts.entries()) {
      count += ofBucket;
      const le = bucket < this.#buckets.length ? String(this.#buckets[bucket]) : '+Inf';
      samples.push({ suffix: '_bucket', labels: { le, ...labels }, value: count });
    }
    samples.push({ suffix: '_sum', labels, value: this.#sum }, { suffix: '_count', labels, value: count });
    return samples;
  }
}

/** One series of a histogram. */
export interface DistributionSample extends Sample {
  /** What follows the name of the metric. */
  readonly suffix: '_bucket' | '_sum' | '_count';
}

/** What was measured for one distribution of one registry: for each map, or for all of it. */
export class MeasuredDistribution {
  readonly #metric: DistributionMetric;
  // By map; what belongs to none has an empty name.
  readonly #of = new Map<string, Distribution>();
  readonly measurements: Measurements;

  constructor(metric: DistributionMetric) {
    this.#metric = metric;
    this.measurements = metric.measurements((seconds, map = '') => this.#distributionOf(map).add(seconds));
  }

  /** Returns the series there are now. */
  samples(parts: RegistryInternals): DistributionSample[] {
    const { labelNames, includes = () => true } = this.#metric;
    if (labelNames === undefined) return this.#distributionOf('').samples({});
    const samples: DistributionSample[] = [];
    for (const tracker of parts.engine.trackers.values()) {
      const { name } = tracker;
      const hasSeries =
        parts.named.has(tracker) || (includes(tracker) && (this.#of.has(name) || hasLost(tracker)));
      if (hasSeries && isShown(parts, tracker)) {
        samples.push(...this.#distributionOf(name).samples({ map: mapLabel(tracker) }));
      }
    }
    return samples;
  }

  /** Drops what was measured of a map that is gone. */
  forget(map: string): void {
    this.#of.delete(map);
  }

  #distributionOf(map: string): Distribution {
    let distribution = this.#of.get(map);
    if (distribution === undefined) {
      distribution = new Distribution(this.#metric.buckets);
      this.#of.set(map, distribution);
    }
    return distribution;
  }
}

const hasLost = ({ removedTotal }: Tracker): boolean =>
  Object.values(removedTotal).some((count) => count > 0);
