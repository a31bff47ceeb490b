import type { BeforeSweepOutcome } from '../events/reasons.js';
import { LEAVING } from '../stamps/stamp-store.js';
import type { JudgedState } from './due-queue.js';
import type { Keeper } from './keepers.js';
import { isSweptUntold, leftPastWrapper, sweepOut, sweepUntold } from './removals.js';
import type { Tracker } from './tracker.js';

/** Returns whether entries of a map leave by durations alone, and a sweep need tell nobody of any but `dispose`. */
export const isSweptByStamps = (tracker: Tracker): boolean =>
  tracker.due.isByStampsAlone && isSweptUntold(tracker) && !tracker.observing && !tracker.holds?.size;

/**
 * Judges an entry that is in no bucket, and removes it or files it again. Returns whether it was swept.
 *
 * @param hook what came of its `beforeSweep`, if that is over: it has succeeded, or was the last attempt
 */
export function look(tracker: Tracker, slot: number, now: number, hook?: BeforeSweepOutcome): boolean {
  const { native, stamps, due } = tracker;
  // One whose leader has left goes now, whatever its stamps say.
  if (isSweptByStamps(tracker) && !stamps.hasFlag(slot, LEAVING)) return lookByStamps(tracker, slot, now);
  const key = stamps.keyOf(slot);
  const value = due.judge.needsValue ? native.get(key) : undefined;
  if (value === undefined && due.judge.needsValue && !native.has(key)) {
    leftPastWrapper(tracker, slot, key);
    return false;
  }
  return lookAt(tracker, slot, key, value, now, hook);
}

/** Does the same, for an entry whose value is known and still there. */
export function lookAt(
  tracker: Tracker,
  slot: number,
  key: unknown,
  value: unknown,
  now: number,
  hook?: BeforeSweepOutcome,
): boolean {
  const { stamps, due } = tracker;
  const generation = stamps.generation[slot] as number;
  const state = judgeNow(tracker, slot, key, value, now);
  // A policy function may have removed the entry.
  if (!stamps.holds(slot, generation)) return false;
  if (state === 'guarded' || state === 'held') {
    keep(tracker, slot);
    return false;
  }
  if (state === 'overtaken') {
    // The next sweep makes another judgement.
    due.watch(slot);
    return false;
  }
  if (state !== 'due' || tracker.observing) {
    due.mark(slot, state);
    due.file(slot, state);
    return false;
  }
  if (tracker.policy.beforeSweep !== undefined && hook === undefined && !stamps.hasFlag(slot, LEAVING)) {
    // For the end of that it stays known what kept it until its `maxAge`.
    due.mark(slot, due.outlasted === 'keepWhile' ? 'guarded' : state);
    due.watch(slot);
    tracker.shared.hooks.request(tracker, slot, 'swept', due.judge.isBeyondMaxAge);
    return false;
  }
  if (hook !== undefined && hook !== 'succeeded') due.outlasted ??= 'beforeSweep';
  return sweepOut(tracker, slot, now);
}

/**
 * Judges an entry as of `now`, for somebody who removes what is due. `overtaken`: it was, but a policy function that was
 * asked has touched or replaced it, or set its leader, after which that does not hold.
 */
export function judgeNow(
  tracker: Tracker,
  slot: number,
  key: unknown,
  value: unknown,
  now: number,
): JudgedState | 'overtaken' {
  const { native, due, activity, companions } = tracker;
  const activeAt = activity.latest(slot);
  const state = due.judgeAt(slot, value, now);
  // Beyond its `maxAge` no activity keeps it.
  if (state !== 'due' || due.judge.isBeyondMaxAge) return state;
  const isOvertaken =
    activity.latest(slot) !== activeAt ||
    (due.judge.needsValue && !Object.is(native.get(key), value)) ||
    (due.judge.deadline.by === 'orphanAfter' && companions.hasLeader(slot));
  return isOvertaken ? 'overtaken' : state;
}

/**
 * A guard or a hold was found to keep an entry: every sweep looks again until it lets go. A look that finds a guard counts as
 * activity, so that the entry is idle from the end of that; of a hold the release does.
 *
 * @param keeper whose it is; without it, that of the judgement that has just been made
 * @param dueAt when the entry is due by the judgement that has just been made; `Infinity` where only its guards were asked
 */
export function keep({ due }: Tracker, slot: number, keeper = due.keeper as Keeper, dueAt?: number): void {
  due.mark(slot, keeper.keeping, dueAt);
  due.watch(slot);
  if (keeper.keeping === 'guarded') keeper.map.usedUntilNow(keeper.slot);
}

/**
 * Asks the guards and the holds of an entry that a cap is to remove, which says nothing of whether it is due. Returns whether
 * nothing keeps it, and it is still there.
 */
export function isFree(tracker: Tracker, slot: number): boolean {
  const { stamps, due, shared } = tracker;
  const generation = stamps.generation[slot] as number;
  const keeper = due.keepers.of(slot, stamps.keyOf(slot), shared.timeline.now(), false);
  // A guard may have removed the entry itself.
  if (!stamps.holds(slot, generation)) return false;
  if (keeper?.keeping === 'guarded') keep(tracker, slot, keeper, Number.POSITIVE_INFINITY);
  return keeper === undefined;
}

/**
 * Judges an entry that a cap is to remove, by its guards and holds and, where its lifetimes are functions, by what they say now.
 * Returns what removes it: the lifetime by which it is due, or else the cap; `undefined` if it is kept, or has gone.
 */
export function leavesBy(tracker: Tracker, slot: number, cap: string): string | undefined {
  const { native, stamps, due, shared } = tracker;
  if (due.isAsked) {
    const generation = stamps.generation[slot] as number;
    const key = stamps.keyOf(slot);
    const state = judgeNow(tracker, slot, key, native.get(key), shared.timeline.now());
    if (!stamps.holds(slot, generation)) return undefined;
    if (state === 'guarded' || state === 'held') {
      keep(tracker, slot);
      return undefined;
    }
    if (state === 'overtaken') return undefined;
    if (state === 'due') return due.rule;
  }
  return isFree(tracker, slot) ? cap : undefined;
}

// Does what `look` does, for a map with nothing but durations if nobody but `dispose` has to be told: most of a sweep's
// entries.
function lookByStamps(tracker: Tracker, slot: number, now: number): boolean {
  const { due } = tracker;
  const deadline = due.deadlineByStamps(slot);
  if (now >= deadline) return sweepUntold(tracker, slot, deadline, now);
  due.mark(slot, 'live');
  due.fileAt(slot, deadline);
  return false;
}
