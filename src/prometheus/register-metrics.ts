import { MapsweepError } from '../errors.js';
import type { RegistryMaps } from '../maps/collection-types.js';
import { invalidRange, invalidType, type Reader, readName, readOptions } from '../policy/read-options.js';
import { partsOf } from '../registry/internals.js';
import type { Registry } from '../registry/registry.js';
import { MetricsSet } from './metrics-set.js';
import {
  installedRegister,
  type MetricsClient,
  type MetricsRegister,
  readClient,
  readRegister,
} from './peer.js';
import { readPrefix } from './prefix.js';

/** The options of `registerMetrics`. */
export interface MetricsOptions {
  /** The register that gets the metrics, of prom-client 15 or @prometheus-io/client. Default: the default one of `client`. */
  register?: MetricsRegister;
  /**
   * The module of one of them, as `import * as client from 'prom-client'` gives it. Default: the one that is installed;
   * with both installed, one of these two options has to be given.
   */
  client?: MetricsClient;
  /** Stands before every name: letters, digits, `_` and `:`, no digit first. Default `'mapsweep_'`. */
  prefix?: string;
  /**
   * Reasons of your own that `end` is given and that `ended_total` counts by themselves, from now on and on every register
   * of this registry; any other text counts as `other`. At most 50, of 1 to 128 characters. Default: none.
   */
  reasons?: readonly string[];
}

/** Each is a series for ever. */
const mostReasons = 50;

/**
 * Adds the metrics of a registry to a register. Values are read when they are scraped, which costs a little for each map,
 * whatever its size. Each series has the `name` of the registry as its label `registry`, so that several registries
 * share a register. No collector ever throws. To register the same registry again changes nothing, but brings back what
 * `register.clear()` has taken away. When the registry is closed its series leave.
 *
 * @returns takes the metrics away again; the same function for the same registration
 * @throws MapsweepTypeError or MapsweepRangeError if an argument is wrong; MapsweepError `ERR_CLOSED` if the registry is
 *   closed, `ERR_METRICS_CONFLICT` if another registry has the same name there, or another metric one of the names,
 *   `ERR_MISSING_PEER` without a client, and `ERR_AMBIGUOUS_PEER` with both and no option that says which. Nothing has
 *   been registered then
 */
export function registerMetrics<M extends RegistryMaps>(
  registry: Registry<M>,
  options: MetricsOptions = {},
): () => void {
  const parts = partsOf(registry);
  const {
    prefix = 'mapsweep_',
    reasons = [],
    ...read
  } = readOptions('', options, {
    register: readRegister,
    client: readClient,
    prefix: readPrefix,
    reasons: readReasons,
  });
  // They leave when it is closed, which comes once.
  if (parts.isClosed) throw new MapsweepError('ERR_CLOSED', 'registerMetrics: the registry is closed');
  const undo = MetricsSet.of(read.register ?? read.client?.register ?? installedRegister(), prefix).add(
    parts,
  );
  for (const reason of reasons) parts.endings?.countReason(reason);
  return undo;
}

const readReasons: Reader<readonly string[]> = (value, option) => {
  const allowed = `an array of at most ${mostReasons} texts`;
  if (!Array.isArray(value)) throw invalidType(option, allowed, value);
  if (value.length > mostReasons) throw invalidRange(option, allowed, value.length);
  return value.map((reason, index) => readName(reason, `${option}[${index}]`));
};
