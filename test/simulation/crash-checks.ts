import type { PastEntry } from '../../src/restart/left.js';
import { type Checked, entryOf, isSuperseded } from './checks.js';
import { endingsOf, type LeftEntry } from './legacy.js';
import type { Registration } from './registration.js';
import type { MapName } from './scenario.js';

/**
 * Checks what a process has left that is gone: everything that is certain, and beyond that what has really come about,
 * as of any moment since.
 *
 * @param errorMs by how much the next process takes everything for younger than it is: without a clock that both have
 *   seen, the wall clock decides
 */
export function checkLeft(checked: Checked, errorMs: number, intervalMs: number): void {
  for (const { name, persistence } of checked.model.host.plans) {
    if (name === 'runs' || persistence !== 'none') checkMap(checked, name, errorMs, intervalMs);
  }
  checkEndings(checked);
}

function checkMap(checked: Checked, name: MapName, errorMs: number, intervalMs: number): void {
  const { model, past, findings } = checked;
  const { facts } = model;
  const entries = new Map(past.maps.get(name)?.entries);
  const take = (entry: PastEntry | undefined): void => void (entry && entries.delete(entry.generation));
  const checkAge = (is: number, was: number, called: string): void => {
    const right = Math.min(was + errorMs, checked.now);
    findings.check(is === right, 14, () => `${called} was registered at ${right}, and is taken for ${is}`);
  };
  const registrations = [
    ...model.of(name).values(),
    ...[...model.gone].filter(({ plan }) => plan.name === name),
  ];
  const cameBack = new Set(registrations.map(({ cameFrom }) => cameFrom));
  const awaited: [LeftEntry, boolean][] = [...model.awaited.of(name)].map((left) => [left, true]);
  // One that came back is looked at as what it is now.
  for (const left of model.awaited.gone)
    if (left.map === name && !cameBack.has(left)) awaited.push([left, false]);
  for (const [left, isAwaited] of awaited) {
    const entry = entries.get(left.generation);
    const called = `what was awaited for ${name} ${left.key}`;
    const mayBeMissing = !isAwaited || model.awaited.mayBeClosed(left);
    if (entry === undefined) findings.check(mayBeMissing, 14, () => `${called} is forgotten`);
    else {
      checkAge(Math.min(checked.worldAt(entry.registeredAt), checked.now), left.registeredAt, called);
      checkClaim(checked, entry, left.claimed, left.claimed ? left.claimedBy : undefined, called);
    }
    take(entry);
  }
  for (const registration of registrations.toSorted((one, other) => one.bornBy - other.bornBy)) {
    const entry = matching(checked, registration, entries, errorMs);
    const called = `${name} ${registration.key}`;
    const isThere = registration.leftBy === undefined;
    if (entry === undefined) {
      const mayBeMissing = !facts.isCertain(registration.bornBy) || !isThere || registration.isSpoilt;
      findings.check(
        mayBeMissing || registration.cameFrom !== undefined,
        14,
        () => `${called} is not known any more`,
      );
      if (name === 'runs') checkEnded(checked, registration);
      continue;
    }
    take(entry);
    const isGone = facts.isCertain(registration.leftBy);
    findings.check(!isGone, 14, () => `${called} has left, and is still in the journal`);
    checkAge(Math.min(checked.worldAt(entry.registeredAt), checked.now), registration.registeredAt, called);
    if (name === 'runs') {
      const { isClaimed, claimedBy, unclaimedBy } = registration;
      // The journal may end before it was said whose run it is.
      const mayBeClaimed = unclaimedBy !== undefined && !facts.isCertain(unclaimedBy);
      if (!mayBeClaimed) checkClaim(checked, entry, isClaimed, claimedBy, called);
      const isId = registration.id === undefined || registration.id === entry.id;
      findings.check(isId, 14, () => `${called} has another id`);
    }
    const writtenAt = Math.max(checked.worldAt(entry.lastActiveAt), checked.worldAt(entry.usedAt)) - errorMs;
    const isPunctual = registration.certainActiveAt > model.punctualSince + 2 * intervalMs;
    findings.check(
      writtenAt + intervalMs + model.slackMs >= registration.certainActiveAt || !isPunctual,
      4,
      () => `${called} was active at ${registration.certainActiveAt}, and the journal says ${writtenAt}`,
    );
  }
  for (const entry of entries.values()) {
    findings.check(
      isSuperseded(past, name, entry),
      14,
      () => `the journal holds ${name} ${String(entry.key)}, which was not there`,
    );
  }
}

/** Wherever the journal ends, a run is open or has an ending: what says that it has ended comes before that it has left. */
function checkEnded({ model, past, findings }: Checked, registration: Registration): void {
  const { id = '', key, bornBy, cameFrom, claimedBy, isSpoilt } = registration;
  const owed = model.endings.deliveries.facts.get(id);
  const wasWritten = (model.facts.isCertain(bornBy) || cameFrom !== undefined) && !isSpoilt;
  const isOwed = owed !== undefined && owed.claimedBy === claimedBy && owed.doneBy === undefined;
  findings.check(
    !wasWritten || !isOwed || past.endings.has(id),
    14,
    () => `runs ${key} has left, and nobody is told that it has ended`,
  );
}

/** The entry of a registration; one whose generation nobody has seen has to be of the same age. */
function matching(
  { worldAt, now }: Checked,
  registration: Registration,
  entries: ReadonlyMap<number, PastEntry>,
  errorMs: number,
): PastEntry | undefined {
  if (registration.generation !== undefined) return entries.get(registration.generation);
  const registeredAt = Math.min(registration.registeredAt + errorMs, now);
  // Two of a key in one instant are told apart by the owner's names for them.
  const isOfId = ({ id }: PastEntry): boolean => registration.id === undefined || registration.id === id;
  const ofAge = new Map(
    [...entries].filter(
      ([, entry]) => isOfId(entry) && Math.min(worldAt(entry.registeredAt), now) === registeredAt,
    ),
  );
  return entryOf(registration, ofAge);
}

function checkClaim(
  { model, findings }: Checked,
  entry: PastEntry,
  isClaimed: boolean,
  claimedBy: number | undefined,
  called: string,
): void {
  findings.check(!entry.claimed || isClaimed, 14, () => `${called} is claimed in the journal, and was not`);
  const isCertain = isClaimed && model.facts.isCertain(claimedBy ?? 0);
  findings.check(
    !isCertain || entry.claimed,
    14,
    () => `${called} was claimed, and the journal has forgotten it`,
  );
}

function checkEndings({ model, past, findings }: Checked): void {
  const { facts: all, carried } = model.endings.deliveries;
  const { deliveries } = model.endings;
  const isCertain = (fact: number | undefined): boolean => model.facts.isCertain(fact);
  for (const [id, facts] of all) {
    const ending = past.endings.get(id);
    if (ending === undefined) {
      const mayBeMissing = facts.doneBy !== undefined || !isCertain(facts.claimedBy);
      findings.check(mayBeMissing, 14, () => 'an ending that is owed is forgotten');
      continue;
    }
    findings.check(!isCertain(facts.doneBy), 14, () => 'an ending is owed that was delivered');
    if (carried.has(id) || facts.retriedBy !== undefined || facts.isSecond) continue;
    const most = Math.max(
      facts.certainAttempts,
      deliveries.pending.get(id)?.attempts ?? Number.POSITIVE_INFINITY,
    );
    const isRight = ending.attempts >= facts.certainAttempts && ending.attempts <= most;
    findings.check(isRight, 14, () => `${ending.attempts} attempts, not ${facts.certainAttempts} to ${most}`);
    if (isCertain(facts.deadBy)) {
      findings.check(ending.letter !== undefined, 14, () => 'a dead letter is alive');
    }
  }
  for (const { id } of endingsOf(past)) {
    findings.check(all.has(id), 14, () => 'an ending is owed of which nobody has heard');
  }
}
