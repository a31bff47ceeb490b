/**
 * `--serve`: a gateway that leaks and one that is swept, under the same load, in real time, with a page for each, both
 * side by side, and the metrics of both. On loopback alone.
 *
 * The leaking one has the plain Maps of the batch, and a registry that observes them: it removes nothing.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { GatewayClient } from './client.ts';
import { createGateway, type Registries, type RunRecord } from './gateway.ts';
import { playOn } from './load.ts';
import { createMapsweepRegistries } from './mapsweep-registries.ts';
import { createMetricsPage } from './metrics-page.ts';
import { createPlainRegistries } from './plain-registries.ts';
import { sideBySide } from './side-by-side.ts';

const FIRST_CALL_FAILS = 0.06;
const UNFINISHED_FOR_MS = 30_000;
const LOOPBACK_NAME = /^(localhost|127\.0\.0\.1)(:\d+)?$/i;

/** How it is served. */
export interface Serving {
  /** 0 is any. */
  port: number;
  seed: number;
  /** Called when there is something to see, with the address. */
  onReady: (address: string) => void;
  /** Ends it. */
  signal: AbortSignal;
}

/** Real time; a time-out of the gateway's keeps no process alive. */
const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (call, ms) => setTimeout(call, ms).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** Serves until the signal comes. Rejects when it cannot listen, or when a gateway does not answer. */
export async function serve({ port, seed, onReady, signal }: Serving): Promise<void> {
  const plain = createPlainRegistries({ subagentEnded: tell }, clock);
  const leaking = createMapsweepRegistries({ clock, ...watched('plain', plain), mode: 'observe' });
  const swept = createMapsweepRegistries({ clock, tell, ...watched('mapsweep') });

  const pages = {
    plain: statusPage(leaking.registry, { refresh: '2s' }),
    mapsweep: statusPage(swept.registry, { refresh: '2s', allow: 'actions' }),
  };
  const metrics = await createMetricsPage(leaking.registry, swept.registry);
  const show = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path = '/'] = (request.url ?? '/').split('?');
    const [, name = ''] = path.split('/');
    if (name === 'plain' || name === 'mapsweep') return pages[name](request, response);
    // As the pages do: any other name may be that of a site which has it point to this machine.
    if (!LOOPBACK_NAME.test(request.headers.host ?? '')) {
      response.writeHead(403).end();
      return;
    }
    const body = name === 'metrics' ? await metrics() : path === '/' && (await sideBySide(address));
    if (body === false) response.writeHead(404).end();
    else response.writeHead(200, body.headers).end(body.text);
  };
  const index = createServer((request, response) => {
    show(request, response).catch((error) => response.destroy(error));
  });
  const gateways = [plain, swept.registries].map((registries) => createGateway(registries, clock));
  const address = `http://127.0.0.1:${await listen(index, port)}`;
  const clients = await Promise.all(
    gateways.map(async (gateway) => new GatewayClient(await listen(gateway, 0), seed)),
  );
  onReady(address);
  try {
    await playOn(clients, seed, signal);
  } finally {
    for (const client of clients) client.close();
    for (const server of [index, ...gateways]) {
      server.close();
      server.closeAllConnections();
    }
    for (const { registry } of [leaking, swept]) await registry.close({ deadline: '1s' });
  }
}

/** The context engine: it cannot be reached at times. */
async function tell(): Promise<void> {
  if (Math.random() < FIRST_CALL_FAILS) throw new Error('the context engine cannot be reached');
}

/** What a gateway watched by mapsweep has that is to be seen in minutes: short lives, and many sweeps. */
function watched(name: string, maps?: Registries) {
  return {
    name,
    maps,
    sweepEvery: '1s',
    captureSites: 1,
    // The verdict takes half a cycle of the load, which is a day: of this load, which is the same at any time, 3 minutes
    // are one, so that it comes within two.
    leakDetection: { cycle: '3m' },
    overrides: {
      subagentRuns: {
        ttl: '5s',
        expiresAt: ({ endedAt, cleanupCompletedAt }: RunRecord) =>
          endedAt === undefined || cleanupCompletedAt !== undefined ? undefined : endedAt + UNFINISHED_FOR_MS,
        maxIdle: UNFINISHED_FOR_MS,
      },
      runContextById: { orphanAfter: '10s' },
      seqByRun: { orphanAfter: '10s' },
    },
  } as const;
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
