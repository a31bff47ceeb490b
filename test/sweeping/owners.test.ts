import fc from 'fast-check';
import { createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { driftingClock } from '../time/drifting-clock.js';

interface Session {
  user?: unknown;
}
type Sessions = Map<string, Session>;

const minute = 60_000;

/** The owner is what stands before the colon: `alice:1`. */
const userOf = (_: Session, key: string): unknown => key.split(':')[0];

function owned(policy: PolicyOf<Sessions>, options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Sessions }>({ maps: { sessions: policy }, clock, ...options });
  const { sessions } = registry.maps;
  const evicted: string[] = [];
  registry.on('evicted', ({ key, rule }) => evicted.push(`${String(key)} by ${rule}`));
  const open = (...keys: string[]): void => {
    for (const key of keys) sessions.set(key, {});
  };
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  const row = () => registry.report().maps[0];
  return { clock, registry, sessions, evicted, open, keys: () => [...sessions.keys()], end, row };
}

describe('maxPerOwner', () => {
  it('evicts the longest idle of the owner who has too many, after the macrotask, and nobody else’s', async () => {
    const { clock, registry, keys, evicted, open, end } = owned({ maxPerOwner: { owner: userOf, max: 2 } });
    open('bob:1', 'alice:1', 'alice:2');
    await clock.advance(10);
    registry.touch('sessions', 'alice:1');
    open('alice:3', 'bob:2');
    expect(keys()).toHaveLength(5);
    await clock.advance(0);
    expect(evicted).toEqual(['alice:2 by maxPerOwner']);
    expect(keys()).toEqual(['bob:1', 'alice:1', 'alice:3', 'bob:2']);
    end();
  });

  it.each([0, 5])(
    'goes by what values say, though each look is a little later and the clocks drift by %d ms',
    async (driftMs) => {
      const { manual, clock, drift } = driftingClock();
      const registry = createRegistry<{ sessions: Map<number, { at: number }> }>({
        clock,
        maps: { sessions: { maxPerOwner: { owner: () => 'alice', max: 2 }, activeAt: ({ at }) => at } },
      });
      const { sessions } = registry.maps;
      drift(driftMs);
      await manual.advance(0.2);
      for (let key = 0; key < 6; key += 1) sessions.set(key, { at: clock.now() });
      await manual.advance(0.1);
      expect([...sessions.keys()]).toEqual([4, 5]);
      registry.stop();
    },
  );

  it.each([
    [
      'fails',
      () => {
        throw new Error('who knows');
      },
    ],
    ['says the present', (now: () => number) => now()],
  ])('evicts who comes first where activeAt %s each time', async (_, answer) => {
    const { manual, clock, pass } = driftingClock();
    const registry = createRegistry<{ sessions: Sessions }>({
      clock,
      maps: {
        sessions: {
          maxPerOwner: { owner: userOf, max: 2 },
          activeAt: () => {
            pass(2);
            return answer(() => clock.now());
          },
        },
      },
    });
    registry.on('callback-failed', () => {});
    const { sessions } = registry.maps;
    for (const key of ['alice:1', 'alice:2', 'alice:3', 'bob:1']) sessions.set(key, {});
    await manual.advance(1);
    expect([...sessions.keys()]).toEqual(['alice:2', 'alice:3', 'bob:1']);
    registry.stop();
  });

  it('looks no further at the entries of a map that is released between two slices, and goes on with other maps', async () => {
    const { manual, clock, pass } = driftingClock();
    let isArmed = false;
    const registry = createRegistry<{ others: Sessions }>({
      clock: {
        ...clock,
        yield: async () => {
          if (isArmed) handle.release();
          isArmed = false;
          await manual.yield();
        },
        monotonic: () => {
          pass(1);
          return clock.monotonic();
        },
      },
      maps: { others: { maxEntries: 1 } },
    });
    const asked: unknown[] = [];
    const live: Sessions = new Map();
    const handle = registry.adopt('sessions', live, {
      rules: [{ match: (key) => asked.push(key) > 0, ttl: '1h' }],
      maxPerOwner: { owner: userOf, max: 2 },
    });
    for (let index = 0; index < 100; index += 1) live.set(`alice:${index}`, {});
    for (const key of ['a', 'b']) registry.maps.others.set(key, {});
    isArmed = true;
    await manual.advance(1);
    expect(isArmed).toBe(false);
    expect(live.size).toBe(100);
    expect(asked).not.toContain(undefined);
    expect([...registry.maps.others.keys()]).toEqual(['b']);
    registry.stop();
  });

  it('goes by the order of activity where the clock stands still, also once it has looked at an owner', async () => {
    const { clock, registry, sessions, evicted, open, end } = owned({
      maxPerOwner: { owner: userOf, max: 3 },
    });
    open('alice:1', 'alice:2', 'alice:3');
    registry.touch('sessions', 'alice:1');
    open('alice:4');
    await clock.advance(0);
    expect(evicted).toEqual(['alice:2 by maxPerOwner']);
    sessions.set('alice:3', {});
    open('alice:5');
    await clock.advance(0);
    expect(evicted.slice(1)).toEqual(['alice:1 by maxPerOwner']);
    end();
  });

  it('goes by the value that is there, where whoever was asked before has set another one', () => {
    let isArmed = true;
    const { registry, sessions, end } = owned({
      rules: [
        {
          match: (key) => {
            if (isArmed) {
              isArmed = false;
              sessions.set(key, { user: 'bob' });
            }
            return false;
          },
          ttl: '5m',
        },
      ],
      maxPerOwner: { owner: ({ user }) => user, max: 1 },
    });
    sessions.set('a', { user: 'ann' });
    expect(['ann', 'bob'].map((user) => registry.hasRoom('sessions', user))).toEqual([true, false]);
    end();
  });

  it.each(['registered', 'set'])(
    'goes by the value that the question itself has set (of one that is %s)',
    (how) => {
      const next = ['bob', 'cy'];
      let isArmed = how === 'registered';
      const { registry, sessions, end } = owned({
        maxPerOwner: {
          owner: ({ user }, key) => {
            const other = isArmed ? next.shift() : undefined;
            if (other !== undefined) sessions.set(key, { user: other });
            return user;
          },
          max: 1,
        },
      });
      sessions.set('a', { user: 'ann' });
      isArmed = true;
      if (how === 'set') sessions.set('a', { user: 'ann' });
      const users = ['ann', 'bob', 'cy'];
      expect(users.map((user) => registry.hasRoom('sessions', user))).toEqual([true, true, false]);
      end();
    },
  );

  it('asks no more than a few times where the question sets another value each time', () => {
    let asked = 0;
    const { registry, sessions, end } = owned({
      maxPerOwner: {
        owner: ({ user }, key) => {
          asked += 1;
          sessions.set(key, { user });
          return user;
        },
        max: 1,
      },
    });
    sessions.set('a', { user: 'ann' });
    expect([asked, registry.hasRoom('sessions', 'ann')]).toEqual([8, false]);
    end();
  });

  it('counts as activity that a guard holds what was due a moment ago', async () => {
    const guarded = new Set<string>();
    const { clock, registry, evicted, open, end } = owned(
      {
        maxPerOwner: { owner: userOf, max: 2 },
        rules: [{ match: /due/, ttl: 500 }],
        keepWhile: (_, key) => guarded.has(key),
        dispose: () => guarded.add('a:due2'),
      },
      { sweepEvery: '1h' },
    );
    open('a:due1', 'a:due2');
    await clock.advance(1_000);
    open('a:3', 'a:4');
    await clock.advance(0);
    expect(evicted).toEqual(['a:due1 by rules[0].ttl', 'a:3 by maxPerOwner']);
    expect(registry.stamps('sessions', 'a:due2')?.lastActiveAt).toBe(clock.now());
    expect(registry.explain('sessions', 'a:due2').state).toBe('guarded');
    end();
  });

  it('goes by activity since the last eviction too, also that of an entry that was to be the next', async () => {
    const { clock, registry, sessions, evicted, open, end } = owned({
      maxPerOwner: { owner: userOf, max: 4 },
    });
    for (const key of ['a:1', 'a:2', 'a:3', 'a:4', 'a:5', 'a:6']) {
      open(key);
      await clock.advance(10);
    }
    registry.touch('sessions', 'a:3');
    await clock.advance(10);
    sessions.set('a:4', {});
    await clock.advance(10);
    open('a:7');
    await clock.advance(0);
    expect(evicted).toEqual(['a:1', 'a:2', 'a:5'].map((key) => `${key} by maxPerOwner`));
    end();
  });

  it('lets two clients that open sessions without end have 10 each of 1,000, and starve none of 50', async () => {
    const { clock, registry, keys, open, end } = owned({
      maxEntries: 1_000,
      maxPerOwner: { owner: userOf, max: 10 },
    });
    for (let user = 0; user < 50; user += 1) open(`user${user}:1`);
    for (let round = 0; round < 200; round += 1) {
      for (let n = 0; n < 20; n += 1) open(`mallory:${round}-${n}`, `trudy:${round}-${n}`);
      await clock.advance(1);
    }
    const count = (user: string) => keys().filter((key) => key.startsWith(`${user}:`)).length;
    expect([count('mallory'), count('trudy'), keys().length]).toEqual([10, 10, 70]);
    expect(registry.report().maps[0]?.removed.evicted).toBe(8_000 - 20);
    end();
  });

  it('takes an owner’s due entries first, then his ended ones, then the longest idle', async () => {
    const { clock, registry, evicted, open, end } = owned(
      { maxPerOwner: { owner: userOf, max: 3 }, rules: [{ match: /due/, ttl: 500 }] },
      { ended: { map: 'sessions' }, sweepEvery: '1h' },
    );
    open('a:idle1', 'a:ended', 'a:due', 'b:due');
    await clock.advance(100);
    open('a:idle2');
    await clock.advance(0);
    expect(evicted).toEqual(['a:idle1 by maxPerOwner']);
    registry.end('a:ended');
    await clock.advance(1_000);
    for (const key of ['a:new1', 'a:new2', 'a:new3']) {
      open(key);
      await clock.advance(0);
    }
    expect(evicted.slice(1)).toEqual([
      'a:due by rules[0].ttl',
      'a:ended by maxPerOwner',
      'a:idle2 by maxPerOwner',
    ]);
    end();
  });

  it('finds due by a function what a sweep has not seen yet, once a sweep, and what was filed at any time', async () => {
    let asked = 0;
    const over = new Set<string>();
    const { clock, evicted, open, end } = owned(
      {
        ttl: 0,
        since: (_, key) => {
          asked += 1;
          return over.has(key) ? 0 : undefined;
        },
        maxPerOwner: { owner: userOf, max: 100 },
      },
      { sweepEvery: '1h' },
    );
    for (let n = 0; n < 100; n += 1) open(`a:${n}`);
    over.add('a:50');
    for (let n = 100; n < 140; n += 1) {
      open(`a:${n}`);
      await clock.advance(1);
    }
    expect(evicted.slice(0, 2)).toEqual(['a:50 by ttl', 'a:0 by maxPerOwner']);
    expect(evicted).toHaveLength(40);
    // Not all 100 of them for each of the 40 that came.
    expect(asked).toBeLessThan(300);
    end();
  });

  it('asks for the owner anew at a set, and an entry of nobody counts for nobody', async () => {
    const { clock, registry, sessions, keys, end } = owned({
      maxPerOwner: { owner: (session) => session.user, max: 1 },
    });
    for (const key of ['a', 'b', 'c']) sessions.set(key, {});
    await clock.advance(1);
    expect(keys()).toEqual(['a', 'b', 'c']);
    sessions.set('a', { user: 0 });
    await clock.advance(1);
    sessions.set('b', { user: -0 });
    await clock.advance(1);
    expect(keys()).toEqual(['b', 'c']);
    sessions.set('b', {});
    sessions.set('c', { user: 0 });
    await clock.advance(1);
    expect([keys(), registry.hasRoom('sessions', 0)]).toEqual([['b', 'c'], false]);
    end();
  });

  it('goes before maxEntries, and both are kept', async () => {
    const { clock, keys, evicted, open, end } = owned({
      maxEntries: 3,
      maxPerOwner: { owner: userOf, max: 2 },
    });
    open('b:1');
    await clock.advance(1);
    open('a:1', 'a:2', 'a:3', 'c:1');
    await clock.advance(0);
    expect(evicted).toEqual(['a:1 by maxPerOwner', 'b:1 by maxEntries']);
    expect(keys()).toEqual(['a:2', 'a:3', 'c:1']);
    end();
  });

  it('never evicts what a guard or a hold keeps: the excess is reported, and goes when they let go', async () => {
    const busy = new Set(['a:1']);
    const { clock, registry, keys, row, open, end } = owned({
      maxPerOwner: { owner: userOf, max: 1 },
      keepWhile: (_, key) => busy.has(key),
    });
    open('a:1', 'a:2', 'a:3');
    const hold = registry.hold('sessions', 'a:2');
    await clock.advance(1);
    expect([keys(), row()?.excessOfOwners]).toEqual([['a:1', 'a:2'], 1]);
    expect(String(registry.report())).toContain('1 beyond maxPerOwner');
    hold.release();
    await clock.advance(1_000);
    expect(keys()).toEqual(['a:1']);
    open('a:4');
    registry.hold('sessions', 'a:4');
    busy.clear();
    await clock.advance(minute);
    expect([keys(), row()?.excessOfOwners]).toEqual([['a:4'], 0]);
    end();
  });

  it('waits for the beforeSweep of what it evicts, and starts no more of them than are too many', async () => {
    const started: string[] = [];
    const { clock, keys, evicted, open, end } = owned({
      maxPerOwner: { owner: userOf, max: 2 },
      beforeSweep: async (_, key) => {
        started.push(key);
        if (started.length === 1) throw new Error('not yet');
      },
    });
    open('a:1', 'a:2', 'a:3', 'a:4');
    await clock.advance(0);
    expect([started, evicted]).toEqual([['a:1', 'a:2'], ['a:2 by maxPerOwner']]);
    await clock.advance(2 * minute);
    expect([started, keys()]).toEqual([
      ['a:1', 'a:2', 'a:1'],
      ['a:3', 'a:4'],
    ]);
    end();
  });

  it('asks for no more than are too many in later passes either, while the first still wait', async () => {
    const started: string[] = [];
    const { clock, keys, open, end } = owned({
      maxEntries: 6,
      maxPerOwner: { owner: userOf, max: 2 },
      beforeSweep: (_, key) => {
        started.push(key);
        return new Promise<void>((resolve) => waiting.push(resolve));
      },
    });
    const waiting: (() => void)[] = [];
    open('c:1', 'c:2', 'b:1', 'b:2', 'a:1', 'a:2');
    await clock.advance(1);
    for (const key of ['a:3', 'b:3', 'a:4']) {
      open(key);
      await clock.advance(1);
    }
    expect(started).toEqual(['a:1', 'b:1', 'a:2']);
    for (const finish of waiting) finish();
    await clock.advance(1);
    expect(keys()).toEqual(['c:1', 'c:2', 'b:2', 'a:3', 'b:3', 'a:4']);
    end();
  });

  it('leaves an entry whose owner nobody can say to nobody, counts it, and says it once', async () => {
    const failed: unknown[] = [];
    const { clock, registry, keys, open, end } = owned({
      maxPerOwner: {
        owner: (_, key) => {
          if (key.startsWith('promised')) return Promise.resolve('a');
          throw new Error('no');
        },
        max: 1,
      },
    });
    registry.on('callback-failed', ({ callback, key }) => failed.push([callback, key]));
    open('thrown:1', 'promised:2', 'thrown:3');
    await clock.advance(1);
    expect(keys()).toHaveLength(3);
    expect(failed).toEqual([['owner', 'thrown:1']]);
    expect(registry.report().callbackErrors).toEqual([{ map: 'sessions', callback: 'owner', count: 3 }]);
    end();
  });

  it('can be asked by a function that removes the entry, sets it again, or sets others', async () => {
    let depth = 0;
    const { clock, sessions, keys, open, end } = owned({
      maxPerOwner: {
        owner: (_, key) => {
          if (key === 'removed') sessions.delete(key);
          if (key === 'again') sessions.set(key, {});
          if (key === 'replaced') {
            sessions.delete(key);
            depth += 1;
            if (depth < 3) sessions.set(key, {});
          }
          if (key === 'more') open('x:1', 'x:2', 'x:3');
          return 'x';
        },
        max: 2,
      },
    });
    open('removed', 'again', 'replaced');
    await clock.advance(0);
    expect(keys()).toEqual(['again']);
    open('more');
    await clock.advance(0);
    expect(keys()).toHaveLength(2);
    end();
  });

  it('evicts nothing where it only observes, and keeps owners apart in a Set and an adopted Map', async () => {
    const observed = owned({ maxPerOwner: { owner: userOf, max: 1 }, mode: 'observe' });
    observed.open('a:1', 'a:2');
    await observed.clock.advance(1);
    expect([observed.keys(), observed.row()?.excessOfOwners]).toEqual([['a:1', 'a:2'], 1]);
    observed.end();
    const clock = createManualClock();
    const sockets = new Set(['a:1', 'a:2', 'b:1']);
    const registry = createRegistry({
      maps: {
        sockets: { adopt: sockets, maxPerOwner: { owner: (socket: string) => socket[0], max: 1 } },
      },
      clock,
    });
    await clock.advance(1);
    expect([...sockets]).toEqual(['a:2', 'b:1']);
    registry.stop();
  });

  it('looks at the entries of one owner alone: 20,000 of others are asked nothing', async () => {
    let asked = 0;
    const { clock, open, evicted, end } = owned({
      ttl: '1h',
      since: () => {
        asked += 1;
        return undefined;
      },
      maxPerOwner: { owner: userOf, max: 5 },
    });
    for (let n = 0; n < 20_000; n += 1) open(`user${n}:1`);
    open(...[1, 2, 3, 4, 5, 6].map((n) => `a:${n}`));
    await clock.advance(1);
    expect(evicted).toEqual(['a:1 by maxPerOwner']);
    expect(asked).toBeLessThan(20);
    end();
  });

  it('agrees with a naive model, whatever is set, touched, given away, deleted and swept', async () => {
    const key = fc.integer({ min: 0, max: 11 }).map((n) => `k${n}`);
    const command = fc.oneof(
      fc.record({ act: fc.constant('set' as const), key, user: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ act: fc.constantFrom('touch' as const, 'delete' as const), key }),
      fc.record({ act: fc.constantFrom('wait' as const, 'sweep' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60, size: 'max' }), async (commands) => {
        const max = 2;
        const { clock, registry, sessions, end } = owned({
          maxIdle: '1m',
          maxPerOwner: { owner: ({ user }) => (user === 0 ? undefined : user), max },
        });
        const model = new Map<string, { user: number; at: number }>();
        for (const one of commands) {
          // Each act at an instant of its own, so that the longest idle is one.
          await clock.advance(1);
          const known = 'key' in one ? model.get(one.key) : undefined;
          if (one.act === 'set') {
            sessions.set(one.key, { user: one.user });
            model.set(one.key, { user: one.user, at: clock.now() });
          } else if (one.act === 'touch') {
            registry.touch('sessions', one.key);
            if (known !== undefined) known.at = clock.now();
          } else if (one.act === 'delete') {
            sessions.delete(one.key);
            model.delete(one.key);
          } else if (one.act === 'wait') await clock.advance(20_000);
          else await registry.sweep();
          await clock.advance(0);
          if (one.act === 'wait' || one.act === 'sweep') {
            // When the ticks come is not the point here.
            for (const [name, { at }] of model)
              if (clock.now() - at >= minute && !sessions.has(name)) model.delete(name);
          }
          for (const user of [1, 2]) {
            // What is due goes first, in any order: then that which has gone.
            const rank = ([name, { at }]: [string, { at: number }]): number =>
              clock.now() - at < minute ? 2 : sessions.has(name) ? 1 : 0;
            const his = [...model]
              .filter(([, entry]) => entry.user === user)
              .sort((a, b) => rank(a) - rank(b) || a[1].at - b[1].at);
            for (const [name] of his.slice(0, Math.max(0, his.length - max))) model.delete(name);
            const count = his.length - Math.max(0, his.length - max);
            expect(registry.hasRoom('sessions', user)).toBe(count < max);
          }
          for (const [name, { at }] of model)
            if (clock.now() - at >= minute && !sessions.has(name)) model.delete(name);
          expect([...sessions.keys()].sort()).toEqual([...model.keys()].sort());
        }
        end();
      }),
      { numRuns: 150 },
    );
  });
});

describe('hasRoom', () => {
  it('says whether one more is within maxEntries and the owner’s share, before anybody is evicted', () => {
    const { registry, open, end } = owned({ maxEntries: 4, maxPerOwner: { owner: userOf, max: 2 } });
    open('a:1', 'a:2', 'b:1');
    const room = (user?: string) => registry.hasRoom('sessions', user);
    expect([room(), room('a'), room('b'), room('c')]).toEqual([true, false, true, true]);
    open('c:1');
    expect([room(), room('b'), room('c')]).toEqual([false, false, false]);
    end();
  });

  it('counts what is due until a sweep has removed it', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ sessions: Map<string, string> }>({
      maps: { sessions: { maxIdle: '1m', maxEntries: 1, maxPerOwner: { owner: (user) => user, max: 1 } } },
      sweepEvery: '1h',
      clock,
    });
    registry.maps.sessions.set('a', 'ann');
    await clock.advance(120_000);
    const room = () => [registry.isDue('sessions', 'a'), registry.hasRoom('sessions', 'ann')];
    expect(room()).toEqual([true, false]);
    await registry.sweep();
    expect(room()).toEqual([false, true]);
    registry.stop();
  });

  it('is always true without caps, and an error of a map that is not there', () => {
    const { registry, open, end } = owned({});
    open('a:1');
    expect([registry.hasRoom('sessions'), registry.hasRoom('sessions', 'a')]).toEqual([true, true]);
    expect(() => registry.hasRoom('session' as 'sessions')).toThrow('there is no map');
    end();
  });
});

describe('what maxPerOwner refuses', () => {
  it.each([
    [5, /maxPerOwner must be \{ owner, max \}/],
    [{ max: 5 }, /maxPerOwner\.owner must be a function/],
    [{ owner: String }, /maxPerOwner\.max must be an integer of at least 1/],
    [{ owner: String, max: 0 }, /maxPerOwner\.max must be an integer of at least 1/],
    [{ owner: String, max: 1, limit: 2 }, /maxPerOwner\.limit/],
  ])('%j', (maxPerOwner, message) => {
    expect(() => createRegistry({ maps: { sessions: { maxPerOwner: maxPerOwner as never } } })).toThrow(
      message,
    );
  });
});
