import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { shownError } from '../events/shown.js';
import { invalidType } from '../policy/read-options.js';

/** So many reports are kept in a folder. */
const mostReports = 5;

const ours = /^mapsweep-memory-(\d{8}T\d{9}Z)-.*\.(txt|json)(\.part)?$/;

/**
 * Makes the folder if it is missing, and tries whether anything can be made in it: when the memory is nearly full it is too late to
 * find out. Leaves nothing in it.
 *
 * @throws MapsweepTypeError `ERR_INVALID_OPTION`, with what the file system says
 */
export function prepareReportFolder(folder: string): void {
  try {
    makeFolder(folder);
    rmdirSync(mkdtempSync(join(folder, 'mapsweep-')));
  } catch (cause) {
    throw invalidType('memory.reportTo', 'a folder that can be written to', folder, shownError(cause));
  }
}

/** Not by `recursive`, with which Node goes round for ever where a folder is refused as ENOENT, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(folder)) throw error;
  }
}

/** Returns the path of a report that does not exist yet, without its extension. Later ones come after earlier ones by name. */
export function newReportPath(folder: string, atEpochMs: number): string {
  const at = new Date(atEpochMs).toISOString().replace(/[-:.]/g, '');
  return join(folder, `mapsweep-memory-${at}-${process.pid}-${Math.random().toString(36).slice(2, 8)}`);
}

/**
 * Writes a report in two files, whole or not at all, readable by the owner of the process alone, and removes the oldest others
 * beyond five in all. Rejects with what the file system says; nothing half written is left then, where that can be had.
 */
export async function writeReport(folder: string, path: string, text: string, json: string): Promise<void> {
  makeFolder(folder);
  await writeWhole(`${path}.json`, json);
  await writeWhole(`${path}.txt`, text);
  const names = (await readdir(folder)).filter((name) => ours.test(name)).sort();
  const written = basename(path);
  const others = [...new Set(names.map(reportOf))].filter((report) => report !== written);
  // By name it may come before them: a wall clock can be set back.
  const kept = new Set([written, ...others.slice(1 - mostReports)]);
  for (const name of names) if (!kept.has(reportOf(name))) await rm(join(folder, name), { force: true });
}

const reportOf = (name: string): string => name.slice(0, name.indexOf('.'));

async function writeWhole(path: string, content: string): Promise<void> {
  const part = `${path}.part`;
  try {
    await writeFile(part, content, { mode: 0o600, flag: 'wx' });
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true }).catch(() => {});
    throw error;
  }
}
