import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RegistrationSites } from '../../src/diagnosis/registration-sites.ts';
import { type Clock, createRegistry } from '../../src/index.ts';
import { internals } from '../../src/registry/internals.ts';
import { createManualClock, type ManualClock } from '../../src/testing.ts';
import { slowClock } from '../time/slow-clock.js';

type Maps = { runs: Map<string, number>; live: Map<string, number> };

function setup<C extends Clock = ManualClock>(
  captureSites: number,
  clock = createManualClock() as Clock as C,
) {
  const registry = createRegistry<Maps>({
    maps: { runs: { ttl: '5m' }, live: { adopt: new Map([['old', 0]]) } },
    captureSites,
    clock,
  });
  const { engine, sites } = registry[internals];
  const trackerOf = (map: keyof Maps) => engine.trackers.get(map)!;
  const reported = (map: keyof Maps) => registry.report().maps.find(({ name }) => name === map)!.sites;
  return { clock, registry, sites, trackerOf, reported, runs: registry.maps.runs, live: registry.maps.live };
}

/** Compiles one file as `tsc` does, with its source map. */
function compile(from: string, file: string, to: string, sourceRoot?: string): void {
  const { outputText, sourceMapText = '' } = ts.transpileModule(readFileSync(join(from, file), 'utf8'), {
    fileName: file,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      sourceMap: true,
      sourceRoot,
    },
  });
  const output = join(to, file.replace(/ts$/, 'js'));
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, outputText);
  writeFileSync(`${output}.map`, sourceMapText);
}

/** Functions that each set from a line of their own. */
const settersOf = (count: number): ((map: Map<string, number>, key: string) => void)[] =>
  Array.from(
    { length: count },
    (_, line) => new Function('map', 'key', `${'\n'.repeat(line)}map.set(key, 1)`) as never,
  );

describe('captureSites', () => {
  it('reports where entries were registered, most first, and the function that did it', () => {
    const { runs, reported } = setup(1);
    function startRun(key: string) {
      runs.set(key, 1);
    }
    const restoreRun = (key: string) => runs.set(key, 1);
    for (let run = 0; run < 3; run += 1) startRun(`started-${run}`);
    restoreRun('restored');
    restoreRun('restored');
    const [first, second, ...others] = reported('runs');
    expect(first).toEqual({
      site: expect.stringMatching(/^startRun \(.*\/test\/diagnosis\/registration-sites\.test\.ts:\d+:\d+\)$/),
      count: 3,
    });
    expect(second).toEqual({
      site: expect.stringMatching(/^restoreRun \(.*\.test\.ts:\d+:\d+\)$/),
      count: 1,
    });
    expect(others).toEqual([]);
  });

  it('sees through an adopted map of a class with its own set, and leaves out what was there first', () => {
    class Indexed extends Map<string, number> {
      override set(key: string, value: number) {
        return super.set(key, value);
      }
    }
    const registry = createRegistry({
      maps: { runs: { adopt: new Indexed([['old', 0]]) } },
      captureSites: 1,
      clock: createManualClock(),
    });
    (function caller() {
      registry.maps.runs.set('a', 1);
    })();
    expect(registry.report().maps[0]?.sites).toEqual([{ site: expect.stringMatching(/^caller /), count: 1 }]);
  });

  it('samples a map that was adopted later', () => {
    const { registry } = setup(1);
    const later = new Map<string, number>();
    registry.adopt('later', later);
    later.set('a', 1);
    expect(registry.report().maps[2]?.sites).toHaveLength(1);
  });

  it('counts entries that are still there: a leak of 10 shows above a churn of 1,000', () => {
    const { runs, reported } = setup(1);
    const leaks = (key: string) => runs.set(key, 1);
    const churns = (key: string) => runs.set(key, 1);
    for (let run = 0; run < 1_000; run += 1) {
      churns(`churn-${run}`);
      if (run > 0) runs.delete(`churn-${run - 1}`);
      if (run % 100 === 0) leaks(`leak-${run}`);
    }
    expect(reported('runs').map(({ site, count }) => [site.split(' ')[0], count])).toEqual([
      ['leaks', 10],
      ['churns', 1],
    ]);
  });

  it('samples 1 % of 20,000 registrations at a rate of 0.01, by the random of the clock', () => {
    const { runs, reported } = setup(0.01);
    for (let run = 0; run < 20_000; run += 1) runs.set(`run-${run}`, run);
    const [{ count } = { count: 0 }] = reported('runs');
    expect(count).toBeGreaterThan(150);
    expect(count).toBeLessThan(250);
    const again = setup(0.01);
    for (let run = 0; run < 20_000; run += 1) again.runs.set(`run-${run}`, run);
    expect(again.reported('runs')[0]?.count).toBe(count);
  });

  it('keeps 100 groups of 150 sites: 99 and other, which has the remaining 51', () => {
    const { runs, reported } = setup(1);
    for (const [index, set] of settersOf(150).entries()) set(runs, `run-${index}`);
    const sites = reported('runs');
    expect(sites).toHaveLength(100);
    expect(sites[0]).toEqual({ site: 'other', count: 51 });
    expect(sites.reduce((sum, { count }) => sum + count, 0)).toBe(150);
  });

  it('has room for a new site once the entries of another have left', () => {
    const { runs, reported } = setup(1);
    const setters = settersOf(100);
    for (const [index, set] of setters.slice(0, 99).entries()) set(runs, `run-${index}`);
    runs.delete('run-0');
    expect(reported('runs')).toHaveLength(98);
    setters[99]?.(runs, 'new');
    expect(reported('runs').map(({ site }) => site)).not.toContain('other');
  });

  it('keeps at most 64 samples and twice the entries, whatever came and went', async () => {
    const { clock, runs, sites, trackerOf } = setup(1);
    const holds = vi.spyOn(trackerOf('runs').stamps, 'holds');
    for (let run = 0; run < 1_000; run += 1) runs.set(`run-${run}`, run);
    runs.clear();
    await clock.advance(60_000);
    holds.mockClear();
    expect(sites.of(trackerOf('runs'))).toEqual([]);
    expect(holds.mock.calls.length).toBeLessThanOrEqual(64);
  });

  it('drops 10,000 samples of entries that have left in slices of the budget', async () => {
    const manual = createManualClock();
    const droppedBy: number[] = [];
    const pauses = (): void => void droppedBy.push(holds.mock.calls.length);
    const { runs, trackerOf } = setup(1, slowClock(manual, 1, pauses));
    for (let run = 0; run < 10_000; run += 1) runs.set(`run-${run}`, run);
    runs.clear();
    const holds = vi.spyOn(trackerOf('runs').stamps, 'holds');
    await manual.advance(60_000);
    expect(holds).toHaveBeenCalledTimes(10_000);
    const slices = droppedBy.map((count, index) => count - (droppedBy[index - 1] ?? 0));
    // 5 ms, of which each sample takes one.
    expect(Math.max(...slices)).toBe(5);
  });

  it('drops them with the next sweep, if that fails once, and tells of it', async () => {
    const { clock, registry, runs, trackerOf } = setup(1);
    const failed = vi.fn();
    registry.on('callback-failed', failed);
    for (let run = 0; run < 1_000; run += 1) runs.set(`run-${run}`, run);
    runs.clear();
    const holds = vi.spyOn(trackerOf('runs').stamps, 'holds').mockImplementationOnce(() => {
      throw new Error('internal');
    });
    await clock.advance(60_000);
    expect(failed).toHaveBeenCalledTimes(1);
    holds.mockClear();
    await clock.advance(60_000);
    expect(holds).toHaveBeenCalledTimes(1_000);
  });

  it('forgets the groups of a map with the map', () => {
    const { registry, reported } = setup(1);
    const later = new Map<string, number>();
    const handle = registry.adopt('live2', later);
    later.set('a', 1);
    handle.release();
    registry.adopt('live2', new Map());
    expect(reported('live2' as never)).toEqual([]);
  });

  it('costs nothing at a rate of 0: no map has a callback, and nothing is reported', () => {
    const { runs, trackerOf, reported } = setup(0);
    expect([trackerOf('runs').onRegistered, trackerOf('live').onRegistered]).toEqual([undefined, undefined]);
    runs.set('a', 1);
    expect(reported('runs')).toEqual([]);
  });

  it('prints the sites in the report', () => {
    const { registry, runs } = setup(1);
    (function startRun() {
      runs.set('a', 1);
    })();
    expect(String(registry.report())).toMatch(/runs registered once \(sampled\) at startRun \(/);
  });
});

describe('withRate', () => {
  const siteOf = (sites: RegistrationSites, { trackerOf }: ReturnType<typeof setup>, key: string) =>
    sites.siteOf(trackerOf('runs'), key);

  it('samples everything while a function runs, also in maps adopted meanwhile, and nothing after', () => {
    const context = setup(0);
    const { runs, registry, sites, trackerOf } = context;
    const later = new Map<string, number>();
    const result = sites.withRate(1, () => {
      runs.set('during', 1);
      registry.adopt('later', later);
      later.set('during', 1);
      return 'result';
    });
    runs.set('after', 1);
    later.set('after', 1);
    expect(result).toBe('result');
    expect(siteOf(sites, context, 'during')).toContain('registration-sites.test.ts');
    expect(siteOf(sites, context, 'after')).toBeUndefined();
    expect(siteOf(sites, context, 'no such key')).toBeUndefined();
    expect(registry.report().maps[2]?.sites).toMatchObject([{ count: 1 }]);
    expect(trackerOf('runs').onRegistered).toBeUndefined();
  });

  it('lasts until a promise is settled, rejected or not, and keeps the highest of two rates that overlap', async () => {
    const context = setup(0);
    const { runs, sites } = context;
    let finish = () => {};
    const pending = sites.withRate(1, () => new Promise<void>((resolve) => (finish = resolve)));
    const failing = sites.withRate(0.5, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(sites.rate).toBe(1);
    runs.set('during', 1);
    finish();
    await pending;
    await Promise.resolve();
    expect(sites.rate).toBe(0);
    runs.set('after', 1);
    expect([siteOf(sites, context, 'during'), siteOf(sites, context, 'after')]).toEqual([
      expect.any(String),
      undefined,
    ]);
  });

  it('ends with a throw', () => {
    const { sites } = setup(0.25);
    const fail = () => {
      throw new Error('no');
    };
    expect(() => sites.withRate(1, fail)).toThrow('no');
    expect(sites.rate).toBe(0.25);
  });

  it('forgets the site of a key that was deleted and set again outside', () => {
    const context = setup(0);
    const { runs, sites } = context;
    sites.withRate(1, () => runs.set('a', 1));
    runs.delete('a');
    runs.set('a', 1);
    expect(siteOf(sites, context, 'a')).toBeUndefined();
  });
});

describe('captureSites in a process of its own', () => {
  let directory: string;
  const project = fileURLToPath(new URL('../..', import.meta.url));

  // As it is installed: dist and src in node_modules, compiled here so that no build has to be up to date.
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mapsweep-sites-'));
    const installed = join(directory, 'node_modules', 'mapsweep');
    mkdirSync(installed, { recursive: true });
    writeFileSync(
      join(installed, 'package.json'),
      JSON.stringify({ name: 'mapsweep', type: 'module', exports: './dist/index.js' }),
    );
    cpSync(join(project, 'src'), join(installed, 'src'), { recursive: true });
    const sources = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' });
    for (const file of sources.filter((name) => name.endsWith('.ts'))) {
      const sourceRoot = relative(join('dist', dirname(file)), join('src', dirname(file)));
      compile(join(project, 'src'), file, join(installed, 'dist'), sourceRoot);
    }
    for (const name of ['mitt', 'lru-cache', 'ms']) {
      symlinkSync(join(project, 'node_modules', name), join(directory, 'node_modules', name));
    }
    const source = [
      "import { createRegistry } from 'mapsweep';",
      'interface Run { id: string }',
      'const registry = createRegistry<{ runs: Map<string, Run> }>({ maps: { runs: {} }, captureSites: 1 });',
      '',
      '',
      'function startRun(run: Run): void {',
      '  registry.maps.runs.set(run.id, run);',
      '}',
      "startRun({ id: 'a' });",
      'process.stdout.write(JSON.stringify(registry.report().maps[0]?.sites));',
    ].join('\n');
    writeFileSync(join(directory, 'app.ts'), source);
    compile(directory, 'app.ts', directory);
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  }, 60_000);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const run = (...flags: string[]) =>
    JSON.parse(execFileSync(process.execPath, [...flags, join(directory, 'app.js')], { encoding: 'utf8' }));

  it('names line 4 of app.js where mapsweep runs from node_modules/mapsweep/dist', () => {
    expect(run()).toEqual([{ site: `startRun (${join(directory, 'app.js')}:4:24)`, count: 1 }]);
  });

  it('names line 7 of app.ts with --enable-source-maps', () => {
    expect(run('--enable-source-maps')).toEqual([
      { site: `startRun (${join(directory, 'app.ts')}:7:22)`, count: 1 },
    ]);
  });
});
