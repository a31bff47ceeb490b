import { adopt, createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { describe, expect, it, vi } from 'vitest';

describe('expect(mapOrRegistry).toBeDrained()', () => {
  it('takes a registry whose maps with a lifetime or a leader are empty for drained', () => {
    const registry = createRegistry<Record<'runs' | 'transports' | 'settings', Map<string, unknown>>>({
      maps: { runs: { ttl: '5m' }, transports: { follows: 'runs' }, settings: {} },
      clock: createManualClock(),
    });
    registry.maps.settings.set('theme', 'dark');
    expect(registry).toBeDrained();

    registry.maps.runs.set('run-1', {});
    expect(registry).not.toBeDrained();
    registry.maps.runs.clear();
    registry.maps.transports.set('run-2', {});
    expect(registry).not.toBeDrained();
  });

  it('names each map, its first keys, and why they are still there', async () => {
    const clock = createManualClock();
    const registry = createRegistry<Record<'runs' | 'transports', Map<string, object>>>({
      maps: { runs: { ttl: '5m' }, transports: { follows: 'runs' } },
      clock,
    });
    for (const key of ['a', 'b', 'c', 'd', 'e']) registry.maps.runs.set(key, {});
    registry.maps.transports.set('a', {});
    await clock.advance(60_000);
    expect(() => expect(registry).toBeDrained()).toThrow(
      [
        'expected the registry to be drained, but it holds:',
        '  runs: 5 entries',
        "    'a': live, due by ttl in 4m; age 1m, idle 1m",
        "    'b': live, due by ttl in 4m; age 1m, idle 1m",
        "    'c': live, due by ttl in 4m; age 1m, idle 1m",
        '    and 2 more',
        '  transports: 1 entry',
        "    'a': live, it leaves with its leader, which is in 'runs'; age 1m, idle 1m",
      ].join('\n'),
    );
  });

  it('counts a notification that is pending as not drained', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { ttl: '5m' } },
      ended: { map: 'runs', deliver: () => new Promise(() => {}) },
      clock,
    });
    registry.maps.runs.set('run-1', {});
    registry.maps.runs.delete('run-1');
    expect(() => expect(registry).toBeDrained()).toThrow(/but it holds:\n {2}1 notification pending$/);
  });

  it('takes a restored run that has not come back for pending', async () => {
    const start = () =>
      createRegistry<{ runs: Map<string, object> }>({
        maps: { runs: { ttl: '5m' } },
        ended: { map: 'runs' },
        clock: createManualClock(),
      });
    const before = start();
    before.maps.runs.set('run-1', {});
    const after = start();
    after.restore(before.snapshot());
    expect(after).not.toBeDrained();
    await expect(after).toDrainWithin('10m');
  });

  it('takes a TrackedMap, an adopted Map or Set and its handle, whatever lifetime these have', () => {
    const tracked = new TrackedMap([['a', 1]], { name: 'alone' });
    expect(() => expect(tracked).toBeDrained()).toThrow("expected the map 'alone' to be drained");
    tracked.clear();
    expect(tracked).toBeDrained();

    const members = new Set(['a']);
    const handle = adopt(members, { name: 'members', ttl: '5m' });
    expect(members).not.toBeDrained();
    expect(handle).not.toBeDrained();
    members.delete('a');
    expect(members).toBeDrained();
    expect(handle).toBeDrained();
    expect(() => expect(handle).not.toBeDrained()).toThrow(
      "expected the map 'members' not to be drained, but it is empty",
    );
  });

  it('takes a map of a registry by itself', () => {
    const registry = createRegistry<Record<'runs' | 'other', Map<string, number>>>({
      maps: { runs: { ttl: '5m' }, other: { ttl: '5m' } },
    });
    registry.maps.other.set('a', 1);
    expect(registry.maps.runs).toBeDrained();
    expect(registry.maps.other).not.toBeDrained();
    registry.stop();
  });

  it('counts what was written past the wrapper', () => {
    const runs = new TrackedMap<string, number>();
    Map.prototype.set.call(runs, 'sly', 1);
    expect(() => expect(runs).toBeDrained()).toThrow("'sly': untracked, it was written past the wrapper");
  });

  it('recognises what another copy of the package made', async () => {
    vi.resetModules();
    const copy = (await import('../../../src/index.js')) as typeof import('mapsweep');
    expect(copy.TrackedMap).not.toBe(TrackedMap);
    const live = new Map([['a', 1]]);
    const registry = copy.createRegistry({
      maps: { live: { adopt: live, ttl: '5m' } },
      clock: createManualClock(),
    });
    const alone = new copy.TrackedMap([['a', 1]]);
    for (const subject of [registry, live, alone, copy.adopt(new Set(['a']))]) {
      expect(subject).not.toBeDrained();
    }
    expect(() => expect(registry).toBeDrained()).toThrow("'a': live, due by ttl in 5m");
  });

  it.each([
    [
      'a plain Map',
      new Map([['a', 1]]),
      'received a Map that nothing tracks: make it a TrackedMap, adopt(it)',
    ],
    ['a plain Set', new Set(), 'received a Set that nothing tracks'],
    ['a promise', Promise.resolve(), 'await it first'],
    ['undefined', undefined, 'received undefined'],
    ['an object', { size: 0 }, 'received an object'],
  ])('says of %s that it cannot be drained, also under .not', (_name, received, why) => {
    const whole = /^toBeDrained takes a registry, a TrackedMap, an adopted Map or Set, or its handle; /;
    for (const check of [() => expect(received).toBeDrained(), () => expect(received).not.toBeDrained()]) {
      expect(check).toThrow(TypeError);
      expect(check).toThrow(whole);
      expect(check).toThrow(why);
    }
  });

  it('says of a released handle that nothing tracks its map', () => {
    const handle = adopt(new Map());
    handle.release();
    expect(() => expect(handle).toBeDrained()).toThrow('received the handle of a map that was released');
  });

  it('says under .not that everything is empty', () => {
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } }, clock: createManualClock() });
    expect(() => expect(registry).not.toBeDrained()).toThrow(
      'expected the registry not to be drained, but every map of it that has a lifetime or a leader is empty, and nothing is pending',
    );
  });
});
