import type { RegistryMetric } from './catalogue.js';
import type { DistributionSample } from './distributions.js';
import type { Member } from './member.js';
import type { Sample } from './pulled.js';

/** One series as a register takes it. */
interface ServedValue {
  readonly labels: Record<string, string>;
  readonly value: number;
  /** Of a histogram: the name with its suffix. */
  readonly metricName?: string;
}

/**
 * A metric as a register knows it: what prom-client and @prometheus-io/client ask of a metric when they render it, send it to
 * the primary of a cluster, or reset it.
 *
 * Their own classes would keep every value a second time, in which a total has to be wiped and added again at each
 * scrape; there are two copies of them when both packages are there; and one that throws fails the whole scrape. A register
 * asks for no class.
 */
export class ServedMetric {
  /** The register changes it: where it writes OpenMetrics it takes the `_total` away. */
  name: string;
  readonly help: string;
  readonly type: RegistryMetric['type'];
  readonly aggregator: string;
  readonly labelNames: readonly string[];
  readonly #metric: RegistryMetric;
  readonly #members: () => readonly Member[];

  /** @param members whose series it has, asked at each scrape */
  constructor(prefix: string, metric: RegistryMetric, members: () => readonly Member[]) {
    this.name = prefix + metric.name;
    this.help = metric.help;
    this.type = metric.type;
    this.aggregator = metric.aggregator ?? 'sum';
    this.labelNames = [...(metric.labelNames ?? []), 'registry'];
    this.#metric = metric;
    this.#members = members;
  }

  /** Returns what there is now. Never rejects. */
  async get(): Promise<object> {
    const { name, help, type, aggregator } = this;
    const values = this.#members().flatMap((member) =>
      member.samples(this.#metric).map((sample) => this.#served(sample, member.label)),
    );
    return { name, help, type, aggregator, values };
  }

  /** Does nothing: the totals are the registry's, and go on. */
  reset(): void {}

  #served(sample: Sample | DistributionSample, registry: string): ServedValue {
    const { value } = sample;
    const labels = { ...sample.labels, registry };
    return 'suffix' in sample ? { labels, value, metricName: this.name + sample.suffix } : { labels, value };
  }
}
