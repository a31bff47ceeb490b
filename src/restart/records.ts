import { defaultRecipient } from '../endings/ended-policy.js';
import type { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';

/**
 * The records that a registry writes, and reads in its next life: arrays of plain JSON, the kind first.
 *
 * | record | says |
 * | --- | --- |
 * | `['life', version, id, wall, bootId, boot, every]` | a process begins: wall clock and kernel clock at its instant 0, and how often it writes activity |
 * | `['clock', byMs, at]` | how far the wall clock has jumped since instant 0, all jumps together; and what time it is |
 * | `['map', index, name, isEnded, lastGeneration]` | what the index of a map stands for |
 * | `['set', map, key, generation, at, more?]` | an entry is in the map |
 * | `['value', map, generation, value]` | its value, as `encode` gives it |
 * | `['active', map, at, …generations]` | these entries were set or touched since the last such record |
 * | `['used', map, at, …generations]` | companions of these entries were |
 * | `['back', map, …generations]` | these entries of an earlier life were set again |
 * | `['left', map, …generations]` | these entries have left |
 * | `['end', generation, key, reason, endedAt, age, idle, more]` | a run has ended, and its recipient has to be told |
 * | `['quiet', generation]` | a run has ended, and nobody has to be told |
 * | `['failed', id, attempts, triedAt, at, recipient?]` | so many attempts to tell of it have begun, when the first did, and what time it is |
 * | `['done', id, recipient?]` | nobody has to be told any more: delivered, or dropped |
 * | `['dead', id, cause, attempts, ambiguous, at, diedAt, more?]` | a dead letter |
 * | `['late', id, more?]` | the attempt whose time-out made it a dead letter has failed: it is not ambiguous |
 * | `['retry', id, recipient?]` | the dead letter is tried again |
 * | `['tomb', key, generation, id, at]` | a run that has ended is remembered by its id |
 * | `['ages', map, at, cohortMs, cohorts, past, sizes]` | how many entries of a map reached which age, see `age-records.ts` |
 * | `['window', ms]` | how long this life has waited for what earlier ones left |
 *
 * Instants of entries, and those from which the time of a delivery or a dead letter runs, are ms since instant 0 of the life
 * that wrote them, so that no age depends on the wall clock; they are negative if they were in an earlier life. What has been
 * told of endings and dead letters is the epoch ms that were told. A recipient that is not named is the one called `default`.
 * Each record may come twice, and
 * a generation is never given out again, over all lives. What says that a run has ended stands before what says that its
 * entry has left: wherever the records end, a run is open, or has an ending.
 */
export const recordsVersion = 1;

/** What an entry is known by beside its stamps. Each is left out if it is as usual. */
export interface EntryMore {
  /** Last activity, if it is later than the registration. */
  a?: number;
  /** Last activity of a companion, if that is later than its own. */
  u?: number;
  /** The id of the run, if it is not made of the id of the life and the generation. */
  i?: string;
  /** Its end is claimed. */
  c?: 1;
  /** Its value, as `encode` gave it. */
  v?: unknown;
  /** It has not come back since an earlier life, and had been awaited for so many ms when this one began. */
  w?: number;
}

/** What an ending is known by beside its instants. */
export interface EndMore {
  i: string;
  v?: unknown;
  d?: unknown;
  /** Attempts that have begun; left out if none has. */
  n?: number;
  /** When the first of them began. */
  t?: number;
  /** Who has to be told; left out if it is `default` alone. */
  r?: string[];
  /** Its id is the owner's own: the run is remembered by it. */
  k?: 1;
}

/** What a dead letter is known by beside what all have. */
export interface LetterMore {
  /** What its last attempt threw. */
  e?: string;
  /** Who was to be told, if it is not `default`. */
  r?: string;
}

/** What a life of the process is known by. */
export interface Life {
  readonly id: string;
  /** The wall clock at its instant 0, epoch ms. */
  readonly wall: number;
  /** Names one boot of the machine; empty if nobody knows. */
  readonly bootId: string;
  /** The kernel's monotonic clock at its instant 0, ms. */
  readonly boot: number;
  /** Activity is written at most so often, ms. */
  readonly everyMs: number;
}

/** Numbers that JSON has no word for, as keys. */
const oddNumbers = new Map<string, number>([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** The JSON text of a key; `undefined` for one that is not a string, number, boolean or null. */
export function keyText(key: unknown): string | undefined {
  switch (typeof key) {
    case 'string':
    case 'boolean':
      return JSON.stringify(key);
    case 'number':
      // A Map keeps -0 as 0.
      return Number.isFinite(key) ? String(key) : `{"number":"${key}"}`;
    default:
      return key === null ? 'null' : undefined;
  }
}

/** The key that a text of {@link keyText} stood for once it was parsed; `noKey` if it is none. */
export function keyOf(json: unknown): unknown {
  if (json === null || typeof json === 'string' || typeof json === 'boolean') return json;
  if (typeof json === 'number') return json;
  const number = (json as { number?: unknown } | undefined)?.number;
  return oddNumbers.get(number as string) ?? noKey;
}

/** What {@link keyOf} gives for what is no key. */
export const noKey = Symbol('no key');

export function lifeRecord({ id, wall, bootId, boot, everyMs }: Life): string {
  return JSON.stringify(['life', recordsVersion, id, wall, bootId, boot, everyMs]);
}

export function clockRecord(byMs: number, at: number): string {
  return `["clock",${byMs},${at}]`;
}

export function mapRecord(index: number, name: string, isEnded: boolean, lastGeneration: number): string {
  return `["map",${index},${JSON.stringify(name)},${isEnded ? 1 : 0},${lastGeneration}]`;
}

/** @param more members of {@link EntryMore} as JSON, without braces; empty for none */
export function setRecord(map: number, key: string, generation: number, at: number, more = ''): string {
  return more === ''
    ? `["set",${map},${key},${generation},${at}]`
    : `["set",${map},${key},${generation},${at},{${more}}]`;
}

export function valueRecord(map: number, generation: number, value: string): string {
  return `["value",${map},${generation},${value}]`;
}

/** @param kind `active` for the entries' own activity, `used` for that of their companions */
export function activityRecord(
  kind: 'active' | 'used',
  map: number,
  at: number,
  generations: readonly number[],
): string {
  return `["${kind}",${map},${at},${generations.join(',')}]`;
}

export function entriesRecord(kind: 'back' | 'left', map: number, generations: readonly number[]): string {
  return `["${kind}",${map},${generations.join(',')}]`;
}

type EndedSpans = Pick<EndedEvent, 'generation' | 'reason' | 'endedAt' | 'registeredAt' | 'lastActiveAt'>;

/** @param more members of {@link EndMore} as JSON, without braces */
export function endRecord(event: EndedSpans, key: string, more: string): string {
  const { generation, reason, endedAt, registeredAt, lastActiveAt } = event;
  const spans = `${endedAt},${endedAt - registeredAt},${endedAt - lastActiveAt}`;
  return `["end",${generation},${key},${JSON.stringify(reason)},${spans},{${more}}]`;
}

export function quietRecord(generation: number): string {
  return `["quiet",${generation}]`;
}

export function failedRecord(
  id: string,
  recipient: string,
  attempts: number,
  triedAt: number,
  at: number,
): string {
  return `["failed",${JSON.stringify(id)},${attempts},${triedAt},${at}${named(recipient)}]`;
}

export function doneRecord(id: string, recipient: string): string {
  return `["done",${JSON.stringify(id)}${named(recipient)}]`;
}

/** A dead letter, the youngest so far; what it is about stands in the `end` record of the same id. */
export function deadRecord(letter: Omit<DeadLetter, 'event'>, diedAt: number): string {
  const { id, cause, attempts, ambiguous, at } = letter;
  const flag = ambiguous ? 1 : 0;
  return `["dead",${JSON.stringify(id)},"${cause}",${attempts},${flag},${at},${diedAt}${letterMore(letter)}]`;
}

/** A dead letter of which more is known; it stays as young as it was. */
export function lateRecord(letter: Pick<DeadLetter, 'id' | 'recipient' | 'error'>): string {
  return `["late",${JSON.stringify(letter.id)}${letterMore(letter)}]`;
}

function letterMore({ error, recipient }: Pick<DeadLetter, 'error' | 'recipient'>): string {
  const e = error === undefined ? undefined : errorText(error);
  const r = recipient === defaultRecipient ? undefined : recipient;
  return e === undefined && r === undefined ? '' : `,${JSON.stringify({ e, r })}`;
}

const named = (recipient: string): string =>
  recipient === defaultRecipient ? '' : `,${JSON.stringify(recipient)}`;

/** So much of the text of an error is kept. */
const longestError = 500;

/** What an error says, in one line; asks nothing of a stranger's object that could throw. */
function errorText(error: unknown): string {
  try {
    // One that an earlier life has written says it all.
    if ((error as Partial<MapsweepError>).code === 'ERR_RESTORED') return (error as MapsweepError).message;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return text.slice(0, longestError);
  } catch {
    return 'an error that cannot be shown';
  }
}

export function retryRecord(id: string, recipient: string): string {
  return `["retry",${JSON.stringify(id)}${named(recipient)}]`;
}

export function tombRecord(key: string, generation: number, id: string, at: number): string {
  return `["tomb",${key},${generation},${JSON.stringify(id)},${at}]`;
}

export function windowRecord(ms: number): string {
  return `["window",${ms}]`;
}
