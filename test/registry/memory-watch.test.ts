import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, type MemoryPressureEvent, type PolicyOf, type RegistryOptions } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { internalsOf, type RegistryInternals } from '../../src/registry/internals.js';
import { type CompiledMemory, readMemory } from '../../src/registry/memory-options.js';
import { type MemoryReadings, ProcessReadings, type Taken } from '../../src/registry/memory-readings.js';
import { writeReport } from '../../src/registry/memory-report-files.js';
import { MemoryWatch } from '../../src/registry/memory-watch.js';

type Cache = Map<string, object>;

const scratch: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-memory-'));
  scratch.push(folder);
  return folder;
};

afterEach(() => {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Readings that say what the test says. */
class ToldReadings implements MemoryReadings {
  collections = 0;
  heapShare: number | undefined;
  residentShare: number | undefined;
  looks = 0;
  isStarted = false;
  #collected: (delayMs: number) => void = () => {};

  heap = (): Taken | undefined => taken(this.heapShare);
  resident = (): Taken | undefined => {
    this.looks += 1;
    return taken(this.residentShare);
  };
  readLimits = (): void => {};
  start = (collected: (delayMs: number) => void): void => {
    this.isStarted = true;
    this.#collected = collected;
  };
  stop = (): void => {
    this.isStarted = false;
    this.#collected = () => {};
  };
  /** A major collection has left so much, and was told of after so many ms. */
  collect(share: number, delayMs = 0): void {
    this.collections += 1;
    this.heapShare = share;
    this.#collected(delayMs);
  }
}

const taken = (share: number | undefined): Taken | undefined =>
  share === undefined ? undefined : { usedBytes: share * 1_000, limitBytes: 1_000 };

function watched(
  policy: PolicyOf<Cache> = {},
  options: object = {},
  more: Partial<RegistryOptions<{ cache: Cache }>> = {},
) {
  const clock = createManualClock();
  const registry = createRegistry<{ cache: Cache }>({ maps: { cache: policy }, clock, ...more });
  const readings = new ToldReadings();
  const parts = internalsOf(registry) as RegistryInternals & { memory: MemoryWatch };
  const watch = new MemoryWatch(parts, readMemory(options, 'memory') as CompiledMemory, readings);
  Object.assign(parts, { memory: watch });
  watch.start();
  const told: MemoryPressureEvent[] = [];
  registry.on('memory-pressure', (event) => told.push(event));
  const { cache } = registry.maps;
  const fill = (count: number): void => {
    for (let n = 0; n < count; n += 1) cache.set(`key-${n}`, {});
  };
  return { clock, registry, cache, readings, told, fill };
}

describe('pressure', () => {
  it('is told once from warnAt on, and again only when it was below for a while', () => {
    const { readings, told, registry } = watched();
    for (const share of [0.79, 0.8, 0.85, 0.79, 0.82, 0.75, 0.81, 0.74, 0.8]) readings.collect(share);
    expect(told.map(({ kind, level, ratio, report }) => [kind, level, ratio, report])).toEqual([
      ['heap', 'warn', 0.8, undefined],
      ['heap', 'warn', 0.8, undefined],
    ]);
    registry.stop();
  });

  it('tells a heap that is full from a resident set that is, each by its own limit', async () => {
    const { clock, readings, told, registry } = watched();
    readings.residentShare = 0.85;
    readings.heapShare = 0.2;
    await clock.advance(60_000);
    readings.collect(0.95);
    expect(told.map(({ kind, level }) => [kind, level])).toEqual([
      ['rss', 'warn'],
      ['heap', 'shed'],
    ]);
    registry.stop();
  });

  it('is looked at every 1,000 registrations, and told in a later turn than the set that found it', async () => {
    const { clock, readings, told, fill, registry } = watched();
    readings.residentShare = 0.85;
    fill(999);
    expect(readings.looks).toBe(0);
    fill(1_999);
    expect([readings.looks, told.length]).toEqual([1, 0]);
    await clock.advance(0);
    expect(told.length).toBe(1);
    registry.stop();
  });

  it('is told of no more after close()', async () => {
    const { readings, told, registry, fill } = watched();
    await registry.close();
    expect(readings.isStarted).toBe(false);
    readings.collect(0.99);
    fill(2_000);
    expect([told.length, readings.looks]).toEqual([0, 0]);
  });

  it('goes to listeners that throw, call back and close without harm', async () => {
    const { readings, told, registry, cache, fill, clock } = watched({ shed: true });
    fill(100);
    registry.on('memory-pressure', () => {
      cache.clear();
      readings.collect(0.99);
      void registry.close();
      throw new Error('of the listener');
    });
    readings.collect(0.95);
    await clock.advance(1_000);
    expect(told.length).toBe(1);
    expect(cache.size).toBe(0);
    expect(registry.report().callbackErrors).toEqual([{ map: '', callback: 'listener', count: 1 }]);
  });
});

describe('the readings of the process', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('have no resident set where it cannot be read, though the container has a limit', () => {
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(2 ** 30);
    const readings = new ProcessReadings();
    expect(readings.resident()?.limitBytes).toBe(2 ** 30);
    vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
      throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    });
    expect(readings.resident()).toBeUndefined();
  });
});

describe('shed', () => {
  it('evicts a tenth, the longest idle, never a guarded one, and waits for the next major collection', async () => {
    const { clock, readings, told, registry, cache, fill } = watched({
      shed: true,
      keepWhile: (_, key) => key === 'key-0',
    });
    const rules: unknown[] = [];
    registry.on('evicted', ({ rule }) => rules.push(rule));
    fill(100);
    await clock.advance(1_000);
    registry.touch('cache', 'key-1');
    readings.collect(0.89);
    await clock.advance(0);
    expect(cache.size).toBe(100);
    readings.collect(0.9);
    await clock.advance(0);
    expect(told.at(-1)).toMatchObject({ level: 'shed', shedding: [{ map: 'cache', entries: 10 }] });
    expect([cache.size, cache.has('key-0'), cache.has('key-1')]).toEqual([90, true, true]);
    expect([cache.has('key-2'), cache.has('key-11'), cache.has('key-12')]).toEqual([false, false, true]);
    expect(rules).toEqual(Array(10).fill('shed'));
    await clock.advance(120_000);
    expect(cache.size).toBe(90);
    readings.collect(0.95);
    await clock.advance(0);
    expect(cache.size).toBe(81);
    registry.stop();
  });

  it('sheds once where heap and resident set are both that full', async () => {
    const { clock, readings, told, registry, cache, fill } = watched({ shed: true });
    fill(100);
    readings.residentShare = 0.95;
    readings.collect(0.95);
    await clock.advance(60_000);
    expect(told.map(({ kind, level, shedding }) => [kind, level, shedding])).toEqual([
      ['heap', 'shed', [{ map: 'cache', entries: 10 }]],
      ['rss', 'warn', []],
    ]);
    expect(cache.size).toBe(90);
    registry.stop();
  });

  it.each([
    ['of a map without shed', {}, {}],
    ['in observe', { shed: true }, { mode: 'observe' }],
    ['of a map in observe', { shed: true, mode: 'observe' }, {}],
  ] as const)('evicts nothing %s', async (_, policy, more) => {
    const { clock, readings, told, cache, fill, registry } = watched(policy, {}, more);
    fill(100);
    readings.collect(0.99);
    await clock.advance(60_000);
    expect(cache.size).toBe(100);
    expect(told).toMatchObject([{ level: 'shed', shedding: [] }]);
    registry.stop();
  });

  it('takes companions along, and runs beforeSweep first, as every eviction does', async () => {
    const asked: unknown[] = [];
    const clock = createManualClock();
    const registry = createRegistry<{ cache: Cache; tails: Cache }>({
      maps: {
        cache: { shed: true, beforeSweep: async (_, key) => void asked.push(key) },
        tails: { follows: 'cache' },
      },
      clock,
    });
    const parts = internalsOf(registry) as RegistryInternals;
    const readings = new ToldReadings();
    new MemoryWatch(parts, readMemory({}, 'memory'), readings).start();
    for (let n = 0; n < 20; n += 1) {
      registry.maps.cache.set(`key-${n}`, {});
      registry.maps.tails.set(`key-${n}`, {});
    }
    readings.collect(0.95);
    await clock.advance(1_000);
    expect(asked).toEqual(['key-0', 'key-1']);
    expect([registry.maps.cache.size, registry.maps.tails.size]).toEqual([18, 18]);
    registry.stop();
  });
});

describe('the report', () => {
  const settled = () => new Promise((resolve) => setTimeout(resolve, 50));

  it('is written whole, in words and as data, with keys escaped, and at most five are kept', async () => {
    const reportTo = join(newFolder(), 'made');
    const { readings, told, cache, registry, clock } = watched({ weigh: () => 100, ttl: '1h' }, { reportTo });
    cache.set('\u001b[2J', { secret: 'hunter2' });
    registry.watch('listeners\u001b[2J', () => 7, { max: 9 });
    await clock.advance(60_000);
    for (let n = 0; n < 7; n += 1) {
      await clock.advance(1_000);
      readings.collect(0.85);
      const { report = '' } = told.at(-1) ?? {};
      for (let tries = 0; tries < 100 && !readdirSync(join(reportTo, '..')).includes('made'); tries += 1)
        await settled();
      for (
        let tries = 0;
        tries < 100 && !readdirSync(reportTo).some((name) => report.endsWith(name));
        tries += 1
      )
        await settled();
      await settled();
      readings.collect(0.2);
    }
    const names = readdirSync(reportTo).sort();
    expect(names.length).toBe(10);
    expect(names.every((name) => /\.(json|txt)$/.test(name))).toBe(true);
    const last = told.at(-1)?.report as string;
    expect(names).toContain(last.slice(reportTo.length + 1));
    const text = readFileSync(last, 'utf8');
    expect(text).toMatch(
      /cache: 1 entries, 100.0 % of all, about 0.0 MB \(11.8 % of the heap\), \+\d+ an hour/,
    );
    expect(text).toContain("'\\u001b[2J'");
    expect(text).not.toMatch(/hunter2|\p{Cc}(?<!\n)/u);
    const data = JSON.parse(readFileSync(last.replace(/txt$/, 'json'), 'utf8'));
    expect(data.maps).toMatchObject([
      {
        name: 'cache',
        size: 1,
        estimatedBytes: 100,
        leak: { state: 'ok' },
        guarded: 0,
        oldest: [{ key: "'\\u001b[2J'" }],
      },
    ]);
    expect(text).toContain('watched sizes:\n  listeners\\u{1b}[2J: 7 of 9, +');
    expect(data.watched).toEqual([
      {
        name: 'listeners\\u{1b}[2J',
        size: 7,
        max: 9,
        perHour: expect.any(Number),
        leak: expect.objectContaining({ state: 'ok' }),
      },
    ]);
    expect(statSync(reportTo).mode & 0o777).toBe(0o700);
    registry.stop();
  });

  it('says how long the turn took after which V8 has told of the collection', async () => {
    const { readings, told, registry } = watched({}, { reportTo: newFolder() });
    readings.collect(0.85, 42.5);
    const path = told[0]?.report as string;
    const says = () => expect(readFileSync(path, 'utf8')).toContain('event loop: a turn took 42.5 ms,');
    await vi.waitFor(says, 10_000);
    registry.stop();
  });

  it('is kept though a clock that was set back has older ones come after it by name', async () => {
    const folder = newFolder();
    const pathOf = (n: number) => join(folder, `mapsweep-memory-2026010${n}T000000000Z-1-a`);
    for (const n of [3, 4, 5, 6, 7, 1]) await writeReport(folder, pathOf(n), 'text', '{}');
    const kept = [1, 4, 5, 6, 7].flatMap((n) => [`${pathOf(n)}.json`, `${pathOf(n)}.txt`]);
    expect(
      readdirSync(folder)
        .sort()
        .map((name) => join(folder, name)),
    ).toEqual(kept);
  });

  it('leaves files alone that are not its own', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'mapsweep-memory-of-mine.txt'), 'mine');
    for (let n = 0; n < 7; n += 1) {
      await writeReport(folder, join(folder, `mapsweep-memory-2026010${n}T000000000Z-1-a`), 'text', '{}');
    }
    const names = readdirSync(folder).sort();
    expect(names.filter((name) => name.endsWith('.txt'))).toEqual([
      ...[2, 3, 4, 5, 6].map((n) => `mapsweep-memory-2026010${n}T000000000Z-1-a.txt`),
      'mapsweep-memory-of-mine.txt',
    ]);
  });

  it('that cannot be written is a failed callback, and leaves nothing half written', async () => {
    const folder = newFolder();
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const { readings, registry, told } = watched({}, { reportTo: join(file, 'reports') });
    const failed = new Promise((resolve) => registry.on('callback-failed', resolve));
    readings.collect(0.85);
    expect(await failed).toMatchObject({ map: '', callback: 'reportTo', error: { code: 'ENOTDIR' } });
    expect(told.length).toBe(1);
    expect(readdirSync(folder)).toEqual(['a-file']);
    registry.stop();
  });

  it('that cannot be made is a failed callback too, and the event comes without it', () => {
    const { readings, registry, told } = watched({}, { reportTo: newFolder() });
    const failed: unknown[] = [];
    registry.on('callback-failed', ({ callback }) => failed.push(callback));
    const usage = vi.spyOn(process, 'memoryUsage').mockImplementation(() => {
      throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    });
    readings.collect(0.85);
    usage.mockRestore();
    expect(failed).toEqual(['reportTo']);
    expect(told).toMatchObject([{ level: 'warn', report: undefined }]);
    registry.stop();
  });
});

describe('the option memory', () => {
  it.each([
    [{ warnAt: 0 }, /^memory\.warnAt must be a number above 0, and at most 1/],
    [{ warnAt: '80%' }, /^memory\.warnAt must be a number/],
    [{ shedAt: 1.1 }, /^memory\.shedAt must be a number/],
    [{ warnAt: 0.8, shedAt: 0.5 }, /^memory\.shedAt must be at least warnAt, 0\.8; received 0\.5/],
    [{ reportTo: '' }, /^memory\.reportTo must be the path of a folder/],
    [{ warnat: 0.5 }, /warnAt/],
  ])('refuses %o', (memory, message) => {
    expect(() => createRegistry({ memory } as never)).toThrow(message);
  });

  it('takes shedAt from warnAt where that is more, warnAt from shedAt where that is less, and is off by default', async () => {
    expect(readMemory({ warnAt: 0.95 }, 'memory')).toMatchObject({ warnAt: 0.95, shedAt: 0.95 });
    expect(readMemory({ shedAt: 0.5 }, 'memory')).toMatchObject({ warnAt: 0.5, shedAt: 0.5 });
    expect(readMemory({ shedAt: 0.85 }, 'memory')).toMatchObject({ warnAt: 0.8, shedAt: 0.85 });
    expect(readMemory({}, 'memory')).toMatchObject({ warnAt: 0.8, shedAt: 0.9 });
    const registry = createRegistry({});
    expect(internalsOf(registry)?.memory).toBeUndefined();
    await registry.close();
  });

  it('makes the folder of reports at once, for its owner alone, and leaves nothing in it', async () => {
    const reportTo = join(newFolder(), 'made', 'here');
    const registry = createRegistry({ memory: { reportTo } });
    expect(readdirSync(reportTo)).toEqual([]);
    expect(statSync(reportTo).mode & 0o777).toBe(0o700);
    await registry.close();
  });

  it('is refused at once with a folder that takes no reports, and nothing is begun', async () => {
    const folder = newFolder();
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const persistTo = join(folder, 'journal');
    const adopted = new Map();
    // There not even root can make anything.
    const refusing = process.platform === 'linux' ? ['/proc', '/proc/made', '/proc/made/here'] : [];
    const bad = [file, join(file, 'reports'), ...refusing];
    for (const reportTo of bad) {
      const start = () =>
        createRegistry({ maps: { runs: { adopt: adopted } }, persistTo, memory: { reportTo } });
      expect(start).toThrow(
        expect.objectContaining({
          code: 'ERR_INVALID_OPTION',
          message: expect.stringMatching(
            /^memory\.reportTo must be a folder that can be written to; received "\/.*"\. Error: E[A-Z]+: /,
          ),
        }),
      );
    }
    expect(Object.getOwnPropertyNames(adopted)).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['a-file', 'journal']);
    // The journal is free again.
    await createRegistry({ maps: { runs: { adopt: adopted } }, persistTo }).close();
  });

  it('keeps no process alive, and watches a real heap: a collection is told of, and how late', () => {
    const code = `
      const { createRegistry } = await import('./src/index.ts');
      const { ProcessReadings } = await import('./src/registry/memory-readings.ts');
      new ProcessReadings().start((delayMs) => console.log('told of later:', delayMs >= 100));
      const registry = createRegistry({ maps: { a: { shed: true } }, memory: { warnAt: 0.0001 } });
      registry.on('memory-pressure', ({ kind, level }) => console.log(kind, level));
      setTimeout(() => {
        gc();
        for (const began = performance.now(); performance.now() - began < 150; );
      }, 10);
      setTimeout(() => {}, 1_000);`;
    const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', code];
    const output = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
    expect(output).toContain('heap ');
    expect(output).toContain('told of later: true');
  }, 60_000);
});
