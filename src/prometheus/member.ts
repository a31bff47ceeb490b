import type { Measurements } from '../events/measurements.js';
import type { RegistryInternals } from '../registry/internals.js';
import { metricsOf, type RegistryMetric } from './catalogue.js';
import { type DistributionSample, MeasuredDistribution } from './distributions.js';
import { nameLabel, type Sample } from './pulled.js';

/** What a registry keeps for as long as it lives itself: through it metrics reach what they read. */
interface Keeper extends Measurements {
  readonly parts: RegistryInternals;
}

/** What a member tells of itself. */
export interface MemberEvents {
  /** It may have more metrics than before. */
  changed(): void;
  /** It has none any more. */
  left(): void;
}

/**
 * One registry on a register.
 *
 * The register, which often is a global one, does not keep the registry alive: a member refers to it weakly.
 */
export class Member {
  /** The name of the registry. */
  readonly name: string;
  /** The label `registry` of its series: its name, safe to show. */
  readonly label: string;
  readonly #keeper: WeakRef<Keeper>;
  readonly #measured = new Map<string, MeasuredDistribution>();
  readonly #last = new Map<string, readonly Sample[]>();
  readonly #refused = new Set<string>();

  constructor(parts: RegistryInternals, events: MemberEvents) {
    this.name = parts.name;
    this.label = nameLabel(parts.name);
    const keeper: Keeper = {
      parts,
      mapAdded: () => events.changed(),
      mapRemoved: (map) => {
        for (const measured of this.#measured.values()) measured.forget(map);
      },
      closed: () => events.left(),
    };
    parts.engine.measurements.add(keeper);
    this.#keeper = new WeakRef(keeper);
    this.#measure(parts);
  }

  /** Its registry is there: it was not collected. */
  get isPresent(): boolean {
    return this.#keeper.deref() !== undefined;
  }

  /** Returns whether this is that registry. */
  isOf({ engine }: RegistryInternals): boolean {
    return this.#keeper.deref()?.parts.engine === engine;
  }

  /** Returns the metrics that it has now. */
  metrics(): RegistryMetric[] {
    const parts = this.#keeper.deref()?.parts;
    if (parts === undefined) return [];
    this.#measure(parts);
    return metricsOf(parts);
  }

  /** Returns its series of a metric. Never throws: that would break the whole scrape. If they cannot be read they are as before. */
  samples(metric: RegistryMetric): readonly (Sample | DistributionSample)[] {
    const parts = this.#keeper.deref()?.parts;
    if (parts === undefined) return [];
    try {
      const samples =
        metric.type === 'histogram' ? this.#measured.get(metric.name)?.samples(parts) : metric.read(parts);
      this.#last.set(metric.name, samples ?? []);
    } catch {
      parts.engine.failures.count('', 'collect');
    }
    return this.#last.get(metric.name) ?? [];
  }

  /** Counts that a metric could not be added, once: that is tried again whenever a map comes. */
  refused({ name }: RegistryMetric): void {
    if (this.#refused.has(name)) return;
    this.#refused.add(name);
    this.#keeper.deref()?.parts.engine.failures.count('', 'collect');
  }

  /** Measures nothing any more. */
  leave(): void {
    const keeper = this.#keeper.deref();
    if (keeper === undefined) return;
    const { measurements } = keeper.parts.engine;
    measurements.delete(keeper);
    for (const measured of this.#measured.values()) measurements.delete(measured.measurements);
  }

  #measure(parts: RegistryInternals): void {
    for (const metric of metricsOf(parts)) {
      if (metric.type !== 'histogram' || this.#measured.has(metric.name)) continue;
      const measured = new MeasuredDistribution(metric);
      this.#measured.set(metric.name, measured);
      parts.engine.measurements.add(measured.measurements);
    }
  }
}
