import { inspect } from 'node:util';
import { createRegistry, type PolicyOf, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { StubbornMap } from '../maps/owner-maps.js';

interface Run {
  endedAt?: number;
}
type Runs = Map<string, Run>;

function explained(policy: PolicyOf<Runs>, options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Runs; contexts: Map<string, number> }>({
    maps: { runs: policy, contexts: { follows: 'runs' } },
    clock,
    ...options,
  });
  const startedAt = clock.now();
  const explain = (key = 'a') => registry.explain('runs', key);
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return {
    clock,
    registry,
    runs: registry.maps.runs,
    contexts: registry.maps.contexts,
    startedAt,
    explain,
    end,
  };
}

describe('explain() says of an entry that it is', () => {
  it('live, until when and by which lifetime', async () => {
    const { clock, runs, startedAt, explain, end } = explained({ ttl: '5m', maxIdle: '1h' });
    runs.set('a', {});
    await clock.advance(60_000);
    expect(explain()).toEqual({
      map: 'runs',
      key: 'a',
      state: 'live',
      deadline: startedAt + 300_000,
      rule: 'ttl',
      why: 'due by ttl in 4m; age 1m, idle 1m',
    });
    end();
  });

  it('live, and active as long as its value says so, whatever the deadline is at this moment', async () => {
    let isActive = true;
    const { clock, runs, explain, end } = explained({
      maxIdle: '5m',
      activeAt: () => (isActive ? clock.now() : undefined),
    });
    runs.set('a', {});
    expect(explain().why).toContain('due by maxIdle in 5m;');
    await clock.advance(60_000);
    expect(explain()).toMatchObject({ state: 'live', rule: 'maxIdle', deadline: clock.now() + 300_000 });
    expect(explain().why).toContain(
      'active until now by its activeAt, and due by maxIdle 5m after that ends;',
    );
    isActive = false;
    expect(explain().why).toContain('due by maxIdle in 4m;');
    end();
  });

  it('live without any deadline, because its TTL has not started', () => {
    const { runs, explain, end } = explained({ ttl: '5m', since: (run) => run.endedAt });
    runs.set('a', {});
    expect(explain()).toMatchObject({ state: 'live', deadline: undefined, rule: undefined });
    expect(explain().why).toContain('ttl has not started');
    end();
  });

  it('live for good, where no lifetime applies, by a rule or at all', () => {
    const one = explained({ ttl: '5m', rules: [{ match: /^a/ }] });
    one.runs.set('a', {});
    expect(one.explain()).toMatchObject({ state: 'live', deadline: undefined });
    expect(one.explain().why).toContain('no lifetime applies to it');
    one.end();
    const other = explained({});
    other.runs.set('a', {});
    expect(other.explain().why).toContain("'runs' has no lifetime: it stays until its owner deletes it");
    other.end();
  });

  it.each([
    ['maxEntries', { maxEntries: 5 }, {}, 'deletes it, or a cap evicts it;'],
    ['maxPerOwner', { maxPerOwner: { owner: () => 1, max: 5 } }, {}, 'deletes it, or a cap evicts it;'],
    ['shed', { shed: true }, {}, 'deletes it, or it is shed;'],
    [
      'maxEntries that is only observed',
      { maxEntries: 5, shed: true },
      { mode: 'observe' },
      'deletes it; this map',
    ],
  ] as const)('live without a lifetime, until its owner or %s removes it', (_, policy, options, words) => {
    const { runs, explain, end } = explained(policy, options);
    runs.set('a', {});
    expect(explain().why).toContain(`'runs' has no lifetime: it stays until its owner ${words}`);
    end();
  });

  it('live by a rule, which it names', async () => {
    const { runs, explain, end } = explained({
      rules: [
        { match: /^b/, ttl: 1 },
        { match: /^a/, maxIdle: '24h' },
      ],
    });
    runs.set('a', {});
    expect(explain()).toMatchObject({ rule: 'rules[1].maxIdle' });
    end();
  });

  it('due, which the next sweep removes', async () => {
    const { clock, registry, runs, startedAt, explain, end } = explained({ ttl: '30s' });
    runs.set('a', {});
    await clock.advance(29_999);
    expect(explain().state).toBe('live');
    await clock.advance(1);
    expect(explain()).toMatchObject({ state: 'due', deadline: startedAt + 30_000, rule: 'ttl' });
    expect(explain().why).toContain('due by ttl for 0ms; the next sweep removes it');
    expect(runs.size).toBe(1);
    await registry.sweep();
    expect(explain()).toMatchObject({ state: 'absent', deadline: undefined, rule: undefined });
    end();
  });

  it('guarded, and until when', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', maxAge: '1h', keepWhile: () => true });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ state: 'guarded', rule: 'ttl' });
    expect(explain().why).toContain('due by ttl for 5m, but keepWhile holds it, until its maxAge of 1h');
    end();
    const forever = explained({ ttl: '5m', keepWhile: () => true });
    forever.runs.set('a', {});
    await forever.clock.advance(600_000);
    expect(forever.explain().why).toContain('there is no maxAge to end that');
    forever.end();
  });

  it('waiting for its beforeSweep: running, failed, and how often', async () => {
    let fail = (_error: unknown): void => {};
    const { clock, runs, explain, end } = explained({
      ttl: '1m',
      beforeSweep: () =>
        new Promise<void>((_resolve, reject) => {
          fail = reject;
        }),
    });
    runs.set('a', {});
    await clock.advance(60_000);
    expect(explain()).toMatchObject({ state: 'waiting', rule: 'ttl' });
    expect(explain().why).toContain('has not succeeded: attempt 1 runs');
    fail(new Error('503'));
    await clock.advance(0);
    expect(explain().why).toContain(
      'has not succeeded: 1 attempt failed, the next not before 1m; last error in this map: Error: 503;',
    );
    await clock.advance(60_000);
    expect(explain().why).toContain('attempt 2 runs; last error in this map: Error: 503;');
    fail(new Error('503'));
    await clock.advance(0);
    expect(explain().why).toContain('2 attempts failed');
    end();
  });

  it('waiting, though it is not due, for the beforeSweep that a cap has called for', async () => {
    const calls: { fail: () => void }[] = [];
    const hanging = () =>
      new Promise<void>((_resolve, reject) => {
        calls.push({ fail: () => reject(new Error('503')) });
      });
    const { clock, runs, explain, end } = explained({ maxEntries: 1, maxAge: '2h', beforeSweep: hanging });
    runs.set('a', {});
    await clock.advance(1);
    runs.set('b', {});
    await clock.advance(1);
    expect(explain()).toMatchObject({ state: 'waiting', rule: 'maxAge' });
    expect(explain().why).toMatch(
      /^due by maxAge in 2h, and it is to be evicted, but its beforeSweep has not succeeded: attempt 1 runs; age/,
    );
    calls[0]?.fail();
    await clock.advance(0);
    expect(explain().state).toBe('waiting');
    expect(explain().why).toContain(
      'evicted, but its beforeSweep has not succeeded: 1 attempt failed, the next not before 1m; last error in this map: Error: 503;',
    );
    expect(explain('b').state).toBe('live');
    runs.delete('b');
    expect(explain()).toMatchObject({ state: 'live' });
    expect(explain().why).toMatch(/^due by maxAge in 2h; age/);
    runs.set('c', {});
    expect(explain().state).toBe('waiting');
    runs.set('a', {});
    expect(explain().state).toBe('live');
    end();
  });

  it('waiting where a cap is all that removes it, of many or of its owner', async () => {
    const caps: PolicyOf<Runs>[] = [{ maxEntries: 1 }, { maxPerOwner: { owner: () => 'all', max: 1 } }];
    for (const cap of caps) {
      const beforeSweep = () => Promise.reject(new Error('503'));
      const { clock, runs, explain, end } = explained({ ...cap, beforeSweep });
      runs.set('a', {});
      await clock.advance(1);
      runs.set('b', {});
      await clock.advance(40 * 60_000);
      expect(explain()).toMatchObject({ state: 'waiting', deadline: undefined, rule: undefined });
      expect(explain().why).toMatch(
        /^it is to be evicted, but its beforeSweep has not succeeded: 6 attempts failed, the next not before \d+m; last error in this map: Error: 503; age/,
      );
      end();
    }
  });

  it('failing, because a policy function does', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', since: () => Number.NaN, maxAge: '1h' });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ state: 'failing', rule: 'maxAge' });
    end();
  });

  it('guarded, because a guard fails, with what, also that of a companion', async () => {
    const fails = () => {
      throw new Error('no such session');
    };
    const { clock, runs, explain, end } = explained({ ttl: '5m', keepWhile: fails });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({
      state: 'guarded',
      why: expect.stringMatching(/but keepWhile \(fails\) fails \(Error: no such session\), which holds it/),
    });
    end();
    const other = createRegistry({
      maps: {
        runs: { adopt: new Map([['a', 1]]), ttl: '5m' },
        contexts: { adopt: new Map([['a', 1]]), follows: 'runs', keepWhile: fails },
      },
      clock,
    });
    await clock.advance(600_000);
    expect(other.explain('runs', 'a').why).toMatch(
      /of its companion in 'contexts' fails \(Error: no such session\), which holds it/,
    );
    other.stop();
  });

  it('untracked, written past the wrapper', () => {
    const { runs, explain, end } = explained({ ttl: '5m' });
    Map.prototype.set.call(runs, 'a', {});
    expect(explain()).toMatchObject({ state: 'untracked', deadline: undefined });
    end();
  });

  it('only observed', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', mode: 'observe' });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ state: 'due' });
    expect(explain().why).toContain('this map is only observed');
    end();
  });

  it('with its leader, an orphan, or one that could not leave with its leader', async () => {
    const { clock, registry, runs, contexts, startedAt, end } = explained({});
    contexts.set('a', 1);
    expect(registry.explain('contexts', 'a')).toMatchObject({
      state: 'live',
      rule: 'orphanAfter',
      deadline: startedAt + 1_800_000,
    });
    runs.set('a', {});
    expect(registry.explain('contexts', 'a')).toMatchObject({
      state: 'live',
      rule: 'follows',
      deadline: undefined,
    });
    expect(registry.explain('contexts', 'a').why).toContain("it leaves with its leader, which is in 'runs'");
    const stubborn = new StubbornMap([['a', 1]]);
    registry.adopt('stubborn', stubborn, { follows: 'runs' });
    stubborn.obstacle = true;
    runs.delete('a');
    expect(registry.explain('stubborn' as never, 'a')).toMatchObject({ state: 'due', rule: 'follows' });
    await clock.advance(0);
    end();
  });

  it('kept by a companion’s activity, or ended already', async () => {
    const { clock, registry, runs, contexts, explain, end } = explained(
      { maxIdle: '1h' },
      { ended: { map: 'runs' } },
    );
    runs.set('a', {});
    await clock.advance(600_000);
    contexts.set('a', 1);
    await clock.advance(60_000);
    registry.end('a');
    expect(explain().why).toBe(
      'due by maxIdle in 59m; age 11m, idle 11m, a companion active 1m ago, its run has ended',
    );
    end();
  });
});

describe('explain() says of a run that has ended', () => {
  it('who has not been told, while its entry is there and after it has left', async () => {
    let isDown = true;
    const { clock, registry, runs, explain, end } = explained(
      { ttl: '1h' },
      {
        ended: {
          map: 'runs',
          attempts: 2,
          minDelay: '1m',
          deliver: {
            audit: () => {},
            billing: (_: unknown, { attempt }: { attempt: number }) => {
              if (isDown) throw new Error(`down ${attempt}`);
            },
          },
        },
      },
    );
    runs.set('a', {});
    registry.end('a');
    expect(explain().why).toBe(
      "due by ttl in 1h; age 0ms, idle 0ms, its run has ended, not told: 'audit' (pending), 'billing' (pending)",
    );
    await clock.advance(0);
    expect(explain().why).toMatch(/, its run has ended, not told: 'billing' \(pending\)$/);
    await clock.advance('5m');
    expect(explain().why).toMatch(/, its run has ended, not told: 'billing' \(given up\)$/);
    runs.delete('a');
    expect(explain().why).toBe("'runs' has no such key, its run has ended, not told: 'billing' (given up)");
    isDown = false;
    registry.redeliver(registry.deadLetters()[0]?.id as string);
    await clock.advance(0);
    expect(explain().why).toBe("'runs' has no such key, its run has ended");
    expect(explain('b').why).toBe("'runs' has no such key");
    end();
  });

  it('nothing of the one before, once the key is there again', async () => {
    const { clock, registry, runs, explain, end } = explained(
      { ttl: '1h' },
      {
        ended: {
          map: 'runs',
          attempts: 1,
          deliver: () => {
            throw new Error('down');
          },
        },
      },
    );
    runs.set('a', {});
    registry.end('a');
    await clock.advance(0);
    runs.delete('a');
    runs.set('a', {});
    expect(explain().why).toBe('due by ttl in 1h; age 0ms, idle 0ms');
    end();
  });
});

describe('explain() says what will happen next, and says it to be so only where it is', () => {
  it('a beforeSweep that has not run is started first, and waited for', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '30s', beforeSweep: () => {} });
    runs.set('a', {});
    await clock.advance(45_000);
    expect(explain()).toMatchObject({ state: 'waiting', rule: 'ttl' });
    expect(explain().why).toContain(
      'due by ttl for 15s, but its beforeSweep has not run; the next sweep starts it, and removes it after that has succeeded',
    );
    await clock.advance(15_000);
    expect(runs.size).toBe(0);
    end();
  });

  it.each<[string, PolicyOf<Runs>, string, string]>([
    [
      'due',
      { ttl: '30s' },
      'due',
      'due by ttl for 15s; the registry is stopped, so that only a sweep() by hand removes it',
    ],
    ['live', { ttl: '60s' }, 'live', 'due by ttl in 15s; the registry is stopped, so that nothing sweeps it'],
    [
      'guarded',
      { ttl: '30s', keepWhile: () => true },
      'guarded',
      'and there is no maxAge to end that; the registry is stopped, so that nothing sweeps it',
    ],
    [
      'to run its beforeSweep first',
      { ttl: '30s', beforeSweep: () => {} },
      'waiting',
      'so that only a sweep() by hand starts it, and removes it after that has succeeded',
    ],
  ])('in a registry that is stopped nothing is swept: %s', async (_, policy, state, why) => {
    const { clock, registry, runs, explain, end } = explained(policy);
    runs.set('a', {});
    await clock.advance(45_000);
    registry.stop();
    expect(explain().state).toBe(state);
    expect(explain().why).toContain(why);
    expect(explain().why).not.toContain('next sweep');
    await clock.advance(120_000);
    expect(runs.size).toBe(1);
    end();
  });

  it('a map that is used alone is swept by hand', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>([['a', 1]], { ttl: '1m', clock });
    expect(map.explain('a').why).toContain('due by ttl in 1m; nothing sweeps this map by itself');
    await clock.advance(60_000);
    expect(map.explain('a').why).toContain('nothing sweeps this map by itself: a sweep() by hand removes it');
    await map.sweep();
    expect(map.size).toBe(0);
  });

  it.each<[string, PolicyOf<Runs>, string]>([
    ['due', { ttl: '30s' }, 'due by ttl for 15s; this map is only observed, so that nothing removes it'],
    ['live', { ttl: '60s' }, 'due by ttl in 15s; this map is only observed, so that nothing removes it'],
    [
      'guarded',
      { ttl: '30s', maxAge: '1h', keepWhile: () => true },
      'due by ttl for 15s, and keepWhile holds it; this map is only observed, so that nothing removes it',
    ],
    [
      'to run its beforeSweep first',
      { ttl: '30s', beforeSweep: () => {} },
      'due by ttl for 15s; this map is only observed, so that nothing removes it',
    ],
  ])('in a map that is only observed nothing is removed: %s', async (_, policy, why) => {
    const { clock, runs, explain, end } = explained({ ...policy, mode: 'observe' });
    runs.set('a', {});
    await clock.advance(45_000);
    expect(explain().why).toContain(why);
    end();
  });

  it('a companion that is only observed stays when its leader leaves', () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Runs; contexts: Runs }>({
      maps: { runs: {}, contexts: { follows: 'runs', mode: 'observe' } },
      clock,
    });
    registry.maps.runs.set('a', {});
    registry.maps.contexts.set('a', {});
    expect(registry.explain('contexts', 'a').why).toContain(
      "its leader is in 'runs'; this map is only observed, so that nothing removes it",
    );
    registry.maps.runs.delete('a');
    expect(registry.maps.contexts.size).toBe(1);
    registry.stop();
  });

  it('an entry that its own delete has refused is tried again', async () => {
    const clock = createManualClock();
    const stubborn = new StubbornMap([['a', 1]]);
    const registry = createRegistry({ maps: { stubborn: { adopt: stubborn, ttl: '1m' } }, clock });
    await clock.advance(59_000);
    for (const obstacle of [true, { before: new Error('no') }]) {
      stubborn.obstacle = obstacle;
      await clock.advance(60_000);
      expect(registry.explain('stubborn', 'a')).toMatchObject({ state: 'due', rule: 'ttl' });
      expect(registry.explain('stubborn', 'a').why).toContain(
        "; the next sweep tries again, since its map's own delete refused it; ",
      );
    }
    stubborn.obstacle = false;
    await clock.advance(60_000);
    expect(stubborn.size).toBe(0);
    registry.stop();
  });

  it('a guard ends at maxAge, and counts for nothing from then on', async () => {
    let guards = 0;
    const { clock, runs, explain, end } = explained({
      ttl: '5m',
      maxAge: 3_590_000,
      keepWhile: () => {
        guards += 1;
        return true;
      },
    });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain().why).toContain('but keepWhile holds it, until its maxAge of 60m, in 50m');
    await clock.advance(2_995_000);
    guards = 0;
    expect(explain()).toMatchObject({ state: 'due', rule: 'ttl' });
    expect(explain().why).toContain(
      'due by ttl for 55m, and beyond its maxAge, which no guard outlasts; the next sweep removes it',
    );
    expect(guards).toBe(0);
    await clock.advance(5_000);
    expect(runs.size).toBe(0);
    end();
  });

  it('what fails stays until its maxAge, where it has one', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', since: () => Number.NaN, maxAge: '1h' });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain().why).toContain('nobody can say when it is due, and stays until its maxAge in 50m');
    end();
  });

  it('a tick that comes too late removes nothing', async () => {
    const clock = createManualClock();
    let blockedMs = 0;
    const registry = createRegistry<{ runs: Runs }>({
      maps: { runs: { ttl: '1m' } },
      clock: { ...clock, monotonic: () => clock.monotonic() + blockedMs },
    });
    registry.maps.runs.set('a', {});
    blockedMs = 120_000;
    expect(registry.explain('runs', 'a').why).toContain('; the next sweep removes it');
    blockedMs = 120_001;
    expect(registry.explain('runs', 'a').why).toContain(
      'the next tick comes too late to remove anything, and the one that follows it within 5s removes it',
    );
    await clock.advance(60_000);
    expect(registry.maps.runs.size).toBe(1);
    registry.stop();
  });

  it('a write past the wrapper is found where the sizes differ', async () => {
    const { clock, registry, runs, explain, end } = explained({ ttl: '5m' });
    runs.set('b', {});
    Map.prototype.set.call(runs, 'a', {});
    expect(explain().why).toContain(
      'it was written past the wrapper; the next sweep stamps it as registered then',
    );
    Map.prototype.delete.call(runs, 'b');
    expect(explain().why).toContain(
      'it was written past the wrapper; a sweep that sees the sizes differ stamps it',
    );
    expect(explain('b').why).toBe(
      "'runs' has no such key any more: it was removed past the wrapper; a sweep that sees the sizes differ lets it go",
    );
    await clock.advance(60_000);
    expect(registry.stamps('runs', 'a')).toBeUndefined();
    end();
  });

  it('a companion whose leader is not there says so, and when that counts', () => {
    const { contexts, runs, explain, registry, end } = explained({});
    contexts.set('a', 1);
    const why = () => registry.explain('contexts', 'a').why;
    expect(why()).toBe("its leader is not in 'runs', and due by orphanAfter in 30m; age 0ms, idle 0ms");
    runs.set('a', {});
    expect(why()).toBe("it leaves with its leader, which is in 'runs'; age 0ms, idle 0ms");
    Map.prototype.delete.call(runs, 'a');
    expect(explain().why).toBe(
      "'runs' has no such key any more: it was removed past the wrapper; the next sweep lets it go",
    );
    end();
  });

  it('a map that was released is tracked no more', () => {
    const { registry, end } = explained({});
    const handle = registry.adopt('late', new Map([['a', 1]]), { ttl: '5m' });
    handle.release();
    expect(handle.explain('a')).toMatchObject({
      state: 'untracked',
      why: 'its map was released, so that nothing tracks it any more',
    });
    end();
  });

  it('an entry that its policy functions remove, or register anew, while they are asked', () => {
    const { runs, explain, end } = explained({
      ttl: '5m',
      since: (run, key) => {
        if (run.endedAt === undefined) return undefined;
        runs.delete(key);
        if (run.endedAt > 1) runs.set(key, {});
        return undefined;
      },
    });
    runs.set('a', {});
    (runs.get('a') as Run).endedAt = 1;
    expect(explain()).toMatchObject({
      state: 'absent',
      why: 'its policy functions removed it when they were asked',
    });
    runs.set('a', {});
    (runs.get('a') as Run).endedAt = 2;
    expect(explain()).toMatchObject({ state: 'failing' });
    expect(explain()).toMatchObject({ state: 'live' });
    end();
  });
});

describe('to read', () => {
  it('counts no failure of a policy function and tells of none: the next look does, as the first one', async () => {
    const { clock, registry, runs, explain, end } = explained({ ttl: '5m', since: () => Number.NaN });
    const told: unknown[] = [];
    const map = new TrackedMap([['a', 1]], { ttl: '5m', since: () => Number.NaN, clock });
    runs.set('a', {});
    registry.on('callback-failed', ({ callback }) => told.push(callback));
    const counted = () => registry.report().callbackErrors;
    const before = counted();
    for (let n = 0; n < 10; n += 1) {
      registry.report();
      expect(explain().state).toBe('failing');
      expect(map.explain('a').state).toBe('failing');
    }
    expect(counted()).toEqual(before);
    expect(told).toEqual([]);
    expect(before).toEqual([]);
    await clock.advance(60_000);
    expect(counted()).toEqual([{ map: 'runs', callback: 'since', count: 1 }]);
    end();
  });

  it('tells nobody for the first time either, so that the look that finds a failure still does', async () => {
    let isBroken = false;
    const { clock, registry, runs, explain, end } = explained({
      ttl: '5m',
      since: () => (isBroken ? Number.NaN : undefined),
    });
    const told: unknown[] = [];
    registry.on('callback-failed', ({ callback }) => told.push(callback));
    runs.set('a', {});
    isBroken = true;
    explain();
    registry.report();
    expect(told).toEqual([]);
    expect(registry.report().callbackErrors).toEqual([]);
    await clock.advance(60_000);
    expect(told).toEqual(['since']);
    end();
  });

  it('remembers no activity ahead that a look has not heard: it counts from the look, as if nobody had read', async () => {
    const deadlines: unknown[] = [];
    for (const isRead of [true, false]) {
      let activeAt: number | undefined;
      const { clock, runs, explain, end } = explained({ maxIdle: '5m', activeAt: () => activeAt });
      runs.set('a', {});
      activeAt = clock.now() + 86_400_000;
      if (isRead) explain();
      await clock.advance(60_000);
      const { deadline } = explain();
      deadlines.push((deadline as number) - clock.now());
      end();
    }
    expect(deadlines).toEqual([300_000, 300_000]);
  });

  it('tells of no jump of the wall clock: the next tick does', async () => {
    const { clock, registry, runs, explain, end } = explained({
      ttl: '5m',
      expiresAt: () => clock.now() + 1e6,
    });
    const jumps: unknown[] = [];
    registry.on('clock-jumped', (jump) => jumps.push(jump));
    runs.set('a', {});
    clock.jumpWall(-3_600_000);
    registry.stamps('runs', 'a');
    registry.report();
    explain();
    expect(jumps).toEqual([]);
    await clock.advance(60_000);
    expect(jumps).toHaveLength(1);
    end();
  });

  it('inside of a policy function that a look asks keeps the failure of the look counted', async () => {
    const { clock, registry, runs, explain, end } = explained({
      ttl: '5m',
      since: () => {
        if (isAsked) return undefined;
        isAsked = true;
        explain();
        isAsked = false;
        throw new Error('no');
      },
    });
    let isAsked = true;
    runs.set('a', {});
    isAsked = false;
    await clock.advance(60_000);
    expect(registry.report().callbackErrors).toEqual([{ map: 'runs', callback: 'since', count: 1 }]);
    end();
  });
});

describe('an explanation', () => {
  it('names its key where it is printed or turned into JSON, and runs nothing of it', () => {
    const calls: string[] = [];
    const note = (what: string) => (): never => {
      calls.push(what);
      throw new Error('hunter2');
    };
    const key = {
      secret: 'hunter2',
      toJSON: note('toJSON'),
      toString: note('toString'),
      [inspect.custom]: note('inspect'),
    };
    const registry = createRegistry<{ odd: Map<unknown, number> }>({
      maps: { odd: {} },
      clock: createManualClock(),
    });
    const keys = [
      key,
      new Proxy(key, { get: note('get') }),
      5n,
      '\x1b[2J\u202e',
      'x'.repeat(1e6),
      Symbol('\n'),
    ];
    for (const odd of keys) {
      registry.maps.odd.set(odd, 1);
      const explanation = registry.explain('odd', odd);
      expect(explanation.key).toBe(odd);
      for (const text of [inspect({ explanation }, { depth: 9 }), JSON.stringify(explanation)]) {
        expect(text).not.toMatch(/hunter2|(?!\n)\p{Cc}|\p{Cf}/u);
        expect(text.length).toBeLessThan(500);
      }
      registry.maps.odd.delete(odd);
    }
    expect(calls).toEqual([]);
    expect(JSON.parse(JSON.stringify(registry.explain('odd', 'plain')))).toMatchObject({
      key: 'plain',
      state: 'absent',
    });
    registry.stop();
  });
});

describe('explain()', () => {
  it('changes nothing: no removal, no touch, no new filing, however often it is asked', async () => {
    const { clock, registry, runs, explain, end } = explained({
      ttl: '5m',
      since: (run) => run.endedAt,
      keepWhile: () => false,
    });
    runs.set('a', {});
    const before = registry.stamps('runs', 'a');
    for (let n = 0; n < 20; n += 1) {
      await clock.advance(1_000);
      explain();
    }
    expect(registry.stamps('runs', 'a')).toEqual(before);
    (runs.get('a') as Run).endedAt = clock.now();
    explain();
    await clock.advance(420_000);
    expect(runs.size).toBe(0);
    end();
  });

  it('shows a deadline as the wall clock will read then, also after it jumped', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m' });
    runs.set('a', {});
    clock.jumpWall(3_600_000);
    expect(explain().deadline).toBe(clock.now() + 300_000);
    await clock.advance(240_000);
    expect(explain().deadline).toBe(clock.now() + 60_000);
    end();
  });

  it('stands policy functions that throw or change the map', () => {
    const { runs, explain, end } = explained({
      ttl: '5m',
      since: (_run, key) => {
        if (runs.size > 1) runs.delete(key);
        throw null;
      },
    });
    runs.set('a', {});
    expect(explain().state).toBe('failing');
    runs.set('b', {});
    expect(() => explain()).not.toThrow();
    expect(runs.size).toBeLessThan(2);
    end();
  });

  it('explains entries that are as old as the epoch', () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { old: { adopt: new Map([['a', 1]]), ttl: '5m', unstamped: 'expired' } },
      clock,
    });
    expect(registry.explain('old', 'a')).toMatchObject({ state: 'due', deadline: 300_000, rule: 'ttl' });
    registry.stop();
  });

  it('names three holds of many, and looks at no more than 1000 companions for them', () => {
    const registry = createRegistry({
      maps: { sessions: {}, chunks: { follows: { map: 'sessions', key: () => 's' } } },
      clock: createManualClock(),
    });
    const { sessions, chunks } = registry.maps as unknown as Record<string, Map<unknown, number>>;
    sessions?.set('s', 1);
    for (let chunk = 0; chunk < 1_002; chunk += 1) chunks?.set(chunk, 1);
    const why = () => registry.explain('sessions', 's' as never).why;
    const one = ", a hold of its companion in 'chunks' taken 0ms ago";
    registry.hold('chunks', 1_001 as never);
    expect(why()).toBe(
      "'sessions' has no lifetime: it stays until its owner deletes it; age 0ms, idle 0ms, and no more than 1000 of its companions were looked at for holds",
    );
    for (const chunk of [0, 1, 2]) registry.hold('chunks', chunk as never);
    expect(why()).toMatch(new RegExp(`idle 0ms(${one}){3}, and no more than 1000`));
    registry.hold('chunks', 3 as never);
    expect(why()).toMatch(new RegExp(`idle 0ms(${one}){3}, and others$`));
    registry.stop();
  });

  it('takes no longer for 300,000 companions than for those that it looks at', () => {
    const fastest = (companions: number): number => {
      const registry = createRegistry({
        maps: { sessions: {}, chunks: { follows: { map: 'sessions', key: () => 's' } } },
        clock: createManualClock(),
      });
      const { sessions, chunks } = registry.maps as unknown as Record<string, Map<unknown, number>>;
      sessions?.set('s', 1);
      for (let chunk = 0; chunk < companions; chunk += 1) chunks?.set(chunk, 1);
      registry.hold('chunks', (companions - 1) as never);
      const times = Array.from({ length: 20 }, () => {
        const startedAt = performance.now();
        registry.explain('sessions', 's' as never);
        return performance.now() - startedAt;
      });
      registry.stop();
      return Math.min(...times);
    };
    fastest(1_002);
    expect(fastest(300_000) / fastest(1_002)).toBeLessThan(5);
  });
});
