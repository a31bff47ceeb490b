/** The `/metrics` page of `--serve`: mapsweep's metrics, on a register of their own. */
import type { Registry, RegistryMaps } from 'mapsweep';

/**
 * Registers the metrics; resolves with the page that shows them. Both modules are loaded on demand: prom-client is an
 * optional peer of mapsweep, and a demo that serves nothing needs neither.
 */
export async function createMetricsPage<M extends RegistryMaps>(...registries: Registry<M>[]) {
  const [{ Registry: Register }, { registerMetrics }] = await Promise.all([
    import('prom-client'),
    import('mapsweep/prometheus'),
  ]);
  const register = new Register();
  for (const registry of registries) registerMetrics(registry, { register });
  return async () => ({
    headers: { 'content-type': register.contentType },
    text: await register.metrics(),
  });
}
