import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createManualClock } from 'mapsweep/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FolderJournal } from '../../src/restart/folder/folder-journal.js';
import { compileChild } from './compile.js';
import { replay } from './journal-replay.js';

const rounds = Number(process.env.JOURNAL_CRASH_ROUNDS ?? 30);

interface Life {
  acknowledged: number;
  known: number;
  gaps: string[];
}

describe(`a journal whose owner is killed ${rounds} times in the midst of its writes`, () => {
  let scratch: string;
  let folder: string;
  const lives: Life[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'mapsweep-journal-crash-'));
    folder = join(scratch, 'journal');
    const writer = join(dirname(compileChild(join(scratch, 'compiled'))), 'journal-writer.js');
    const { random } = createManualClock({ seed: 20_261_127 });
    for (let round = 0; round < rounds; round += 1) {
      const child = spawn(process.execPath, [writer, folder, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      const ended = once(child, 'close');
      // Work that is done, not time that has passed, says when to begin to think of it: the machine may be slow.
      let isDoomed = false;
      child.stdout.on('data', (chunk) => {
        said += chunk;
        if (isDoomed || said.split('\n').length < 20) return;
        isDoomed = true;
        setTimeout(() => child.kill('SIGKILL'), 60 * random());
      });
      await ended;
      const journal = FolderJournal.open(folder);
      const { known, gaps } = replay(journal.takePast());
      lives.push({ acknowledged: Number(said.trimEnd().split('\n').at(-1)), known, gaps });
      journal.release();
    }
  }, 15 * 60_000);

  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('was at work in every life', () => {
    for (const [index, { acknowledged }] of lives.entries())
      expect(acknowledged).toBeGreaterThan(lives[index - 1]?.known ?? 0);
  });

  it('knows everything that was acknowledged', () => {
    expect(lives.filter(({ acknowledged, known }) => known < acknowledged)).toEqual([]);
  });

  it('knows it without gaps and in its order', () => {
    expect(lives.flatMap(({ gaps }) => gaps)).toEqual([]);
  });

  it('has kept few files: superseded ones are removed', () => {
    expect(readdirSync(folder).length).toBeLessThan(rounds * 20);
  });
});
