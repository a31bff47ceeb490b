import { describe } from '../events/shown.js';
import type { JournalRecord } from './journal.js';
import type { Past } from './past.js';
import { count, instant, list, members, text } from './record-fields.js';
import { recordsVersion } from './records.js';

/** Reads a place of a snapshot: an error that is thrown there names it. */
export type Read = <T>(place: string, read: () => T) => T;

/** Why something became a dead letter then. */
const causes: readonly unknown[] = ['attempts-exhausted', 'timed-out', 'overflow'];

/**
 * Plays what a snapshot of the first edition holds, as the records that this one would have made of it. All its instants are
 * epoch ms, so that time goes on by the wall clock.
 *
 * @throws as `read` does
 */
export function playFirstEdition(snapshot: Record<string, unknown>, past: Past, read: Read): void {
  const takenAt = read('takenAt', () => instant(snapshot.takenAt));
  const ended = snapshot.ended === undefined ? undefined : read('ended', () => members(snapshot.ended));
  const endedMap = ended && read('ended.map', () => text(ended.map));
  past.play(['life', recordsVersion, 'first edition', takenAt, '', 0, 0]);
  const maps = Object.entries(read('maps', () => members(snapshot.maps)));
  for (const [index, [name, map]] of maps.entries()) {
    const place = `maps[${JSON.stringify(name)}]`;
    const isEnded = name === endedMap;
    const { lastGeneration, entries } = read(place, () => members(map));
    read(place, () => past.play(['map', index, name, isEnded ? 1 : 0, lastGeneration]));
    for (const [at, entry] of read(`${place}.entries`, () => list(entries)).entries())
      read(`${place}.entries[${at}]`, () => past.play(entryRecord(members(entry), index, isEnded, takenAt)));
  }
  if (ended === undefined) return;
  for (const [at, owed] of read('ended.pending', () => list(ended.pending)).entries())
    read(`ended.pending[${at}]`, () => past.play(endRecord(members(owed))));
  for (const [at, letter] of read('ended.deadLetters', () => list(ended.deadLetters)).entries()) {
    read(`ended.deadLetters[${at}]`, () => {
      past.play(endRecord(members(letter)));
      past.play(deadRecord(members(letter), takenAt));
    });
  }
}

function entryRecord(
  { key, generation, registeredAt, lastActiveAt, borrowedAt, id, claimed, value: v }: Record<string, unknown>,
  index: number,
  isEnded: boolean,
  takenAt: number,
): JournalRecord {
  const more = {
    a: instant(lastActiveAt) - takenAt,
    // The last activity of its companions, where that is later.
    ...(borrowedAt !== undefined && { u: instant(borrowedAt) - takenAt }),
    // Without its id nobody could be told of the end of a run, or told from a second time.
    ...(isEnded && { i: text(id) }),
    ...(claimed !== undefined && { c: Number(claimed === true) }),
    ...(v !== undefined && { v }),
  };
  return ['set', index, key, generation, instant(registeredAt) - takenAt, more];
}

function endRecord({ event, attempts }: Record<string, unknown>): JournalRecord {
  const { id: i, key, generation, reason, ...told } = members(event);
  const endedAt = instant(told.endedAt);
  const [age, idle] = [endedAt - instant(told.registeredAt), endedAt - instant(told.lastActiveAt)];
  const { value: v, detail: d } = told;
  const more = { i, n: count(attempts), ...(v !== undefined && { v }), ...(d !== undefined && { d }) };
  return ['end', generation, key, reason, endedAt, age, idle, more];
}

function deadRecord(letter: Record<string, unknown>, takenAt: number): JournalRecord {
  const { event, cause, attempts, ambiguous, at, error: e } = letter;
  if (!causes.includes(cause)) throw new TypeError(`expected why it was given up, found ${describe(cause)}`);
  if (typeof ambiguous !== 'boolean')
    throw new TypeError(`expected true or false, found ${describe(ambiguous)}`);
  const died = [Number(ambiguous), at, instant(at) - takenAt, ...(e === undefined ? [] : [{ e }])];
  return ['dead', members(event).id, cause, attempts, ...died];
}
