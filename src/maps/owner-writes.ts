import { HOOKED } from '../stamps/stamp-store.js';
import { reconcileKey } from '../sweeping/reconcile.js';
import { callReplaced } from '../sweeping/removal-callbacks.js';
import type { Tracker } from '../sweeping/tracker.js';
import { keptKey, slotOverwritten } from './kept-keys.js';

/*
 * What the owner sets and touches, as the wrappers tell of it. What the owner deletes is in `owner-removals.ts`.
 */

/** Sets a key of a Map whose class has no `set` of its own, or adds it to such a Set. */
export function setKey(tracker: Tracker, key: unknown, value: unknown): void {
  const isTold = tracker.policy.replaced !== undefined;
  // What was deleted past the wrapper is not replaced, though the sizes may agree.
  if (tracker.isBypassed || (isTold && !tracker.native.has(key))) reconcileKey(tracker, key);
  const slot = tracker.stamps.slotOf(key);
  if (slot === undefined) {
    tracker.native.put(key, value);
    tracker.register(key, value);
  } else {
    // It is looked up only for whoever is told of it.
    const previous = isTold ? tracker.native.get(key) : undefined;
    tracker.native.put(key, value);
    overwritten(tracker, slot, key, value, previous);
  }
}

/** Runs a `set` or `add` of a class that has its own, whatever that does, and sees what came of it. */
export function setThrough<Result>(
  tracker: Tracker,
  given: unknown,
  givenValue: unknown,
  run: () => Result,
): Result {
  const { native, stamps } = tracker;
  const key = keptKey(tracker, given);
  reconcileKey(tracker, key);
  const before = stamps.slotOf(key);
  const wasInStep = before === undefined && !tracker.isBypassed;
  const call = tracker.beginCall(key, before, before === undefined ? undefined : native.get(key));
  try {
    return run();
  } finally {
    tracker.underWay = call.outer;
    const { slot, generation, value } = call;
    if (stamps.holds(slot, generation) && native.has(key)) {
      overwritten(tracker, slot, key, native.get(key), value);
    } else if (slot >= 0 || native.has(key)) reconcileKey(tracker, key);
    else keptUnderAnother(tracker, given, givenValue, wasInStep);
  }
}

/** A class of the owner's has not kept what it was given under the key that it was given, if it has kept it. */
function keptUnderAnother(tracker: Tracker, given: unknown, givenValue: unknown, wasInStep: boolean): void {
  const slot = slotOverwritten(tracker, given, givenValue, wasInStep);
  if (slot === undefined) return;
  const key = tracker.stamps.keyOf(slot);
  const value = tracker.native.get(key);
  // What was there before is not known: nobody is told of it.
  overwritten(tracker, slot, key, value, value);
}

/** Runs a `getOrInsert` of the owner: it registers a key that was not there, and is a plain read of one that was. */
export function insertThrough<Result>(tracker: Tracker, key: unknown, run: () => Result): Result {
  reconcileKey(tracker, key);
  try {
    return run();
  } finally {
    reconcileKey(tracker, key);
  }
}

/** Runs a `getOrInsertComputed` of the owner, whose callback may itself set the key: then its value is replaced. */
export function computeThrough<Result>(
  tracker: Tracker,
  key: unknown,
  compute: (key: unknown) => unknown,
  run: (compute: (key: unknown) => unknown) => Result,
): Result {
  const { native, stamps } = tracker;
  let setMeanwhile: { slot: number; generation: number; value: unknown } | undefined;
  const compared = (given: unknown): unknown => {
    const computed = compute(given);
    const slot = stamps.slotOf(key);
    if (slot !== undefined) {
      setMeanwhile = { slot, generation: stamps.generation[slot] as number, value: native.get(key) };
    }
    return computed;
  };
  try {
    return insertThrough(tracker, key, () => run(compared));
  } finally {
    if (setMeanwhile !== undefined && stamps.holds(setMeanwhile.slot, setMeanwhile.generation)) {
      overwritten(tracker, setMeanwhile.slot, key, native.get(key), setMeanwhile.value);
    }
  }
}

/** Counts as activity of the entry. Returns `false` if there is no such entry. */
export function touch(tracker: Tracker, given: unknown): boolean {
  const key = keptKey(tracker, given);
  const slot = tracker.stamps.slotOf(key);
  // It may have been deleted past the wrapper.
  if (slot === undefined || !tracker.native.has(key)) return false;
  refresh(tracker, slot, key);
  return true;
}

/** A value was set on a key that had an entry. */
function overwritten(tracker: Tracker, slot: number, key: unknown, value: unknown, previous: unknown): void {
  const { replaced } = tracker.policy;
  if (tracker.underWay !== undefined) tracker.hasWritten(slot, value);
  tracker.recorder?.overwritten(slot);
  // This is the key as the map keeps it, which is 0 if -0 was given.
  const kept = tracker.stamps.keyOf(slot);
  const generation = tracker.stamps.generation[slot] as number;
  if (tracker.owners !== undefined) tracker.askOwner(slot, key);
  // Who was asked for its owner may have removed it.
  if (tracker.stamps.holds(slot, generation)) refresh(tracker, slot, key);
  if (replaced === undefined || Object.is(previous, value)) return;
  callReplaced(tracker, kept, previous, value, tracker.shared);
}

/** The entry is active now. */
function refresh(tracker: Tracker, slot: number, key: unknown): void {
  const { policy, activity, shared } = tracker;
  const leader = policy.follows === undefined ? undefined : tracker.companions.leader;
  const { keys } = tracker.companions;
  if (keys !== undefined) {
    const generation = tracker.stamps.generation[slot] as number;
    keys.ask(slot, key);
    // Who was asked for its leader may have removed it.
    if (!tracker.stamps.holds(slot, generation)) return;
    if (tracker.companions.hasJoinedOrParted(slot)) tracker.due.watch(slot);
  }
  if (leader === undefined) activity.refresh(slot);
  else {
    const at = shared.timeline.stamp();
    activity.refreshAt(slot, at);
    tracker.leaderActive(slot, at, true);
  }
  tracker.recorder?.active(slot);
  // The policy is asked first: a flag is one more place in memory to go to.
  if (policy.beforeSweep !== undefined && tracker.stamps.hasFlag(slot, HOOKED)) {
    shared.hooks.cancel(tracker, slot);
  }
}
