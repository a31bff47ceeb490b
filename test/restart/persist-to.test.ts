import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRegistry, openJournal, type Registry, type RegistryOptions } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { limitFileSize, scratchFolder, segmentsIn } from './folder/folder-medium.js';

type Maps = { runs: Map<unknown, object> };

let scratch: string;
let folder: string;
let registries: Registry<Maps>[];

beforeEach(() => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  registries = [];
});

afterEach(async () => {
  limitFileSize(undefined);
  for (const registry of registries) await registry.close({ deadline: 100 });
  rmSync(scratch, { recursive: true, force: true });
});

function start(options: Partial<RegistryOptions<Maps>> = {}, told: unknown[] = []): Registry<Maps> {
  const registry = createRegistry<Maps>({
    maps: { runs: { maxIdle: '24h' } },
    ended: { map: 'runs', deliver: ({ key, reason }) => void told.push([key, reason]) },
    persistTo: folder,
    ...options,
  });
  registries.push(registry);
  return registry;
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'none';
};

describe('persistTo', () => {
  it('is a folder: what is in it is known to the next registry', async () => {
    const first = start();
    first.maps.runs.set('a', {}).set('ended', {});
    first.end('ended');
    await first.close();
    const told: unknown[] = [];
    const next = start({ restoreWindow: 20 }, told);
    next.maps.runs.set('ended', {});
    expect(next.end('ended')).toBe('duplicate');
    await vi.waitFor(() => expect(told).toEqual([['a', 'lost']]));
  });

  it('survives that nobody closes it', async () => {
    const first = start();
    first.maps.runs.set('a', {});
    await first.flushed();
    const copy = join(scratch, 'copy');
    mkdirSync(copy);
    for (const name of segmentsIn(folder)) writeFileSync(join(copy, name), readFileSync(join(folder, name)));
    const next = start({ persistTo: copy });
    next.maps.runs.set('a', {});
    expect(next.stamps('runs', 'a')?.generation).toBe(1);
    // To the ms, rounded up; and what is shown goes by the wall clock of each process, which counts whole ms.
    const { registeredAt } = first.stamps('runs', 'a') as { registeredAt: number };
    const late = (next.stamps('runs', 'a')?.registeredAt as number) - registeredAt;
    expect(late).toBeGreaterThanOrEqual(-1);
    expect(late).toBeLessThanOrEqual(2);
  });

  it('is a folder with sync: disk, and a time that an ending waits', async () => {
    const told: unknown[] = [];
    const first = start({ persistTo: { path: folder, sync: 'disk', maxWait: '1s' } }, told);
    first.maps.runs.set('a', {});
    first.end('a');
    await vi.waitFor(() => expect(told).toEqual([['a', 'completed']]));
    await first.close();
    expect(codeOf(() => start({ persistTo: { path: folder, maxWait: 0 } }))).toBe('ERR_INVALID_DURATION');
    expect(codeOf(() => start({ persistTo: {} as never }))).toBe('ERR_INVALID_OPTION');
    expect(codeOf(() => start({ persistTo: 7 as never }))).toBe('ERR_INVALID_OPTION');
    expect(() => start({ persistTo: 7 as never })).toThrow(
      'persistTo must be the path of a folder, or an object of options',
    );
  });

  it('is an open journal, which serves one registry', async () => {
    const journal = await openJournal(folder);
    const first = start({ persistTo: journal });
    first.maps.runs.set('a', {});
    expect(codeOf(() => start({ persistTo: journal }))).toBe('ERR_CLOSED');
    // The one that has it goes on.
    await first.flushed();
    journal.close();
    first.maps.runs.set('b', {});
    await first.close();
    const next = start({ persistTo: await openJournal(folder) });
    next.maps.runs.set('b', {});
    expect(next.stamps('runs', 'b')?.generation).toBe(2);
  });

  it('is an open journal that nobody took, and closes', async () => {
    const journal = await openJournal(folder);
    expect(codeOf(() => start())).toBe('ERR_JOURNAL_LOCKED');
    journal.close();
    journal.close();
    start();
    expect(codeOf(() => start({ persistTo: journal }))).toBe('ERR_CLOSED');
  });

  it('is an open journal of another copy of this package, of the same version', async () => {
    vi.resetModules();
    const copy = await import('mapsweep');
    expect(copy.openJournal).not.toBe(openJournal);
    start({ persistTo: await copy.openJournal(folder) }).maps.runs.set('a', {});
    await registries[0]?.close();
    const next = start({ persistTo: await openJournal(folder) });
    next.maps.runs.set('a', {});
    expect(next.stamps('runs', 'a')?.generation).toBe(1);
    await next.close();
    const journal = await copy.openJournal(folder);
    expect(codeOf(() => start({ persistTo: journal, sweepEvery: -1 }))).toBe('ERR_INVALID_DURATION');
    await openJournal(folder).then((free) => free.close());
  });

  it('is no open journal of a copy of another version, which is closed', async () => {
    vi.resetModules();
    vi.doMock('../../src/version.ts', () => ({ version: '99.0.0' }));
    const copy = await import('mapsweep');
    vi.doUnmock('../../src/version.ts');
    const journal = await copy.openJournal(folder);
    const refused = () => start({ persistTo: journal });
    expect(refused).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
    expect(refused).toThrow('persistTo was opened by another copy of mapsweep, of version 99.0.0');
    await openJournal(folder).then((free) => free.close());
  });

  it('is refused while another registry of this process has it, by whatever path', () => {
    start();
    symlinkSync(folder, join(scratch, 'link'));
    expect(codeOf(() => start())).toBe('ERR_JOURNAL_LOCKED');
    expect(codeOf(() => start({ persistTo: join(scratch, 'link') }))).toBe('ERR_JOURNAL_LOCKED');
    expect(codeOf(() => start({ persistTo: `${folder}/../journal` }))).toBe('ERR_JOURNAL_LOCKED');
  });

  it('leaves a link that it is reached by, and writes to where that points', async () => {
    mkdirSync(folder);
    symlinkSync(folder, join(scratch, 'link'));
    const first = start({ persistTo: join(scratch, 'link') });
    first.maps.runs.set('a', {});
    await first.close();
    expect(lstatSync(join(scratch, 'link')).isSymbolicLink()).toBe(true);
    expect(segmentsIn(folder)).toHaveLength(1);
  });

  it('is no snapshot of the first edition: the error says how to restore that', () => {
    const path = join(scratch, 'state.json');
    writeFileSync(path, '{"format":"mapsweep-snapshot","version":1,"takenAt":1,"maps":{}}');
    expect(() => start({ persistTo: path })).toThrow(/restore\(/);
  });

  it('says which journal a record is in that is none, and what to do', async () => {
    const first = await openJournal(folder);
    const { journal } = first.take();
    journal.begin(() => []);
    await journal.append(['["life",1,"x",0,"",0,0]', '["set",0,"a",1,0]']);
    journal.release();
    const refused = () => start();
    expect(refused).toThrow(expect.objectContaining({ code: 'ERR_JOURNAL_DAMAGED' }));
    expect(refused).toThrow(`persistTo: the journal '${folder}': a record of the kind "set"`);
    expect(refused).toThrow('Move it away to start without it');
    await expect(openJournal(folder)).rejects.toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  });

  it('refuses the records of a later version, which are left as they are', async () => {
    const first = await openJournal(folder);
    const { journal } = first.take();
    journal.begin(() => ['["life",99,"x",0,"",0,0]']);
    await journal.append(['["hologram",1]']);
    journal.release();
    const before = segmentsIn(folder);
    expect(() => start()).toThrow(expect.objectContaining({ code: 'ERR_JOURNAL_VERSION' }));
    expect(() => start()).toThrow(/written by a later version of mapsweep.*Start that version/);
    expect(segmentsIn(folder)).toEqual(before);
  });

  it('refuses endings of another map, and says whose they are', async () => {
    const first = start();
    first.maps.runs.set('a', {}).set('b', {}).set('c', {});
    first.end('c');
    await first.close();
    const adopted = new Map();
    const other = () =>
      createRegistry({ maps: { other: { adopt: adopted } }, ended: { map: 'other' }, persistTo: folder });
    expect(other).toThrow(
      `the journal '${folder}' holds endings of 'runs', this registry announces those of 'other'. Call the map 'runs' as before, ` +
        'or let the version before it end its runs first: moved away, 0 endings and 2 open runs of it are never told',
    );
    expect(Object.getOwnPropertyNames(adopted)).toEqual([]);
    const next = start();
    next.maps.runs.set('a', {}).set('b', {}).set('c', {});
    next.maps.runs.clear();
    await next.close();
    // When none of them is open any more, the map may have another name.
    await other().close();
  });
});

describe('createRegistry that throws', () => {
  const wrong: [why: string, options: () => object, code: string][] = [
    ['an option is misspelt', () => ({ swepEvery: 1 }), 'ERR_UNKNOWN_OPTION'],
    [
      'a map is tracked already',
      () => ({ maps: { runs: { adopt: start({ persistTo: undefined }).maps.runs } } }),
      'ERR_ALREADY_TRACKED',
    ],
    ['the clock does not work', () => ({ clock: brokenClock() }), 'none'],
  ];

  it.each(wrong)('since %s frees the journal, its folder and an open one', async (_why, options, code) => {
    for (const persistTo of [folder, await openJournal(join(scratch, 'open'))]) {
      let error: unknown;
      try {
        start({ ...options(), persistTo } as never);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(Error);
      if (code !== 'none') expect(error).toMatchObject({ code });
      await start({ persistTo: typeof persistTo === 'string' ? folder : join(scratch, 'open') }).close();
    }
  });

  it('after what was decoded was set frees it, too, and gives adopted maps back', async () => {
    const adopted = new Map<string, object>();
    const maps = {
      runs: { persist: { encode: () => 1, decode: () => ({}) } },
      first: { adopt: adopted, persist: true },
      // Cannot be adopted: its `set` cannot be replaced.
      second: { adopt: Object.freeze(new Map<string, object>()) },
    };
    const first = start();
    first.maps.runs.set('a', {});
    await first.close();
    expect(codeOf(() => createRegistry({ maps, ended: { map: 'runs' }, persistTo: folder }))).not.toBe(
      'none',
    );
    expect(Object.getOwnPropertyNames(adopted)).toEqual([]);
    const next = start();
    next.maps.runs.set('a', {});
    expect(next.stamps('runs', 'a')?.generation).toBe(1);
  });
});

describe('a disk that is full', () => {
  it('when the registry is created lets it start, or says so; and with room again it works', async () => {
    limitFileSize(10);
    let registry: Registry<Maps> | undefined;
    try {
      registry = start();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_JOURNAL_IO' });
    }
    registry?.maps.runs.set('a', {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    limitFileSize(undefined);
    await registry?.close();
    const next = start();
    next.maps.runs.set('b', {});
    await next.close();
    expect(segmentsIn(folder).length).toBeGreaterThan(0);
  });

  it('while it runs is told, and caught up with', async () => {
    const registry = start();
    const failures: unknown[] = [];
    registry.on('journal-failed', ({ error }) => failures.push(error));
    registry.maps.runs.set('a', {});
    await registry.flushed();
    const [segment = ''] = segmentsIn(folder);
    limitFileSize(lstatSync(join(folder, segment)).size);
    for (let n = 0; n < 100; n += 1) registry.maps.runs.set(n, {});
    await vi.waitFor(() => expect(failures).toMatchObject([{ code: 'ERR_JOURNAL_IO' }]));
    await expect(registry.flushed()).rejects.toMatchObject({ code: 'ERR_JOURNAL_IO' });
    limitFileSize(undefined);
    await vi.waitFor(() => registry.flushed(), { timeout: 5_000 });
    await registry.close();
    const next = start();
    for (let n = 0; n < 100; n += 1) next.maps.runs.set(n, {});
    expect(next.stamps('runs', 99)?.generation).toBe(101);
  }, 20_000);
});

describe('a folder that was removed', () => {
  it('is told, nothing is delivered any more, and close() comes back', async () => {
    const told: unknown[] = [];
    const registry = start({}, told);
    const failures: unknown[] = [];
    registry.on('journal-failed', (failure) => failures.push(failure));
    registry.maps.runs.set('a', {});
    await registry.flushed();
    rmSync(folder, { recursive: true });
    registry.end('a');
    await vi.waitFor(() =>
      expect(failures).toMatchObject([{ isFinal: true, error: { code: 'ERR_JOURNAL_LOST' } }]),
    );
    expect(await registry.close()).toEqual({ undelivered: 1, undisposed: 0 });
    expect(told).toEqual([]);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('and made anew by somebody else is theirs: nothing in it is touched', async () => {
    const registry = start();
    registry.maps.runs.set('a', {});
    await registry.flushed();
    rmSync(folder, { recursive: true });
    const rival = start();
    rival.maps.runs.set('rival', {});
    await rival.flushed();
    const before = segmentsIn(folder);
    registry.maps.runs.set('b', {});
    await expect(registry.flushed()).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
    await registry.close();
    expect(segmentsIn(folder)).toEqual(before);
    await rival.close();
    const next = start();
    next.maps.runs.set('rival', {});
    expect(next.stamps('runs', 'rival')?.generation).toBe(1);
  });
});

/** Works until it is asked for the second time. */
function brokenClock() {
  let asked = 0;
  return {
    now: () => Date.now(),
    monotonic: () => {
      asked += 1;
      if (asked > 3) throw new Error('the clock is broken');
      return performance.now();
    },
    setTimeout: () => undefined,
    clearTimeout: () => undefined,
  };
}
