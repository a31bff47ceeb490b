import { adopt, createRegistry, type RemovalReason, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { IndexedMap } from '../maps/owner-maps.js';

type Told = [value: unknown, key: unknown, reason: RemovalReason];

const kinds = ['TrackedMap', 'adopted Map', 'adopted subclass'] as const;

function disposing(kind: (typeof kinds)[number], policy: object = {}) {
  const clock = createManualClock();
  const told: Told[] = [];
  const options = { clock, dispose: (...given: unknown[]) => void told.push(given as Told), ...policy };
  const live = kind === 'adopted subclass' ? new IndexedMap() : new Map<string, unknown>();
  const tracked =
    kind === 'TrackedMap' ? new TrackedMap<string, unknown>(undefined, options) : adopt(live, options);
  const map: Map<string, unknown> = kind === 'TrackedMap' ? (tracked as TrackedMap<string, unknown>) : live;
  return { clock, told, map, tracked };
}

describe.each(kinds)('dispose of a %s is called once for every value that leaves', (kind) => {
  it('deleted; and not again, nor for a key that is not there', () => {
    const { told, map } = disposing(kind);
    map.set('a', 1);
    map.delete('a');
    map.delete('a');
    map.delete('b');
    expect(told).toEqual([[1, 'a', 'deleted']]);
    expect(told[0]?.length).toBe(3);
  });

  it('cleared, in the order of the entries', () => {
    const { told, map } = disposing(kind);
    map.set('b', 1).set('a', 2);
    map.clear();
    map.clear();
    expect(told).toEqual([
      [1, 'b', 'cleared'],
      [2, 'a', 'cleared'],
    ]);
  });

  it('swept, evicted', async () => {
    const { clock, told, map, tracked } = disposing(kind, { ttl: '5m', maxEntries: 2 });
    map.set('a', 1).set('b', 2).set('c', 3);
    await clock.advance(0);
    await clock.advance(300_000);
    await tracked.sweep();
    expect(told).toEqual([
      [1, 'a', 'evicted'],
      [2, 'b', 'swept'],
      [3, 'c', 'swept'],
    ]);
  });

  it('deleted inside its own dispose, or cleared: an ordinary call, that finds nothing', async () => {
    const { told, map, tracked } = disposing(kind, {
      ttl: 0,
      dispose: (...given: unknown[]) => {
        told.push(given as Told);
        expect(map.delete(given[1] as string)).toBe(false);
        map.clear();
      },
    });
    map.set('a', 1).set('b', 2).set('c', 3);
    await tracked.sweep();
    expect(told.map(([, key]) => key).sort()).toEqual(['a', 'b', 'c']);
    expect(map.size).toBe(0);
  });

  it('set again inside its own dispose: a new registration, disposed of by itself', async () => {
    let again = 3;
    const { told, map, tracked } = disposing(kind, {
      ttl: 0,
      dispose: (value: number, key: string, reason: RemovalReason) => {
        told.push([value, key, reason]);
        again -= 1;
        if (again > 0) map.set(key, value + 1);
      },
    });
    map.set('a', 1);
    const first = tracked.stamps('a')?.generation as number;
    expect((await tracked.sweep()).swept).toBe(1);
    expect(tracked.stamps('a')?.generation).toBeGreaterThan(first);
    await tracked.sweep();
    await tracked.sweep();
    await tracked.sweep();
    expect(told).toEqual([
      [1, 'a', 'swept'],
      [2, 'a', 'swept'],
      [3, 'a', 'swept'],
    ]);
  });

  it('though it throws, rejects or answers something odd: the rest goes on', async () => {
    const odd = [
      () => {
        throw null;
      },
      async () => {
        throw new Error('late');
      },
      () => 7,
      // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
      () => ({ then: 5 }),
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
        then: (_resolve: unknown, reject: (error: unknown) => void) => reject(new Error('thenable')),
      }),
    ];
    for (const answer of odd) {
      const { told, map, tracked, clock } = disposing(kind, {
        ttl: 0,
        dispose: (...given: unknown[]) => {
          told.push(given as Told);
          return answer();
        },
      });
      map.set('a', 1).set('b', 2);
      expect((await tracked.sweep()).swept).toBe(2);
      map.set('c', 3);
      expect(map.delete('c')).toBe(true);
      map.set('d', 4);
      map.clear();
      await clock.advance(0);
      expect(told.map(([value]) => value)).toEqual([1, 2, 3, 4]);
      expect(map.size).toBe(0);
    }
  });

  it('by release(): not at all, since nothing leaves', () => {
    if (kind === 'TrackedMap') return;
    const { told, map, tracked } = disposing(kind);
    map.set('a', 1);
    (tracked as ReturnType<typeof adopt>).release();
    expect(told).toEqual([]);
    expect(map.size).toBe(1);
  });
});

describe('dispose', () => {
  it('is called after all state has changed: the key is gone, its stamp too, sizes are right', async () => {
    const clock = createManualClock();
    const seen: unknown[] = [];
    const registry = createRegistry<{ map: Map<string, number> }>({
      maps: {
        map: {
          ttl: '1m',
          dispose: (_value, key, reason) =>
            seen.push([
              reason,
              registry.maps.map.has(key),
              registry.stamps('map', key),
              registry.report().maps[0]?.size,
              registry.explain('map', key).state,
            ]),
        },
      },
      clock,
    });
    registry.maps.map.set('a', 1).set('b', 2).set('c', 3);
    registry.maps.map.delete('a');
    await clock.advance(60_000);
    registry.maps.map.set('d', 4);
    registry.maps.map.clear();
    expect(seen).toEqual([
      ['deleted', false, undefined, 2, 'absent'],
      ['swept', false, undefined, 1, 'absent'],
      ['swept', false, undefined, 0, 'absent'],
      ['cleared', false, undefined, 0, 'absent'],
    ]);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a throw is counted and told with map, callback, key and error', () => {
    const clock = createManualClock();
    const registry = createRegistry<{ map: Map<string, number> }>({
      maps: {
        map: {
          dispose: () => {
            throw null;
          },
        },
      },
      clock,
    });
    const failures: unknown[] = [];
    registry.on('callback-failed', (event) => failures.push(event));
    registry.maps.map.set('a', 1);
    registry.maps.map.delete('a');
    expect(failures).toEqual([{ map: 'map', callback: 'dispose', key: 'a', error: null }]);
    expect(registry.report().callbackErrors).toEqual([{ map: 'map', callback: 'dispose', count: 1 }]);
    registry.stop();
  });

  it('tells the key as the map keeps it: 0 for -0', () => {
    const keys: unknown[] = [];
    const note = (_value: number, key: number) => keys.push(key);
    const map = new TrackedMap<number, number>([[-0, 1]], { dispose: note, replaced: note });
    map.set(-0, 2);
    map.delete(-0);
    expect(keys.map((key) => Object.is(key, 0))).toEqual([true, true]);
  });
});
