import { pbkdf2 } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { limitFileSize, scratchFolder, segmentsIn } from './folder-medium.js';
import { canFreeze, setImmutable } from './immutable.js';
import { canLoop, canMount, mountDiskOnFullDisk, mountReadOnly, mountSmallDisk } from './mounts.js';

let scratch: string;
let folder: string;
let journal: FolderJournal | undefined;
let undo: () => void;

beforeEach(() => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  undo = () => {};
});

afterEach(() => {
  limitFileSize(undefined);
  journal?.release();
  journal = undefined;
  undo();
  rmSync(scratch, { recursive: true, force: true });
});

const open = (options = {}): FolderJournal => {
  journal = FolderJournal.open(folder, options);
  return journal;
};

/** What the next owner knows. */
const past = (): unknown[] => {
  journal?.release();
  return [...open().takePast()].flat();
};

describe('a write that fails in its middle', () => {
  it.each([
    ['kernel', 100],
    ['disk', 40],
  ] as const)(
    'loses and invents nothing at any byte (sync: %s, %d times)',
    async (sync, rounds) => {
      const clock = createManualClock({ seed: 20_261_126 });
      const owner = open({ sync, segmentBytes: 4000 });
      owner.begin(() => ['["preamble"]']);
      const acknowledged: string[] = [];
      let failures = 0;
      for (let round = 0; round < rounds; round += 1) {
        const isTight = round % 3 !== 0;
        // Files may grow by up to 900 bytes more: that is anywhere in the frames of this append, or in a head.
        const longest = Math.max(0, ...segmentsIn(folder).map((name) => statSync(join(folder, name)).size));
        limitFileSize(isTight ? Math.floor(longest * clock.random() + 900 * clock.random()) : undefined);
        const records = Array.from({ length: 1 + Math.floor(clock.random() * 20) }, (_, index) =>
          JSON.stringify([round, index, 'x'.repeat(clock.random() * 40)]),
        );
        try {
          if (round % 7 === 0) owner.appendNow(records);
          else await owner.append(records);
          acknowledged.push(...records);
        } catch (error) {
          failures += 1;
          expect(error).toMatchObject({ code: 'ERR_JOURNAL_IO' });
        }
      }
      limitFileSize(undefined);
      expect(failures).toBeGreaterThan(rounds / 5);
      const known = past().map((record) => JSON.stringify(record));
      expect(known.filter((record) => record !== '["preamble"]')).toEqual(acknowledged);
    },
    60_000,
  );

  it('leaves no file behind for each attempt', async () => {
    const owner = open();
    await owner.append(['["a"]']);
    limitFileSize(300);
    for (let attempt = 0; attempt < 20; attempt += 1)
      await expect(owner.append([JSON.stringify(['x'.repeat(1000)])])).rejects.toThrow();
    while (segmentsIn(folder).length > 2) await new Promise((resolve) => setImmediate(resolve));
    // Nor for one whose head could not even be written.
    limitFileSize(10);
    for (let attempt = 0; attempt < 20; attempt += 1) await expect(owner.append(['["b"]'])).rejects.toThrow();
    expect(segmentsIn(folder).length).toBeLessThanOrEqual(2);
    limitFileSize(undefined);
    expect(past()).toEqual([['a']]);
  });
});

describe.skipIf(!canMount)('a disk that is full (needs leave to mount)', () => {
  it('is told with its code, keeps what it has, and takes more when there is room', async () => {
    mkdirSync(folder);
    const disk = mountSmallDisk(folder, '256k');
    undo = disk.unmount;
    const owner = open();
    const filler = JSON.stringify(['x'.repeat(30_000)]);
    let written = 0;
    const fill = async (): Promise<unknown> => {
      for (; written < 100; written += 1) await owner.append([filler]);
      return 'never full';
    };
    const error = await fill().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ERR_JOURNAL_IO', cause: { code: 'ENOSPC' } });
    expect((error as Error).message).toMatch(/cannot (write|begin) '.*\.log': ENOSPC/);
    expect(written).toBeGreaterThan(3);
    // A checkpoint cannot be had now either, and that does no harm.
    await owner.beginCheckpoint();
    await expect(owner.append([filler])).rejects.toThrow();
    disk.grow('1m');
    await owner.append(['["after"]']);
    const known = past();
    expect(known).toHaveLength(written + 1);
    expect(known.at(-1)).toEqual(['after']);
  });

  it('is full when the folder is opened: what was there is known, and it is written to when there is room', async () => {
    mkdirSync(folder);
    const disk = mountSmallDisk(folder, '64k');
    undo = disk.unmount;
    await open().append(['["a"]']);
    journal?.release();
    writeFileSync(join(folder, 'ballast'), '');
    try {
      writeFileSync(join(folder, 'ballast'), Buffer.alloc(64 * 1024));
    } catch {
      // As full as it can be.
    }
    expect(past()).toEqual([['a']]);
    await expect(journal?.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_IO' });
    disk.grow('1m');
    await journal?.append(['["b"]']);
    expect(past()).toEqual([['a'], ['b']]);
  });

  it('has no room for a file: opening fails with a code, and succeeds in the same process later', () => {
    mkdirSync(folder);
    const disk = mountSmallDisk(folder, '64k,nr_inodes=2');
    undo = disk.unmount;
    writeFileSync(join(folder, 'ballast'), '');
    expect(() => open()).toThrow(expect.objectContaining({ code: 'ERR_JOURNAL_IO' }));
    rmSync(join(folder, 'ballast'));
    expect(past()).toEqual([]);
  });
});

describe.skipIf(!canLoop)('a disk that fails to flush (needs leave to mount a loop device)', () => {
  it('is not believed: what was not flushed is written anew, behind what was', async () => {
    const disk = mountDiskOnFullDisk(scratch);
    undo = disk.unmount;
    folder = join(disk.path, 'journal');
    const owner = open({ sync: 'disk' });
    const filler = (index: number): string => JSON.stringify([index, 'x'.repeat(20_000)]);
    let written = 0;
    const fill = async (): Promise<unknown> => {
      for (; written < 200; written += 1) await owner.append([filler(written)]);
      return 'never fails';
    };
    // The file system has room; the disk below it has not, which only a flush tells.
    expect(await fill().catch((error: unknown) => error)).toMatchObject({ cause: { syscall: 'fdatasync' } });
    expect(written).toBeGreaterThan(10);
    disk.grow();
    await owner.append([filler(written)]);
    await owner.append(['["after"]']);
    const known = past() as [number | string][];
    expect(known.map(([index]) => index)).toEqual([
      ...Array.from({ length: written + 1 }, (_, n) => n),
      'after',
    ]);
  }, 30_000);
});

describe('a folder that cannot be written to', () => {
  it.skipIf(!canMount)('is opened by nobody (needs leave to mount)', async () => {
    await open().append(['["a"]']);
    journal?.release();
    const mount = mountReadOnly(folder);
    undo = mount.unmount;
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'ERR_JOURNAL_IO', cause: expect.objectContaining({ code: 'EROFS' }) }),
    );
    mount.unmount();
    expect(past()).toEqual([['a']]);
  });

  it.skipIf(!canFreeze)(
    'is told, and is written to when it can be (needs leave to make it immutable)',
    async () => {
      const owner = open({ segmentBytes: 10 });
      await owner.append(['["a"]']);
      undo = () => setImmutable(folder, false);
      setImmutable(folder, true);
      for (let attempt = 0; attempt < 3; attempt += 1)
        await expect(owner.append(['["b"]'])).rejects.toMatchObject({
          code: 'ERR_JOURNAL_IO',
          cause: { code: 'EPERM' },
        });
      setImmutable(folder, false);
      await owner.append(['["b"]']);
      expect(past()).toEqual([['a'], ['b']]);
    },
  );

  it.skipIf(!canFreeze)('keeps what a checkpoint has superseded until it can be removed', async () => {
    const owner = open();
    await owner.append(['["old"]']);
    await owner.beginCheckpoint();
    await owner.append(['["live"]']);
    const [old = ''] = segmentsIn(folder);
    undo = () => setImmutable(join(folder, old), false);
    setImmutable(join(folder, old), true);
    await owner.endCheckpoint();
    await owner.beginCheckpoint();
    await owner.append(['["live", 2]']);
    await owner.endCheckpoint();
    expect(segmentsIn(folder)).toContain(old);
    expect(past()).toEqual([['live', 2]]);
    setImmutable(join(folder, old), false);
    undo = () => {};
    await journal?.append(['["new"]']);
    while (segmentsIn(folder).includes(old)) await new Promise((resolve) => setImmediate(resolve));
    expect(past()).toEqual([['live', 2], ['new']]);
  });
});

describe('a thread pool that is busy for half a second', () => {
  it('delays an append, holds nothing up, and does not keep last words waiting', async () => {
    const owner = open();
    await owner.append(['["a"]']);
    let turns = 0;
    const count = setInterval(() => {
      turns += 1;
    }, 5);
    // As many jobs as there are threads, each about as long as is said.
    const jobs = Array.from(
      { length: 4 },
      () => new Promise((resolve) => pbkdf2('p', 's', 400_000, 64, 'sha512', resolve)),
    );
    const append = owner.append(['["b"]']);
    const first = await Promise.race([
      append.then(() => 'append'),
      ...jobs.map((job) => job.then(() => 'job')),
    ]);
    expect(first).toBe('job');
    expect(turns).toBeGreaterThan(5);
    await append;
    const more = jobs.map(() => new Promise((resolve) => pbkdf2('p', 's', 400_000, 64, 'sha512', resolve)));
    const overtaken = owner.append(['["c"]']);
    owner.appendNow(['["d"]']);
    owner.release();
    expect(past()).toEqual([['a'], ['b'], ['c'], ['d']]);
    await Promise.all([...jobs, ...more, overtaken]);
    clearInterval(count);
    expect(readdirSync(folder)).not.toContain('owner');
  }, 30_000);
});
