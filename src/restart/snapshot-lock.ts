import { readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import type * as ProperLockfile from 'proper-lockfile';
import { MapsweepError } from '../errors.js';
import { detached } from '../time/async-context.js';

/** A lock whose owner has not given a sign of life for this long is nobody's. */
const staleMs = 10_000;

// By a registered symbol, so that two copies of this package in one process do not break each other's locks.
const heldHere = Symbol.for('mapsweep.heldSnapshotLocks');

interface Owner {
  readonly pid: number;
  readonly host: string;
}

/**
 * Locks a snapshot's path for this process, until the returned function is called.
 *
 * The lock is proper-lockfile's: a directory whose age is kept young by its owner. So that a service that was killed can
 * start again at once, the owner's pid stands beside it, and the lock of a process of this host that is dead is broken.
 *
 * @throws MapsweepError `ERR_SNAPSHOT_LOCKED` where another process, or another registry of this one, has it
 */
export function lockSnapshot(path: string, compromised: (error: Error) => void): () => void {
  const library = loadLibrary();
  const lockfilePath = `${path}.lock`;
  const ownerPath = `${path}.owner`;
  const options = {
    realpath: false,
    lockfilePath,
    stale: staleMs,
    update: staleMs / 2,
    onCompromised: compromised,
  };
  // Detached: its heartbeat is a timer, which must not pin the request that happens to create the registry.
  const lock = () => detached(() => library.lockSync(path, options));
  let unlock: () => void;
  try {
    unlock = lock();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ELOCKED') {
      throw new MapsweepError('ERR_SNAPSHOT_IO', `persistTo: cannot lock '${path}'`, { cause });
    }
    const owner = readOwner(ownerPath);
    if (owner === undefined || !isDead(owner, path)) {
      const whose = owner === undefined ? 'another process' : `process ${owner.pid} on ${owner.host}`;
      const message =
        `persistTo: '${path}' is locked by ${whose}; each process needs a path of its own. A lock whose owner has died ` +
        `elsewhere expires after ${staleMs / 1000} s`;
      throw new MapsweepError('ERR_SNAPSHOT_LOCKED', message, { cause });
    }
    rmdirSync(lockfilePath);
    unlock = lock();
  }
  heldPaths().add(path);
  writeFileSync(ownerPath, JSON.stringify({ pid: process.pid, host: hostname() } satisfies Owner));
  return () => {
    if (!heldPaths().delete(path)) return;
    rmSync(ownerPath, { force: true });
    try {
      unlock();
    } catch {
      // It was compromised, which has been told.
    }
  };
}

function loadLibrary(): typeof ProperLockfile {
  try {
    // Only now: the library patches a method of `fs`, which nobody gets who keeps no snapshot.
    return createRequire(import.meta.url)('proper-lockfile') as typeof ProperLockfile;
  } catch (cause) {
    const message =
      "persistTo: locking the file needs the package 'proper-lockfile': npm install proper-lockfile";
    throw new MapsweepError('ERR_SNAPSHOT_IO', message, { cause });
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    const { pid, host } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Owner>;
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined;
  } catch {
    return undefined;
  }
}

function isDead({ pid, host }: Owner, path: string): boolean {
  if (host !== hostname()) return false;
  // A container gives every life of a service the same pid: one that is ours, and holds nothing here, was an earlier one.
  if (pid === process.pid) return !heldPaths().has(path);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function heldPaths(): Set<string> {
  const holder = globalThis as { [heldHere]?: Set<string> };
  holder[heldHere] ??= new Set();
  return holder[heldHere];
}
