import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderJournal, openFolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { encodeFrame, frameHeaderBytes, frameKind } from '../../../src/restart/folder/frame.js';
import { scratchFolder, segmentsIn } from './folder-medium.js';

let scratch: string;
let folder: string;
let opened: FolderJournal[];

beforeEach(() => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  opened = [];
});

afterEach(() => {
  for (const journal of opened) journal.release();
  rmSync(scratch, { recursive: true, force: true });
});

const open = (path = folder): FolderJournal => {
  const journal = FolderJournal.open(path, { segmentBytes: 200 });
  opened.push(journal);
  return journal;
};

const pastOf = (journal: FolderJournal): unknown[] => [...journal.takePast()].flat();

/** Leaves a journal of these records in the folder, one segment for each. */
async function leave(...records: string[]): Promise<void> {
  const journal = open();
  for (const record of records) await journal.append([JSON.stringify([record, 'x'.repeat(200)])]);
  journal.release();
}

/** What opening throws, both ways; and that the folder is free and no descriptor is left open then. */
async function refusal(path = folder): Promise<{ code: string; message: string }> {
  const before = openDescriptors();
  const errors = [
    await openFolderJournal(path).catch((error: unknown) => error),
    await (async () => FolderJournal.open(path))().catch((error: unknown) => error),
  ] as { code: string; message: string }[];
  expect(errors[0]?.message).toBe(errors[1]?.message);
  expect(openDescriptors()).toEqual(before);
  return errors[0] ?? { code: 'none', message: '' };
}

const openDescriptors = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      return target.includes('mapsweep-journal-') ? [target] : [];
    } catch {
      return [];
    }
  });

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe('the folder', () => {
  it('is made for its owner alone, and so is each file in it', async () => {
    await leave('a', 'b');
    expect(modeOf(folder)).toBe('700');
    expect(readdirSync(folder).length).toBeGreaterThan(2);
    for (const name of readdirSync(folder)) expect(modeOf(join(folder, name))).toBe('600');
  });

  it('is found behind links, also where what they point to is still to be made', async () => {
    mkdirSync(join(scratch, 'volume'));
    symlinkSync('volume/state', join(scratch, 'link'));
    symlinkSync('link', join(scratch, 'link to a link'));
    const journal = open(join(scratch, 'link to a link'));
    expect(journal.name).toBe(join(scratch, 'volume/state'));
    await journal.append(['["a"]']);
    expect(segmentsIn(join(scratch, 'volume/state'))).toHaveLength(1);
    expect(readlinkSync(join(scratch, 'link'))).toBe('volume/state');
  });

  it('is one folder by every path to it', async () => {
    open();
    symlinkSync(scratch, `${scratch}-link`);
    try {
      for (const path of [join(`${scratch}-link`, 'journal'), relative('.', folder), join(folder, '.', '')])
        expect((await refusal(path)).code).toBe('ERR_JOURNAL_LOCKED');
    } finally {
      rmSync(`${scratch}-link`);
    }
  });

  it('is not made in a folder that is missing, as when a volume is not mounted', async () => {
    const { code, message } = await refusal(join(scratch, 'missing', 'journal'));
    expect(code).toBe('ERR_JOURNAL_IO');
    expect(message).toContain(
      `missing/journal': ENOENT. Make '${join(scratch, 'missing')}' first, or mount it`,
    );
    expect(existsSync(join(scratch, 'missing'))).toBe(false);
  });

  it('is no file: a snapshot of the first edition is told how to be restored', async () => {
    writeFileSync(folder, '{}');
    const { code, message } = await refusal();
    expect(code).toBe('ERR_INVALID_OPTION');
    expect(message).toContain(`registry.restore(JSON.parse(readFileSync("${folder}", 'utf8')))`);
    expect(readFileSync(folder, 'utf8')).toBe('{}');
  });

  it('is no pipe, and nobody waits for its other end', async () => {
    execFileSync('mkfifo', [folder]);
    expect((await refusal()).code).toBe('ERR_INVALID_OPTION');
  });

  it('leaves other files alone', async () => {
    mkdirSync(folder);
    const others = [
      'notes.txt',
      'journal-1-1.log',
      'journal-000000000000001-000000001.log.bak',
      'lost+found',
    ];
    for (const name of others) writeFileSync(join(folder, name), 'precious');
    await leave('a');
    const journal = open();
    await journal.beginCheckpoint();
    await journal.endCheckpoint();
    journal.release();
    for (const name of others) expect(readFileSync(join(folder, name), 'utf8')).toBe('precious');
  });
});

describe('a file that is no regular one', () => {
  const segment = 'journal-000000000000001-000000001.log';

  it.each([
    ['a pipe', (path: string) => execFileSync('mkfifo', [path])],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a link', (path: string) => symlinkSync('/etc/hostname', path)],
    ['a device', (path: string) => execFileSync('mknod', [path, 'c', '1', '5'])],
  ])('is refused with the name of a segment: %s', async (_what, make) => {
    await leave('a');
    make(join(folder, segment));
    const { code, message } = await refusal();
    expect(code).toBe('ERR_JOURNAL_DAMAGED');
    expect(message).toContain(segment);
    rmSync(join(folder, segment), { recursive: true });
    expect(pastOf(open())).toHaveLength(1);
  });

  it.each([
    ['a pipe', (path: string) => execFileSync('mkfifo', [path])],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a link', (path: string) => symlinkSync(join(scratch, 'victim'), path)],
    ['a second name of another file', (path: string) => linkSync(join(scratch, 'victim'), path)],
  ])('is refused in the place of the lock: %s', async (_what, make) => {
    mkdirSync(folder);
    writeFileSync(join(scratch, 'victim'), 'precious');
    make(join(folder, 'lock'));
    const { code, message } = await refusal();
    expect(code).toBe('ERR_JOURNAL_IO');
    expect(message).toContain(`${folder}/lock' is no regular file`);
    expect(readFileSync(join(scratch, 'victim'), 'utf8')).toBe('precious');
  });

  it('is passed over where a segment is to be made, and never followed', async () => {
    const journal = open();
    await journal.append([JSON.stringify(['a', 'x'.repeat(200)])]);
    writeFileSync(join(scratch, 'victim'), 'precious');
    const [name = ''] = segmentsIn(folder);
    symlinkSync(join(scratch, 'victim'), join(folder, name.replace('1.log', '2.log')));
    writeFileSync(join(folder, name.replace('1.log', '3.log')), 'not ours');
    await journal.append(['["b"]']);
    expect(segmentsIn(folder).at(-1)).toBe(name.replace('1.log', '4.log'));
    expect(readFileSync(join(scratch, 'victim'), 'utf8')).toBe('precious');
    expect(readFileSync(join(folder, name.replace('1.log', '3.log')), 'utf8')).toBe('not ours');
  });
});

describe('damage', () => {
  it('names file and byte, and what to move away to go on with all that was written before', async () => {
    await leave('a', 'b', 'c', 'd');
    const names = segmentsIn(folder);
    const damagedName = names[2] ?? '';
    const bytes = readFileSync(join(folder, damagedName));
    const at = bytes.indexOf('xxxx') + 10;
    bytes[at] = 0x79;
    writeFileSync(join(folder, damagedName), bytes);
    const kept = readdirSync(folder).map((name) => readFileSync(join(folder, name)).length);
    const { code, message } = await refusal();
    expect(code).toBe('ERR_JOURNAL_DAMAGED');
    expect(message).toMatch(
      new RegExp(`'${damagedName}' in '${folder}' is damaged at byte \\d+: the checksum of a frame is wrong`),
    );
    expect(message).toContain(`move away '${damagedName}' and what sorts behind it (2 files)`);
    expect(readdirSync(folder).map((name) => readFileSync(join(folder, name)).length)).toEqual(kept);
    for (const name of names.slice(2)) renameSync(join(folder, name), join(scratch, name));
    const journal = open();
    expect(pastOf(journal).map((record) => (record as string[])[0])).toEqual(['a', 'b']);
  });

  it('says that the whole folder has to go if nothing before it is complete', async () => {
    await leave('a', 'b');
    truncateSync(join(folder, segmentsIn(folder)[0] ?? ''), 100);
    const { message } = await refusal();
    expect(message).toContain('the file is cut');
    expect(message).toContain('move the whole folder away');
  });

  it('names the segment that is missing', async () => {
    await leave('a', 'b', 'c');
    const name = segmentsIn(folder)[1] ?? '';
    rmSync(join(folder, name));
    const { code, message } = await refusal();
    expect(code).toBe('ERR_JOURNAL_DAMAGED');
    expect(message).toContain(`it needs '${name}', which is missing`);
  });

  it('is told from a newer version of the format', async () => {
    await leave('a');
    const path = join(folder, segmentsIn(folder)[0] ?? '');
    writeFileSync(path, newerFrame(2));
    const { code, message } = await refusal();
    expect(code).toBe('ERR_JOURNAL_VERSION');
    expect(message).toMatch(
      new RegExp(`${basename(path)}' has version 2 of the format, and this mapsweep knows 1`),
    );
  });

  it('leaves out only a torn tail, and says how much that was', async () => {
    await leave('a', 'b');
    const path = join(folder, segmentsIn(folder).at(-1) ?? '');
    const { size } = statSync(path);
    truncateSync(path, size - 3);
    const journal = open();
    expect(pastOf(journal).map((record) => (record as string[])[0])).toEqual(['a']);
    expect(journal.tornTail).toMatchObject({ path });
    expect((journal.tornTail?.offset ?? 0) + (journal.tornTail?.bytes ?? 0)).toBe(size - 3);
  });

  it('does not include what a power cut has left of the last write: bytes that were never filled', async () => {
    await leave('a');
    const path = join(folder, segmentsIn(folder)[0] ?? '');
    const written = readFileSync(path);
    const next = encodeFrame(frameKind.records, JSON.stringify([['b', 'x'.repeat(2000)]]));
    const partly = (from: number): Buffer => Buffer.concat([written, Buffer.from(next).fill(0, from)]);
    // Of the next frame nothing, its header, or half of it; or all but its first block.
    const tails = [
      partly(0),
      partly(16),
      partly(1000),
      Buffer.concat([written, Buffer.from(next).fill(0, 0, 512)]),
    ];
    for (const bytes of tails) {
      writeFileSync(path, bytes);
      const journal = open();
      expect(pastOf(journal)).toHaveLength(1);
      expect(journal.tornTail).toMatchObject({ offset: written.length, bytes: next.length });
      journal.release();
    }
    // But a hole before whole frames is damage.
    writeFileSync(path, Buffer.concat([written, Buffer.alloc(512), next]));
    expect((await refusal()).code).toBe('ERR_JOURNAL_DAMAGED');
  });
});

it('refuses a last segment with a hole in its head and whole frames behind it, but not one that was never filled', async () => {
  await leave('a');
  await leave('b');
  const path = join(folder, segmentsIn(folder).at(-1) ?? '');
  const written = readFileSync(path);
  const headBytes = frameHeaderBytes + written.readUInt32LE(4);
  const holes = [
    [0, 16],
    [frameHeaderBytes, frameHeaderBytes + 16],
    [0, headBytes],
  ] as const;
  for (const [from, to] of holes) {
    writeFileSync(path, Buffer.from(written).fill(0, from, to));
    expect(await refusal()).toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      message: expect.stringContaining('is damaged at byte 0: its head has a hole'),
    });
    expect(segmentsIn(folder)).toContain(basename(path));
    // Its owner lost the power before it had begun.
    writeFileSync(path, Buffer.from(written).fill(0, from));
    const journal = open();
    expect(pastOf(journal).map((record) => (record as string[])[0])).toEqual(['a']);
    journal.release();
    writeFileSync(path, written);
  }
});

/** The first bytes of a segment as a later version may write them: all versions share the frame's header. */
function newerFrame(version: number): Buffer {
  const frame = encodeFrame(frameKind.segment, '{"something":"else"}');
  frame[2] = version;
  frame.writeUInt32LE(crc32(frame.subarray(0, 12)), 12);
  return frame;
}
