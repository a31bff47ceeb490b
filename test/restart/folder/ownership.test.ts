import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderJournal, type FolderJournalOptions } from '../../../src/restart/folder/folder-journal.js';
import { scratchFolder, segmentsIn } from './folder-medium.js';

const ownerFile = fileURLToPath(new URL('owner.ts', import.meta.url));
const throughTsx = ['--import', import.meta.resolve('tsx')];

/** As a container has it: its processes have pids of their own, and see nobody else's. */
const canUnshare = spawnSync('unshare', ['-pf', 'true']).status === 0;

interface Said {
  outcome: string;
  message?: string;
  pid?: number;
  heir?: number;
  warnings: string[];
}

let scratch: string;
let folder: string;
let journals: FolderJournal[];
let children: ChildProcess[];
let workers: Worker[];

beforeEach(() => {
  scratch = scratchFolder();
  folder = join(scratch, 'journal');
  journals = [];
  children = [];
  workers = [];
});

afterEach(async () => {
  for (const journal of journals) journal.release();
  for (const child of children) child.kill('SIGKILL');
  for (const worker of workers) await worker.terminate();
  rmSync(scratch, { recursive: true, force: true });
});

const open = (path = folder, options: FolderJournalOptions = {}): FolderJournal => {
  const journal = FolderJournal.open(path, options);
  journals.push(journal);
  return journal;
};

const codeOfOpening = (path = folder): string => {
  try {
    open(path);
    return 'open';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

/** Starts a process that wants the folder; `wrapper` is a command to start it with. */
function startProcess(args: string[], { wrapper = [] as string[], env = process.env } = {}): ChildProcess {
  const [command = '', ...rest] = [...wrapper, process.execPath, ...throughTsx, ownerFile, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'], env });
  children.push(child);
  return child;
}

async function saidBy(child: ChildProcess): Promise<Said> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return JSON.parse(text) as Said;
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function startWorker(): Worker {
  const api = import.meta.resolve('tsx/esm/api');
  const source = `import('${api}').then(({ tsImport }) => tsImport('${ownerFile}', '${import.meta.url}'));`;
  const worker = new Worker(source, { eval: true, workerData: [folder] });
  workers.push(worker);
  return worker;
}

const saidByWorker = async (worker: Worker): Promise<Said> => (await once(worker, 'message'))[0] as Said;

const withoutFlock = { env: { ...process.env, PATH: '/nonexistent' } };

describe('with a lock of the kernel', () => {
  it('refuses another process, and says whose the folder is', async () => {
    open();
    const { outcome, message } = await saidBy(startProcess([folder]));
    expect(outcome).toBe('ERR_JOURNAL_LOCKED');
    const owner = `process ${process.pid} on host ".+" since "20`;
    expect(message).toMatch(new RegExp(`'${folder}' is owned by ${owner}`));
    expect(() => open()).toThrow(new RegExp(`'${folder}' is owned by another registry of this ${owner}`));
  }, 30_000);

  it.skipIf(!canUnshare)(
    'refuses a process of another pid namespace (needs leave to unshare)',
    async () => {
      open();
      const rival = startProcess([folder], { wrapper: ['unshare', '-pf'] });
      expect(await saidBy(rival)).toMatchObject({ outcome: 'ERR_JOURNAL_LOCKED' });
    },
    30_000,
  );

  it('refuses everybody while the owner is stopped, and admits the next one at once after kill -9', async () => {
    const owner = startProcess([folder]);
    expect(await saidBy(owner)).toMatchObject({ outcome: 'open', warnings: [] });
    owner.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(codeOfOpening()).toBe('ERR_JOURNAL_LOCKED');
    await killed(owner);
    const journal = open();
    expect([...journal.takePast()]).toEqual([[['owner']]]);
  }, 30_000);

  it('is not kept by a child that outlives its owner', async () => {
    const owner = startProcess([folder, 'heir']);
    const said = await saidBy(owner);
    expect(said).toMatchObject({ outcome: 'open', heir: expect.any(Number) });
    // Never 0 or less: that would be this process's whole group.
    const heir = Number(said.heir);
    try {
      await killed(owner);
      process.kill(heir, 0);
      expect(codeOfOpening()).toBe('open');
    } finally {
      process.kill(heir, 'SIGKILL');
    }
  }, 30_000);

  it('refuses a worker thread, and is free at once after a worker that had it was terminated', async () => {
    const journal = open();
    expect(await saidByWorker(startWorker())).toMatchObject({ outcome: 'ERR_JOURNAL_LOCKED' });
    journal.release();
    const worker = startWorker();
    expect(await saidByWorker(worker)).toMatchObject({ outcome: 'open' });
    expect(codeOfOpening()).toBe('ERR_JOURNAL_LOCKED');
    await worker.terminate();
    expect(codeOfOpening()).toBe('open');
  }, 30_000);

  it('gives each owner a greater epoch than any before, also if the wall clock went back', async () => {
    mkdirSync(folder);
    const far = Date.now() + 1e9;
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: 1, host: 'h', openedAt: 'then', epoch: far }));
    for (let turn = 0; turn < 3; turn += 1) {
      const journal = open();
      await journal.append([`["${turn}"]`]);
      journal.release();
    }
    const epochs = segmentsIn(folder).map((name) => Number(name.split('-')[1]));
    expect(epochs).toEqual([far + 1, far + 2, far + 3]);
  });

  it('says in the lock file since when it is whose, and that it was given back', async () => {
    const journal = open();
    const note = (): unknown => JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'));
    expect(note()).toMatchObject({ pid: process.pid, openedAt: expect.stringMatching(/^20.*Z$/) });
    expect(note()).not.toHaveProperty('releasedAt');
    journal.release();
    expect(note()).toMatchObject({ pid: process.pid, releasedAt: expect.stringMatching(/^20.*Z$/) });
  });
});

describe('where there is no flock program', () => {
  it('keeps everybody out by an owner file, says so once, and admits the next one after kill -9', async () => {
    const owner = startProcess([folder], withoutFlock);
    expect(await saidBy(owner)).toMatchObject({ outcome: 'open', warnings: ['MAPSWEEP_NO_FLOCK'] });
    expect(existsSync(join(folder, 'owner'))).toBe(true);
    expect(await saidBy(startProcess([folder], withoutFlock))).toMatchObject({
      outcome: 'ERR_JOURNAL_LOCKED',
      message: expect.stringContaining(`process ${owner.pid} `),
    });
    // Somebody who has the program looks at the file too.
    expect(codeOfOpening()).toBe('ERR_JOURNAL_LOCKED');
    await killed(owner);
    expect(codeOfOpening()).toBe('open');
    expect(existsSync(join(folder, 'owner'))).toBe(false);
    // And the other way round.
    expect(await saidBy(startProcess([folder], withoutFlock))).toMatchObject({
      outcome: 'ERR_JOURNAL_LOCKED',
    });
  }, 60_000);

  it.each([
    ['of an earlier boot', { bootId: 'another' }, 'open'],
    ['with the pid of a process that started later', { processStartedAt: '1' }, 'open'],
    ['of another machine', { bootId: 'another', host: 'another' }, 'ERR_JOURNAL_LOCKED'],
    ['of another container', { pidNamespace: 'pid:[1]' }, 'ERR_JOURNAL_LOCKED'],
    ['that lives', {}, 'ERR_JOURNAL_LOCKED'],
  ])('judges an owner %s', (_whose, difference, outcome) => {
    open().release();
    const note = JSON.parse(readFileSync(join(folder, 'lock'), 'utf8')) as Record<string, unknown>;
    delete note.releasedAt;
    writeFileSync(join(folder, 'owner'), JSON.stringify({ ...note, ...difference }));
    expect(codeOfOpening()).toBe(outcome);
  });

  it('takes an owner file without a note for that of somebody who may live, and says what to remove', () => {
    open().release();
    writeFileSync(join(folder, 'owner'), '');
    expect(() => open()).toThrow(`If it is known to have ended, remove '${folder}/owner'`);
    rmSync(join(folder, 'owner'));
    expect(codeOfOpening()).toBe('open');
  });
});

describe('an owner who has lost the folder', () => {
  const expectLost = async (journal: FolderJournal): Promise<void> => {
    for (let turn = 0; turn < 2; turn += 1)
      await expect(journal.append(['["late"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
    expect(() => journal.appendNow(['["late"]'])).toThrow(
      expect.objectContaining({ code: 'ERR_JOURNAL_LOST' }),
    );
    await journal.beginCheckpoint();
    await expect(journal.endCheckpoint()).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
    journal.release();
  };

  it('finds out that it was removed, and does not make it anew', async () => {
    const journal = open();
    await journal.append(['["a"]']);
    rmSync(folder, { recursive: true });
    await expectLost(journal);
    expect(existsSync(folder)).toBe(false);
  });

  it.each<[what: string, clean: (path: string) => void]>([
    ['removed', (path) => rmSync(path)],
    ['cut', (path) => writeFileSync(path, '')],
  ])('finds out that the files in it were %s by something that cleans up', async (what, clean) => {
    const journal = open();
    await journal.append(['["a"]']);
    for (const name of segmentsIn(folder)) clean(join(folder, name));
    await sleep(1_100);
    await expect(journal.append(['["b"]'])).rejects.toThrow(
      `'${folder}' is no longer this process's: '${segmentsIn(folder)[0] ?? ''}`,
    );
    await expect(journal.append(['["b"]'])).rejects.toThrow(`was ${what}`);
    await expectLost(journal);
    // The folder itself is this owner's, who gives it back.
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toContain('releasedAt');
  });

  it('finds out that something has removed what is old of them', async () => {
    const journal = open(folder, { segmentBytes: 10 });
    for (const record of ['["a"]', '["b"]', '["c"]']) await journal.append([record]);
    await sleep(1_100);
    rmSync(join(folder, segmentsIn(folder)[0] as string));
    await expectLost(journal);
  });

  it('finds out that the file of its last life was removed, before it goes on behind it', async () => {
    const first = open();
    await first.append(['["a"]']);
    first.release();
    const journal = open();
    for (const name of segmentsIn(folder)) rmSync(join(folder, name));
    await expectLost(journal);
  });

  it('finds out that another owner has made it anew, and changes nothing there', async () => {
    const journal = open();
    await journal.append(['["a"]']);
    rmSync(folder, { recursive: true });
    const rival = open();
    await rival.append(['["rival"]']);
    const names = readdirSync(folder);
    const note = readFileSync(join(folder, 'lock'), 'utf8');
    await expectLost(journal);
    expect(readdirSync(folder)).toEqual(names);
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe(note);
    await rival.append(['["rival", 2]']);
    expect(codeOfOpening()).toBe('ERR_JOURNAL_LOCKED');
  });

  it('finds out that a copy or a link was put in its place', async () => {
    const journal = open();
    await journal.append(['["a"]']);
    cpSync(folder, join(scratch, 'copy'), { recursive: true });
    renameSync(folder, join(scratch, 'moved'));
    symlinkSync(join(scratch, 'copy'), folder);
    const names = readdirSync(join(scratch, 'copy'));
    await expectLost(journal);
    expect(readdirSync(join(scratch, 'copy'))).toEqual(names);
  });

  it('has not lost it if it is found through a link at its old place', async () => {
    const journal = open();
    await journal.append(['["a"]']);
    renameSync(folder, join(scratch, 'moved'));
    symlinkSync(join(scratch, 'moved'), folder);
    await journal.append(['["b"]']);
    journal.release();
    expect([...open().takePast()].flat()).toEqual([['a'], ['b']]);
  });

  it('does not lose it while it cannot be looked at', async () => {
    const journal = open();
    await journal.append(['["a"]']);
    renameSync(folder, join(scratch, 'moved'));
    symlinkSync('journal', folder);
    await expect(journal.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_IO' });
    rmSync(folder);
    renameSync(join(scratch, 'moved'), folder);
    await journal.append(['["b"]']);
    journal.release();
    expect([...open().takePast()].flat()).toEqual([['a'], ['b']]);
  });
});
