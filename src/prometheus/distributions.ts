import type { Histogram } from 'prom-client';
import type { Measurements } from '../events/measurements.js';
import type { RegistryInternals } from '../registry/internals.js';
import { mapLabel } from './pulled.js';

/** A metric that is a distribution: it is measured when something happens, since nobody keeps the single values. */
export interface DistributionMetric {
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  readonly isByMap: boolean;
  readonly buckets: readonly number[];
  /** What the registry must have to have this metric. Default: nothing. */
  readonly needs?: 'journal';
  /** Returns the measurements that hand their seconds to `observe`. */
  measurements(observe: (seconds: number, map?: string) => void): Measurements;
}

/** The distributions, in seconds. */
export const distributionMetrics: readonly DistributionMetric[] = [
  {
    name: 'sweep_duration_seconds',
    help: 'How long a pass over all maps took, pauses between its slices included.',
    isByMap: false,
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30],
    measurements: (observe) => ({ sweepFinished: (durationMs) => observe(durationMs / 1_000) }),
  },
  {
    name: 'sweep_slice_seconds',
    help: 'How long one slice of a pass held the event loop.',
    isByMap: false,
    // Around the default slice budget of 5 ms.
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    measurements: (observe) => ({ sliceFinished: (durationMs) => observe(durationMs / 1_000) }),
  },
  {
    name: 'sweep_lag_seconds',
    help: 'How long after an entry became due it was removed.',
    isByMap: true,
    // Up to two intervals of 60 s are as they should be; what is longer was guarded or waited for its beforeSweep.
    buckets: [0.1, 1, 5, 15, 30, 60, 90, 120, 300, 1_800, 7_200],
    measurements: (observe) => ({ sweptLate: (map, lateMs) => observe(lateMs / 1_000, map) }),
  },
  {
    name: 'ended_delivery_seconds',
    help: 'How long the attempt took that delivered an ending.',
    isByMap: false,
    // Up to the default attempt time-out of 10 s, and a late success after that.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    measurements: (observe) => ({ delivered: (durationMs) => observe(durationMs / 1_000) }),
  },
  {
    name: 'journal_append_seconds',
    help: 'How long the journal took for one append.',
    needs: 'journal',
    isByMap: false,
    // A write that the kernel takes at once, and up to a disk that is ill.
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    measurements: (observe) => ({ journalAppended: (durationMs) => observe(durationMs / 1_000) }),
  },
];

/**
 * The series of one distribution: keeps those of the maps that are there, as zero from the first scrape, and drops
 * those of maps that are gone.
 */
export class DistributionSeries {
  readonly #histogram: Histogram<string>;
  readonly #isByMap: boolean;
  // Their labels, by name.
  readonly #maps = new Map<string, string>();

  constructor(histogram: Histogram<string>, isByMap: boolean) {
    this.#histogram = histogram;
    this.#isByMap = isByMap;
    // `register.resetMetrics()` leaves a histogram without any series, also one without labels.
    const reset = histogram.reset.bind(histogram);
    histogram.reset = () => {
      reset();
      this.#maps.clear();
      if (!isByMap) histogram.zero({});
    };
  }

  /** Brings the series in step with the maps. */
  collect({ engine }: RegistryInternals): void {
    if (!this.#isByMap) return;
    for (const map of this.#maps.keys()) if (!engine.trackers.has(map)) this.#remove(map);
    for (const map of engine.trackers.keys()) this.#add(map);
  }

  observe(seconds: number, map?: string): void {
    if (map === undefined) this.#histogram.observe(seconds);
    else {
      this.#histogram.observe({ map: this.#add(map) }, seconds);
    }
  }

  /** Drops every series: the registry is gone. */
  clear(): void {
    if (!this.#isByMap) this.#histogram.remove();
    for (const map of this.#maps.keys()) this.#remove(map);
  }

  // Gives its label. `zero` would wipe what was observed, so it is for new series alone.
  #add(map: string): string {
    const known = this.#maps.get(map);
    if (known !== undefined) return known;
    const label = mapLabel(map);
    this.#maps.set(map, label);
    this.#histogram.zero({ map: label });
    return label;
  }

  #remove(map: string): void {
    this.#histogram.remove({ map: this.#maps.get(map) as string });
    this.#maps.delete(map);
  }
}
