import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { leavesAt } from './leaves-at.js';
import type { Subject } from './subject.js';

/**
 * How much of a time to let pass at once, ms: a call of `beforeSweep` that begins on the way is to keep half of the time that
 * it has, since it may do real work, and is waited for only when time stands still.
 */
export function passableMs({ engine, trackers }: Subject, ms: number): number {
  const now = engine.timeline.now();
  let most = ms;
  for (const tracker of trackers()) {
    const { beforeSweep, beforeSweepTimeoutMs } = tracker.policy;
    if (beforeSweep === undefined || tracker.observing) continue;
    // A policy function that is asked may change the map.
    for (const key of [...tracker.native.keys()]) {
      const startsIn = startOfHook(engine, tracker, key, now) - now;
      // What could have begun by now has done so, or waits for something else than time.
      if (startsIn >= 0) most = Math.min(most, Math.ceil(startsIn + beforeSweepTimeoutMs / 2));
    }
  }
  return most;
}

/** When the next call of `beforeSweep` for an entry may begin, as far as is known, monotonic ms. */
function startOfHook(engine: Engine, tracker: Tracker, key: unknown, now: number): number {
  const slot = tracker.stamps.slotOf(key);
  const hook = slot === undefined ? undefined : engine.hooks.stateOf(tracker, slot);
  if (hook?.state === 'queued') return now;
  return hook?.state === 'paused' ? hook.notBefore : leavesAt(tracker, key, now);
}
