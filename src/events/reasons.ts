/** The reasons for which an entry leaves its map. */
export const leavingReasons = ['deleted', 'cleared', 'swept', 'evicted', 'companion', 'closed'] as const;

/** A reason for which an entry leaves its map. */
export type LeavingReason = (typeof leavingReasons)[number];

/** A reason for which the library itself removes an entry. */
export type LibraryReason = 'swept' | 'evicted' | 'closed';

/** Why an entry is to leave whose `beforeSweep` is called first; `shed`: evicted because the memory is nearly full. */
export type HookCause = 'swept' | 'evicted' | 'shed';

/**
 * Why an entry left its map, with its value.
 *
 * - `deleted`: the owner called `delete`
 * - `cleared`: the owner called `clear`
 * - `swept`: the sweeper removed the entry because it was due
 * - `evicted`: the entry was removed because of `maxEntries`, `maxPerOwner` or `shed`
 * - `companion`: the entry of the leader left, whichever way
 * - `closed`: the registry was closed with `dispose: true`
 */
export type RemovalReason = LeavingReason;

/**
 * What came of a call of `beforeSweep`: it did what it had to; it threw, rejected or took too long; or its entry was
 * touched, replaced or removed meanwhile, so that its answer does not count.
 */
export const beforeSweepOutcomes = ['succeeded', 'failed', 'aborted'] as const;

/** What came of a call of `beforeSweep` for an entry. */
export type BeforeSweepOutcome = (typeof beforeSweepOutcomes)[number];

/** What may keep an entry that is due, until its `maxAge`: a guard, a hold, or a `beforeSweep` that has not succeeded. */
export type KeptBy = 'keepWhile' | 'hold' | 'beforeSweep';

/** The reasons by which endings are counted. The owner's own texts count as `other`, since there is no end to them. */
export const endedReasons = ['completed', 'swept', 'evicted', 'deleted', 'lost', 'other'] as const;

/** A reason by which an ending is counted. */
export type EndedReason = (typeof endedReasons)[number];

/** Returns a count for each of the names, 0. */
export function zeroFor<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
