/**
 * One life of a service that is going to be killed: registers runs, ends some, and appends every ending that it is told
 * of to a log on disk. It begins when the parent says so, and tells the parent what the journal has acknowledged.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRegistry } from '../../src/index.js';
import { FreeTime } from './free-time.js';
import { type Begin, runsOfBatch, type Word } from './protocol.js';

process.once('message', (begin: Begin) => void live(begin));

async function live({ folder, life, isLast, comingBack }: Begin): Promise<void> {
  const log = openSync(join(folder, 'deliveries.log'), 'a');
  /** Endings whose delivery is over, as the registry knows too. */
  let delivered: string[] = [];

  const registry = createRegistry<{ runs: Map<string, { life: number }> }>({
    maps: { runs: { maxIdle: '1h' } },
    ended: {
      map: 'runs',
      deliver: async ({ id, key, generation, reason }) => {
        // The effect, durable before the attempt counts as a success.
        writeSync(log, `${JSON.stringify({ id, key, generation, reason, life })}\n`);
        fsyncSync(log);
        // Time in which a kill falls between the effect and its record.
        await sleep(2);
        setImmediate(() => delivered.push(id));
      },
      minDelay: '5ms',
      maxDelay: '20ms',
    },
    sweepEvery: '50ms',
    persistTo: join(folder, 'journal'),
    // Less than most lives last: runs that do not come back end as lost in this life or the next.
    restoreWindow: '40ms',
  });
  for (const key of comingBack) registry.maps.runs.set(key, { life });
  // Some of them end now, so that their end is told in another life than their registration.
  for (const [index, key] of comingBack.entries()) if (index % 3 === 0) registry.end(key);

  if (isLast) {
    await sleep(300);
    const { undelivered } = await registry.close({ deadline: '20s' });
    closeSync(log);
    process.disconnect();
    process.exitCode = undelivered === 0 ? 0 : 1;
    return;
  }

  const word: Word = { batches: 0, flushed: 0, promised: 0, settled: [] };
  const registeredAt: number[] = [];
  const free = new FreeTime(folder);
  setInterval(() => {
    for (const { key, ends, leaves } of runsOfBatch(life, word.batches)) {
      registry.maps.runs.set(key, { life });
      if (ends) registry.end(key);
      if (leaves) registry.maps.runs.delete(key);
    }
    registeredAt.push(performance.now());
    word.batches += 1;
    const { batches } = word;
    const settled = delivered;
    delivered = [];
    void registry.flushed().then(() => {
      word.flushed = batches;
      process.send?.({ ...word, settled });
    });
    while (word.promised < batches && free.since(registeredAt[word.promised] as number) >= 100)
      word.promised += 1;
    // Work that is done, not time that has passed, says when to be killed: the machine may be slow.
    process.send?.(word);
  }, 4);
}
