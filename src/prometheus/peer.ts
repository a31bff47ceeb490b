import { createRequire } from 'node:module';
import { MapsweepError } from '../errors.js';
import { kind } from '../policy/checks.js';

/**
 * What mapsweep uses of a register, that of prom-client or of @prometheus-io/client, of either format. A type of its
 * own, since either package may be absent.
 */
export interface MetricsRegister {
  /** The format of a scrape. */
  readonly contentType: string;
  /** Writes a scrape. */
  metrics(): Promise<string>;
  /** All metrics that are on it. */
  getMetricsAsArray(): readonly object[];
  /** The metric of a name, if it is there. */
  getSingleMetric(name: string): unknown;
  /** Takes a metric on. */
  registerMetric(metric: never): void;
  /** Takes the metric of a name off. */
  removeSingleMetric(name: string): void;
}

/** What mapsweep uses of the module of a client: its default register. */
export interface MetricsClient {
  /** Where metrics are registered by default. */
  readonly register: MetricsRegister;
}

/** Either package has a register of its own, and what is on one is not served from the other. */
const packageNames = ['prom-client', '@prometheus-io/client'] as const;

/** How packages are found and loaded. */
type Require = Pick<NodeJS.Require, 'resolve'> & ((name: string) => unknown);

/**
 * Returns the default register of the client that the application brings along. Loaded only when it is needed, so that its
 * absence is one clear error of the call that needs it.
 *
 * @throws MapsweepError `ERR_MISSING_PEER` if none is installed, `ERR_AMBIGUOUS_PEER` if both are
 */
export function installedRegister(require: Require = createRequire(import.meta.url)): MetricsRegister {
  const installed = packageNames.filter((name) => isInstalled(name, require));
  if (installed.length > 1) {
    throw new MapsweepError(
      'ERR_AMBIGUOUS_PEER',
      `${packageNames.join(' and ')} are both installed, each with a default register of its own, and metrics on the ` +
        'wrong one would be served by nobody. Say which one your service serves: ' +
        'registerMetrics(registry, { client }) or registerMetrics(registry, { register }), and metricsHandler(client.register)',
    );
  }
  try {
    return (require(installed[0] ?? packageNames[0]) as MetricsClient).register;
  } catch (cause) {
    const message =
      'mapsweep/prometheus needs prom-client 15 or @prometheus-io/client, which could not be loaded. Install one: ' +
      'npm install prom-client@15, or with Node 22 and later npm install @prometheus-io/client';
    throw new MapsweepError('ERR_MISSING_PEER', message, { cause });
  }
}

function isInstalled(name: string, require: Require): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** Reads a register of either package. */
export const readRegister = kind<MetricsRegister>(
  'a Registry of prom-client or @prometheus-io/client',
  (value) => {
    const register = value as Partial<MetricsRegister> | null | undefined;
    return typeof register?.registerMetric === 'function' && typeof register.getSingleMetric === 'function';
  },
);

/** Reads the module of either package. */
export const readClient = kind<MetricsClient>('the module prom-client or @prometheus-io/client', (value) => {
  const register = (value as Partial<MetricsClient> | null | undefined)?.register;
  return typeof register?.registerMetric === 'function';
});
