import { setTimeout as realTimeout } from 'node:timers/promises';
import { createRegistry, type Registry, TrackedMap } from 'mapsweep';
import { createManualClock, returnToBaseline } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type TrackedParts, trackedPartsOf } from '../../src/maps/tracked-mark.js';
import { baselineWithFallback } from '../../src/testing/return-to-baseline.js';
import type { RunningCheck } from '../../src/testing/running-check.js';

const setUp = () => {
  const clock = createManualClock();
  const leaky = new Map<string, object>();
  const registry = createRegistry<Record<'leaky' | 'runs', Map<string, object>>>({
    maps: { leaky: { adopt: leaky }, runs: { ttl: '5m' } },
    clock,
  });
  return { registry, leaky, runs: registry.maps.runs };
};

describe('returnToBaseline(scenario, options)', () => {
  it('gives every map with its sizes, its growth per run, and its survivors', async () => {
    const { registry, leaky, runs } = setUp();
    const scenario = (run: number) => {
      runs.set(`run-${run}`, {});
      leaky.set(`run-${run}`, {});
    };
    const { message, ...result } = await returnToBaseline(scenario, { registry, times: 4, warmup: 1 });
    expect(result).toEqual({
      held: false,
      decided: true,
      pending: { before: 0, after: 0 },
      deadLetters: 0,
      nets: 0,
      elapsedMs: 300_000,
      runs: 12,
      maps: [
        {
          name: 'leaky',
          before: 1,
          after: 5,
          perRun: 1,
          course: 'grows',
          left: {},
          survivors: [1, 2, 3].map((run) => ({
            key: `run-${run}`,
            ageMs: 300_000,
            state: 'live',
            why: "live, 'leaky' has no lifetime: it stays until its owner deletes it; age 5m, idle 5m",
            site: expect.stringContaining('return-to-baseline.test.ts'),
          })),
        },
        { name: 'runs', before: 0, after: 0, perRun: 0, course: 'back', left: { ttl: 4 }, survivors: [] },
      ],
    });
    expect(message).toContain('but 1 of its 2 maps grew');
  });

  it('holds for 100 runs after a warm-up of 10, by default', async () => {
    const { registry, runs } = setUp();
    let count = 0;
    const scenario = (run: number) => {
      count += 1;
      runs.set(`run-${run}`, {});
    };
    expect(await returnToBaseline(scenario, { registry })).toMatchObject({
      held: true,
      runs: 100,
      message:
        'the registry returned to its baseline after 100 runs; 5m passed; entries left: runs 100 by ttl',
    });
    expect(count).toBe(110);
  });

  it('takes a shrinking map for no leak', async () => {
    const { registry, leaky } = setUp();
    leaky.set('a', {});
    leaky.set('b', {});
    const result = await returnToBaseline(() => leaky.delete('a'), { registry, times: 2, warmup: 0 });
    expect(result.held).toBe(true);
    expect(result.maps[0]).toEqual({
      name: 'leaky',
      before: 2,
      after: 1,
      perRun: -0.5,
      course: 'back',
      left: { deleted: 1 },
      survivors: [],
    });
  });

  it('sees a leak though the entries of the warm-up leave meanwhile', async () => {
    const { registry, runs } = setUp();
    const scenario = (run: number) => runs.set(`run-${run}`, {});
    const result = await returnToBaseline(scenario, { registry, times: 5, warmup: 10, drain: '4m' });
    expect(result.maps[1]).toMatchObject({ name: 'runs', before: 10, after: 5 });
  });

  it('names an entry that was written past the wrapper, and has no age', async () => {
    const { registry, leaky } = setUp();
    const scenario = (run: number) => Map.prototype.set.call(leaky, `run-${run}`, {});
    const { maps } = await returnToBaseline(scenario, { registry, times: 1, warmup: 0, drain: false });
    expect(maps[0]?.survivors).toEqual([
      {
        key: 'run-0',
        ageMs: undefined,
        state: 'untracked',
        why: expect.stringMatching(/^untracked, /),
        site: undefined,
      },
    ]);
  });

  it('ends though an entry lives for a hundred years', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ eternal: Map<number, object> }>({
      maps: { eternal: { ttl: '99y' } },
      sweepEvery: '24h',
      clock,
    });
    const before = clock.monotonic();
    const result = await returnToBaseline((run) => registry.maps.eternal.set(run, {}), {
      registry,
      times: 2,
      warmup: 0,
    });
    expect(result.maps[0]).toMatchObject({ before: 0, after: 2 });
    expect(result.elapsedMs).toBe(7 * 24 * 60 * 60_000);
    expect(clock.monotonic() - before).toBeLessThan(6 * 7 * 24 * 60 * 60_000);
  });
});

it('finds sizes that are watched anew in each run', async () => {
  const { registry, runs } = setUp();
  const scenario = (run: number) => {
    runs.set('a', {});
    runs.delete('a');
    registry.watch(`size-${run}`, () => 1);
  };
  const { held, message } = await returnToBaseline(scenario, { registry });
  expect(held).toBe(false);
  expect(message).toContain('the number of watched sizes');
});

it('tells of a leak though a later run throws what nobody can print', async () => {
  const { registry, leaky } = setUp();
  const scenario = (run: number) => {
    leaky.set(`run-${run}`, {});
    if (run > 150) throw Object.create(null);
  };
  const { held, message } = await returnToBaseline(scenario, { registry });
  expect(held).toBe(false);
  expect(message).toMatch(/leaky: .*\n.*Run 151, which would have told whether that goes on, failed: /s);
});

it('leaves no listener more at a single map, however often that is checked', async () => {
  const map = new TrackedMap<string, number>();
  const { engine } = trackedPartsOf(map) as TrackedParts;
  const check = () => returnToBaseline(() => map.set('a', 1), { registry: map, times: 2 });
  await check();
  const { size } = engine.afterPass;
  for (let more = 0; more < 3; more += 1) await check();
  expect(engine.afterPass.size).toBe(size);
});

it.each<[string, (levels: { registry: ReturnType<typeof setUp>['registry']; log: number[] }) => void]>([
  ['a watched size', ({ registry, log }) => registry.watch('log', () => log.length)],
  [
    'a weight',
    ({ registry, log }) => registry.adopt('logs', new Map([[0, log]]), { weigh: (it) => it.length }),
  ],
])('tells of %s that grew though a later run throws', async (_what, watch) => {
  const { registry, runs } = setUp();
  const log: number[] = [];
  watch({ registry, log });
  const scenario = (run: number) => {
    runs.set('a', {});
    runs.delete('a');
    log.push(run);
    if (run > 130) throw new Error('429 Too many requests');
  };
  const result = await returnToBaseline(scenario, { registry });
  expect(result).toMatchObject({ held: false, decided: false });
  expect(result.message).toMatch(
    /log.*: 10 -> 110, .*\n {2}Run 131, .* failed: Error: 429 Too many requests/,
  );
});

it('takes a watched size that is within its max for none that leaks, and says what to do about one without', async () => {
  const check = async (max?: number) => {
    const { registry, runs } = setUp();
    const cache = new Set<number>();
    registry.watch('cache', () => cache.size, max === undefined ? {} : { max });
    const scenario = (run: number) => {
      runs.set('a', {});
      runs.delete('a');
      cache.add(run);
    };
    return returnToBaseline(scenario, { registry });
  };
  expect(await check(1_000)).toMatchObject({ held: true, runs: 100 });
  expect(await check(100)).toMatchObject({ held: false });
  const { held, message } = await check();
  expect(held).toBe(false);
  expect(message).toContain('If this is a cache that fills, set warmup');
});

it('lets the time of drain pass in reality if it is given that as a clock, and asks for one without any', async () => {
  const later = new Map<number, object>();
  const registry = createRegistry({ maps: { later: { adopt: later } } });
  const scenario = (run: number) => {
    later.set(run, {});
    setTimeout(() => later.delete(run), 30);
  };
  await expect(returnToBaseline(scenario, { registry, drain: '1s' })).rejects.toMatchObject({
    code: 'ERR_NO_CLOCK',
    message: expect.stringContaining('clock: { advance: (ms) => setTimeout(ms) }'),
  });
  const clock = { advance: (ms: number) => realTimeout(ms) };
  expect(await returnToBaseline(scenario, { registry, drain: '1s', clock, times: 5 })).toMatchObject({
    held: true,
    runs: 5,
  });
});

it('says what is missing where the registry stands in the place of the options', async () => {
  const { registry } = setUp();
  // @ts-expect-error: the braces are missing
  await expect(returnToBaseline(() => {}, registry)).rejects.toThrow('write { registry }');
});

it('lets no more time pass than the drain that it is given, after the warm-up too', async () => {
  const registry = createRegistry<{ sessions: Map<number, object> }>({
    maps: { sessions: { maxIdle: '24h' } },
  });
  const passed: number[] = [];
  const clock = {
    advance: (ms: number) => {
      passed.push(ms);
      return realTimeout(ms);
    },
  };
  const scenario = (run: number) => {
    registry.maps.sessions.set(run, {});
    setTimeout(() => registry.maps.sessions.delete(run), 30);
  };
  const result = await returnToBaseline(scenario, { registry, drain: '100ms', clock, times: 3, warmup: 3 });
  expect(result.held).toBe(true);
  expect(passed).toEqual([100, 100]);
});

describe('a check of maps in which one before has found a leak', () => {
  it('numbers its runs on, so that a retry does not set the same keys again', async () => {
    const contexts = new Map<string, object>();
    const check = async () => {
      const registry = createRegistry({ maps: { contexts: { adopt: contexts } } });
      const runs: number[] = [];
      const scenario = (run: number) => {
        runs.push(run);
        contexts.set(`run-${run}`, {});
      };
      const { held } = await returnToBaseline(scenario, { registry, times: 5, warmup: 2 });
      await registry.close();
      return { held, first: runs[0], last: runs.at(-1) };
    };
    expect(await check()).toEqual({ held: false, first: 0, last: 16 });
    expect(await check()).toEqual({ held: false, first: 17, last: 33 });
  });

  it('numbers them on from one that was given up, and still runs', async () => {
    const { registry, leaky } = setUp();
    let current: RunningCheck | undefined;
    const given = { fakeTimers: undefined, began: (begun: RunningCheck) => (current = begun) };
    const hanging = (run: number) => {
      leaky.set(`run-${run}`, {});
      return run < 30 ? undefined : new Promise(() => {});
    };
    const first = baselineWithFallback('toReturnToBaseline', hanging, { registry }, given);
    await vi.waitFor(() => expect(leaky.has('run-30')).toBe(true));
    current?.abandon();
    const runs: number[] = [];
    const check = () =>
      returnToBaseline(
        (run) => {
          runs.push(run);
          leaky.set(`run-${run}`, {});
        },
        { registry, times: 2, warmup: 1 },
      );
    expect(await check()).toMatchObject({ held: false });
    await expect(first).rejects.toMatchObject({ code: 'ERR_NOT_AWAITED' });
    expect(await check()).toMatchObject({ held: false });
    expect(runs).toEqual(runs.map((_run, index) => 31 + index));
  });

  it('begins at 0 again where nothing was found', async () => {
    const { registry, leaky } = setUp();
    const runs: number[] = [];
    const scenario = (run: number) => {
      runs.push(run);
      leaky.set('once', {});
    };
    await returnToBaseline(scenario, { registry, times: 1, warmup: 1 });
    await returnToBaseline(scenario, { registry, times: 1, warmup: 1 });
    expect(runs).toEqual([0, 1, 0, 1]);
  });
});

describe('where nothing lets time pass', () => {
  it('deliveries that failed and are tried again decide nothing', async () => {
    const registry = createRegistry<{ runs: Map<number, object> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        deliver: (_event: unknown, { attempt }: { attempt: number }) => {
          if (attempt === 1) throw new Error('503');
        },
      },
    });
    const scenario = (run: number) => {
      registry.maps.runs.set(run, {});
      registry.maps.runs.delete(run);
    };
    const { held, decided, message } = await returnToBaseline(scenario, { registry, times: 3, warmup: 1 });
    expect({ held, decided }).toEqual({ held: false, decided: false });
    expect(message).toMatch(/the last attempt that failed: no. 1 for \d+: Error: 503/);
    expect(message).toContain('What failed is tried again after a time, and here nothing makes time pass');
    registry.detach();
  });

  it('a growth by a factor of what would leave by itself decides nothing', async () => {
    const registry = createRegistry<{ subs: Map<number, object> }>({ maps: { subs: { ttl: '5m' } } });
    const { subs } = registry.maps;
    let next = 0;
    const scenario = () => {
      for (let more = Math.max(1, subs.size * 2); more > 0; more -= 1) subs.set(next++, {});
    };
    const result = await returnToBaseline(scenario, { registry });
    expect(result).toMatchObject({ held: false, decided: false, runs: 0 });
    expect(result.message).toMatch(/'subs' grows faster and faster[\s\S]*here nothing makes time pass/);
  });
});

describe('a check for which nothing lets time pass', () => {
  const messages = async () => {
    const registry = createRegistry<{ runs: Map<number, object> }>({ maps: { runs: { ttl: '5m' } } });
    const scenario = (run: number) => registry.maps.runs.set(run, {});
    const { message } = await returnToBaseline(scenario, { registry, times: 5, warmup: 0 });
    const refused = await returnToBaseline(scenario, { registry, drain: '5m' }).catch(String);
    return [message, String(refused)];
  };

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('advises the fake timers of Jest where Jest runs it', async () => {
    vi.stubEnv('JEST_WORKER_ID', '1');
    for (const message of await messages())
      expect(message).toContain('as clock: { advance: (ms) => jest.advanceTimersByTimeAsync(ms) }');
  });

  it('advises nothing of Jest elsewhere, and says that the timers of node:test do not do', async () => {
    for (const message of await messages()) {
      expect(message).not.toMatch(/jest/i);
      expect(message).toContain(
        'as clock: { advance }, a function that lets so many ms pass on them; the mock.timers of node:test do not do',
      );
    }
  });
});

describe('what keeps an entry that stays is told with what ends that', () => {
  type Kept = Record<'uploads' | 'parts', Map<number, object>>;
  const fillsUp = 'If something of your own removes them later';
  const check = async (uploads: object, use: (registry: Registry<Kept>, run: number) => void = () => {}) => {
    const registry: Registry<Kept> = createRegistry<Kept>({
      maps: { uploads: { ttl: '10m', ...uploads }, parts: { follows: 'uploads' } },
      clock: createManualClock(),
    });
    const scenario = (run: number) => {
      for (const map of Object.values(registry.maps)) map.set(run, {});
      use(registry, run);
    };
    const { maps, message } = await returnToBaseline(scenario, { registry, times: 3, warmup: 0 });
    expect(message).toContain('2 of its 2 maps grew');
    return { message, state: maps[0]?.survivors[0]?.state };
  };

  it('says of a hold to release it, and where it was taken', async () => {
    const { message, state } = await check({}, (registry, run) => void registry.hold('uploads', run));
    expect(state).toBe('held');
    expect(message).toMatch(/0: held, .* a hold taken .* ago at .*return-to-baseline\.test\.ts/);
    expect(message).toContain(
      '\n  Some of these are held: whoever takes the hold has to release it when the use is over, also where that fails.\n',
    );
    expect(message).not.toContain(fillsUp);
  });

  it('says of a guard to let go, or to set drain', async () => {
    const { message } = await check({ keepWhile: () => true });
    expect(message).toContain(
      '\n  Some of these are guarded: keepWhile has to let go of them. If it does so later, set drain to the time that it takes.\n',
    );
    expect(message).not.toContain(fillsUp);
  });

  it('says of a beforeSweep to succeed', async () => {
    const beforeSweep = () => Promise.reject(new Error('db down'));
    const { message } = await check({ beforeSweep });
    expect(message).toContain('\n  Some of these wait for their beforeSweep, which has to succeed.\n');
    expect(message).not.toContain(fillsUp);
  });
});

it('names the first of those that left only by a safety net, where they came from, and what to do', async () => {
  const transports = new Map<number, object>();
  const registry = createRegistry({
    maps: { transports: { adopt: transports, maxIdle: '30m' } },
    clock: createManualClock(),
  });
  const open = (run: number) => transports.set(run, {});
  const { nets, message } = await returnToBaseline(open, { registry, nets: 'fail' });
  expect(nets).toBe(100);
  const here = /registered at open \(.*return-to-baseline\.test\.ts:\d+:\d+\)/g;
  expect(message.replaceAll(here, 'registered HERE')).toBe(
    [
      'expected the registry to return to its baseline after 100 runs, but 100 entries left only by a safety net:',
      '  transports: 100 by maxIdle (a safety net)',
      '    10: left by maxIdle',
      '      registered HERE',
      '    11: left by maxIdle',
      '      registered HERE',
      '    12: left by maxIdle',
      '      registered HERE',
      '    and 97 more',
      '  Have their owner delete them when it is done with them, or give them a ttl that begins then; if the safety net is ' +
        'what is to remove them, leave nets out.',
      '  30m passed; entries left: transports 100 by maxIdle (a safety net)',
    ].join('\n'),
  );
});

it('takes maps that each run adopts and releases for proof, and none at all for none', async () => {
  const registry = createRegistry({ clock: createManualClock() });
  const visit = (run: number) => {
    const visitor = registry.adopt(`visitor-${run}`, new Map<string, object>(), { maxIdle: '5m' });
    visitor.map.set('cart', {});
    visitor.map.delete('cart');
    visitor.release();
  };
  expect(await returnToBaseline(visit, { registry })).toMatchObject({ held: true });
  expect(await returnToBaseline(() => {}, { registry })).toMatchObject({
    held: false,
    decided: false,
    message: expect.stringContaining(
      'it has no maps, which proves nothing:\n  Does the scenario run what it should, and adopt its maps?',
    ),
  });
});

it('says where a timer of the service registered what stays, though no run did', async () => {
  const clock = createManualClock();
  const retries = new Map<number, object>();
  const registry = createRegistry<Record<'runs' | 'retries', Map<number, object>>>({
    maps: { runs: { ttl: '1m' }, retries: { adopt: retries } },
    clock,
  });
  const scenario = (run: number) => {
    registry.maps.runs.set(run, {});
    clock.setTimeout(() => retries.set(run, {}), 1_000);
  };
  const { message } = await returnToBaseline(scenario, { registry });
  expect(message).toMatch(/registered at .*return-to-baseline\.test\.ts:\d+/);
});

describe("with nets: 'fail' an entry that only its maxAge removed, after its ttl was over, is a leak, which is told with what kept it", () => {
  type Kept = Record<'uploads' | 'parts', Map<number, object>>;
  type Ask = { uploads?: object; parts?: object; use?: (registry: Registry<Kept>, run: number) => void };
  const check = ({ uploads, parts, use }: Ask) => {
    const registry: Registry<Kept> = createRegistry<Kept>({
      maps: { uploads: { ttl: '1m', maxAge: '1h', ...uploads }, parts: { follows: 'uploads', ...parts } },
      clock: createManualClock(),
    });
    const scenario = (run: number) => {
      for (const map of Object.values(registry.maps)) map.set(run, {});
      use?.(registry, run);
    };
    return returnToBaseline(scenario, { registry, times: 3, warmup: 0, nets: 'fail' });
  };
  const failing = () => Promise.reject(new Error('db down'));

  it.each<[string, Ask, string]>([
    ['a guard', { uploads: { keepWhile: () => true } }, 'keepWhile kept it until then'],
    [
      'that of a companion',
      { parts: { keepWhile: () => true } },
      'keepWhile of a companion kept it until then',
    ],
    [
      'a guard, with a beforeSweep that succeeds',
      { uploads: { keepWhile: () => true, beforeSweep: () => {} } },
      'keepWhile kept it until then',
    ],
    ['a hold', { use: (registry, run) => void registry.hold('uploads', run) }, 'a hold kept it until then'],
    [
      'a hold of a companion',
      { use: (registry, run) => void registry.hold('parts', run) },
      'a hold kept it until then',
    ],
    ['a beforeSweep that fails', { uploads: { beforeSweep: failing } }, 'its beforeSweep had not succeeded'],
    [
      'a beforeSweep that hangs',
      { uploads: { beforeSweep: () => new Promise(() => {}) } },
      'its beforeSweep had not succeeded',
    ],
  ])('%s', async (_, ask, kept) => {
    const { held, nets, message } = await check(ask);
    expect({ held, nets }).toEqual({ held: false, nets: 3 });
    expect(message).toContain('  uploads: 3 by maxAge (a safety net)\n');
    expect(message).toContain(`    0: left by maxAge: ${kept}\n`);
    expect(message).toContain(
      '\n  What is kept until its maxAge has to be let go before: keepWhile has to do so, whoever takes a hold has to release it, ' +
        'and beforeSweep has to succeed.\n',
    );
    expect(message).not.toContain('Have their owner delete them');
  });

  it('not so one that was let go, or whose beforeSweep has succeeded', async () => {
    const guarded = new Set<object>();
    const letGo: Ask = {
      uploads: {
        keepWhile: (value: object) => !guarded.has(value) && guarded.add(value).size > 0,
        beforeSweep: () => {},
      },
      use: (registry, run) => registry.hold('uploads', run).release(),
    };
    const { held, nets } = await check(letGo);
    expect({ held, nets }).toEqual({ held: true, nets: 0 });
  });
});
