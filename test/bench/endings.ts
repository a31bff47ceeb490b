/**
 * How fast endings are delivered, and what they leave in memory.
 */
import { BusyTime } from './busy-time.js';
import { turn } from './event-loop.js';
import { liveBytes } from './heap.js';
import type { Figures } from './operations.js';
import { createWorkload } from './workload.js';

/** Ends `count` runs in one go, with a handler that is asynchronous and does nothing, and waits for the last delivery. */
export async function measureEndings(packageName: string, count: number): Promise<Figures> {
  const { createRegistry } = (await import(packageName)) as typeof import('mapsweep');
  const { keys, values } = createWorkload(count);
  let delivered = 0;
  const start = () =>
    createRegistry<{ runs: Map<string, unknown> }>({
      maps: { runs: { ttl: '5m' } },
      ended: {
        map: 'runs',
        deliver: async () => {
          delivered += 1;
        },
      },
    });
  const deliveredBy = async (total: number): Promise<void> => {
    while (delivered < total) await turn();
  };

  const warmUp = start();
  const few = keys.slice(0, 20_000);
  for (const key of few) warmUp.maps.runs.set(key, 0);
  for (const key of few) warmUp.end(key);
  await deliveredBy(few.length);
  warmUp.stop();
  delivered = 0;

  const registry = start();
  for (let index = 0; index < count; index += 1) registry.maps.runs.set(keys[index] as string, values[index]);
  const before = await liveBytes();
  const time = new BusyTime();
  for (const key of keys) registry.end(key);
  const claimedMs = time.busyMs;
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  await deliveredBy(count);
  const tookMs = time.busyMs;
  const after = await liveBytes();
  registry.stop();
  return {
    endingsPerSecond: (count / tookMs) * 1_000,
    claimNs: (claimedMs * 1e6) / count,
    endingsPeakBytes: (heapUsed + arrayBuffers - before) / count,
    endingsLeftKb: (after - before) / 1_024,
  };
}
