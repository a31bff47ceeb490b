import { reconcileKey, reconcileNow } from '../sweeping/reconcile.js';
import { type Abort, announce, newRemoval, type Removal } from '../sweeping/removal-callbacks.js';
import {
  confirmOrWithdraw,
  isUntold,
  leave,
  leaveAlone,
  leaveUnclaimed,
  leaveUntold,
  leftPastWrapper,
  takeCompanions,
} from '../sweeping/removals.js';
import type { Seen, Tracker } from '../sweeping/tracker.js';
import { keptKey } from './kept-keys.js';

/*
 * What the owner deletes and clears, as the wrappers tell of it: told or untold. See `sweeping/removals.ts`.
 */

/** Deletes a key of a Map or Set whose class has no `delete` of its own. Nothing of the owner's runs before it has left. */
export function deleteKey(tracker: Tracker, key: unknown): boolean {
  const { native, stamps, claims, expected, isClearing } = tracker;
  const slot = stamps.slotOf(key);
  const isUntoldHere = isUntold(tracker);
  const isQuiet = isUntoldHere && tracker.policy.dispose === undefined;
  // What was set past the wrapper has to be told of too, if anything has.
  if (slot === undefined) return isQuiet ? native.remove(key) : deleteNatively(tracker, key);
  if (claims !== undefined || expected !== undefined || isClearing) return deleteNatively(tracker, key);
  const value = isQuiet ? undefined : native.get(key);
  if (!native.remove(key)) {
    leftPastWrapper(tracker, slot, key);
    return false;
  }
  if (isUntoldHere) leaveUntold(tracker, slot, value, 'deleted');
  else {
    const removal = newRemoval();
    leave(tracker, slot, key, value, 'deleted', removal);
    announce(removal, tracker.shared);
  }
  return true;
}

const deleteNatively = (tracker: Tracker, key: unknown): boolean =>
  deleteThrough(tracker, key, () => tracker.native.remove(key));

/** Runs a `delete` of the owner, or the one that the library called on the owner's object. */
export function deleteThrough<Result>(tracker: Tracker, given: unknown, run: () => Result): Result {
  const key = keptKey(tracker, given);
  const { native, stamps, expected } = tracker;
  reconcileKey(tracker, key);
  const slot = stamps.slotOf(key);
  // Who was asked about it as it was registered may have removed it.
  if (slot === undefined || !native.has(key)) return deleteAbsent(tracker, key, run);
  const generation = stamps.generation[slot] as number;
  const value = native.get(key);
  // By generation too: the owner's delete may add a key, which gets the slot that has just become free.
  const isOurs = expected !== undefined && expected.slot === slot && expected.generation === generation;
  const removal = isOurs ? expected.removal : newRemoval();
  const reason = isOurs ? expected.reason : tracker.isClearing ? 'cleared' : 'deleted';
  const claim = isOurs ? undefined : tracker.claims?.claim(slot, key, value, 'deleted');
  const call = tracker.beginCall(key, slot, value);
  try {
    return run();
  } finally {
    tracker.underWay = call.outer;
    if (stamps.holds(slot, call.before) && !native.has(key)) {
      leave(tracker, slot, key, call.value, reason, removal);
    }
    if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
    // Gone before anybody is told, who may set the key again.
    const again = leaveUnclaimed(tracker, key, call, 'deleted');
    if (!isOurs) announce(removal, tracker.shared);
    if (again !== undefined) tellOf(tracker, key, again);
  }
}

/** Runs a `delete` of a key that is not there: it may set it, and then remove that. */
function deleteAbsent<Result>(tracker: Tracker, key: unknown, run: () => Result): Result {
  const call = tracker.beginCall(key);
  try {
    return run();
  } finally {
    tracker.underWay = call.outer;
    const removal = leaveUnclaimed(tracker, key, call, 'deleted');
    if (removal !== undefined) tellOf(tracker, key, removal);
  }
}

function tellOf(tracker: Tracker, key: unknown, removal: Removal): void {
  takeCompanions(tracker, key, removal);
  announce(removal, tracker.shared);
}

/** Runs a `clear` of the owner. All entries have left before anything else of his runs. */
export function clearThrough<Result>(tracker: Tracker, run: () => Result): Result {
  if (tracker.policy.dispose === undefined && isUntold(tracker)) return clearUntold(tracker, run);
  const { native, stamps, claims } = tracker;
  reconcileNow(tracker);
  const there = new Map<unknown, Seen>();
  const leaving = [...stamps.entries()].map(([key, slot]) => {
    const seen = { slot, generation: stamps.generation[slot] as number, value: native.get(key) };
    there.set(key, seen);
    return { key, seen, claim: claims?.claim(slot, key, seen.value, 'deleted') };
  });
  const call = tracker.beginClear(there);
  const wasClearing = tracker.isClearing;
  tracker.isClearing = true;
  try {
    return run();
  } finally {
    tracker.isClearing = wasClearing;
    tracker.underWay = call.outer;
    const removals = leaving.map(({ key, seen, claim }) => {
      const removal = newRemoval();
      const hasLeft = stamps.holds(seen.slot, seen.generation) && !native.has(key);
      if (hasLeft) leaveAlone(tracker, seen.slot, there.get(key)?.value, 'cleared', removal);
      if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
      return { key, removal, hasLeft };
    });
    // What the method had set itself before it cleared.
    for (const [key, seen] of there) {
      const removal = leaveUnclaimed(tracker, key, seen, 'cleared');
      if (removal !== undefined) removals.push({ key, removal, hasLeft: true });
    }
    for (const { key, removal, hasLeft } of removals) if (hasLeft) takeCompanions(tracker, key, removal);
    for (const { removal } of removals) announce(removal, tracker.shared);
  }
}

function clearUntold<Result>(tracker: Tracker, run: () => Result): Result {
  tracker.isClearing = true;
  try {
    return run();
  } finally {
    tracker.isClearing = false;
    const aborts: Abort[] = [];
    for (const [key, slot] of tracker.stamps.entries()) {
      if (tracker.native.has(key)) continue;
      const abort = tracker.forget(slot, 'cleared');
      tracker.removedTotal.cleared += 1;
      if (abort !== undefined) aborts.push(abort);
    }
    for (const abort of aborts) abort();
  }
}
