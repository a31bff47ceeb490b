import fs, { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { FolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { scratchFolder, segmentsIn } from './folder-medium.js';

let scratch: string;
let folder: string;

beforeEach(() => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(scratch, { recursive: true, force: true });
});

/** What was waited for to be on the disk: its path, and whether it was open for writing. */
type Flushed = { readonly path: string; readonly isWritable: boolean };

/** Opens the folder with a copy of the module whose calls to flush are listed. */
async function open(sync: 'kernel' | 'disk'): Promise<{ journal: FolderJournal; flushed: Flushed[] }> {
  const flushed: Flushed[] = [];
  const seen = (descriptor: number): void => {
    const flags =
      /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1] ?? '0';
    const path = readlinkSync(`/proc/self/fd/${descriptor}`);
    flushed.push({ path, isWritable: (Number.parseInt(flags, 8) & 3) !== fs.constants.O_RDONLY });
  };
  const { fsync, fdatasync } = fs;
  vi.spyOn(fs, 'fsync').mockImplementation((descriptor, done) => {
    seen(descriptor);
    fsync(descriptor, done);
  });
  vi.spyOn(fs, 'fdatasync').mockImplementation((descriptor, done) => {
    seen(descriptor);
    fdatasync(descriptor, done);
  });
  vi.resetModules();
  const module = await import('../../../src/restart/folder/folder-journal.js');
  return { journal: module.FolderJournal.open(folder, { sync, segmentBytes: 1_000 }), flushed };
}

it('with sync: disk the name of the folder is on the disk with the first record, too', async () => {
  const { journal, flushed } = await open('disk');
  journal.begin(() => ['["preamble"]']);
  await journal.append(['["record"]']);
  journal.release();
  const paths = flushed.map(({ path }) => path);
  expect(paths).toContain(folder);
  expect(paths).toContain(dirname(folder));
});

it('with sync: disk what earlier lives left is on the disk before a new segment says how much of it counts', async () => {
  for (const sync of ['kernel', 'disk', 'disk'] as const) {
    const { journal } = await open(sync);
    journal.begin(() => ['["preamble"]']);
    await journal.append(['["record"]']);
    journal.release();
    vi.restoreAllMocks();
  }
  const { journal, flushed } = await open('disk');
  journal.begin(() => ['["preamble"]']);
  await journal.append(['["record"]']);
  await journal.append(['["another"]']);
  journal.release();
  const segments = flushed.map(({ path }) => path).filter((path) => path.endsWith('.log'));
  const earlier = segmentsIn(folder).slice(0, 3);
  expect(earlier).toHaveLength(3);
  expect(segments.slice(0, 3)).toEqual(earlier.map((name) => join(folder, name)));
  // Once.
  expect(new Set(segments.slice(3)).size).toBe(1);
});

it('with sync: kernel what takes the place of old segments is flushed by descriptors that may write, as Windows asks', async () => {
  const { journal, flushed } = await open('kernel');
  journal.begin(() => ['["preamble"]']);
  for (let n = 0; n < 5; n += 1) await journal.append([JSON.stringify(['record', 'x'.repeat(400)])]);
  await journal.beginCheckpoint();
  await journal.append(['["live"]']);
  await journal.endCheckpoint();
  const ofSegments = () => flushed.filter(({ path }) => path.endsWith('.log'));
  await vi.waitFor(() => expect(ofSegments()).not.toEqual([]));
  journal.release();
  expect(ofSegments().every(({ isWritable }) => isWritable)).toBe(true);
});
