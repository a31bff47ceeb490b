/** The `/metrics` page of `--serve`: mapsweep's metrics, on a register of their own. */
import type { Registry, RegistryMaps } from 'mapsweep';
import type { Page } from './gateway.ts';

/**
 * Registers the metrics; resolves with the page that shows them. Both modules are loaded on demand: prom-client is an
 * optional peer of mapsweep, and a side that serves nothing needs neither.
 */
export async function createMetricsPage<M extends RegistryMaps>(registry: Registry<M>): Promise<Page> {
  const [{ Registry: Register }, { registerMetrics }] = await Promise.all([
    import('prom-client'),
    import('mapsweep/prometheus'),
  ]);
  const register = new Register();
  registerMetrics(registry, { register });
  return async () => ({ type: register.contentType, body: await register.metrics() });
}
