/*
 * The example plugin in a real gateway of the release in which these registries leak: the gateway as it was published,
 * real agent turns through its HTTP endpoint, a model of a few words on loopback. Minutes, and 1.3 GB in `.cache` once.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { MapReport, RegistryReport } from 'mapsweep';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gateway, type PluginEntries, type Turn, until } from './gateway.ts';
import { CACHE, type Installation, installGateway, installPlugin } from './installation.ts';
import { seriesValue, sumOf } from './metrics-text.ts';
import { type ModelServer, startModelServer } from './model-server.ts';
import type { Probed } from './probe-plugin/index.ts';

const RELEASE = { version: '2026.4.8', node: 22 };
const CONTEXTS = 'openclaw.agentEvents.state/runContextById';
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const SCRAPE_TOKEN = 'for-prometheus-and-nothing-else';

const WARM_UP = 40;
const TURNS = 150;
const LOAD = { atOnce: 3, users: 5 };
// Longer than a turn may be silent on a busy machine, shorter than the long turn below.
const IDLE_S = 30;
const LONG_TURN_S = 75;
// The heap of this gateway grows by -1 to 6 MB under this load, from run to run, without the plugin.
const HEAP_NOISE_BYTES = 10_000_000;
const PLUGIN_CONFIG = {
  sweepEvery: '1s',
  leakCycle: '1m',
  maps: {
    [CONTEXTS]: { maxIdle: `${IDLE_S}s` },
    [COUNTERS]: { follows: CONTEXTS, orphanAfter: `${IDLE_S}s` },
  },
};

interface Load {
  readonly turns: readonly Turn[];
  readonly seconds: number;
  readonly warm: Probed;
  readonly end: Probed;
}

let installation: Installation;
let pluginPath: string;
let model: ModelServer;
let gateway: Gateway;
/** What opens the routes; `undefined`: the token of the gateway. */
let token: string | undefined;
const figures: Record<string, unknown> = { release: RELEASE.version, turns: TURNS, ...LOAD };

beforeAll(async () => {
  [installation, pluginPath] = [await installGateway(RELEASE), await installPlugin()];
  model = await startModelServer();
});

afterAll(async () => {
  await model?.close();
  await writeFile(path.join(CACHE, 'figures.json'), `${JSON.stringify(figures, undefined, 2)}\n`);
  console.log(JSON.stringify(figures, undefined, 2));
});

describe('without the plugin', () => {
  it('a gateway keeps one sequence counter for each turn it ever ran', async () => {
    gateway = await start('without', []);
    const { end, ...load } = await run();
    figures.without = { ...summary({ end, ...load }), complaints: [...gateway.complaints] };
    expect(load.turns.every(isGood)).toBe(true);
    expect(end.sizes[COUNTERS]).toBe(1 + WARM_UP + TURNS);
    expect(end.traces).toEqual([]);
    baseline = { complaints: gateway.complaints, heapGrowth: end.heapUsed - load.warm.heapUsed };
  });
  afterAll(() => gateway?.stop());
});

let baseline: { complaints: ReadonlySet<string>; heapGrowth: number };

describe('in observe mode', () => {
  const suspicions = new Map<string, number>();
  let load: Load;

  it('every turn is answered', async () => {
    gateway = await start('observe', [pluginPath], { config: { ...PLUGIN_CONFIG, mode: 'observe' } });
    const watching = new AbortController();
    const watch = watchSuspicions(suspicions, watching.signal);
    load = await run();
    watching.abort();
    await watch;
    expect(load.turns.every(isGood)).toBe(true);
  });

  it('nothing is removed', async () => {
    const metrics = await (await gateway.get('/mapsweep/metrics')).text();
    expect(load.end.sizes[COUNTERS]).toBe(1 + WARM_UP + TURNS);
    expect(seriesValue(metrics, 'mapsweep_entries', { map: COUNTERS })).toBe(load.end.sizes[COUNTERS]);
    for (const reason of ['swept', 'evicted', 'companion']) {
      expect(sumOf(metrics, 'mapsweep_removed_total', `reason="${reason}"`)).toBe(0);
    }
  });

  it('the metrics name the map that leaks, and the report how fast', async () => {
    const perMinute = (TURNS / load.seconds) * 60;
    figures.observe = {
      ...summary(load),
      turnsPerMinute: round(perMinute),
      suspected: Object.fromEntries([...suspicions].map(([map, rate]) => [map, round(rate)])),
    };
    expect([...suspicions.keys()]).toContain(COUNTERS);
    expect(suspicions.get(COUNTERS)).toBeGreaterThan(perMinute / 2);
    expect(suspicions.get(COUNTERS)).toBeLessThan(perMinute * 2);
    expect(logged(`${COUNTERS} leaks: `)).toHaveLength(1);
    const metrics = await (await gateway.get('/mapsweep/metrics')).text();
    expect(seriesValue(metrics, 'mapsweep_registered_total', { map: COUNTERS })).toBe(1 + WARM_UP + TURNS);
  });

  it('the log says once what is tracked and what would be swept', () => {
    expect(logged(`would sweep ${COUNTERS}`)).toHaveLength(1);
    expect(logged('mapsweep: tracks ')).toHaveLength(1);
  });

  it('the routes ask for the token of the gateway, on loopback too', async () => {
    for (const route of ['/mapsweep/metrics', '/mapsweep/report', '/mapsweep/page']) {
      expect((await gateway.get(route)).status).toBe(200);
      expect((await gateway.get(route, null)).status).toBe(401);
      expect((await gateway.get(route, 'another')).status).toBe(401);
    }
  });

  it('the log has no complaint that it has not without the plugin', () => {
    expect(newComplaints()).toEqual([]);
  });

  afterAll(() => gateway?.stop());
});

describe('in sweep mode', () => {
  let load: Load;

  it('every turn is answered, one that streams for longer than the idle time among them', async () => {
    const config = { ...PLUGIN_CONFIG, mode: 'sweep', scrapeToken: SCRAPE_TOKEN };
    gateway = await start('sweep', [pluginPath], { config });
    token = SCRAPE_TOKEN;
    let long: Promise<Turn> | undefined;
    load = await run(() => {
      long = gateway.turn(`Please answer for ${LONG_TURN_S} seconds`, 'a-patient-user');
    });
    const patient = await long;
    figures.sweep = { ...summary(load), longTurnSeconds: round((patient?.durationMs ?? 0) / 1_000) };
    expect(load.turns.every(isGood)).toBe(true);
    expect(patient).toMatchObject({ status: 200, isAnswered: true });
    expect(patient?.durationMs).toBeGreaterThan(LONG_TURN_S * 1_000);
  });

  it('no run loses its sequence counter while it is active', async () => {
    const { brokenRuns, events } = await gateway.probe();
    expect(brokenRuns).toEqual([]);
    expect(events).toBeGreaterThan(TURNS);
  });

  it('the maps drain within the idle time and two sweeps', async () => {
    const startedAt = performance.now();
    await until('both maps are empty', (IDLE_S + 5) * 1_000, async () => {
      const { sizes } = await gateway.probe();
      return sizes[COUNTERS] === 0 && sizes[CONTEXTS] === 0 ? true : undefined;
    });
    const { removed, registered } = await mapReport(COUNTERS);
    Object.assign(figures.sweep as object, {
      drainedAfterSeconds: round((performance.now() - startedAt) / 1_000),
      counters: { registered, ...removed },
      contexts: (await mapReport(CONTEXTS)).removed,
      sweeps: await sweepFigures(),
    });
    expect(registered).toBe(2 + WARM_UP + TURNS);
    expect(removed.swept + removed.companion).toBe(registered);
  });

  it('the log has no complaint that it has not without the plugin', () => {
    expect(newComplaints()).toEqual([]);
  });

  it('what a client leaves behind that goes away in the middle of a turn is swept too', async () => {
    const before = await mapReport(COUNTERS);
    await Promise.all([1, 2, 3].map((number) => gateway.abortedTurn(`Ticket ${number}`, 4_000)));
    await until('both maps are empty', (IDLE_S + 60) * 1_000, async () => {
      const { sizes } = await gateway.probe();
      const { registered } = await mapReport(COUNTERS);
      const isOver = registered === before.registered + 3;
      return isOver && sizes[COUNTERS] === 0 && sizes[CONTEXTS] === 0 ? true : undefined;
    });
    const after = await mapReport(CONTEXTS);
    Object.assign(figures.sweep as object, { abortedTurns: 3, contextsAfterAborts: after.removed });
  });

  it('nothing but the two listed maps loses an entry to the sweeper', async () => {
    const { maps } = await report();
    const touched = maps.filter(({ removed }) => removed.swept + removed.evicted + removed.companion > 0);
    expect(touched.map(({ name }) => name).filter((name) => name !== CONTEXTS && name !== COUNTERS)).toEqual(
      [],
    );
    figures.tracked = maps.length;
  });

  it('memory grows no more than without the plugin', async () => {
    const growth = load.end.heapUsed - load.warm.heapUsed;
    figures.heapGrowthBytes = { without: baseline.heapGrowth, sweep: growth };
    expect(growth).toBeLessThan(Math.max(baseline.heapGrowth, 0) + HEAP_NOISE_BYTES);
  });

  it('its own token opens the routes, and the key to the whole gateway does not', async () => {
    for (const route of ['/mapsweep/metrics', '/mapsweep/report', '/mapsweep/page']) {
      expect((await gateway.get(route, SCRAPE_TOKEN)).status).toBe(200);
      expect((await gateway.get(route, null)).status).toBe(401);
      expect((await gateway.get(route)).status).toBe(401);
    }
  });

  it('unloading it releases every map without a trace, and the gateway works on', async () => {
    expect((await gateway.probe()).traces.length).toBeGreaterThan(0);
    await gateway.configurePlugins({ mapsweep: { enabled: false } });
    expect((await gateway.probe()).traces).toEqual([]);
    const response = await gateway.get('/mapsweep/metrics');
    expect(await response.text()).not.toContain('mapsweep_entries');
    const before = await gateway.probe();
    expect(before.pid).toBe(gateway.pid);
    const turns = await gateway.turns(10, LOAD);
    expect(turns.every(isGood)).toBe(true);
    const { sizes, traces } = await gateway.probe();
    expect(traces).toEqual([]);
    expect((sizes[COUNTERS] ?? 0) - (before.sizes[COUNTERS] ?? 0)).toBe(10);
  });

  it('loaded again, it sweeps what was there before by its idle time alone', async () => {
    const config = { ...PLUGIN_CONFIG, maps: { [CONTEXTS]: false, [COUNTERS]: { maxIdle: '5s' } } };
    await gateway.configurePlugins({ mapsweep: { enabled: true, config } });
    token = undefined;
    const { removed } = await until('the counters are swept', 60_000, async () => {
      const response = await gateway.get('/mapsweep/report');
      if (response.headers.get('content-type')?.startsWith('application/json') !== true) return undefined;
      const map = await mapReport(COUNTERS);
      return map.removed.swept > 0 ? map : undefined;
    });
    expect(removed).toMatchObject({ swept: 10, companion: 0 });
    expect((await gateway.probe()).sizes[COUNTERS]).toBe(0);
  });

  it('a wrong config is said in the log, and the gateway works all the same', async () => {
    const config = { ...PLUGIN_CONFIG, maps: { [COUNTERS]: { maxIdel: '5m' } } };
    await gateway.configurePlugins({ mapsweep: { enabled: true, config } });
    const said = await until('the log says so', 30_000, async () => logged('config is wrong')[0]);
    expect(said).toContain(`maps["${COUNTERS}"]`);
    expect(said).toContain('maxIdel');
    expect(await (await gateway.get('/mapsweep/report')).text()).toContain('maxIdel');
    expect((await gateway.turns(5, LOAD)).every(isGood)).toBe(true);
    expect((await gateway.probe()).traces).toEqual([]);
  });

  afterAll(() => gateway?.stop());
});

async function start(name: string, paths: readonly string[], plugin?: { config: object }): Promise<Gateway> {
  const entries: PluginEntries = plugin === undefined ? {} : { mapsweep: { enabled: true, ...plugin } };
  const started = await Gateway.start(name, installation, model, paths, entries);
  // Services start after the first answer; until then there is nothing to report.
  if (plugin !== undefined)
    await until('the plugin tracks', 60_000, async () =>
      started.log.find((line) => line.includes('mapsweep: tracks')),
    );
  return started;
}

/** The same load for every gateway: one turn alone, since its first sets up files of its own, then many. */
async function run(meanwhile: () => void = () => {}): Promise<Load> {
  const first = await gateway.turn('Ticket 0', 'user-0');
  const before = await gateway.turns(WARM_UP, LOAD);
  const warm = await settledProbe();
  const startedAt = performance.now();
  meanwhile();
  const turns = await gateway.turns(TURNS, LOAD);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { turns: [first, ...before, ...turns], seconds, warm, end: await settledProbe() };
}

/** The least of three looks: what is under way when one looks counts too. */
async function settledProbe(): Promise<Probed> {
  const probes: Probed[] = [];
  for (let look = 0; look < 3; look += 1) {
    await pause(1_000);
    probes.push(await gateway.probe());
  }
  return probes.reduce((least, probed) => (probed.heapUsed < least.heapUsed ? probed : least));
}

const isGood = ({ status, isAnswered }: Turn): boolean => status === 200 && isAnswered;

function summary({ turns, seconds, warm, end }: Load): object {
  const durations = turns.slice(1).map(({ durationMs }) => durationMs);
  durations.sort((a, b) => a - b);
  return {
    answered: turns.filter(isGood).length,
    seconds: round(seconds),
    medianTurnMs: Math.round(durations[durations.length >> 1] ?? 0),
    slowestTurnMs: Math.round(durations.at(-1) ?? 0),
    cpuMsPerTurn: Math.round((end.cpuMs - warm.cpuMs) / TURNS),
    seqByRun: end.sizes[COUNTERS],
    runContextById: end.sizes[CONTEXTS],
    heapMegabytes: [round(warm.heapUsed / 1e6), round(end.heapUsed / 1e6)],
  };
}

async function watchSuspicions(suspicions: Map<string, number>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const metrics = await (await gateway.get('/mapsweep/metrics')).text();
    for (const { name, leak } of (await report()).maps) {
      if (seriesValue(metrics, 'mapsweep_leak_suspected', { map: name }) !== 1 || leak.perHour === 0)
        continue;
      suspicions.set(name, leak.perHour / 60);
    }
    await pause(2_000);
  }
}

async function report(): Promise<RegistryReport> {
  const response = await gateway.get('/mapsweep/report', token);
  expect(response.status).toBe(200);
  return (await response.json()) as RegistryReport;
}

async function mapReport(path: string): Promise<MapReport> {
  const map = (await report()).maps.find(({ name }) => name === path);
  if (map === undefined) throw new Error(`${path} is not in the report`);
  return map;
}

async function sweepFigures(): Promise<object> {
  const metrics = await (await gateway.get('/mapsweep/metrics', token)).text();
  const value = (name: string): number => seriesValue(metrics, name, {}) ?? Number.NaN;
  const count = value('mapsweep_sweep_duration_seconds_count');
  return { count, meanMs: round((value('mapsweep_sweep_duration_seconds_sum') / count) * 1_000) };
}

const logged = (part: string): readonly string[] => gateway.log.filter((line) => line.includes(part));

/** What the plugin has every reason to warn of is none. */
function newComplaints(): string[] {
  return [...gateway.complaints].filter(
    (text) => !baseline.complaints.has(text) && !text.includes('leaks: '),
  );
}

function round(number: number): number {
  return Math.round(number * 100) / 100;
}
