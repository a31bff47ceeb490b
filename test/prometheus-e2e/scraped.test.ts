import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFailed, vi } from 'vitest';
import { type Child, start } from './child.ts';
import { exampleFile, panelExpressions, withoutFilters } from './expressions.ts';
import { PrometheusApi } from './prometheus-api.ts';
import { run } from './tool.ts';

const fromRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const directory = mkdtempSync(join(tmpdir(), 'mapsweep-prometheus-'));
const panels = panelExpressions();
let gateway: Child;
let gatewayUrl: string;
let prometheus: Child;
let api: PrometheusApi;

/** The rules of the example, with waits that a test can sit out. Everything else is as it is. */
function shortRules(): string {
  const { length } = [...readFileSync(exampleFile('alerts.yml'), 'utf8').matchAll(/^( +)for: "\w+"$/gm)];
  if (length !== 12) throw new Error(`expected 12 rules of 17 that wait, found ${length}`);
  return readFileSync(exampleFile('alerts.yml'), 'utf8').replace(/^( +)for: "\w+"$/gm, '$1for: 3s');
}

const post = async (path: string) => {
  const response = await fetch(`${gatewayUrl}${path}`, { method: 'POST' });
  return (await response.json()) as { runId?: string; result?: string };
};

const until = (what: () => Promise<void>, timeout = 75_000) => vi.waitFor(what, { timeout, interval: 200 });

beforeAll(async () => {
  // Says what to install where there is none.
  run('prometheus', ['--version']);
  gateway = start(
    process.execPath,
    [
      '--import',
      'tsx',
      fromRoot('examples/prometheus/gateway.ts'),
      '--port',
      '0',
      '--sweep-every',
      '250ms',
      '--leak-cycle',
      '1m',
      // A map may grow for as long as its entries stay; no verdict comes sooner.
      '--keep',
      '1s',
      '--journal',
      join(directory, 'journal'),
    ],
    // The sources of mapsweep instead of a build that may be old.
    { TSX_TSCONFIG_PATH: fromRoot('test/tsconfig.json') },
  );
  gatewayUrl = (await gateway.said(/gateway at (http:\/\/127\.0\.0\.1:\d+)/))[1] as string;

  writeFileSync(join(directory, 'alerts.yml'), shortRules());
  const config = readFileSync(exampleFile('prometheus.yml'), 'utf8')
    .replaceAll(/_interval: 15s/g, '_interval: 1s')
    .replace('127.0.0.1:9464', new URL(gatewayUrl).host);
  writeFileSync(join(directory, 'prometheus.yml'), config);
  prometheus = start('prometheus', [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
  ]);
  const [, address] = await prometheus.said(/msg="Listening on" address=(127\.0\.0\.1:\d+)/);
  api = new PrometheusApi(`http://${address}`);
  // Rates need two scrapes, and ten seconds of Grafana's interval hold a sample to spare.
  await until(async () => {
    expect(await api.targets()).toMatchObject([{ health: 'up', lastError: '' }]);
    const [scrapes] = await api.query('count_over_time(mapsweep_last_sweep_timestamp_seconds[1m])');
    expect(Number(scrapes?.value[1])).toBeGreaterThanOrEqual(4);
  });
  // Something for every panel to show, quantiles included.
  const { runId } = await post('/runs');
  expect(await post(`/runs/${runId}/end`)).toEqual({ result: 'claimed' });
  expect(await post(`/runs/${runId}/end`)).toEqual({ result: 'duplicate' });
});

afterAll(async () => {
  await prometheus?.end();
  await gateway?.end();
  rmSync(directory, { recursive: true, force: true });
});

describe('a Prometheus that scrapes the example gateway', () => {
  it.each(panels)('has an answer for the panel: $from', async ({ expression }) => {
    onTestFailed(() => void process.stderr.write(`${gateway.output()}\n${prometheus.output()}\n`));
    if (expression.includes('awaited_entries')) {
      // There was no earlier life; an expression with an error would be refused.
      expect(await api.query(expression)).toEqual([]);
      return;
    }
    await until(async () => expect(await api.query(expression)).not.toEqual([]), 5_000);
    // NaN is what a quantile of nothing gives: there were sweeps and a delivery, but hardly anything has left yet.
    if (/sweep_lag_seconds|age_at_removal_seconds/.test(expression)) return;
    await until(async () => {
      for (const { value } of await api.query(expression)) expect(Number(value[1]), expression).not.toBeNaN();
    }, 5_000);
  });

  it('has 17 rules without an error, each of which looks at series that are there', async () => {
    await until(async () => {
      const rules = await api.rules();
      expect(rules.map(({ health, lastError = '' }) => [health, lastError])).toEqual(
        Array(17).fill(['ok', '']),
      );
    });
    for (const { name, query } of await api.rules()) {
      // Of a map that neither fills nor grows there is no series, nor without an earlier life.
      if (name === 'MapsweepRegistryGrows' || name === 'MapsweepRestoreFails') continue;
      const series = await api.query(withoutFilters(query));
      expect(series.length, `${name}: ${query}`).toBeGreaterThan(0);
      for (const { value } of series) expect(['0', '1']).toContain(value[1]);
    }
  });

  it('finds the gateway alive and ready', async () => {
    for (const path of ['live', 'ready']) {
      const response = await fetch(`${gatewayUrl}/health/${path}`);
      expect([path, response.status, await response.text()]).toEqual([path, 200, 'ok\n']);
    }
  });

  // Below its maxEntries subagentRuns only fills.
  const leakingMaps = ['runContextById', 'seqByRun'];

  it('sees the alert about leaking maps go from pending to firing, and no other alert', async () => {
    await until(async () => expect(await api.alerts()).toEqual([]));
    const seen: string[] = [];
    let isOver = false;
    const leaking = (async () => {
      while (!isOver) {
        // Started and never ended.
        await post('/runs');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    try {
      await until(async () => {
        for (const { labels, state } of await api.alerts()) {
          const line = `${labels.alertname} ${labels.map} ${state}`;
          if (!seen.includes(line)) seen.push(line);
        }
        for (const map of leakingMaps) expect(seen).toContain(`MapsweepRegistryLeaks ${map} firing`);
      });
    } finally {
      isOver = true;
      await leaking;
    }
    for (const map of leakingMaps) {
      // Whether it is said to grow before depends on how many have left of late.
      const ofMap = seen.filter((line) => line.includes(` ${map} `) && !line.includes('Grows'));
      expect(ofMap).toEqual([`MapsweepRegistryLeaks ${map} pending`, `MapsweepRegistryLeaks ${map} firing`]);
    }
    const others = seen.filter((line) => !/ (subagentRuns|runContextById|seqByRun) /.test(line));
    expect(others).toEqual([]);
    const [alert] = (await api.alerts()).filter(
      ({ labels }) => labels.map === 'runContextById' && labels.alertname === 'MapsweepRegistryLeaks',
    );
    expect(alert).toMatchObject({
      labels: { alertname: 'MapsweepRegistryLeaks', severity: 'warning', job: 'gateway' },
      annotations: {
        summary: `The map runContextById (registry default of ${new URL(gatewayUrl).host}) leaks`,
      },
    });
    expect(await (await fetch(`${gatewayUrl}/report`)).text()).toMatch(/runContextById .*LEAKING/);
  }, 90_000);
});
