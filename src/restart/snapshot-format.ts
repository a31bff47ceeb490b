import { MapsweepError } from '../errors.js';
import { describe } from '../events/shown.js';
import {
  anything,
  arrayOf,
  count,
  exactly,
  instant,
  optional,
  record,
  recordOf,
  text,
  truth,
} from '../policy/checks.js';

/** Carries keys through JSON. `decode(encode(key))` has to be the same key, to a Map. */
export interface KeyCodec {
  /** The key as JSON: a string, a number, an array. `undefined` leaves the entry out of the snapshot. */
  encode: (key: unknown, map: string) => unknown;
  decode: (json: unknown, map: string) => unknown;
}

/** One entry: its key as JSON, and its stamps. All instants are epoch ms. */
export interface SnapshotEntry {
  key: unknown;
  registeredAt: number;
  lastActiveAt: number;
  generation: number;
  /** The last activity of its companions, where that is later. */
  borrowedAt?: number;
  /** Only in the map of the endings: the id of the registration. */
  id?: string;
  /** Only there: its end has been claimed. */
  claimed?: true;
  /** Only there, of an entry that is not claimed, and only with `encodeValue`. */
  value?: unknown;
}

/** The entries of one map, in order of registration. */
export interface SnapshotMap {
  lastGeneration: number;
  entries: SnapshotEntry[];
}

/** An ending as JSON carries it. */
export interface SnapshotEvent {
  id: string;
  key: unknown;
  generation: number;
  reason: string;
  registeredAt: number;
  lastActiveAt: number;
  endedAt: number;
  value?: unknown;
  detail?: unknown;
}

/** Everything about the endings of one map. */
export interface SnapshotEndings {
  map: string;
  tombstones: Array<{ key: unknown; id: string; generation: number; at: number }>;
  pending: Array<{ event: SnapshotEvent; attempts: number }>;
  deadLetters: Array<{
    event: SnapshotEvent;
    attempts: number;
    ambiguous: boolean;
    at: number;
    cause: 'attempts-exhausted' | 'timed-out' | 'overflow';
    error?: string;
  }>;
}

/** What `registry.snapshot()` returns: plain JSON. */
export interface RegistrySnapshot {
  format: 'mapsweep-snapshot';
  version: 1;
  /** Epoch ms. */
  takenAt: number;
  maps: Record<string, SnapshotMap>;
  ended?: SnapshotEndings;
}

const event = record<SnapshotEvent>({
  id: text,
  key: anything,
  generation: count,
  reason: text,
  registeredAt: instant,
  lastActiveAt: instant,
  endedAt: instant,
  value: optional(anything),
  detail: optional(anything),
});

const entry = record<SnapshotEntry>({
  key: anything,
  registeredAt: instant,
  lastActiveAt: instant,
  generation: count,
  borrowedAt: optional(instant),
  id: optional(text),
  claimed: optional(exactly(true)),
  value: optional(anything),
});

const snapshotReader = record<RegistrySnapshot>({
  format: exactly('mapsweep-snapshot'),
  version: exactly(1),
  takenAt: instant,
  maps: recordOf(record<SnapshotMap>({ lastGeneration: count, entries: arrayOf(entry) })),
  ended: optional(
    record<SnapshotEndings>({
      map: text,
      tombstones: arrayOf(record({ key: anything, id: text, generation: count, at: instant })),
      pending: arrayOf(record({ event, attempts: count })),
      deadLetters: arrayOf(
        record({
          event,
          attempts: count,
          ambiguous: truth,
          at: instant,
          cause: exactly('attempts-exhausted', 'timed-out', 'overflow'),
          error: optional(text),
        }),
      ),
    }),
  ),
});

/**
 * Checks that a value is a snapshot, all of it, before anything is done with it.
 *
 * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, naming the place, what is there and what should be
 */
export function checkSnapshot(value: unknown): RegistrySnapshot {
  const snapshot = snapshotReader(value, 'snapshot', damaged);
  // Without its id nobody could be told of the end of a run, or told from a second time.
  const { ended, maps } = snapshot;
  const runs = ended === undefined ? [] : (maps[ended.map]?.entries ?? []);
  runs.forEach(({ id }, index) => {
    text(id, `snapshot.maps[${JSON.stringify(ended?.map)}].entries[${index}].id`, damaged);
  });
  return snapshot;
}

function damaged(path: string, expected: string, received: unknown): MapsweepError {
  return new MapsweepError(
    'ERR_INVALID_SNAPSHOT',
    `${path}: expected ${expected}, received ${describe(received)}. Nothing was restored`,
  );
}
