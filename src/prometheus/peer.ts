import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import { MapsweepError } from '../errors.js';

/** A register of prom-client, of either format. */
export type MetricsRegister =
  | PromClient.Registry<PromClient.PrometheusContentType>
  | PromClient.Registry<PromClient.OpenMetricsContentType>
  | PromClient.Registry<PromClient.RegistryContentType>;

/**
 * Loads prom-client, which the application brings along. Only when it is needed, so that its absence is one clear error
 * of the call that needs it.
 *
 * @throws MapsweepError `ERR_MISSING_PEER` if it is not installed
 */
export function promClient(
  load: (name: string) => unknown = createRequire(import.meta.url),
): typeof PromClient {
  try {
    return load('prom-client') as typeof PromClient;
  } catch (cause) {
    const message =
      'mapsweep/prometheus needs prom-client, which could not be loaded. Install it: npm install prom-client@15';
    throw new MapsweepError('ERR_MISSING_PEER', message, { cause });
  }
}
