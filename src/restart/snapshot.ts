import type { Deliveries } from '../endings/deliveries.js';
import type { Endings } from '../endings/endings.js';
import type { Tombstones } from '../endings/tombstones.js';
import { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';
import { describe } from '../events/shown.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { AbsentEntry, Restoration } from './restoration.js';
import type {
  KeyCodec,
  RegistrySnapshot,
  SnapshotEndings,
  SnapshotEntry,
  SnapshotEvent,
  SnapshotMap,
} from './snapshot-format.js';

/** The parts of a registry that a snapshot is taken of. */
export interface SnapshotSources {
  readonly engine: Engine;
  readonly endings: Endings | undefined;
  readonly tombstones: Tombstones | undefined;
  readonly deliveries: Deliveries | undefined;
  readonly restoration: Restoration;
}

/** How keys and values travel. */
export interface SnapshotCodecs {
  readonly keyCodec: KeyCodec | undefined;
  readonly encodeValue: ((value: unknown, map: string) => unknown) | undefined;
}

/**
 * Writes down what must survive a restart: stamps, claims, tombstones, and endings that are not delivered. A claim that
 * is being made at this moment counts as open, since it may yet be taken back.
 *
 * @throws MapsweepError `ERR_SNAPSHOT_KEY` for a key that JSON cannot carry and no `keyCodec` turns into JSON
 */
export function takeSnapshot(parts: SnapshotSources, codecs: SnapshotCodecs): RegistrySnapshot {
  const { engine, restoration } = parts;
  const writer = new SnapshotWriter(parts, codecs);
  const maps = new Map<string, SnapshotMap>();
  for (const tracker of engine.trackers.values()) {
    maps.set(tracker.name, writer.map(tracker, restoration.absentFrom(tracker.name)));
  }
  for (const name of restoration.mapsThatAreAbsent()) {
    if (maps.has(name)) continue;
    maps.set(name, { lastGeneration: 0, entries: writer.absent(name, restoration.absentFrom(name)) });
  }
  const ended = writer.endings();
  return {
    format: 'mapsweep-snapshot',
    version: 1,
    takenAt: engine.timeline.clock.now(),
    // Defined and not assigned, since a map may be called `__proto__`.
    maps: Object.fromEntries(maps),
    ...(ended === undefined ? {} : { ended }),
  };
}

class SnapshotWriter {
  readonly #parts: SnapshotSources;
  readonly #codecs: SnapshotCodecs;

  constructor(parts: SnapshotSources, codecs: SnapshotCodecs) {
    this.#parts = parts;
    this.#codecs = codecs;
  }

  map(tracker: Tracker, absent: readonly AbsentEntry[]): SnapshotMap {
    const { engine, endings } = this.#parts;
    const { stamps, name } = tracker;
    const ofEnded = endings?.tracker === tracker ? endings : undefined;
    const entries = this.absent(name, absent);
    for (const [key, slot] of stamps.entries()) {
      const json = this.#key(key, name);
      if (json === undefined) continue;
      const entry: SnapshotEntry = { key: json, ...shownStamps(stamps, engine.timeline, slot) };
      const borrowedAt = tracker.activity.latest(slot);
      if (borrowedAt > stamps.lastActiveAt(slot)) entry.borrowedAt = engine.timeline.toEpoch(borrowedAt);
      if (ofEnded !== undefined) {
        entry.id = ofEnded.idOf(slot);
        if (ofEnded.isClaimed(slot) && !ofEnded.isTentative(slot)) entry.claimed = true;
        else Object.assign(entry, this.#value(tracker.native.get(key), name));
      }
      entries.push(entry);
    }
    return { lastGeneration: stamps.lastGeneration, entries };
  }

  /** Entries of an earlier life that have not come back. */
  absent(map: string, absent: readonly AbsentEntry[]): SnapshotEntry[] {
    return absent.flatMap(({ key, entry }) => {
      const json = this.#key(key, map);
      return json === undefined ? [] : [{ ...entry, key: json }];
    });
  }

  endings(): SnapshotEndings | undefined {
    const { endings, tombstones, deliveries, engine, restoration } = this.#parts;
    if (endings === undefined || tombstones === undefined) return undefined;
    const map = endings.tracker.name;
    const state = deliveries?.notifier.export() ?? { pending: [], deadLetters: [] };
    const tentative = endings.tentativeKeys();
    // Claimed in the midst of a removal: the notifier has it as soon as its companions have left.
    const endingNow = deliveries === undefined ? [] : endings.endingNow();
    const pending = [...state.pending, ...endingNow.map((event) => ({ event, attempts: 0 }))];
    return {
      map,
      tombstones: [...tombstones.entries()].flatMap(([key, { id, generation, at }]) => {
        const json = this.#key(key, map);
        if (json === undefined || tentative.has(key)) return [];
        return [{ key: json, id, generation, at: engine.timeline.toEpoch(at) }];
      }),
      pending: pending.flatMap(({ event, attempts }) => {
        const json = this.#event(event, map, restoration.isRestored(event.id));
        return json === undefined ? [] : [{ event: json, attempts }];
      }),
      deadLetters: state.deadLetters.flatMap((letter) => this.#letter(letter, map)),
    };
  }

  #letter(letter: DeadLetter, map: string): SnapshotEndings['deadLetters'] {
    const { event, attempts, ambiguous, at, cause, error } = letter;
    const json = this.#event(event, map, this.#parts.restoration.isRestored(event.id));
    if (json === undefined) return [];
    const said = error === undefined ? {} : { error: messageOf(error) };
    return [{ event: json, attempts, ambiguous, at, cause, ...said }];
  }

  /** A value that came out of a snapshot is JSON already, and is not encoded a second time. */
  #event(event: EndedEvent, map: string, isEncoded: boolean): SnapshotEvent | undefined {
    const key = this.#key(event.key, map);
    if (key === undefined) return undefined;
    const { id, generation, reason, registeredAt, lastActiveAt, endedAt, value } = event;
    const carried = isEncoded ? (value === undefined ? {} : { value }) : this.#value(value, map);
    const detail = this.#detail(event.detail, event.key, map);
    const base = { id, key, generation, reason, registeredAt, lastActiveAt, endedAt };
    return { ...base, ...carried, ...(detail === undefined ? {} : { detail }) };
  }

  #key(key: unknown, map: string): unknown {
    const { keyCodec } = this.#codecs;
    const encoded: unknown = keyCodec === undefined ? key : keyCodec.encode(key, map);
    if (keyCodec !== undefined) return encoded === undefined ? undefined : plainJson(encoded);
    if (typeof encoded === 'string' || typeof encoded === 'boolean' || encoded === null) return encoded;
    if (Number.isFinite(encoded)) return encoded;
    throw new MapsweepError(
      'ERR_SNAPSHOT_KEY',
      `maps.${map}: JSON cannot carry the key ${describe(key)}. Give createRegistry a keyCodec; its encode may answer ` +
        'undefined to leave such entries out',
    );
  }

  #value(value: unknown, map: string): { value?: unknown } {
    const { encodeValue } = this.#codecs;
    if (encodeValue === undefined || value === undefined) return {};
    try {
      const encoded = plainJson(encodeValue(value, map));
      return encoded === undefined ? {} : { value: encoded };
    } catch (error) {
      this.#parts.engine.failures.report(map, 'encodeValue', undefined, error);
      return {};
    }
  }

  #detail(detail: unknown, key: unknown, map: string): unknown {
    if (detail === undefined) return undefined;
    try {
      const json = plainJson(detail);
      if (json !== undefined) return json;
      throw new MapsweepError('ERR_INVALID_SNAPSHOT', `JSON cannot carry the detail ${describe(detail)}`);
    } catch (error) {
      this.#parts.engine.failures.report(map, 'detail', key, error);
      return undefined;
    }
  }
}

/** A copy that holds nothing but JSON; `undefined` where there is nothing left. */
function plainJson(value: unknown): unknown {
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? undefined : JSON.parse(json);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : describe(error);
}
