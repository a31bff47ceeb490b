import { createRegistry, type PolicyOf } from 'mapsweep';
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
      verdict: 'live',
      deadline: startedAt + 300_000,
      rule: 'ttl',
      why: 'due by ttl in 4m; age 1m, idle 1m',
    });
    end();
  });

  it('live without any deadline, because its TTL has not started', () => {
    const { runs, explain, end } = explained({ ttl: '5m', since: (run) => run.endedAt });
    runs.set('a', {});
    expect(explain()).toMatchObject({ verdict: 'live', deadline: undefined, rule: undefined });
    expect(explain().why).toContain('ttl has not started');
    end();
  });

  it('live for good, where no lifetime applies, by a rule or at all', () => {
    const one = explained({ ttl: '5m', rules: [{ match: /^a/ }] });
    one.runs.set('a', {});
    expect(one.explain()).toMatchObject({ verdict: 'live', deadline: undefined });
    expect(one.explain().why).toContain('no lifetime applies to it');
    one.end();
    const other = explained({});
    other.runs.set('a', {});
    expect(other.explain().why).toContain("'runs' has no lifetime: it stays until its owner deletes it");
    other.end();
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
    expect(explain().verdict).toBe('live');
    await clock.advance(1);
    expect(explain()).toMatchObject({ verdict: 'due', deadline: startedAt + 30_000, rule: 'ttl' });
    expect(explain().why).toContain('due by ttl for 0ms; the next sweep removes it');
    expect(runs.size).toBe(1);
    await registry.sweep();
    expect(explain()).toMatchObject({ verdict: 'absent', deadline: undefined, rule: undefined });
    end();
  });

  it('guarded, and until when', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', maxAge: '1h', keepWhile: () => true });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ verdict: 'guarded', rule: 'ttl' });
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
    expect(explain()).toMatchObject({ verdict: 'waiting', rule: 'ttl' });
    expect(explain().why).toContain('has not succeeded: attempt 1 runs');
    fail(new Error('503'));
    await clock.advance(0);
    expect(explain().why).toContain('has not succeeded: 1 attempt failed');
    await clock.advance(60_000);
    fail(new Error('503'));
    await clock.advance(0);
    expect(explain().why).toContain('2 attempts failed');
    end();
  });

  it('failing, because a policy function does', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', since: () => Number.NaN, maxAge: '1h' });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ verdict: 'failing', rule: 'maxAge' });
    end();
  });

  it('untracked, written past the wrapper', () => {
    const { runs, explain, end } = explained({ ttl: '5m' });
    Map.prototype.set.call(runs, 'a', {});
    expect(explain()).toMatchObject({ verdict: 'untracked', deadline: undefined });
    end();
  });

  it('only observed', async () => {
    const { clock, runs, explain, end } = explained({ ttl: '5m', mode: 'observe' });
    runs.set('a', {});
    await clock.advance(600_000);
    expect(explain()).toMatchObject({ verdict: 'due' });
    expect(explain().why).toContain('this map is only observed');
    end();
  });

  it('with its leader, an orphan, or one that could not leave with its leader', async () => {
    const { clock, registry, runs, contexts, startedAt, end } = explained({});
    contexts.set('a', 1);
    expect(registry.explain('contexts', 'a')).toMatchObject({
      verdict: 'live',
      rule: 'orphanAfter',
      deadline: startedAt + 1_800_000,
    });
    runs.set('a', {});
    expect(registry.explain('contexts', 'a')).toMatchObject({
      verdict: 'live',
      rule: 'follows',
      deadline: undefined,
    });
    expect(registry.explain('contexts', 'a').why).toContain("it leaves with its leader, which is in 'runs'");
    const stubborn = new StubbornMap([['a', 1]]);
    registry.adopt('stubborn', stubborn, { follows: 'runs' });
    stubborn.obstacle = true;
    runs.delete('a');
    expect(registry.explain('stubborn' as never, 'a')).toMatchObject({ verdict: 'due', rule: 'follows' });
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
      'due by maxIdle in 59m; age 11m, idle 11m, a companion active 1m ago, its end was announced',
    );
    end();
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
    expect(explain().verdict).toBe('failing');
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
    expect(registry.explain('old', 'a')).toMatchObject({ verdict: 'due', deadline: 300_000, rule: 'ttl' });
    registry.stop();
  });
});
