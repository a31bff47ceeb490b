import cluster, { type Worker } from 'node:cluster';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { metricsHandler } from '../../src/prometheus.ts';
import { AggregatorRegistry, unnamed } from './client.ts';

const workers: Worker[] = [];
/** What became of a worker that ended before its time, and what it had printed. */
const ended: string[] = [];
const dismissed = new Set<Worker>();
const register = new AggregatorRegistry();

const started = (id: number): Promise<Worker> =>
  new Promise((resolve, reject) => {
    const worker = cluster.fork({ WORKER: String(id) });
    let printed = '';
    worker.process.stderr?.on('data', (data) => (printed += data));
    // A client may have something to say to that of the primary before.
    worker.on('message', (message) => message === 'ready' && resolve(worker));
    worker.once('exit', (code, signal) => {
      const end = `worker ${id} ended with ${code ?? signal}: ${printed}`;
      if (!dismissed.has(worker)) ended.push(end);
      reject(new Error(end));
    });
  });

async function dismiss(): Promise<void> {
  for (const worker of workers.splice(0)) {
    dismissed.add(worker);
    const gone = new Promise((resolve) => worker.once('exit', resolve));
    worker.process.kill();
    await gone;
  }
}

const bothAnswer = async (): Promise<void> =>
  expect(await register.clusterMetrics()).toMatch(/mapsweep_entries\{.*\} 8\n/);

describe('an AggregatorRegistry over 2 worker processes', () => {
  beforeAll(async () => {
    const exec = fileURLToPath(new URL('cluster-worker.ts', import.meta.url));
    cluster.setupPrimary({ exec, args: [], execArgv: ['--import', 'tsx'], silent: true });
    // The newer client (0.16.1) asks those alone that have announced themselves, and on a busy machine it now and then
    // misses one for good.
    for (let attempt = 1; ; attempt += 1) {
      for (const id of [1, 2]) workers.push(await started(id));
      const answered = await vi.waitFor(bothAnswer, { timeout: 5_000, interval: 100 }).then(
        () => true,
        (error) => {
          if (attempt === 3) throw error;
          return false;
        },
      );
      if (answered) return;
      await dismiss();
    }
  }, 90_000);

  afterAll(dismiss);

  // A worker that ends by itself says so, rather than be missed in the sums.
  afterEach(() => expect(ended).toEqual([]));

  it('adds up sizes, totals and endings', async () => {
    const text = unnamed(await register.clusterMetrics());
    expect(text).toContain('\nmapsweep_entries{map="runs"} 8\n');
    expect(text).toContain('\nmapsweep_registered_total{map="runs"} 8\n');
    expect(text).toContain('\nmapsweep_removed_total{map="runs",reason="swept"} 0\n');
    expect(text).toContain('\nmapsweep_estimated_weight{map="runs"} 800\n');
    expect(text).toContain('\nmapsweep_ended_total{reason="completed"} 2\n');
    expect(text).toContain('\nmapsweep_ended_deliveries_total{recipient="default",outcome="delivered"} 2\n');
    expect(text).toContain('\nmapsweep_tombstones 2\n');
    expect(text).toContain('\nmapsweep_callback_errors_total{map="runs",callback="since"} 0\n');
  });

  it('adds up histograms: 10 and 20 sweeps are 30', async () => {
    const text = unnamed(await register.clusterMetrics());
    expect(text).toContain('\nmapsweep_sweep_duration_seconds_count 30\n');
    expect(text).toContain('\nmapsweep_sweep_lag_seconds_count{map="runs"} 0\n');
  });

  it('takes the greatest age, any suspicion, and the earliest of the last sweeps', async () => {
    const text = unnamed(await register.clusterMetrics());
    expect(text).toContain('\nmapsweep_oldest_entry_age_seconds{map="runs"} 1200\n');
    expect(text).toContain('\nmapsweep_leak_suspected{map="runs"} 0\n');
    // Worker 1 began an hour before worker 2 and swept for 600 s.
    expect(text).toContain(`\nmapsweep_last_sweep_timestamp_seconds ${1_700_000_000 + 3_600 + 600}\n`);
  });

  it('knows no limit of a map of which no worker knows one', async () => {
    const text = await register.clusterMetrics();
    expect(text).toContain('\nmapsweep_hours_to_limit{map="seqs",registry="grown"} 1000000000\n');
  });

  it('is what metricsHandler serves in the primary', async () => {
    const server = createServer(metricsHandler(register));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(unnamed(await response.text())).toContain('\nmapsweep_entries{map="runs"} 8\n');
    await new Promise((resolve) => server.close(resolve));
  });
});
