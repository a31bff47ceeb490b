import { type ClockJump, createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

interface Run {
  endedAt?: number | undefined;
  activeAt?: number | undefined;
  isBusy?: boolean;
}
type Runs = Map<string, Run>;

const startAt = 1_800_000_000_000;

function runsRegistry(policy: PolicyOf<Runs>, options: { startAt?: number; sweepEvery?: string } = {}) {
  const clock = createManualClock({ startAt: options.startAt ?? startAt });
  const registry = createRegistry<{ runs: Runs }>({
    maps: { runs: policy },
    clock,
    ...(options.sweepEvery === undefined ? {} : { sweepEvery: options.sweepEvery as '1h' }),
  });
  const { runs } = registry.maps;
  const failures: unknown[] = [];
  registry.on('callback-failed', ({ map, callback, key }) => failures.push([map, callback, key]));
  /** What a sweep at this very moment leaves. */
  const sweep = async (): Promise<string[]> => {
    await registry.sweep();
    return [...runs.keys()];
  };
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, runs, failures, sweep, end };
}

describe('a deadline is exact: kept 1 ms before it, gone at it', () => {
  const cases: Array<[string, PolicyOf<Runs>, Run, number]> = [
    ['ttl', { ttl: '5m' }, {}, 300_000],
    ['ttl of 1 ms', { ttl: 1 }, {}, 1],
    ['ttl since lastActiveAt', { ttl: '5m', since: 'lastActiveAt' }, {}, 300_000],
    [
      'ttl since an instant of the value',
      { ttl: '5m', since: (run) => run.endedAt },
      { endedAt: startAt - 100_000 },
      200_000,
    ],
    [
      'ttl since an instant to come',
      { ttl: '5m', since: (run) => run.endedAt },
      { endedAt: startAt + 50_000 },
      350_000,
    ],
    ['expiresAt', { expiresAt: (run) => run.endedAt }, { endedAt: startAt + 77_777 }, 77_777],
    ['maxIdle', { maxIdle: '10m' }, {}, 600_000],
    [
      'maxIdle with activeAt',
      { maxIdle: '10m', activeAt: (run) => run.activeAt },
      { activeAt: startAt },
      600_000,
    ],
    ['maxAge', { maxAge: '1h' }, {}, 3_600_000],
    ['a rule', { ttl: '1m', rules: [{ match: /^a/, ttl: '2m' }] }, {}, 120_000],
    [
      'the earliest of all',
      { ttl: '3m', maxIdle: '2m', maxAge: '4m', expiresAt: () => startAt + 150_000 },
      {},
      120_000,
    ],
    ['maxAge over a guard', { ttl: '1m', maxAge: '7m', keepWhile: () => true }, {}, 420_000],
  ];

  it.each(cases)('%s', async (_, policy, run, lifeMs) => {
    const { clock, registry, runs, sweep, end } = runsRegistry(policy, { sweepEvery: '24d' });
    runs.set('a', run);
    await clock.advance(lifeMs - 1);
    expect(await sweep()).toEqual(['a']);
    expect(registry.explain('runs', 'a').deadline).toBe(
      policy.keepWhile === undefined ? startAt + lifeMs : startAt + 60_000,
    );
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it.each(cases)(
    '%s: gone by itself within 2 intervals, and never before',
    async (_, policy, run, lifeMs) => {
      const { clock, runs, end } = runsRegistry(policy);
      await clock.advance(17);
      runs.set('a', run);
      await clock.advance(Math.max(0, lifeMs - 1 - 17));
      expect(runs.size).toBe(1);
      await clock.advance(120_000 + 18);
      expect(runs.size).toBe(0);
      end();
    },
  );
});

describe('ttl', () => {
  it('counts from the first set: neither a set on the present key nor a touch prolongs it', async () => {
    const { clock, registry, runs, sweep, end } = runsRegistry({ ttl: '5m' });
    runs.set('a', {});
    await clock.advance(299_999);
    runs.set('a', {});
    registry.touch('runs', 'a');
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it('starts anew for a key that was deleted and set again', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ ttl: '5m' });
    runs.set('a', {});
    await clock.advance(299_999);
    runs.delete('a');
    runs.set('a', {});
    await clock.advance(299_999);
    expect(await sweep()).toEqual(['a']);
    end();
  });

  it('since a function that answers undefined has not started: undefined never means expired', async () => {
    const { clock, runs, failures, sweep, end } = runsRegistry({
      ttl: 0,
      since: (run) => run.endedAt,
      expiresAt: () => undefined,
      activeAt: () => undefined,
    });
    runs.set('a', {});
    await clock.advance(86_400_000);
    expect(await sweep()).toEqual(['a']);
    expect(failures).toEqual([]);
    end();
  });

  it('of 0 is due at once, of false never', async () => {
    const { clock, runs, sweep, end } = runsRegistry({
      ttl: 0,
      rules: [{ match: 'b'.match.bind('b') as never }],
    });
    runs.set('a', {}).set('b', {});
    expect(await sweep()).toEqual(['b']);
    await clock.advance(86_400_000);
    end();
    const never = runsRegistry({ ttl: false, maxIdle: false, maxAge: false });
    never.runs.set('a', {});
    await never.clock.advance(86_400_000);
    expect(never.runs.size).toBe(1);
    never.end();
  });

  it('an instant that the value gets later is noticed within 2 intervals, without any set', async () => {
    const { clock, runs, end } = runsRegistry({ ttl: '5m', since: (run) => run.endedAt });
    const run: Run = {};
    runs.set('a', run);
    await clock.advance(1_000_000);
    run.endedAt = clock.now();
    await clock.advance(299_999);
    expect(runs.size).toBe(1);
    await clock.advance(120_001);
    expect(runs.size).toBe(0);
    end();
  });

  it('an instant that moves later keeps the entry: it is judged again right before it would go', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ ttl: '5m', since: (run) => run.endedAt });
    const run: Run = { endedAt: startAt };
    runs.set('a', run);
    await clock.advance(299_999);
    run.endedAt = clock.now();
    await clock.advance(299_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it('an instant that is taken back keeps the entry', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ ttl: '5m', since: (run) => run.endedAt });
    const run: Run = { endedAt: startAt };
    runs.set('a', run);
    await clock.advance(299_999);
    run.endedAt = undefined;
    await clock.advance(3_600_000);
    expect(await sweep()).toEqual(['a']);
    end();
  });

  it('an instant that moves earlier is noticed at the next set, touch, or filed deadline', async () => {
    for (const act of ['set', 'touch', 'deadline'] as const) {
      const { clock, registry, runs, sweep, end } = runsRegistry({ expiresAt: (run) => run.endedAt });
      const run: Run = { endedAt: startAt + 3_600_000 };
      runs.set('a', run);
      await clock.advance(1_000);
      run.endedAt = startAt + 60_000;
      if (act === 'set') runs.set('a', run);
      else if (act === 'touch') registry.touch('runs', 'a');
      await clock.advance(act === 'deadline' ? 3_599_000 : 119_000);
      expect([act, await sweep()]).toEqual([act, []]);
      end();
    }
  });
});

describe('idle time', () => {
  it('is put off by set and by touch, and not by get, has or a walk', async () => {
    const { clock, registry, runs, sweep, end } = runsRegistry({ maxIdle: '1m' });
    for (const key of ['set', 'touch', 'read']) runs.set(key, {});
    for (let n = 0; n < 3; n += 1) {
      await clock.advance(20_000);
      runs.set('set', {});
      registry.touch('runs', 'touch');
      runs.get('read');
      runs.has('read');
      for (const _ of runs.entries());
      runs.forEach(() => {});
    }
    expect(await sweep()).toEqual(['set', 'touch']);
    end();
  });

  it('the later of the stamp and of activeAt counts', async () => {
    const { clock, registry, runs, sweep, end } = runsRegistry({
      maxIdle: '1m',
      activeAt: (run) => run.activeAt,
    });
    const run: Run = { activeAt: startAt - 1_000_000 };
    runs.set('a', run);
    await clock.advance(59_999);
    expect(await sweep()).toEqual(['a']);
    run.activeAt = clock.now();
    await clock.advance(59_999);
    expect(await sweep()).toEqual(['a']);
    registry.touch('runs', 'a');
    run.activeAt = startAt;
    await clock.advance(59_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it('activeAt that lies ahead counts from its first look: a wrong clock keeps no entry for ever', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ maxIdle: '1m', activeAt: (run) => run.activeAt });
    runs.set('a', { activeAt: startAt + 86_400_000 });
    await sweep();
    await clock.advance(59_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it('activeAt without maxIdle counts for `since: lastActiveAt` too', async () => {
    const { clock, runs, sweep, end } = runsRegistry({
      ttl: '1m',
      since: 'lastActiveAt',
      activeAt: (run) => run.activeAt,
    });
    runs.set('a', {});
    await clock.advance(30_000);
    (runs.get('a') as Run).activeAt = clock.now();
    await clock.advance(59_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });
});

describe('guards', () => {
  it('hold a due entry, and let it go within 2 intervals of saying no', async () => {
    const { clock, registry, runs, end } = runsRegistry({
      ttl: '5m',
      keepWhile: (run) => run.isBusy === true,
    });
    const run: Run = { isBusy: true };
    runs.set('a', run);
    await clock.advance(86_400_000);
    expect(runs.size).toBe(1);
    expect(registry.report().maps[0]).toMatchObject({ overdue: 1, guarded: 1 });
    expect(registry.explain('runs', 'a').state).toBe('guarded');
    run.isBusy = false;
    await clock.advance(60_000);
    expect(runs.size).toBe(0);
    expect(registry.report().maps[0]).toMatchObject({ overdue: 0, guarded: 0 });
    end();
  });

  it('are asked about due entries alone, with value and key', async () => {
    const asked: unknown[] = [];
    const { clock, runs, end } = runsRegistry({
      ttl: '5m',
      keepWhile: (run, key) => {
        asked.push([run, key]);
        return false;
      },
    });
    const run: Run = {};
    runs.set('a', run).set('a', run);
    await clock.advance(240_000);
    expect(asked).toEqual([]);
    await clock.advance(60_000);
    expect(asked).toEqual([[run, 'a']]);
    end();
  });

  it('give way to maxAge', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ ttl: 1, maxAge: '1h', keepWhile: () => true });
    runs.set('a', {});
    await clock.advance(3_599_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });
});

describe('rules', () => {
  it('the first that matches replaces all lifetimes of the map', async () => {
    const { clock, runs, sweep, end } = runsRegistry({
      ttl: '1m',
      maxIdle: '1m',
      maxAge: '1m',
      rules: [
        { match: /^cron:/, ttl: '24h' },
        { match: (key) => key.startsWith('cron:special'), ttl: 1 },
        { match: /^keep/ },
        { match: /^off/, ttl: false },
      ],
    });
    for (const key of ['cron:special', 'cron:x', 'keep', 'off', 'other']) runs.set(key, {});
    await clock.advance(60_000);
    expect(await sweep()).toEqual(['cron:special', 'cron:x', 'keep', 'off']);
    await clock.advance(86_400_000);
    expect(await sweep()).toEqual(['keep', 'off']);
    end();
  });

  it('ignore the lastIndex of a global or sticky RegExp, and do not move it', async () => {
    const global = /^a/g;
    const sticky = /b/y;
    global.lastIndex = 5;
    const { clock, runs, sweep, end } = runsRegistry({
      rules: [
        { match: global, ttl: '1m' },
        { match: sticky, ttl: '1m' },
      ],
    });
    for (let n = 0; n < 10; n += 1) runs.set(`a${n}`, {}).set(`b${n}`, {});
    await clock.advance(60_000);
    expect(await sweep()).toEqual([]);
    expect([global.lastIndex, sticky.lastIndex]).toEqual([5, 0]);
    end();
  });

  it('match strings and numbers by RegExp, and any key by function', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ any: Map<unknown, number> }>({
      maps: {
        any: {
          rules: [
            { match: /1/, ttl: 0 },
            { match: (key) => typeof key === 'symbol', ttl: 0 },
          ],
        },
      },
      clock,
    });
    registry.maps.any.set(1, 1).set('1', 2).set(Symbol('x'), 3).set(undefined, 4).set(2, 5);
    await registry.sweep();
    expect([...registry.maps.any.keys()]).toEqual([undefined, 2]);
    registry.stop();
  });
});

describe('an instant that a value records', () => {
  const soon = startAt + 60_000;
  it.each<[string, PolicyOf<Runs>, Run['endedAt'] | Date | null, number]>([
    ['a Date for since', { ttl: '1m', since: (run) => run.endedAt }, new Date(startAt), 60_000],
    ['a Date for expiresAt', { expiresAt: (run) => run.endedAt }, new Date(soon), 60_000],
    ['a Date for activeAt', { maxIdle: '1m', activeAt: (run) => run.endedAt }, new Date(startAt), 60_000],
    ['0 for since: long ago', { ttl: '1d', since: (run) => run.endedAt }, 0, 0],
    ['-1 for expiresAt: long ago', { expiresAt: (run) => run.endedAt }, -1, 0],
    ['0 for activeAt: no activity', { maxIdle: '1m', activeAt: (run) => run.endedAt }, 0, 60_000],
    ['null for since: none', { ttl: '1m', since: (run) => run.endedAt, maxAge: '2m' }, null, 120_000],
    ['null for expiresAt: none', { expiresAt: (run) => run.endedAt, maxAge: '2m' }, null, 120_000],
    ['null for activeAt: none', { maxIdle: '1m', activeAt: (run) => run.endedAt }, null, 60_000],
  ])('may be %s', async (_, policy, instant, dueInMs) => {
    const { clock, runs, failures, sweep, end } = runsRegistry(policy, { sweepEvery: '1h' });
    runs.set('a', { endedAt: instant as never });
    if (dueInMs > 0) {
      await clock.advance(dueInMs - 1);
      expect(await sweep()).toEqual(['a']);
      await clock.advance(1);
    }
    expect(await sweep()).toEqual([]);
    expect(failures).toEqual([]);
    end();
  });
});

describe('an invalid answer', () => {
  type Answer = [string, () => unknown];
  const invalid: Answer[] = [
    ['epoch seconds', () => startAt / 1_000],
    ['a duration', () => 300_000],
    ['1', () => 1],
    ['NaN', () => Number.NaN],
    ['a Date of epoch seconds', () => new Date(startAt / 1_000)],
    ['an invalid Date', () => new Date(Number.NaN)],
    ['a text', () => new Date(startAt).toISOString()],
    ['a bigint', () => BigInt(startAt)],
    ['a promise', async () => startAt - 1_000_000_000],
    ['a promise that rejects', () => Promise.reject(new Error('late'))],
    [
      'a throw',
      () => {
        throw new Error('broken');
      },
    ],
    [
      'a throw of null',
      () => {
        throw null;
      },
    ],
    [
      'a thenable whose then throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
        get then() {
          throw new Error('then');
        },
      }),
    ],
  ];
  const policies: Array<[string, (answer: () => unknown) => PolicyOf<Runs>]> = [
    ['since', (answer) => ({ ttl: '1m', since: answer as never })],
    ['expiresAt', (answer) => ({ expiresAt: answer as never, ttl: '1m' })],
    ['activeAt', (answer) => ({ maxIdle: '1m', activeAt: answer as never })],
  ];

  for (const [name, policyOf] of policies) {
    it.each(invalid)(
      `of ${name}, %s: the entry stays, is counted and said once, others are unaffected`,
      async (_, answer) => {
        let isBroken = true;
        const policy = policyOf(() => (isBroken ? answer() : startAt - 1_000_000));
        const asked = policy[name as 'expiresAt'] as (run: Run, key: string) => number;
        const { clock, registry, runs, failures, end } = runsRegistry({
          ...policy,
          [name]: (run: Run, key: string) => (key === 'good' ? startAt - 1_000_000 : asked(run, key)),
        });
        runs.set('bad', {}).set('good', {});
        await clock.advance(3_600_000);
        expect([...runs.keys()]).toEqual(['bad']);
        expect(failures).toEqual([['runs', name, 'bad']]);
        const [counted] = registry.report().callbackErrors;
        expect(counted).toMatchObject({ map: 'runs', callback: name });
        expect(counted?.count).toBeGreaterThan(50);
        expect(registry.explain('runs', 'bad').state).toBe('failing');
        isBroken = false;
        await clock.advance(120_000);
        expect(runs.size).toBe(0);
        end();
      },
    );
  }

  it.each<Answer>([
    ['a promise', async () => false],
    ['a promise that rejects', () => Promise.reject(new Error('late'))],
    [
      'a throw',
      () => {
        throw new Error('broken');
      },
    ],
  ])('of keepWhile, %s: the entry stays until maxAge, and is counted and said once', async (_, answer) => {
    const { clock, runs, failures, end } = runsRegistry({
      ttl: '1m',
      maxAge: '1h',
      keepWhile: answer as never,
    });
    runs.set('a', {});
    await clock.advance(3_599_999);
    expect(runs.size).toBe(1);
    expect(failures).toEqual([['runs', 'keepWhile', 'a']]);
    await clock.advance(1);
    expect(runs.size).toBe(0);
    end();
  });

  it.each<Answer>([
    ['a promise', async () => true],
    [
      'a throw',
      () => {
        throw undefined;
      },
    ],
  ])('of match, %s: the entry stays, and is counted and said once', async (_, answer) => {
    const { clock, runs, failures, end } = runsRegistry({
      maxAge: '1m',
      rules: [{ match: answer as never, ttl: 1 }],
    });
    runs.set('a', {});
    await clock.advance(3_600_000);
    expect(runs.size).toBe(1);
    expect(failures).toEqual([['runs', 'match', 'a']]);
    end();
  });

  it('is said once for each entry', async () => {
    const { clock, runs, failures, end } = runsRegistry({ expiresAt: () => Number.NaN });
    runs.set('a', {}).set('b', {});
    await clock.advance(600_000);
    expect(failures).toEqual([
      ['runs', 'expiresAt', 'a'],
      ['runs', 'expiresAt', 'b'],
    ]);
    end();
  });

  it('is none where the clock itself is young: small instants are fine below 1e12', async () => {
    const { clock, runs, failures, sweep, end } = runsRegistry(
      { ttl: '1m', since: (run) => run.endedAt },
      { startAt: 1_000_000 },
    );
    runs.set('a', { endedAt: 970_000 });
    await clock.advance(29_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    expect(failures).toEqual([]);
    end();
  });

  it('is none for Infinity, which is never, nor for 1973', async () => {
    const { clock, runs, failures, sweep, end } = runsRegistry({
      expiresAt: (_run, key) => (key === 'never' ? Number.POSITIVE_INFINITY : 1e11),
    });
    runs.set('never', {}).set('old', {});
    await clock.advance(3_600_000);
    expect(await sweep()).toEqual(['never']);
    expect(failures).toEqual([]);
    end();
  });
});

describe('a jump of the wall clock', () => {
  it.each([86_400_000, -86_400_000, 3_600_000, -1_500])(
    'by %i ms moves no deadline that counts from what was, and is reported',
    async (byMs) => {
      const clock = createManualClock({ startAt });
      const registry = createRegistry<{ a: Runs; b: Runs; c: Runs; d: Runs }>({
        maps: {
          a: { ttl: '1h' },
          b: { maxIdle: '1h' },
          c: { maxIdle: '1h', activeAt: (run) => run.endedAt },
          d: { ttl: '1h', since: (run) => run.endedAt },
        },
        clock,
      });
      const jumps: ClockJump[] = [];
      registry.on('clock-jumped', (jump) => jumps.push(jump));
      registry.maps.a.set('k', {});
      registry.maps.b.set('k', {});
      registry.maps.c.set('k', { endedAt: startAt });
      registry.maps.d.set('k', { endedAt: startAt });
      const sizes = () => Object.values(registry.maps).map(({ size }) => size);
      await clock.advance(600_000);
      clock.jumpWall(byMs);
      const wall = clock.now();
      await clock.advance(60_000);
      expect(jumps).toEqual([{ byMs, at: wall + 60_000 }]);
      await clock.advance(3_600_000 - 660_001);
      await registry.sweep();
      expect(sizes()).toEqual([1, 1, 1, 1]);
      await clock.advance(1);
      await registry.sweep();
      expect(sizes()).toEqual([0, 0, 0, 0]);
      expect(jumps.length).toBe(1);
      registry.stop();
      expect(clock.pendingTimers).toBe(0);
    },
  );

  it('moves expiresAt, which is a time of the wall clock', async () => {
    const { clock, runs, sweep, end } = runsRegistry({ expiresAt: (run) => run.endedAt });
    runs.set('a', { endedAt: clock.now() + 3_600_000 });
    clock.jumpWall(3_599_999);
    expect(await sweep()).toEqual(['a']);
    clock.jumpWall(1);
    expect(await sweep()).toEqual([]);
    runs.set('b', { endedAt: clock.now() + 1_000 });
    clock.jumpWall(-60_000);
    await clock.advance(60_999);
    expect(await sweep()).toEqual(['b']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });

  it('leaves stamps in order: registeredAt <= lastActiveAt <= now, whatever the clock does', async () => {
    const { clock, registry, runs, end } = runsRegistry({});
    runs.set('a', {});
    for (const jump of [50_000, -3_600_000, 10_000_000, -10_000_000, 900, -900]) {
      await clock.advance(1_000);
      clock.jumpWall(jump);
      registry.touch('runs', 'a');
      const stamps = registry.stamps('runs', 'a');
      expect(stamps?.registeredAt).toBeLessThanOrEqual(stamps?.lastActiveAt as number);
      expect(stamps?.lastActiveAt).toBeLessThanOrEqual(clock.now());
    }
    end();
  });

  it('shows the age of an entry as it really is', async () => {
    const { clock, registry, runs, end } = runsRegistry({});
    runs.set('a', {});
    await clock.advance(5_000);
    clock.jumpWall(86_400_000);
    expect(registry.report().maps[0]?.oldestAgeMs).toBe(5_000);
    expect(registry.stamps('runs', 'a')?.registeredAt).toBe(startAt);
    end();
  });

  it.each([900, -900])(
    'of %i ms, too small to report, still counts for what is written down after it',
    async (byMs) => {
      const { clock, registry, runs, sweep, end } = runsRegistry({ expiresAt: (run) => run.endedAt });
      clock.jumpWall(byMs);
      const endedAt = clock.now() + 10_000;
      runs.set('a', { endedAt });
      expect(registry.explain('runs', 'a').deadline).toBe(endedAt);
      await clock.advance(9_999);
      expect(await sweep()).toEqual(['a']);
      await clock.advance(1);
      expect(await sweep()).toEqual([]);
      end();
    },
  );

  it('that creeps in (NTP slewing) is no jump, and is followed', async () => {
    const { clock, registry, runs, sweep, end } = runsRegistry({ expiresAt: (run) => run.endedAt });
    const jumps: unknown[] = [];
    registry.on('clock-jumped', (jump) => jumps.push(jump));
    for (let n = 0; n < 100; n += 1) {
      clock.jumpWall(100);
      await clock.advance(60_000);
    }
    expect(jumps).toEqual([]);
    runs.set('a', { endedAt: clock.now() + 10_000 });
    await clock.advance(9_999);
    expect(await sweep()).toEqual(['a']);
    await clock.advance(1);
    expect(await sweep()).toEqual([]);
    end();
  });
});

describe('observe', () => {
  it('judges, counts and reports, removes nothing, and calls no beforeSweep', async () => {
    const asked: unknown[] = [];
    const { clock, registry, runs, end } = runsRegistry({
      ttl: '5m',
      mode: 'observe',
      maxEntries: 1,
      beforeSweep: () => void asked.push('hook'),
      dispose: () => asked.push('dispose'),
    });
    const swept: unknown[] = [];
    registry.on('swept', (event) => swept.push(event));
    registry.on('evicted', (event) => swept.push(event));
    runs.set('a', {}).set('b', {});
    await clock.advance(3_600_000);
    expect(runs.size).toBe(2);
    expect(registry.report().maps[0]).toMatchObject({ overdue: 2, mode: 'observe', size: 2 });
    expect(registry.explain('runs', 'a')).toMatchObject({ state: 'due', rule: 'ttl' });
    expect([...asked, ...swept]).toEqual([]);
    runs.delete('a');
    expect(asked).toEqual(['dispose']);
    expect(registry.report().maps[0]?.overdue).toBe(1);
    end();
  });

  it('of one map leaves the others to the sweeper', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ watched: Runs; swept: Runs }>({
      maps: { watched: { ttl: 1, mode: 'observe' }, swept: { ttl: 1, mode: 'sweep' } },
      clock,
    });
    registry.maps.watched.set('a', {});
    registry.maps.swept.set('a', {});
    await clock.advance(60_000);
    expect([registry.maps.watched.size, registry.maps.swept.size]).toEqual([1, 0]);
    registry.stop();
  });

  it('of the registry is for every map, whatever the map says', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Runs }>({
      maps: { runs: { ttl: 1, mode: 'sweep' } },
      mode: 'observe',
      clock,
    });
    registry.maps.runs.set('a', {});
    await clock.advance(60_000);
    expect(registry.maps.runs.size).toBe(1);
    expect(registry.report().mode).toBe('observe');
    registry.stop();
  });
});

describe('what a policy is read from', () => {
  it('is read once: what changes in it later changes nothing', async () => {
    const policy: PolicyOf<Runs> = { ttl: '5m' };
    const { clock, runs, sweep, end } = runsRegistry(policy);
    policy.ttl = 1;
    runs.set('a', {});
    await clock.advance(60_000);
    expect(await sweep()).toEqual(['a']);
    end();
  });

  it('functions are called without a this', async () => {
    const seen: unknown[] = [];
    const note = function (this: unknown) {
      seen.push(this);
      return undefined;
    };
    const { runs, sweep, end } = runsRegistry({
      ttl: 1,
      since: note,
      expiresAt: note,
      activeAt: note,
      keepWhile: note as never,
      rules: [{ match: note as never }],
      dispose: note,
    });
    runs.set('a', {});
    await sweep();
    runs.delete('a');
    expect(seen.length).toBeGreaterThan(3);
    expect(new Set(seen)).toEqual(new Set([undefined]));
    end();
  });

  it('without a lifetime a map is tracked and never swept', async () => {
    const { clock, registry, runs, end } = runsRegistry({});
    runs.set('a', {});
    await clock.advance(86_400_000);
    expect(runs.size).toBe(1);
    expect(registry.stamps('runs', 'a')?.registeredAt).toBe(startAt);
    end();
  });
});
