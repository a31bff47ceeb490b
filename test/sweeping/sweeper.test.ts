import { AsyncLocalStorage } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { adopt, createRegistry, type PolicyOf, type SweepReport, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { internalsOf, type RegistryInternals } from '../../src/registry/internals.js';
import { slowClock } from '../time/slow-clock.js';

type Numbers = Map<string, number>;

function registryOf(policy: PolicyOf<Numbers> = {}, options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ map: Numbers }>({ maps: { map: policy }, clock, ...options });
  const reports: SweepReport[] = [];
  registry.on('sweep-finished', (report) => reports.push(report));
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, map: registry.maps.map, reports, end };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('the sweeper', () => {
  it('runs from the creation of the registry on, every 60 s by default, on one timer for all maps', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ a: Numbers; b: Numbers; c: Numbers }>({
      maps: { a: { ttl: '5m' }, b: { maxIdle: '1m' }, c: {} },
      clock,
    });
    const at: number[] = [];
    const startedAt = clock.now();
    registry.on('sweep-finished', ({ startedAt: began }) => at.push(began - startedAt));
    for (let n = 0; n < 100; n += 1) {
      for (const map of Object.values(registry.maps)) map.set(`k${n}`, n);
    }
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(180_000);
    expect(at).toEqual([60_000, 120_000, 180_000]);
    expect(clock.pendingTimers).toBe(1);
    expect([registry.maps.a.size, registry.maps.b.size, registry.maps.c.size]).toEqual([100, 0, 100]);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['5s', 5_000],
    [1, 1],
    ['24d', 24 * 86_400_000],
  ] as const)('sweeps every %s where told so', async (sweepEvery, everyMs) => {
    const { clock, reports, end } = registryOf({}, { sweepEvery });
    await clock.advance(everyMs - 1);
    expect(reports.length).toBe(0);
    await clock.advance(1 + everyMs);
    expect(reports.length).toBe(2);
    end();
  });

  it('goes on while maps are empty, and for maps that appear later', async () => {
    const { clock, registry, reports, end } = registryOf();
    await clock.advance(3_600_000);
    expect(reports.length).toBe(60);
    const late = new Map([['a', 1]]);
    registry.adopt('late', late, { ttl: '1m' });
    await clock.advance(60_000);
    expect(late.size).toBe(0);
    end();
  });

  it('removes in a tick only what was due at it: the rest within 2 intervals of its deadline', async () => {
    const { clock, map, end } = registryOf({ ttl: 61_000 });
    map.set('a', 1);
    await clock.advance(60_999);
    expect(map.size).toBe(1);
    await clock.advance(59_001);
    expect(map.size).toBe(0);
    end();
  });

  it('gives a report of what it did', async () => {
    const { clock, registry, map, end } = registryOf({ ttl: '1m', keepWhile: (value) => value === 2 });
    map.set('a', 1).set('b', 2);
    await clock.advance(30_000);
    map.set('c', 3);
    await clock.advance(30_001);
    map.set('d', 4);
    const began = clock.now();
    expect(await registry.sweep()).toEqual({
      startedAt: began,
      durationMs: 0,
      longestSliceMs: 0,
      slices: 1,
      examined: expect.any(Number),
      swept: 0,
      maps: { map: { swept: 0, overdue: 1 } },
      skipped: undefined,
    });
    expect([...map.keys()]).toEqual(['b', 'c', 'd']);
    end();
  });

  it('looks at what may be due and at nothing else', async () => {
    const { clock, registry, map, end } = registryOf({ ttl: '1h' });
    for (let n = 0; n < 1_000; n += 1) map.set(`k${n}`, n);
    await clock.advance(60_000);
    map.set('late', 1);
    expect((await registry.sweep()).examined).toBe(0);
    await clock.advance(3_540_000);
    expect([...map.keys()]).toEqual(['late']);
    expect((await registry.sweep()).examined).toBeLessThanOrEqual(1);
    end();
  });
});

describe('sweep()', () => {
  it('removes everything due now, to the ms, without advancing the clock', async () => {
    const { clock, registry, map, end } = registryOf({ ttl: 1_234 });
    map.set('a', 1);
    await clock.advance(1_233);
    expect((await registry.sweep()).swept).toBe(0);
    await clock.advance(1);
    expect((await registry.sweep()).swept).toBe(1);
    expect(map.size).toBe(0);
    end();
  });

  it('during a sweep is that sweep’s promise; after it a new one', async () => {
    const clock = createManualClock();
    const inside: unknown[] = [];
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: 0, dispose: () => inside.push(registry.sweep()) } },
      clock: slowClock(clock, 3, () => inside.push(registry.sweep())),
    });
    for (let n = 0; n < 5; n += 1) registry.maps.map.set(`k${n}`, n);
    const sweeping = registry.sweep();
    expect(registry.sweep()).toBe(sweeping);
    const report = await sweeping;
    expect(report.slices).toBeGreaterThan(1);
    expect(inside.length).toBeGreaterThan(5);
    for (const promise of inside) expect(promise).toBe(sweeping);
    const next = registry.sweep();
    expect(next).not.toBe(sweeping);
    await next;
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a tick is in flight too: a call meanwhile joins it', async () => {
    const clock = createManualClock();
    let joined: Promise<SweepReport> | undefined;
    const registry = createRegistry<{ map: Numbers }>({
      maps: {
        map: {
          ttl: '1m',
          dispose: () => {
            joined = registry.sweep();
          },
        },
      },
      clock,
    });
    const reports: SweepReport[] = [];
    registry.on('sweep-finished', (report) => reports.push(report));
    registry.maps.map.set('a', 1);
    await clock.advance(60_000);
    expect(await joined).toBe(reports[0]);
    expect(reports.length).toBe(1);
    registry.stop();
  });

  it.each(['sweep-finished', 'weigh'] as const)(
    'from %s, each time, is the sweep that is being told of, and recurses nowhere',
    async (where) => {
      const clock = createManualClock();
      const answers: unknown[] = [];
      const again = (): number => answers.push(registry.sweep());
      const registry = createRegistry<{ map: Numbers }>({
        maps: { map: { ttl: '1h', ...(where === 'weigh' && { weigh: again }) } },
        clock,
      });
      const failures: unknown[] = [];
      registry.on('callback-failed', (failure) => failures.push(failure));
      if (where === 'sweep-finished') registry.on(where, again);
      registry.maps.map.set('a', 1);
      const sweeping = registry.sweep();
      await sweeping;
      await clock.advance(0);
      expect([answers, failures]).toEqual([[sweeping], []]);
      const next = registry.sweep();
      expect(next).not.toBe(sweeping);
      await next;
      registry.stop();
    },
  );

  it('still sweeps after stop(), when it is called', async () => {
    const { clock, registry, map, end } = registryOf({ ttl: '1m' });
    map.set('a', 1);
    registry.stop();
    await clock.advance(600_000);
    expect(map.size).toBe(1);
    expect((await registry.sweep()).swept).toBe(1);
    end();
  });
});

describe('the first tick', () => {
  it('is that of the creation’s beginning, however long the maps that are there take to adopt', async () => {
    const clock = createManualClock();
    let took = 0;
    const slowly = (): boolean => {
      took = 20_000;
      return true;
    };
    const registry = createRegistry<{ map: Numbers }>({
      maps: {
        map: {
          adopt: new Map([['a', 1]]),
          rules: [{ match: slowly, ttl: '1h' }],
        },
      },
      clock: { ...clock, monotonic: () => clock.monotonic() + took, now: () => clock.now() + took },
    });
    const reports: SweepReport[] = [];
    registry.on('sweep-finished', (report) => reports.push(report));
    await clock.advance(39_999);
    expect(reports.length).toBe(0);
    await clock.advance(1);
    expect(reports.length).toBe(1);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a late tick', () => {
  /** Both clocks move while no timer fires: the machine slept, or the loop was blocked. */
  function sleepy(policy: PolicyOf<Numbers>, sweepEvery: '2s' | '60s' = '60s') {
    const clock = createManualClock();
    let slept = 0;
    const reports: SweepReport[] = [];
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: policy },
      sweepEvery,
      clock: { ...clock, monotonic: () => clock.monotonic() + slept, now: () => clock.now() + slept },
    });
    registry.on('sweep-finished', (report) => reports.push(report));
    const sleep = (ms: number): void => {
      slept += ms;
    };
    return { clock, registry, map: registry.maps.map, reports, sleep };
  }

  it('of more than one interval removes nothing, and one that follows after 5 s sweeps', async () => {
    const { clock, registry, map, reports, sleep } = sleepy({ maxIdle: '2m' });
    map.set('busy', 1).set('gone', 2);
    sleep(3_600_000);
    await clock.advance(60_000);
    expect(reports).toMatchObject([{ skipped: 'late-tick', swept: 0, examined: 0 }]);
    expect(map.size).toBe(2);
    // The events that had queued up while the process slept.
    map.set('busy', 3);
    await clock.advance(4_999);
    expect(map.size).toBe(2);
    await clock.advance(1);
    expect([...map.keys()]).toEqual(['busy']);
    expect(reports[1]).toMatchObject({ skipped: undefined, swept: 1 });
    await clock.advance(54_999);
    expect(reports.length).toBe(2);
    await clock.advance(1);
    expect(reports.length).toBe(3);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('of exactly one interval is in time, 1 ms more is late', async () => {
    for (const [late, skipped] of [
      [60_000, undefined],
      [60_001, 'late-tick'],
    ] as const) {
      const { clock, registry, map, reports, sleep } = sleepy({ ttl: '1m' });
      map.set('a', 1);
      await clock.advance(59_999);
      sleep(late);
      await clock.advance(1);
      expect([late, reports[0]?.skipped]).toEqual([late, skipped]);
      registry.stop();
    }
  });

  it('does not make up for the ticks that were missed', async () => {
    const { clock, registry, reports, sleep } = sleepy({});
    sleep(86_400_000);
    await clock.advance(60_000);
    await clock.advance(4_999);
    expect(reports.length).toBe(1);
    await clock.advance(1);
    expect(reports.length).toBe(2);
    registry.stop();
  });

  it('is followed after one interval if that is shorter than 5 s', async () => {
    const { clock, registry, reports, sleep } = sleepy({}, '2s');
    sleep(3_600_000);
    await clock.advance(2_000);
    await clock.advance(1_999);
    expect(reports.length).toBe(1);
    await clock.advance(1);
    expect(reports).toMatchObject([{ skipped: 'late-tick' }, { skipped: undefined }]);
    registry.stop();
  });

  it('is never followed by another one that removes nothing: a loop that is always late is swept all the same', async () => {
    const { clock, registry, map, reports, sleep } = sleepy({ ttl: '1m' });
    map.set('a', 1);
    // To the first tick, to the one that makes up for it, and to the next of the grid.
    for (const ms of [60_000, 5_000, 55_000, 5_000]) {
      sleep(3_600_000);
      await clock.advance(ms);
    }
    expect(map.size).toBe(0);
    const skipped = reports.map((report) => report.skipped);
    expect(skipped).toEqual(['late-tick', undefined, 'late-tick', undefined]);
    registry.stop();
  });

  it('leaves the ticks after it where they were: an entry goes with the first of them at or after its deadline', async () => {
    const { clock, registry, map, sleep } = sleepy({ ttl: '1m' });
    sleep(90_000);
    // Of 60 s, skipped at 150 s and made up for at 155 s; the next ones are those of 180 s and 240 s.
    await clock.advance(60_000);
    await clock.advance(5_000);
    map.set('a', 1);
    await clock.advance(25_000);
    map.set('b', 1);
    await clock.advance(59_999);
    expect([...map.keys()]).toEqual(['a', 'b']);
    await clock.advance(1);
    expect(map.size).toBe(0);
    registry.stop();
  });

  it('does not keep an explicit sweep() from removing', async () => {
    const { clock, registry, map, sleep } = sleepy({ ttl: '1m' });
    map.set('a', 1);
    sleep(3_600_000);
    expect((await registry.sweep()).swept).toBe(1);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('slices', () => {
  it('end at their budget: a pass over 100 entries of 1 ms each yields about every 5', async () => {
    const clock = createManualClock();
    let yields = 0;
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: 0, dispose: () => {} } },
      clock: slowClock(clock, 1, () => {
        yields += 1;
      }),
    });
    for (let n = 0; n < 100; n += 1) registry.maps.map.set(`k${n}`, n);
    const report = await registry.sweep();
    expect(report.swept).toBe(100);
    expect(yields).toBeGreaterThanOrEqual(20);
    expect(report.slices).toBe(yields + 1);
    expect(report.longestSliceMs).toBeLessThan(12);
    registry.stop();
  });

  it('let timers in between any two, also the first two of a pass that a timer began', async () => {
    const order: string[] = [];
    const map = new TrackedMap<number, number>(null, {
      ttl: 0,
      dispose: () => {
        order.push('disposed');
        for (const until = performance.now() + 1; performance.now() < until; );
      },
    });
    for (let n = 0; n < 20; n += 1) map.set(n, n);
    const report = await new Promise<SweepReport>((resolve) => {
      setTimeout(() => {
        setTimeout(() => order.push('timer'), 1);
        resolve(map.sweep());
      }, 1);
    });
    expect(report.slices).toBeGreaterThan(1);
    const ofFirstSlice = order.indexOf('timer');
    expect(ofFirstSlice).toBeGreaterThan(0);
    // No more than one slice before it: the budget of 5 ms has room for five entries of 1 ms, and the one that spends it.
    expect(ofFirstSlice).toBeLessThanOrEqual(6);
  });

  it('keep to another budget', async () => {
    const slicesFor = async (sliceBudget: number) => {
      const clock = createManualClock();
      const registry = createRegistry<{ map: Numbers }>({
        maps: { map: { ttl: 0, dispose: () => {} } },
        clock: slowClock(clock, 1),
        sliceBudget,
      });
      for (let n = 0; n < 100; n += 1) registry.maps.map.set(`k${n}`, n);
      const { slices } = await registry.sweep();
      registry.stop();
      return slices;
    };
    expect(await slicesFor(1_000)).toBe(1);
    expect(await slicesFor(1)).toBeGreaterThanOrEqual(50);
  });

  it('give way before each step in which the table of a large Map shrinks, once, whatever that step does', async () => {
    const clock = createManualClock();
    // In its last quarter, which V8 makes half as large a table for.
    const kept = 32_768;
    const slicesFor = async (size: number, isKept: (value: number) => boolean): Promise<number> => {
      const registry = createRegistry<{ map: Numbers }>({
        maps: { map: { ttl: 0, dispose: () => {}, keepWhile: (value) => isKept(value) } },
        clock,
        sliceBudget: 1_000,
      });
      for (let n = 0; n < size; n += 1) registry.maps.map.set(`k${n}`, n);
      const slices = [];
      slices.push((await registry.sweep()).slices);
      // Grown and swept again.
      for (let n = 0; n < size; n += 1) registry.maps.map.set(`k${n}`, n);
      slices.push((await registry.sweep()).slices);
      registry.stop();
      expect(slices[1]).toBe(slices[0]);
      return slices[0] as number;
    };
    expect(await slicesFor(2 * kept - 1_000, () => false)).toBe(1);
    // The table of the owner's Map, and in the next step that of the stamps.
    expect(await slicesFor(2 * kept + 1, () => false)).toBe(3);
    // It stays as large as that for thousands of steps.
    expect(await slicesFor(2 * kept + 1, (value) => value > kept)).toBe(2);
  });

  it('an entry that was touched, replaced or deleted between two of them stays, or has left once', async () => {
    for (const act of ['touch', 'set', 'delete', 'replace'] as const) {
      const clock = createManualClock();
      const disposed: Array<[string, string]> = [];
      const meanwhile = (): void => {
        if (disposed.some(([key]) => key === 'last') || !map.has('last') || acted) return;
        acted = true;
        if (act === 'touch') registry.touch('map', 'last');
        else if (act === 'set') map.set('last', 99);
        else map.delete('last');
        if (act === 'replace') map.set('last', 100);
      };
      let acted = false;
      const registry = createRegistry<{ map: Numbers }>({
        maps: { map: { maxIdle: '1m', dispose: (_value, key, reason) => disposed.push([key, reason]) } },
        clock: slowClock(clock, 2, meanwhile),
      });
      const { map } = registry.maps;
      for (let n = 0; n < 20; n += 1) map.set(`k${n}`, n);
      map.set('last', 99);
      await clock.advance(70_000);
      await registry.sweep();
      const ofLast = disposed.filter(([key]) => key === 'last');
      expect([act, map.has('last'), ofLast]).toEqual([
        act,
        act !== 'delete',
        act === 'touch' || act === 'set' ? [] : [['last', 'deleted']],
      ]);
      expect(map.size).toBe(act === 'delete' ? 0 : 1);
      registry.stop();
    }
  });

  it('what is added between two of them is not in this pass, however due', async () => {
    const clock = createManualClock();
    let added = 0;
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: 0 } },
      clock: slowClock(clock, 3, () => {
        added += 1;
        registry.maps.map.set(`new ${added}`, added);
      }),
    });
    for (let n = 0; n < 40; n += 1) registry.maps.map.set(`k${n}`, n);
    const report = await registry.sweep();
    expect(report.swept).toBe(40);
    expect(registry.maps.map.size).toBe(added);
    expect(added).toBeGreaterThan(1);
    registry.stop();
  });

  it('stop() between two of them ends the pass; what was left is swept by the next sweep()', async () => {
    const clock = createManualClock();
    let yields = 0;
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: 0 } },
      clock: slowClock(clock, 3, () => {
        yields += 1;
        if (yields === 2) registry.stop();
      }),
    });
    for (let n = 0; n < 200; n += 1) registry.maps.map.set(`k${n}`, n);
    const report = await registry.sweep();
    expect(report.skipped).toBe('stopped');
    expect(report.swept).toBeGreaterThan(0);
    expect(registry.maps.map.size).toBe(200 - report.swept);
    expect(registry.report().lastSweepAt).toBe(undefined);
    await registry.sweep();
    expect(registry.maps.map.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('sweep() after stop() sweeps everything, also while the pass that was stopped has not ended', async () => {
    const clock = createManualClock();
    let yields = 0;
    let again: Promise<SweepReport> | undefined;
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: 0 } },
      clock: slowClock(clock, 3, () => {
        yields += 1;
        if (yields !== 2) return;
        registry.stop();
        again = registry.sweep();
      }),
    });
    for (let n = 0; n < 200; n += 1) registry.maps.map.set(`k${n}`, n);
    expect((await registry.sweep()).skipped).toBe('stopped');
    expect((await again)?.skipped).toBe(undefined);
    expect(registry.maps.map.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('reconciliation of 10,000 bypass writes is sliced too', async () => {
    const clock = createManualClock();
    const live = new Map<number, number>();
    let yields = 0;
    const handle = adopt(live, {
      ttl: '1m',
      clock: slowClock(clock, 1, () => {
        yields += 1;
      }),
    });
    for (let n = 0; n < 10_000; n += 1) Map.prototype.set.call(live, n, n);
    const report = await handle.sweep();
    expect(report.longestSliceMs).toBeLessThan(12);
    expect(yields).toBeGreaterThan(100);
    expect(handle.stamps(9_999)).toBeDefined();
  });
});

describe('a callback that throws', () => {
  it('stops no other entry, map, callback or later sweep, whatever it throws', async () => {
    for (const thrown of [new Error('x'), null, undefined, 'text', Object.create(null)]) {
      const clock = createManualClock();
      const fail = (): never => {
        throw thrown;
      };
      const once: PolicyOf<Numbers> = {
        ttl: '1m',
        since: (value) => (value === 0 ? fail() : 1_600_000_000_000),
        keepWhile: (value) => (value === 1 ? fail() : false),
        dispose: fail,
        beforeSweep: (value) => (value === 2 ? fail() : undefined),
        rules: [{ match: (key) => (key === 'k3' ? fail() : false) }],
        activeAt: (value) => (value === 4 ? fail() : undefined),
        expiresAt: (value) => (value === 5 ? fail() : undefined),
        maxEntries: 1_000,
      };
      const registry = createRegistry<{ bad: Numbers; good: Numbers }>({
        maps: { bad: once, good: { ttl: '1m' } },
        ended: { map: 'bad', deliver: fail, attempts: 1 },
        clock,
      });
      for (const type of [
        'swept',
        'sweep-finished',
        'callback-failed',
        'subagent-ended',
        'dead-letter',
      ] as const) {
        registry.on(type, fail);
      }
      for (let n = 0; n < 10; n += 1) {
        registry.maps.bad.set(`k${n}`, n);
        registry.maps.good.set(`k${n}`, n);
      }
      await clock.advance(180_000);
      expect([...registry.maps.bad.keys()]).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k5']);
      expect(registry.maps.good.size).toBe(0);
      const counted = registry.report().callbackErrors.map(({ map, callback }) => `${map}.${callback}`);
      expect(counted).toEqual(
        expect.arrayContaining([
          'bad.since',
          'bad.keepWhile',
          'bad.dispose',
          'bad.beforeSweep',
          'bad.match',
          'bad.activeAt',
          'bad.expiresAt',
          'bad.deliver',
          '.listener',
        ]),
      );
      registry.stop();
      expect(clock.pendingTimers).toBe(0);
    }
  });

  it('a listener of callback-failed that fails itself, at once or later, is counted and not told about that', async () => {
    const { clock, registry, map, end } = registryOf({
      ttl: '1m',
      dispose: () => {
        throw new Error('dispose');
      },
    });
    let calls = 0;
    registry.on('callback-failed', () => {
      calls += 1;
      throw new Error('listener');
    });
    registry.on('callback-failed', async () => {
      calls += 1;
      if (calls > 50) return;
      throw new Error('late');
    });
    map.set('a', 1);
    await clock.advance(60_000);
    expect(calls).toBe(2);
    expect(registry.report().callbackErrors).toContainEqual({ map: '', callback: 'listener', count: 2 });
    end();
  });

  /** A clock that throws from the first look at an entry on, until that is told. */
  function breakingIn(policy: PolicyOf<Numbers>) {
    const clock = createManualClock();
    let isBroken = false;
    const breaking = {
      ...clock,
      monotonic: () => {
        if (isBroken) throw new Error('broken');
        return clock.monotonic();
      },
    };
    const registry = createRegistry<{ map: Numbers; other: Numbers }>({
      maps: { map: { ttl: '1m', keepWhile: () => (isBroken = true), ...policy }, other: { ttl: '1m' } },
      clock: breaking,
    });
    const told: unknown[] = [];
    registry.on('callback-failed', ({ map, callback }) => {
      isBroken = false;
      told.push([map, callback]);
    });
    return { clock, registry, told, ...registry.maps };
  }

  it('even where nothing should, ends the pass over that map and no more, and the next sweep comes', async () => {
    const { clock, registry, told, map, other } = breakingIn({});
    map.set('a', 1);
    other.set('a', 1);
    await clock.advance(60_000);
    expect(told).toEqual([['map', 'sweep']]);
    expect([map.size, other.size]).toEqual([1, 0]);
    map.set('b', 1);
    await clock.advance(60_000);
    expect(told.length).toBe(2);
    expect(await registry.sweep()).toMatchObject({ skipped: undefined });
    registry.stop();
  });

  it('does so for a map with an interval of its own too, and for an eviction', async () => {
    for (const [policy, callback] of [
      [{ sweepEvery: '1s' }, 'sweep'],
      [{ maxEntries: 1, ttl: 0 }, 'evict'],
    ] as const) {
      const { clock, registry, told, map } = breakingIn({ ttl: 500, ...policy });
      for (const round of [1, 2]) {
        map.set(`a${round}`, 1);
        map.set(`b${round}`, 1);
        await clock.advance(1_000);
        expect(told.splice(0)).toContainEqual(['map', callback]);
      }
      expect(await registry.sweep()).toMatchObject({ skipped: undefined });
      registry.stop();
    }
  });

  it('in what comes after the maps, is told, and keeps neither the event nor the next sweep away', async () => {
    const { clock, registry, reports, end } = registryOf();
    const told: unknown[] = [];
    registry.on('callback-failed', ({ map, callback }) => told.push([map, callback]));
    (internalsOf(registry) as RegistryInternals).engine.afterPass.add(() => {
      throw new Error('internal');
    });
    await clock.advance(120_000);
    expect(reports.length).toBe(2);
    await registry.sweep();
    expect(told).toEqual(Array(3).fill(['', 'sweep']));
    end();
  });

  it('beside the maps, breaks the sweep off, is told, and keeps no later sweep away', async () => {
    const { registry, end } = registryOf();
    const told: unknown[] = [];
    registry.on('callback-failed', ({ map, callback }) => told.push([map, callback]));
    const { chores } = (internalsOf(registry) as RegistryInternals).engine;
    const failing = () => {
      throw new Error('internal');
    };
    chores.add(failing);
    expect(await registry.sweep()).toMatchObject({ swept: 0, skipped: 'stopped' });
    expect(told).toEqual([['', 'sweep']]);
    chores.delete(failing);
    expect(await registry.sweep()).toMatchObject({ skipped: undefined });
    end();
  });

  it('of the clock, in yield(), ends no sweep', async () => {
    const clock = createManualClock();
    const failing = { ...slowClock(clock, 3), yield: () => Promise.reject(new Error('no turn')) };
    const registry = createRegistry<{ map: Numbers }>({ maps: { map: { ttl: 0 } }, clock: failing });
    for (let n = 0; n < 40; n += 1) registry.maps.map.set(`k${n}`, n);
    await registry.sweep();
    expect(registry.maps.map.size).toBe(0);
    registry.stop();
  });
});

describe('re-entrancy: every call inside every callback', () => {
  const calls: Array<[string, (setting: ReturnType<typeof busy>) => void]> = [
    ['set of the same key', ({ map, at }) => map.set(at(), 1_000)],
    ['set of a new key', ({ map, registry }) => map.set(`new ${registry.report().maps[0]?.registered}`, 1)],
    ['delete of the same key', ({ map, at }) => map.delete(at())],
    ['delete of another', ({ map }) => map.delete('k2')],
    ['clear', ({ map }) => map.clear()],
    ['touch', ({ registry, at }) => registry.touch('map', at())],
    ['sweep', ({ registry }) => void registry.sweep()],
    ['end', ({ registry, at }) => registry.end(at())],
    ['explain', ({ registry, at }) => registry.explain('map', at())],
    ['stop', ({ registry }) => registry.stop()],
    [
      'adopt',
      ({ registry }) => {
        const name = `adopted ${registry.report().maps.length}`;
        registry.adopt(name, new Map([['x', 1]]), { ttl: 0 });
      },
    ],
  ];

  const sites = [
    'since',
    'expiresAt',
    'activeAt',
    'keepWhile',
    'match',
    'dispose',
    'replaced',
    'beforeSweep',
    'subagent-ended',
    'swept',
    'evicted',
    'sweep-finished',
    'callback-failed',
  ];

  /** A registry in which `run` is called from one site, at most 30 times. */
  function busy(site: string, run: (setting: ReturnType<typeof busy>) => void) {
    const clock = createManualClock();
    const born: number[] = [];
    const disposed: number[] = [];
    let key = 'k0';
    let left = 30;
    let depth = 0;
    const call = (where: string, given?: string): void => {
      if (where !== site || left <= 0) return;
      left -= 1;
      if (given !== undefined) key = given;
      depth += 1;
      deepest = Math.max(deepest, depth);
      try {
        run(setting);
      } finally {
        depth -= 1;
      }
    };
    let deepest = 0;
    let minted = 10_000;
    const live = new (class extends Map<string, number> {
      override set(name: string, _value: number): this {
        // Each value is another one, so that each can be followed.
        minted += 1;
        born.push(minted);
        return super.set(name, minted);
      }
    })();
    const registry = createRegistry<{ map: Numbers }>({
      maps: {
        map: {
          adopt: live,
          ttl: '1m',
          since: (_value, name) => {
            call('since', name);
            return clock.now() - 1;
          },
          maxIdle: '1m',
          expiresAt: (_value, name) => void call('expiresAt', name) as undefined,
          activeAt: (_value, name) => void call('activeAt', name) as undefined,
          keepWhile: (_value, name) => {
            call('keepWhile', name);
            return false;
          },
          rules: [
            {
              match: (name) => {
                call('match', name);
                return false;
              },
            },
          ],
          dispose: (value, name) => {
            disposed.push(value);
            call('dispose', name);
            if (site === 'callback-failed') throw new Error('dispose');
          },
          replaced: (value, name) => {
            disposed.push(value);
            call('replaced', name);
          },
          maxEntries: 8,
          ...(site === 'beforeSweep' ? { beforeSweep: (_value, name) => call('beforeSweep', name) } : {}),
        },
      },
      ended: { map: 'map' },
      clock,
    });
    for (const type of ['subagent-ended', 'swept', 'evicted', 'sweep-finished', 'callback-failed'] as const) {
      registry.on(type, (event) => call(type, 'key' in event ? (event.key as string) : undefined));
    }
    const setting = { registry, clock, map: live, at: () => key, born, disposed, deepest: () => deepest };
    return setting;
  }

  it.each(sites)('in %s', async (site) => {
    for (const [name, run] of calls) {
      const setting = busy(site, run);
      const { clock, registry, map, born, disposed } = setting;
      for (let n = 0; n < 10; n += 1) map.set(`k${n}`, n);
      await clock.advance(1);
      await clock.advance(600_000);
      await registry.sweep();
      map.clear();
      expect([name, disposed.length, new Set(disposed).size, [...disposed].sort((a, b) => a - b)]).toEqual([
        name,
        born.length,
        born.length,
        born,
      ]);
      await registry.close();
      expect([name, clock.pendingTimers]).toEqual([name, 0]);
    }
  });

  it.each(['touch', 'set'] as const)(
    'a policy function that does a %s of its own entry at every call recurses no further than once',
    async (act) => {
      const clock = createManualClock();
      let depth = 0;
      let deepest = 0;
      const registry = createRegistry<{ map: Numbers }>({
        maps: {
          map: {
            ttl: '1m',
            since: (value, key) => {
              depth += 1;
              deepest = Math.max(deepest, depth);
              if (depth < 500) {
                if (act === 'touch') registry.touch('map', key);
                else registry.maps.map.set(key, value);
              }
              depth -= 1;
              return undefined;
            },
          },
        },
        clock,
      });
      registry.maps.map.set('a', 1);
      await registry.sweep();
      expect(deepest).toBeLessThanOrEqual(2);
      registry.stop();
    },
  );
});

describe('an entry that a policy function touches while it is judged', () => {
  const policies: Array<[string, (touch: () => void) => PolicyOf<Numbers>]> = [
    ['keepWhile', (touch) => ({ keepWhile: () => void touch() as never })],
    ['expiresAt', (touch) => ({ expiresAt: () => void touch() as undefined })],
    [
      'beforeSweep and keepWhile',
      (touch) => ({ beforeSweep: () => {}, keepWhile: () => void touch() as never }),
    ],
  ];

  it.each(policies)('in %s stays, for it is idle no longer', async (_, policyOf) => {
    let touches = 0;
    let isTouching = false;
    const { clock, registry, map, end } = registryOf({
      maxIdle: '1m',
      ...policyOf(() => {
        if (!isTouching) return;
        touches += 1;
        registry.touch('map', 'a');
      }),
    });
    map.set('a', 1);
    await clock.advance(59_999);
    isTouching = true;
    await clock.advance(1);
    expect(touches).toBeGreaterThan(0);
    expect(map.size).toBe(1);
    isTouching = false;
    await clock.advance(120_000);
    expect(map.size).toBe(0);
    end();
  });
});

describe('stop()', () => {
  it('leaves no timer, is idempotent, and lets the maps go on being maps', async () => {
    const { clock, registry, map } = registryOf({ ttl: '1m', maxEntries: 2, beforeSweep: () => {} });
    map.set('a', 1).set('b', 2).set('c', 3);
    await clock.advance(59_999);
    registry.stop();
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
    map.set('d', 4).set('e', 5);
    map.delete('d');
    expect(registry.stamps('map', 'e')).toBeDefined();
    await clock.advance(600_000);
    expect(map.has('e')).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    expect(registry.report().stopped).toBe(true);
  });

  it('in the very first callback of a pass ends it there', async () => {
    const { clock, registry, map } = registryOf({
      ttl: '1m',
      dispose: () => {
        registry.stop();
      },
    });
    map.set('a', 1).set('b', 2).set('c', 3);
    await clock.advance(600_000);
    expect(map.size).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('with the timers of the process', () => {
  it('works under fake timers, which the default clock reads at call time', async () => {
    vi.useFakeTimers();
    const registry = createRegistry<{ map: Numbers }>({ maps: { map: { ttl: '5m' } } });
    registry.maps.map.set('a', 1);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(299_999);
    expect(registry.maps.map.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(registry.maps.map.size).toBe(0);
    registry.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps no process alive: one with two registries and entries exits by itself', async () => {
    const source = new URL('../../src/index.ts', import.meta.url).href;
    const script = `
      import { createRegistry } from ${JSON.stringify(source)};
      const registries = [1, 2].map(() => createRegistry({
        maps: { runs: { ttl: '5m', maxEntries: 1, beforeSweep: () => new Promise(() => {}) } },
        ended: { map: 'runs', deliver: () => Promise.reject(new Error('down')) },
      }));
      for (const { maps, ...registry } of registries) for (let n = 0; n < 5; n += 1) maps.runs.set(n, n);
      registries[0].end(1);
      setTimeout(() => { registries[1].sweep(); console.log('last line'); }, 20);
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script],
      { cwd: fileURLToPath(new URL('../..', import.meta.url)), timeout: 20_000 },
    );
    expect(stdout.trim()).toBe('last line');
  }, 30_000);

  it('pins no async context: the store of the request that created the registry becomes collectable', async () => {
    const requests = new AsyncLocalStorage<object>();
    const seen: unknown[] = [];
    const start = () => {
      const store = { request: 'the first' };
      const registry = requests.run(store, () => {
        const created = createRegistry<{ map: Numbers }>({
          maps: {
            map: { ttl: 1, maxEntries: 2, beforeSweep: () => void seen.push(requests.getStore()) },
          },
          sweepEvery: 10,
        });
        created.maps.map.set('a', 1).set('b', 2).set('c', 3);
        return created;
      });
      return { registry, ref: new WeakRef(store) };
    };
    const { registry, ref } = start();
    await vi.waitFor(() => expect(registry.maps.map.size).toBe(0), { timeout: 5_000, interval: 5 });
    expect(new Set(seen)).toEqual(new Set([undefined]));
    await vi.waitFor(
      () => {
        globalThis.gc?.();
        expect(ref.deref()).toBe(undefined);
      },
      { timeout: 5_000, interval: 5 },
    );
    registry.stop();
  });

  it('lets a registry that was closed, and swept values, become collectable', async () => {
    const make = async () => {
      const clock = createManualClock();
      const value = { big: true };
      const registry = createRegistry<{ map: Map<string, object> }>({ maps: { map: { ttl: '1m' } }, clock });
      registry.maps.map.set('a', value);
      await clock.advance(60_000);
      const live = new Map();
      const handle = registry.adopt('live', live);
      handle.release();
      await registry.close();
      return [new WeakRef(value), new WeakRef(registry), new WeakRef(live)];
    };
    const refs = await make();
    await vi.waitFor(
      () => {
        globalThis.gc?.();
        expect(refs.map((ref) => ref.deref() === undefined)).toEqual([true, true, true]);
      },
      { timeout: 5_000, interval: 5 },
    );
  });
});

describe('a TrackedMap alone', () => {
  it('has no timer and is swept by its own sweep()', async () => {
    const clock = createManualClock();
    const map = new TrackedMap([['a', 1]], { ttl: '5m', clock });
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(300_000);
    expect(map.size).toBe(1);
    expect((await map.sweep()).swept).toBe(1);
    expect(map.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });
});
