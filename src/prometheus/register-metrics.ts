import { MapsweepError } from '../errors.js';
import type { RegistryMaps } from '../maps/collection-types.js';
import { kind } from '../policy/checks.js';
import { invalidRange, invalidType, type Reader, readOptions } from '../policy/read-options.js';
import { internalsOf } from '../registry/internals.js';
import type { Registry } from '../registry/registry.js';
import { type MetricsRegister, promClient } from './peer.js';
import { MetricsRegistration, metricNames, registrationOf } from './registration.js';

/** The options of `registerMetrics`. */
export interface MetricsOptions {
  /** The register of prom-client that gets the metrics. Default: prom-client's own, `register`. */
  register?: MetricsRegister;
  /** Stands before every name: letters, digits, `_` and `:`, no digit first. Default `'mapsweep_'`. */
  prefix?: string;
}

/**
 * Adds the metrics of a registry to a register of prom-client. Values are read when they are scraped, which costs a
 * little for each map, whatever its size. No collector ever throws. To register the same registry again changes nothing.
 *
 * @returns takes the metrics away again; the same function for the same registration
 * @throws MapsweepTypeError or MapsweepRangeError if an argument is wrong; MapsweepError `ERR_METRICS_CONFLICT` if the
 *   names are taken, by another registry or another metric, and `ERR_MISSING_PEER` without prom-client. Nothing has
 *   been registered then
 */
export function registerMetrics<M extends RegistryMaps>(
  registry: Registry<M>,
  options: MetricsOptions = {},
): () => void {
  const parts = internalsOf(registry);
  if (parts === undefined) throw invalidType('registry', 'a registry, made by createRegistry', registry);
  const { prefix = 'mapsweep_', ...read } = readOptions('', options, {
    register: readRegister,
    prefix: readPrefix,
  });
  const register = read.register ?? promClient().register;
  for (const name of metricNames.map((own) => prefix + own)) {
    const registration = registrationOf(register, name);
    if (registration?.isOf(parts)) return registration.undo;
    if (registration?.isOrphaned) registration.undo();
    if (register.getSingleMetric(name) === undefined) continue;
    const by = registration === undefined ? 'there is' : 'another registry has';
    throw new MapsweepError(
      'ERR_METRICS_CONFLICT',
      `register: ${by} a metric '${name}' there already. Give this registry a prefix or a register of its own`,
    );
  }
  return new MetricsRegistration(parts, register, prefix).undo;
}

const readRegister = kind<MetricsRegister>('a Registry of prom-client', (value) => {
  const register = value as Partial<MetricsRegister> | null;
  return typeof register?.registerMetric === 'function' && typeof register.getSingleMetric === 'function';
});

const readPrefix: Reader<string> = (value, option) => {
  const allowed = "letters, digits, '_' and ':', without a digit first";
  if (typeof value !== 'string') throw invalidType(option, `a string of ${allowed}`, value);
  if (!/^([a-z_:][a-z\d_:]*)?$/i.test(value)) throw invalidRange(option, allowed, value);
  return value;
};
