import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderJournal, type FolderJournalOptions } from '../../../src/restart/folder/folder-journal.js';
import type { Journal } from '../../../src/restart/journal.js';
import type { Medium } from '../journal-suite.js';

/** Makes a folder for one test. */
export const scratchFolder = (): string => mkdtempSync(join(tmpdir(), 'mapsweep-journal-'));

/** The names of the segments in a folder, in their order. */
export const segmentsIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .sort();

/**
 * Lets all writes of this process fail that would make a file longer than this many bytes: up to there they are done,
 * as on a disk that is nearly full. `undefined` lifts it.
 */
export function limitFileSize(bytes: number | undefined): void {
  const limit = `--fsize=${bytes ?? 'unlimited'}:`;
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), limit], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}

/** A medium for the suite: a folder, opened as `open` has it. */
export function folderMedium(
  options: FolderJournalOptions = {},
  open: (path: string) => Promise<Journal> = async (path) => FolderJournal.open(path, options),
): Medium {
  const folders: string[] = [];
  const mediumOf = (folder: string): Medium => ({
    open: () => open(folder),
    copy: () => {
      const copy = join(scratchFolder(), 'copy');
      folders.push(join(copy, '..'));
      cpSync(folder, copy, { recursive: true });
      return mediumOf(copy);
    },
    fail: (isFailing) => limitFileSize(isFailing ? 10 : undefined),
    dispose: () => {
      for (const path of folders) rmSync(path, { recursive: true, force: true });
    },
  });
  const folder = scratchFolder();
  folders.push(folder);
  return mediumOf(join(folder, 'journal'));
}
