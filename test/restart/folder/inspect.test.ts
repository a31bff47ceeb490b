import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { inspectFolder } from '../../../src/restart/folder/inspect.js';
import { runJournalCommand } from '../../../src/restart/folder/journal-command.js';
import { scratchFolder, segmentsIn } from './folder-medium.js';

let scratch: string;
let folder: string;
let journal: FolderJournal;

beforeEach(async () => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  journal = FolderJournal.open(folder, { segmentBytes: 300 });
  await journal.append(['["set",1]', '["set",2]', '["end",1]']);
  await journal.append([JSON.stringify(['set', 3, 'x'.repeat(300)])]);
  await journal.append(['["end",2]']);
});

afterEach(() => {
  journal.release();
  rmSync(scratch, { recursive: true, force: true });
});

const show = (...args: string[]): string => {
  const { status, output, error } = runJournalCommand([folder, ...args]);
  expect({ status, error }).toEqual({ status: 0, error: '' });
  return output;
};

it('shows whose the journal is, how large, and how many records of which kind it has', () => {
  const output = show();
  expect(output).toContain(`${folder}\n  owner: process ${process.pid} on host "`);
  expect(output).toContain('", which is running\n');
  expect(output).toContain('  journal: 2 segments, ');
  expect(output).toMatch(/journal-\d+-000000001\.log {2}\d+ bytes, 4 records, written 20/);
  expect(output).toMatch(/journal-\d+-000000002\.log {2}\d+ bytes, 1 record, written 20/);
  expect(output).toContain('  records: 3 "set", 2 "end"\n');
});

it('takes no lock and changes nothing', async () => {
  const state = (): unknown =>
    readdirSync(folder).map((name) => [
      name,
      statSync(join(folder, name)).mtimeMs,
      readFileSync(join(folder, name), 'hex'),
    ]);
  const before = state();
  show();
  show('--json');
  expect(state()).toEqual(before);
  await journal.append(['["more"]']);
});

it('says that nobody has the journal, and since when', () => {
  journal.release();
  expect(show()).toMatch(/owner: nobody; process \d+ on host ".+" since ".+" gave it back at "20/);
});

it('says that an owner has ended, or that it cannot be told', () => {
  const note = JSON.parse(readFileSync(join(folder, 'lock'), 'utf8')) as Record<string, unknown>;
  const withNote = (difference: object): string => {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ ...note, ...difference }));
    return show();
  };
  expect(withNote({ processStartedAt: '1' })).toMatch(
    /owner: nobody; process \d+ .* has ended without giving it back/,
  );
  expect(withNote({ pidNamespace: 'pid:[1]' })).toContain('whether it is running cannot be told from here');
  writeFileSync(join(folder, 'lock'), '');
  expect(show()).toContain('owner: nobody has left a note');
});

it('shows what whoever knows the records says is open', () => {
  const { output } = runJournalCommand([folder], (records) => [
    `${[...records].flat().filter(([kind]) => kind === 'set').length} runs`,
    'a key with \u001b[31m in it',
  ]);
  expect(output).toContain('  open:\n    3 runs\n    a key with �[31m in it\n');
});

it('shows what it found if whoever knows the records can make nothing of them, with status 1', () => {
  const { status, output } = runJournalCommand([folder], () => {
    throw new Error('a record of the kind "set" is none');
  });
  expect(status).toBe(1);
  expect(output).toContain(
    '  records: 3 "set", 2 "end"\n  not readable: a record of the kind "set" is none\n',
  );
});

it('tells a file that a checkpoint has superseded from the journal', async () => {
  const [old = ''] = segmentsIn(folder);
  const bytes = readFileSync(join(folder, old));
  await journal.beginCheckpoint();
  await journal.append(['["set",9]']);
  await journal.endCheckpoint();
  while (segmentsIn(folder).length > 2) await new Promise((resolve) => setImmediate(resolve));
  writeFileSync(join(folder, old), bytes);
  const output = show();
  expect(output).toContain('  records: 1 "set"\n');
  expect(output).toMatch(/no part of it any more, to be removed: 1 segment, \d+ bytes/);
  expect(inspectFolder(folder).segments.map(({ isLive }) => isLive)).toEqual([false, true, true]);
});

it('says what a torn tail is, and that it is no damage', () => {
  const last = join(folder, segmentsIn(folder).at(-1) ?? '');
  truncateSync(last, statSync(last).size - 1);
  expect(show()).toMatch(/torn: \d+ bytes at byte \d+ of .*\.log are a write that is under way, or/);
  journal.release();
  expect(show()).toContain(
    'are what is left of a write that was cut short: the disk was full, or its owner was killed; the next owner leaves them out',
  );
});

it('says where damage is and what to move away, with status 1', () => {
  const [first = '', second = ''] = segmentsIn(folder);
  const path = join(folder, second);
  const bytes = readFileSync(path);
  bytes[bytes.length - 3] = 0x20;
  writeFileSync(path, bytes);
  const { status, output } = runJournalCommand([folder]);
  expect(status).toBe(1);
  expect(output).toMatch(new RegExp(`DAMAGED: ${second} at byte \\d+: the checksum of a frame is wrong`));
  expect(output).toMatch(
    new RegExp(`To start without what was written after 20.*, move away:\n    ${second}\n`),
  );
  const json = JSON.parse(runJournalCommand([folder, '--json']).output) as Record<string, unknown>;
  expect(json.damage).toMatchObject({ file: second, moveAway: [second], offset: expect.any(Number) });
  truncateSync(join(folder, first), 100);
  expect(runJournalCommand([folder]).output).toContain('move the whole folder away');
});

it.each([
  [[], 'One folder has to be named.'],
  [['a', 'b'], 'One folder has to be named.'],
  [['a', '--jsn'], "Unknown option '--jsn'"],
])('says how it is called, with status 2, to %j', (args, message) => {
  const { status, output, error } = runJournalCommand(args);
  expect({ status, output }).toEqual({ status: 2, output: '' });
  expect(error).toContain(message);
  expect(error).toContain('Usage: mapsweep journal <folder> [--json]');
});

it('says that there is no journal: no such folder, a file, an empty folder', () => {
  writeFileSync(join(scratch, 'file'), '');
  for (const [path, message] of [
    [join(scratch, 'missing'), 'ENOENT'],
    [join(scratch, 'file'), 'ENOTDIR'],
    [scratch, 'there is no journal in it'],
  ] as const) {
    const { status, error } = runJournalCommand([path]);
    expect({ status, error }).toEqual({ status: 2, error: expect.stringContaining(message) });
  }
});

it('is a program: it writes to its standard output and ends with the status', () => {
  const cli = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url));
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), cli, ...args], { encoding: 'utf8' });
  // These records are none that a registry has written.
  const seen = run('journal', folder, '--json');
  expect(seen).toMatchObject({ status: 1, stderr: '' });
  expect(JSON.parse(seen.stdout)).toMatchObject({
    folder,
    kinds: { set: 3, end: 2 },
    unreadable: expect.any(String),
  });
  expect(run('journal')).toMatchObject({ status: 2, stdout: '' });
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  expect(run('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  const help = run('--help');
  expect(help).toMatchObject({ status: 0, stderr: '' });
  // Whatever the help of a command has in its first lines.
  for (const command of ['journal', 'prometheus']) {
    const ofCommand = run(command, '--help');
    expect(ofCommand).toMatchObject({ status: 0, stderr: '' });
    const [synopsis = ''] = ofCommand.stdout.split('\n\n');
    for (const line of synopsis.replace('Usage: ', '').split('\n'))
      expect(help.stdout).toContain(line.trim());
  }
  expect(run()).toMatchObject({ status: 2, stdout: '', stderr: `No command.\n\n${help.stdout}` });
  expect(run('jurnal', 'x').stderr).toBe(`No such command: jurnal\n\n${help.stdout}`);
}, 60_000);
