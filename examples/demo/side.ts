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
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createManualClock } from 'mapsweep/testing';
import { BATCH_STARTS_AT, createBatch } from './batch.ts';
import { GatewayClient } from './client.ts';
import { ContextEngine } from './context-engine.ts';
import { count, countSecondEnds, type Figures } from './figures.ts';
import { createGateway, type Registries } from './gateway.ts';
import { createMapsweepRegistries } from './mapsweep-registries.ts';
import { createPlainRegistries } from './plain-registries.ts';
import type { SideMessage, SideSetup } from './side-process.ts';

const PROGRESS_EVERY_MS = 80;

/** What differs between the sides. */
interface Side {
  registries: Registries;
  close(): Promise<void>;
  /** What its registry has done. */
  done(): { turnedAway: number; sweeps: number };
}

const setup = JSON.parse(process.argv[2] ?? '{}') as SideSetup;
const clock = createManualClock({ startAt: BATCH_STARTS_AT });
const engine = new ContextEngine(setup.seed);

// The parent is gone or wants to be: there is nothing to keep.
process.once('disconnect', () => process.exit());
process.once('SIGINT', () => process.exit());

const batch = createBatch(setup);
const { registries, close, done } = setup.side === 'plain' ? plainSide() : mapsweepSide();

const server = createGateway(registries, clock);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
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

const { turnedAway, sweeps } = done();
const figures: Figures = {
  requests: batch.operations.length,
  ...count(batch, registries, engine, lost),
  secondEnds: { reported: countSecondEnds(batch), turnedAway },
  heapBytes: { before, after: await heapInUse() },
  longestBlockMs: delays.max / 1e6,
  wallMs,
  sweeps,
};
await new Promise((resolve) => process.send?.({ type: 'result', figures } satisfies SideMessage, resolve));
client.close();
server.close();
await close();
process.disconnect();

function plainSide(): Side {
  return {
    registries: createPlainRegistries(engine, clock),
    close: async () => {},
    done: () => ({ turnedAway: 0, sweeps: 0 }),
  };
}

function mapsweepSide(): Side {
  const { registry, registries } = createMapsweepRegistries({
    clock,
    tell: ({ key }) => engine.subagentEnded(key),
  });
  if (setup.noSweep) registry.stop();
  let sweeps = 0;
  registry.on('sweep-finished', () => {
    sweeps++;
  });
  return {
    registries,
    close: async () => {
      const closed = registry.close({ deadline: '10s' });
      await clock.advance(10_000);
      await closed;
    },
    done: () => ({ turnedAway: registry.report().endings!.duplicates, sweeps }),
  };
}

async function heapInUse(): Promise<number> {
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc?.();
    // Finalizers and the last closed sockets want a turn of the event loop.
    await nextTurn();
  }
  return process.memoryUsage().heapUsed;
}
