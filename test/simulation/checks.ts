import type { PastEnding, PastEntry } from '../../src/restart/left.js';
import type { Past } from '../../src/restart/past.js';
import type { Findings } from './findings.js';
import { endingsOf, type LeftEntry } from './legacy.js';
import type { Model } from './model.js';
import type { Registration } from './registration.js';
import type { MapName, MapPlan } from './scenario.js';

/** What a check compares. */
export interface Checked {
  readonly model: Model;
  /** What a snapshot or the journal holds, played. */
  readonly past: Past;
  /** Gives an instant of it as one of the simulated world. */
  worldAt(instant: number): number;
  readonly now: number;
  readonly findings: Findings;
}

/** Compares everything that a snapshot shows with the model, at rest. `keysOf`: the keys that are really in a map. */
export function compareWithSnapshot(checked: Checked, keysOf: (plan: MapPlan) => string[]): void {
  const { model, findings } = checked;
  for (const plan of model.host.plans) {
    const keys = [...model.of(plan.name).keys()];
    const real = keysOf(plan);
    const isSame = real.length === keys.length && real.every((key, index) => key === keys[index]);
    findings.check(
      isSame,
      2,
      () => `${plan.name} holds ${real.join(' ')}, and should hold ${keys.join(' ')}`,
    );
    if (!isSame) continue;
    compareMap(checked, plan.name, (registration, entry) => compareStamps(checked, registration, entry));
  }
  model.rememberGenerations();
  const letters = compareEndings(
    checked,
    (id, attempts) => attempts === model.endings.deliveries.pending.get(id)?.attempts,
  );
  compareLetters(checked, letters);
  compareIds(checked);
  const { told, deliveries } = model.endings;
  if (model.host.isWithoutRecipient()) return;
  for (const id of told) {
    const isKept = deliveries.delivered.has(id) || deliveries.isKnown(id) || deliveries.dropped.has(id);
    findings.check(isKept, 10, () => 'an ending was told, and neither delivered nor kept');
  }
}

/** Compares the journal with the model, when everything that there is to say has been written. */
export function compareWithJournal(checked: Checked, intervalMs: number): void {
  const { model } = checked;
  for (const { name, persistence } of model.host.plans) {
    if (name !== 'runs' && persistence === 'none') continue;
    compareMap(checked, name, (registration, entry) =>
      compareWritten(checked, registration, entry, intervalMs),
    );
  }
  const { deliveries } = model.endings;
  const letters = compareEndings(checked, (id, attempts) => {
    const failed = deliveries.failedAttempts(id);
    return attempts === failed || attempts === deliveries.pending.get(id)?.attempts;
  });
  // Whoever takes them over sorts them: records are in the order of the endings. Of those of one instant either may go first.
  const places = new Map(deliveries.letters.map(({ id }, place) => [id, place]));
  const placeOf = ({ id }: PastEnding): number => places.get(id) ?? 0;
  const diedAt = ({ letter }: PastEnding): number => letter?.diedAt ?? 0;
  compareLetters(
    checked,
    letters.sort((a, b) => diedAt(a) - diedAt(b) || placeOf(a) - placeOf(b)),
  );
}

/** Checks that a snapshot, taken at whatever moment, holds every run that has yet to be told of or delivered. */
export function checkNothingLost({ model, past, findings }: Omit<Checked, 'now' | 'worldAt'>): void {
  const { deliveries } = model.endings;
  const endings = endingsOf(past);
  const letters = endings.filter(({ letter }) => letter !== undefined);
  // Where there is no more room, the oldest letters are being dropped, and the model hears of it a little later.
  if (letters.length >= model.host.scenario.maxDeadLetters) return;
  const open = new Set<string>();
  for (const { id, claimed } of model.awaited.of('runs')) if (!claimed) open.add(id as string);
  for (const { key, id, isClaimed, isSpoilt } of model.of('runs').values()) {
    // In its removal the end of a run is for nobody, if there is nobody.
    const isLeaving = model.host.isWithoutRecipient() && !model.host.isPresent('runs', key);
    if (id !== undefined && !isClaimed && !isSpoilt && !isLeaving) open.add(id);
  }
  // Whether the run ended once more, or the library has yet to see that its end was delivered, is not known.
  for (const { id, isDoubtful } of deliveries.pending.values()) if (!isDoubtful) open.add(id);
  // Of several whose time is over, all are gone before the first is told.
  for (const letter of deliveries.letters) if (!deliveries.isExpired(letter)) open.add(letter.id);
  for (const id of deliveries.carried.keys()) open.add(id);
  for (const { id, claimed } of past.maps.get('runs')?.entries.values() ?? [])
    if (!claimed) open.delete(id as string);
  for (const { id } of endings) open.delete(id);
  for (const { id, attempts, letter } of endings) {
    const counted = deliveries.pending.get(id)?.attempts ?? 0;
    findings.check(
      attempts >= counted || letter !== undefined,
      10,
      () => `a snapshot counts ${attempts} attempts, and there were ${counted}`,
    );
  }
  findings.check(open.size === 0, 14, () => `${open.size} endings are not in a snapshot`);
}

/** Everything in a map, and everything that is awaited there, has to be there, and nothing else. */
function compareMap(
  checked: Checked,
  name: MapName,
  compare: (registration: Registration, entry: PastEntry) => void,
): void {
  const { model, past, findings } = checked;
  const entries = new Map(past.maps.get(name)?.entries);
  for (const left of model.awaited.of(name)) {
    const entry = entries.get(left.generation);
    entries.delete(left.generation);
    if (entry === undefined) findings.add(14, `what is awaited for ${name} ${left.key} is gone`);
    else compareLeft(checked, left, entry);
  }
  for (const registration of model.of(name).values()) {
    const entry = entryOf(registration, entries);
    if (entry === undefined) {
      if (!registration.isSpoilt) findings.add(2, `there is no stamp of ${name} ${registration.key}`);
      continue;
    }
    entries.delete(entry.generation);
    model.checkGeneration(registration, entry.generation);
    findings.check(entry.life === past.lives, 14, () => `${name} ${registration.key} is taken for absent`);
    compare(registration, entry);
    if (name === 'runs') compareClaim(checked, registration, entry);
  }
  for (const entry of entries.values()) {
    findings.check(
      isSuperseded(past, name, entry),
      2,
      () => `a stamp of ${name} ${String(entry.key)}, which is not there`,
    );
  }
}

/** Returns whether a later entry has the key of one: that one is of no use any more, unless its end is still owed. */
export function isSuperseded(
  past: Past,
  name: MapName,
  { key, generation, id, claimed }: PastEntry,
): boolean {
  if (id !== undefined && !claimed) return false;
  for (const other of past.maps.get(name)?.entries.values() ?? [])
    if (other.key === key && other.generation > generation) return true;
  return false;
}

/** The entry of a registration: the latest of its key, if its generation is not known yet. */
export function entryOf(
  { key, generation }: Registration,
  entries: ReadonlyMap<number, PastEntry>,
): PastEntry | undefined {
  if (generation !== undefined) return entries.get(generation);
  const ofKey = [...entries.values()].filter((entry) => entry.key === key);
  return ofKey.toSorted((one, other) => other.generation - one.generation)[0];
}

function compareLeft({ worldAt, findings, now }: Checked, left: LeftEntry, entry: PastEntry): void {
  const { map, key, lateMs } = left;
  const isSame = entry.key === key && entry.id === left.id && entry.claimed === left.claimed;
  findings.check(isSame, 14, () => `what is awaited for ${map} ${key} has changed`);
  const registeredAt = Math.min(worldAt(entry.registeredAt), now);
  findings.check(registeredAt === left.registeredAt, 3, () => `${map} ${key} is awaited with another age`);
  const lastActiveAt = worldAt(entry.lastActiveAt);
  const isActive =
    lastActiveAt === left.lastActiveAt || lastActiveAt === Math.min(left.lastActiveAt + lateMs, now);
  findings.check(isActive, 3, () => `${map} ${key} is awaited with another activity`);
}

function compareStamps({ worldAt, findings, now }: Checked, of: Registration, entry: PastEntry): void {
  const registeredAt = worldAt(entry.registeredAt);
  const lastActiveAt = worldAt(entry.lastActiveAt);
  const called = `${of.plan.name} ${of.key}`;
  const isInOrder = registeredAt <= lastActiveAt && lastActiveAt <= now;
  findings.check(isInOrder, 3, () => `${called} shows ${registeredAt}, ${lastActiveAt} at ${now}`);
  const isRight = of.registeredAt === registeredAt && of.lastActiveAt === lastActiveAt;
  findings.check(
    isRight,
    3,
    () => `${called} shows ${registeredAt}, ${lastActiveAt}, not ${of.registeredAt}, ${of.lastActiveAt}`,
  );
  const borrowedAt = entry.usedAt === Number.NEGATIVE_INFINITY ? undefined : worldAt(entry.usedAt);
  const right = of.borrowedAt > of.lastActiveAt ? of.borrowedAt : undefined;
  findings.check(borrowedAt === right, 4, () => `${called} borrowed at ${borrowedAt}, not at ${right}`);
}

/** Activity is written at most once an interval, and counts as one interval later. */
function compareWritten(checked: Checked, of: Registration, entry: PastEntry, intervalMs: number): void {
  const { worldAt, findings, model } = checked;
  const called = `${of.plan.name} ${of.key}`;
  const registeredAt = worldAt(entry.registeredAt);
  findings.check(
    registeredAt === of.registeredAt,
    3,
    () => `${called} is written as of ${registeredAt}, not of ${of.registeredAt}`,
  );
  const writtenAt = Math.max(worldAt(entry.lastActiveAt), worldAt(entry.usedAt));
  // A tick that comes late ends an interval late.
  const isPunctual = of.toldActiveAt > model.punctualSince + 2 * intervalMs;
  findings.check(
    writtenAt + intervalMs + model.slackMs >= of.toldActiveAt || !isPunctual,
    4,
    () => `${called} was active at ${of.toldActiveAt}, and the journal says ${writtenAt}`,
  );
  findings.check(
    writtenAt <= of.activeAt + intervalMs + model.slackMs || !isPunctual,
    5,
    () => `${called} was active at ${of.activeAt}, and the journal says ${writtenAt} already`,
  );
  const serial = (entry.value as { serial?: number } | undefined)?.serial;
  const isWritten = of.plan.persistence === 'values' || of.plan.persistence === 'decoded';
  // Of a run that has ended nobody needs the value but a map that can be filled with it.
  const isNeeded = !of.isClaimed || of.plan.persistence === 'decoded';
  if (!isWritten || of.isSpoilt || !isNeeded) return;
  findings.check(serial === of.value.serial, 14, () => `${called} has another value in the journal`);
}

function compareClaim({ model, findings }: Checked, of: Registration, entry: PastEntry): void {
  const { id, key, isClaimed } = of;
  findings.check(id === undefined || id === entry.id, 9, () => `the id of ${key} has changed`);
  if (id === undefined) model.endings.named(of, entry.id as string);
  findings.check(
    entry.claimed === isClaimed,
    'endings',
    () => `${key} is ${entry.claimed ? '' : 'not '}claimed`,
  );
}

/** Everything that is owed has to be there, and nothing else. Returns the dead letters, as they are there. */
function compareEndings(
  { model, past, findings }: Checked,
  isCounted: (id: string, attempts: number) => boolean,
): PastEnding[] {
  const { deliveries } = model.endings;
  const endings = endingsOf(past);
  const pending = endings.filter(({ id, letter }) => letter === undefined && !deliveries.carried.has(id));
  const known = new Set(pending.map(({ id }) => id));
  deliveries.resolveDoubts((id) => known.has(id));
  findings.check(pending.length === deliveries.pending.size, 10, () => {
    return `${pending.length} are pending, and ${deliveries.pending.size} should be`;
  });
  for (const { id, attempts } of pending) {
    findings.check(deliveries.pending.has(id), 10, () => 'an ending is pending that should not be');
    findings.check(
      isCounted(id, attempts),
      10,
      () => `a pending ending has ${attempts} attempts, not ${deliveries.pending.get(id)?.attempts}`,
    );
  }
  for (const [id, carried] of deliveries.carried) {
    const ending = past.endings.get(id);
    const isSame = ending?.attempts === carried.attempts && ending.letter?.cause === carried.letter?.cause;
    findings.check(isSame, 10, () => 'an ending that is to be left open has changed');
  }
  return endings.filter(({ id, letter }) => letter !== undefined && !deliveries.carried.has(id));
}

/** The oldest goes first when there are too many, so their order counts. */
function compareLetters({ model, findings }: Checked, shown: readonly PastEnding[]): void {
  const called = (isAmbiguous: boolean | undefined): string => (isAmbiguous ? 'ambiguous' : '');
  const letters = shown.map(({ id, letter }) => [id, letter?.cause, called(letter?.ambiguous)]);
  const rightLetters = model.endings.deliveries.letters.map(({ id, cause, ambiguous }) => [
    id,
    cause,
    called(ambiguous),
  ]);
  findings.check(JSON.stringify(letters) === JSON.stringify(rightLetters), 10, () => {
    const view = (rows: unknown[][]): string => rows.map(([, ...row]) => row.join(' ')).join(', ');
    return `the dead letters are ${view(letters)}, and should be ${view(rightLetters)}`;
  });
}

/** Runs that have ended are remembered by the owner's names for them. */
function compareIds({ model, past, findings }: Checked): void {
  const { scenario } = model.host;
  const right = scenario.hasOwnIds ? model.endings.endedIds.all().map(([id]) => id) : [];
  // Those of endings are there twice.
  const shown = [...past.tombstones.keys()];
  const isSame =
    right.every((id) => id.startsWith('of registration') || shown.includes(id)) &&
    shown.length >= right.length;
  findings.check(
    isSame,
    'endings',
    () => `${shown.length} ended runs are remembered by name, not ${right.length}`,
  );
}
