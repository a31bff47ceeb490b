import { adopt, createRegistry, type PolicyOf, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { slowClock } from '../time/slow-clock.js';

type Requests = Map<string, number>;

function setup(pending: PolicyOf<Requests>, others: PolicyOf<Requests> = {}, options: object = {}) {
  const clock = createManualClock();
  let slept = 0;
  const registry = createRegistry<{ pending: Requests; others: Requests }>({
    maps: { pending: { sweepEvery: '1s', ...pending }, others },
    clock: { ...clock, monotonic: () => clock.monotonic() + slept, now: () => clock.now() + slept },
    ...options,
  });
  /** Both clocks move while no timer fires: the machine slept, or the loop was blocked. */
  const sleep = (ms: number): void => {
    slept += ms;
  };
  const { pending: map, others: otherMap } = registry.maps;
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, map, others: otherMap, sleep, end };
}

describe('sweepEvery of a map', () => {
  it('rejects a request of 7.5 s after 8 s, and not after 60, with one timer', async () => {
    const rejected: unknown[] = [];
    const { clock, map, end } = setup({
      ttl: '7.5s',
      dispose: (_, key) => rejected.push([key, clock.now()]),
    });
    const began = clock.now();
    map.set('r', 1);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(7_999);
    expect(map.has('r')).toBe(true);
    await clock.advance(1);
    expect(rejected).toEqual([['r', began + 8_000]]);
    expect(clock.pendingTimers).toBe(1);
    end();
  });

  it('spends nothing on the other maps: they are asked once a minute, and no finished sweep is told in between', async () => {
    const asked = { pending: 0, others: 0 };
    const count = (which: keyof typeof asked) => () => {
      asked[which] += 1;
      return undefined;
    };
    const { clock, registry, map, others, end } = setup(
      { ttl: '1h', since: count('pending') },
      { ttl: '1h', since: count('others') },
    );
    const finished: number[] = [];
    registry.on('sweep-finished', () => finished.push(clock.now()));
    const began = clock.now();
    map.set('r', 1);
    others.set('o', 1);
    await clock.advance(119_999);
    expect(finished).toEqual([began + 60_000]);
    expect(asked.others).toBe(1);
    expect(asked.pending).toBeGreaterThanOrEqual(119);
    end();
  });

  it('is kept in step by a map that is adopted later, and by the tick of the registry’s creation', async () => {
    const { clock, registry, end } = setup({ sweepEvery: undefined });
    await clock.advance(1_700);
    const later: Requests = new Map([['r', 1]]);
    const handle = registry.adopt('later', later, { ttl: '3s', sweepEvery: '2s' });
    // Due at 4.7 s; the ticks are at 2, 4 and 6 s.
    await clock.advance(4_299);
    expect(later.has('r')).toBe(true);
    await clock.advance(1);
    expect(later.has('r')).toBe(false);
    expect(clock.pendingTimers).toBe(1);
    handle.release();
    later.set('again', 1);
    await clock.advance(10_000);
    expect(later.size).toBe(1);
    end();
  });

  it('two maps of one interval share a tick, and one of another has its own', async () => {
    const clock = createManualClock();
    const gone: string[] = [];
    const policy = (name: string, sweepEvery: number) => ({
      ttl: 500,
      sweepEvery,
      dispose: () => gone.push(`${name} at ${clock.now() - began}`),
    });
    const registry = createRegistry<{ a: Requests; b: Requests; c: Requests }>({
      maps: { a: policy('a', 1_000), b: policy('b', 1_000), c: policy('c', 700) },
      clock,
    });
    const began = clock.now();
    for (const map of Object.values(registry.maps)) map.set('r', 1);
    await clock.advance(1_000);
    expect(gone).toEqual(['c at 700', 'a at 1000', 'b at 1000']);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('removes nothing on a tick that comes more than one interval late, and makes up for it within that', async () => {
    const { clock, map, sleep, end } = setup({ maxIdle: '5s' });
    map.set('r', 1);
    await clock.advance(4_000);
    sleep(30_000);
    await clock.advance(1_000);
    expect(map.has('r')).toBe(true);
    await clock.advance(999);
    expect(map.has('r')).toBe(true);
    await clock.advance(1);
    expect(map.has('r')).toBe(false);
    end();
  });

  it('is not gone round by a tick of the registry that comes in time while the map’s own are late', async () => {
    const { clock, registry, map, sleep, end } = setup({ maxIdle: '5s' });
    await clock.advance(54_000);
    map.set('r', 1);
    await clock.advance(4_000);
    // From 58 s to 63 s: a second later the tick of 60 s is 4 s late, and that of the map 5 intervals.
    sleep(5_000);
    await clock.advance(1_000);
    expect(registry.report().lastSweepAt).toBeDefined();
    expect(map.has('r')).toBe(true);
    await clock.advance(1_000);
    expect(map.has('r')).toBe(false);
    end();
  });

  it('is made up for by a tick of the registry at the instant at which its own is to do that', async () => {
    const { clock, map, sleep, end } = setup({ maxIdle: '3s' });
    await clock.advance(54_000);
    map.set('r', 1);
    await clock.advance(1_000);
    // From 55 s to 58 s: the tick of 56 s comes at 59 s, and at 60 s both make up for it.
    sleep(3_000);
    await clock.advance(1_000);
    expect(map.has('r')).toBe(true);
    await clock.advance(1_000);
    expect(map.has('r')).toBe(false);
    end();
  });

  it('gives a sweep by hand everything, also one that is asked for in the midst of a pass in between', async () => {
    let asked: Promise<unknown> | undefined;
    const { clock, registry, map, others, end } = setup(
      {
        ttl: 500,
        dispose: () => {
          asked ??= registry.sweep();
        },
      },
      { ttl: 500 },
    );
    map.set('r', 1);
    others.set('o', 1);
    await clock.advance(1_000);
    expect(asked).toBeDefined();
    expect(await asked).toMatchObject({ swept: 1 });
    expect([map.size, others.size]).toEqual([0, 0]);
    end();
  });

  it('tries a beforeSweep that failed again after its own interval, doubled each time', async () => {
    const tried: number[] = [];
    const { clock, map, end } = setup({
      ttl: 500,
      beforeSweep: async () => {
        tried.push(clock.now() - began);
        throw new Error('not yet');
      },
    });
    const began = clock.now();
    map.set('r', 1);
    await clock.advance(8_000);
    expect(tried).toEqual([1_000, 2_000, 4_000, 8_000]);
    end();
  });

  it('ends with stop(), in the midst of a pass too, and looks at maps in slices', async () => {
    let disposed = 0;
    const { clock, registry, map } = setup({
      ttl: 500,
      dispose: () => {
        disposed += 1;
        if (disposed === 3) registry.stop();
      },
    });
    for (let n = 0; n < 10; n += 1) map.set(`r${n}`, n);
    await clock.advance(5_000);
    expect([disposed, map.size, clock.pendingTimers]).toEqual([3, 7, 0]);
    await registry.sweep();
    expect(map.size).toBe(0);
  });

  it('has a tick of the registry wait for the end of a pass in between, which a stop() then leaves nothing to do', async () => {
    const turns: (() => void)[] = [];
    const clock = createManualClock();
    let isHeldUp = false;
    const registry = createRegistry<{ pending: Requests; others: Requests }>({
      maps: { others: { ttl: 500 }, pending: { sweepEvery: '1s', ttl: 500, dispose: () => {} } },
      sliceBudget: 1,
      clock: {
        ...slowClock(clock, 2),
        yield: () => (isHeldUp ? new Promise<void>((resolve) => turns.push(resolve)) : clock.yield()),
      },
    });
    const { pending, others } = registry.maps;
    const finished: unknown[] = [];
    registry.on('sweep-finished', ({ skipped }) => finished.push(skipped));
    for (const stops of [false, true]) {
      for (let n = 0; n < 5; n += 1) pending.set(`r${n}`, n);
      others.set('o', 1);
      isHeldUp = true;
      await clock.advance(60_000);
      expect([finished, others.size]).toEqual([[], 1]);
      if (stops) registry.stop();
      isHeldUp = false;
      for (const turn of turns.splice(0)) turn();
      await clock.advance(0);
      expect([finished.splice(0), others.size]).toEqual(stops ? [['stopped'], 1] : [[undefined], 0]);
    }
    expect(clock.pendingTimers).toBe(0);
  });

  it('observes where the map is only observed', async () => {
    const { clock, registry, map, end } = setup({ ttl: 500, mode: 'observe' });
    map.set('r', 1);
    await clock.advance(1_000);
    expect(registry.report().maps[0]).toMatchObject({ size: 1, overdue: 1 });
    end();
  });

  it.each([
    ['longer than the registry’s', () => createRegistry({ maps: { a: { sweepEvery: '2m' } } })],
    [
      'longer than the registry’s, of a map that is adopted',
      () => {
        const registry = createRegistry({ maps: {}, sweepEvery: '10s' });
        registry.stop();
        return registry.adopt('a', new Map(), { sweepEvery: '11s' });
      },
    ],
    ['0', () => createRegistry({ maps: { a: { sweepEvery: 0 } } })],
    ['of a TrackedMap alone', () => new TrackedMap(undefined, { sweepEvery: '1s' } as never)],
    ['of an adopted map alone', () => adopt(new Map(), { sweepEvery: '1s' } as never)],
  ])('%s is an error', (_, run) => {
    expect(run).toThrow(/sweepEvery/);
  });
});
