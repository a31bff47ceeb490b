import { take } from '../stamps/take.js';
import type { JudgedState } from './due-queue.js';
import type { Eviction } from './eviction.js';
import { judgeNow, keep } from './look.js';
import { type LastActive, type Owned, type Ranked, Ranking } from './owners.js';
import type { Tracker } from './tracker.js';

/**
 * Brings the entries of one owner down to what he may have, in small steps: what is due first, then what has ended, then the
 * longest idle. It looks at all of his only where the last look at them does not serve any more.
 */
export function* evictOfOwner(tracker: Tracker, owned: Owned, eviction: Eviction): Generator<void> {
  const { owners, stamps, due, claims, shared } = tracker;
  if (owners === undefined) return;
  // Those of his that are on their way: where they look enough, it is seen whether they still are.
  const going = new Set<number>();
  const note = (slot: number): void => {
    if (owners.of(slot) === owned && eviction.isGoing(slot)) going.add(slot);
    else going.delete(slot);
  };
  if (eviction.isAnyGoing) {
    for (const slot of take(owned.slots, owned.slots.size)) {
      note(slot);
      yield;
    }
  }
  const isExcess = (): boolean => owned.slots.size - owners.max > going.size;
  const isOver = (): boolean => {
    if (!owners.over.has(owned)) return false;
    if (!isExcess()) going.forEach(note);
    return isExcess();
  };
  const isHis = ({ slot, generation }: Ranked): boolean =>
    stamps.holds(slot, generation) && owners.of(slot) === owned;

  const { ranking: known } = owned;
  const isStale =
    known === undefined || known.pass !== due.passes || known.nextDueAt <= shared.timeline.now();
  for (let isFresh = isStale; isOver(); isFresh = true) {
    if (isFresh) yield* rank(tracker, owned);
    const { ranking } = owned;
    if (ranking === undefined) return;
    for (let ranked = ranking.due.pop(); ranked !== undefined; ranked = ranking.due.pop()) {
      const { slot } = ranked;
      if (!isOver()) {
        ranking.due.push(ranked);
        return;
      }
      const isDue =
        isHis(ranked) && judgeHis(tracker, slot, shared.timeline.now(), () => isHis(ranked)) === 'due';
      if (isDue && isOver()) {
        eviction.take(slot, due.rule);
        note(slot);
      }
      yield;
    }
    for (const slot of take(owned.ended, owned.ended.size)) {
      if (!isOver()) break;
      if (claims?.isClaimed(slot)) {
        eviction.takeUnlessKept(slot, 'maxPerOwner', isOver);
        note(slot);
      } else owned.ended.delete(slot);
      yield;
    }
    while (isOver()) {
      const next = ranking.next();
      if (next === undefined) break;
      const { slot } = next;
      // Whoever was active since is less idle than all that were not.
      if (isHis(next) && !wasActiveSince(tracker, next, isFresh) && isHis(next)) {
        eviction.takeUnlessKept(slot, 'maxPerOwner', isOver);
        note(slot);
      }
      yield;
    }
    if (isFresh) return;
  }
}

/** Looks at all entries of an owner, and remembers what it finds. */
function* rank(tracker: Tracker, owned: Owned): Generator<void> {
  const { stamps, activity, due, owners, shared } = tracker;
  const ranking = new Ranking(due.passes, shared.timeline.stamp());
  // What becomes his meanwhile is less idle.
  for (const slot of take(owned.slots, owned.slots.size)) {
    // The map may be released by now.
    if (owners?.of(slot) !== owned) break;
    const generation = stamps.generation[slot] as number;
    const now = shared.timeline.now();
    const isHis = () => stamps.holds(slot, generation) && owners?.of(slot) === owned;
    const state = judgeHis(tracker, slot, now, isHis);
    if (state === 'due') ranking.due.push({ slot, generation });
    else if (state !== undefined) {
      if (state === 'live') ranking.nextDueAt = Math.min(ranking.nextDueAt, due.judge.deadline.at);
      const activeAt = due.activeAt(slot, now);
      if (isHis()) ranking.add({ slot, generation, activeAt, turn: activity.turnOf(slot) });
    }
    yield;
  }
  ranking.due.reverse();
  owned.ranking = ranking;
}

/**
 * Returns whether an entry was active after this was.
 *
 * @param isFresh it was asked a moment ago: a value that answers the present, or fails, would say another instant now
 */
function wasActiveSince(
  { activity, due, shared }: Tracker,
  { slot, activeAt, turn }: Ranked & LastActive,
  isFresh: boolean,
): boolean {
  if (activity.turnOf(slot) !== turn) return true;
  return !isFresh && due.activeAt(slot, shared.timeline.now()) !== activeAt;
}

/**
 * Judges an entry of an owner. A guard that keeps it counts as activity.
 *
 * @param isHis whether it is still there, and his
 * @returns `undefined` if it is not any more: whoever was asked may have removed it
 */
function judgeHis(
  tracker: Tracker,
  slot: number,
  now: number,
  isHis: () => boolean,
): JudgedState | 'overtaken' | undefined {
  const { native, stamps } = tracker;
  const key = stamps.keyOf(slot);
  const state = judgeNow(tracker, slot, key, native.get(key), now);
  if (state === 'guarded' && isHis()) keep(tracker, slot);
  return isHis() ? state : undefined;
}
