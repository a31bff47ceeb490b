import { AssertionError } from 'node:assert';
import { explain } from '../diagnosis/explain.js';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { counted, shownError, shownKey } from '../events/shown.js';
import { internalsOf, type RegistryInternals } from '../registry/internals.js';
import type { PastEntry } from '../restart/left.js';
import { mapKey } from '../stamps/map-key.js';
import { endingsRecordOf } from './endings-record.js';
import { assertNoOther } from './running-check.js';
import { notASubject, subjectOf } from './subject.js';

/** One registration in the map of the endings, and how often its end was told. */
export interface EndedRun {
  readonly id: string;
  readonly key: unknown;
  readonly generation: number;
  /** `ended` events on the bus. */
  readonly announced: number;
  /** Deliveries that succeeded, to all recipients together; `undefined` if the registry has no `deliver`. */
  readonly delivered: number | undefined;
  /**
   * - `once`: it has ended, and whoever is to hear of that has heard once
   * - `open`: nobody has said that it ended
   * - `silent`: it was settled without a word: transferred, or announced before this registry was made
   * - `pending`: a delivery is queued, runs, or waits for a retry
   * - `dead`: nobody heard of it, or not every recipient, and nobody else will by itself
   * - `repeated`: somebody was told more than once
   */
  readonly state: 'once' | 'open' | 'silent' | 'pending' | 'dead' | 'repeated';
  /** The counts and what they lack, for a person. */
  readonly summary: string;
}

interface KnownRun {
  readonly key: unknown;
  readonly generation: number;
  readonly isOpen: boolean;
  /** It was alive in an earlier life, and its key has not been set since. */
  readonly isAbsent?: boolean;
}

/**
 * Every registration that the registry or the record of its endings knows of, and how often its end was told. A run is
 * told of by one event on the bus and, where the registry has `deliver`, by one delivery to each recipient that succeeded.
 * Duplicates that were turned away told nobody, and do not count.
 *
 * A registry that was made before `recordEndings()` is taken at its word: what it has claimed was announced once, and
 * what is neither pending nor a dead letter was delivered once. {@link assertKnown} says how far that word goes.
 */
function endedRunsOf(parts: RegistryInternals): EndedRun[] {
  const { endings, deliveries, engine } = parts;
  if (endings === undefined) return [];
  const record = endingsRecordOf(engine);
  const owed = owedBy(deliveries);
  const pending = new Map(owed.pending.map(({ event, attempts }) => [event.id, attempts]));
  const letters = new Map(owed.letters.map((letter) => [letter.id, letter]));
  const recipients = deliveries?.recipients.length ?? 0;
  return [...knownRuns(parts)].map(([id, { key, generation, isOpen, isAbsent }]) => {
    const recorded = record?.get(id);
    const isOwed = pending.has(id) || letters.has(id);
    const claimed = isOpen ? 0 : 1;
    const announced = record === undefined ? claimed : (recorded?.announced ?? 0);
    const heard = [...(recorded?.delivered.values() ?? [])];
    const all = heard.reduce((sum, count) => sum + count, 0);
    const told = record === undefined ? (isOwed ? 0 : claimed * recipients) : all;
    const delivered = deliveries === undefined ? undefined : told;
    const run = { id, key, generation, announced, delivered };
    const counts = [
      counted(announced, 'announcement'),
      ...(delivered === undefined ? [] : [counted(delivered, 'delivery', 'deliveries')]),
    ].join(', ');
    const as = (state: EndedRun['state'], note: string): EndedRun => ({
      ...run,
      state,
      summary: note === '' ? counts : `${counts}; ${note}`,
    });
    if (isOpen) {
      const why = isAbsent
        ? 'it has not come back after a restart'
        : explain(engine, endings.tracker, key).why;
      return as('open', `it has not ended: ${why}`);
    }
    if (announced > 1 || heard.some((count) => count > 1)) return as('repeated', 'told more than once');
    if (pending.has(id)) return as('pending', `${counted(pending.get(id) ?? 0, 'attempt')} made, pending`);
    const letter = letters.get(id);
    if (letter !== undefined) {
      const error = letter.error === undefined ? '' : `: ${shownError(letter.error)}`;
      return as(
        'dead',
        `a dead letter after ${counted(letter.attempts, 'attempt')} (${letter.cause})${error}`,
      );
    }
    if (announced === 0 && (delivered ?? 0) === 0) return as('silent', 'settled without a word');
    // In another registry before a restart some may have heard of it.
    const isMissed = recorded !== undefined && announced === 1 && heard.length < recipients;
    if (delivered === 0 || isMissed) {
      const who = delivered === 0 ? 'nobody' : 'not every recipient';
      return as('dead', `${who} heard of it, and its dead letter was dropped`);
    }
    return as('once', recorded === undefined ? '' : `reason ${shownKey(recorded.reason)}`);
  });
}

/** What has not been delivered to some recipient. */
function owedBy(deliveries: RegistryInternals['deliveries']) {
  const notifiers = deliveries?.recipients.map(({ notifier }) => notifier) ?? [];
  return {
    pending: notifiers.flatMap((notifier) => [...notifier.obligations()]),
    letters: notifiers.flatMap((notifier) => notifier.deadLetters()),
  };
}

/** By id: what is in the map, what ended and is remembered, what is owed, and what was recorded. */
function knownRuns(parts: RegistryInternals): Map<string, KnownRun> {
  const { endings, tombstones, deliveries, engine } = parts;
  const runs = new Map<string, KnownRun>();
  if (endings === undefined) return runs;
  for (const [id, { key, generation }] of endingsRecordOf(engine) ?? []) {
    runs.set(id, { key: key(), generation, isOpen: false });
  }
  for (const [key, { id, generation }] of tombstones?.entries() ?? []) {
    if (!runs.has(id)) runs.set(id, { key, generation, isOpen: false });
  }
  // A dead letter outlives its tombstone.
  const owed = owedBy(deliveries);
  for (const { event } of [...owed.pending, ...owed.letters]) {
    const { id, key, generation } = event;
    if (!runs.has(id)) runs.set(id, { key, generation, isOpen: false });
  }
  const { stamps, native } = endings.tracker;
  for (const [key, slot] of stamps.entries()) {
    if (!native.has(key)) continue;
    const id = endings.ids.of(slot);
    const isOpen = !endings.isClaimed(slot);
    // By the owner's ids it may be the run of another entry, of which more is known.
    if (isOpen || !runs.has(id)) {
      runs.set(id, { key, generation: stamps.generation[slot] as number, isOpen });
    }
  }
  for (const { id, key, generation } of openAbsentees(parts)) {
    if (id === undefined || runs.has(id)) continue;
    runs.set(id, { key, generation, isOpen: true, isAbsent: true });
  }
  return runs;
}

/**
 * Sees that a registry knows enough to answer. One whose endings nobody has recorded forgets its runs with their
 * tombstones, and dead letters when there are too many; a closed one has forgotten what was open in an adopted map.
 *
 * @param runs all that it knows of
 * @throws MapsweepError `ERR_NOTHING_PROVED` if some are unknown, or more ended than were delivered
 */
function assertKnown(check: string, parts: RegistryInternals, runs: readonly EndedRun[]): void {
  const { endings, deliveries, engine } = parts;
  if (endings === undefined) return;
  const cannotKnow = (why: string): MapsweepError =>
    new MapsweepError('ERR_NOTHING_PROVED', `${check} cannot know: ${why}`);
  const { registeredTotal } = endings.tracker;
  const open = registeredTotal - endings.claimedTotal;
  if (parts.isClosed && open > 0) {
    throw cannotKnow(
      `the registry is closed, and ${counted(open, 'run')} had not ended by then. Check before close()`,
    );
  }
  if (endingsRecordOf(engine) !== undefined) return;
  const once = runs.filter((run) => run.state === 'once').length;
  const delivered = deliveries?.recipients.map(({ outcomes }) => outcomes.delivered) ?? [once];
  const unknown = registeredTotal - runs.length;
  const undelivered = once - Math.min(...delivered);
  if (unknown <= 0 && undelivered <= 0) return;
  const why =
    unknown > 0
      ? `${counted(unknown, 'run')} left no trace. A tombstone is kept for the last run of a key, and not for ever`
      : `${counted(undelivered, 'delivery', 'deliveries')} never succeeded, and the dead letters were dropped`;
  throw cannotKnow(
    `${why}. Call recordEndings() of 'mapsweep/testing' before the registry is made; importing 'mapsweep/vitest' does`,
  );
}

/** Runs that an earlier life left open and that have not come back: they end as `lost` if they do not. */
export function openAbsentees({ endings, restart }: RegistryInternals): readonly PastEntry[] {
  if (endings === undefined) return [];
  const open = [...restart.restoration.absences.entries()].filter(
    ([, { id, claimed }]) => id !== undefined && !claimed,
  );
  return open.map(([, entry]) => entry);
}

/**
 * Why the run of a key has not ended exactly once, in full; `undefined` if it has. A key that was registered several
 * times has had several runs: each must have ended once.
 *
 * @throws MapsweepTypeError if the value is no registry, or has no `ended`
 * @throws MapsweepError `ERR_NOTHING_PROVED` if it has forgotten some of its runs; `ERR_NOT_AWAITED` if another
 *   check of it runs
 */
export function notEndedOnce(check: string, registry: unknown, key: unknown): string | undefined {
  const parts = partsWithEndings(check, registry);
  const all = endedRunsOf(parts);
  const runs = runsOf(parts, all, key);
  if (runs.length > 0 && runs.every(({ state }) => state === 'once')) {
    assertKnown(check, parts, all);
    return undefined;
  }
  const expected = `expected the run ${shownKey(key)} to have ended exactly once, but `;
  if (runs.length === 0) return `${expected}it was never registered, or is long forgotten: 0 announcements`;
  return [`${expected}it has not:`, ...runs.map(runLine)].join('\n');
}

/** How many of the runs that a message could name it does name. */
const runsNamed = 5;

/**
 * Which runs of a registry have not ended exactly once, in full; `undefined` if all have. Runs that were settled
 * without a word do not count: they are told of under another key, or were before.
 *
 * @throws MapsweepTypeError if the value is no registry, or has no `ended`
 * @throws MapsweepError `ERR_NOTHING_PROVED` if it has forgotten some of its runs; `ERR_NOT_AWAITED` if another
 *   check of it runs
 */
export function notAllEndedOnce(check: string, registry: unknown): string | undefined {
  const parts = partsWithEndings(check, registry);
  const all = endedRunsOf(parts);
  const runs = all.filter(({ state }) => state !== 'silent');
  const wrong = runs.filter(({ state }) => state !== 'once');
  const expected = 'expected every run to have ended exactly once, but ';
  if (runs.length === 0) {
    assertKnown(check, parts, all);
    return `${expected}no run was ever registered in ${shownKey(parts.endings?.tracker.name)}: the check would prove nothing`;
  }
  if (wrong.length === 0) {
    assertKnown(check, parts, all);
    return undefined;
  }
  const more = wrong.length - runsNamed;
  return [
    `${expected}${wrong.length} of ${runs.length} ${wrong.length === 1 ? 'has' : 'have'} not:`,
    ...wrong.slice(0, runsNamed).map(runLine),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n');
}

/** What a run that ended once was told as, for a check that asks for the contrary. */
export function endedOnceSummary(registry: unknown, key: unknown): string {
  const parts = internalsOf(registry) as RegistryInternals;
  return runsOf(parts, endedRunsOf(parts), key).map(runLine).join('\n');
}

/**
 * Asserts that the run of a key ended exactly once: one `ended` on the bus and, where the registry has
 * `deliver`, one delivery that succeeded. A delivery that is still pending fails it: let it settle before. A key that
 * was registered several times has had several runs, each of which must have ended once.
 *
 * @throws AssertionError of `node:assert`, whose message names the counts
 * @throws MapsweepTypeError if the value is no registry, or has no `ended`
 * @throws MapsweepError `ERR_NOTHING_PROVED` if it has forgotten some of its runs; `ERR_NOT_AWAITED` if another
 *   check of it runs
 */
export function assertEndedExactlyOnce(registry: object, key: unknown): void {
  throwIfAny(notEndedOnce('assertEndedExactlyOnce', registry, key), assertEndedExactlyOnce);
}

/**
 * Asserts that every run that was ever registered ended exactly once, and that there was one.
 *
 * @throws AssertionError of `node:assert`, whose message names the runs and their counts
 * @throws MapsweepTypeError if the value is no registry, or has no `ended`
 * @throws MapsweepError `ERR_NOTHING_PROVED` if it has forgotten some of its runs; `ERR_NOT_AWAITED` if another
 *   check of it runs
 */
export function assertEndedEveryRunOnce(registry: object): void {
  throwIfAny(notAllEndedOnce('assertEndedEveryRunOnce', registry), assertEndedEveryRunOnce);
}

function throwIfAny(message: string | undefined, stackStartFn: (...parameters: never[]) => void): void {
  if (message !== undefined) throw new AssertionError({ message, operator: stackStartFn.name, stackStartFn });
}

function partsWithEndings(check: string, value: unknown): RegistryInternals {
  const parts = internalsOf(value);
  if (parts === undefined) {
    const received =
      subjectOf(value) === undefined ? notASubject(value) : 'received a single map: give its registry';
    throw new MapsweepTypeError('ERR_INVALID_OPTION', `${check} takes a registry; ${received}`);
  }
  if (parts.endings !== undefined) {
    assertNoOther(check, parts);
    return parts;
  }
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${check}: this registry announces no endings. Make it with createRegistry({ ended: { map: '…' } })`,
  );
}

/** The runs that a key has, or had. By the owner's ids it may have one that is told of under another key. */
function runsOf({ endings }: RegistryInternals, all: readonly EndedRun[], key: unknown): EndedRun[] {
  const slot = endings?.tracker.stamps.slotOf(key);
  const present = slot === undefined ? undefined : endings?.ids.of(slot);
  return all.filter((run) => Object.is(run.key, mapKey(key)) || run.id === present);
}

function runLine({ key, generation, summary }: EndedRun): string {
  return `  ${shownKey(key)} (registration ${generation}): ${summary}`;
}
