import { LEAVING } from '../stamps/stamp-store.js';
import { isUntold, leftPastWrapper, sweepOut, sweepUntold } from './removals.js';
import type { Tracker } from './tracker.js';

/** Returns whether entries of a map leave by durations alone, and a sweep need tell nobody of any. */
export const isSweptUntold = (tracker: Tracker): boolean =>
  tracker.due.isByStampsAlone && isUntold(tracker) && !tracker.observing;

/**
 * Judges an entry that is in no bucket, and removes it or files it again. Returns whether it was swept.
 *
 * @param isHookDone its `beforeSweep` has succeeded
 */
export function look(tracker: Tracker, slot: number, now: number, isHookDone = false): boolean {
  if (isSweptUntold(tracker)) return lookUntold(tracker, slot, now);
  const { native, stamps, due } = tracker;
  const key = stamps.keyOf(slot);
  const generation = stamps.generation[slot] as number;
  if (due.judge.needsValue && !native.has(key)) {
    leftPastWrapper(tracker, slot, key);
    return false;
  }
  const state = due.judgeAt(slot, now);
  // A policy function may have touched, replaced or removed the entry: then it has been filed or forgotten already.
  if (!stamps.holds(slot, generation) || due.buckets.has(slot)) return false;
  if (state !== 'due' || tracker.observing) {
    due.mark(slot, state);
    due.file(slot, state);
    return false;
  }
  if (tracker.policy.beforeSweep !== undefined && !isHookDone && !stamps.hasFlag(slot, LEAVING)) {
    due.mark(slot, state);
    due.buckets.watch(slot);
    tracker.shared.hooks.request(tracker, slot, 'swept');
    return false;
  }
  if (native.has(key)) return sweepOut(tracker, slot, now);
  leftPastWrapper(tracker, slot, key);
  return false;
}

// What `look` does for a map with nothing but durations, where nobody has to be told: most of a sweep's entries.
function lookUntold(tracker: Tracker, slot: number, now: number): boolean {
  const { due } = tracker;
  const deadline = due.deadlineByStamps(slot);
  if (now >= deadline) return sweepUntold(tracker, slot, now - deadline);
  due.mark(slot, 'live');
  due.fileAt(slot, deadline);
  return false;
}
