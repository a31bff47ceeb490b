/**
 * One side, in its own process: a gateway on plain Maps or on mapsweep, the client that plays the batch against it,
 * and the measurements.
 *
 * Time is mapsweep's manual clock, for both: the client moves it on between its requests, so that a day of gateway time
 * takes seconds, and every time-out comes when it is due and not when the machine gets round to it.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { createManualClock } from 'mapsweep/testing';
import { BATCH_STARTS_AT, createBatch, type Run } from './batch.ts';
import { GatewayClient } from './client.ts';
import { ContextEngine } from './context-engine.ts';
import { count } from './figures.ts';
import { createGateway, type Pages, type Registries } from './gateway.ts';
import { createMapsweepRegistries } from './mapsweep-registries.ts';
import { createMetricsPage } from './metrics-page.ts';
import { createPlainRegistries } from './plain-registries.ts';
import type { SideMessage, SideResult, SideSetup } from './side-process.ts';

const PROGRESS_EVERY_MS = 80;
/** When it serves on, a second of real time is a minute of gateway time. */
const SERVED_MINUTE_MS = 1_000;
const SERVED_MINUTES_BETWEEN_EVENTS = 10;

/** What differs between the sides. */
interface Side {
  registries: Registries;
  pages: Pages;
  close(): Promise<void>;
  /** What it has to say besides its figures. */
  words(): Pick<SideResult, 'report' | 'explanation'>;
}

const setup = JSON.parse(process.argv[2] ?? '{}') as SideSetup;
const clock = createManualClock({ startAt: BATCH_STARTS_AT });
const engine = new ContextEngine(setup.seed);

// The parent is gone or wants to be: there is nothing to keep.
process.once('disconnect', () => process.exit());
process.once('SIGINT', () => process.exit());

const batch = createBatch(setup);
const { registries, pages, close, words } = setup.side === 'plain' ? plainSide() : await mapsweepSide();

const server = createGateway(registries, clock, { pages });
// The client's sockets are idle for as long as it takes to move the clock on; the server is not to hang up on them.
server.keepAliveTimeout = 120_000;
server.listen(setup.servePort ?? 0, '127.0.0.1');
await once(server, 'listening').catch((error: unknown) => {
  process.stderr.write(
    `\nThe gateway cannot listen: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
});
const { port } = server.address() as AddressInfo;
const client = new GatewayClient(port, setup.seed);
await client.warmUp();

const before = await heapInUse();
const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
const startedAt = performance.now();
let progressAt = 0;
const lost = await client.play(batch, clock, {
  onProgress: (progress) => {
    if (performance.now() - progressAt < PROGRESS_EVERY_MS && progress.gatewayMs < batch.endMs) return;
    progressAt = performance.now();
    process.send?.({ type: 'progress', progress } satisfies SideMessage);
  },
});
const wallMs = performance.now() - startedAt;
delays.disable();

const result: SideResult = {
  figures: {
    requests: batch.operations.length,
    ...count(batch, registries, engine, lost),
    heapBytes: { before, after: await heapInUse() },
    blockMs: { longest: delays.max / 1e6, p99: delays.percentile(99) / 1e6 },
    wallMs,
  },
  ...words(),
  port,
};
await new Promise((resolve) => process.send?.({ type: 'result', result } satisfies SideMessage, resolve));
if (setup.servePort === undefined) {
  client.close();
  server.close();
  await close();
  process.disconnect();
} else {
  await serveOn(batch.runs.filter((run) => run.active));
}

function plainSide(): Side {
  return {
    registries: createPlainRegistries(engine, clock),
    pages: {},
    close: async () => {},
    words: () => ({}),
  };
}

async function mapsweepSide(): Promise<Side> {
  const { registry, registries } = createMapsweepRegistries({
    clock,
    tell: ({ key }) => engine.subagentEnded(key),
  });
  if (setup.noSweep) registry.stop();
  return {
    registries,
    pages:
      setup.servePort === undefined
        ? {}
        : {
            '/report': async () => ({ type: 'text/plain; charset=utf-8', body: `${registry.report()}\n` }),
            '/metrics': await createMetricsPage(registry),
          },
    close: async () => {
      const closed = registry.close({ deadline: '10s' });
      await clock.advance(10_000);
      await closed;
    },
    words: () => {
      // No subagent run holds this one: its context lives by what it says, and half an hour of silence would end it.
      const survivor = batch.runs.find((run) => run.active && run.kind === 'main')!.ids.at(-1)!;
      return {
        report: String(registry.report()),
        explanation: inspect(registry.explain('runContextById', survivor), { breakLength: 76 }),
      };
    },
  };
}

/** Lets gateway time go on, and the active runs go on talking, until the process is stopped. */
async function serveOn(active: readonly Run[]): Promise<void> {
  for (let minute = 1; ; minute++) {
    await sleep(SERVED_MINUTE_MS);
    await clock.advance(60_000);
    if (minute % SERVED_MINUTES_BETWEEN_EVENTS !== 0) continue;
    for (const run of active) await client.send({ runId: run.ids.at(-1)!, action: { kind: 'event' } });
  }
}

async function heapInUse(): Promise<number> {
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc?.();
    // Finalizers and the last closed sockets want a turn of the event loop.
    await nextTurn();
  }
  return process.memoryUsage().heapUsed;
}
