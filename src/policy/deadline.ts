import type { CompiledLifetimes } from './policy.js';

/** The instants that decide when an entry is due; monotonic ms. */
export interface EntryInstants {
  readonly registeredAt: number;
  /** The latest activity that counts, a companion's and the value's own included. */
  readonly activeAt: number;
  /** When the TTL started; `undefined` if it has not. */
  readonly ttlStartedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** How long a companion without a leader may idle, ms; `Infinity` for all others. */
  readonly orphanAfterMs: number;
}

/** The name of a lifetime, as policies and explanations write it. */
type LifetimeName = 'ttl' | 'expiresAt' | 'maxIdle' | 'maxAge' | 'orphanAfter';

/** The instant from which on an entry is due, and the lifetime that says so. `Infinity`: never, by `undefined`. */
export interface Deadline {
  at: number;
  by: LifetimeName | undefined;
}

/**
 * Finds the deadline: the earliest of the lifetimes that apply. An entry is due when `now >= deadline.at`.
 *
 * @param into where the result goes, since this runs once for every entry that a sweep looks at
 */
export function earliestDeadline<K, V>(
  lifetimes: CompiledLifetimes<K, V>,
  instants: EntryInstants,
  into: Deadline,
): Deadline {
  into.at = Number.POSITIVE_INFINITY;
  into.by = undefined;
  if (instants.ttlStartedAt !== undefined) lower(into, instants.ttlStartedAt + lifetimes.ttlMs, 'ttl');
  if (instants.expiresAt !== undefined) lower(into, instants.expiresAt, 'expiresAt');
  lower(into, instants.activeAt + lifetimes.maxIdleMs, 'maxIdle');
  lower(into, instants.registeredAt + lifetimes.maxAgeMs, 'maxAge');
  lower(into, instants.activeAt + instants.orphanAfterMs, 'orphanAfter');
  return into;
}

function lower(deadline: Deadline, at: number, by: LifetimeName): void {
  if (at < deadline.at) {
    deadline.at = at;
    deadline.by = by;
  }
}
