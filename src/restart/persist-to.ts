import { MapsweepTypeError } from '../errors.js';
import { type Duration, durationMs, timerRange } from '../policy/duration.js';
import {
  invalidType,
  isObjectOfOptions,
  optionPath,
  type Reader,
  readOneOf,
  readOptions,
} from '../policy/read-options.js';
import { FolderJournal, openFolderJournal } from './folder/folder-journal.js';
import { isOpenJournal, type OpenJournal, openInSlices, openNow, readOpenJournal } from './open-journal.js';

/** A folder that a journal is kept in, and how. */
export interface JournalFolder {
  /** The folder. It is made if it is missing, for this user alone. One process, and one registry, at a time. */
  path: string;
  /**
   * What an append survives. `'kernel'`: the death of the process, kill -9 included. `'disk'`: a power cut too, at the
   * price of a flush for each group of appends. Default `'kernel'`.
   */
  sync?: 'kernel' | 'disk';
  /**
   * How long an ending waits for its claim to be written, when the disk is full or slow; then it is delivered all the
   * same. From 1 ms. Default `'5s'`.
   */
  maxWait?: Duration;
}

/** Where a registry keeps what has to survive a restart. */
export type PersistTo = string | JournalFolder | OpenJournal;

interface CompiledFolder {
  readonly path: string;
  readonly sync: 'kernel' | 'disk';
  readonly maxWaitMs: number;
}

const defaultMaxWaitMs = 5_000;

/** Reads the option `persistTo`. Opens nothing. */
export const readPersistTo: Reader<CompiledFolder | OpenJournal> = (value, option) =>
  isOpenJournal(value) ? readOpenJournal(value, option) : readFolder(value, option);

function readFolder(value: unknown, option: string): CompiledFolder {
  if (typeof value === 'string') {
    return { path: readPath(value, option), sync: 'kernel', maxWaitMs: defaultMaxWaitMs };
  }
  if (!isObjectOfOptions(value)) {
    throw invalidType(option, 'the path of a folder, or an object of options', value);
  }
  if (Object.hasOwn(value, 'every')) {
    throw new MapsweepTypeError(
      'ERR_UNKNOWN_OPTION',
      `${optionPath(option, 'every')} is gone: a journal is written as things happen. Leave it out, or say how long an ending may wait for a slow disk with maxWait`,
    );
  }
  const read = readOptions(option, value, {
    path: readPath,
    sync: (given, path) => readOneOf(given, path, ['kernel', 'disk']),
    maxWait: (given, path) => durationMs(given, path, timerRange),
  });
  if (read.path === undefined) throw invalidType(`${option}.path`, 'the path of a folder', undefined);
  return { path: read.path, sync: read.sync ?? 'kernel', maxWaitMs: read.maxWait ?? defaultMaxWaitMs };
}

const readPath: Reader<string> = (value, option) => {
  if (typeof value === 'string' && value.length > 0 && !value.includes('\0')) return value;
  throw invalidType(option, 'the path of a folder', value);
};

/** Closes an open journal that was handed over, if no registry has taken it. */
export function closeUntaken(persistTo: unknown): void {
  if (isOpenJournal(persistTo)) persistTo.close();
}

/** Opens what `persistTo` names, on the caller's time; an open journal is left as it is. */
export function openPersistTo(persistTo: CompiledFolder | OpenJournal): OpenJournal {
  if (isOpenJournal(persistTo)) return persistTo;
  const { path, sync, maxWaitMs } = persistTo;
  return openNow(FolderJournal.open(path, { sync }), { maxWaitMs });
}

/**
 * Opens the journal in a folder, takes it for this process, and reads it without blocking the event loop: for a journal
 * that may be large. Hand it to `createRegistry` as `persistTo`; each journal serves one registry.
 *
 * @throws MapsweepError, as a rejection: `ERR_JOURNAL_LOCKED` if somebody has it, `ERR_JOURNAL_DAMAGED` naming file and
 *   offset, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_IO`; nothing is locked then
 */
export async function openJournal(where: string | JournalFolder): Promise<OpenJournal> {
  const { path, sync, maxWaitMs } = readFolder(where, typeof where === 'string' ? 'path' : '');
  return openInSlices(await openFolderJournal(path, { sync }), { maxWaitMs });
}
