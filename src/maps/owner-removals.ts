import { reconcileKey, reconcileNow } from '../sweeping/reconcile.js';
import { announce, newRemoval } from '../sweeping/removal-callbacks.js';
import { confirmOrWithdraw, isQuiet, leave, leaveAgain, leftPastWrapper } from '../sweeping/removals.js';
import type { Tracker } from '../sweeping/tracker.js';
import { keptKey } from './kept-keys.js';

/*
 * What the owner deletes and clears, as the wrappers tell of it: told or, from a quiet map, untold. See
 * `sweeping/removals.ts`.
 */

/** Deletes a key of a Map or Set whose class has no `delete` of its own. */
export function deleteKey(tracker: Tracker, key: unknown): boolean {
  const { native, stamps } = tracker;
  if (!isQuiet(tracker)) return deleteThrough(tracker, key, () => native.remove(key));
  const wasThere = native.remove(key);
  const slot = stamps.slotOf(key);
  // A stamp without an entry: that was removed past the wrapper, which comes to the same.
  if (slot !== undefined) {
    tracker.forget(slot);
    tracker.removedTotal.deleted += 1;
  }
  return wasThere;
}

/** Runs a `delete` of the owner, or the one that the library called on the owner's object. */
export function deleteThrough<Result>(tracker: Tracker, given: unknown, run: () => Result): Result {
  const key = keptKey(tracker, given);
  const { native, stamps, expected } = tracker;
  if (tracker.isBypassed) reconcileKey(tracker, key);
  let slot = stamps.slotOf(key);
  if (slot === undefined) {
    if (!native.has(key)) return run();
    reconcileKey(tracker, key);
    slot = stamps.slotOf(key) as number;
  }
  const generation = stamps.generation[slot] as number;
  const value = native.get(key);
  if (value === undefined && !native.has(key)) {
    leftPastWrapper(tracker, slot, key);
    return run();
  }
  // By generation too: the owner's delete may add a key, which gets the slot that has just become free.
  const isOurs = expected !== undefined && expected.slot === slot && expected.generation === generation;
  const removal = isOurs ? expected.removal : newRemoval();
  const reason = isOurs ? expected.reason : tracker.isClearing ? 'cleared' : 'deleted';
  const claim = isOurs ? undefined : tracker.claims?.claim(slot, key, value, 'deleted');
  const underWay = tracker.beginRemoval(slot, key, value);
  try {
    return run();
  } finally {
    tracker.removing = underWay.outer;
    if (stamps.holds(slot, generation) && !native.has(key)) {
      leave(tracker, slot, key, underWay.value, reason, removal);
    }
    if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
    if (!isOurs) announce(removal, tracker.shared);
    leaveAgain(tracker, underWay, generation);
  }
}

/** Runs a `clear` of the owner. All entries have left before anybody is told of the first. */
export function clearThrough<Result>(tracker: Tracker, run: () => Result): Result {
  if (isQuiet(tracker)) return clearQuietly(tracker, run);
  const { native, stamps, claims } = tracker;
  if (tracker.isBypassed) reconcileNow(tracker);
  const leaving = [...stamps.entries()].map(([key, slot]) => {
    const value = native.get(key);
    const generation = stamps.generation[slot] as number;
    return { key, slot, value, generation, claim: claims?.claim(slot, key, value, 'deleted') };
  });
  const wasClearing = tracker.isClearing;
  tracker.isClearing = true;
  try {
    return run();
  } finally {
    tracker.isClearing = wasClearing;
    const removals = leaving.map(({ key, slot, value, generation, claim }) => {
      const removal = newRemoval();
      if (stamps.holds(slot, generation) && !native.has(key)) {
        leave(tracker, slot, key, value, 'cleared', removal);
      }
      if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
      return removal;
    });
    for (const removal of removals) announce(removal, tracker.shared);
  }
}

function clearQuietly<Result>(tracker: Tracker, run: () => Result): Result {
  tracker.isClearing = true;
  try {
    return run();
  } finally {
    tracker.isClearing = false;
    for (const [key, slot] of tracker.stamps.entries()) {
      if (tracker.native.has(key)) continue;
      tracker.forget(slot);
      tracker.removedTotal.cleared += 1;
    }
  }
}
