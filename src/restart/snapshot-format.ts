import { MapsweepError } from '../errors.js';
import { describe } from '../policy/read-options.js';

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

type Check = (value: unknown, path: string) => void;

/**
 * Checks that a value is a snapshot, all of it, before anything is done with it.
 *
 * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, naming the place, what is there and what should be
 */
export function checkSnapshot(value: unknown): RegistrySnapshot {
  record({
    format: exactly('mapsweep-snapshot'),
    version: exactly(1),
    takenAt: instant,
    maps: recordOf(record({ lastGeneration: count, entries: arrayOf(entry) })),
    ended: optional(
      record({
        map: text,
        tombstones: arrayOf(record({ key: anything, id: text, generation: count, at: instant })),
        pending: arrayOf(record({ event, attempts: count })),
        deadLetters: arrayOf(
          record({
            event,
            attempts: count,
            ambiguous: truth,
            at: instant,
            cause: oneOf('attempts-exhausted', 'timed-out', 'overflow'),
            error: optional(text),
          }),
        ),
      }),
    ),
  })(value, 'snapshot');
  const snapshot = value as RegistrySnapshot;
  // Without its id nobody could be told of the end of a run, or told from a second time.
  const { ended, maps } = snapshot;
  const runs = ended === undefined ? [] : (maps[ended.map]?.entries ?? []);
  runs.forEach(({ id }, index) => {
    text(id, `snapshot.maps[${JSON.stringify(ended?.map)}].entries[${index}].id`);
  });
  return snapshot;
}

function damaged(path: string, expected: string, received: unknown): MapsweepError {
  return new MapsweepError(
    'ERR_INVALID_SNAPSHOT',
    `${path}: expected ${expected}, received ${describe(received)}. Nothing was restored`,
  );
}

const anything: Check = (value, path) => {
  if (value === undefined) throw damaged(path, 'JSON', value);
};

const optional =
  (check: Check): Check =>
  (value, path) => {
    if (value !== undefined) check(value, path);
  };

const exactly =
  (wanted: string | number | true): Check =>
  (value, path) => {
    if (value !== wanted) throw damaged(path, JSON.stringify(wanted), value);
  };

const oneOf =
  (...choices: string[]): Check =>
  (value, path) => {
    if (!choices.includes(value as string)) throw damaged(path, choices.join(' or '), value);
  };

const text: Check = (value, path) => {
  if (typeof value !== 'string') throw damaged(path, 'a string', value);
};

const truth: Check = (value, path) => {
  if (typeof value !== 'boolean') throw damaged(path, 'true or false', value);
};

const count: Check = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw damaged(path, 'an integer of at least 0', value);
};

const instant: Check = (value, path) => {
  if (!Number.isFinite(value)) throw damaged(path, 'epoch milliseconds', value);
};

const record =
  (checks: Record<string, Check>): Check =>
  (value, path) => {
    if (!isRecord(value)) throw damaged(path, 'an object', value);
    for (const [name, check] of Object.entries(checks)) {
      check(Object.hasOwn(value, name) ? value[name] : undefined, `${path}.${name}`);
    }
  };

const recordOf =
  (check: Check): Check =>
  (value, path) => {
    if (!isRecord(value)) throw damaged(path, 'an object', value);
    for (const [name, item] of Object.entries(value)) check(item, `${path}[${JSON.stringify(name)}]`);
  };

const arrayOf =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) throw damaged(path, 'an array', value);
    value.forEach((item, index) => {
      check(item, `${path}[${index}]`);
    });
  };

const entry = record({
  key: anything,
  registeredAt: instant,
  lastActiveAt: instant,
  generation: count,
  borrowedAt: optional(instant),
  id: optional(text),
  claimed: optional(exactly(true)),
});

const event = record({
  id: text,
  key: anything,
  generation: count,
  reason: text,
  registeredAt: instant,
  lastActiveAt: instant,
  endedAt: instant,
});

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
