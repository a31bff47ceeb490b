import { MapsweepError } from '../errors.js';
import { describe } from '../events/shown.js';
import type { Slices } from '../time/slices.js';
import { pastAgesOf } from './age-records.js';
import type { JournalRecord } from './journal.js';
import { type Left, PastEntry, type PastMap, type PastTombstone } from './left.js';
import { PastEndings } from './past-endings.js';
import { PastTimeline, type PresentClocks } from './past-timeline.js';
import { count, flag, instant, knownKey, members, text } from './record-fields.js';
import { type EntryMore, recordsVersion } from './records.js';

/** A record that says nothing to this version: it is damaged, or of a later one. Whoever reads it knows where it stands. */
export class RecordError extends MapsweepError {}

/** What earlier lives of a process left: their records, played again. */
export class Past implements Left {
  /** On which all its instants stand. */
  readonly timeline = new PastTimeline();
  readonly #owed = new PastEndings(this.timeline);
  readonly maps = new Map<string, PastMap>();
  readonly endings = this.#owed.byShare;
  readonly tombstones = new Map<string, PastTombstone>();
  /** The map whose runs end, as the last life had it. */
  endedMap: string | undefined;
  /** How many lives there were. */
  lives = 0;

  #windowMs = 0;
  readonly #names = new Map<number, PastMap>();

  /** How often the last life wrote activity, ms: what was active may have been so for as long after it was written. */
  get everyMs(): number {
    return this.timeline.life?.everyMs ?? 0;
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
    if (this.isEmpty) return 0;
    this.#closeLife();
    const present = this.timeline.presentAt(now);
    this.#leaveOut(present - this.timeline.latest);
    return -present;
  }

  #play(record: JournalRecord): void {
    const [kind] = record;
    if (this.isEmpty && kind !== 'life') throw new TypeError('no record says whose life it belongs to');
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
      case 'end': {
        const { id, key, generation, endedAt, isOwnId } = this.#owed.end(record);
        this.#claim(generation);
        if (isOwnId) this.#remember({ key, generation, id, at: this.timeline.atEpoch(endedAt) });
        return;
      }
      case 'done':
      case 'failed':
      case 'dead':
      case 'late':
      case 'retry':
        this.#owed.goOn(kind, record);
        return;
      case 'quiet':
        this.#claim(count(record[1]));
        return;
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
        const ages = pastAgesOf(record, (at) => this.timeline.at(at));
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
          at: this.timeline.at(at),
        };
        this.#remember(tombstone);
        this.#raiseGeneration(tombstone.generation);
        return;
      }
      case 'window':
        this.#windowMs = Math.max(this.#windowMs, instant(record[1]));
        return;
      case 'clock':
        this.timeline.jumped(instant(record[1]));
        // The life has come that far, though nothing may have happened since.
        this.timeline.at(record[2]);
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
    if (this.timeline.life?.id === life.id) return;
    this.#closeLife();
    this.#leaveOut(this.timeline.begin(life));
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
    const registeredAt = this.timeline.at(record[4]);
    const more: EntryMore = record[5] === undefined ? {} : members(record[5]);
    if (generation > map.lastGeneration) map.lastGeneration = generation;
    if (more.c !== undefined && more.c !== 1)
      throw new TypeError(`expected 1 for a claim, found ${describe(more.c)}`);
    const isOfEnded = map === this.#endedMap;
    const entry = new PastEntry({
      key: knownKey(record[2]),
      generation,
      registeredAt,
      lastActiveAt: more.a === undefined ? registeredAt : this.timeline.at(more.a),
      usedAt: more.u === undefined ? undefined : this.timeline.at(more.u),
      lifeId: isOfEnded ? this.timeline.life?.id : undefined,
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
    const at = this.timeline.at(record[2]);
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

  /** The youngest comes last; one that is only repeated stays where it is. Of two ends of an id the later one counts. */
  #remember(tombstone: PastTombstone): void {
    const { id, generation, at } = tombstone;
    const known = this.tombstones.get(id);
    // A checkpoint may repeat an older one, of which somebody has not been told.
    if (known !== undefined && known.at > at) return;
    if (known?.generation !== generation) this.tombstones.delete(id);
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

  #mapAt(index: unknown): PastMap {
    const map = this.#names.get(index as number);
    if (map === undefined) throw new TypeError(`there is no map of the index ${describe(index)}`);
    return map;
  }
}

/** Plays all records of a journal, on the caller's time. @throws as `Past.play` */
export function played(batches: Iterable<readonly JournalRecord[]>): Past {
  const past = new Past();
  for (const records of batches) for (const record of records) past.play(record);
  return past;
}

/** Does the same in slices. */
export async function playedInSlices(
  batches: Iterable<readonly JournalRecord[]>,
  slices: Slices,
): Promise<Past> {
  const past = new Past();
  for (const records of batches) {
    for (const record of records) {
      past.play(record);
      if (slices.isOver()) await slices.giveWay();
    }
  }
  return past;
}

function damaged(record: JournalRecord, cause: unknown): RecordError {
  const why = cause instanceof Error ? cause.message : '';
  return new RecordError(
    'ERR_JOURNAL_DAMAGED',
    `a record of the kind ${describe(record[0])} is not what it should be: ${why}`,
    { cause },
  );
}
