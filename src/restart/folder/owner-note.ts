import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe } from '../../events/shown.js';

/** What an owner writes of itself, for people who find the folder taken, and for where the system has no lock. */
export interface OwnerNote {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly openedAt: string;
  readonly epoch: number;
  /** Which boot of the machine it is. `undefined` where the system does not say. */
  readonly bootId?: string;
  /** Which pids are one another's neighbours: a container has its own. */
  readonly pidNamespace?: string;
  /** Tells a process from a later one with the same pid: when it started, in the system's ticks since boot. */
  readonly processStartedAt?: string;
  /** Set once the owner has given the folder back. ISO 8601. */
  readonly releasedAt?: string;
}

/** The note of this process. */
export const noteOfThisProcess = (epoch: number): OwnerNote => ({
  pid: process.pid,
  host: hostname(),
  openedAt: new Date().toISOString(),
  epoch,
  bootId: bootId(),
  pidNamespace: pidNamespace(),
  processStartedAt: startOf(process.pid),
});

/** Reads a note. `undefined` if it is none, as when the disk was full when it was written. */
export function parseNote(text: string): OwnerNote | undefined {
  try {
    const note = JSON.parse(text) as Partial<OwnerNote> | null;
    const isOne =
      Number.isSafeInteger(note?.pid) &&
      Number(note?.pid) > 0 &&
      typeof note?.host === 'string' &&
      typeof note.openedAt === 'string' &&
      Number.isSafeInteger(note.epoch);
    return isOne ? (note as OwnerNote) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns whether the process that wrote a note lives: `'unknown'` if it is of another machine or container, whose
 * processes cannot be seen from here.
 */
export function isAlive(note: OwnerNote): boolean | 'unknown' {
  if (note.releasedAt !== undefined) return false;
  const boot = bootId();
  if (boot === undefined || note.bootId === undefined) {
    if (note.host !== hostname()) return 'unknown';
  } else if (note.bootId !== boot) {
    return note.host === hostname() ? false : 'unknown';
  } else if (note.pidNamespace !== pidNamespace()) {
    return 'unknown';
  }
  try {
    process.kill(note.pid, 0);
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return note.processStartedAt === undefined || note.processStartedAt === startOf(note.pid);
}

/** Says who an owner is, as `process 12 on host "web-1" since "2026-01-31T12:00:00.000Z"`. */
export const describeOwner = ({ pid, host, openedAt }: OwnerNote): string =>
  `process ${pid} on host ${describe(host)} since ${describe(openedAt)}`;

const bootId = (): string | undefined => textOf('/proc/sys/kernel/random/boot_id');

function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

function startOf(pid: number): string | undefined {
  // The second field is the program's name in parentheses, which may hold blanks and parentheses of its own.
  const stat = textOf(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
