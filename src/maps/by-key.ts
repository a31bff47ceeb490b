import { type Explanation, explain } from '../diagnosis/explain.js';
import { type EntryStamps, stampsOf } from '../stamps/entry-stamps.js';
import type { Engine } from '../sweeping/engine.js';
import type { Hold } from '../sweeping/holds.js';
import type { Tracker } from '../sweeping/tracker.js';
import { keptKey } from './kept-keys.js';

/*
 * What a registry does with an entry that its owner names by map and key, beside what he may do with the map itself.
 */

/** Takes a hold of an entry; one of nothing if there is no such entry. */
export function hold(tracker: Tracker, given: unknown): Hold {
  return tracker.hold(keptKey(tracker, given));
}

/** Returns when an entry was registered and last active; `undefined` if there is no such entry. */
export function stampsByKey(tracker: Tracker, given: unknown): EntryStamps | undefined {
  return stampsOf(tracker, tracker.shared.timeline, keptKey(tracker, given));
}

/** Says whether an entry is due, by which lifetime, and why it is still there. */
export function explainByKey(engine: Engine, tracker: Tracker, given: unknown): Explanation {
  return explain(engine, tracker, keptKey(tracker, given));
}

/** Returns whether an entry is due and nothing keeps it, as of now. Calls its policy functions, and remembers nothing. */
export function isDue(tracker: Tracker, given: unknown): boolean {
  const { native, stamps, due, shared } = tracker;
  const key = keptKey(tracker, given);
  const slot = stamps.slotOf(key);
  if (slot === undefined || !native.has(key)) return false;
  const generation = stamps.generation[slot] as number;
  shared.timeline.notice();
  const state = due.judgeToRead(slot, shared.timeline.now());
  // What was asked may have removed it.
  return state === 'due' && stamps.holds(slot, generation);
}

/**
 * Returns whether one more entry would be within the caps.
 *
 * @param owner whose it would be; `undefined`: nobody's
 */
export function hasRoom({ native, policy, owners }: Tracker, owner: unknown): boolean {
  if (native.size() >= policy.maxEntries) return false;
  return owner === undefined || owners === undefined || owners.countOf(owner) < owners.max;
}

/**
 * Has the owner's own `delete` remove an entry, if it is still the registration that is meant. Returns whether that one
 * has left.
 *
 * @param meant `undefined`: whichever there is
 */
export function deleteRegistration(tracker: Tracker, given: unknown, meant: number | undefined): boolean {
  const { native, stamps } = tracker;
  const key = keptKey(tracker, given);
  const slot = stamps.slotOf(key);
  // It was written past the wrapper, or is known to the owner's class alone.
  if (slot === undefined) return meant === undefined && Boolean(native.target.delete(given));
  const generation = stamps.generation[slot] as number;
  if (meant !== undefined && meant !== generation) return false;
  const wasThere = native.has(key);
  native.target.delete(given);
  return wasThere && !stamps.holds(slot, generation);
}
