/*
 * The example plugin in a newer gateway than the one it was made for: `OPENCLAW_NEWER=2026.9.6 npm run test:openclaw`.
 * That it loads, tracks, answers, unloads and loads again while the gateway runs, by documented interfaces alone.
 */
import type { RegistryReport } from 'mapsweep';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gateway, until } from './gateway.ts';
import { installGateway, installPlugin } from './installation.ts';
import { type ModelServer, startModelServer } from './model-server.ts';

const version = process.env.OPENCLAW_NEWER ?? '';
const LOAD = { atOnce: 2, users: 3 };
const TURNS = 50;
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const CONTEXTS = 'openclaw.agentRunRegistry.state/contexts';
const MOST_BYTES_SCRAPED = 100_000;

describe.skipIf(version === '')(`in OpenClaw ${version}`, () => {
  let model: ModelServer;
  let gateway: Gateway;

  beforeAll(async () => {
    const installation = await installGateway({ version, node: 24 });
    const pluginPath = await installPlugin();
    model = await startModelServer();
    const config = { sweepEvery: '1s', leakCycle: '1m' };
    gateway = await Gateway.start('newer', installation, model, [pluginPath], {
      mapsweep: { enabled: true, config },
    });
  });

  afterAll(async () => {
    await gateway?.stop();
    await model?.close();
  });

  it(`every turn of ${TURNS} is answered, and no map that nobody lists loses an entry`, async () => {
    await gateway.turn('Ticket 0', 'user-0');
    const turns = await gateway.turns(TURNS, LOAD);
    expect(turns.every(({ status, isAnswered }) => status === 200 && isAnswered)).toBe(true);
    const { maps } = (await (await gateway.get('/mapsweep/report')).json()) as RegistryReport;
    const observed = maps.filter(({ mode }) => mode === 'observe');
    expect(observed.length).toBeGreaterThan(100);
    for (const { removed } of observed) expect(removed.swept + removed.evicted + removed.companion).toBe(0);
    const { brokenRuns } = await gateway.probe();
    expect(brokenRuns).toEqual([]);
    console.log(
      JSON.stringify({
        version,
        turns: TURNS,
        tracked: maps.length,
        grown: Object.fromEntries(
          maps.filter(({ size }) => size >= TURNS).map(({ name, size, mode }) => [name, `${size} ${mode}`]),
        ),
        suspected: maps.filter(({ leak }) => leak.state === 'leaking').map(({ name }) => name),
      }),
    );
  });

  it.runIf(version.startsWith('2026.9.'))(
    'its built-in list has the counters follow the contexts, and sweeps nothing else',
    async () => {
      const { maps } = (await (await gateway.get('/mapsweep/report')).json()) as RegistryReport;
      const byName = new Map(maps.map((map) => [map.name, map]));
      expect(byName.get(CONTEXTS)?.mode).toBe('observe');
      expect(byName.get(COUNTERS)).toMatchObject({ mode: 'sweep', follows: CONTEXTS });
      expect(maps.filter(({ mode }) => mode === 'sweep').map(({ name }) => name)).toEqual([COUNTERS]);
      expect(gateway.log.filter((line) => line.includes('does not know'))).toEqual([]);
    },
  );

  it('a scrape is less than 100 kB, and the page is served to who bears the token of the gateway', async () => {
    const scraped = await (await gateway.get('/mapsweep/metrics')).text();
    expect(scraped.length).toBeLessThan(MOST_BYTES_SCRAPED);
    const page = await gateway.get('/mapsweep/page');
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('openclaw.')]);
    expect((await gateway.get('/mapsweep/page/page.css')).headers.get('content-type')).toMatch(/^text\/css/);
    expect(await (await gateway.get('/mapsweep/page/report.txt')).text()).toContain('openclaw.');
    expect((await gateway.get('/mapsweep/page', null)).status).toBe(401);
    expect((await gateway.get('/mapsweep/page/report.json', 'another')).status).toBe(401);
  });

  it('disabling it leaves no trace on any map, and enabling it tracks them again', async () => {
    await gateway.configurePlugins({ mapsweep: { enabled: false } });
    expect((await gateway.probe()).traces).toEqual([]);
    expect((await gateway.turn('Ticket', 'user-1')).status).toBe(200);
    await gateway.configurePlugins({ mapsweep: { enabled: true } });
    const report = await until('the report is back', 30_000, async () => {
      const response = await gateway.get('/mapsweep/report');
      return response.headers.get('content-type')?.startsWith('application/json') ? response : undefined;
    });
    expect(report.status).toBe(200);
    expect((await gateway.probe()).traces.length).toBeGreaterThan(100);
    expect((await gateway.turn('Ticket', 'user-1')).status).toBe(200);
  });

  it('the gateway says of the plugin nothing but that it does not know where it is from', () => {
    const lines = gateway.log.filter(
      (line) => /mapsweep/.test(line) && /error|fail|invalid|wrong/i.test(line),
    );
    expect(lines).toEqual([]);
  });
});
