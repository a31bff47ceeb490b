import { readFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MapsweepError } from '../errors.js';
import { checkSnapshot, type RegistrySnapshot } from './snapshot-format.js';
import { lockSnapshot } from './snapshot-lock.js';

/**
 * A snapshot on disk, locked for this process. A write goes to a file beside it, is flushed, and takes its place in one
 * step, so that whoever reads finds the old one or the new one, whole.
 */
export class SnapshotFile {
  readonly path: string;
  readonly #temporaryPath: string;
  readonly #unlock: () => void;
  #lastWrite: Promise<void> = Promise.resolve();

  /**
   * Locks the path at once.
   *
   * @param lockLost called where somebody else took the lock, as when this process was suspended for long
   * @throws MapsweepError `ERR_SNAPSHOT_LOCKED` or `ERR_SNAPSHOT_IO`
   */
  constructor(path: string, lockLost: (error: Error) => void) {
    this.path = resolve(path);
    this.#temporaryPath = `${this.path}.tmp`;
    this.#unlock = lockSnapshot(this.path, lockLost);
  }

  /**
   * Reads what is there; `undefined` where there is no file yet.
   *
   * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged, or `ERR_SNAPSHOT_IO`
   */
  read(): RegistrySnapshot | undefined {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new MapsweepError('ERR_SNAPSHOT_IO', `persistTo: cannot read '${this.path}'`, { cause });
    }
    try {
      return checkSnapshot(JSON.parse(text));
    } catch (cause) {
      const where = cause instanceof Error ? cause.message : '';
      throw new MapsweepError(
        'ERR_INVALID_SNAPSHOT',
        `persistTo: '${this.path}' is damaged: ${where}. Move it away to start without it`,
        { cause },
      );
    }
  }

  /**
   * Replaces the snapshot. Writes follow one another.
   *
   * @throws MapsweepError `ERR_SNAPSHOT_IO`; the one before is still there then
   */
  write(snapshot: RegistrySnapshot): Promise<void> {
    const text = JSON.stringify(snapshot);
    const write = this.#lastWrite.then(() => this.#replace(text));
    this.#lastWrite = write.catch(() => {});
    return write;
  }

  /** Waits for writes that are under way, and gives the lock back. */
  async close(): Promise<void> {
    await this.#lastWrite;
    this.#unlock();
  }

  /** Gives the lock back at once: nothing has been written. */
  abandon(): void {
    this.#unlock();
  }

  async #replace(text: string): Promise<void> {
    try {
      const file = await open(this.#temporaryPath, 'w', 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(this.#temporaryPath, this.path);
      await flushDirectory(dirname(this.path));
    } catch (cause) {
      await rm(this.#temporaryPath, { force: true }).catch(() => {});
      throw new MapsweepError('ERR_SNAPSHOT_IO', `persistTo: cannot write '${this.path}'`, { cause });
    }
  }
}

/** The rename itself must survive a power cut too. Where a directory cannot be opened, as on Windows, it is skipped. */
async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  if (directory === undefined) return;
  try {
    await directory.sync();
  } catch {
    // Some file systems refuse; the rename is as safe as they make it.
  } finally {
    await directory.close();
  }
}
