/**
 * One life of a service that is going to be killed: registers runs, ends some, and appends every ending that it is told
 * of to a log on disk. Arguments: folder, number of the life, `finish` for the last one, which ends by itself.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createRegistry } from '../../src/index.js';

const [folder = '.', life = '0', mode] = process.argv.slice(2);
const isLast = mode === 'finish';
const log = openSync(join(folder, 'deliveries.log'), 'a');

const registry = createRegistry<{ runs: Map<string, { life: string }> }>({
  maps: { runs: { maxIdle: '1h' } },
  ended: {
    map: 'runs',
    deliver: async ({ id, key, generation, reason }) => {
      // The effect, durable before the attempt counts as a success.
      writeSync(log, `${JSON.stringify({ id, key, generation, reason, life })}\n`);
      fsyncSync(log);
      // Time in which a kill falls between the effect and its record.
      await new Promise((resolve) => setTimeout(resolve, 2));
    },
    minDelay: '5ms',
    maxDelay: '20ms',
  },
  sweepEvery: '50ms',
  persistTo: { path: join(folder, 'state.json'), every: '10ms' },
  // Runs of the lives before come back in half of the lives, and are lost in the others.
  restoreWindow: isLast ? '50ms' : '40ms',
});

if (isLast) {
  setTimeout(async () => {
    const { undelivered } = await registry.close({ deadline: '20s' });
    closeSync(log);
    process.disconnect();
    process.exitCode = undelivered === 0 ? 0 : 1;
  }, 300);
} else {
  let count = 0;
  setInterval(() => {
    for (let index = 0; index < 3; index += 1) {
      const key = `life-${life}-run-${count++}`;
      registry.maps.runs.set(key, { life });
      if (count % 3 === 0) registry.end(key);
      if (count % 5 === 0) registry.maps.runs.delete(key);
    }
    // Work that is done, not time that has passed, says when to be killed: the machine may be slow.
    process.send?.('batch');
  }, 4);
}
