import type { RegistrySnapshot, SnapshotEntry } from '../../src/restart/snapshot-format.js';
import type { Findings } from './findings.js';
import type { Model } from './model.js';
import type { Registration } from './registration.js';
import type { MapPlan } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** What a check compares. */
export interface Checked {
  readonly model: Model;
  readonly snapshot: RegistrySnapshot;
  readonly time: SimulatedTime;
  readonly findings: Findings;
  /** The keys that are really in a map. */
  keysOf(plan: MapPlan): string[];
}

/** Compares everything that a snapshot shows with the model, at rest. */
export function compareWithSnapshot(checked: Checked): void {
  for (const plan of checked.model.host.scenario.plans) compareMap(checked, plan);
  checked.model.rememberGenerations();
  compareEndings(checked);
}

/** Checks that a snapshot, taken at whatever moment, holds every run that has yet to be told of or delivered. */
export function checkNothingLost({ model, snapshot, findings }: Omit<Checked, 'keysOf'>): void {
  const { held, deliveries } = model.endings;
  const { pending, deadLetters } = snapshot.ended ?? { pending: [], deadLetters: [] };
  // Where there is no more room, the oldest letters are being dropped, and the model hears of it a little later.
  if (deadLetters.length >= model.host.scenario.maxDeadLetters) return;
  const open = new Set<string>();
  for (const { id, claimed } of held.values()) if (!claimed) open.add(id as string);
  for (const { id, isClaimed } of model.of('runs').values()) if (id !== undefined && !isClaimed) open.add(id);
  for (const id of deliveries.pending.keys()) open.add(id);
  for (const { id } of deliveries.letters) open.add(id);
  for (const { id, claimed } of snapshot.maps.runs?.entries ?? []) if (!claimed) open.delete(id as string);
  for (const { event } of [...pending, ...deadLetters]) open.delete(event.id);
  for (const { event, attempts } of pending) {
    const counted = deliveries.pending.get(event.id)?.attempts ?? 0;
    findings.check(
      attempts >= counted,
      10,
      () => `a snapshot counts ${attempts} attempts, and there were ${counted}`,
    );
  }
  findings.check(open.size === 0, 14, () => `${open.size} endings are not in a snapshot`);
}

function compareMap({ model, snapshot, time, findings, keysOf }: Checked, plan: MapPlan): void {
  const { name } = plan;
  const entries = snapshot.maps[name]?.entries ?? [];
  const registrations = [...model.of(name).values()];
  const keys = registrations.map(({ key }) => key);
  const real = keysOf(plan);
  const isSame = real.length === keys.length && real.every((key, index) => key === keys[index]);
  if (!isSame) {
    findings.add(2, `${name} holds ${real.join(' ')}, and should hold ${keys.join(' ')}`);
    return;
  }
  const held = name === 'runs' ? model.endings.held : model.held.get(name);
  const heldCount = held?.size ?? 0;
  if (entries.length !== heldCount + keys.length) {
    findings.add(
      2,
      `${entries.length} stamps in ${name} for ${keys.length} entries and ${heldCount} awaited`,
    );
    return;
  }
  for (const [index, [key, entry]] of [...(held ?? [])].entries()) {
    const shown = entries[index] as SnapshotEntry;
    const isAsLeft = shown.key === key && shown.id === entry.id && shown.claimed === entry.claimed;
    findings.check(isAsLeft, 14, () => `what is held for ${name} ${key} has changed`);
  }
  for (const [index, registration] of registrations.entries()) {
    const entry = entries[heldCount + index] as SnapshotEntry;
    if (entry.key !== registration.key) {
      findings.add(2, `the stamp of ${name} ${registration.key} stands under ${String(entry.key)}`);
      continue;
    }
    model.checkGeneration(registration, entry.generation);
    compareStamps(registration, entry, time, findings);
    if (name === 'runs') compareClaim(registration, entry, findings);
  }
}

function compareStamps(
  of: Registration,
  entry: SnapshotEntry,
  time: SimulatedTime,
  findings: Findings,
): void {
  const { registeredAt, lastActiveAt, borrowedAt } = entry;
  const wall = time.wall();
  const called = `${of.plan.name} ${of.key}`;
  const isInOrder = registeredAt <= lastActiveAt && lastActiveAt <= wall;
  findings.check(isInOrder, 3, () => `${called} shows ${registeredAt}, ${lastActiveAt} at ${wall}`);
  // Between a jump and the moment that the library sees it, instants are shown by the clock as it was.
  if (of.registeredAt >= time.unseenJumpAt) return;
  const { shownRegisteredAt } = of;
  if (registeredAt < wall) {
    // An instant that the wall clock has not reached again since it was set back is shown as the time to which it was
    // set, and stays there.
    const isSetBack = time.setBacks > (of.shownSetBacks ?? 0) && registeredAt < (shownRegisteredAt ?? 0);
    const isSame = shownRegisteredAt === undefined || shownRegisteredAt === registeredAt || isSetBack;
    const movedMs = registeredAt - (shownRegisteredAt ?? 0);
    findings.check(isSame, 3, () => `registeredAt of ${called} has moved by ${movedMs} ms`);
    of.shownRegisteredAt = registeredAt;
    of.shownSetBacks = time.setBacks;
  } else {
    const isPossible = shownRegisteredAt === undefined || shownRegisteredAt >= wall;
    findings.check(isPossible, 3, () => `registeredAt of ${called} is now`);
  }
  if (time.jumps > 0) return;
  const wallAt = (at: number): number => wall - (time.now - at);
  const right = [wallAt(of.registeredAt), wallAt(of.lastActiveAt)];
  const isRight = right[0] === registeredAt && right[1] === lastActiveAt;
  findings.check(
    isRight,
    3,
    () => `${called} shows ${registeredAt}, ${lastActiveAt}, not ${right.join(', ')}`,
  );
  const borrowed = of.borrowedAt > of.lastActiveAt ? wallAt(of.borrowedAt) : undefined;
  findings.check(borrowedAt === borrowed, 4, () => `${called} borrowed at ${borrowedAt}, not at ${borrowed}`);
}

function compareClaim(registration: Registration, entry: SnapshotEntry, findings: Findings): void {
  const { id, key, isClaimed } = registration;
  findings.check(id === undefined || id === entry.id, 9, () => `the id of ${key} has changed`);
  registration.id = entry.id;
  const isShown = entry.claimed === true;
  findings.check(isShown === isClaimed, 'endings', () => `${key} is ${isShown ? '' : 'not '}claimed`);
}

function compareEndings({ model, snapshot: { ended }, findings }: Checked): void {
  const { deliveries, told } = model.endings;
  const remembered = model.endings.remembered();
  const shown = ended?.tombstones ?? [];
  const areSame =
    shown.length === remembered.length &&
    remembered.every(([key, { id, generation, of }], index) => {
      const tombstone = shown[index];
      const rightId = of?.id ?? id;
      const rightGeneration = of?.generation ?? generation;
      const isRight = rightId === undefined || tombstone?.id === rightId;
      return (
        tombstone?.key === key &&
        isRight &&
        tombstone.generation === (rightGeneration ?? tombstone.generation)
      );
    });
  findings.check(areSame, 'endings', () => {
    const right = remembered.map(([key, { of, generation }]) => `${key}/${of?.generation ?? generation}`);
    const wrong = shown.map(({ key, generation }) => `${String(key)}/${generation}`);
    return `the tombstones are ${wrong.join(' ')}, and should be ${right.join(' ')}`;
  });
  for (const [index, [, tombstone]] of remembered.entries()) {
    const own = shown[index];
    if (areSame && own !== undefined) model.endings.adjust(tombstone, own.at, own.generation);
  }
  const pending = ended?.pending ?? [];
  findings.check(pending.length === deliveries.pending.size, 10, () => {
    return `${pending.length} are pending, and ${deliveries.pending.size} should be`;
  });
  for (const { event, attempts } of pending) {
    const right = deliveries.pending.get(event.id)?.attempts;
    findings.check(attempts === right, 10, () => `a pending ending has ${attempts} attempts, not ${right}`);
  }
  const letters = (ended?.deadLetters ?? []).map((letter) => [
    letter.event.id,
    letter.cause,
    letter.ambiguous,
  ]);
  const rightLetters = deliveries.letters.map((letter) => [letter.id, letter.cause, letter.ambiguous]);
  findings.check(JSON.stringify(letters) === JSON.stringify(rightLetters), 10, () => {
    const view = (rows: unknown[][]): string => rows.map(([, ...row]) => row.join(' ')).join(', ');
    return `the dead letters are ${view(letters)}, and should be ${view(rightLetters)}`;
  });
  for (const id of told) {
    const isKept = deliveries.delivered.has(id) || deliveries.isKnown(id) || deliveries.dropped.has(id);
    findings.check(isKept, 10, () => 'an ending was told, and neither delivered nor kept');
  }
}
