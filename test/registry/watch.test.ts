import { createRegistry, type LeakSuspectedEvent } from 'mapsweep';
import { registerMetrics } from 'mapsweep/prometheus';
import { createManualClock, returnToBaseline } from 'mapsweep/testing';
import { Registry as Register } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';

const ended: (() => void)[] = [];
afterEach(() => {
  for (const end of ended.splice(0)) end();
});

function setup() {
  const clock = createManualClock();
  const registry = createRegistry<{ map: Map<string, number> }>({ maps: { map: {} }, clock });
  ended.push(() => registry.stop());
  const told: LeakSuspectedEvent[] = [];
  registry.on('leak-suspected', (event) => told.push(event));
  const watched = (name = 'size') => registry.report().watched.find((of) => of.name === name);
  return { clock, registry, told, watched };
}

/** Lets hours pass, and calls in each of their minutes. */
async function hours(
  clock: ReturnType<typeof createManualClock>,
  count: number,
  each: () => void,
): Promise<void> {
  for (let minute = 0; minute < 60 * count; minute += 1) {
    each();
    await clock.advance(60_000);
  }
}

describe('a watched size', () => {
  it('is asked for when it begins and once a sweep, and not by whoever looks', async () => {
    const { clock, registry, watched } = setup();
    const size = vi.fn(() => 7);
    registry.watch('size', size);
    expect(size).toHaveBeenCalledTimes(1);
    for (let look = 0; look < 3; look += 1) {
      expect(watched()).toMatchObject({ size: 7, max: undefined, leak: { state: 'ok' } });
      registry.health();
    }
    expect(size).toHaveBeenCalledTimes(1);
    await clock.advance(180_000);
    expect(size).toHaveBeenCalledTimes(4);
  });

  it('that grows and nothing leaves is growing after 4 hours, and leaks after 12; that is told, and health warns', async () => {
    const { clock, registry, watched, told } = setup();
    const list: number[] = [];
    registry.watch('list', () => list.length);
    await hours(clock, 6, () => list.push(1));
    expect(watched('list')?.leak.state).toBe('growing');
    expect(told).toEqual([]);
    await hours(clock, 9, () => list.push(1));
    expect(watched('list')?.leak).toMatchObject({ state: 'leaking', by: 'entries' });
    expect(watched('list')?.leak.perHour).toBeCloseTo(60, 0);
    expect(told).toMatchObject([{ map: 'list', suspected: true, oldestKeys: [], sites: [] }]);
    expect(told[0]?.size).toBe(720);
    expect(registry.health()).toMatchObject({
      status: 'warning',
      reasons: [expect.stringContaining("'list' leaks")],
    });
    expect(String(registry.report())).toMatch(/list +\d+ +- +LEAKING, \+60\.0 an hour/);
    list.length = 0;
    await hours(clock, 2, () => {});
    expect(told.at(-1)).toMatchObject({ map: 'list', suspected: false });
  });

  it('below the bound that its owner knows is filling, with the hours that are left, and never leaks', async () => {
    const { clock, registry, watched, told } = setup();
    const list: number[] = [];
    registry.watch('list', () => list.length, { max: 6_000 });
    await hours(clock, 20, () => list.push(1));
    expect(watched('list')).toMatchObject({ max: 6_000, leak: { state: 'filling' } });
    expect(watched('list')?.leak.hoursToLimit).toBeCloseTo(80, 0);
    expect(told).toEqual([]);
  });

  it('neither fills nor grows while it has fallen by more than it grew since, and no rate is below 0', async () => {
    const { clock, registry } = setup();
    let size = 0;
    registry.watch('bounded', () => size, { max: 1_000_000 });
    registry.watch('free', () => size);
    const leaks = () => registry.report().watched.map(({ leak }) => leak);
    const seen: unknown[] = [];
    await hours(clock, 11, () => (size += 100));
    size -= 17_000;
    for (let hour = 0; hour < 6; hour += 1) {
      await hours(clock, 1, () => (size += 1));
      seen.push(leaks().map(({ state }) => state));
      expect(Math.min(...leaks().map(({ perHour }) => perHour))).toBeGreaterThanOrEqual(0);
      expect(String(registry.report())).not.toContain('+-');
    }
    expect(seen[0]).toEqual(['filling', 'growing']);
    expect(seen.at(-1)).toEqual(['ok', 'ok']);
  });

  it('that leaks goes on leaking, at the rate that it had, when a little of it has left', async () => {
    const { clock, registry, watched, told } = setup();
    let size = 0;
    registry.watch('size', () => size);
    await hours(clock, 16, () => (size += 10));
    expect(watched()?.leak.perHour).toBeCloseTo(600, 0);
    size -= 1_500;
    for (let hour = 0; hour < 5; hour += 1) {
      await hours(clock, 1, () => (size += 1));
      expect(watched()?.leak.state).toBe('leaking');
      expect(watched()?.leak.perHour).toBeGreaterThan(0);
    }
    expect(told).toMatchObject([{ suspected: true }]);
  });

  it('that comes and goes is ok', async () => {
    const { clock, registry, watched } = setup();
    let [minute, size] = [0, 0];
    registry.watch('size', () => size);
    await hours(clock, 26, () => {
      minute += 1;
      size = 100 + Math.round(80 * Math.sin(minute / 90));
    });
    expect(watched()?.leak.state).toBe('ok');
  });

  it('that falls every night and stands higher each time is growing after five days, and takes that back when it has fallen', async () => {
    const { clock, registry, watched, told } = setup();
    let [minute, leaked] = [0, 0];
    registry.watch('healthy', () => 600 + Math.round(500 * Math.sin((Math.PI * minute) / 720)));
    registry.watch('leaky', () => 600 + Math.round(500 * Math.sin((Math.PI * minute) / 720) + leaked));
    const days = (count: number) =>
      hours(clock, 24 * count, () => {
        minute += 1;
        leaked += 1 / 6;
      });
    await days(4);
    expect(watched('leaky')?.leak.state).toBe('ok');
    await days(2.2);
    expect(watched('leaky')?.leak).toMatchObject({
      state: 'growing',
      reason: expect.stringContaining('by its smallest size of each day for 5d'),
    });
    expect(watched('leaky')?.leak.perHour).toBeCloseTo(10, 0);
    expect(watched('healthy')?.leak.state).toBe('ok');
    expect(told).toEqual([]);
    leaked = -500;
    await days(0.1);
    expect(watched('leaky')?.leak.state).toBe('ok');
  });

  it('that leaks and falls every night from then on leaks on by day, for 5 days and no infinite time', async () => {
    const { clock, registry, watched, told } = setup();
    let size = 0;
    registry.watch('size', () => size);
    for (let day = 0; day < 11; day += 1) {
      if (day > 6) size -= 800;
      await hours(clock, 24, () => (size += 1));
    }
    expect(watched()?.leak).toMatchObject({
      state: 'leaking',
      reason:
        'it has grown by its smallest size of each day for 5d or more, nothing leaves, and no bound is known',
    });
    expect(watched()?.leak.perHour).toBeGreaterThan(20);
    expect(told).toHaveLength(1);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('gone');
      },
    ],
    ['answers NaN', () => Number.NaN],
    ['answers a text', () => '7' as never],
    ['is asynchronous', () => Promise.reject(new Error('no size')) as never],
    ['is negative', () => -1],
  ])('that %s stays as it was; it is counted, and said once', async (_what, wrong) => {
    const { clock, registry, watched } = setup();
    const failed = vi.fn();
    registry.on('callback-failed', failed);
    let size = (): number => 5;
    registry.watch('size', () => size());
    size = wrong;
    await clock.advance(180_000);
    expect(watched()?.size).toBe(5);
    expect(failed).toHaveBeenCalledTimes(1);
    expect(registry.report().callbackErrors).toEqual([{ map: 'size', callback: 'watch', count: 3 }]);
    expect(registry.report().lastSweepAt).toBeDefined();
  });

  it('ends by what watch answers, and at close(); its name is free again then', async () => {
    const { clock, registry, watched } = setup();
    const [first, second] = [vi.fn(() => 1), vi.fn(() => 2)];
    const unwatch = registry.watch('size', first);
    unwatch();
    registry.watch('size', second);
    unwatch();
    await clock.advance(60_000);
    expect(first).toHaveBeenCalledTimes(1);
    expect(watched()?.size).toBe(2);
    await registry.close();
    expect(watched()).toBeUndefined();
    expect(() => registry.watch('size', first)).toThrow('watch: the registry is closed');
  });

  it('has a name of its own, among maps and sizes', () => {
    const { registry } = setup();
    registry.watch('size', () => 1);
    expect(() => registry.watch('map', () => 1)).toThrow("name: there is a map 'map' already");
    expect(() => registry.watch('size', () => 1)).toThrow("name: there is a watched size 'size' already");
    expect(() => registry.adopt('size', new Map())).toThrow("name: there is a watched size 'size' already");
  });

  it.each([
    [['', () => 1], 'name must be'],
    [['size', 7], 'size must be a function () => number'],
    [['size', () => 1, { max: 0 }], 'max must be an integer of at least 1'],
    [['size', () => 1, { maximum: 7 }], 'maximum is not an option. Allowed here: max'],
  ])('refuses %o', (parameters, message) => {
    const { registry } = setup();
    expect(() => (registry.watch as (...given: unknown[]) => void)(...(parameters as unknown[]))).toThrow(
      message,
    );
    expect(registry.report().watched).toEqual([]);
  });

  it('that leaks and ends, or a map that leaks and is released, is said once to be suspected no more', async () => {
    const { clock, registry, told } = setup();
    const live = new Map<number, number>();
    const handle = registry.adopt('live', live);
    const unwatch = registry.watch('list', () => live.size);
    const spare = registry.watch('spare', () => 1);
    await hours(clock, 14, () => live.set(live.size, 1));
    expect(told.splice(0)).toMatchObject(['live', 'list'].map((map) => ({ map, suspected: true })));
    registry.on('leak-suspected', () => {
      handle.release();
      unwatch();
    });
    for (let twice = 0; twice < 2; twice += 1) {
      handle.release();
      unwatch();
      spare();
    }
    const reason = 'it is watched no more';
    const over = {
      suspected: false,
      reason,
      perHour: 0,
      since: undefined,
      size: 840,
      oldestKeys: [],
      sites: [],
    };
    expect(told).toEqual(['live', 'list'].map((map) => ({ map, ...over })));
    await clock.advance(120_000);
    await registry.close();
    handle.release();
    expect(told.length).toBe(2);
  });

  it('that ends while it is asked for, or told to leak, is told of no more', async () => {
    const { clock, registry, told } = setup();
    let size = 0;
    let isToEnd = false;
    const unwatchFirst = registry.watch('first', () => {
      if (isToEnd) unwatchFirst();
      return isToEnd ? 0 : size;
    });
    const unwatchSecond = registry.watch('second', () => size);
    registry.on('leak-suspected', ({ map, suspected }) => {
      if (map === 'first' && suspected) unwatchSecond();
    });
    await hours(clock, 14, () => (size += 1));
    isToEnd = true;
    await clock.advance(120_000);
    expect(told.map(({ map, suspected }) => [map, suspected])).toEqual([
      ['first', true],
      ['first', false],
    ]);
  });

  it('may end another one, or close the registry, when it is asked for', async () => {
    const { clock, registry } = setup();
    let unwatch = (): void => {};
    registry.watch('first', () => {
      unwatch();
      return 1;
    });
    unwatch = registry.watch('second', () => {
      void registry.close();
      return 2;
    });
    await clock.advance(120_000);
    expect(registry.report().watched.length).toBeLessThanOrEqual(1);
  });
});

it('is in the metrics under its name, as of the last sweep, and leaves with what ends it', async () => {
  const { clock, registry } = setup();
  const register = new Register();
  ended.push(registerMetrics(registry, { register }));
  let size = 3;
  const unwatch = registry.watch('list', () => size);
  const samples = async () =>
    (await register.metrics()).split('\n').filter((line) => line.includes('map="list"'));
  size = 4;
  expect(await samples()).toEqual([
    expect.stringMatching(/^mapsweep_entries\{.*\} 3$/),
    expect.stringMatching(/^mapsweep_leak_suspected\{.*\} 0$/),
    expect.stringMatching(/^mapsweep_callback_errors_total\{.*callback="watch".*\} 0$/),
  ]);
  await clock.advance(60_000);
  expect((await samples())[0]).toMatch(/ 4$/);
  unwatch();
  expect(await samples()).toEqual([]);
});

describe('a leak test', () => {
  const registryOf = (size: () => number) => {
    const { registry } = setup();
    registry.watch('listeners', size);
    return registry;
  };

  it('fails where a watched size grows with each run, and names it', async () => {
    const listeners: number[] = [];
    const result = await returnToBaseline((run) => void listeners.push(run), {
      registry: registryOf(() => listeners.length),
    });
    expect(result.held, result.message).toBe(false);
    expect(result.message).toContain("the watched size 'listeners'");
  });

  it('passes where it comes back, though it was touched alone', async () => {
    const listeners: number[] = [];
    let most = 0;
    const result = await returnToBaseline(
      (run) => {
        listeners.push(run);
        most = Math.max(most, listeners.length);
        if (run % 3 === 2) listeners.length = 0;
      },
      { registry: registryOf(() => listeners.length), warmup: 0, times: 99 },
    );
    expect([most, result.held, result.decided], result.message).toEqual([3, true, true]);
  });
});
