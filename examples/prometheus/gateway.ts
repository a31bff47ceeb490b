/**
 * A small agent gateway with metrics, for a person to point Prometheus at:
 *
 *     npx tsx examples/prometheus/gateway.ts --load
 *
 *     curl -X POST 127.0.0.1:9464/runs              a run starts: {"runId":"run-1"}
 *     curl -X POST 127.0.0.1:9464/runs/run-1/end    it ends
 *     curl 127.0.0.1:9464/metrics                   what Prometheus reads
 *     curl 127.0.0.1:9464/report                    the same for a person
 *     curl 127.0.0.1:9464/health/ready              does it do its work: also /health/live, and /health for why not
 *
 * A run that is started and never ended is the leak. With --load the gateway starts and ends runs by itself; with
 * --leak one in ten of them is never ended. With --journal <folder> it survives a restart.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { createGatewayRegistry, healthHandler } from 'mapsweep';
import { metricsHandler, registerMetrics } from 'mapsweep/prometheus';

interface Run {
  startedAt: number;
  endedAt?: number;
  cleanupCompletedAt?: number;
  /** Somebody looks at it, so that it stays. */
  isWatched?: boolean;
}

interface RunContext {
  prompt: string;
  lastActiveAt: number;
}

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '9464' },
    'sweep-every': { type: 'string', default: '60s' },
    'leak-cycle': { type: 'string', default: '1d' },
    keep: { type: 'string', default: '5m' },
    load: { type: 'boolean', default: false },
    leak: { type: 'boolean', default: false },
    journal: { type: 'string' },
  },
});

const registry = createGatewayRegistry<Run, RunContext>({
  onSubagentEnded: async () => {
    // Here the context engine would be told.
  },
  overrides: {
    // For how long people can look at a run that is over.
    subagentRuns: {
      ttl: options.keep as '5m',
      maxEntries: 100_000,
      keepWhile: (run) => run.isWatched === true,
      // Here a run would be archived.
      beforeSweep: async () => {},
    },
    runContextById: { weigh: (context) => 2 * context.prompt.length },
  },
  sweepEvery: options['sweep-every'] as '60s',
  leakDetection: { cycle: options['leak-cycle'] as '1d' },
  captureSites: 0.01,
  persistTo: options.journal,
});
registerMetrics(registry);

const { subagentRuns, runContextById, seqByRun } = registry.maps;
let started = 0;

function startRun(): string {
  started += 1;
  const runId = `run-${started}`;
  const now = Date.now();
  subagentRuns.set(runId, { startedAt: now });
  runContextById.set(runId, { prompt: 'Look into the ticket. '.repeat(50), lastActiveAt: now });
  seqByRun.set(runId, 0);
  return runId;
}

function endRun(runId: string): string {
  const run = subagentRuns.get(runId);
  if (run !== undefined) {
    run.endedAt = Date.now();
    run.cleanupCompletedAt = run.endedAt;
    subagentRuns.set(runId, run);
  }
  return registry.end(runId);
}

function playLoad(): void {
  setInterval(() => {
    const runId = startRun();
    const isForgotten = options.leak && started % 10 === 0;
    if (!isForgotten) setTimeout(() => endRun(runId), 2_000);
  }, 200);
}

function answer(response: ServerResponse, status: number, body: object | string): void {
  const isText = typeof body === 'string';
  response.writeHead(status, { 'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/json' });
  response.end(isText ? body : JSON.stringify(body));
}

const metrics = metricsHandler();
const health = healthHandler(registry);

const server = createServer((request, response) => {
  // Not by `new URL`, which throws for `//`.
  const [pathname = '/'] = (request.url ?? '/').split('?');
  const ending = /^\/runs\/([\w-]+)\/end$/.exec(pathname)?.[1];
  if (pathname === '/metrics') void metrics(request, response);
  else if (/^\/health(\/|$)/.test(pathname)) void health(request, response);
  else if (pathname === '/report') answer(response, 200, `${registry.report()}\n`);
  else if (request.method === 'POST' && pathname === '/runs') answer(response, 201, { runId: startRun() });
  else if (request.method === 'POST' && ending !== undefined) {
    // The request uses the run, and no sweep takes it meanwhile.
    const hold = registry.hold('subagentRuns', ending);
    response.once('close', () => hold.release());
    answer(response, 200, { result: endRun(ending) });
  } else
    answer(response, 404, {
      error: 'There are /metrics, /health, /report, POST /runs and POST /runs/<id>/end',
    });
});

// Metrics tell what a service does: nobody but this machine is to read those of an example.
server.listen(Number(options.port), '127.0.0.1', () => {
  process.stdout.write(`gateway at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  if (options.load || options.leak) playLoad();
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.closeAllConnections();
    server.close();
    void registry.close({ deadline: '5s' }).then(() => process.exit(0));
  });
}
