import {
  appendFileSync,
  closeSync,
  cpSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { createManualClock } from 'mapsweep/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { readPast } from '../../../src/restart/folder/past.js';
import { listSegments } from '../../../src/restart/folder/segment-files.js';
import { SegmentDamage } from '../../../src/restart/folder/segment-frames.js';
import { runNow } from '../../../src/restart/folder/steps.js';
import { survey } from '../../../src/restart/folder/survey.js';
import { scratchFolder, segmentsIn } from './folder-medium.js';

let scratch: string;
let folder: string;
/** What a reader of the undamaged journal gets, record by record. */
let whole: string[];

/** Reads a folder without its lock: that would cost a process for each of thousands of rounds. */
function read(path: string): string[] {
  const { live } = runNow(survey(listSegments(path)));
  return [...readPast(path, live)].flat().map((record) => JSON.stringify(record));
}

/** Reads, and returns the damage that it finds instead. */
function readOrDamage(path: string): string[] | SegmentDamage {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof SegmentDamage) return error;
    throw error;
  }
}

const isPrefix = (records: readonly string[]): boolean =>
  records.length <= whole.length && records.every((record, index) => record === whole[index]);

const names = (): string[] => segmentsIn(folder);
const pathOf = (name: string | undefined): string => join(folder, name ?? 'none');

/** The segments that count, in their order, and how many bytes of them do. */
const countingBytes = (): Map<string, number> =>
  new Map(runNow(survey(listSegments(folder))).live.map(({ name, bytes }) => [name, bytes]));

/** Does something to a copy of the folder. */
function inCopy<T>(work: (copy: string) => T): T {
  const copy = join(scratch, 'copy');
  rmSync(copy, { recursive: true, force: true });
  cpSync(folder, copy, { recursive: true });
  return work(copy);
}

beforeAll(async () => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  // Two owners, a checkpoint, a torn write in the middle and several segments, all in 2 kB.
  const first = FolderJournal.open(folder, { segmentBytes: 300 });
  first.begin(() => ['["maps","runs"]']);
  await first.append(['["old",1]', '["old",2]']);
  await first.beginCheckpoint();
  for (let index = 0; index < 6; index += 1) await first.append([`["live",${index}]`]);
  await first.endCheckpoint();
  await first.append(['["new",1]']);
  while (names()[0]?.endsWith('1.log')) await new Promise((resolve) => setImmediate(resolve));
  first.release();
  appendFileSync(pathOf(names().at(-1)), readFileSync(pathOf(names().at(-1))).subarray(0, 20));
  const second = FolderJournal.open(folder, { segmentBytes: 300 });
  second.begin(() => ['["maps","runs"]']);
  for (let index = 0; index < 6; index += 1) await second.append([`["later",${index}]`, '["later","too"]']);
  second.release();
  whole = read(folder);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it('has several segments of two owners to begin with', () => {
  expect(names().length).toBeGreaterThan(4);
  expect(new Set(names().map((name) => name.slice(0, 24))).size).toBe(2);
  expect(whole.filter((record) => !record.includes('maps'))).toHaveLength(6 + 1 + 12);
});

it('reads on behind a torn write of an earlier owner', () => {
  expect(whole.at(-1)).toBe('["later","too"]');
  expect(whole.join()).toMatch(/"new",1.*"later",0/);
});

it('has a prefix, cut at any byte of its last segment', () => {
  const last = names().at(-1) ?? '';
  const lengths = new Set<number>();
  inCopy((copy) => {
    // Downwards, so that one copy serves for all.
    for (let bytes = statSync(pathOf(last)).size; bytes >= 0; bytes -= 1) {
      truncateSync(join(copy, last), bytes);
      const records = read(copy);
      expect(isPrefix(records), `${bytes} bytes`).toBe(true);
      lengths.add(records.length);
    }
  });
  expect(lengths.size).toBeGreaterThan(2);
}, 30_000);

it('is damaged, cut at any byte of another segment that counts, and whole if what is cut does not', () => {
  const counting = countingBytes();
  for (const name of names().slice(0, -1)) {
    inCopy((copy) => {
      for (let bytes = statSync(pathOf(name)).size - 1; bytes >= 0; bytes -= 1) {
        truncateSync(join(copy, name), bytes);
        const outcome = readOrDamage(copy);
        if (bytes >= (counting.get(name) ?? 0)) expect(outcome).toEqual(whole);
        else expect(outcome, `${name} cut at ${bytes}`).toBeInstanceOf(SegmentDamage);
      }
    });
  }
}, 30_000);

it('is damaged if a segment that counts is missing, unless it is the last', () => {
  for (const name of [...countingBytes().keys()].slice(0, -1)) {
    const outcome = inCopy((copy) => {
      rmSync(join(copy, name));
      return readOrDamage(copy);
    });
    expect(outcome).toBeInstanceOf(SegmentDamage);
    expect((outcome as Error).message).toContain(name);
  }
});

it('is damaged if two segments have changed places', () => {
  const [one = '', other = ''] = names();
  const outcome = inCopy((copy) => {
    renameSync(join(copy, one), join(copy, 'kept'));
    renameSync(join(copy, other), join(copy, one));
    renameSync(join(copy, 'kept'), join(copy, other));
    return readOrDamage(copy);
  });
  expect(outcome).toBeInstanceOf(SegmentDamage);
});

it('is damaged if a segment stands under another name, as the copy of an old one after all others', () => {
  const outcome = inCopy((copy) => {
    const last = names().at(-1) ?? '';
    cpSync(join(copy, names()[0] ?? ''), join(copy, last.replace(/\d+\.log$/, '000000999.log')));
    return readOrDamage(copy);
  });
  expect(outcome).toMatchObject({ message: `it was written as ${names()[0]}` });
});

it('is damaged if the end of a segment that is not the last was overwritten with zeros', () => {
  for (const [name, bytes] of [...countingBytes()].slice(0, -1)) {
    const outcome = inCopy((copy) => {
      const file = openSync(join(copy, name), 'r+');
      writeSync(file, Buffer.alloc(20), 0, 20, bytes - 20);
      closeSync(file);
      return readOrDamage(copy);
    });
    expect(outcome).toBeInstanceOf(SegmentDamage);
  }
});

it('has no bit of 1,000 that flips without being told', () => {
  const clock = createManualClock({ seed: 20_261_125 });
  const counts = countingBytes();
  let inVoid = 0;
  inCopy((copy) => {
    for (let round = 0; round < 1000; round += 1) {
      const name = names()[Math.floor(clock.random() * names().length)] ?? '';
      const bytes = readFileSync(pathOf(name));
      const at = Math.floor(clock.random() * bytes.length);
      const file = openSync(join(copy, name), 'r+');
      writeSync(file, Buffer.of((bytes[at] ?? 0) ^ (1 << Math.floor(clock.random() * 8))), 0, 1, at);
      const outcome = readOrDamage(copy);
      writeSync(file, bytes, at, 1, at);
      closeSync(file);
      if (at >= (counts.get(name) ?? 0)) {
        inVoid += 1;
        expect(outcome).toEqual(whole);
      } else {
        expect(outcome, `byte ${at} of ${name}`).toBeInstanceOf(SegmentDamage);
      }
    }
  });
  // The torn write in the middle is no part of the journal: nobody can be told wrong things by it.
  expect(inVoid).toBeLessThan(100);
}, 30_000);
