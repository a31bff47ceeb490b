/*
 * The example plugin with its built-in list, in gateways as they were published: one of each range of releases that the list
 * knows, and any other by `OPENCLAW_RELEASE=2026.8.2` (with `OPENCLAW_NODE=22` where it wants another Node than 24), in
 * which nothing is swept. That it loads, tracks, answers, unloads and loads again while the gateway runs, by documented
 * interfaces alone.
 */
import type { RegistryReport } from 'mapsweep';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { knownMapsOf } from '../../examples/openclaw-plugin/known-maps.ts';
import { Gateway, until } from './gateway.ts';
import { installGateway, installPlugin, type Release } from './installation.ts';
import { type ModelServer, startModelServer } from './model-server.ts';

const LOAD = { atOnce: 2, users: 3 };
const TURNS = 50;
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const MOST_BYTES_SCRAPED = 100_000;

const another = process.env.OPENCLAW_RELEASE ?? '';
const releases: Release[] = [
  { version: '2026.4.8', node: 22 },
  { version: '2026.9.6', node: 24 },
];
if (another !== '') releases.push({ version: another, node: Number(process.env.OPENCLAW_NODE ?? 24) });

describe.each(releases)('with the built-in list, in OpenClaw $version', (release) => {
  const { version } = release;
  const known = new Map(knownMapsOf(version)?.map(({ match, policy }) => [match, policy || {}]));
  let model: ModelServer;
  let gateway: Gateway;

  beforeAll(async () => {
    const installation = await installGateway(release);
    const pluginPath = await installPlugin();
    model = await startModelServer();
    const config = { sweepEvery: '1s', leakCycle: '1m' };
    gateway = await Gateway.start(`built-in-${version}`, installation, model, [pluginPath], {
      mapsweep: { enabled: true, config },
    });
  });

  afterAll(async () => {
    await gateway?.stop();
    await model?.close();
  });

  const reportedMaps = async () =>
    ((await (await gateway.get('/mapsweep/report')).json()) as RegistryReport).maps;
  const logged = (part: string) => gateway.log.filter((line) => line.includes(part));

  it(`every turn of ${TURNS} is answered, and nothing leaves that the gateway protects`, async () => {
    await gateway.turn('Ticket 0', 'user-0');
    const turns = await gateway.turns(TURNS, LOAD);
    expect(turns.every(({ status, isAnswered }) => status === 200 && isAnswered)).toBe(true);
    const maps = await reportedMaps();
    // A counter leaves with its context, which the gateway deletes; all else has half an hour, which is not over.
    for (const { name, removed } of maps) {
      const gone = removed.swept + removed.evicted + (name === COUNTERS ? 0 : removed.companion);
      expect([name, gone]).toEqual([name, 0]);
    }
    const { brokenRuns, events } = await gateway.probe();
    expect(brokenRuns).toEqual([]);
    expect(events).toBeGreaterThan(TURNS);
    console.log(
      JSON.stringify({
        version,
        turns: TURNS,
        tracked: maps.length,
        grown: Object.fromEntries(
          maps.filter(({ size }) => size >= TURNS).map(({ name, size, mode }) => [name, `${size} ${mode}`]),
        ),
        counters: maps.find(({ name }) => name === COUNTERS)?.removed,
        suspected: maps.filter(({ leak }) => leak.state === 'leaking').map(({ name }) => name),
      }),
    );
  });

  it('what the list has of this release is treated by it, and all else is observed', async () => {
    const maps = await reportedMaps();
    expect(maps.length).toBeGreaterThan(30);
    for (const { name, mode, follows } of maps) {
      const { mode: wanted = 'sweep', follows: leader } = known.get(name) ?? { mode: 'observe' };
      expect([name, mode, follows]).toEqual([name, wanted, leader]);
    }
    expect(logged('does not know')).toHaveLength(known.size === 0 ? 1 : 0);
  });

  it.runIf(version.startsWith('2026.4.'))('no counter is left of a run whose context is gone', async () => {
    const map = (await reportedMaps()).find(({ name }) => name === COUNTERS);
    expect(map?.removed.companion).toBeGreaterThanOrEqual(TURNS);
    expect(map?.size).toBeLessThan(TURNS / 2);
  });

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
    expect((await gateway.probe()).traces.length).toBeGreaterThan(30);
    expect((await gateway.turn('Ticket', 'user-1')).status).toBe(200);
  });

  it('the gateway says of the plugin nothing but that it does not know where it is from', () => {
    const lines = gateway.log.filter(
      (line) => /mapsweep/.test(line) && /error|fail|invalid|wrong/i.test(line),
    );
    expect(lines).toEqual([]);
  });
});
