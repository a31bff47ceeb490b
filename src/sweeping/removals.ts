/*
 * How entries leave a map, whoever removes them. There are two ways out: told and untold.
 *
 * Told is the rule. The end of the run is claimed, the owner's own method runs, and if the key is really gone its stamp
 * goes, its companions leave, and only then are the callbacks called. If the key is still there the claim is withdrawn
 * and nothing is said. The library's removals are here; the owner's `delete` and `clear` take the same way, from
 * `maps/owner-removals.ts`.
 *
 * Untold is the short way, of entries about which there is nobody to tell but `dispose`: the map has no endings and no
 * followers, and there is no audit. For a sweep it must also have no `beforeSweep`, nobody may listen for `swept`, and the
 * `delete` of the object must be the native one, so that nothing of the owner's would run before the entry has left. The key
 * leaves the native collection, its stamp goes, and `dispose` is called; both ways count.
 */
import { MapsweepError } from '../errors.js';
import type { RemovedEvent } from '../events/event-bus.js';
import type { LeavingReason, LibraryReason } from '../events/reasons.js';
import { shownKey } from '../events/shown.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import { mapKey } from '../stamps/map-key.js';
import { isMissing } from '../stamps/native-collection.js';
import { LEAVING, REFUSED } from '../stamps/stamp-store.js';
import type { Claim } from './claims.js';
import type { LeaderKeys } from './leader-keys.js';
import { announce, callDispose, newRemoval, type Removal } from './removal-callbacks.js';
import type { ExpectedRemoval, Seen, Tracker } from './tracker.js';

/** Returns whether nobody but `dispose` has to be told when an entry leaves by the owner's `delete`, and nothing leaves with it. */
export function isUntold(tracker: Tracker): boolean {
  return (
    tracker.shared.audit === undefined &&
    tracker.claims === undefined &&
    tracker.companions.followers.length === 0 &&
    tracker.expected === undefined &&
    !tracker.isClearing
  );
}

/** Returns whether a sweep may remove entries untold. */
export function isSweptUntold(tracker: Tracker): boolean {
  return (
    isUntold(tracker) &&
    tracker.policy.beforeSweep === undefined &&
    !tracker.shared.bus.hasListener('swept') &&
    hasPlainDelete(tracker)
  );
}

/** Returns whether nothing of the owner's runs in the `delete` of a map, and nobody has put another on top of our wrapper. */
const hasPlainDelete = ({ plainDelete, native }: Tracker): boolean =>
  plainDelete !== undefined && native.target.delete === plainDelete;

/** Removes an entry that has just been judged due. Returns `false` if that was not the sweeper's doing. */
export function sweepOut(tracker: Tracker, slot: number, now: number): boolean {
  const { shared, stamps, due } = tracker;
  const isLeaving = stamps.hasFlag(slot, LEAVING);
  const removal = newRemoval(isLeaving ? '' : due.rule, 'companion', due.outlasted);
  // What was long over when it was registered is late since then.
  const dueAt = Math.max(due.judge.deadline.at, stamps.registeredAt(slot));
  const outcome = removeThroughOwner(tracker, slot, isLeaving ? 'companion' : 'swept', removal);
  announce(removal, shared);
  if (isLeaving || outcome === 'missed') return false;
  const hasLeft = outcome === 'left';
  if (hasLeft) tellLateness(tracker, Math.max(0, now - dueAt));
  return hasLeft;
}

/** Removes an entry because of a cap, or of what it was just judged due by. Returns `false` if the owner's `delete` refused. */
export function evict(tracker: Tracker, slot: number, rule: string): boolean {
  const { due } = tracker;
  const removal = newRemoval(rule, 'companion', rule === due.rule ? due.outlasted : undefined);
  const outcome = removeThroughOwner(tracker, slot, 'evicted', removal);
  announce(removal, tracker.shared);
  return outcome !== 'refused';
}

/** Removes an entry because its registry is closed. Returns `false` if the owner's `delete` refused. */
export function closeOut(tracker: Tracker, slot: number, generation: number): boolean {
  if (!tracker.stamps.holds(slot, generation)) return true;
  const removal = newRemoval('', 'closed');
  const outcome = removeThroughOwner(tracker, slot, 'closed', removal);
  announce(removal, tracker.shared);
  return outcome !== 'refused';
}

/** Removes an entry untold that was due at `dueAt`. Returns `false` if it had been removed past the wrapper. */
export function sweepUntold(tracker: Tracker, slot: number, dueAt: number, now: number): boolean {
  const { native, stamps, due, ages } = tracker;
  const key = stamps.keyOf(slot);
  const value = tracker.policy.dispose && native.get(key);
  if (!native.remove(key)) {
    leftPastWrapper(tracker, slot, key);
    return false;
  }
  tellLateness(tracker, now - dueAt);
  if (due.isCeiling(slot, dueAt)) ages.byCeiling(stamps.registeredAt(slot));
  leaveUntold(tracker, slot, value, 'swept');
  return true;
}

/** The entry has left the map, and nobody has to be told but `dispose`: drops its stamp, counts it, and calls that. */
export function leaveUntold(
  tracker: Tracker,
  slot: number,
  value: unknown,
  reason: 'swept' | 'deleted',
): void {
  const { name: map, policy, shared, stamps } = tracker;
  const key = stamps.keyOf(slot);
  const abort = tracker.forget(slot, reason);
  tracker.removedTotal[reason] += 1;
  abort?.();
  if (policy.dispose !== undefined) callDispose({ map, key, value, reason, dispose: policy.dispose }, shared);
}

/**
 * Removes all entries untold: all of them are due. Returns how many they were.
 *
 * @param isByCeiling all of them by a ceiling; else none
 */
export function sweepWhole(tracker: Tracker, isByCeiling: boolean): number {
  const count = tracker.stamps.size;
  tracker.native.empty();
  tracker.ages.emptied(isByCeiling);
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
  const { name, policy, shared, stamps, claims } = tracker;
  // One that was claimed already may have become the run in the owner's method: another one went over to it.
  const claim =
    reason === 'closed'
      ? undefined
      : claims?.claim(slot, stamps.keyOf(slot), value, reason === 'cleared' ? 'deleted' : reason);
  const isListenedFor = (reason === 'swept' || reason === 'evicted') && shared.bus.hasListener(reason);
  if (policy.dispose !== undefined || isListenedFor) {
    // This is the key as the map keeps it, which is 0 if -0 was given.
    const kept = stamps.keyOf(slot);
    const { rule, keptBy } = removal;
    const removed: RemovedEvent | undefined = isListenedFor
      ? {
          map: name,
          key: kept,
          value,
          rule,
          ...(keptBy && { keptBy }),
          ...shownStamps(tracker, shared.timeline, slot),
        }
      : undefined;
    removal.left.push({ map: name, key: kept, value, reason, dispose: policy.dispose, removed });
  }
  takeOut(tracker, slot, reason, removal);
  if (claim !== undefined) removal.ended = claims?.confirm(claim);
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
  const { stamps, due } = tracker;
  const named = [...keys.naming(leaderKey)].map((slot) => [slot, stamps.generation[slot] as number] as const);
  for (const [slot, generation] of named) {
    // Whatever runs for the others may have removed it.
    if (!stamps.holds(slot, generation)) continue;
    const key = stamps.keyOf(slot);
    keys.ask(slot, key);
    if (!stamps.holds(slot, generation)) continue;
    if (Object.is(keys.of(slot), mapKey(leaderKey))) leaveWithLeader(tracker, slot, removal);
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
  leaveAlone(tracker, slot, value, reason, removal);
  return removal;
}

/** Confirms the claim of an entry that has left, and withdraws that of one that is still there, unless its owner claimed. */
export function confirmOrWithdraw(tracker: Tracker, claim: Claim, removal: Removal): void {
  if (tracker.stamps.holds(claim.slot, claim.generation)) removal.ended = tracker.claims?.withdraw(claim);
  else removal.ended = tracker.claims?.confirm(claim);
}

function takeOut(tracker: Tracker, slot: number, reason: LeavingReason, removal: Removal): void {
  const { name, policy, shared, stamps } = tracker;
  const registeredAt = stamps.registeredAt(slot);
  if (shared.audit !== undefined) {
    removal.audited ??= [];
    const ageMs = shared.timeline.now() - registeredAt;
    const { rule } = removal;
    removal.audited.push({ map: name, key: stamps.keyOf(slot), reason, rule, leader: policy.follows, ageMs });
  }
  if (removal.isByCeiling) tracker.ages.byCeiling(registeredAt);
  const abort = tracker.forget(slot, reason);
  if (abort !== undefined) {
    removal.aborts ??= [];
    removal.aborts.push(abort);
  }
  tracker.removedTotal[reason] += 1;
}

/** The leader's entry has left: so does this one, guarded or not. */
function leaveWithLeader(tracker: Tracker, slot: number, removal: Removal): void {
  // It stays as an orphan, for which nothing has filed it so far.
  if (tracker.observing) tracker.due.watch(slot);
  // What refuses now leaves at the next look.
  else if (removeThroughOwner(tracker, slot, removal.ofCompanions, removal) !== 'refused') return;
  else tracker.stamps.setFlag(slot, LEAVING, true);
  tracker.companions.hasJoinedOrParted(slot);
}

/** What came of a removal: the entry has left, its owner's `delete` refused, or it had been removed past the wrapper before. */
type Outcome = 'left' | 'refused' | 'missed';

/**
 * Has the owner's own `delete` remove an entry, and sees what came of it. Where nothing of his would run in there it is not
 * called, and the key leaves natively.
 */
function removeThroughOwner(
  tracker: Tracker,
  slot: number,
  reason: LibraryReason | 'companion',
  removal: Removal,
): Outcome {
  const { native, stamps, due } = tracker;
  const key = stamps.keyOf(slot);
  const generation = stamps.generation[slot] as number;
  const value = native.get(key);
  if (isMissing(native, key, value)) {
    leftPastWrapper(tracker, slot, key);
    return 'missed';
  }
  // A process that closes ends no run: the next one goes on with them.
  const claim = reason === 'closed' ? undefined : tracker.claims?.claim(slot, key, value, reason);
  const isPlain = hasPlainDelete(tracker);
  const hasThrown = !isPlain && !callDelete(tracker, key, { slot, generation, reason, removal });
  // What was asked for the claim may have removed it, as may the owner's `delete`.
  const isThere = stamps.holds(slot, generation);
  if (isThere && (isPlain ? native.remove(key) : !native.has(key)))
    leave(tracker, slot, key, value, reason, removal);
  if (claim !== undefined) confirmOrWithdraw(tracker, claim, removal);
  if (!stamps.holds(slot, generation)) return 'left';
  stamps.setFlag(slot, REFUSED, true);
  due.mark(slot, 'due');
  due.watch(slot);
  if (!hasThrown) {
    const message = `delete(key) of ${shownKey(tracker.name)} returned and the key is still there`;
    const error = new MapsweepError('ERR_DELETE_REFUSED', message);
    tracker.shared.failures.report(tracker.name, 'delete', key, error);
  }
  return 'refused';
}

/** Calls the owner's `delete`, which finds out what it was called for. Returns `false` if it has thrown, which is told. */
function callDelete(tracker: Tracker, key: unknown, expected: ExpectedRemoval): boolean {
  const before = tracker.expected;
  tracker.expected = expected;
  try {
    tracker.native.target.delete(key);
    return true;
  } catch (error) {
    tracker.shared.failures.report(tracker.name, 'delete', key, error);
    return false;
  } finally {
    tracker.expected = before;
  }
}
