import { MapsweepError } from '../errors.js';
import { describe } from '../events/shown.js';
import {
  anything,
  arrayOf,
  count,
  exactly,
  instant,
  kind,
  optional,
  record,
  recordOf,
  text,
  truth,
} from '../policy/checks.js';
import { Past } from './past.js';
import { recordsVersion } from './records.js';

/**
 * What a snapshot of the first edition holds. Its keys are as JSON carries them, and its instants are epoch ms, so that
 * time goes on by the wall clock.
 *
 * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, naming the place, what is there and what should be
 */
export function pastOfFirstEdition(value: unknown): Past {
  const { takenAt, maps, ended } = checkSnapshot(value);
  const past = new Past();
  const life = {
    version: recordsVersion,
    id: 'first edition',
    wall: takenAt,
    bootId: '',
    boot: 0,
    everyMs: 0,
  };
  past.play(['life', ...Object.values(life)]);
  Object.entries(maps).forEach(([name, { lastGeneration, entries }], index) => {
    past.play(['map', index, name, name === ended?.map ? 1 : 0, lastGeneration]);
    for (const entry of entries) {
      const { key, generation, registeredAt, lastActiveAt, borrowedAt, id, claimed, value: v } = entry;
      const more = {
        a: lastActiveAt - takenAt,
        ...(borrowedAt === undefined ? {} : { u: borrowedAt - takenAt }),
        ...(id === undefined ? {} : { i: id }),
        ...(claimed ? { c: 1 } : {}),
        ...(v === undefined ? {} : { v }),
      };
      past.play(['set', index, key, generation, registeredAt - takenAt, more]);
    }
  });
  const letters = ended?.deadLetters ?? [];
  for (const { event: told, attempts } of [...(ended?.pending ?? []), ...letters]) {
    const { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, value: v, detail: d } = told;
    const more = { i: id, n: attempts, ...(v === undefined ? {} : { v }), ...(d === undefined ? {} : { d }) };
    past.play([
      'end',
      generation,
      key,
      reason,
      endedAt,
      endedAt - registeredAt,
      endedAt - lastActiveAt,
      more,
    ]);
  }
  for (const { event: told, cause, attempts, ambiguous, at, error } of letters) {
    past.play([
      'dead',
      told.id,
      cause,
      attempts,
      ambiguous ? 1 : 0,
      at,
      at - takenAt,
      ...(error === undefined ? [] : [{ e: error }]),
    ]);
  }
  return past;
}

/** What a `keyCodec` made of other keys nobody can turn back. */
const key = kind<unknown>(
  'a string, number, boolean or null',
  (value) => value !== undefined && (typeof value !== 'object' || value === null),
);

/** An ending as JSON carries it. */
const event = record({
  id: text,
  key,
  generation: count,
  reason: text,
  registeredAt: instant,
  lastActiveAt: instant,
  endedAt: instant,
  value: optional(anything),
  detail: optional(anything),
});

/** One entry: its key as JSON, and its stamps. All instants are epoch ms. */
const entry = record({
  key,
  registeredAt: instant,
  lastActiveAt: instant,
  generation: count,
  // The last activity of its companions, where that is later.
  borrowedAt: optional(instant),
  // Only in the map of the endings: the id of the registration, and whether its end has been claimed.
  id: optional(text),
  claimed: optional(exactly(true)),
  // Only there, of an entry that is not claimed, and only with the `encodeValue` of then.
  value: optional(anything),
});

/** What `registry.snapshot()` returned in the first edition, and what its `persistTo` kept in a file. */
const snapshotReader = record({
  format: exactly('mapsweep-snapshot'),
  version: exactly(1),
  takenAt: instant,
  // The entries in order of registration.
  maps: recordOf(record({ lastGeneration: count, entries: arrayOf(entry) })),
  // Everything about the endings of one map.
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
function checkSnapshot(value: unknown): ReturnType<typeof snapshotReader> {
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
