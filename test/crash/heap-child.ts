/**
 * A service with little memory, whose recipient never answers: so many runs register, end and leave, and all of their
 * endings are pending. Arguments: how many, and the folder of a journal if there is one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createRegistry } from '../../src/index.js';

const [count = '', folder] = process.argv.slice(2);
const registry = createRegistry<{ runs: Map<string, number> }>({
  maps: { runs: { maxIdle: '1h' } },
  ended: { map: 'runs', deliver: () => new Promise(() => {}), attemptTimeout: '1h' },
  ...(folder !== undefined && { persistTo: folder }),
});
for (let n = 0; n < Number(count); n += 1) {
  const key = `run:${n}`;
  registry.maps.runs.set(key, n);
  registry.end(key);
  registry.maps.runs.delete(key);
  if (n % 10_000 === 0) await sleep(0);
}
await registry.flushed();
await sleep(500);
process.stdout.write(String(registry.report().endings?.pending));
process.exit(0);
