import { leftPastWrapper } from './removals.js';
import type { Tracker } from './tracker.js';

/**
 * Stamps, or drops the stamps of, what was written past the wrapper: one entry a step. Both loops end even if a callback
 * adds keys for ever: each looks at no more than was there at its start.
 */
export function* reconcile(tracker: Tracker): Generator<void> {
  const { native, stamps } = tracker;
  let left = stamps.size;
  for (const [key, slot] of stamps.entries()) {
    if (left-- <= 0) break;
    if (!native.has(key)) leftPastWrapper(tracker, slot, key);
    yield;
  }
  left = native.size();
  for (const key of native.keys()) {
    if (left-- <= 0) break;
    if (stamps.slotOf(key) === undefined) tracker.register(key, native.get(key), false);
    yield;
  }
}

/** Does the same all at once. */
export function reconcileNow(tracker: Tracker): void {
  const steps = reconcile(tracker);
  while (!steps.next().done);
}

/** Brings the stamp of one key in step with the map. */
export function reconcileKey(tracker: Tracker, key: unknown): void {
  const slot = tracker.stamps.slotOf(key);
  const isPresent = tracker.native.has(key);
  if (slot === undefined && isPresent) tracker.register(key, tracker.native.get(key));
  else if (slot !== undefined && !isPresent) leftPastWrapper(tracker, slot, key);
}

/** Does the same if the sizes show that something was written past the wrapper: `key` is about to be used. */
export function reconcileIfBypassed(tracker: Tracker, key: unknown): void {
  if (tracker.native.size() !== tracker.stamps.size) reconcileKey(tracker, key);
}
