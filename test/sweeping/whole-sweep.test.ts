import fc from 'fast-check';
import { adopt, createRegistry, type PolicyOf, TrackedMap } from 'mapsweep';
import { registerMetrics } from 'mapsweep/prometheus';
import { createManualClock } from 'mapsweep/testing';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { slowClock } from '../time/slow-clock.js';

type Numbers = Map<string, number>;

const count = 2_000;
const mapDelete = Map.prototype.delete;
const mapSet = Map.prototype.set;

/** A map of 2,000 that has been idle for long, and a sweep of it. */
function idleMap({
  inPause = () => {},
  ...policy
}: PolicyOf<Numbers> & { inPause?: (map: Numbers, pause: number) => void } = {}) {
  const clock = createManualClock();
  const sizes: number[] = [];
  const registry = createRegistry<{ map: Numbers }>({
    maps: { map: { maxIdle: '1m', ...policy } },
    clock: slowClock(clock, 0.1, (pause) => {
      sizes.push(registry.maps.map.size);
      inPause(registry.maps.map, pause);
    }),
    // Later than any of this: the sweeps are those that are asked for.
    sweepEvery: '1h',
  });
  const { map } = registry.maps;
  for (let n = 0; n < count; n += 1) map.set(`k${n}`, n);
  const sweep = async (beforeIt = () => {}) => {
    await clock.advance(120_000);
    beforeIt();
    return registry.sweep();
  };
  return { registry, map, sizes, sweep };
}

describe('a map in which everything is due', () => {
  it('is emptied at once, after a look at each entry, in slices', async () => {
    const { map, registry, sizes, sweep } = idleMap();
    const before = registry.stamps('map', `k${count - 1}`)?.generation as number;
    const { swept, examined, slices } = await sweep();
    expect({ swept, examined, size: map.size }).toEqual({ swept: count, examined: count, size: 0 });
    expect(slices).toBeGreaterThan(2);
    // Nothing had left when it paused: that is how a test can tell that it went this way.
    expect(new Set(sizes)).toEqual(new Set([count]));
    expect(registry.stamps('map', 'k0')).toBe(undefined);
    expect(registry.report().maps[0]).toMatchObject({ size: 0, removed: { swept: count } });
    map.set('k0', 1);
    expect(registry.stamps('map', 'k0')?.generation).toBeGreaterThan(before);
    expect([...map]).toEqual([['k0', 1]]);
    expect(registry.report().maps[0]?.removed).toMatchObject({ swept: count, deleted: 0 });
  });

  it('is emptied again and again', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<number, number>(null, { ttl: '1m', clock });
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < count + round; n += 1) map.set(n, n);
      await clock.advance(60_000);
      expect((await map.sweep()).swept).toBe(count + round);
      expect(map.size).toBe(0);
    }
  });

  const stays: Array<[what: string, act: (map: Numbers) => void, left: string[]]> = [
    ['touched', (map) => (map as TrackedMap<string, number>).touch('k7'), ['k7']],
    ['set again', (map) => map.set('k7', 8), ['k7']],
    ['deleted and set', (map) => map.delete('k7') && map.set('k7', 8), ['k7']],
    ['new', (map) => map.set('new', 8), ['new']],
    ['new in place of another', (map) => map.delete('k7') && map.set('new', 8), ['new']],
    [
      'new in place of another, both past the wrapper',
      (map) => mapDelete.call(map, 'k7') && mapSet.call(map, 'new', 8),
      ['new'],
    ],
    [
      'deleted and set past the wrapper with everything that came after it',
      (map) => {
        for (let n = 1_000; n < count; n += 1) mapDelete.call(map, `k${n}`);
        for (let n = 1_000; n < count; n += 1) mapSet.call(map, `new ${n}`, n);
      },
      Array.from({ length: count - 1_000 }, (_, n) => `new ${n + 1_000}`),
    ],
  ];

  it.each(stays)('keeps what is %s in a pause, and loses all the rest', async (_what, act, left) => {
    for (const at of [1, 3]) {
      const { map, sweep } = idleMap({ inPause: (map, pause) => pause === at && act(map) });
      await sweep();
      expect([...map.keys()]).toEqual(left);
    }
  });

  it.each(stays)('keeps what is %s right before the sweep', async (_what, act, left) => {
    const { map, sweep } = idleMap();
    await sweep(() => act(map));
    expect([...map.keys()]).toEqual(left);
  });

  it('keeps what was registered first, if that was touched last', async () => {
    const { map, registry, sweep } = idleMap();
    const { swept, examined } = await sweep(() => {
      registry.touch('map', 'k0');
      registry.touch('map', `k${count - 1}`);
    });
    expect([swept, examined]).toEqual([count - 2, count]);
    expect([...map.keys()]).toEqual(['k0', `k${count - 1}`]);
  });

  it('counts as deleted what left past the wrapper in a pause', async () => {
    const { map, registry, sweep } = idleMap({
      inPause: (map, pause) => pause === 2 && mapDelete.call(map, 'k0'),
    });
    expect((await sweep()).swept).toBe(count - 1);
    expect(registry.report().maps[0]?.removed).toMatchObject({ swept: count - 1, deleted: 1 });
    expect(map.size).toBe(0);
  });

  it('knows nothing of who was active before, where the longest idle are evicted', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { maxIdle: '1m', maxEntries: count } },
      clock,
    });
    const { map } = registry.maps;
    for (let n = 0; n < count; n += 1) map.set(`k${n}`, n);
    await clock.advance(60_000);
    expect(map.size).toBe(0);
    for (let n = 0; n < count + 3; n += 1) map.set(`k${n}`, n);
    await clock.advance(1);
    expect([map.size, map.has('k2'), map.has('k3')]).toEqual([count, false, true]);
    registry.stop();
  });

  it('tells a listener that came in a pause of every entry', async () => {
    const told: unknown[] = [];
    const { map, registry, sweep } = idleMap({
      inPause: (_map, pause) => pause === 1 && registry.on('swept', ({ key }) => told.push(key)),
    });
    const { examined } = await sweep();
    expect([map.size, told.length, new Set(told).size]).toEqual([0, count, count]);
    expect(examined).toBe(count);
  });

  it('disposes of every value where there is a dispose', async () => {
    const disposed = new Set<number>();
    const { map, sweep } = idleMap({ dispose: (value) => disposed.add(value) });
    const { examined } = await sweep();
    expect([map.size, disposed.size, examined]).toEqual([0, count, count]);
  });

  it('loses nothing to stop() in a pause: the next sweep removes everything', async () => {
    const { map, registry, sweep } = idleMap({ inPause: (_map, pause) => pause === 1 && registry.stop() });
    expect(await sweep()).toMatchObject({ swept: 0, skipped: 'stopped' });
    expect(map.size).toBe(count);
    expect((await registry.sweep()).swept).toBe(count);
    expect(map.size).toBe(0);
  });

  it('removes nothing while it is observed only', async () => {
    const { map, registry, sweep } = idleMap({ mode: 'observe' });
    expect((await sweep()).swept).toBe(0);
    expect([map.size, registry.report().maps[0]?.overdue]).toEqual([count, count]);
  });

  it('calls the delete of a class that has its own', async () => {
    const deleted: string[] = [];
    class Indexed extends Map<string, number> {
      override delete(key: string): boolean {
        deleted.push(key);
        return super.delete(key);
      }
    }
    const clock = createManualClock();
    const map = new Indexed(Array.from({ length: count }, (_, n) => [`k${n}`, n]));
    const handle = adopt(map, { name: 'indexed', ttl: '1m', clock });
    await clock.advance(60_000);
    await handle.sweep();
    expect([map.size, deleted.length]).toEqual([0, count]);
    handle.release();
  });

  it('empties adopted Maps and Sets, whoever iterates over them', async () => {
    const clock = createManualClock();
    const map = new Map(Array.from({ length: count }, (_, n) => [n, n]));
    const set = new Set(map.keys());
    const registry = createRegistry({
      maps: { map: { adopt: map, ttl: '1m' }, set: { adopt: set, ttl: '1m' } },
      clock,
    });
    const [inMap, inSet] = [map.keys(), set.values()];
    expect([inMap.next().value, inSet.next().value]).toEqual([0, 0]);
    await clock.advance(60_000);
    expect([map.size, set.size]).toEqual([0, 0]);
    map.set(-1, -1);
    set.add(-2);
    expect([[...inMap], [...inSet]]).toEqual([[-1], [-2]]);
    registry.stop();
  });

  it('leaves a companion whose leader is there', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers; seqs: Numbers }>({
      maps: { runs: {}, seqs: { follows: 'runs', orphanAfter: '1m' } },
      clock,
    });
    const { runs, seqs } = registry.maps;
    for (let n = 0; n < count; n += 1) seqs.set(`k${n}`, n);
    runs.set('k9', 9);
    await clock.advance(120_000);
    expect([...seqs.keys()]).toEqual(['k9']);
    registry.stop();
  });

  it('leaves a companion whose leader comes in a pause', async () => {
    const manual = createManualClock();
    const registry = createRegistry<{ runs: Numbers; seqs: Numbers }>({
      maps: { runs: {}, seqs: { follows: 'runs', orphanAfter: '1m' } },
      clock: slowClock(manual, 0.1, () => registry.maps.runs.set(`k${count - 1}`, 9)),
      sweepEvery: '1h',
    });
    const { seqs } = registry.maps;
    for (let n = 0; n < count; n += 1) seqs.set(`k${n}`, n);
    await manual.advance(120_000);
    await registry.sweep();
    expect([...seqs.keys()]).toEqual([`k${count - 1}`]);
    registry.stop();
  });

  it('observes the lag of every entry', async () => {
    const register = new Registry();
    const { registry, sweep, map } = idleMap();
    const undo = registerMetrics(registry, { register });
    const { examined } = await sweep();
    expect([examined, map.size]).toEqual([count, 0]);
    const text = await register.metrics();
    expect(text).toContain(`mapsweep_sweep_lag_seconds_count{map="map",registry="default"} ${count}\n`);
    expect(text).toContain(`mapsweep_removed_total{map="map",reason="swept",registry="default"} ${count}\n`);
    const lag =
      Number(/mapsweep_sweep_lag_seconds_sum\{map="map",registry="default"\} ([\d.]+)/.exec(text)?.[1]) /
      count;
    // Swept 120 s after they were set, and due 60 s after that; the slow clock adds its own.
    expect(lag).toBeGreaterThanOrEqual(60);
    expect(lag).toBeLessThan(300);
    undo();
  });
});

describe('whatever the owner does in the pauses of a sweep', () => {
  const few = 1_000;
  const key = fc.integer({ min: 0, max: few - 1 });
  const act = fc.oneof(
    fc.record({
      kind: fc.constantFrom('touch', 'set', 'delete', 'past delete', 'past set', 'past move'),
      n: key,
    }),
    fc.record({ kind: fc.constantFrom('new', 'past new'), n: fc.integer({ min: few, max: few + 9 }) }),
  );
  const acts = fc.array(fc.record({ pause: fc.integer({ min: 0, max: 14 }), act }), { maxLength: 5 });

  it('what it was active with stays, and all the rest leaves', async () => {
    let emptied = 0;
    await fc.assert(
      fc.asyncProperty(acts, async (plan) => {
        const stays = new Set<number>();
        const manual = createManualClock();
        const registry = createRegistry<{ map: Map<number, number> }>({
          maps: { map: { maxIdle: '1m' } },
          clock: slowClock(manual, 0.1, (pause) => perform(pause)),
          sweepEvery: '1h',
          sliceBudget: 1,
        });
        const map = registry.maps.map as TrackedMap<number, number>;
        const perform = (now: number): void => {
          for (const { act } of plan.filter(({ pause }) => pause === now)) actOn(map, stays, act);
        };
        for (let n = 0; n < few; n += 1) map.set(n, n);
        await manual.advance(120_000);
        perform(0);
        const { swept } = await registry.sweep();
        expect([...map.keys()].sort((a, b) => a - b)).toEqual([...stays].sort((a, b) => a - b));
        if (swept === few) emptied += 1;
        registry.stop();
      }),
      { numRuns: 200 },
    );
    // Some of them have gone the quick way to the end, or this would prove nothing of it.
    expect(emptied).toBeGreaterThan(5);
  });

  function actOn(
    map: TrackedMap<number, number>,
    stays: Set<number>,
    { kind, n }: { kind: string; n: number },
  ): void {
    const isThere = map.has(n);
    switch (kind) {
      case 'touch':
        map.touch(n);
        if (isThere) stays.add(n);
        return;
      case 'set':
      case 'new':
        map.set(n, -1);
        stays.add(n);
        return;
      case 'delete':
        map.delete(n);
        stays.delete(n);
        return;
      case 'past delete':
        mapDelete.call(map, n);
        stays.delete(n);
        return;
      case 'past new':
        mapSet.call(map, n, -1);
        stays.add(n);
        return;
      case 'past set':
        // What has a stamp keeps it.
        if (isThere) mapSet.call(map, n, -1);
        return;
      default:
        if (mapDelete.call(map, n)) mapSet.call(map, n, -1);
    }
  }
});
