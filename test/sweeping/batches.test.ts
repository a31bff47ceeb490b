import { type BatchedHook, createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { Pace } from '../../src/sweeping/pace.js';

type Sessions = Map<string, number>;
type Run = BatchedHook<string, number>['run'];

interface Call {
  readonly keys: string[];
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly answer: (failed?: Iterable<string>) => void;
  readonly fail: () => void;
}

function setup(policy: PolicyOf<Sessions> & { batch?: number; run?: Run } = {}) {
  const clock = createManualClock();
  const calls: Call[] = [];
  const { batch = 3, run, ...rest } = policy;
  const answered: Run = (entries, { signal, attempt }) =>
    new Promise((resolve, reject) => {
      const keys = entries.map(([key]) => key);
      calls.push({ keys, attempt, signal, answer: resolve, fail: () => reject(new Error('no database')) });
    });
  const registry = createRegistry<{ map: Sessions }>({
    maps: { map: { ttl: '1m', beforeSweep: { batch, run: run ?? answered }, ...rest } },
    clock,
  });
  const failures: unknown[] = [];
  registry.on('callback-failed', ({ callback, key, error }) =>
    failures.push([callback, key, (error as { code?: string }).code ?? (error as Error).message]),
  );
  const { map } = registry.maps;
  const fill = (count: number): void => {
    for (let index = 0; index < count; index += 1) map.set(`k${index}`, index);
  };
  const keys = (): string[] => [...map.keys()];
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, calls, registry, failures, map, fill, keys, end };
}

describe('a beforeSweep for many entries at once', () => {
  it('gets all that is due in as few calls as there are batches, and removes what has not failed', async () => {
    const { clock, calls, fill, keys, failures, end } = setup();
    fill(7);
    await clock.advance(60_000);
    expect(calls.map((call) => call.keys)).toEqual([['k0', 'k1', 'k2'], ['k3', 'k4', 'k5'], ['k6']]);
    expect(keys().length).toBe(7);
    for (const call of calls) call.answer();
    await clock.advance(0);
    expect([keys(), failures]).toEqual([[], []]);
    end();
  });

  it('makes ten calls of a thousand due sessions', async () => {
    let deletes = 0;
    const { clock, fill, keys, end } = setup({
      batch: 100,
      run: (entries) => {
        deletes += 1;
        expect(entries.length).toBe(100);
      },
    });
    fill(1_000);
    await clock.advance(120_000);
    expect([deletes, keys()]).toEqual([10, []]);
    end();
  });

  it('keeps the keys that failed: each backs off by itself, and the rest goes', async () => {
    const { clock, calls, fill, keys, failures, end } = setup();
    fill(3);
    await clock.advance(60_000);
    calls[0]?.answer(['k1']);
    await clock.advance(0);
    expect(keys()).toEqual(['k1']);
    expect(failures).toEqual([['beforeSweep', 'k1', 'ERR_BATCH_FAILED']]);
    await clock.advance(60_000);
    expect(calls[1]).toMatchObject({ keys: ['k1'], attempt: 2 });
    calls[1]?.answer(new Set(['k1']));
    // The second pause is two intervals.
    await clock.advance(60_000);
    expect(calls.length).toBe(2);
    await clock.advance(60_000);
    expect(calls[2]).toMatchObject({ keys: ['k1'], attempt: 3 });
    calls[2]?.answer([]);
    await clock.advance(0);
    expect(keys()).toEqual([]);
    end();
  });

  it.each([
    ['a throw', (call: Call) => call.fail(), 'no database'],
    ['a stranger’s key', (call: Call) => call.answer(['k0', 'stranger']), 'ERR_INVALID_ANSWER'],
    ['what Promise.all answers', (call: Call) => call.answer([undefined] as never), 'ERR_INVALID_ANSWER'],
    ['a result of a database', (call: Call) => call.answer({ rowCount: 3 } as never), 'ERR_INVALID_ANSWER'],
    ['a text', (call: Call) => call.answer('k0'), 'ERR_INVALID_ANSWER'],
  ] as const)('keeps all of a batch after %s, which is told once', async (_what, answer, told) => {
    const { clock, calls, fill, keys, failures, registry, end } = setup();
    fill(3);
    await clock.advance(60_000);
    answer(calls[0] as Call);
    await clock.advance(0);
    expect(keys().length).toBe(3);
    expect(failures).toEqual([['beforeSweep', 'k0', told]]);
    expect(registry.explain('map', 'k2').why).toContain('1 attempt failed');
    end();
  });

  it('that takes too long fails altogether, and its signal is aborted', async () => {
    const { clock, calls, fill, keys, failures, end } = setup();
    fill(2);
    await clock.advance(60_000);
    await clock.advance(30_000);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect([keys().length, failures]).toEqual([2, [['beforeSweep', 'k0', 'ERR_CALLBACK_TIMEOUT']]]);
    end();
  });

  it('goes on for the others if one of them is touched, and is aborted when none is wanted any more', async () => {
    const { clock, calls, fill, keys, registry, end } = setup({ ttl: false, maxIdle: '1m' });
    fill(2);
    await clock.advance(60_000);
    registry.touch('map', 'k0');
    expect(calls[0]?.signal.aborted).toBe(false);
    calls[0]?.answer();
    await clock.advance(0);
    expect(keys()).toEqual(['k0']);
    await clock.advance(60_000);
    registry.touch('map', 'k0');
    expect(calls[1]?.signal.aborted).toBe(true);
    end();
  });

  it.each(['stop', 'detach'] as const)(
    'removes no more once a dispose of one of them has called %s()',
    async (how) => {
      const gone: string[] = [];
      const { clock, calls, fill, keys, registry } = setup({
        dispose: (_value, key) => {
          gone.push(key);
          registry[how]();
        },
      });
      fill(3);
      await clock.advance(60_000);
      calls[0]?.answer();
      await clock.advance(0);
      expect([gone, keys()]).toEqual([['k0'], ['k1', 'k2']]);
      if (how === 'detach') return;
      void registry.sweep();
      await clock.advance(0);
      expect(calls[1]?.keys).toEqual(['k1', 'k2']);
      registry.detach();
    },
  );

  it('counts as one of the 32 that run at once', async () => {
    const { clock, calls, fill, registry, end } = setup({ batch: 2 });
    fill(80);
    await clock.advance(60_000);
    expect(calls.length).toBe(32);
    expect(registry.report().maps[0]?.waiting).toBe(80);
    calls[0]?.answer();
    await clock.advance(0);
    expect(calls.length).toBe(33);
    expect(registry.report().maps[0]?.waiting).toBe(78);
    end();
  });

  it('is made once more after maxAge, and then lets go of what failed', async () => {
    const { clock, calls, fill, keys, end } = setup({ maxAge: '3m' });
    fill(2);
    await clock.advance(60_000);
    calls[0]?.fail();
    await clock.advance(60_000);
    calls[1]?.fail();
    await clock.advance(60_000);
    expect(calls[2]).toMatchObject({ keys: ['k0', 'k1'], attempt: 3 });
    calls[2]?.answer(['k0', 'k1']);
    await clock.advance(0);
    expect(keys()).toEqual([]);
    end();
  });
});

describe('what falls due in one instant', () => {
  it.each([
    ['one by one', 1, 256],
    ['in batches', 100, 300],
  ])('has its beforeSweep called over one interval %s, and not in one turn', async (_how, batch, atOnce) => {
    let called = 0;
    const { clock, fill, keys, end } = setup({
      batch,
      run: (entries) => {
        called += entries.length;
      },
    });
    fill(10_000);
    await clock.advance(60_000);
    expect(called).toBe(atOnce);
    let before = called;
    const each: number[] = [];
    for (let second = 1; second <= 60; second += 1) {
      await clock.advance(1_000);
      each.push(called - before);
      before = called;
    }
    expect([called, keys().length]).toEqual([10_000, 0]);
    // About 162 a second, as evenly as batches allow.
    expect(Math.max(...each)).toBeLessThanOrEqual(batch === 1 ? 170 : 200);
    expect(Math.min(...each)).toBeGreaterThanOrEqual(batch === 1 ? 130 : 100);
    end();
  });

  it('is called for at once in a sweep that somebody has asked for', async () => {
    let called = 0;
    const { clock, fill, registry, keys, end } = setup({
      batch: 100,
      run: (entries) => {
        called += entries.length;
      },
    });
    fill(10_000);
    await clock.advance(59_999);
    await clock.advance(0);
    fill(0);
    await clock.advance(1);
    expect(called).toBe(300);
    await registry.sweep();
    await clock.advance(0);
    expect([called, keys()]).toEqual([10_000, []]);
    end();
  });

  it('waits for its turn without a call once it is touched, and is no longer counted', async () => {
    const { clock, calls, fill, registry, end } = setup({ ttl: false, maxIdle: '1m', batch: 256 });
    fill(600);
    await clock.advance(60_000);
    expect(calls.map((call) => call.keys.length)).toEqual([256]);
    for (let index = 256; index < 600; index += 1) registry.touch('map', `k${index}`);
    expect(registry.report().maps[0]?.waiting).toBe(256);
    await clock.advance(59_000);
    expect(calls.length).toBe(1);
    end();
  });
});

describe('Pace', () => {
  it('lets a burst start in each interval, and spreads the rest until the end of one', () => {
    const pace = new Pace(1_000);
    pace.arrived(0);
    for (let index = 0; index < 256; index += 1) {
      expect(pace.next(0)).toBe(0);
      pace.started(0, 1, 755 - index);
    }
    // 500 are left.
    const gap = pace.next(0);
    expect(gap).toBe(2);
    pace.started(gap, 1, 499);
    expect(pace.next(gap)).toBe(4);
  });

  it('never makes what comes late wait for longer than its share of the interval', () => {
    const pace = new Pace(1_000);
    pace.arrived(0);
    expect(pace.next(0)).toBe(0);
    pace.started(0, 256, 0);
    pace.arrived(10);
    expect(pace.next(10)).toBeLessThanOrEqual(1_000);
    pace.started(1_000, 1, 0);
    pace.arrived(1_001);
    expect(pace.next(1_001)).toBe(1_001);
  });
});
