import type { Tracker } from './tracker.js';

/** How many entries a pass asks whether they are due: the bound of its work, not of what it evicts. */
const mostJudged = 1_000;

/** What an eviction pass has to know of its surroundings. */
export interface CapacityHost {
  /** Monotonic ms. */
  now(): number;
  /** The sweep tick up to which entries may be due now. */
  currentTick(): number;
  /** Whether a `beforeSweep` of the entry is under way. */
  isWaiting(tracker: Tracker, slot: number): boolean;
  /** Starts the `beforeSweep` of an entry that is to be evicted. */
  runHook(tracker: Tracker, slot: number): void;
}

/**
 * Brings a map down to `maxEntries`: entries that are due first, then those whose end was announced, then the longest
 * idle. Guarded ones never: where only they are left the map stays too large, which its size shows.
 *
 * A generator, one step an entry, so that the caller can pause between any two.
 */
export function* evictExcess(tracker: Tracker, host: CapacityHost): Generator<void> {
  if (tracker.order === undefined || tracker.observing) return;
  // Where `beforeSweep` runs first, an entry that waits for it is as good as gone.
  const going = new Set<number>();
  const isOver = () => tracker.native.size() - going.size > tracker.policy.maxEntries;

  const evict = (slot: number, rule: string): void => {
    if (tracker.policy.beforeSweep === undefined) tracker.removals.evict(slot, rule);
    else {
      host.runHook(tracker, slot);
      going.add(slot);
    }
  };
  const isGoing = (slot: number): boolean => {
    if (host.isWaiting(tracker, slot)) going.add(slot);
    return going.has(slot);
  };

  const { stamps } = tracker;
  for (const [slot, generation] of tracker.mayBeDueBy(host.currentTick(), mostJudged)) {
    if (!isOver()) return;
    if (!stamps.holds(slot, generation) || isGoing(slot)) continue;
    const isDue = tracker.judgeOnly(slot, host.now()) === 'due';
    if (isDue && stamps.holds(slot, generation)) evict(slot, tracker.filing.judge.rule);
    yield;
  }
  for (const slots of [tracker.endedSlots(), longestIdleFirst(tracker)]) {
    for (const slot of slots) {
      if (!isOver()) return;
      const generation = stamps.generation[slot] as number;
      if (isGoing(slot)) continue;
      if (!tracker.isGuarded(slot) && stamps.holds(slot, generation)) evict(slot, 'maxEntries');
      yield;
    }
  }
}

/** The entries by idle time, the longest first, as they were when asked: what callbacks add does not come up. */
function* longestIdleFirst(tracker: Tracker): Generator<number> {
  const { order, stamps } = tracker;
  if (order === undefined) return;
  const last = stamps.lastGeneration;
  let left = stamps.size;
  let slot = order.oldest;
  while (slot >= 0 && left > 0) {
    const next = order.next(slot);
    const generation = next < 0 ? 0 : (stamps.generation[next] as number);
    if ((stamps.generation[slot] as number) <= last) yield slot;
    left -= 1;
    // The next one left or moved while this one was looked at: begin again from what is oldest now.
    slot = next < 0 || stamps.holds(next, generation) ? next : order.oldest;
  }
}
