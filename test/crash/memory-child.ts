/**
 * A service whose memory fills. Arguments: how, and the folder of its reports.
 *
 * - `leak`: a map gains entries for ever, beside one that is healthy, until the process dies
 * - `shed`: a cache that may shed gains a million entries, more than the heap can hold, beside some that are guarded
 * - `keep`: the same cache may not
 * - `resident`: buffers outside of the heap grow, in a container that allows 300 MB
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { createRegistry, type MemoryPressureEvent } from '../../src/index.js';

const [how = '', reportTo = ''] = process.argv.slice(2);

const say = (what: object): boolean => process.stdout.write(`${JSON.stringify(what)}\n`);
const told = ({ kind, level, ratio, shedding, report }: MemoryPressureEvent) =>
  say({ kind, level, ratio, shedding, report });

if (how === 'leak') await leak();
else if (how === 'shed' || how === 'keep') await shed();
else await growResident();

async function leak(): Promise<void> {
  const registry = createRegistry<{ contexts: Map<string, object>; runs: Map<string, object> }>({
    maps: { contexts: {}, runs: { ttl: '1s' } },
    memory: { reportTo },
    captureSites: 0.01,
    sweepEvery: '1s',
  });
  registry.on('memory-pressure', told);
  for (let n = 0; ; n += 1) {
    startRun(registry.maps.contexts, n);
    registry.maps.runs.set(`run-${n}`, {});
    registry.maps.runs.delete(`run-${n - 10}`);
    if (n % 100 === 0) await turn();
  }
}

function startRun(contexts: Map<string, object>, n: number): void {
  contexts.set(`context-${n}`, { prompt: `Look into ticket ${n}. `.repeat(20).split(' ') });
}

async function shed(): Promise<void> {
  const registry = createRegistry<{ cache: Map<number, object> }>({
    maps: { cache: { shed: how === 'shed', keepWhile: (_, key) => key < 1_000 } },
    // Low, since a heap of 96 MB has little room for what comes between two major collections at 40 MB a second.
    memory: { reportTo, warnAt: 0.4, shedAt: 0.5 },
  });
  registry.on('memory-pressure', told);
  const { cache } = registry.maps;
  for (let n = 0; n < 1_000_000; n += 1) {
    cache.set(n, { body: new Array(120).fill(n + 0.5) });
    if (n % 50 === 0) await sleep(1);
  }
  let guarded = 0;
  for (let n = 0; n < 1_000; n += 1) if (cache.has(n)) guarded += 1;
  const { evicted } = registry.report().maps[0]?.removed ?? {};
  say({ size: cache.size, evicted, guarded, hasNewest: cache.has(999_999), hasOldest: cache.has(1_000) });
  await registry.close();
}

async function growResident(): Promise<void> {
  process.constrainedMemory = () => 300 * 2 ** 20;
  const registry = createRegistry<{ sockets: Map<number, Buffer> }>({
    maps: { sockets: {} },
    memory: { reportTo },
    // A look every 20 ms: between two of them the set grows by less than lies between a warning and shedding.
    sweepEvery: 20,
  });
  let isOver = false;
  registry.on('memory-pressure', (event) => {
    told(event);
    isOver = true;
  });
  for (let n = 0; n < 1_000 && !isOver; n += 1) {
    registry.maps.sockets.set(n, Buffer.alloc(2 ** 20, 1));
    await sleep(1);
  }
  await sleep(500);
  await registry.close();
}
