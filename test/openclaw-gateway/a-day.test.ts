/*
 * The example plugin with its built-in list and all of its defaults, over a day of gateways as they were published: one of
 * each range of releases that the list knows, and any other by `OPENCLAW_RELEASE=2026.8.2` (with `OPENCLAW_NODE=22` where it
 * wants another Node than 24), in which nothing is swept. `OPENCLAW_ONLY=1` leaves out the two, `OPENCLAW_TURNS=50` makes it shorter. The same day without the
 * plugin stands beside it, and, where maps leak that the list sweeps, one that only observes.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { MapReport, RegistryReport } from 'mapsweep';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { knownMapsOf } from '../../examples/openclaw-plugin/known-maps.ts';
import { type Day, liveADay, TURNS, WARM_AFTER_HOURS } from './day.ts';
import { Gateway, type PluginEntries, until } from './gateway.ts';
import { CACHE, type Installation, installGateway, installPlugin, type Release } from './installation.ts';
import { type ModelServer, startModelServer } from './model-server.ts';

const CONTEXTS = 'openclaw.agentEvents.state/runContextById';
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const LANES = 'openclaw.commandQueueState/lanes';
const MOST_BYTES_SCRAPED = 100_000;
/**
 * By so much more may the heap of a gateway grow. Two thirds of it are the sources of modules and code that V8 has compiled from
 * them, at times of its own: two days of one gateway differed by 20 MB, of which nothing was the plugin's.
 */
const HEAP_NOISE_BYTES = 30_000_000;

/** What grows for ever by the releases' own code, which the verdict is to name and nothing else. */
const LEAKS: ReadonlyMap<string, readonly string[]> = new Map([
  ['2026.4.8', [COUNTERS, LANES]],
  ['2026.9.6', []],
]);

const another = process.env.OPENCLAW_RELEASE ?? '';
const releases: Release[] = [
  { version: '2026.4.8', node: 22 },
  { version: '2026.9.6', node: 24 },
];
if (process.env.OPENCLAW_ONLY === '1') releases.length = 0;
if (another !== '') releases.push({ version: another, node: Number(process.env.OPENCLAW_NODE ?? 24) });

describe.each(releases)('a day of OpenClaw $version', (release) => {
  const { version } = release;
  const known = new Map(knownMapsOf(version)?.map(({ match, policy }) => [match, policy || {}]));
  const leaks = LEAKS.get(version);
  const figures: Record<string, unknown> = { version, turns: TURNS };
  let installation: Installation;
  let pluginPath: string;
  let model: ModelServer;
  let gateway: Gateway;
  let without: Day | undefined;

  beforeAll(async () => {
    installation = await installGateway(release);
    pluginPath = await installPlugin();
    model = await startModelServer();
  });

  afterAll(async () => {
    await gateway?.stop();
    await model?.close();
    await writeFile(path.join(CACHE, `day-${version}.json`), `${JSON.stringify(figures, undefined, 2)}\n`);
    console.log(JSON.stringify(figures, undefined, 2));
  });

  const start = async (name: string, plugin?: { config: object }): Promise<Gateway> => {
    const entries: PluginEntries = plugin === undefined ? {} : { mapsweep: { enabled: true, ...plugin } };
    const paths = plugin === undefined ? [] : [pluginPath];
    // One at a time: they are to be compared.
    await gateway?.stop();
    const started = await Gateway.start(`${name}-${version}`, installation, model, paths, entries, {
      hasMovableClock: true,
    });
    // A first turn sets up files of its own.
    await started.turn('Ticket 0', 'user-0');
    return started;
  };
  const reportedMaps = async () =>
    ((await (await gateway.get('/mapsweep/report')).json()) as RegistryReport).maps;
  const logged = (part: string) => gateway.log.filter((line) => line.includes(part));
  const expectAllAnswered = ({ turns, cronRuns, subagents, queued }: Day): void => {
    expect(turns.filter(({ status, isAnswered }) => status === 200 && isAnswered)).toHaveLength(TURNS);
    expect(queued.turn).toMatchObject({ status: 200, isAnswered: true });
    expect(cronRuns).toBeGreaterThan(18);
    expect(subagents).toBeGreaterThan(5);
  };

  describe('without the plugin', () => {
    it('every turn is answered', async () => {
      gateway = await start('without');
      without = await liveADay(gateway, model);
      figures.without = summary(without);
      expectAllAnswered(without);
    });

    it.runIf(leaks?.includes(COUNTERS))('a counter and a lane stay of all that ever was', () => {
      expect(without?.end.sizes[COUNTERS]).toBeGreaterThan(TURNS);
      expect(without?.end.sizes[LANES]).toBeGreaterThan(TURNS / 2);
    });
  });

  describe('with the built-in list', () => {
    let day: Day;

    it('every turn is answered', async () => {
      gateway = await start('built-in', { config: {} });
      day = await liveADay(gateway, model);
      const maps = await reportedMaps();
      figures.builtIn = {
        ...summary(day),
        tracked: maps.length,
        removed: removals(maps),
        grown: grown(maps),
      };
      expectAllAnswered(day);
    });

    it('what the list has of this release is treated by it, and all else is observed', async () => {
      const maps = await reportedMaps();
      expect(maps.length).toBeGreaterThan(30);
      for (const { name, mode, follows } of maps) {
        const { mode: wanted = 'sweep', follows: leader } = known.get(name) ?? { mode: 'observe' };
        expect([name, mode, follows]).toEqual([name, wanted, leader]);
      }
    });

    it('a release that the list does not know is named once in the log', () => {
      expect(logged('does not know')).toHaveLength(known.size === 0 ? 1 : 0);
    });

    it('no run loses its counter while it works or waits', async () => {
      const { brokenRuns, events } = await gateway.probe();
      expect(brokenRuns).toEqual([]);
      expect(events).toBeGreaterThan(TURNS);
    });

    it.runIf(version.startsWith('2026.9.'))(
      'a run that waits under a lease keeps its context, and its next event is the third after two',
      () => {
        expect(day.queued).toMatchObject({ hasKeptItsContext: true, numbers: [1, 2, 3] });
      },
    );

    it('nothing leaves any map that the list does not sweep', async () => {
      const swept = [...known].filter(([, { mode }]) => mode !== 'observe').map(([match]) => match);
      const touched = Object.keys(removals(await reportedMaps()));
      expect(touched.filter((name) => !swept.includes(name))).toEqual([]);
    });

    it.runIf(version.startsWith('2026.4.'))(
      'counters leave with their contexts, and lanes when idle',
      async () => {
        const { [COUNTERS]: counters, [LANES]: lanes } = removals(await reportedMaps());
        expect(counters?.companion).toBeGreaterThanOrEqual(TURNS);
        expect(lanes?.swept).toBeGreaterThan(TURNS / 3);
        expect(day.end.sizes[COUNTERS]).toBeLessThan(10);
        expect(day.end.sizes[LANES]).toBeLessThan(30);
      },
    );

    it('the verdict names nothing, since what leaked is swept', async () => {
      expect(suspected(await reportedMaps())).toEqual([]);
      expect(logged('leaks: ')).toEqual([]);
    });

    it('memory grows no more than without the plugin', () => {
      expect(growth(day)).toBeLessThan(
        Math.max(without === undefined ? 0 : growth(without), 0) + HEAP_NOISE_BYTES,
      );
    });

    it('a scrape is less than 100 kB, and the page is served to who bears the token of the gateway', async () => {
      const scraped = await (await gateway.get('/mapsweep/metrics')).text();
      Object.assign(figures.builtIn as object, { bytesScraped: scraped.length });
      expect(scraped.length).toBeLessThan(MOST_BYTES_SCRAPED);
      const page = await gateway.get('/mapsweep/page');
      expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('openclaw.')]);
      expect((await gateway.get('/mapsweep/page/page.css')).headers.get('content-type')).toMatch(
        /^text\/css/,
      );
      expect(await (await gateway.get('/mapsweep/page/report.txt')).text()).toContain('openclaw.');
      expect((await gateway.get('/mapsweep/page', null)).status).toBe(401);
      expect((await gateway.get('/mapsweep/page/report.json', 'another')).status).toBe(401);
    });

    it('disabling it leaves no trace on any map, and enabling it tracks them again', async () => {
      await gateway.configurePlugins({ mapsweep: { enabled: false } });
      expect((await gateway.probe()).traces).toEqual([]);
      expect((await gateway.turn('Ticket', 'user-1')).status).toBe(200);
      await gateway.configurePlugins({ mapsweep: { enabled: true } });
      const report = await until('the report is back', 60_000, async () => {
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

  describe.runIf(leaks !== undefined && leaks.length > 0)('where it only observes', () => {
    it('the verdict names what leaks, and nothing else, in the report and once in the log', async () => {
      gateway = await start('observe', { config: { mode: 'observe' } });
      expectAllAnswered(await liveADay(gateway, model));
      const maps = await reportedMaps();
      figures.observed = {
        suspected: Object.fromEntries(
          maps
            .filter(isLeaking)
            .map(({ name, leak }) => [name, `${leak.perHour.toFixed(1)} an hour; ${leak.reason}`]),
        ),
        grown: grown(maps),
      };
      expect(suspected(maps)).toEqual(leaks);
      for (const name of leaks ?? []) expect(logged(`${name} leaks: `)).toHaveLength(1);
      expect(logged('leaks: ')).toHaveLength(leaks?.length ?? 0);
      expect(removals(maps)).toEqual({});
    });
  });
});

const isLeaking = ({ leak }: MapReport): boolean => leak.state === 'leaking';
const suspected = (maps: readonly MapReport[]): string[] =>
  maps
    .filter(isLeaking)
    .map(({ name }) => name)
    .sort();

/** What mapsweep removed, of each map of which it removed something. */
function removals(maps: readonly MapReport[]): Record<string, { swept: number; companion: number }> {
  const touched = maps.filter(({ removed }) => removed.swept + removed.evicted + removed.companion > 0);
  return Object.fromEntries(
    touched.map(({ name, removed: { swept, companion } }) => [name, { swept, companion }]),
  );
}

/** The maps that have as many entries as the day had hours, or more. */
const grown = (maps: readonly MapReport[]): Record<string, string> =>
  Object.fromEntries(
    maps
      .filter(({ size }) => size >= 25)
      .map(({ name, size, mode, leak }) => [name, `${size}, ${mode}, ${leak.state}`]),
  );

const growth = ({ warm, end }: Day): number => end.heapUsed - warm.heapUsed;

function summary({ turns, cronRuns, subagents, queued, warm, end, highestRss }: Day): object {
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10;
  return {
    answered: turns.filter(({ status, isAnswered }) => status === 200 && isAnswered).length,
    cronRuns,
    subagents,
    queued: { isAnswered: queued.turn.isAnswered, kept: queued.hasKeptItsContext, numbers: queued.numbers },
    hours: Math.round((end.now - warm.now) / 360_000) / 10 + WARM_AFTER_HOURS,
    cpuSeconds: Math.round((end.cpuMs - warm.cpuMs) / 1_000),
    heapMegabytes: [megabytes(warm.heapUsed), megabytes(end.heapUsed)],
    rssMegabytes: [megabytes(warm.rss), megabytes(end.rss)],
    highestRssMegabytes: megabytes(highestRss),
    seqByRun: end.sizes[COUNTERS],
    runContextById: end.sizes[CONTEXTS],
    lanes: end.sizes[LANES],
    brokenRuns: end.brokenRuns.length,
  };
}
