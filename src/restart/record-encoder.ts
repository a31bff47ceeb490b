import { crc32 } from 'node:zlib';
import { defaultRecipient } from '../endings/ended-policy.js';
import { endingsOf } from '../endings/endings.js';
import type { EndedId } from '../endings/tombstones.js';
import { MapsweepTypeError } from '../errors.js';
import type { CallbackFailures } from '../events/callback-failures.js';
import type { EndedEvent } from '../events/ended-event.js';
import { describe } from '../events/shown.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';
import { isMissing } from '../stamps/native-collection.js';
import { RECORDED } from '../stamps/stamp-store.js';
import type { Tracker } from '../sweeping/tracker.js';
import { agesRecord } from './age-records.js';
import { endRecord, keyText, setRecord, tombRecord, valueRecord } from './records.js';

/** What an encoder has to know of the registry. */
export interface EncoderHost {
  /** The monotonic clock at instant 0 of what is written. */
  readonly origin: number;
  readonly lifeId: string;
  /** Whether what it writes counts as written: not so for a snapshot by hand. */
  readonly isMarking: boolean;
  /** Whether ids are the owner's own. */
  readonly hasOwnIds: boolean;
  /** Who is told of an ending in this life. */
  recipients(): readonly string[];
  /** What `encode` gave for an event of an earlier life, whose value may have been decoded since; `undefined` for others. */
  pastValueOf(event: EndedEvent): unknown;
  /** Get what was left out. */
  readonly failures: CallbackFailures;
}

/** What is known of an ending that is owed. */
export interface OpenEnding {
  readonly recipients?: readonly string[];
  readonly attempts?: number;
  /** When the first attempt began, monotonic ms. */
  readonly triedAt?: number | undefined;
}

/**
 * Makes records of what is in a map. A key that JSON cannot carry is left out with its entry, and a value that it cannot carry, or
 * that an `encode` of the owner does not give, by itself: that is counted each time, and said the first time.
 */
export class RecordEncoder {
  readonly #host: EncoderHost;
  #meanBytes = 64;
  #measured = 0;
  readonly #sums = new WeakMap<Tracker, Map<number, number>>();

  constructor(host: EncoderHost) {
    this.#host = host;
  }

  /** Whether it writes a journal, and no snapshot. */
  get isOfJournal(): boolean {
    return this.#host.isMarking;
  }

  /** How many bytes an entry takes: the mean of the latest ones, with what stands between two of them. */
  get meanBytes(): number {
    return this.#meanBytes;
  }

  /** Has the record of an entry count in the mean. */
  measure(record: string): void {
    this.#measured = Math.min(this.#measured + 1, 1_000);
    this.#meanBytes += (Buffer.byteLength(record) + 1 - this.#meanBytes) / this.#measured;
  }

  /** An instant as records carry it. Late by less than a ms at most, so that nothing leaves early. */
  instant(monotonic: number): number {
    return Math.ceil(monotonic - this.#host.origin);
  }

  /**
   * The entry of a slot; `undefined` if it cannot be written.
   *
   * @param isOpen its claim, if there is one, is written after it: if that were lost, nobody would be told of the end
   */
  entry(tracker: Tracker, index: number, slot: number, isOpen: boolean): string | undefined {
    const { stamps, policy } = tracker;
    const { isMarking, lifeId } = this.#host;
    const endings = endingsOf(tracker);
    // Of the end of what is no run of its own nobody is to be told.
    const isClaimed = isOpen
      ? endings?.isDuplicate(slot)
      : endings?.isClaimed(slot) && endings.tentativeAt(slot) === undefined;
    const given = stamps.keyOf(slot);
    const generation = stamps.generation[slot] as number;
    const key = this.#key(tracker, given);
    if (key === undefined) return undefined;
    let more = '';
    const { encode, decode } = policy.persist ?? {};
    const owned = tracker.native.get(given);
    // Of a run that has ended, nobody needs the value any more but the map itself. In the midst of a `clear` the entry is
    // gone, and its end has not been told yet.
    const isThere = owned !== undefined || tracker.native.has(given);
    if (encode !== undefined && (!isClaimed || decode !== undefined) && isThere) {
      const value = this.#value(tracker, owned, given);
      // What is asked may have removed the entry.
      if (!stamps.holds(slot, generation)) return undefined;
      // Without a value, too, the entry has to be known: somebody is to be told of the end of a run.
      if (value !== undefined) more = `,"v":${value}`;
      if (isMarking && value === undefined) this.forget(tracker, slot);
      else if (isMarking) this.#sumsOf(tracker).set(slot, crc32(value as string));
    }
    const registeredAt = this.instant(stamps.registeredAt(slot));
    const own = stamps.lastActiveAt(slot);
    const lastActiveAt = this.instant(own);
    if (lastActiveAt > registeredAt) more += `,"a":${lastActiveAt}`;
    const latest = tracker.activity.latest(slot);
    if (latest > own) more += `,"u":${this.instant(latest)}`;
    const id = endings?.ids.of(slot);
    if (id !== undefined && id !== `${lifeId}:${generation}`) more += `,"i":${JSON.stringify(id)}`;
    if (isClaimed) more += ',"c":1';
    if (isMarking) stamps.setFlag(slot, RECORDED, true);
    const record = setRecord(index, key, generation, registeredAt, more.slice(1));
    this.measure(record);
    return record;
  }

  /** The value of a slot, if it is another one than was written last. */
  changedValue(tracker: Tracker, index: number, slot: number): string | undefined {
    const { stamps } = tracker;
    if (!stamps.hasFlag(slot, RECORDED)) return undefined;
    const key = stamps.keyOf(slot);
    const generation = stamps.generation[slot] as number;
    const owned = tracker.native.get(key);
    if (isMissing(tracker.native, key, owned)) return undefined;
    const value = this.#value(tracker, owned, key);
    if (value === undefined || !stamps.holds(slot, generation)) return undefined;
    const sums = this.#sumsOf(tracker);
    const sum = crc32(value);
    if (sums.get(slot) === sum) return undefined;
    sums.set(slot, sum);
    return valueRecord(index, generation, value);
  }

  /** The journal has this value of a slot, from an earlier life; `undefined` if it has none. */
  wasWritten(tracker: Tracker, slot: number, json: string | undefined): void {
    if (json !== undefined) this.#sumsOf(tracker).set(slot, crc32(json));
  }

  /** Forgets what was written of a slot, which is free for another entry. */
  forget(tracker: Tracker, slot: number): void {
    this.#sums.get(tracker)?.delete(slot);
  }

  /** An ending that is owed: to all recipients of this life, and not tried yet, unless something else is given. */
  ending(tracker: Tracker, event: EndedEvent, open: OpenEnding = {}): string | undefined {
    const key = this.#key(tracker, event.key);
    if (key === undefined) return undefined;
    let more = `"i":${JSON.stringify(event.id)}`;
    const value = this.#eventValue(tracker, event);
    if (value !== undefined) more += `,"v":${value}`;
    const detail = this.#detail(tracker, event);
    if (detail !== undefined) more += `,"d":${detail}`;
    more += this.openMore(open);
    // What was taken over from another owner is no run of this one.
    if (this.#host.hasOwnIds && event.generation > 0) more += ',"k":1';
    return endRecord(event, key, more);
  }

  /** To whom an ending is owed, and what came of that so far, as members of its record. */
  openMore({ recipients = this.#host.recipients(), attempts = 0, triedAt }: OpenEnding): string {
    let more = '';
    if (attempts > 0) more += `,"n":${attempts}`;
    if (attempts > 0 && triedAt !== undefined) more += `,"t":${this.instant(triedAt)}`;
    if (recipients.length !== 1 || recipients[0] !== defaultRecipient)
      more += `,"r":${JSON.stringify(recipients)}`;
    return more;
  }

  /** What the leak verdict about a map is made of; `undefined` if nothing was counted. */
  ages(tracker: Tracker, index: number): string | undefined {
    return agesRecord(tracker, index, (monotonic) => this.instant(monotonic));
  }

  /** The memory of a run that has ended; `undefined` if it cannot be written. */
  tombstone(id: string, { key, generation, at }: EndedId): string | undefined {
    const text = keyText(key);
    return text && tombRecord(text, generation, id, this.instant(at));
  }

  #key(tracker: Tracker, key: unknown): string | undefined {
    const text = keyText(key);
    if (text === undefined) {
      const message = `a journal cannot carry the key ${describe(key)}: the entry is left out`;
      this.#leftOut(tracker, 'persist', key, new MapsweepTypeError('ERR_JOURNAL_KEY', message));
    }
    return text;
  }

  #eventValue(tracker: Tracker, event: EndedEvent): string | undefined {
    const past = this.#host.pastValueOf(event);
    if (past !== undefined) return JSON.stringify(past);
    if (tracker.policy.persist?.encode === undefined || event.value === undefined) return undefined;
    return this.#value(tracker, event.value, event.key);
  }

  #detail(tracker: Tracker, { detail, key }: EndedEvent): string | undefined {
    if (detail === undefined) return undefined;
    try {
      const json = JSON.stringify(detail) as string | undefined;
      if (json !== undefined) return json;
      throw new MapsweepTypeError('ERR_INVALID_ANSWER', `JSON cannot carry the detail ${describe(detail)}`);
    } catch (error) {
      this.#leftOut(tracker, 'detail', key, error);
      return undefined;
    }
  }

  #value(tracker: Tracker, value: unknown, key: unknown): string | undefined {
    try {
      const encoded: unknown = tracker.policy.persist?.encode?.(value, key);
      const json = isThenable(encoded) ? undefined : (JSON.stringify(encoded) as string | undefined);
      if (json !== undefined) return json;
      swallowRejection(encoded, () => {});
      throw new MapsweepTypeError(
        'ERR_INVALID_ANSWER',
        `persist.encode must answer what JSON can carry, got ${describe(encoded)}`,
      );
    } catch (error) {
      this.#leftOut(tracker, 'persist.encode', key, error);
      return undefined;
    }
  }

  #leftOut({ name }: Tracker, callback: string, key: unknown, error: unknown): void {
    this.#host.failures.reportOnce(name, callback, key, error);
  }

  #sumsOf(tracker: Tracker): Map<number, number> {
    let sums = this.#sums.get(tracker);
    if (sums === undefined) {
      sums = new Map();
      this.#sums.set(tracker, sums);
    }
    return sums;
  }
}
