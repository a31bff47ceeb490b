import type { Tracker } from '../sweeping/tracker.js';

/** When time alone will remove an entry, as far as is known, monotonic ms; `Infinity` if it will not. */
export function leavesAt(tracker: Tracker, key: unknown, now: number): number {
  const slot = tracker.stamps.slotOf(key);
  if (tracker.observing || slot === undefined) return Number.POSITIVE_INFINITY;
  const state = tracker.due.judgeToRead(slot, now);
  const { deadline, lifetimes } = tracker.due.judge;
  const ceiling = tracker.stamps.registeredAt(slot) + lifetimes.maxAgeMs;
  const own = state === 'guarded' || state === 'held' ? ceiling : deadline.at;
  const { leader } = tracker.companions;
  const leaderKey = tracker.companions.leaderKeyOf(slot);
  return leader?.native.has(leaderKey) ? Math.min(own, leavesAt(leader, leaderKey, now)) : own;
}
