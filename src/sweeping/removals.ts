/*
 * How entries leave a map, whoever removes them. There are two ways out: told and untold.
 *
 * Told is the rule. The end of the run is claimed, the owner's own method runs, and if the key is really gone its stamp
 * goes, its companions leave, and only then are the callbacks called. If the key is still there the claim is withdrawn
 * and nothing is said. The library's removals are here; the owner's `delete` and `clear` take the same way, from
 * `maps/owner-removals.ts`.
 *
 * Untold is the short way, of entries about which there is nobody to tell: the map has no `dispose`, no endings and no
 * followers, and there is no audit. For a sweep it must also have no `beforeSweep`, nobody may listen for `swept`, and the
 * `delete` of the object must be the native one, so that nothing of the owner's would run. The key leaves the native
 * collection and its stamp goes; both ways count.
 */
import { MapsweepError } from '../errors.js';
import type { RemovedEvent } from '../events/event-bus.js';
import type { LeavingReason, LibraryReason } from '../events/reasons.js';
import { shownKey } from '../events/shown.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import { LEAVING, REFUSED } from '../stamps/stamp-store.js';
import type { Claim } from './claims.js';
import type { LeaderKeys } from './leader-keys.js';
import { announce, newRemoval, type Removal } from './removal-callbacks.js';
import type { Seen, Tracker } from './tracker.js';

/** Returns whether nobody has to be told when an entry leaves by the owner's `delete`, and nothing leaves with it. */
export function isQuiet(tracker: Tracker): boolean {
  return (
    tracker.policy.dispose === undefined &&
    tracker.shared.audit === undefined &&
    tracker.claims === undefined &&
    tracker.companions.followers.length === 0 &&
    tracker.expected === undefined &&
    !tracker.isClearing
  );
}

/** Returns whether a sweep may remove entries untold. */
export function isUntold(tracker: Tracker): boolean {
  return (
    isQuiet(tracker) &&
    tracker.policy.beforeSweep === undefined &&
    !tracker.shared.bus.hasListener('swept') &&
    // Nobody has put another on top of our wrapper.
    tracker.plainDelete !== undefined &&
    tracker.native.target.delete === tracker.plainDelete
  );
}

/** Removes an entry that has just been judged due. Returns `false` if that was not the sweeper's doing. */
export function sweepOut(tracker: Tracker, slot: number, now: number): boolean {
  const { shared, stamps, due } = tracker;
  const removal = newRemoval();
  const isLeaving = stamps.hasFlag(slot, LEAVING);
  // What was long over when it was registered is late since then.
  const dueAt = Math.max(due.judge.deadline.at, stamps.registeredAt[slot] as number);
  if (!isLeaving) removal.rule = due.judge.rule;
  const hasLeft = removeThroughOwner(tracker, slot, isLeaving ? 'companion' : 'swept', removal);
  announce(removal, shared);
  if (isLeaving) return false;
  if (hasLeft) tellLateness(tracker, Math.max(0, now - dueAt));
  return hasLeft;
}

/** Removes an entry because of a cap. Returns `false` if the owner's `delete` refused. */
export function evict(tracker: Tracker, slot: number, rule: string): boolean {
  const key = tracker.stamps.keyOf(slot);
  if (!tracker.native.has(key)) {
    leftPastWrapper(tracker, slot, key);
    return true;
  }
  const removal = newRemoval();
  removal.rule = rule;
  const hasLeft = removeThroughOwner(tracker, slot, 'evicted', removal);
  announce(removal, tracker.shared);
  return hasLeft;
}

/** Removes an entry because its registry is closed. Returns `false` if the owner's `delete` refused. */
export function closeOut(tracker: Tracker, slot: number, generation: number): boolean {
  const { native, stamps, shared } = tracker;
  if (!stamps.holds(slot, generation)) return true;
  const key = stamps.keyOf(slot);
  if (!native.has(key)) {
    leftPastWrapper(tracker, slot, key);
    return true;
  }
  const removal = newRemoval('closed');
  const hasLeft = removeThroughOwner(tracker, slot, 'closed', removal);
  announce(removal, shared);
  return hasLeft;
}

/** Removes a due entry untold. Returns `false` if it had been removed past the wrapper. */
export function sweepUntold(tracker: Tracker, slot: number, lateMs: number): boolean {
  const hasLeft = tracker.native.remove(tracker.stamps.keyOf(slot));
  tracker.removedTotal[hasLeft ? 'swept' : 'deleted'] += 1;
  if (hasLeft) tellLateness(tracker, lateMs);
  if (hasLeft && isCeilingAlone(tracker)) tracker.ages.byCeiling(tracker.stamps.registeredAt[slot] as number);
  tracker.forget(slot);
  return hasLeft;
}

/** Removes all entries untold: all of them are due. Returns how many they were. */
export function sweepWhole(tracker: Tracker): number {
  const count = tracker.stamps.size;
  tracker.native.empty();
  tracker.ages.emptied(isCeilingAlone(tracker));
  tracker.forgetAll();
  tracker.removedTotal.swept += count;
  return count;
}

/** Tells those who measure it that an entry was removed this long after it became due. */
export function tellLateness({ name, shared: { measurements } }: Tracker, lateMs: number): void {
  if (measurements.size > 0) measurements.tell((listener) => listener.sweptLate?.(name, lateMs));
}

/** Takes notice that an entry was removed past the wrapper: its value is not known any more. */
export function leftPastWrapper(tracker: Tracker, slot: number, key: unknown): void {
  const removal = newRemoval();
  const claim = tracker.claims?.claim(slot, key, undefined, 'deleted');
  takeOut(tracker, slot, 'deleted', removal);
  takeCompanions(tracker, key, removal);
  if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
  announce(removal, tracker.shared);
}

/** The entry has left the map: drops its stamp, takes its companions along, and notes whom to tell. */
export function leave(
  tracker: Tracker,
  slot: number,
  key: unknown,
  value: unknown,
  reason: LeavingReason,
  removal: Removal,
): void {
  leaveAlone(tracker, slot, value, reason, removal);
  takeCompanions(tracker, key, removal);
}

/** The entry has left the map: drops its stamp and notes whom to tell. Nothing of the owner's runs. */
export function leaveAlone(
  tracker: Tracker,
  slot: number,
  value: unknown,
  reason: LeavingReason,
  removal: Removal,
): void {
  const { name, policy, shared, stamps } = tracker;
  const isListenedFor = (reason === 'swept' || reason === 'evicted') && shared.bus.hasListener(reason);
  if (policy.dispose !== undefined || isListenedFor) {
    // This is the key as the map keeps it, which is 0 if -0 was given.
    const kept = stamps.keyOf(slot);
    const removed: RemovedEvent | undefined = isListenedFor
      ? { map: name, key: kept, value, rule: removal.rule, ...shownStamps(stamps, shared.timeline, slot) }
      : undefined;
    removal.left.push({ map: name, key: kept, value, reason, dispose: policy.dispose, removed });
  }
  takeOut(tracker, slot, reason, removal);
}

/** A key has left its map: its companions leave too. */
export function takeCompanions(tracker: Tracker, key: unknown, removal: Removal): void {
  for (const follower of tracker.companions.followers) {
    const { keys } = follower.companions;
    const slot = keys === undefined ? follower.stamps.slotOf(key) : undefined;
    if (keys !== undefined) takeNamed(follower, keys, key, removal);
    else if (slot !== undefined) leaveWithLeader(follower, slot, removal);
  }
}

/** Takes along what names the key that has left, unless it has come to name another one. */
function takeNamed(tracker: Tracker, keys: LeaderKeys, leaderKey: unknown, removal: Removal): void {
  const { native, stamps, due } = tracker;
  const named = keys.naming(leaderKey).map((slot) => [slot, stamps.generation[slot] as number] as const);
  for (const [slot, generation] of named) {
    // Whatever runs for the others may have removed it.
    if (!stamps.holds(slot, generation)) continue;
    const key = stamps.keyOf(slot);
    if (native.has(key)) keys.ask(slot, key, native.get(key));
    if (!stamps.holds(slot, generation)) continue;
    if (Object.is(keys.of(slot), leaderKey)) leaveWithLeader(tracker, slot, removal);
    else {
      tracker.companions.hasJoinedOrParted(slot);
      due.watch(slot);
    }
  }
}

/**
 * The owner's own `delete` or `clear` has set a key and has then removed that too, past the wrapper: it leaves as what it
 * is, a registration of its own. Nothing of the owner's runs, and its companions stay for the time being.
 *
 * @returns who has to be told; `undefined` if it is still there, or has left already
 */
export function leaveUnclaimed(
  tracker: Tracker,
  key: unknown,
  { slot, generation, value }: Seen,
  reason: 'deleted' | 'cleared',
): Removal | undefined {
  if (!tracker.stamps.holds(slot, generation) || tracker.native.has(key)) return undefined;
  const removal = newRemoval();
  const claim = tracker.claims?.claim(slot, key, value, 'deleted');
  leaveAlone(tracker, slot, value, reason, removal);
  if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
  return removal;
}

/** Confirms the claim of an entry that has left, and withdraws that of one that is still there, unless its owner claimed. */
export function confirmOrWithdraw(tracker: Tracker, claim: Claim, removal: Removal): void {
  if (tracker.stamps.holds(claim.slot, claim.generation)) removal.ended = tracker.claims?.withdraw(claim);
  else removal.ended = tracker.claims?.confirm(claim);
}

function takeOut(tracker: Tracker, slot: number, reason: LeavingReason, removal: Removal): void {
  const { name, policy, shared, stamps } = tracker;
  const registeredAt = stamps.registeredAt[slot] as number;
  if (shared.audit !== undefined) {
    removal.audited ??= [];
    const ageMs = shared.timeline.now() - registeredAt;
    const { rule } = removal;
    removal.audited.push({ map: name, key: stamps.keyOf(slot), reason, rule, leader: policy.follows, ageMs });
  }
  // A companion leaves by what its leader's entry left by.
  if (isCeiling(removal.rule)) tracker.ages.byCeiling(registeredAt);
  tracker.forget(slot);
  tracker.removedTotal[reason] += 1;
}

/** The leader's entry has left: so does this one, guarded or not. */
function leaveWithLeader(tracker: Tracker, slot: number, removal: Removal): void {
  // It stays as an orphan, for which nothing has filed it so far.
  if (tracker.observing) tracker.due.watch(slot);
  // What refuses now leaves at the next look.
  else if (removeThroughOwner(tracker, slot, removal.ofCompanions, removal)) return;
  else tracker.stamps.setFlag(slot, LEAVING, true);
  tracker.companions.hasJoinedOrParted(slot);
}

/** Has the owner's own `delete` remove an entry, and sees what came of it. Returns whether the entry has left. */
function removeThroughOwner(
  tracker: Tracker,
  slot: number,
  reason: LibraryReason | 'companion',
  removal: Removal,
): boolean {
  const { name, native, stamps, due } = tracker;
  const { failures } = tracker.shared;
  const key = stamps.keyOf(slot);
  const generation = stamps.generation[slot] as number;
  const value = native.get(key);
  // A process that closes ends no run: the next one goes on with them.
  const claim = reason === 'closed' ? undefined : tracker.claims?.claim(slot, key, value, reason);
  const before = tracker.expected;
  let hasThrown = false;
  tracker.expected = { slot, generation, reason, removal };
  try {
    native.target.delete(key);
  } catch (error) {
    hasThrown = true;
    failures.report(name, 'delete', key, error);
  } finally {
    tracker.expected = before;
  }
  if (stamps.holds(slot, generation) && !native.has(key)) leave(tracker, slot, key, value, reason, removal);
  if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
  if (!stamps.holds(slot, generation)) return true;
  stamps.setFlag(slot, REFUSED, true);
  due.mark(slot, 'due');
  due.watch(slot);
  if (!hasThrown) {
    const message = `delete(key) of ${shownKey(name)} returned and the key is still there`;
    failures.report(name, 'delete', key, new MapsweepError('ERR_DELETE_REFUSED', message));
  }
  return false;
}

/** What removes entries that nobody else has removed: they had outstayed what their owner does. A TTL is none. */
const ceilings = /(^|\.)(maxIdle|maxAge|orphanAfter|maxEntries|maxPerOwner|shed)$/;

const isCeiling = (rule: string): boolean => rule !== '' && ceilings.test(rule);

/** Returns whether whatever a sweep removes untold has reached a ceiling: there is no TTL that could have been first. */
const isCeilingAlone = ({ policy }: Tracker): boolean => policy.own.ttlMs === Number.POSITIVE_INFINITY;
