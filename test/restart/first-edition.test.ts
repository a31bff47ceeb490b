import { createRegistry, type RegistrySnapshot } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

const minute = 60_000;
const hour = 60 * minute;

/** A snapshot as the first edition took it, 1.2 hours after its first run. */
function firstEdition(takenAt: number) {
  const at = takenAt - hour;
  const event = (id: string, key: unknown, generation: number) => ({
    id: `life:${id}`,
    key,
    generation,
    reason: 'completed',
    registeredAt: at,
    lastActiveAt: at,
    endedAt: at + 1_000,
    detail: { code: 7 },
  });
  return {
    format: 'mapsweep-snapshot',
    version: 1,
    takenAt,
    maps: {
      runs: {
        lastGeneration: 9,
        entries: [
          { key: 'open', registeredAt: at, lastActiveAt: at + 30 * minute, generation: 4, id: 'life:4' },
          {
            key: 'used',
            registeredAt: at,
            lastActiveAt: at,
            borrowedAt: takenAt,
            generation: 5,
            id: 'life:5',
          },
          { key: 'ended', registeredAt: at, lastActiveAt: at, generation: 6, id: 'life:6', claimed: true },
          { key: 'lost', registeredAt: at, lastActiveAt: at, generation: 7, id: 'life:7', value: { enc: 1 } },
        ],
      },
      contexts: {
        lastGeneration: 2,
        entries: [{ key: 'open', registeredAt: at, lastActiveAt: at, generation: 2 }],
      },
    },
    ended: {
      map: 'runs',
      tombstones: [{ key: 'gone', id: 'life:3', generation: 3, at }],
      pending: [{ event: event('8', 'pending', 8), attempts: 2 }],
      deadLetters: [
        {
          event: event('9', 'dead', 9),
          attempts: 5,
          ambiguous: true,
          at: at + 2_000,
          cause: 'timed-out',
          error: 'MapsweepError: too late',
        },
      ],
    },
  };
}

type Snapshot = ReturnType<typeof firstEdition>;

function live(clock: ManualClock) {
  const told: unknown[][] = [];
  const registry = createRegistry<{ runs: Map<unknown, object>; contexts: Map<unknown, object> }>({
    clock,
    maps: { runs: { maxIdle: '2h' }, contexts: { follows: 'runs', orphanAfter: '24h' } },
    ended: {
      map: 'runs',
      deliver: ({ id, key, reason, value, detail }, { attempt }) =>
        void told.push([key, reason, id, attempt, value, detail]),
    },
  });
  return { registry, told };
}

const restored = (registry: { restore(snapshot: RegistrySnapshot): void }, snapshot: unknown) =>
  registry.restore(snapshot as RegistrySnapshot);

describe('a snapshot of the first edition', () => {
  it('is restored: stamps, generations, ids and claims, by the wall clock', async () => {
    const clock = createManualClock();
    const { registry, told } = live(clock);
    restored(registry, firstEdition(clock.now() - 10 * minute));
    for (const key of ['open', 'used', 'ended', 'gone']) registry.maps.runs.set(key, {});
    registry.maps.contexts.set('open', {});
    expect(registry.stamps('runs', 'open')).toEqual({
      registeredAt: clock.now() - hour - 10 * minute,
      lastActiveAt: clock.now() - 40 * minute,
      generation: 4,
    });
    expect(registry.stamps('contexts', 'open')).toMatchObject({ generation: 2 });
    expect(registry.stamps('runs', 'gone')?.generation).toBeGreaterThan(9);
    expect(registry.end('ended')).toBe('duplicate');
    // What had left is a new run.
    expect(registry.end('gone')).toBe('claimed');
    registry.end('open');
    await clock.advance(10 * minute);
    const { generation } = registry.stamps('runs', 'gone') as { generation: number };
    expect(told).toEqual([
      ['pending', 'completed', 'life:8', 3, undefined, { code: 7 }],
      ['gone', 'completed', expect.stringMatching(new RegExp(`:${generation}$`)), 1, {}, undefined],
      ['open', 'completed', 'life:4', 1, {}, undefined],
      ['lost', 'lost', 'life:7', 1, { enc: 1 }, undefined],
    ]);
    registry.stop();
  });

  it('keeps the activity that a run had by its companions', async () => {
    const clock = createManualClock();
    const { registry } = live(clock);
    restored(registry, firstEdition(clock.now()));
    registry.maps.runs.set('used', {});
    await clock.advance(2 * hour - 1);
    await registry.sweep();
    expect(registry.maps.runs.has('used')).toBe(true);
    await clock.advance(1);
    await registry.sweep();
    expect(registry.maps.runs.has('used')).toBe(false);
    registry.stop();
  });

  it('keeps dead letters, which can be tried again', async () => {
    const clock = createManualClock();
    const { registry, told } = live(clock);
    restored(registry, firstEdition(clock.now()));
    const [letter] = registry.deadLetters();
    expect(letter).toMatchObject({ id: 'life:9', attempts: 5, ambiguous: true, cause: 'timed-out' });
    expect(String(letter?.error)).toContain('too late');
    registry.redeliver('life:9');
    await clock.advance(0);
    expect(told).toContainEqual(['dead', 'completed', 'life:9', 1, undefined, { code: 7 }]);
    registry.stop();
  });

  it('is the one that a registry takes: the same again is a no-op, another one an error', () => {
    const clock = createManualClock();
    const { registry } = live(clock);
    const snapshot = firstEdition(clock.now());
    restored(registry, snapshot);
    restored(registry, structuredClone(snapshot));
    expect(() => restored(registry, firstEdition(clock.now() - 1))).toThrow(
      /another one was restored before/,
    );
    registry.stop();
  });

  it('is handed on by a snapshot of this version', () => {
    const clock = createManualClock();
    const first = live(clock);
    restored(first.registry, firstEdition(clock.now()));
    const snapshot = JSON.parse(JSON.stringify(first.registry.snapshot()));
    first.registry.stop();
    const next = live(clock);
    restored(next.registry, snapshot);
    next.registry.maps.runs.set('open', {});
    expect(next.registry.stamps('runs', 'open')).toMatchObject({
      generation: 4,
      registeredAt: clock.now() - hour,
    });
    expect(next.registry.deadLetters()).toMatchObject([{ id: 'life:9' }]);
    next.registry.stop();
  });
});

describe('a damaged snapshot of the first edition', () => {
  it.each<[damage: string, where: RegExp, change: (snapshot: Snapshot) => unknown]>([
    ['no maps', /^snapshot\.maps: expected an object/, ({ maps: _, ...rest }) => rest],
    [
      'no instant',
      /^snapshot\.takenAt: expected a number of ms/,
      (snapshot) => ({ ...snapshot, takenAt: null }),
    ],
    ['an entry without a key', /entries\[0\]: .*expected a key/, spoilt({ key: undefined })],
    ['a key that a keyCodec made', /entries\[0\]: .*expected a key, found an object/, spoilt({ key: {} })],
    ['a run without an id', /entries\[0\]: expected a string/, spoilt({ id: undefined })],
    [
      'a stamp that is text',
      /entries\[0\]: expected a number of ms, found "now"/,
      spoilt({ registeredAt: 'now' }),
    ],
    ['a negative generation', /entries\[0\]: .*expected an integer/, spoilt({ generation: -1 })],
    ['a claim that is 1', /entries\[0\]: .*expected 1 for a claim/, spoilt({ claimed: 1 })],
    [
      'dead letters that are no array',
      /^snapshot\.ended\.deadLetters: expected an array/,
      (snapshot) => ({ ...snapshot, ended: { ...snapshot.ended, deadLetters: {} } }),
    ],
    [
      'a pending event without an id',
      /pending\[0\]: .*expected a string/,
      (snapshot) => ({
        ...snapshot,
        ended: {
          ...snapshot.ended,
          pending: [{ attempts: 0, event: { ...snapshot.ended.pending[0]?.event, id: undefined } }],
        },
      }),
    ],
    [
      'a map of the endings that is no name',
      /^snapshot\.ended\.map: expected a string, found null/,
      (snapshot) => ({ ...snapshot, ended: { ...snapshot.ended, map: null } }),
    ],
    [
      'a pending event without attempts',
      /pending\[0\]: .*expected an integer/,
      (snapshot) => ({
        ...snapshot,
        ended: { ...snapshot.ended, pending: [{ ...snapshot.ended.pending[0], attempts: undefined }] },
      }),
    ],
    [
      'a dead letter that may be ambiguous',
      /deadLetters\[0\]: .*expected true or false, found null/,
      (snapshot) => ({
        ...snapshot,
        ended: { ...snapshot.ended, deadLetters: [{ ...snapshot.ended.deadLetters[0], ambiguous: null }] },
      }),
    ],
    [
      'a cause that is none',
      /deadLetters\[0\]: .*found "boredom"/,
      (snapshot) => ({
        ...snapshot,
        ended: { ...snapshot.ended, deadLetters: [{ ...snapshot.ended.deadLetters[0], cause: 'boredom' }] },
      }),
    ],
  ])('with %s changes nothing, and says where', (_damage, where, change) => {
    const clock = createManualClock();
    const { registry } = live(clock);
    const untouched = registry.snapshot();
    expect(() => restored(registry, change(firstEdition(clock.now())))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_SNAPSHOT', message: expect.stringMatching(where) }),
    );
    expect(registry.snapshot()).toEqual(untouched);
    registry.stop();
  });
});

/** Changes the first run. */
function spoilt(by: object): (snapshot: Snapshot) => Snapshot {
  return (snapshot) => {
    Object.assign(snapshot.maps.runs.entries[0] as object, by);
    return snapshot;
  };
}
