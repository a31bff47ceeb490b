import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Measurements } from '../events/measurements.js';
import type { RegistryInternals } from '../registry/internals.js';
import { type DistributionMetric, DistributionSeries, distributionMetrics } from './distributions.js';
import { metricsOfEndings } from './endings.js';
import { metricsOfEngine } from './engine.js';
import { metricsOfJournal } from './journal.js';
import { metricsOfMaps } from './maps.js';
import { type MetricsRegister, promClient } from './peer.js';
import type { PulledMetric, Sample } from './pulled.js';

const pulledMetrics: readonly PulledMetric[] = [
  ...metricsOfMaps,
  ...metricsOfEngine,
  ...metricsOfEndings,
  ...metricsOfJournal,
];

/** The names of all metrics, without the prefix. */
export const metricNames: readonly string[] = [...pulledMetrics, ...distributionMetrics].map(
  ({ name }) => name,
);

// It stands on the metrics themselves, since the register says whether they are registered: it may have been cleared.
// Its symbol is registered, since they may come from another copy of this package.
const mark: unique symbol = Symbol.for('mapsweep.metrics') as never;

type OwnMetric = (Counter<string> | Gauge<string> | Histogram<string>) & { [mark]?: MetricsRegistration };

/** Returns the registration that a metric of a register belongs to; `undefined` if it is not one of ours. */
export function registrationOf(register: MetricsRegister, name: string): MetricsRegistration | undefined {
  return (register.getSingleMetric(name) as OwnMetric | undefined)?.[mark];
}

/** Takes no measurement: through it a registry keeps what its metrics read. */
interface Keeper extends Measurements {
  readonly parts: RegistryInternals;
}

/**
 * The metrics of one registry on one register.
 *
 * The register, which often is a global one, does not keep the registry alive: its metrics refer weakly to what they
 * read, and the registry holds that for as long as it lives itself.
 */
export class MetricsRegistration {
  readonly #keeper: WeakRef<Keeper>;
  readonly #register: MetricsRegister;
  readonly #prefix: string;
  readonly #metrics = new Map<string, OwnMetric>();
  readonly #measurements: Measurements[] = [];

  /** Takes the metrics out of the register again; those of others stay. Idempotent. */
  readonly undo = (): void => {
    const keeper = this.#keeper.deref();
    const observers = keeper?.parts.engine.measurements;
    if (keeper !== undefined) observers?.delete(keeper);
    for (const own of this.#measurements) observers?.delete(own);
    for (const [name, metric] of this.#metrics) {
      if (this.#register.getSingleMetric(name) === metric) this.#register.removeSingleMetric(name);
    }
  };

  /** All names have to be free. */
  constructor(parts: RegistryInternals, register: MetricsRegister, prefix: string) {
    const keeper: Keeper = { parts };
    parts.engine.measurements.add(keeper);
    this.#keeper = new WeakRef(keeper);
    this.#register = register;
    this.#prefix = prefix;
    const isMeant = ({ needs }: PulledMetric | DistributionMetric): boolean =>
      needs === undefined || parts.restart.recorder !== undefined;
    for (const metric of pulledMetrics.filter(isMeant)) this.#addPulled(metric);
    for (const metric of distributionMetrics.filter(isMeant)) this.#addDistribution(metric, parts);
  }

  /** Returns whether these are the metrics of that registry. */
  isOf({ engine }: RegistryInternals): boolean {
    return this.#keeper.deref()?.parts.engine === engine;
  }

  /** True if nobody uses the registry any more and it was collected. */
  get isOrphaned(): boolean {
    return this.#keeper.deref() === undefined;
  }

  #addPulled({ type, name, help, labelNames = [], aggregator = 'sum', read }: PulledMetric): void {
    const { Gauge, Counter } = promClient();
    const common = {
      name: this.#prefix + name,
      help,
      labelNames: [...labelNames],
      aggregator,
      registers: [],
    };
    if (type === 'gauge') {
      const gauge: Gauge<string> = new Gauge({
        ...common,
        collect: () => this.#pull(gauge, read, ({ labels, value }) => gauge.set(labels, value)),
      });
      this.#add(gauge, common.name);
    } else {
      const counter: Counter<string> = new Counter({
        ...common,
        // After a reset, to add its total to a counter is to set it.
        collect: () => this.#pull(counter, read, ({ labels, value }) => counter.inc(labels, value)),
      });
      this.#add(counter, common.name);
    }
  }

  #pull(
    metric: Gauge<string> | Counter<string>,
    read: PulledMetric['read'],
    write: (sample: Sample) => void,
  ): void {
    this.#collect(
      (parts) => {
        // Read before the reset: if that fails, the values of the last scrape stay.
        const samples = read(parts);
        metric.reset();
        for (const sample of samples) write(sample);
      },
      () => {
        metric.reset();
        // What a metric without labels has after a reset says 0, of nothing.
        metric.remove();
      },
    );
  }

  #addDistribution(
    { name, help, isByMap, buckets, measurements }: DistributionMetric,
    parts: RegistryInternals,
  ): void {
    const { Histogram } = promClient();
    const histogram: Histogram<string> = new Histogram({
      name: this.#prefix + name,
      help,
      labelNames: isByMap ? ['map'] : [],
      buckets: [...buckets],
      aggregator: 'sum',
      registers: [],
      collect: () =>
        this.#collect(
          (present) => series.collect(present),
          () => series.clear(),
        ),
    });
    const series = new DistributionSeries(histogram, isByMap);
    this.#add(histogram, this.#prefix + name);
    const own = measurements((seconds, map) => series.observe(seconds, map));
    parts.engine.measurements.add(own);
    this.#measurements.push(own);
  }

  /** Runs a collector, which must never throw: that would break the whole scrape. */
  #collect(collect: (parts: RegistryInternals) => void, clear: () => void): void {
    const parts = this.#keeper.deref()?.parts;
    try {
      if (parts !== undefined) collect(parts);
      else {
        clear();
        this.undo();
      }
    } catch {
      parts?.engine.failures.count('', 'collect');
    }
  }

  #add(metric: OwnMetric, name: string): void {
    Object.defineProperty(metric, mark, { value: this });
    // prom-client's registers of different formats are different types, and do the same here.
    (this.#register as { registerMetric(metric: OwnMetric): void }).registerMetric(metric);
    this.#metrics.set(name, metric);
  }
}
