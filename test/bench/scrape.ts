/**
 * What a scrape costs with four maps of a size.
 */
import { BusyTime } from './busy-time.js';
import { liveBytes } from './heap.js';
import type { Figures } from './operations.js';
import { median } from './statistics.js';
import { createWorkload } from './workload.js';

const names = ['runs', 'contexts', 'sequences', 'errors'] as const;

/** Scrapes four maps of `size` entries again and again. */
export async function measureScrape(packageName: string, size: number): Promise<Figures> {
  const { createRegistry } = (await import(packageName)) as typeof import('mapsweep');
  const { registerMetrics } = (await import(
    `${packageName}/prometheus`
  )) as typeof import('mapsweep/prometheus');
  const { Registry } = await import('prom-client');
  const registry = createRegistry<Record<(typeof names)[number], Map<string, unknown>>>({
    maps: {
      runs: { maxIdle: '5m' },
      contexts: { maxIdle: '5m' },
      sequences: { ttl: '5m' },
      errors: { ttl: '5m' },
    },
    ended: { map: 'runs', deliver: async () => {} },
  });
  const register = new Registry();
  const undo = registerMetrics(registry, { register });
  for (let scrape = 0; scrape < 300; scrape += 1) await register.metrics();
  const { keys, values } = createWorkload(size);
  for (const name of names) {
    const map = registry.maps[name];
    for (let index = 0; index < size; index += 1) map.set(keys[index] as string, values[index]);
  }
  await liveBytes();
  const took: number[] = [];
  let length = 0;
  for (let scrape = 0; scrape < 101; scrape += 1) {
    const time = new BusyTime();
    length += (await register.metrics()).length;
    took.push(time.busyMs);
  }
  undo();
  registry.stop();
  return { scrapeMs: median(took), scrapeFirstMs: took[0] as number, scrapeBytes: length / took.length };
}
