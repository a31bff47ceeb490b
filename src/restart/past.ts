import { defaultRecipient } from '../endings/ended-policy.js';
import { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import { describe } from '../events/shown.js';
import { pastAgesOf } from './age-records.js';
import type { JournalRecord } from './journal.js';
import {
  type Left,
  obligationKey,
  type PastEnding,
  PastEntry,
  type PastLetter,
  type PastMap,
  type PastTombstone,
} from './left.js';
import { count, flag, instant, knownKey, list, members, text } from './record-fields.js';
import { type EndMore, type EntryMore, type LetterMore, type Life, recordsVersion } from './records.js';

/** A record that says nothing to this version: it is damaged, or of a later one. Whoever reads it knows where it stands. */
export class RecordError extends MapsweepError {}

/** The clocks as they stand now, to be held against those of the last life. */
export type PresentClocks = Omit<Life, 'id' | 'everyMs'>;

/**
 * What earlier lives of a process left: their records, played again.
 *
 * Each life counts its instants from one of its own. Here they stand on one line: the time between two lives is what the
 * kernel's clock says if both saw the same boot, else what the wall clock says, and never less than nothing.
 */
export class Past implements Left {
  readonly maps = new Map<string, PastMap>();
  readonly endings = new Map<string, PastEnding>();
  readonly tombstones = new Map<string, PastTombstone>();
  /** The map whose runs end, as the last life had it. */
  endedMap: string | undefined;
  /** How many lives there were. */
  lives = 0;

  #life: Life | undefined;
  #jumpedMs = 0;
  #windowMs = 0;
  // Of the present life, on the common line.
  #origin = 0;
  #latest = 0;
  readonly #names = new Map<number, PastMap>();

  /** How often the last life wrote activity, ms: what was active may have been so for as long after it was written. */
  get everyMs(): number {
    return this.#life?.everyMs ?? 0;
  }

  /** Whether nothing was left. */
  get isEmpty(): boolean {
    return this.lives === 0;
  }

  /**
   * Plays one record.
   *
   * @throws RecordError `ERR_JOURNAL_VERSION` for a record of a later version; `ERR_JOURNAL_DAMAGED` for one that is none
   */
  play(record: JournalRecord): void {
    try {
      this.#play(record);
    } catch (cause) {
      if (cause instanceof RecordError) throw cause;
      throw damaged(record, cause);
    }
  }

  /**
   * Ends the past at the present.
   *
   * @returns what has to be added to an instant of the past to have it in the time of `now`, whose instant 0 is `wall`
   *   and `boot`
   */
  end(now: PresentClocks): number {
    if (this.#life === undefined) return 0;
    this.#closeLife();
    const present = this.presentAt(now);
    this.#leaveOut(present - this.#latest);
    return -present;
  }

  /** Instant 0 of the last life, in ms of this past. */
  get origin(): number {
    return this.#origin;
  }

  /** The instant at which the clocks stand like this, in ms of this past; never before its latest. */
  presentAt(now: PresentClocks): number {
    return this.#life === undefined ? 0 : this.#latest + this.#gapTo(now);
  }

  #play(record: JournalRecord): void {
    const [kind] = record;
    if (this.#life === undefined && kind !== 'life')
      throw new TypeError('no record says whose life it belongs to');
    switch (kind) {
      case 'set':
        this.#set(record);
        return;
      case 'left':
        for (const generation of record.slice(2)) this.#mapAt(record[1]).entries.delete(count(generation));
        return;
      case 'active':
      case 'used':
        this.#active(kind, record);
        return;
      case 'end':
        this.#end(record);
        return;
      case 'done':
        this.endings.delete(obligationKey(text(record[1]), recipientOf(record[2])));
        return;
      case 'quiet':
        this.#claim(count(record[1]));
        return;
      case 'failed': {
        const [, id, attempts, triedAt, at, recipient] = record;
        // The life has come that far, though nothing else may have happened since.
        this.#at(at);
        const ending = this.#endingOf(id, recipient);
        const failed = { attempts: count(attempts), triedAt: this.#at(triedAt) };
        if (ending !== undefined) Object.assign(ending, failed);
        return;
      }
      case 'dead':
        this.#dead(record);
        return;
      case 'late': {
        const { error, recipient } = letterMore(record[2]);
        const ending = this.#endingOf(record[1], recipient);
        if (ending?.letter !== undefined) ending.letter = { ...ending.letter, ambiguous: false, error };
        return;
      }
      case 'retry': {
        const ending = this.#endingOf(record[1], record[2]);
        if (ending === undefined) return;
        ending.letter = undefined;
        ending.attempts = 0;
        ending.triedAt = undefined;
        return;
      }
      case 'value': {
        const entry = this.#mapAt(record[1]).entries.get(count(record[2]));
        if (entry !== undefined) entry.value = record[3];
        return;
      }
      case 'back':
        this.#back(record);
        return;
      case 'ages': {
        const map = this.#mapAt(record[1]);
        const ages = pastAgesOf(record, (at) => this.#at(at));
        // A checkpoint may repeat an older one.
        if (ages.at >= (map.ages?.at ?? ages.at)) map.ages = ages;
        return;
      }
      case 'tomb': {
        const [, key, generation, id, at] = record;
        const tombstone = {
          key: knownKey(key),
          generation: count(generation),
          id: text(id),
          at: this.#at(at),
        };
        this.#remember(tombstone);
        this.#raiseGeneration(tombstone.generation);
        return;
      }
      case 'window':
        this.#windowMs = Math.max(this.#windowMs, instant(record[1]));
        return;
      case 'clock':
        this.#jumpedMs = instant(record[1]);
        // The life has come that far, though nothing may have happened since.
        this.#at(record[2]);
        return;
      case 'map':
        this.#map(record);
        return;
      case 'life':
        this.#begin(record);
        return;
      default:
        throw new RecordError(
          'ERR_JOURNAL_VERSION',
          `a record of the kind ${describe(kind)} was written by a later version of mapsweep`,
        );
    }
  }

  #begin([, version, id, wall, bootId, boot, everyMs]: JournalRecord): void {
    if (count(version) > recordsVersion) {
      throw new RecordError(
        'ERR_JOURNAL_VERSION',
        `it was written by a later version of mapsweep (records of version ${version}, this one reads ${recordsVersion})`,
      );
    }
    const life = {
      id: text(id),
      wall: instant(wall),
      bootId: text(bootId),
      boot: instant(boot),
      everyMs: instant(everyMs),
    };
    // Each file repeats whose life it is.
    if (this.#life?.id === life.id) return;
    if (this.#life !== undefined) {
      this.#closeLife();
      const before = this.#latest;
      // Whole ms, as all instants of records: an entry keeps those for less. Later, so that nothing is older than it was.
      this.#origin = Math.ceil(this.#latest + this.#gapTo(life));
      this.#latest = this.#origin;
      this.#leaveOut(this.#origin - before);
    }
    this.#life = life;
    this.#jumpedMs = 0;
    this.#names.clear();
    this.lives += 1;
  }

  /** What was not there in the life that ends has been awaited for longer now. */
  #closeLife(): void {
    if (this.#windowMs > 0) {
      for (const { entries } of this.maps.values()) {
        for (const entry of entries.values()) {
          if (entry.life < this.lives) entry.absentMs += this.#windowMs;
        }
      }
    }
    this.#windowMs = 0;
  }

  /** Nobody could be told, and nothing could leave, while no life was there. */
  #leaveOut(gapMs: number): void {
    for (const ending of this.endings.values()) if (ending.triedAt !== undefined) ending.triedAt += gapMs;
    for (const { ages } of this.maps.values()) if (ages !== undefined) ages.at += gapMs;
  }

  #gapTo(next: PresentClocks): number {
    const { wall, bootId, boot } = this.#life as Life;
    const lived = this.#latest - this.#origin;
    const isSameBoot = bootId !== '' && bootId === next.bootId;
    const elapsed = isSameBoot ? next.boot - boot : next.wall - wall - this.#jumpedMs;
    return Math.max(0, elapsed - lived);
  }

  #map([, index, name, isEnded, lastGeneration]: JournalRecord): void {
    let map = this.maps.get(text(name));
    if (map === undefined) {
      map = { lastGeneration: 0, ages: undefined, entries: new Map() };
      this.maps.set(text(name), map);
    }
    map.lastGeneration = Math.max(map.lastGeneration, count(lastGeneration));
    this.#names.set(count(index), map);
    if (flag(isEnded)) this.endedMap = text(name);
  }

  // There may be a million, so the fields are read by their places.
  #set(record: JournalRecord): void {
    const map = this.#mapAt(record[1]);
    const generation = count(record[3]);
    const registeredAt = this.#at(record[4]);
    const more: EntryMore = record[5] === undefined ? {} : members(record[5]);
    if (generation > map.lastGeneration) map.lastGeneration = generation;
    if (more.c !== undefined && more.c !== 1)
      throw new TypeError(`expected 1 for a claim, found ${describe(more.c)}`);
    const isOfEnded = map === this.#endedMap;
    const entry = new PastEntry({
      key: knownKey(record[2]),
      generation,
      registeredAt,
      lastActiveAt: more.a === undefined ? registeredAt : this.#at(more.a),
      usedAt: more.u === undefined ? undefined : this.#at(more.u),
      lifeId: isOfEnded ? (this.#life as Life).id : undefined,
      ownId: isOfEnded && more.i !== undefined ? text(more.i) : undefined,
      claimed: more.c === 1,
      value: more.v,
      absentMs: more.w === undefined ? 0 : instant(more.w),
      life: more.w === undefined ? this.lives : this.lives - 1,
    });
    map.entries.set(generation, entry);
  }

  get #endedMap(): PastMap | undefined {
    return this.endedMap === undefined ? undefined : this.maps.get(this.endedMap);
  }

  #active(kind: 'active' | 'used', record: JournalRecord): void {
    const { entries } = this.#mapAt(record[1]);
    const at = this.#at(record[2]);
    for (let index = 3; index < record.length; index += 1) {
      const entry = entries.get(count(record[index]));
      if (entry === undefined) continue;
      entry.wasActive(kind, at);
    }
  }

  #back(record: JournalRecord): void {
    const { entries } = this.#mapAt(record[1]);
    for (const generation of record.slice(2)) {
      const entry = entries.get(count(generation));
      if (entry === undefined) continue;
      entry.life = this.lives;
      entry.absentMs = 0;
    }
  }

  #end([, given, json, reason, ended, age, idle, more]: JournalRecord): void {
    const generation = count(given);
    const endedAt = instant(ended);
    const { i, v, d, n, k, t, r }: Partial<EndMore> = members(more);
    this.#claim(generation);
    const id = text(i);
    const key = knownKey(json);
    if (k === 1) this.#remember({ key, generation, id, at: this.#atEpoch(endedAt) });
    const ending = {
      id,
      key,
      generation,
      reason: text(reason),
      registeredAt: endedAt - instant(age),
      lastActiveAt: endedAt - instant(idle),
      endedAt,
      value: v,
      detail: d,
      isOwnId: k === 1,
    };
    const attempts = n === undefined ? 0 : count(n);
    const triedAt = t === undefined ? undefined : this.#at(t);
    for (const recipient of r === undefined ? [defaultRecipient] : list(r).map(text)) {
      const place = obligationKey(id, recipient);
      // A checkpoint repeats it; what has become of it since stays.
      const known = this.endings.get(place);
      this.endings.set(place, {
        ...ending,
        recipient,
        attempts: Math.max(known?.attempts ?? 0, attempts),
        triedAt: known?.triedAt ?? triedAt,
        letter: known?.letter,
      });
    }
  }

  #endingOf(id: unknown, recipient: unknown): PastEnding | undefined {
    return this.endings.get(obligationKey(text(id), recipientOf(recipient)));
  }

  /** The youngest comes last; one that is only repeated stays where it is. */
  #remember(tombstone: PastTombstone): void {
    const { id, generation } = tombstone;
    if (this.tombstones.get(id)?.generation !== generation) this.tombstones.delete(id);
    this.tombstones.set(id, tombstone);
  }

  #claim(generation: number): void {
    const entry = this.#endedMap?.entries.get(generation);
    this.#raiseGeneration(generation);
    if (entry !== undefined) entry.claimed = true;
  }

  /** A run that ended in the macrotask of its registration is in no record of its map. */
  #raiseGeneration(generation: number): void {
    const map = this.#endedMap;
    if (map !== undefined && generation > map.lastGeneration) map.lastGeneration = generation;
  }

  #dead([, id, cause, attempts, ambiguous, at, diedAt, more]: JournalRecord): void {
    const { error, recipient } = letterMore(more);
    const ending = this.#endingOf(id, recipient);
    const counted = count(attempts);
    const letter: PastLetter = {
      cause: text(cause) as DeadLetter['cause'],
      ambiguous: flag(ambiguous),
      at: instant(at),
      diedAt: this.#at(diedAt),
      error,
    };
    if (ending === undefined) return;
    // Letters stand in the order of their deaths: the oldest goes first when there are too many.
    const place = obligationKey(ending.id, ending.recipient);
    this.endings.delete(place);
    this.endings.set(place, ending);
    ending.attempts = counted;
    ending.letter = letter;
  }

  #mapAt(index: unknown): PastMap {
    const map = this.#names.get(index as number);
    if (map === undefined) throw new TypeError(`there is no map of the index ${describe(index)}`);
    return map;
  }

  /** An epoch instant by the wall clock of the life whose records are being played, on the common line. */
  #atEpoch(epoch: number): number {
    return this.#origin + epoch - (this.#life as Life).wall - this.#jumpedMs;
  }

  /** An instant of the life whose records are being played, on the common line. */
  #at(given: unknown): number {
    const at = this.#origin + instant(given);
    if (at > this.#latest) this.#latest = at;
    return at;
  }
}

/** Who is meant by a record that names nobody is the only one there mostly is. */
const recipientOf = (name: unknown): string => (name === undefined ? defaultRecipient : text(name));

function letterMore(more: unknown): { readonly error: string | undefined; readonly recipient: unknown } {
  const { e, r }: LetterMore = more === undefined ? {} : members(more);
  return { error: e === undefined ? undefined : text(e), recipient: r };
}

function damaged(record: JournalRecord, cause: unknown): RecordError {
  const why = cause instanceof Error ? cause.message : '';
  return new RecordError(
    'ERR_JOURNAL_DAMAGED',
    `a record of the kind ${describe(record[0])} is not what it should be: ${why}`,
    { cause },
  );
}
