import { adopt, createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { IndexedMap } from './owner-maps.js';

type Told = unknown[];

const kinds = ['TrackedMap', 'adopted Map', 'adopted subclass'] as const;

function replacing(kind: (typeof kinds)[number], policy: object = {}) {
  const clock = createManualClock();
  const told: Told[] = [];
  const disposed: Told[] = [];
  const options = {
    clock,
    dispose: (...given: unknown[]) => void disposed.push(given),
    replaced: (...given: unknown[]) => void told.push(given),
    ...policy,
  };
  const live = kind === 'adopted subclass' ? new IndexedMap() : new Map<string, unknown>();
  const tracked =
    kind === 'TrackedMap' ? new TrackedMap<string, unknown>(undefined, options) : adopt(live, options);
  const map: Map<string, unknown> = kind === 'TrackedMap' ? (tracked as TrackedMap<string, unknown>) : live;
  return { clock, told, disposed, map, tracked };
}

describe.each(kinds)('replaced of a %s', (kind) => {
  it('is told of a value that is overwritten, with the new one, after that is in the map; dispose is not', () => {
    const seen: unknown[] = [];
    const { map, disposed } = replacing(kind, {
      replaced: (...given: unknown[]) => seen.push([...given, map.get('a')]),
    });
    map.set('a', 1).set('a', 2).set('a', undefined).set('a', 3);
    expect(seen).toEqual([
      [1, 'a', 2, 2],
      [2, 'a', undefined, undefined],
      [undefined, 'a', 3, 3],
    ]);
    expect(disposed).toEqual([]);
    map.delete('a');
    expect(disposed).toEqual([[3, 'a', 'deleted']]);
    expect(seen).toHaveLength(3);
  });

  it('is not told where the very same value is set again, NaN included, nor of a touch', () => {
    const { told, map, tracked } = replacing(kind);
    const value = {};
    map.set('a', value).set('a', value).set('n', Number.NaN).set('n', Number.NaN);
    tracked.touch('a');
    expect(told).toEqual([]);
    map.set('a', {});
    expect(told).toEqual([[value, 'a', {}]]);
  });

  it('leaves the registration as it was, and counts as activity', async () => {
    const { clock, map, tracked } = replacing(kind);
    map.set('a', 1);
    const before = tracked.stamps('a');
    await clock.advance(10);
    map.set('a', 2);
    expect(tracked.stamps('a')).toEqual({ ...before, lastActiveAt: clock.now() });
  });

  it('may set the key again, delete it or clear the map: each value is told of once, and the last stays', () => {
    let left = 5;
    const { told, map } = replacing(kind, {
      replaced: (value: number, key: string) => {
        told.push([value]);
        left -= 1;
        if (left > 0) map.set(key, 100 + left);
      },
    });
    map.set('a', 1).set('a', 2);
    expect(told).toEqual([[1], [2], [104], [103], [102]]);
    expect(map.get('a')).toBe(101);
    for (const act of ['delete', 'clear'] as const) {
      const { map: other, disposed } = replacing(kind, {
        replaced: () => (act === 'delete' ? other.delete('b') : other.clear()),
      });
      other.set('b', 1).set('b', 2);
      expect([other.size, disposed]).toEqual([0, [[2, 'b', act === 'delete' ? 'deleted' : 'cleared']]]);
    }
  });

  it('goes no further though it throws or rejects: the value is set, and the failure is counted', async () => {
    const answers = [
      () => {
        throw null;
      },
      async () => {
        throw new Error('late');
      },
    ];
    for (const answer of answers) {
      const { map, clock } = replacing(kind, { replaced: answer });
      expect(map.set('a', 1).set('a', 2)).toBe(map);
      await clock.advance(0);
      expect(map.get('a')).toBe(2);
    }
  });
});

describe('replaced', () => {
  it('of a throw and of a rejection is counted and told with map, callback, key and error', async () => {
    const clock = createManualClock();
    const failed: unknown[] = [];
    const registry = createRegistry<{ map: Map<string, number> }>({
      maps: {
        map: {
          replaced: (value) => {
            if (value === 1) throw null;
            return Promise.reject(new Error('late'));
          },
        },
      },
      clock,
    });
    registry.on('callback-failed', (event) => failed.push(event));
    registry.maps.map.set('a', 1).set('a', 2).set('a', 3);
    await clock.advance(0);
    expect(failed).toEqual([
      { map: 'map', callback: 'replaced', key: 'a', error: null },
      { map: 'map', callback: 'replaced', key: 'a', error: new Error('late') },
    ]);
    expect(registry.report().callbackErrors).toEqual([{ map: 'map', callback: 'replaced', count: 2 }]);
    registry.stop();
  });

  it('lets a session that is updated immutably keep its socket, which is closed when it leaves', async () => {
    const clock = createManualClock();
    const closed: string[] = [];
    const close = (socket: { name: string }) => closed.push(socket.name);
    interface Session {
      readonly socket: { name: string };
      readonly turns: number;
    }
    const registry = createRegistry<{ sessions: Map<string, Session> }>({
      maps: {
        sessions: {
          maxIdle: '30m',
          dispose: ({ socket }) => close(socket),
          replaced: ({ socket }, _key, replacement) => {
            if (socket !== replacement.socket) close(socket);
          },
        },
      },
      clock,
    });
    const { sessions } = registry.maps;
    const first: Session = { socket: { name: 'first' }, turns: 0 };
    sessions.set('s', first);
    sessions.set('s', { ...first, turns: 1 });
    expect(closed).toEqual([]);
    sessions.set('s', { socket: { name: 'second' }, turns: 0 });
    expect(closed).toEqual(['first']);
    await clock.advance(30 * 60_000);
    expect(closed).toEqual(['first', 'second']);
    registry.stop();
  });

  it.each([
    ['createRegistry', () => createRegistry({ maps: { s: { adopt: new Set([1]), replaced: () => {} } } })],
    ['adopt', () => adopt(new Set([1]), { replaced: () => {} })],
    [
      'registry.adopt',
      () => {
        const registry = createRegistry({ maps: {} });
        registry.stop();
        return registry.adopt('s', new Set([1]), { replaced: () => {} });
      },
    ],
  ])('is refused on a Set by %s, which adopts nothing', (_, run) => {
    expect(run).toThrow(/replaced is never called on a Set/);
  });
});
