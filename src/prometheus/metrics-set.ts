import { MapsweepError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import type { RegistryInternals } from '../registry/internals.js';
import { metricNames, type RegistryMetric } from './catalogue.js';
import { Member } from './member.js';
import type { MetricsRegister } from './peer.js';
import { ServedMetric } from './served-metric.js';

// It stands on the register itself, so that several copies of this package find each other's sets. Its symbol is
// registered for the same reason.
const sets: unique symbol = Symbol.for('mapsweep.metrics-sets') as never;

type Holder = MetricsRegister & { [sets]?: Map<string, MetricsSet> };

interface Registration {
  readonly member: Member;
  readonly undo: () => void;
}

/** The metrics under one prefix on one register, of as many registries as there are: each is a label of theirs. */
export class MetricsSet {
  readonly #register: MetricsRegister;
  readonly #prefix: string;
  readonly #metrics = new Map<string, ServedMetric>();
  #registrations: Registration[] = [];

  private constructor(register: MetricsRegister, prefix: string) {
    this.#register = register;
    this.#prefix = prefix;
  }

  /** Returns the set of a register and a prefix. */
  static of(register: MetricsRegister, prefix: string): MetricsSet {
    const holder: Holder = register;
    // Not enumerable, so that a register prints as before.
    if (holder[sets] === undefined) Object.defineProperty(holder, sets, { value: new Map() });
    const ofRegister = holder[sets] as Map<string, MetricsSet>;
    const set = ofRegister.get(prefix) ?? new MetricsSet(register, prefix);
    ofRegister.set(prefix, set);
    return set;
  }

  /**
   * Adds the metrics of a registry; of one that is there already, those that are missing on the register.
   *
   * @returns takes them away again; idempotent, and the same function for the same registry
   * @throws MapsweepError `ERR_METRICS_CONFLICT` if another registry of that name is there, or another metric has one of
   *   the names; nothing has changed then
   */
  add(parts: RegistryInternals): () => void {
    this.#dropAbsent();
    const known = this.#registrations.find(({ member }) => member.isOf(parts));
    this.#assertFree(parts, known);
    if (known !== undefined) {
      this.#sync(true);
      return known.undo;
    }
    const member = new Member(parts, { changed: () => this.#sync(), left: () => this.#leave(member) });
    return this.#join(member);
  }

  // A method of its own, so that what it returns, which others keep, has no way to the registry.
  #join(member: Member): () => void {
    const undo = () => this.#leave(member);
    this.#registrations.push({ member, undo });
    this.#sync(true);
    return undo;
  }

  #leave(member: Member): void {
    member.leave();
    this.#registrations = this.#registrations.filter((registration) => registration.member !== member);
    this.#sync();
  }

  #assertFree(parts: RegistryInternals, known: Registration | undefined): void {
    const taken = metricNames.find((name) => {
      const metric = this.#register.getSingleMetric(this.#prefix + name);
      return metric !== undefined && metric !== this.#metrics.get(name);
    });
    if (taken !== undefined) {
      throw new MapsweepError(
        'ERR_METRICS_CONFLICT',
        `register: there is a metric '${this.#prefix}${taken}' there already, which is none of mapsweep's. Give the ` +
          'registry a prefix or a register of its own',
      );
    }
    const twin = this.#registrations.find(({ member }) => member.name === parts.name);
    if (twin === undefined || twin === known) return;
    throw new MapsweepError(
      'ERR_METRICS_CONFLICT',
      `register: another registry has the name ${shownKey(parts.name)} there, and their series could not be told apart. Give ` +
        'this one a name of its own, as createRegistry({ name })',
    );
  }

  /**
   * Brings the register in step with what the registries have.
   *
   * @param restores whether what `register.clear()` has taken away is to come back
   */
  #sync(restores = false): void {
    const needed = new Set<string>();
    for (const { member } of this.#registrations) {
      for (const metric of member.metrics()) {
        needed.add(metric.name);
        if (restores || !this.#metrics.has(metric.name)) this.#put(metric, member);
      }
    }
    for (const [name, metric] of this.#metrics) {
      if (needed.has(name)) continue;
      this.#metrics.delete(name);
      if (this.#register.getSingleMetric(this.#prefix + name) === metric) {
        this.#register.removeSingleMetric(this.#prefix + name);
      }
    }
  }

  #put(metric: RegistryMetric, member: Member): void {
    const { name } = metric;
    const there = this.#register.getSingleMetric(this.#prefix + name);
    const served = this.#metrics.get(name) ?? new ServedMetric(this.#prefix, metric, () => this.#present());
    if (there === served) return;
    // A map that was adopted later has brought a metric, and meanwhile somebody else has taken its name.
    if (there !== undefined) {
      member.refused(metric);
      return;
    }
    this.#metrics.set(name, served);
    this.#register.registerMetric(served as never);
  }

  /** Returns the registries that are there, of which some may have been collected since the last scrape. */
  #present(): Member[] {
    this.#dropAbsent();
    return this.#registrations.map(({ member }) => member);
  }

  #dropAbsent(): void {
    if (this.#registrations.every(({ member }) => member.isPresent)) return;
    this.#registrations = this.#registrations.filter(({ member }) => member.isPresent);
    this.#sync();
  }
}
