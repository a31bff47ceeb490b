import { adopt, type BeforeSweepContext, createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { StubbornMap } from '../maps/owner-maps.js';

type Numbers = Map<string, number>;

interface Call extends BeforeSweepContext {
  readonly key: string;
  readonly value: number;
  readonly at: number;
  readonly succeed: () => void;
  readonly fail: (error?: unknown) => void;
}

/** A registry whose hooks settle when the test says so. */
function hooked(policy: PolicyOf<Numbers> = {}, options: object = {}) {
  const clock = createManualClock();
  const startedAt = clock.monotonic();
  const calls: Call[] = [];
  const registry = createRegistry<{ map: Numbers }>({
    maps: {
      map: {
        ttl: '5m',
        beforeSweep: (value, key, { signal, attempt }) =>
          new Promise<void>((succeed, fail) => {
            calls.push({ key, value, signal, attempt, at: clock.monotonic() - startedAt, succeed, fail });
          }),
        ...policy,
      },
    },
    clock,
    ...options,
  });
  const failures: unknown[] = [];
  registry.on('callback-failed', ({ callback, key, error }) =>
    failures.push([callback, key, (error as { code?: string } | null)?.code ?? error]),
  );
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  const report = () => registry.report().maps[0];
  return { clock, registry, map: registry.maps.map, calls, failures, report, end };
}

/** Companions that leave a minute after nobody leads them, once their hook has succeeded, which the test decides. */
function orphaned() {
  const clock = createManualClock();
  const calls: Pick<Call, 'key' | 'signal' | 'succeed'>[] = [];
  const registry = createRegistry<{ runs: Numbers; orphans: Numbers }>({
    maps: {
      runs: { maxIdle: '5m' },
      orphans: {
        follows: 'runs',
        orphanAfter: '1m',
        beforeSweep: (_value, key, { signal }) =>
          new Promise<void>((succeed) => {
            calls.push({ key, signal, succeed });
          }),
      },
    },
    clock,
  });
  return { clock, registry, ...registry.maps, calls };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

describe('beforeSweep', () => {
  it('runs first, beside the sweep, with the entry still there; after its success the entry is removed', async () => {
    const { clock, registry, map, calls, report, end } = hooked();
    map.set('a', 1);
    await clock.advance(300_000);
    expect(calls).toMatchObject([{ key: 'a', value: 1, attempt: 1, at: 300_000 }]);
    expect(map.size).toBe(1);
    expect(report()).toMatchObject({ waiting: 1, overdue: 1 });
    expect(registry.explain('map', 'a').state).toBe('waiting');
    expect((await registry.sweep()).swept).toBe(0);
    calls[0]?.succeed();
    await settle();
    expect(map.size).toBe(0);
    expect(report()).toMatchObject({ waiting: 0, overdue: 0, removed: { swept: 1 } });
    expect(calls[0]?.signal.aborted).toBe(false);
    end();
  });

  it('is never awaited by a sweep, and holds up no other entry and no other map', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ stuck: Numbers; free: Numbers }>({
      maps: {
        stuck: {
          ttl: '1m',
          beforeSweep: (_value, key) => (key === 'hangs' ? new Promise(() => {}) : undefined),
        },
        free: { ttl: '1m' },
      },
      clock,
    });
    registry.maps.stuck.set('hangs', 1).set('goes', 2);
    registry.maps.free.set('a', 1);
    await clock.advance(60_000);
    expect([...registry.maps.stuck.keys()]).toEqual(['hangs']);
    expect(registry.maps.free.size).toBe(0);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('that is synchronous, or answers at once, removes without another sweep', async () => {
    const { registry, map, end } = hooked({ ttl: 0, beforeSweep: () => {} });
    map.set('a', 1);
    await registry.sweep();
    await settle();
    expect(map.size).toBe(0);
    end();
  });

  it('is called for sweeps alone: not for delete, clear or replacement', async () => {
    const { map, calls, end } = hooked();
    map.set('a', 1).set('a', 2).set('b', 1);
    map.delete('a');
    map.clear();
    await settle();
    expect(calls).toEqual([]);
    end();
  });

  it('runs outside the sweep’s call stack and before dispose and the end', async () => {
    const order: string[] = [];
    const clock = createManualClock();
    const registry = createRegistry<{ map: Numbers }>({
      maps: {
        map: {
          ttl: 0,
          beforeSweep: async () => {
            order.push('before');
            await Promise.resolve();
            order.push('done');
          },
          dispose: (_value, _key, reason) => order.push(`dispose ${reason}`),
        },
      },
      ended: { map: 'map' },
      clock,
    });
    registry.on('subagent-ended', ({ reason }) => order.push(`ended ${reason}`));
    registry.maps.map.set('a', 1);
    await registry.sweep();
    await settle();
    expect(order).toEqual(['before', 'done', 'dispose swept', 'ended swept']);
    registry.stop();
  });
});

describe('a beforeSweep that fails', () => {
  it('is over when whoever is told of that removes the entry', async () => {
    const { clock, registry, map, report, end } = hooked({
      beforeSweep: () => Promise.reject(new Error('503')),
    });
    registry.on('callback-failed', () => void map.delete('a'));
    map.set('a', 1);
    map.set('b', 1);
    await clock.advance(300_000);
    expect([...map.keys()]).toEqual(['b']);
    expect(report()).toMatchObject({ waiting: 1 });
    end();
  });

  it.each<[string, () => unknown]>([
    ['throws', () => assert(null)],
    ['rejects', () => Promise.reject(new Error('503'))],
    ['rejects with null', () => Promise.reject(null)],
  ])('because it %s: the entry stays, and is tried again with doubling pauses', async (_, hook) => {
    const attempts: Array<[number, number]> = [];
    const { clock, map, failures, report, end } = hooked({
      ttl: '1m',
      beforeSweep: (_value, _key, { attempt }) => {
        attempts.push([attempt, clock.now()]);
        return hook() as Promise<void>;
      },
    });
    const startedAt = clock.now();
    map.set('a', 1);
    await clock.advance(3_600_000);
    expect(map.size).toBe(1);
    expect(attempts.map(([attempt]) => attempt)).toEqual(attempts.map((_pair, index) => index + 1));
    const pauses = attempts.slice(1).map(([, at], index) => at - (attempts[index] as [number, number])[1]);
    expect(attempts[0]?.[1]).toBe(startedAt + 60_000);
    expect(pauses.slice(0, 4)).toEqual([60_000, 120_000, 240_000, 480_000]);
    expect(failures.length).toBe(attempts.length);
    expect(report()).toMatchObject({ waiting: 1, overdue: 1 });
    end();
  });

  it('waits at most an hour, and is removed once it succeeds', async () => {
    let isDown = true;
    const at: number[] = [];
    const { clock, map, end } = hooked(
      {
        beforeSweep: () => {
          at.push(clock.now());
          if (isDown) throw new Error('down');
        },
      },
      { sweepEvery: '5m' },
    );
    map.set('a', 1);
    await clock.advance(86_400_000);
    const pauses = at.slice(1).map((instant, index) => instant - (at[index] as number));
    expect(Math.max(...pauses)).toBe(3_600_000);
    isDown = false;
    await clock.advance(3_900_000);
    expect(map.size).toBe(0);
    end();
  });

  it('by not settling in 30 s: it is aborted, counted, and its late answer no longer counts', async () => {
    const { clock, registry, map, calls, failures, end } = hooked();
    map.set('a', 1);
    await clock.advance(300_000);
    await clock.advance(29_999);
    expect(calls[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(failures).toEqual([['beforeSweep', 'a', 'ERR_CALLBACK_TIMEOUT']]);
    calls[0]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(1);
    expect(registry.explain('map', 'a').why).toContain('1 attempt');
    await clock.advance(90_000);
    expect(calls[1]).toMatchObject({ attempt: 2 });
    calls[1]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(0);
    end();
  });

  it('by not settling in the time that the policy gives it', async () => {
    const { clock, map, calls, failures, end } = hooked({ beforeSweepTimeout: '2m' });
    map.set('a', 1);
    await clock.advance(300_000 + 119_999);
    expect(calls[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(failures).toEqual([['beforeSweep', 'a', 'ERR_CALLBACK_TIMEOUT']]);
    end();
  });

  it('late, after its time-out, is no unhandled rejection', async () => {
    const { clock, map, calls, failures, end } = hooked();
    map.set('a', 1);
    await clock.advance(330_000);
    calls[0]?.fail(new Error('late'));
    await clock.advance(0);
    expect(failures.length).toBe(1);
    end();
  });

  it('leaves its claim open: the run can still be ended by its owner, exactly once', async () => {
    const clock = createManualClock();
    const ended: unknown[] = [];
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: '5m', beforeSweep: () => Promise.reject(new Error('down')) } },
      ended: { map: 'map', deliver: ({ reason }) => void ended.push(reason) },
      clock,
    });
    registry.maps.map.set('a', 1);
    await clock.advance(600_000);
    expect(ended).toEqual([]);
    expect(registry.end('a')).toBe('claimed');
    await clock.advance(0);
    expect(ended).toEqual(['completed']);
    registry.stop();
  });
});

describe('while a beforeSweep runs', () => {
  it.each<[string, (map: Numbers, touch: () => void) => void]>([
    ['a touch', (_map, touch) => touch()],
    ['a set', (map) => map.set('a', 1)],
    ['a replacement', (map) => map.set('a', 2)],
  ])('%s aborts its signal, and the entry stays although it succeeds', async (_, act) => {
    const { clock, registry, map, calls, failures, report, end } = hooked({ ttl: false, maxIdle: '5m' });
    map.set('a', 1);
    await clock.advance(300_000);
    act(map, () => registry.touch('map', 'a'));
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ERR_CALLBACK_OBSOLETE' });
    calls[0]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(1);
    expect(report()).toMatchObject({ waiting: 0 });
    expect(failures).toEqual([]);
    // And is due again later, counting attempts from 1.
    await clock.advance(300_000);
    expect(calls[1]).toMatchObject({ attempt: 1, key: 'a' });
    calls[1]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(0);
    end();
  });

  it.each<[string, (map: Numbers) => void, deleted: number]>([
    ['delete', (map) => map.delete('a'), 1],
    ['clear', (map) => map.clear(), 0],
  ])(
    'a %s aborts its signal, and a new registration of the key is another entry',
    async (_, act, deleted) => {
      const { clock, map, calls, report, end } = hooked();
      map.set('a', 1);
      await clock.advance(300_000);
      act(map);
      expect(calls[0]?.signal.aborted).toBe(true);
      expect(calls[0]?.signal.reason).toMatchObject({ code: 'ERR_CALLBACK_OBSOLETE' });
      map.set('a', 2);
      calls[0]?.succeed();
      await clock.advance(0);
      expect([...map]).toEqual([['a', 2]]);
      expect(report()).toMatchObject({ waiting: 0, removed: { deleted, cleared: 1 - deleted } });
      await clock.advance(300_000);
      expect(calls[1]).toMatchObject({ value: 2, attempt: 1 });
      end();
    },
  );

  it('activity of a companion aborts that of its leader', async () => {
    const clock = createManualClock();
    let signal: AbortSignal | undefined;
    const registry = createRegistry<{ runs: Numbers; seqs: Numbers }>({
      maps: {
        runs: {
          maxIdle: '5m',
          beforeSweep: (_value, _key, context) => {
            signal = context.signal;
            return new Promise(() => {});
          },
        },
        seqs: { follows: 'runs' },
      },
      clock,
    });
    registry.maps.runs.set('a', 1);
    await clock.advance(300_000);
    expect(signal?.aborted).toBe(false);
    registry.maps.seqs.set('a', 1);
    expect(signal?.aborted).toBe(true);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('the leader that an orphan lacks aborts it when it comes, and the entry stays although it succeeds', async () => {
    const { clock, registry, orphans, runs, calls } = orphaned();
    orphans.set('a', 1);
    await clock.advance(60_000);
    expect(calls.map(({ key }) => key)).toEqual(['a']);
    runs.set('b', 1);
    expect(calls[0]?.signal.aborted).toBe(false);
    runs.set('a', 1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ERR_CALLBACK_OBSOLETE' });
    calls[0]?.succeed();
    await clock.advance(120_000);
    expect(orphans.has('a')).toBe(true);
    expect(calls.length).toBe(1);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('whoever hears of that abort may remove the leader again, which then leaves once', async () => {
    const { clock, registry, orphans, runs, calls } = orphaned();
    orphans.set('a', 1);
    await clock.advance(60_000);
    calls[0]?.signal.addEventListener('abort', () => runs.delete('a'));
    runs.set('a', 1);
    expect(calls[0]?.signal.aborted).toBe(true);
    await clock.advance(600_000);
    const [leader] = registry.report().maps;
    expect(leader).toMatchObject({ size: 0, overdue: 0, removed: { deleted: 1, swept: 0 } });
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  describe('whoever hears of the abort that a leader causes finds that registered', () => {
    interface Run {
      readonly of: string;
    }

    /** A key for whose orphan a hook runs. */
    async function led(runs: object = {}) {
      const clock = createManualClock();
      const signals: AbortSignal[] = [];
      const told: unknown[] = [];
      const beforeSweep = (_value: number, _key: string, { signal }: BeforeSweepContext) => {
        signals.push(signal);
        return new Promise<void>(() => {});
      };
      const registry = createRegistry<{ runs: Map<string, Run>; orphans: Numbers }>({
        maps: {
          runs: { maxIdle: '5m', ...runs },
          orphans: { follows: 'runs', orphanAfter: '1m', beforeSweep },
        },
        ended: { map: 'runs', id: ({ of }) => of, deliver: ({ id, key }) => void told.push([id, key]) },
        clock,
      });
      const more = ['b', 'c'].map((name) =>
        registry.adopt(name, new Map<string, number>(), { follows: 'runs', orphanAfter: '1m', beforeSweep }),
      );
      for (const map of [registry.maps.orphans, ...more.map(({ map }) => map)]) map.set('a', 1);
      await clock.advance(60_000);
      expect(signals.length).toBe(3);
      const onAbort = (listener: () => void, hook = 0) => signals[hook]?.addEventListener('abort', listener);
      return { clock, registry, runs: registry.maps.runs, signals, told, more, onAbort };
    }

    it('with the id of its run, which ends once if that one deletes it', async () => {
      const { clock, registry, runs, told, onAbort } = await led();
      onAbort(() => runs.delete('a'));
      runs.set('a', { of: 'job' });
      await clock.advance(0);
      expect(told).toEqual([['job', 'a']]);
      registry.stop();
    });

    it('with the id of its run, which ends once if that one ends it', async () => {
      const { clock, registry, runs, told, onAbort } = await led();
      onAbort(() => registry.end('a'));
      runs.set('a', { of: 'job' });
      runs.set('again', { of: 'job' });
      expect(registry.end('again')).toBe('duplicate');
      await clock.advance(0);
      expect(told).toEqual([['job', 'a']]);
      registry.stop();
    });

    it('with its owner, who is another one if that one sets another value', async () => {
      const maxPerOwner = { owner: ({ of }: Run) => of, max: 1 };
      const { clock, registry, runs, onAbort } = await led({ maxPerOwner });
      runs.set('b', { of: 'one' });
      onAbort(() => runs.set('a', { of: 'another' }));
      runs.set('a', { of: 'one' });
      await clock.advance(10);
      expect([...runs.keys()].sort()).toEqual(['a', 'b']);
      registry.stop();
    });

    it('and may release a map, which keeps no other hook from being aborted', async () => {
      const { registry, runs, signals, more, onAbort } = await led();
      onAbort(() => more[0]?.release(), 1);
      runs.set('a', { of: 'job' });
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
      registry.stop();
    });
  });

  describe('whoever hears of the abort as the entry leaves', () => {
    type Leaving = ReturnType<typeof leaving>;

    /** Due entries whose hooks never settle, and what is done as the signal of `a` is aborted. */
    function leaving(isTold: boolean, onAbort: (all: Leaving) => void) {
      const clock = createManualClock();
      const disposed: unknown[] = [];
      const ended: unknown[] = [];
      const registry = createRegistry<{ map: Numbers }>({
        maps: {
          map: {
            ttl: '1m',
            beforeSweep: (_value, key, { signal }) => {
              if (key === 'a') signal.addEventListener('abort', () => onAbort(all));
              return new Promise<void>(() => {});
            },
            ...(isTold && { dispose: (value, key) => void disposed.push([key, value]) }),
          },
        },
        clock,
        ...(isTold && { ended: { map: 'map', deliver: ({ key, value }) => void ended.push([key, value]) } }),
      });
      const all = { clock, registry, map: registry.maps.map, disposed, ended };
      return all;
    }

    const removals: [string, (all: Leaving) => unknown][] = [
      ['delete', ({ map }) => map.delete('a')],
      ['clear', ({ map }) => map.clear()],
      [
        'delete past the wrapper',
        ({ map, registry }) => {
          Map.prototype.delete.call(map, 'a');
          return registry.sweep();
        },
      ],
    ];
    const acts: [string, (all: Leaving) => unknown][] = [
      ['deletes it', ({ map }) => map.delete('a')],
      ['ends it', ({ registry }) => registry.end('a')],
      ['clears the map', ({ map }) => map.clear()],
      ['sets it', ({ map }) => map.set('a', 2)],
      ['sets another', ({ map }) => map.set('b', 2)],
    ];
    const cases = removals.flatMap(([by, remove]) =>
      acts.flatMap(([what, act]) => [
        { by, remove, what, act, isTold: false, others: [] },
        { by, remove, what, act, isTold: false, others: ['other'] },
        { by, remove, what, act, isTold: true, others: ['other'] },
      ]),
    );

    it.each(cases)(
      'finds it gone after a $by, and $what: it leaves once (told: $isTold, besides: $others)',
      async ({ by, remove, act, isTold, others }) => {
        const all = leaving(isTold, (now) => {
          expect(now.map.has('a')).toBe(false);
          expect(now.registry.stamps('map', 'a')).toBeUndefined();
          act(now);
        });
        const { clock, registry, map, disposed, ended } = all;
        for (const key of [...others, 'a']) map.set(key, 1);
        await clock.advance(60_000);
        await remove(all);
        await clock.advance(0);
        const of = (key: string, list: unknown[]) => list.filter((told) => (told as unknown[])[0] === key);
        expect(of('a', ended).length).toBe(isTold ? 1 : 0);
        // Of what was deleted past the wrapper nobody knows the value.
        expect(of('a', disposed).length).toBe(isTold && by !== 'delete past the wrapper' ? 1 : 0);
        const { registered = 0, removed } = registry.report().maps[0] ?? {};
        expect((removed?.deleted ?? 0) + (removed?.cleared ?? 0)).toBe(registered - map.size);
        // Each entry has stamps of its own.
        for (const key of ['c', 'd', 'e']) map.set(key, 3);
        const generations = [...map.keys()].map((key) => registry.stamps('map', key)?.generation);
        expect(generations).not.toContain(undefined);
        expect(new Set(generations).size).toBe(map.size);
        map.clear();
        expect(registry.report().maps[0]).toMatchObject({ size: 0, overdue: 0, waiting: 0 });
        registry.stop();
        expect(clock.pendingTimers).toBe(0);
      },
    );

    it.each([
      ['delete', ['a']],
      ['clear', ['a', 'b']],
    ] as const)('finds all gone that a %s removes, and what it sets then stays', async (by, keys) => {
      const all = leaving(true, (now) => {
        expect([now.map.size, companions.map.size]).toEqual([0, 0]);
        for (const map of [now.map, companions.map]) for (const key of keys) map.set(key, 2);
      });
      const { clock, registry, map, disposed, ended } = all;
      const companions = registry.adopt('companions', new Map<string, number>(), { follows: 'map' });
      for (const each of [map, companions.map]) for (const key of keys) each.set(key, 1);
      await clock.advance(60_000);
      if (by === 'delete') map.delete('a');
      else map.clear();
      await clock.advance(0);
      expect([...map.values(), ...companions.map.values()]).toEqual([...keys, ...keys].map(() => 2));
      expect(ended).toEqual(keys.map((key) => [key, 1]));
      expect(disposed).toEqual(ended);
      registry.stop();
    });
  });

  it('an entry that has left, or is due no more, is not said to wait for a call that has not stopped yet', async () => {
    const { clock, registry, map, calls, report, end } = hooked({ ttl: false, maxIdle: '5m' });
    for (const key of ['deleted', 'touched', 'waits', 'cleared']) map.set(key, 1);
    await clock.advance(300_000);
    expect(report()).toMatchObject({ size: 4, overdue: 4, waiting: 4 });
    map.delete('deleted');
    expect(report()).toMatchObject({ size: 3, overdue: 3, waiting: 3 });
    registry.touch('map', 'touched');
    await registry.sweep();
    expect(report()).toMatchObject({ size: 3, overdue: 2, waiting: 2 });
    map.clear();
    expect(report()).toMatchObject({ size: 0, overdue: 0, waiting: 0 });
    map.set('waits', 2);
    expect(report()).toMatchObject({ size: 1, overdue: 0, waiting: 0 });
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true, true, true]);
    end();
  });

  it('a second one never runs for the same entry, though it was touched and is due again', async () => {
    const { clock, registry, map, calls, report, end } = hooked({ ttl: '1s' }, { sweepEvery: '1s' });
    map.set('a', 1);
    await clock.advance(1_000);
    map.set('a', 2);
    await clock.advance(10_000);
    expect(calls.length).toBe(1);
    expect(registry.explain('map', 'a')).toMatchObject({ state: 'waiting' });
    expect(registry.explain('map', 'a').why).toContain(
      'but its beforeSweep waits for the last call to end, which was told to stop',
    );
    expect(report()).toMatchObject({ size: 1, overdue: 1, waiting: 1 });
    calls[0]?.fail(new Error('aborted'));
    await clock.advance(1_000);
    expect(calls.map(({ value, attempt }) => [value, attempt])).toEqual([
      [1, 1],
      [2, 1],
    ]);
    end();
  });

  it('an entry that is no longer due after its success stays', async () => {
    let isBusy = false;
    const { clock, map, calls, report, end } = hooked({ keepWhile: () => isBusy });
    map.set('a', 1);
    await clock.advance(300_000);
    isBusy = true;
    calls[0]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(1);
    expect(report()).toMatchObject({ guarded: 1, waiting: 0 });
    isBusy = false;
    await clock.advance(60_000);
    expect(calls[1]).toMatchObject({ attempt: 1 });
    calls[1]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(0);
    end();
  });

  it('a guard that touches the entry, in the judgement after its success, keeps it', async () => {
    let isTouching = false;
    const { clock, registry, map, calls, end } = hooked({
      ttl: false,
      maxIdle: '5m',
      keepWhile: (_value, key) => {
        if (isTouching) registry.touch('map', key);
        return false;
      },
    });
    map.set('a', 1);
    await clock.advance(300_000);
    isTouching = true;
    calls[0]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(1);
    isTouching = false;
    await clock.advance(300_000);
    calls[1]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(0);
    end();
  });

  it('a guard that removes the entry itself, in the judgement after its success, harms no other entry', async () => {
    const live = new Map<string | undefined, number>();
    const clock = createManualClock();
    let asked = 0;
    const disposed: unknown[] = [];
    const handle = adopt(live, {
      ttl: '1m',
      beforeSweep: () => {},
      dispose: (_value, key) => disposed.push(key),
      keepWhile: (_value, key) => {
        if (key !== 'a') return true;
        asked += 1;
        if (asked === 2) live.delete('a');
        return false;
      },
      clock,
    });
    live.set('a', 1).set(undefined, 2);
    await clock.advance(60_000);
    await handle.sweep();
    await clock.advance(0);
    expect([...live.keys()]).toEqual([undefined]);
    expect(disposed).toEqual(['a']);
  });
});

describe('how many run at once', () => {
  it('at most 32 over all maps, the others in order of arrival, each as soon as a place is free', async () => {
    const clock = createManualClock();
    const running: string[] = [];
    const open = new Map<string, () => void>();
    let most = 0;
    const beforeSweep = (_value: number, key: string) =>
      new Promise<void>((resolve) => {
        running.push(key);
        open.set(key, () => {
          open.delete(key);
          resolve();
        });
        most = Math.max(most, open.size);
      });
    const registry = createRegistry<{ a: Numbers; b: Numbers }>({
      maps: { a: { ttl: '1m', beforeSweep }, b: { ttl: '1m', beforeSweep } },
      clock,
    });
    for (let n = 0; n < 40; n += 1) {
      registry.maps.a.set(`a${n}`, n);
      registry.maps.b.set(`b${n}`, n);
    }
    await clock.advance(60_000);
    expect(running.length).toBe(32);
    expect(running).toEqual(Array.from({ length: 32 }, (_, n) => `a${n}`));
    expect(registry.report().maps.map(({ waiting }) => waiting)).toEqual([40, 40]);
    open.get('a5')?.();
    await clock.advance(0);
    expect(running.at(-1)).toBe('a32');
    while (open.size > 0) {
      for (const finish of [...open.values()]) finish();
      await clock.advance(0);
    }
    expect(running.length).toBe(80);
    expect(new Set(running).size).toBe(80);
    expect(most).toBe(32);
    expect(registry.maps.a.size + registry.maps.b.size).toBe(0);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('those that hang free their places after 30 s', async () => {
    const { clock, map, calls, end } = hooked({ ttl: '1m' });
    for (let n = 0; n < 50; n += 1) map.set(`k${n}`, n);
    await clock.advance(60_000);
    expect(calls.length).toBe(32);
    await clock.advance(30_000);
    expect(calls.length).toBe(50);
    end();
  });

  it.each([0.1, 0.004])(
    '100,000 of %f ms that answer at once let the event loop have its turns: none has more than its budget of them',
    async (hookMs) => {
      const clock = createManualClock();
      let [calls, mostInATurn, isOver] = [0, 0, false];
      const registry = createRegistry<{ map: Map<number, number> }>({
        maps: {
          map: {
            ttl: '59s',
            beforeSweep: () => {
              calls += 1;
            },
          },
        },
        clock: { ...clock, monotonic: () => clock.monotonic() + calls * hookMs, yield: async () => {} },
      });
      for (let n = 0; n < 100_000; n += 1) registry.maps.map.set(n, n);
      await clock.advance(59_999);
      const turn = (before: number): void => {
        mostInATurn = Math.max(mostInATurn, calls - before);
        if (!isOver) setImmediate(turn, calls);
      };
      setImmediate(turn, calls);
      void registry.sweep();
      while (registry.maps.map.size > 0) await new Promise((resolve) => setImmediate(resolve));
      isOver = true;
      expect(calls).toBe(100_000);
      // Of a budget of 5 ms; those that ran when it was used up come on top.
      expect(mostInATurn).toBeLessThanOrEqual(5 / hookMs + 32);
      registry.stop();
    },
    30_000,
  );

  it('one that was touched while it was queued does not start', async () => {
    const { clock, map, calls, registry, end } = hooked({ ttl: false, maxIdle: '1m' });
    for (let n = 0; n < 34; n += 1) map.set(`k${n}`, n);
    await clock.advance(60_000);
    registry.touch('map', 'k32');
    for (const call of calls) call.succeed();
    await clock.advance(0);
    expect(calls.map(({ key }) => key)).not.toContain('k32');
    expect(calls.at(-1)?.key).toBe('k33');
    end();
  });

  it('that of an orphan whose leader comes while it is queued does not start', async () => {
    const { clock, registry, orphans, runs, calls } = orphaned();
    for (let n = 0; n < 34; n += 1) orphans.set(`k${n}`, n);
    await clock.advance(60_000);
    expect(calls.length).toBe(32);
    runs.set('k32', 1);
    for (const call of calls) call.succeed();
    await clock.advance(0);
    expect(calls.map(({ key }) => key)).not.toContain('k32');
    expect(calls.at(-1)?.key).toBe('k33');
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('an entry whose turn comes after it has waited', () => {
  interface Job {
    busy: boolean;
    expiresAt: number;
  }

  /** Forty jobs that are due at once: the hooks of eight wait until others have ended. */
  const waiting = async (policy: PolicyOf<Map<string, Job>>, afterMs = 60_000) => {
    const clock = createManualClock();
    const calls: { key: string; succeed: () => void }[] = [];
    const registry = createRegistry<{ jobs: Map<string, Job> }>({
      maps: {
        jobs: {
          beforeSweep: (_job, key) =>
            new Promise<void>((succeed) => {
              calls.push({ key, succeed });
            }),
          ...policy,
        },
      },
      clock,
    });
    const { jobs } = registry.maps;
    for (let n = 0; n < 40; n += 1) {
      jobs.set(`job${n}`, { busy: false, expiresAt: clock.now() + 30_000 });
    }
    await clock.advance(afterMs);
    expect(calls.length).toBe(32);
    const goOn = async (): Promise<string[]> => {
      for (const { succeed } of calls) succeed();
      await clock.advance(0);
      return calls.slice(32).map(({ key }) => key);
    };
    return { clock, registry, jobs, goOn };
  };

  it('is not cleaned up for if it expires later by now, and is when it does', async () => {
    const { clock, registry, jobs, goOn } = await waiting({ expiresAt: ({ expiresAt }) => expiresAt });
    (jobs.get('job35') as Job).expiresAt = clock.now() + 90_000;
    expect(await goOn()).toEqual(['job32', 'job33', 'job34', 'job36', 'job37', 'job38', 'job39']);
    expect(registry.explain('jobs', 'job35').state).toBe('live');
    await goOn();
    expect([...jobs.keys()]).toEqual(['job35']);
    await clock.advance(120_000);
    expect((await goOn()).slice(7)).toEqual(['job35']);
    expect(jobs.size).toBe(0);
    registry.stop();
  });

  it('is not cleaned up for if it was deleted past the wrapper meanwhile', async () => {
    const failures: unknown[] = [];
    const { registry, jobs, goOn } = await waiting({ expiresAt: ({ expiresAt }) => expiresAt });
    registry.on('callback-failed', (failure) => failures.push(failure));
    Map.prototype.delete.call(jobs, 'job33');
    expect(await goOn()).toEqual(['job32', 'job34', 'job35', 'job36', 'job37', 'job38', 'job39']);
    expect(failures).toEqual([]);
    expect(registry.report().maps[0]?.removed.deleted).toBe(1);
    registry.stop();
  });

  it('is not cleaned up for while its guard keeps it', async () => {
    const { clock, registry, jobs, goOn } = await waiting({ maxIdle: '30s', keepWhile: ({ busy }) => busy });
    const job = jobs.get('job32') as Job;
    job.busy = true;
    expect(await goOn()).toEqual(['job33', 'job34', 'job35', 'job36', 'job37', 'job38', 'job39']);
    expect(registry.explain('jobs', 'job32').state).toBe('guarded');
    job.busy = false;
    await goOn();
    expect([...jobs.keys()]).toEqual(['job32']);
    await clock.advance(60_000);
    expect((await goOn()).slice(7)).toEqual(['job32']);
    expect(jobs.size).toBe(0);
    registry.stop();
  });

  it('is not cleaned up for if the cap is no longer exceeded, and stays', async () => {
    const { clock, registry, jobs, goOn } = await waiting({ maxEntries: 4 }, 1);
    // Those that wait are four, as many as may stay.
    for (const key of [...jobs.keys()])
      if (key < 'job32' || key > 'job35' || key.length < 5) jobs.delete(key);
    expect(await goOn()).toEqual([]);
    expect([...jobs.keys()]).toEqual(['job32', 'job33', 'job34', 'job35']);
    jobs.set('another', { busy: false, expiresAt: 0 });
    await clock.advance(1);
    expect(await goOn()).toEqual(['job32']);
    registry.stop();
  });

  it('leaves a batch out if what another one is asked removes it', async () => {
    const clock = createManualClock();
    const batches: string[][] = [];
    let asked = 0;
    const registry = createRegistry<{ jobs: Map<string, Job> }>({
      maps: {
        jobs: {
          expiresAt: ({ expiresAt }, key) => {
            if (key === 'job2') asked += 1;
            // By the sweep first, then when its turn comes.
            if (asked === 2) jobs.delete('job1');
            return expiresAt;
          },
          beforeSweep: {
            batch: 10,
            run: async (entries: [string, Job][]) => {
              batches.push(entries.map(([key]) => key));
            },
          },
        },
      },
      clock,
    });
    const { jobs } = registry.maps;
    for (let n = 0; n < 4; n += 1) jobs.set(`job${n}`, { busy: false, expiresAt: clock.now() + 30_000 });
    await clock.advance(60_000);
    expect(batches).toEqual([['job0', 'job2', 'job3']]);
    expect(jobs.size).toBe(0);
    registry.stop();
  });
});

describe('maxAge', () => {
  it('is stronger than a beforeSweep that never succeeds: one more attempt is made, then the entry leaves', async () => {
    const { clock, registry, map, calls, failures, end } = hooked({ maxAge: '1h' });
    const swept: unknown[] = [];
    registry.on('swept', ({ key, rule, keptBy }) => swept.push([key, rule, keptBy]));
    map.set('a', 1);
    for (let n = 0; n < 60; n += 1) {
      await clock.advance(60_000);
      calls.at(-1)?.fail();
      await settle();
    }
    // Backing off: after 5, 6, 8, 12, 20 and 36 minutes, and at once at an hour.
    expect(calls.map(({ at }) => at / 60_000)).toEqual([5, 6, 8, 12, 20, 36, 60]);
    expect(failures.length).toBe(7);
    expect(swept).toEqual([['a', 'maxAge', 'beforeSweep']]);
    expect(map.size).toBe(0);
    end();
  });

  it('awaits the attempt that runs, for its time-out at most', async () => {
    const { clock, map, calls, failures, end } = hooked({
      maxAge: '5m',
      beforeSweepTimeout: '20s',
      ttl: '290s',
    });
    map.set('a', 1);
    await clock.advance(300_000);
    expect(calls.length).toBe(1);
    await clock.advance(19_999);
    expect(map.size).toBe(1);
    await clock.advance(1);
    expect([map.size, calls.length, failures.length]).toEqual([0, 1, 1]);
    expect(calls[0]?.signal.aborted).toBe(true);
    end();
  });

  it('lets go also of what is touched all the time', async () => {
    const { clock, registry, map, calls, end } = hooked({ maxAge: '5m', ttl: '4m' });
    map.set('a', 1);
    await clock.advance(300_000);
    registry.touch('map', 'a');
    expect(calls.at(-1)?.signal.aborted).toBe(true);
    expect(map.size).toBe(1);
    calls.at(-1)?.fail();
    await settle();
    expect(map.size).toBe(0);
    end();
  });
});

describe('stop() and release()', () => {
  it('abort what runs, and nothing is removed any more, even if it succeeds', async () => {
    const { clock, registry, map, calls } = hooked();
    map.set('a', 1);
    await clock.advance(300_000);
    registry.stop();
    expect(calls[0]?.signal.aborted).toBe(true);
    calls[0]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('forget those that wait: nothing more starts, and none of 100 entries is said to wait but the 32 that run', async () => {
    const { clock, registry, map, calls, report } = hooked();
    for (let n = 0; n < 100; n += 1) map.set(`k${n}`, n);
    await clock.advance(300_000);
    registry.stop();
    expect(calls.map(({ signal }) => signal.aborted)).toEqual(Array.from({ length: 32 }, () => true));
    expect(report()?.waiting).toBe(32);
    for (const call of calls) call.fail();
    await clock.advance(0);
    expect(calls.length).toBe(32);
    expect(map.size).toBe(100);
    map.delete('k99');
    expect(map.size).toBe(99);
  });

  it('leave it to a sweep by hand to run them after stop(), with their time-outs', async () => {
    const { clock, registry, map, calls, failures } = hooked({ beforeSweepTimeout: '2s' });
    map.set('a', 1).set('b', 2);
    registry.stop();
    await clock.advance(300_000);
    expect([calls.length, clock.pendingTimers]).toEqual([0, 0]);
    await registry.sweep();
    expect(calls.map(({ key }) => key)).toEqual(['a', 'b']);
    calls[0]?.succeed();
    await clock.advance(0);
    expect([...map.keys()]).toEqual(['b']);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(2_000);
    expect(failures.length).toBe(1);
    expect(calls[1]?.signal.aborted).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(60_000);
    await registry.sweep();
    calls[2]?.succeed();
    await clock.advance(0);
    expect(map.size).toBe(0);
  });

  it('leave the places of 32 that hang to those that wait, when they time out after a sweep by hand, and have each called again', async () => {
    const { clock, registry, map, calls, failures } = hooked({ beforeSweepTimeout: '2s' });
    for (let n = 0; n < 40; n += 1) map.set(`k${n}`, n);
    await clock.advance(300_000);
    registry.stop();
    expect([calls.length, clock.pendingTimers]).toEqual([32, 0]);
    const sweepByHand = async (): Promise<void> => {
      await registry.sweep();
      await clock.advance(0);
    };
    await sweepByHand();
    await clock.advance(1_000);
    await sweepByHand();
    expect(calls.length).toBe(32);
    await clock.advance(1_000);
    const keysFrom = (first: number): string[] => calls.slice(first).map(({ key }) => key);
    expect(keysFrom(32)).toEqual(Array.from({ length: 8 }, (_, n) => `k${n + 32}`));
    for (const call of calls) call.succeed();
    await clock.advance(0);
    expect(map.size).toBe(32);
    await sweepByHand();
    expect(keysFrom(40)).toEqual(Array.from({ length: 32 }, (_, n) => `k${n}`));
    for (const call of calls) call.succeed();
    await clock.advance(0);
    expect([map.size, clock.pendingTimers]).toEqual([0, 0]);
    expect(failures).toEqual([]);
  });

  it('release() aborts those of its map', async () => {
    const clock = createManualClock();
    const live = new Map([['a', 1]]);
    let context: BeforeSweepContext | undefined;
    let succeed = (): void => {};
    const registry = createRegistry({ maps: {}, clock });
    const handle = registry.adopt('live', live, {
      ttl: '1m',
      beforeSweep: (_value, _key, given) => {
        context = given;
        return new Promise<void>((resolve) => {
          succeed = resolve;
        });
      },
    });
    await clock.advance(60_000);
    handle.release();
    expect(context?.signal.aborted).toBe(true);
    succeed();
    await clock.advance(0);
    expect(live.size).toBe(1);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('release() forgets those of its map that are queued: the places go to other maps', async () => {
    const clock = createManualClock();
    const called: string[] = [];
    const beforeSweep = (_value: number, key: string) => {
      called.push(key);
      return key.startsWith('stays') ? undefined : new Promise<void>(() => {});
    };
    const registry = createRegistry<{ map: Numbers }>({ maps: { map: { ttl: '2m', beforeSweep } }, clock });
    const live = new Map(Array.from({ length: 100 }, (_, n) => [`left${n}`, n] as const));
    const handle = registry.adopt('live', live as Numbers, { ttl: '1m', beforeSweep });
    await clock.advance(60_000);
    registry.maps.map.set('stays', 1);
    expect(called.length).toBe(32);
    handle.release();
    await clock.advance(180_000);
    expect(called.slice(32)).toEqual(['stays']);
    expect(live.size).toBe(100);
    registry.stop();
  });
});

describe('after a beforeSweep has succeeded', () => {
  it('a delete that refuses keeps the entry; the hook runs again before it is tried again (row gone, entry kept)', async () => {
    const clock = createManualClock();
    const live = new StubbornMap([['a', 1]]);
    let calls = 0;
    const registry = createRegistry({
      maps: {
        live: {
          adopt: live,
          ttl: '1m',
          beforeSweep: () => {
            calls += 1;
          },
        },
      },
      clock,
    });
    live.obstacle = true;
    await clock.advance(60_000);
    expect([calls, live.size]).toEqual([1, 1]);
    live.obstacle = false;
    await clock.advance(60_000);
    expect([calls, live.size]).toEqual([2, 0]);
    registry.stop();
  });
});

function assert(error: unknown): never {
  throw error;
}

describe('a stop() from inside of the look that would start a beforeSweep', () => {
  it.each(['stop', 'close'] as const)('%s() leaves no timer, and none is started', async (how) => {
    let end = (): void => {};
    const calls: unknown[] = [];
    const clock = createManualClock();
    const registry = createRegistry<{ map: Numbers }>({
      maps: {
        map: {
          expiresAt: () => {
            end();
            return 0;
          },
          beforeSweep: (_value, key) => void calls.push(key),
        },
      },
      clock,
    });
    registry.maps.map.set('a', 1).set('b', 2);
    registry.stop();
    end = () => void registry[how]();
    await registry.sweep();
    await clock.advance(0);
    expect(clock.pendingTimers).toBe(0);
    expect(calls).toEqual([]);
  });
});
