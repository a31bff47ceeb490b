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
