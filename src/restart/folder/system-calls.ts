import fs from 'node:fs';
import { promisify } from 'node:util';
import { call, type Steps } from './steps.js';

const open = promisify(fs.open);
const fstat = promisify(fs.fstat);
const fsync = promisify(fs.fsync);
const fdatasync = promisify(fs.fdatasync);
const unlink = promisify(fs.unlink);
const stat = promisify(fs.stat);

// Windows lacks both. A name that is a link must not be followed, and one that is a pipe must not make anybody wait.
const {
  O_NOFOLLOW = 0,
  O_NONBLOCK = 0,
  O_RDONLY,
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_EXCL,
  O_APPEND,
} = fs.constants;
const careful = O_NOFOLLOW | O_NONBLOCK;

/** Ways to open a file, none of which follows a link at its name or waits for the other end of a pipe. */
export const openFor = {
  reading: O_RDONLY | careful,
  /** Windows flushes nothing that cannot be written to. */
  flushing: O_RDWR | careful,
  /** It must not be there yet; all that is written goes to its end. */
  creating: O_WRONLY | O_CREAT | O_EXCL | O_APPEND | careful,
  /** It is made where it is missing. */
  locking: O_RDWR | O_CREAT | careful,
  /** It must not be there yet. */
  claiming: O_RDWR | O_CREAT | O_EXCL | careful,
} as const;

/** Only its owner may read it. */
export const privateFile = 0o600;

/** Opens a file and returns its descriptor. */
export const openFile = (path: string, flags: number): Steps<number> =>
  call(
    () => fs.openSync(path, flags, privateFile),
    () => open(path, flags, privateFile),
  );

/** What a path names, links followed. */
export const statOf = (path: string): Steps<fs.BigIntStats> =>
  call(
    () => fs.statSync(path, { bigint: true }),
    () => stat(path, { bigint: true }),
  );

/** What is known of an open file. */
export const statOfDescriptor = (descriptor: number): Steps<fs.Stats> =>
  call(
    () => fs.fstatSync(descriptor),
    () => fstat(descriptor),
  );

/** Reads up to `length` bytes into the buffer, and returns how many there were. */
export const read = (
  descriptor: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Steps<number> =>
  call(
    () => fs.readSync(descriptor, buffer, offset, length, position),
    () =>
      new Promise<number>((resolve, reject) => {
        fs.read(descriptor, buffer, offset, length, position, (error, count) =>
          error ? reject(error) : resolve(count),
        );
      }),
  );

/** Writes all bytes at the end, in as many calls as the kernel needs. */
export function* writeAll(descriptor: number, bytes: Uint8Array): Steps<void> {
  let written = 0;
  while (written < bytes.length) {
    const from = written;
    written += yield* call(
      () => fs.writeSync(descriptor, bytes, from),
      () =>
        new Promise<number>((resolve, reject) => {
          fs.write(descriptor, bytes, from, (error, count) => (error ? reject(error) : resolve(count)));
        }),
    );
  }
}

/** Waits until what was written is on the disk. */
export const flushData = (descriptor: number): Steps<void> =>
  call(
    () => fs.fdatasyncSync(descriptor),
    () => fdatasync(descriptor),
  );

/** Waits until the names in a folder are on the disk. Some systems cannot: their names are as safe as they make them. */
export function* flushFolder(path: string): Steps<void> {
  let descriptor: number;
  try {
    descriptor = yield* openFile(path, O_RDONLY);
  } catch (error) {
    if (isRefusedForFolders(error)) return;
    throw error;
  }
  try {
    yield* call(
      () => fs.fsyncSync(descriptor),
      () => fsync(descriptor),
    );
  } catch (error) {
    if (!isRefusedForFolders(error)) throw error;
  } finally {
    closeQuietly(descriptor);
  }
}

/** Removes a name; one that is not there is as good. */
export function* removeFile(path: string): Steps<void> {
  try {
    yield* call(
      () => fs.unlinkSync(path),
      () => unlink(path),
    );
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Closes a descriptor. What could still fail then has been asked for before: nothing is done about it. */
export function closeQuietly(descriptor: number): void {
  try {
    fs.closeSync(descriptor);
  } catch {
    // The kernel has let go of it all the same.
  }
}

/** The system's code of an error, as `ENOSPC`. */
export const codeOf = (error: unknown): string | undefined =>
  (error as NodeJS.ErrnoException | undefined)?.code;

const isRefusedForFolders = (error: unknown): boolean =>
  ['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF'].includes(codeOf(error) ?? '');
