import type { Deliveries } from '../endings/deliveries.js';
import type { Endings } from '../endings/endings.js';
import type { EndedEvent } from '../events/ended-event.js';
import { take } from '../stamps/take.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { EndingRecorder } from './ending-recorder.js';
import type { Left, PastEnding, PastEntry } from './left.js';
import type { OpenEnding, RecordEncoder } from './record-encoder.js';
import { deadRecord, endRecord, keyText, setRecord } from './records.js';

/** What of earlier lives is still awaited, or left open for the next one. */
export interface AbsentParts {
  /** How many entries there are. */
  count(): number;
  /** Entries that have not come back; instants in the monotonic time of this life. */
  entries(): Iterable<readonly [map: string, entry: PastEntry]>;
}

/** What a registry holds that has to survive a restart. */
export interface LiveParts {
  readonly recorders: ReadonlyArray<{ readonly tracker: Tracker; readonly index: number }>;
  readonly encoder: RecordEncoder;
  readonly endings: Endings | undefined;
  readonly deliveries: Deliveries | undefined;
  readonly absent: AbsentParts;
  /** Endings of earlier lives that nobody is told of in this one. */
  readonly carried: Iterable<PastEnding>;
  /** Of a map that has a record already. */
  indexOf(map: string): number;
  /** Of a journal: what it is told meanwhile. */
  readonly said?: EndingRecorder | undefined;
}

/**
 * All of it as records, one a step, so that whoever writes them can pause between any two. What changes meanwhile is
 * said in its own records, beside these.
 *
 * Endings come first: a reader that finds an entry with a claim has read who is to be told of it. What is claimed from then on
 * is an open entry, where its ending comes behind all of these.
 */
export function* liveRecords(parts: LiveParts): Generator<string | undefined> {
  const { encoder } = parts;
  parts.said?.nothingToCome();
  yield* owedRecords(parts);
  const isToCome = (generation: number): boolean => parts.said?.isToCome(generation) ?? false;
  for (const { tracker, index } of parts.recorders) {
    // What is added meanwhile says so itself; and a map to which somebody adds for ever has an end all the same.
    const { stamps } = tracker;
    for (const [, slot] of take(stamps.entries(), stamps.size)) {
      yield encoder.entry(tracker, index, slot, isToCome(stamps.generation[slot] as number));
    }
    yield encoder.ages(tracker, index);
  }
  for (const [map, entry] of parts.absent.entries())
    yield absentRecord(encoder, parts.indexOf(map), entry, entry.claimed && !isToCome(entry.generation));
}

function* owedRecords({
  endings,
  deliveries,
  encoder,
  carried,
  said,
}: LiveParts): Generator<string | undefined> {
  for (const run of endings?.tombstones.runs() ?? []) yield run && encoder.tombstone(...run);
  for (const ending of carried) yield* carriedRecords(encoder, ending);
  if (endings === undefined || deliveries === undefined) return;
  const endingOf = (event: EndedEvent, open?: OpenEnding): string | undefined => {
    said?.hasCome(event.generation);
    return encoder.ending(endings.tracker, event, open);
  };
  // Claimed in the midst of a removal: the notifier has them as soon as their companions have left.
  for (const event of endings.endingNow()) yield endingOf(event);
  for (const { name, notifier } of deliveries.recipients) {
    const recipients = [name];
    // If the records end behind the first one of an ending, that has to say of all to whom it is owed: with it the run is
    // claimed, and nobody else would be told.
    const others = (event: EndedEvent): string | undefined => {
      const owing = deliveries.owing(event);
      return owing.length > 1 ? endingOf(event, { recipients: owing }) : undefined;
    };
    // Between two steps it may be delivered, which is said at once: an ending that came behind that would be owed again.
    for (const { event, attempts, triedAt } of notifier.obligations()) {
      const all = others(event);
      if (all !== undefined) yield all;
      if (notifier.owesThis(event)) yield endingOf(event, { recipients, attempts, triedAt });
    }
    for (const record of notifier.letters()) {
      const all = others(record.letter.event);
      if (all !== undefined) yield all;
      // It may be that of a later run by now.
      const { event, attempts } = record.letter;
      if (record.isKept) yield endingOf(event, { recipients, attempts });
      if (record.isKept) yield deadRecord(record.letter, encoder.instant(record.diedAt));
    }
  }
}

/** So many records say how long all are. */
const sampleSize = 1_000;

/** Records of some of what earlier lives left, taken evenly from all of it. */
export function* someRecords(encoder: RecordEncoder, { maps, endings }: Left): Generator<string | undefined> {
  let count = endings.size;
  for (const { entries } of maps.values()) count += entries.size;
  const step = Math.ceil(count / sampleSize);
  let index = 0;
  const isChosen = (): boolean => index++ % step === 0;
  for (const { entries } of maps.values())
    for (const entry of entries.values())
      if (isChosen()) yield absentRecord(encoder, 0, entry, entry.claimed);
  for (const ending of endings.values()) if (isChosen()) yield* carriedRecords(encoder, ending);
}

/** An ending of an earlier life, as that has written it. */
export function* carriedRecords(encoder: RecordEncoder, ending: PastEnding): Generator<string | undefined> {
  const { id, recipient, key, value, detail, isOwnId, letter } = ending;
  const text = keyText(key);
  if (text === undefined) return;
  let more = `"i":${JSON.stringify(id)}`;
  if (value !== undefined) more += `,"v":${JSON.stringify(value)}`;
  if (detail !== undefined) more += `,"d":${JSON.stringify(detail)}`;
  more += encoder.openMore({ ...ending, recipients: [recipient] });
  if (isOwnId) more += ',"k":1';
  yield endRecord(ending, text, more);
  if (letter !== undefined) yield deadRecord({ ...ending, ...letter }, encoder.instant(letter.diedAt));
}

function absentRecord(
  encoder: RecordEncoder,
  index: number,
  entry: PastEntry,
  isClaimed: boolean,
): string | undefined {
  const key = keyText(entry.key);
  if (key === undefined) return undefined;
  const registeredAt = encoder.instant(entry.registeredAt);
  let more = `"w":${Math.floor(entry.absentMs)}`;
  // A journal's next reader adds again what it may be late by. A snapshot's does not; instant 0 there is the present.
  const active = (at: number): number =>
    encoder.isOfJournal ? encoder.instant(at) : Math.min(encoder.instant(at + entry.lateMs), 0);
  const lastActiveAt = active(entry.lastActiveAt);
  if (lastActiveAt > registeredAt) more += `,"a":${lastActiveAt}`;
  if (entry.usedAt > Number.NEGATIVE_INFINITY) more += `,"u":${active(entry.usedAt)}`;
  if (entry.id !== undefined) more += `,"i":${JSON.stringify(entry.id)}`;
  if (isClaimed) more += ',"c":1';
  if (entry.value !== undefined) more += `,"v":${JSON.stringify(entry.value)}`;
  return setRecord(index, key, entry.generation, registeredAt, more);
}
