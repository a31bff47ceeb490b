import { spawnSync } from 'node:child_process';
import {
  type BigIntStats,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { MapsweepError } from '../../errors.js';
import { systemFailure } from './journal-failures.js';
import { type OwnerNote, parseNote } from './owner-note.js';
import { closeQuietly, codeOf, openFor, privateFile } from './system-calls.js';

/** How often a lock file that vanishes while it is being locked is made anew. */
const attempts = 5;
const longestNote = 4096;
const flockTimeoutMs = 10_000;

/** What came of locking: it was taken, is somebody else's, or cannot be had since the system has no `flock` program. */
export type LockOutcome = 'taken' | 'held' | 'no-program';

/** A file that stands for a folder: it is held open for as long as the folder is owned, so that its inode stays its own. */
export class LockFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #identity: BigIntStats;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#identity = fstatSync(descriptor, { bigint: true });
  }

  /**
   * Opens the file, which is made where it is missing, and takes a `flock(2)` on it. The lock is the open file's, not
   * the process's, and the kernel frees it when this process (or worker thread) is gone and at no other time: Node has
   * no such call, but a child that inherits the descriptor can make it.
   *
   * @throws MapsweepError `ERR_JOURNAL_IO`
   */
  static open(path: string): { file: LockFile; outcome: LockOutcome } {
    for (let attempt = 1; ; attempt += 1) {
      const file = new LockFile(path, openRegular(path, openFor.locking));
      try {
        const outcome = lock(file.#descriptor, path);
        // Somebody may have removed it between the two calls; the lock would be one on a file that nobody finds.
        if (file.isInPlace()) return { file, outcome };
        if (attempt === attempts)
          throw systemFailure(`cannot lock '${path}'`, new Error('it keeps vanishing'));
      } catch (error) {
        file.close();
        throw error;
      }
      file.close();
    }
  }

  /**
   * Makes the file, with a note of who did; `undefined` if it is there already. Nothing locks it but that it is there.
   *
   * @throws MapsweepError `ERR_JOURNAL_IO`
   */
  static create(path: string, note: OwnerNote): LockFile | undefined {
    let file: LockFile | undefined;
    try {
      file = new LockFile(path, openSync(path, openFor.claiming, privateFile));
      file.#write(note);
      return file;
    } catch (cause) {
      if (file === undefined && codeOf(cause) === 'EEXIST') return undefined;
      file?.close();
      if (file !== undefined) rmSync(path, { force: true });
      throw systemFailure(`cannot make '${path}'`, cause);
    }
  }

  /** Returns whether the file is still what its path names. Also `false` if that cannot be told. */
  isInPlace(): boolean {
    try {
      return this.isSame(statSync(this.path, { bigint: true }));
    } catch {
      return false;
    }
  }

  /** Returns whether a path that was looked up names this file. */
  isSame({ dev, ino }: BigIntStats): boolean {
    return dev === this.#identity.dev && ino === this.#identity.ino;
  }

  /** What its last owner wrote of itself. */
  readNote(): OwnerNote | undefined {
    return readNote(this.#descriptor);
  }

  /** Writes a note in the place of the one before. Where the disk is full there is none: the lock holds without. */
  writeNote(note: OwnerNote): void {
    try {
      this.#write(note);
    } catch {
      // It is for people who look, and no part of the lock.
    }
  }

  /** Frees the lock. */
  close(): void {
    closeQuietly(this.#descriptor);
  }

  #write(note: OwnerNote): void {
    const bytes = Buffer.from(`${JSON.stringify(note)}\n`);
    // Written over the old one and then cut: a block that is there need not be had from a full disk.
    writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
    ftruncateSync(this.#descriptor, bytes.length);
  }
}

/** Reads the note in a file that another process owns. `undefined` if there is none. */
export function noteIn(path: string): OwnerNote | undefined {
  let descriptor: number;
  try {
    descriptor = openRegular(path, openFor.reading);
  } catch {
    return undefined;
  }
  const note = readNote(descriptor);
  closeQuietly(descriptor);
  return note;
}

function readNote(descriptor: number): OwnerNote | undefined {
  try {
    const buffer = Buffer.alloc(longestNote);
    return parseNote(buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, longestNote, 0)));
  } catch {
    return undefined;
  }
}

function openRegular(path: string, flags: number): number {
  const refusal = (): MapsweepError =>
    new MapsweepError('ERR_JOURNAL_IO', `persistTo: '${path}' is no regular file. Remove it`);
  let descriptor: number;
  try {
    // Looked at first: opening a device can do something.
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile()) throw refusal();
    descriptor = openSync(path, flags, privateFile);
  } catch (cause) {
    throw systemFailure(`cannot open '${path}'`, cause);
  }
  // A second name of some other file of ours would have that overwritten.
  const found = fstatSync(descriptor);
  if (found.isFile() && found.nlink <= 1) return descriptor;
  closeQuietly(descriptor);
  throw refusal();
}

function lock(descriptor: number, path: string): LockOutcome {
  const { error, status, signal, stderr } = spawnSync('flock', ['-xn', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    timeout: flockTimeoutMs,
    encoding: 'utf8',
  });
  if (codeOf(error) === 'ENOENT') return 'no-program';
  if (error !== undefined) throw systemFailure(`cannot run 'flock' to lock '${path}'`, error);
  if (status === 0) return 'taken';
  // The same status tells of other failures where the program is BusyBox's, but then it says which.
  if (status === 1 && stderr === '') return 'held';
  throw systemFailure(
    `cannot lock '${path}'`,
    new Error(stderr.trim() || `flock ended with ${status ?? signal}`),
  );
}
