import { createRegistry, type PolicyOf, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { IndexedMap, StubbornMap } from '../maps/owner-maps.js';
import { driftingClock } from '../time/drifting-clock.js';

type Numbers = Map<string, number>;

function capped(policy: PolicyOf<Numbers>, options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ map: Numbers }>({ maps: { map: policy }, clock, ...options });
  const evicted: string[] = [];
  registry.on('evicted', ({ key, rule }) => evicted.push(`${String(key)} by ${rule}`));
  const { map } = registry.maps;
  const fill = (...keys: string[]): void => {
    for (const key of keys) map.set(key, 1);
  };
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, map, evicted, fill, keys: () => [...map.keys()], end };
}

describe('maxEntries', () => {
  it('is enforced after the current macrotask, and not before', async () => {
    const { clock, keys, fill, evicted, end } = capped({ maxEntries: 2 });
    fill('a', 'b', 'c');
    expect(keys()).toEqual(['a', 'b', 'c']);
    await Promise.resolve();
    expect(keys()).toEqual(['a', 'b', 'c']);
    await clock.advance(0);
    expect(keys()).toEqual(['b', 'c']);
    expect(evicted).toEqual(['a by maxEntries']);
    end();
  });

  it('takes one pass however many sets there were: one timer beside the sweeper’s, none where it fits', async () => {
    const { clock, map, fill, evicted, end } = capped({ maxEntries: 10 });
    fill(...Array.from({ length: 10 }, (_, n) => `k${n}`));
    expect(clock.pendingTimers).toBe(1);
    for (let n = 0; n < 10_000; n += 1) map.set(`more${n}`, n);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(0);
    expect(map.size).toBe(10);
    expect(evicted.length).toBe(10_000);
    await clock.advance(1);
    expect(clock.pendingTimers).toBe(1);
    end();
  });

  it('evicts what is due before what is not, however many wait to be looked at', async () => {
    const { clock, map, registry, evicted, end } = capped(
      { maxEntries: 5_000, maxIdle: '5m' },
      { sweepEvery: '1h' },
    );
    for (let n = 0; n < 4_999; n += 1) map.set(`k${n}`, n);
    map.set('due', 0);
    await clock.advance(299_000);
    for (let n = 0; n < 4_999; n += 1) registry.touch('map', `k${n}`);
    await clock.advance(1_000);
    map.set('new', 1);
    await clock.advance(1);
    expect(evicted).toEqual(['due by maxIdle']);
    end();
  });

  it('takes the longest idle also of what was there at adoption, by the stamps that it was given', async () => {
    const clock = createManualClock();
    const found = new Map([
      ['young', clock.now() - 1_000],
      ['old', clock.now() - 9_000],
      ['middle', clock.now() - 5_000],
    ]);
    const registry = createRegistry({
      maps: { map: { adopt: found, unstamped: (at: number) => at, maxEntries: 1 } },
      clock,
    });
    const evicted: unknown[] = [];
    registry.on('evicted', ({ key }) => evicted.push(key));
    await clock.advance(1);
    expect(evicted).toEqual(['old', 'middle']);
    registry.stop();
  });

  it('evicts due entries first, then those that have ended, then the longest idle', async () => {
    const { clock, registry, keys, fill, evicted, end } = capped(
      { maxEntries: 3, rules: [{ match: /^due/, ttl: 500 }] },
      { ended: { map: 'map' }, sweepEvery: '1h' },
    );
    fill('idle1', 'ended1', 'due1');
    await clock.advance(100);
    fill('idle2');
    await clock.advance(0);
    expect(evicted).toEqual(['idle1 by maxEntries']);
    registry.end('ended1');
    await clock.advance(1_000);
    fill('new1');
    await clock.advance(0);
    expect(evicted.slice(1)).toEqual(['due1 by rules[0].ttl']);
    fill('new2');
    await clock.advance(0);
    expect(evicted.slice(2)).toEqual(['ended1 by maxEntries']);
    fill('new3');
    await clock.advance(0);
    expect(evicted.slice(3)).toEqual(['idle2 by maxEntries']);
    expect(keys()).toEqual(['new1', 'new2', 'new3']);
    end();
  });

  it('counts a set, a touch and a companion’s activity as use, and a get not', async () => {
    const { clock, registry, map, keys, fill, end } = capped({ maxEntries: 3 });
    fill('a', 'b', 'c');
    await clock.advance(10);
    map.set('a', 2);
    registry.touch('map', 'b');
    map.get('c');
    fill('d');
    await clock.advance(0);
    expect(keys()).toEqual(['a', 'b', 'd']);
    end();
  });

  it('evicts the first ended before the later ended', async () => {
    const { clock, registry, keys, fill, end } = capped({ maxEntries: 3 }, { ended: { map: 'map' } });
    fill('a', 'b', 'c');
    registry.end('c');
    registry.end('b');
    fill('d');
    await clock.advance(0);
    expect(keys()).toEqual(['a', 'b', 'd']);
    fill('e');
    await clock.advance(0);
    expect(keys()).toEqual(['a', 'd', 'e']);
    end();
  });

  it('tells dispose and the end of the run as evicted, and takes companions along', async () => {
    const clock = createManualClock();
    const told: string[] = [];
    const registry = createRegistry<{ runs: Numbers; seqs: Numbers }>({
      maps: {
        runs: { maxEntries: 1, dispose: (_value, key, reason) => told.push(`${key} ${reason}`) },
        seqs: { follows: 'runs', dispose: (_value, key, reason) => told.push(`seq ${key} ${reason}`) },
      },
      ended: { map: 'runs' },
      clock,
    });
    registry.on('subagent-ended', ({ key, reason }) => told.push(`${String(key)} ended ${reason}`));
    registry.maps.runs.set('a', 1);
    registry.maps.seqs.set('a', 1);
    registry.maps.runs.set('b', 1);
    await clock.advance(0);
    expect(told).toEqual(['a evicted', 'seq a companion', 'a ended evicted']);
    registry.stop();
  });

  it('goes through the owner’s own delete', async () => {
    const clock = createManualClock();
    const live = new IndexedMap<number>();
    const registry = createRegistry({ maps: { live: { adopt: live, maxEntries: 1 } }, clock });
    live.set('a', 1).set('b', 2);
    await clock.advance(0);
    expect(live.deleteCalls).toEqual(['a']);
    registry.stop();
  });

  it('is enforced on what was adopted, and on writes past the wrapper from the next sweep on', async () => {
    const clock = createManualClock();
    const live = new Map(Array.from({ length: 5 }, (_, n) => [`k${n}`, n]));
    const registry = createRegistry({ maps: { live: { adopt: live, maxEntries: 2 } }, clock });
    await clock.advance(0);
    expect([...live.keys()]).toEqual(['k3', 'k4']);
    Map.prototype.set.call(live, 'x', 1);
    await registry.sweep();
    await clock.advance(1);
    expect(live.size).toBe(2);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('works for a TrackedMap alone, whose timer ends with the pass', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>(undefined, { maxEntries: 2, clock });
    for (let n = 0; n < 100; n += 1) map.set(`k${n}`, n);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(0);
    expect([...map.keys()]).toEqual(['k98', 'k99']);
    await clock.advance(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('yields where evicting takes long, and holds the loop for no longer than the budget', async () => {
    const clock = createManualClock();
    let yields = 0;
    let spent = 0;
    const slices: number[] = [];
    let sliceBegan = 0;
    const map = new TrackedMap<number, number>(undefined, {
      maxEntries: 10,
      clock: {
        ...clock,
        monotonic: () => clock.monotonic() + spent,
        yield: async () => {
          yields += 1;
          slices.push(spent - sliceBegan);
          sliceBegan = spent;
        },
      },
      dispose: () => {
        spent += 1;
      },
    });
    for (let n = 0; n < 110; n += 1) map.set(n, n);
    await clock.advance(0);
    expect(map.size).toBe(10);
    expect(yields).toBeGreaterThanOrEqual(19);
    expect(Math.max(...slices)).toBeLessThanOrEqual(6);
  });
});

it.each(['keepWhile', 'since'])('evicts nobody for whom %s has made room', async (asked) => {
  let isArmed = false;
  let map: Numbers;
  const ask = (key: string) => {
    if (isArmed && key === 'a') map.delete('b');
    return undefined;
  };
  const policy: PolicyOf<Numbers> =
    asked === 'since'
      ? { ttl: '1h', since: (_: number, key: string) => ask(key) }
      : { keepWhile: (_: number, key: string) => ask(key) === null };
  for (const maxPerOwner of [false, true]) {
    isArmed = false;
    const caps = maxPerOwner ? { maxPerOwner: { max: 3, owner: () => 'one' } } : { maxEntries: 3 };
    const { clock, fill, keys, end, ...made } = capped({ ...policy, ...caps });
    map = made.map;
    for (const key of ['z', 'a', 'b', 'c']) {
      fill(key);
      await clock.advance(10);
    }
    expect(keys()).toEqual(['a', 'b', 'c']);
    isArmed = true;
    fill('d');
    await clock.advance(10);
    expect(keys()).toEqual(['a', 'c', 'd']);
    end();
  }
});

it('evicts what is due, though the pass that asked all has none to evict in the end, and asks no others twice', async () => {
  let asked: string[] = [];
  let isArmed = false;
  const { clock, map, keys, evicted, end } = capped({
    maxEntries: 4,
    expiresAt: (value, key) => {
      asked.push(key);
      if (isArmed && key === 'due') map.delete('one more');
      return value;
    },
  });
  const later = clock.now() + 60 * 60_000;
  for (const key of ['due', 'a', 'also due', 'b']) map.set(key, later);
  await clock.advance(10);
  for (const key of ['due', 'also due']) map.set(key, clock.now() - 1);
  isArmed = true;
  map.set('one more', later);
  await clock.advance(10);
  expect([keys(), evicted]).toEqual([['due', 'a', 'also due', 'b'], []]);
  isArmed = false;
  asked = [];
  for (const key of ['c', 'd']) {
    map.set(key, later);
    await clock.advance(10);
  }
  expect(evicted).toEqual(['due by expiresAt', 'also due by expiresAt']);
  expect(keys()).toEqual(['a', 'b', 'c', 'd']);
  expect(asked).not.toContain('a');
  expect(asked).not.toContain('b');
  end();
});

it('evicts no entry that a lifetime has touched when it was asked', async () => {
  let asked = Number.NEGATIVE_INFINITY;
  const { clock, registry, fill, keys, end } = capped({
    maxEntries: 2,
    expiresAt: (_, key) => {
      // First it is looked for what is due, and then for who has been idle longest.
      if (key !== 'a' || ++asked !== 2) return undefined;
      registry.touch('map', 'a');
      return 0;
    },
  });
  for (const key of ['a', 'b']) {
    fill(key);
    await clock.advance(10);
  }
  asked = 0;
  fill('c');
  await clock.advance(10);
  expect(keys()).toEqual(['a', 'c']);
  end();
});

it('evicts no entry as due that its own guard has touched: the longest idle goes', async () => {
  const { clock, registry, keys, fill, evicted, end } = capped(
    {
      maxEntries: 2,
      maxIdle: '10m',
      keepWhile: (_value, key) => {
        if (key === 'a') registry.touch('map', 'a');
        return false;
      },
    },
    { sweepEvery: '1h' },
  );
  fill('a');
  await clock.advance(60_000);
  fill('b');
  await clock.advance(541_000);
  fill('c');
  await clock.advance(1);
  expect([keys(), evicted]).toEqual([['a', 'c'], ['b by maxEntries']]);
  end();
});

it('ends at once with stop() in dispose: no map of the pass loses one more', async () => {
  const clock = createManualClock();
  const registry = createRegistry<{ a: Numbers; b: Numbers }>({
    maps: { a: { maxEntries: 1, dispose: () => registry.stop() }, b: { maxEntries: 1 } },
    clock,
  });
  for (const map of Object.values(registry.maps)) map.set('x', 1).set('y', 2).set('z', 3);
  await clock.advance(1);
  expect([registry.maps.a.size, registry.maps.b.size]).toEqual([2, 3]);
  expect(clock.pendingTimers).toBe(0);
});

it('sheds what is asked for in the midst of a pass over the same map', async () => {
  const { clock, registry, map, evicted, end } = capped({
    maxEntries: 20,
    shed: true,
    dispose: () => {
      if (evicted.length === 0) shed();
    },
  });
  const engine = internalsOf(registry)?.engine;
  const tracker = engine?.trackers.get('map');
  let quota = 0;
  const shed = (): void => {
    if (tracker !== undefined) quota ||= engine?.capacity.shed(tracker) ?? 0;
  };
  for (let n = 0; n < 30; n += 1) map.set(`k${n}`, n);
  await clock.advance(1);
  expect(quota).toBe(2);
  expect(map.size).toBe(18);
  end();
});

describe('guarded entries', () => {
  it('are never evicted: the excess stays and shows in the report', async () => {
    const { clock, registry, keys, fill, evicted, end } = capped({
      maxEntries: 2,
      keepWhile: (_value, key) => key.startsWith('busy'),
    });
    fill('busy1', 'busy2', 'busy3', 'busy4');
    await clock.advance(120_000);
    expect(keys()).toEqual(['busy1', 'busy2', 'busy3', 'busy4']);
    expect(evicted).toEqual([]);
    expect(registry.report().maps[0]).toMatchObject({ size: 4, excess: 2 });
    end();
  });

  it('do not keep later ones that are free from being evicted at once', async () => {
    const { clock, keys, fill, end } = capped({
      maxEntries: 2,
      keepWhile: (_value, key) => key.startsWith('busy'),
    });
    fill('busy1', 'busy2', 'busy3');
    await clock.advance(1);
    fill('free');
    await clock.advance(1);
    expect(keys()).toEqual(['busy1', 'busy2', 'busy3']);
    end();
  });

  it('in a TrackedMap alone, which nobody sweeps: it does not grow beyond them', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>(undefined, {
      maxEntries: 2,
      keepWhile: (_value, key) => key.startsWith('busy'),
      clock,
    });
    map.set('busy1', 1).set('busy2', 1).set('busy3', 1);
    await clock.advance(1);
    for (let n = 0; n < 1_000; n += 1) {
      map.set(`free${n}`, n);
      await clock.advance(1);
    }
    expect(map.size).toBeLessThanOrEqual(5);
  });

  it('keep no others waiting that come after a pass which took long, since it evicted many', async () => {
    const clock = createManualClock();
    let spent = 0;
    const map = new TrackedMap<string, number>(undefined, {
      maxEntries: 2,
      keepWhile: (_value, key) => key.startsWith('busy'),
      clock: { ...clock, monotonic: () => clock.monotonic() + spent },
      dispose: () => {
        spent += 1;
      },
    });
    map.set('busy1', 1).set('busy2', 1).set('busy3', 1);
    for (let n = 0; n < 1_000; n += 1) map.set(`free${n}`, n);
    await clock.advance(0);
    expect(map.size).toBe(3);
    map.set('one more', 1);
    await clock.advance(100);
    expect([...map.keys()]).toEqual(['busy1', 'busy2', 'busy3']);
  });

  it('are asked again for a small part of the time, however often others come', async () => {
    const clock = createManualClock();
    let spent = 0;
    const map = new TrackedMap<string, number>(undefined, {
      maxEntries: 2,
      keepWhile: () => {
        spent += 1;
        return true;
      },
      clock: { ...clock, monotonic: () => clock.monotonic() + spent },
    });
    for (let n = 0; n < 100; n += 1) {
      map.set(`busy${n}`, n);
      await clock.advance(10);
    }
    expect(spent).toBeLessThan(200);
  });

  it('are evicted once they are no longer guarded, at the next sweep', async () => {
    let isBusy = true;
    const { clock, keys, fill, end } = capped({ maxEntries: 1, keepWhile: () => isBusy });
    fill('a', 'b');
    await clock.advance(60_000);
    expect(keys()).toEqual(['a', 'b']);
    isBusy = false;
    await clock.advance(60_001);
    expect(keys()).toEqual(['b']);
    end();
  });

  it('are overdue only if they are due themselves, whoever was judged before them', async () => {
    const { clock, registry, map, end } = capped({
      maxEntries: 1,
      ttl: '1h',
      rules: [{ match: /^short/, ttl: '10s' }],
      keepWhile: () => true,
    });
    map.set('a', 1);
    map.set('short', 1);
    await clock.advance(60_000);
    map.set('b', 1);
    await clock.advance(1);
    expect(registry.report().maps[0]).toMatchObject({ size: 3, guarded: 3, overdue: 1 });
    end();
  });

  it('that cannot be judged, since the guard throws, count as guarded; said once', async () => {
    const { clock, registry, map, fill, end } = capped({
      maxEntries: 1,
      keepWhile: () => {
        throw null;
      },
    });
    const failures: unknown[] = [];
    registry.on('callback-failed', ({ callback, key }) => failures.push([callback, key]));
    fill('a', 'b');
    await clock.advance(600_000);
    expect(map.size).toBe(2);
    expect(failures).toEqual([
      ['keepWhile', 'a'],
      ['keepWhile', 'b'],
    ]);
    end();
  });
});

describe('an owner that refuses', () => {
  it('keeps its entry; another goes instead, and nobody loops', async () => {
    const clock = createManualClock();
    const live = new StubbornMap<string, number>();
    const registry = createRegistry({ maps: { live: { adopt: live, maxEntries: 1 } }, clock });
    live.set('a', 1).set('b', 2);
    live.obstacle = true;
    await clock.advance(1);
    expect(live.size).toBe(2);
    expect(live.attempts).toBeLessThanOrEqual(4);
    live.obstacle = false;
    await clock.advance(120_000);
    expect(live.size).toBe(1);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('callbacks of an eviction', () => {
  it('may add: what they add has a later pass, and the map is not smaller than it may be', async () => {
    let added = 0;
    const { clock, registry, map, fill, end } = capped({
      maxEntries: 2,
      dispose: (_value, _key, reason) => {
        if (reason === 'evicted' && added < 20) {
          added += 1;
          registry.maps.map.set(`added${added}`, 1);
        }
      },
    });
    fill('a', 'b', 'c');
    await clock.advance(100);
    expect(added).toBe(20);
    expect(map.size).toBe(2);
    end();
  });

  it('may clear, delete, stop or sweep', async () => {
    for (const act of ['clear', 'delete', 'stop', 'sweep'] as const) {
      const disposed: string[] = [];
      const { clock, registry, map, fill } = capped({
        maxEntries: 2,
        dispose: (_value, key) => {
          disposed.push(key);
          if (act === 'clear') map.clear();
          else if (act === 'delete') map.delete('e');
          else void registry[act]();
        },
      });
      fill('a', 'b', 'c', 'd', 'e');
      await clock.advance(1);
      expect([act, new Set(disposed).size, disposed.length]).toEqual([act, disposed.length, 5 - map.size]);
      registry.stop();
      expect(clock.pendingTimers).toBe(0);
    }
  });
});

describe('with beforeSweep', () => {
  it('a guarded entry is not asked about because of one that was in its place before', async () => {
    const asked: string[] = [];
    const { clock, map, registry, end } = capped({
      maxEntries: 1,
      keepWhile: (_value, key) => key !== 'a',
      beforeSweep: (_value, key) => {
        asked.push(key);
        return new Promise<void>(() => undefined);
      },
    });
    map.set('a', 1);
    map.set('b', 1);
    await clock.advance(1);
    expect(asked).toEqual(['a']);
    // What runs is told to stop, and does not.
    registry.touch('map', 'a');
    map.delete('a');
    map.set('c', 1);
    await clock.advance(1);
    expect(asked).toEqual(['a']);
    expect(registry.explain('map', 'c').state).toBe('guarded');
    end();
  });

  it('an eviction waits for it, and asks for no more entries than have to go', async () => {
    const open: Array<() => void> = [];
    const asked: string[] = [];
    const { clock, keys, fill, end } = capped({
      maxEntries: 2,
      beforeSweep: (_value, key) => {
        asked.push(key);
        return new Promise<void>((resolve) => open.push(resolve));
      },
    });
    fill('a', 'b', 'c', 'd');
    await clock.advance(1);
    expect(asked).toEqual(['a', 'b']);
    expect(keys().length).toBe(4);
    for (const finish of open) finish();
    await clock.advance(0);
    expect(keys()).toEqual(['c', 'd']);
    end();
  });

  it('goes on with what comes later while the first ones still wait', async () => {
    const asked: string[] = [];
    const { clock, fill, end } = capped({
      maxEntries: 2,
      beforeSweep: (_value, key) => {
        asked.push(key);
        return new Promise<void>(() => {});
      },
    });
    fill('a', 'b', 'c');
    await clock.advance(1);
    fill('d');
    await clock.advance(1);
    expect(asked).toEqual(['a', 'b']);
    end();
  });

  it('in a TrackedMap alone, which nobody sweeps: it is brought down each time', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<number, number>(undefined, {
      maxEntries: 5,
      beforeSweep: async () => {},
      clock,
    });
    for (let n = 0; n < 200; n += 1) {
      map.set(n, n);
      await clock.advance(1);
    }
    expect(map.size).toBeLessThanOrEqual(6);
  });

  it('asks for no live entry beside a due one that is on its way, however many passes there are', async () => {
    const asked: string[] = [];
    const { clock, fill, end } = capped({
      maxEntries: 3,
      rules: [{ match: /^due/, ttl: 1 }],
      beforeSweep: (_value, key) => {
        asked.push(key);
        return new Promise<void>(() => {});
      },
    });
    fill('a', 'b', 'due');
    await clock.advance(2);
    for (const key of ['c', 'd']) {
      fill(key);
      await clock.advance(1);
    }
    expect(asked).toEqual(['due', 'a']);
    end();
  });

  it('brings the map down in one pass though entries leave while it is under way', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<number, number>(undefined, {
      maxEntries: 10,
      beforeSweep: (_value, key) => void map.delete(key),
      clock,
    });
    for (let n = 0; n < 30; n += 1) map.set(n, n);
    await clock.advance(1);
    expect([...map.keys()]).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
  });

  it('that has failed counts no more once its entry is another registration: the map is brought down after a restore', async () => {
    const names = Array.from({ length: 15 }, (_, n) => `k${n}`);
    const clock = createManualClock();
    const earlier = createRegistry({
      clock,
      maps: { map: { adopt: new Map<string, number>(), maxIdle: '1h' } },
    });
    for (let life = 0; life < 2; life += 1) {
      earlier.maps.map.clear();
      for (const name of names) earlier.maps.map.set(name, 1);
    }
    const snapshot = earlier.snapshot();
    await earlier.close();
    let isDown = true;
    const beforeSweep = async () => {
      if (isDown) throw new Error('down');
    };
    const map = new Map(names.map((name) => [name, 1]));
    const registry = createRegistry({ clock, maps: { map: { adopt: map, maxEntries: 10, beforeSweep } } });
    await clock.advance(1_000);
    isDown = false;
    registry.restore(snapshot);
    await clock.advance(600_000);
    expect(map.size).toBe(10);
    registry.stop();
  });

  it('whose entry is kept after all has no other one cleaned up for', async () => {
    const calls: string[] = [];
    const used = new Set<string>();
    const { clock, fill, end } = capped({
      maxEntries: 3,
      keepWhile: (_value, key) => used.has(key),
      beforeSweep: async (_value, key) => {
        calls.push(key);
        used.add(key);
      },
    });
    fill('a', 'b', 'c', 'd', 'e');
    await clock.advance(1_000);
    expect(calls).toEqual(['a', 'b']);
    end();
  });

  it('that fails keeps the entry, and the map is brought down when it succeeds', async () => {
    let isDown = true;
    const { clock, keys, fill, end } = capped({
      maxEntries: 1,
      beforeSweep: () => {
        if (isDown) throw new Error('down');
      },
    });
    fill('a', 'b');
    await clock.advance(60_000);
    expect(keys()).toEqual(['a', 'b']);
    isDown = false;
    await clock.advance(600_000);
    expect(keys().length).toBe(1);
    end();
  });

  it('an entry that is touched meanwhile stays, and the longest idle goes', async () => {
    const open = new Map<string, () => void>();
    const { clock, registry, keys, fill, end } = capped({
      maxEntries: 2,
      beforeSweep: (_value, key) => new Promise<void>((resolve) => open.set(key, resolve)),
    });
    fill('a', 'b', 'c');
    await clock.advance(1);
    registry.touch('map', 'a');
    open.get('a')?.();
    await clock.advance(60_001);
    expect([...open.keys()]).toEqual(['a', 'b']);
    open.get('b')?.();
    await clock.advance(0);
    expect(keys()).toEqual(['a', 'c']);
    end();
  });
});

describe('release()', () => {
  it('of a map that is too large ends its passes for good', async () => {
    const clock = createManualClock();
    const live = new Map([['a', 1]]);
    const registry = createRegistry({ maps: {}, clock });
    const handle = registry.adopt('live', live, { maxEntries: 1, keepWhile: () => true });
    live.set('b', 2).set('c', 3);
    await clock.advance(1);
    handle.release();
    await clock.advance(300_000);
    expect(clock.pendingTimers).toBe(1);
    expect(live.size).toBe(3);
    registry.stop();
  });
});

describe('an eviction whose activeAt', () => {
  it('gives the map back and has it adopted anew leaves it to the new one', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ clock });
    const live = new Map<string, number>();
    const disposed: string[] = [];
    let isAgain = false;
    const policy: PolicyOf<Numbers> = {
      maxEntries: 1,
      activeAt: () => {
        if (isAgain) return undefined;
        isAgain = true;
        handle.release();
        registry.adopt('map', live, policy);
        return undefined;
      },
      dispose: (_, key, reason) => void disposed.push(`${key} ${reason}`),
    };
    const handle = registry.adopt('map', live, policy);
    for (const key of ['a', 'b', 'c']) live.set(key, 1);
    await clock.advance(120_000);
    expect(isAgain).toBe(true);
    expect(disposed).toEqual(['a evicted', 'b evicted']);
    expect([...live.keys()]).toEqual(['c']);
    registry.stop();
  });

  it('is not asked about what was deleted past the wrapper', async () => {
    const asked: unknown[] = [];
    const { map, clock, registry, end } = capped({
      maxEntries: 2,
      activeAt: (value, key) => {
        asked.push(value);
        if (key === 'a') Map.prototype.delete.call(map, 'b');
        return undefined;
      },
    });
    for (const key of ['a', 'b', 'c', 'd', 'e']) map.set(key, 1);
    await clock.advance(0);
    expect(asked).not.toContain(undefined);
    expect(registry.report().callbackErrors).toEqual([]);
    end();
  });
});

it('comes to an end though the clocks have drifted, and values say when they were active', async () => {
  const { manual, clock, pass, drift } = driftingClock();
  const registry = createRegistry<{ sessions: Map<number, { at: number }> }>({
    clock,
    maps: { sessions: { maxEntries: 2, activeAt: ({ at }) => at } },
  });
  const { sessions } = registry.maps;
  drift(5);
  for (let key = 0; key < 6; key += 1) {
    const session = { at: 0 };
    sessions.set(key, session);
    pass(3);
    session.at = clock.now() + 1;
  }
  pass(100);
  await manual.advance(1);
  expect([...sessions.keys()]).toEqual([4, 5]);
  registry.stop();
});

describe('an eviction comes to an end, and takes the first first, where activeAt', () => {
  it.each<[string, (pass: (ms: number) => void, now: () => number) => number]>([
    [
      'fails',
      () => {
        throw new Error('who knows');
      },
    ],
    [
      'says the present each time, and takes long to say it',
      (pass, now) => {
        pass(2);
        return now();
      },
    ],
  ])('%s', async (_, answer) => {
    const { manual, clock, pass } = driftingClock();
    let asked = 0;
    const registry = createRegistry<{ sessions: Numbers; others: Numbers }>({
      clock,
      maps: {
        sessions: {
          maxEntries: 2,
          activeAt: () => {
            asked += 1;
            if (asked > 1_000) registry.stop();
            return answer(pass, () => clock.now());
          },
        },
        others: { maxEntries: 1 },
      },
    });
    registry.on('callback-failed', () => {});
    const { sessions, others } = registry.maps;
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) sessions.set(key, 1);
    others.set('a', 1).set('b', 1);
    await manual.advance(1);
    expect([...sessions.keys()]).toEqual(['e', 'f']);
    expect([...others.keys()]).toEqual(['b']);
    registry.stop();
  });

  it('says the present, and one was touched meanwhile, which is asked again', async () => {
    const { manual, clock, pass } = driftingClock();
    let asked = 0;
    const registry = createRegistry<{ sessions: Numbers }>({
      clock,
      maps: {
        sessions: {
          maxEntries: 3,
          activeAt: (_, key) => {
            asked += 1;
            // Each is asked twice before, and has been moved by now: 'a' would come up next.
            if (asked === 15 && key === 'e') registry.touch('sessions', 'a');
            pass(2);
            return clock.now();
          },
        },
      },
    });
    const { sessions } = registry.maps;
    for (const key of ['a', 'b', 'c', 'd', 'e']) sessions.set(key, 1);
    await manual.advance(1);
    expect([...sessions.keys()]).toEqual(['a', 'd', 'e']);
    registry.stop();
  });
});

it('evicts no entry for one in whose place it is since activeAt has removed that, and has it come up later on', async () => {
  let asked = 0;
  const { map, clock, registry, end } = capped({
    maxEntries: 2,
    activeAt: (_, key) => {
      if (key !== 'a') return undefined;
      asked += 1;
      // Each of the two looks before that one asks too.
      if (asked === 3) {
        map.delete('a');
        map.set('new', 1);
      }
      return undefined;
    },
  });
  for (const key of ['a', 'b', 'c']) map.set(key, 1);
  await clock.advance(0);
  expect([...map.keys()]).toEqual(['c', 'new']);
  await clock.advance(1_000);
  registry.touch('map', 'c');
  map.set('d', 1);
  await clock.advance(1_000);
  expect([...map.keys()]).toEqual(['c', 'd']);
  end();
});
