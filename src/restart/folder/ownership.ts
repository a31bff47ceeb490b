import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { MapsweepError } from '../../errors.js';
import { systemFailure } from './journal-failures.js';
import { LockFile, noteIn } from './lock-file.js';
import { describeOwner, isAlive, noteOfThisProcess, type OwnerNote } from './owner-note.js';
import { maxEpoch } from './segment-name.js';
import { runNow, type Steps } from './steps.js';
import { codeOf, removeFile, statOf } from './system-calls.js';

/** The file in the folder that is locked. It stays when nobody owns the folder. */
export const lockName = 'lock';

/** The file that stands in for a lock where the system has no `flock` program. It goes with its owner. */
export const ownerName = 'owner';

/** Is told of something that does not keep anybody from working. `code` is that of a process warning. */
export type Warn = (message: string, code: string) => void;

/**
 * One owner's right to a folder, from `take` to `release`.
 *
 * Others are kept out by a lock that the kernel frees. Whoever loses the folder all the same, since it was removed and
 * made anew, finds out before the next write; until then it can do no harm, since its files bear its epoch.
 */
export class Ownership {
  readonly folder: string;
  readonly #lock: LockFile;
  /** Stands in for the lock, if there is one. */
  readonly #standIn: LockFile | undefined;
  readonly #previousEpoch: number;
  #note: OwnerNote | undefined;
  #loss: MapsweepError | undefined;
  #isReleased = false;

  private constructor(folder: string, lock: LockFile, standIn: LockFile | undefined) {
    this.folder = folder;
    this.#lock = lock;
    this.#standIn = standIn;
    this.#previousEpoch = lock.readNote()?.epoch ?? 0;
  }

  /**
   * Takes the folder, at once.
   *
   * @throws MapsweepError `ERR_JOURNAL_LOCKED` while somebody has it, or `ERR_JOURNAL_IO`; nothing stays locked then
   */
  static take(folder: string, warn: Warn): Ownership {
    const { file: lock, outcome } = LockFile.open(join(folder, lockName));
    try {
      if (outcome === 'held') throw lockedBy(folder, lock.readNote());
      if (outcome === 'taken') {
        // Somebody without the program, in another container on the same volume, knows only the other file.
        removeDeadOwner(folder);
        return new Ownership(folder, lock, undefined);
      }
      const note = lock.readNote();
      if (note !== undefined && isAlive(note) === true) throw lockedBy(folder, note);
      const standIn = claimWithoutLock(folder);
      warn(
        `persistTo: the system has no 'flock' program, so a file with this process's pid stands in for a lock on ` +
          `'${folder}'. It does not tell of an owner in another container or on another machine that has died`,
        'MAPSWEEP_NO_FLOCK',
      );
      return new Ownership(folder, lock, standIn);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The epoch of this owner: greater than that of anybody who had the folder before. 0 before `beginEpoch`. */
  get epoch(): number {
    return this.#note?.epoch ?? 0;
  }

  /**
   * Begins this owner's epoch, and says in the folder who it is. `greatestKnown` is the greatest that a file bears.
   *
   * @throws MapsweepError `ERR_JOURNAL_DAMAGED` if there is no greater epoch
   */
  beginEpoch(greatestKnown: number): void {
    // By the wall clock, so that a folder that was removed and made anew never has an epoch for the second time.
    const epoch = Math.max(Math.floor(Date.now()), Math.max(greatestKnown, this.#previousEpoch) + 1);
    if (epoch > maxEpoch)
      throw new MapsweepError(
        'ERR_JOURNAL_DAMAGED',
        `persistTo: in '${this.folder}' the name of a file, or '${lockName}', bears the last epoch there is. Move the folder away`,
      );
    this.#note = noteOfThisProcess(epoch);
    this.#lock.writeNote(this.#note);
    this.#standIn?.writeNote(this.#note);
  }

  /**
   * Makes sure that the folder is still this owner's.
   *
   * @throws MapsweepError `ERR_JOURNAL_LOST`, from the first time on at every call; `ERR_JOURNAL_IO` if it cannot be told
   */
  *check(): Steps<void> {
    if (this.#loss !== undefined) throw this.#loss;
    const file = this.#standIn ?? this.#lock;
    let why: string;
    try {
      if (file.isSame(yield* statOf(file.path))) return;
      why = 'it was removed and made anew, or another one was put in its place';
    } catch (cause) {
      if (codeOf(cause) !== 'ENOENT' && codeOf(cause) !== 'ENOTDIR')
        throw systemFailure(`cannot look at '${file.path}'`, cause);
      why = 'it was removed';
    }
    throw this.lose(why);
  }

  /** From here on the folder is not this owner's. Returns the error that says so, and why. */
  lose(why: string): MapsweepError {
    this.#loss ??= new MapsweepError(
      'ERR_JOURNAL_LOST',
      `persistTo: '${this.folder}' is no longer this process's: ${why}. Nothing is written there any more; restart the ` +
        'process to begin a new journal',
    );
    return this.#loss;
  }

  /** Gives the folder back at once. Idempotent. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const isOurs = (this.#standIn ?? this.#lock).isInPlace();
    if (isOurs && this.#note !== undefined)
      this.#lock.writeNote({ ...this.#note, releasedAt: new Date().toISOString() });
    if (isOurs && this.#standIn !== undefined) removeQuietly(this.#standIn.path);
    this.#standIn?.close();
    this.#lock.close();
  }
}

/** Says whose the folder is. */
function lockedBy(folder: string, note: OwnerNote | undefined, hint = ''): MapsweepError {
  const isOurs = note?.pid === process.pid && isAlive(note) === true;
  const whose = note === undefined || note.releasedAt !== undefined ? 'another process' : describeOwner(note);
  return new MapsweepError(
    'ERR_JOURNAL_LOCKED',
    `persistTo: '${folder}' is owned by ${isOurs ? 'another registry of this ' : ''}${whose}. Each registry needs a folder of its own; this one is free as soon as ` +
      `its owner has ended or called close()${hint}`,
  );
}

/** Removes the file of an owner without a lock who is dead. @throws MapsweepError `ERR_JOURNAL_LOCKED` if it may live */
function removeDeadOwner(folder: string): void {
  const path = join(folder, ownerName);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  const note = noteIn(path);
  if (note === undefined || isAlive(note) !== false) throw lockedWithoutLock(folder, path);
  removeQuietly(path);
}

function claimWithoutLock(folder: string): LockFile {
  const path = join(folder, ownerName);
  removeDeadOwner(folder);
  const file = LockFile.create(path, noteOfThisProcess(0));
  if (file === undefined) throw lockedWithoutLock(folder, path);
  return file;
}

const lockedWithoutLock = (folder: string, path: string): MapsweepError =>
  lockedBy(folder, noteIn(path), `. If it is known to have ended, remove '${path}'`);

function removeQuietly(path: string): void {
  try {
    runNow(removeFile(path));
  } catch {
    // The next owner finds it, and that its owner is dead.
  }
}
