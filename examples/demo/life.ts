/**
 * One life of a gateway on mapsweep that keeps a journal, in a process that is killed with SIGKILL; and the client that
 * plays the batch on from where the life before was killed.
 *
 * Each life has a manual clock of its own, which starts at the wall time of the kill and some time after. The
 * journal is written in real time.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createManualClock } from 'mapsweep/testing';
import { BATCH_STARTS_AT, createBatch } from './batch.ts';
import { GatewayClient } from './client.ts';
import { ContextEngine } from './context-engine.ts';
import type { Delivery } from './crash-figures.ts';
import { DurableLines } from './durable-lines.ts';
import { countEntries } from './figures.ts';
import { createGateway, type Registries } from './gateway.ts';
import { filesIn, type LifeMessage, type LifeSetup } from './life-process.ts';
import { createMapsweepRegistries } from './mapsweep-registries.ts';
import { RunStore } from './run-store.ts';

// The parent is gone or wants to be: there is nothing to keep.
process.once('disconnect', () => process.exit());
process.once('SIGINT', () => process.exit());

const [setup] = (await once(process, 'message')) as [LifeSetup];
const files = filesIn(setup.folder);
const clock = createManualClock({ startAt: BATCH_STARTS_AT + setup.startsAtMs, seed: setup.life });
const engine = new ContextEngine(setup.seed);
const heard = new DurableLines<Delivery>(files.deliveries);
const store = new RunStore(files.store);

// The runs are loaded before the registry adopts them: it takes those that are complete for announced then, also those
// that are in no journal.
const { registry, registries } = createMapsweepRegistries({
  clock,
  maps: { subagentRuns: store.loaded.runs },
  persistTo: files.journal,
  tell: async ({ key: runId, id: ownId, reason }) => {
    const id = store.nameEnding(runId, ownId);
    await engine.subagentEnded(runId);
    heard.append({ runId, id, reason, life: setup.life }, { flush: true });
    const run = registries.subagentRuns.get(runId);
    if (run === undefined) return;
    run.cleanupCompletedAt ??= clock.now();
    store.save(run);
  },
});
// A run that went on under another id before the kill is not lost, which the journal need not know.
for (const [from, to] of store.loaded.restarts) registry.transfer(from, to);
registry.on('swept', ({ map, key }) => {
  if (map === 'subagentRuns') store.remove(String(key));
});
const kept: Registries = {
  ...registries,
  changed: (run) => store.save(run),
  restarted: (from, to) => {
    store.restart(from, registries.subagentRuns.get(to)!);
    registries.restarted(from, to);
  },
};

const send = (message: LifeMessage) => process.send?.(message);

// Requests that have been read and wait: one of them is under way when the parent kills instead of nodding.
const waiting: (() => void)[] = [];
process.on('message', () => waiting.shift()?.());
const admit = async () => {
  if (setup.watchFromMs === undefined || clock.now() - BATCH_STARTS_AT < setup.watchFromMs) return;
  send({ type: 'request' });
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
  });
};

const server = createGateway(kept, clock, { admit });
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const client = new GatewayClient(port, setup.seed);

const batch = createBatch(setup);
await client.play(batch, clock, {
  from: setup.from,
  beforeStep: (progress) => send({ type: 'step', progress }),
});

const result: LifeMessage = { type: 'result', result: { entries: countEntries(batch, registries) } };
const closed = registry.close({ deadline: '10s' });
await clock.advance(10_000);
await closed;
client.close();
server.close();
await new Promise((resolve) => process.send?.(result, resolve));
process.disconnect();
