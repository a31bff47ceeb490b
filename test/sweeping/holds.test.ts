import { createRegistry, type Hold, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

interface Session {
  user?: string;
}
type Sessions = Map<string, Session>;

const minute = 60_000;

function held(policy: PolicyOf<Sessions>, streams: PolicyOf<Sessions> = {}, captureSites = 0) {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Sessions; streams: Sessions }>({
    maps: { sessions: policy, streams: { follows: 'sessions', ...streams } },
    captureSites,
    clock,
  });
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  const row = (name = 'sessions') => registry.report().maps.find((map) => map.name === name);
  return { clock, registry, ...registry.maps, row, end };
}

/** As long as the timers of the registry and a promise or two need. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('an entry that is held', () => {
  it('stays when it is due, and is idle from the release: there 1 ms before maxIdle after that, gone then', async () => {
    const { clock, registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    const hold = registry.hold('sessions', 's');
    await clock.advance(25 * minute);
    expect(sessions.has('s')).toBe(true);
    hold.release();
    expect(registry.stamps('sessions', 's')?.lastActiveAt).toBe(clock.now());
    await clock.advance(10 * minute - 1);
    expect(sessions.has('s')).toBe(true);
    await clock.advance(1);
    expect(sessions.has('s')).toBe(false);
    end();
  });

  it('stays past a ttl, and leaves with the sweep after its release', async () => {
    const { clock, registry, sessions, end } = held({ ttl: '5m', dispose: () => {} });
    sessions.set('s', {});
    const hold = registry.hold('sessions', 's');
    await clock.advance(7 * minute);
    hold.release();
    expect(sessions.has('s')).toBe(true);
    await clock.advance(minute);
    expect(sessions.has('s')).toBe(false);
    end();
  });

  it('leaves at its maxAge all the same, and the hold holds nothing then', async () => {
    const { clock, registry, sessions, end } = held({ maxIdle: '10m', maxAge: '30m' });
    sessions.set('s', {});
    const hold = registry.hold('sessions', 's');
    await clock.advance(30 * minute - 1);
    expect([sessions.has('s'), hold.isHeld]).toEqual([true, true]);
    await clock.advance(1);
    expect([sessions.has('s'), hold.isHeld]).toEqual([false, false]);
    end();
  });

  it('stays until the last of 3 holds is released, each of them once', async () => {
    const { clock, registry, sessions, end } = held({ maxIdle: '1m' });
    sessions.set('s', {});
    const [first, second, third] = [1, 2, 3].map(() => registry.hold('sessions', 's')) as [Hold, Hold, Hold];
    second.release();
    second.release();
    second.release();
    first.release();
    await clock.advance(5 * minute);
    expect([first, second, third].map(({ isHeld }) => isHeld)).toEqual([false, false, true]);
    expect(sessions.has('s')).toBe(true);
    third.release();
    await clock.advance(minute);
    expect(sessions.has('s')).toBe(false);
    end();
  });

  it('is not evicted: the longest idle of the others is, and it once it is released', async () => {
    const { clock, registry, sessions, row, end } = held({ maxEntries: 2 });
    sessions.set('a', {});
    const hold = registry.hold('sessions', 'a');
    await clock.advance(10);
    sessions.set('b', {});
    await clock.advance(10);
    sessions.set('c', {});
    await clock.advance(0);
    expect([...sessions.keys()]).toEqual(['a', 'c']);
    const other = registry.hold('sessions', 'c');
    sessions.set('d', {});
    const third = registry.hold('sessions', 'd');
    await clock.advance(0);
    expect([...sessions.keys()]).toEqual(['a', 'c', 'd']);
    expect(row()).toMatchObject({ excess: 1, held: 3 });
    // Nobody has to wait for a sweep or a set.
    hold.release();
    await clock.advance(1_000);
    expect([...sessions.keys()]).toEqual(['c', 'd']);
    other.release();
    third.release();
    end();
  });

  it('leaves by its owner’s delete and clear, and its run ends', async () => {
    const ended: unknown[] = [];
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { runs: { maxIdle: '1h' } as PolicyOf<Sessions> },
      ended: { map: 'runs' },
      clock,
    });
    registry.on('ended', ({ key, reason }) => ended.push([key, reason]));
    registry.maps.runs.set('a', {}).set('b', {}).set('c', {});
    const holds = ['a', 'b', 'c'].map((key) => registry.hold('runs', key));
    expect(registry.end('a')).toBe('claimed');
    registry.maps.runs.delete('b');
    registry.maps.runs.clear();
    expect(ended).toEqual([
      ['a', 'completed'],
      ['b', 'deleted'],
      ['c', 'deleted'],
    ]);
    expect(holds.some(({ isHeld }) => isHeld)).toBe(false);
    await registry.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('is held as a registration: what comes back under its key is not', async () => {
    const { clock, registry, sessions, row, end } = held({ maxIdle: '1m' });
    sessions.set('s', {});
    const hold = registry.hold('sessions', 's');
    sessions.delete('s');
    sessions.set('s', {});
    expect([hold.isHeld, row()?.held]).toEqual([false, 0]);
    await clock.advance(30_000);
    const before = registry.stamps('sessions', 's');
    hold.release();
    expect(registry.stamps('sessions', 's')).toEqual(before);
    await clock.advance(minute);
    expect(sessions.has('s')).toBe(false);
    end();
  });

  it('is not there, or was removed past the wrapper: the hold is of nothing, and says so', () => {
    const { registry, sessions, row, end } = held({ maxIdle: '1m' });
    sessions.set('s', {}).set('t', {});
    Map.prototype.delete.call(sessions, 's');
    for (const key of ['absent', 's']) {
      const hold = registry.hold('sessions', key);
      expect(hold.isHeld).toBe(false);
      hold.release();
      hold[Symbol.dispose]();
    }
    expect(row()?.held).toBe(0);
    expect(() => registry.hold('session' as 'sessions', 's')).toThrow('there is no map');
    end();
  });

  it('is judged one by one again, though all 2,000 of its map are due and nobody has to be told', async () => {
    const { clock, registry, sessions } = held({ maxIdle: '10m' });
    for (let number = 0; number < 2_000; number += 1) sessions.set(`s${number}`, {});
    const alone = createRegistry<{ sessions: Sessions }>({ maps: { sessions: { maxIdle: '10m' } }, clock });
    for (let number = 0; number < 2_000; number += 1) alone.maps.sessions.set(`s${number}`, {});
    registry.hold('sessions', 's7');
    alone.hold('sessions', 's8');
    await clock.advance(11 * minute);
    expect([[...sessions.keys()], [...alone.maps.sessions.keys()]]).toEqual([['s7'], ['s8']]);
    registry.stop();
    alone.stop();
  });

  it('is kept by a hold also where a guard lets go, and by a guard where a hold is released', async () => {
    const busy = new Set(['s']);
    const { clock, registry, sessions, row, end } = held({
      maxIdle: '10m',
      keepWhile: (_, key) => busy.has(key),
    });
    sessions.set('s', {});
    await clock.advance(12 * minute);
    const hold = registry.hold('sessions', 's');
    expect(row()).toMatchObject({ guarded: 1, held: 1 });
    hold.release();
    await clock.advance(30 * minute);
    expect(sessions.has('s')).toBe(true);
    registry.hold('sessions', 's');
    busy.clear();
    await clock.advance(30 * minute);
    expect(row()).toMatchObject({ guarded: 0, held: 1, overdue: 1 });
    expect(sessions.has('s')).toBe(true);
    end();
  });
});

/** Chunks that follow streams, which follow sessions; these leave after ten idle minutes. */
function chain() {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Sessions; streams: Sessions; chunks: Sessions }>({
    maps: {
      sessions: { maxIdle: '10m' },
      streams: { follows: 'sessions' },
      chunks: { follows: 'streams' },
    },
    clock,
  });
  return { clock, registry, ...registry.maps };
}

describe('a hold of a companion', () => {
  it('keeps the entry of its leader, up the chain, and its release is activity there', async () => {
    const { clock, registry, sessions, streams, chunks } = chain();
    for (const map of [sessions, streams, chunks]) map.set('s', {});
    const hold = registry.hold('chunks', 's');
    await clock.advance(25 * minute);
    expect([sessions.size, streams.size, chunks.size]).toEqual([1, 1, 1]);
    expect(registry.explain('sessions', 's').why).toContain("a hold of its companion in 'chunks' holds it");
    hold.release();
    await clock.advance(10 * minute - 1);
    expect(sessions.size).toBe(1);
    await clock.advance(1);
    expect([sessions.size, streams.size, chunks.size]).toEqual([0, 0, 0]);
    registry.stop();
  });

  it('that ends because the companion is deleted is activity of its leader’s entry too, up the chain', async () => {
    const { clock, registry, sessions, streams, chunks } = chain();
    for (const map of [sessions, streams, chunks]) map.set('s', {}).set('t', {});
    registry.hold('streams', 's');
    registry.hold('chunks', 't');
    await clock.advance(25 * minute);
    streams.delete('s');
    streams.delete('t');
    await clock.advance(10 * minute - 1);
    expect([...sessions.keys()]).toEqual(['s', 't']);
    await clock.advance(1);
    expect(sessions.size).toBe(0);
    registry.stop();
  });

  it('that ends because the companion is cleared lets its leader’s entry be evicted', async () => {
    const { clock, registry, sessions, streams, end } = held({ maxEntries: 1 });
    sessions.set('a', {});
    streams.set('a', {});
    registry.hold('streams', 'a');
    await clock.advance(1);
    sessions.set('b', {});
    const other = registry.hold('sessions', 'b');
    await clock.advance(1);
    expect([...sessions.keys()]).toEqual(['a', 'b']);
    streams.clear();
    await clock.advance(1_000);
    expect([...sessions.keys()]).toEqual(['b']);
    other.release();
    end();
  });

  it('that ends because the companion is cleared is activity before anybody is told of any, who may sweep', async () => {
    const { clock, registry, sessions, streams, end } = held(
      { maxIdle: '10m' },
      { dispose: () => void registry.sweep() },
    );
    for (const key of ['s', 't']) {
      sessions.set(key, {});
      streams.set(key, {});
      registry.hold('streams', key);
    }
    await clock.advance(25 * minute);
    streams.clear();
    expect([...sessions.keys()]).toEqual(['s', 't']);
    await clock.advance(1);
    expect(sessions.size).toBe(2);
    end();
  });

  it('that ends at the companion’s own maxAge leaves its leader’s entry as idle as it was', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ streams: Sessions; sessions: Sessions }>({
      maps: { streams: { follows: 'sessions', maxAge: '5m' }, sessions: { maxIdle: '10m' } },
      clock,
    });
    const { streams, sessions } = registry.maps;
    sessions.set('s', {});
    streams.set('s', {});
    registry.hold('streams', 's');
    await clock.advance(10 * minute);
    expect([streams.size, sessions.size]).toEqual([0, 0]);
    registry.stop();
  });

  it('keeps its leader’s entry no longer than the companion’s own maxAge, and never the other way round', async () => {
    const { clock, registry, sessions, streams, end } = held({ maxIdle: '10m' }, { maxAge: '15m' });
    sessions.set('s', {}).set('t', {});
    streams.set('s', {}).set('t', {});
    registry.hold('streams', 's');
    registry.hold('sessions', 't');
    await clock.advance(15 * minute - 1);
    expect([[...sessions.keys()], [...streams.keys()]]).toEqual([
      ['s', 't'],
      ['s', 't'],
    ]);
    await clock.advance(1);
    expect([[...sessions.keys()], [...streams.keys()]]).toEqual([['t'], []]);
    end();
  });

  it('keeps its leader’s entry from an eviction, until it is released', async () => {
    const { clock, registry, sessions, streams, end } = held({ maxEntries: 1 });
    sessions.set('a', {});
    streams.set('a', {});
    const hold = registry.hold('streams', 'a');
    await clock.advance(1);
    sessions.set('b', {});
    const other = registry.hold('sessions', 'b');
    await clock.advance(1);
    expect([...sessions.keys()]).toEqual(['a', 'b']);
    hold.release();
    await clock.advance(1_000);
    expect([...sessions.keys()]).toEqual(['b']);
    other.release();
    end();
  });
});

describe('an entry that an eviction has found kept by a hold', () => {
  it.each([
    ['is released', 'sessions', (hold: Hold) => hold.release()],
    ['of a companion is released', 'streams', (hold: Hold) => hold.release()],
    [
      'of a companion is deleted with that',
      'streams',
      (_hold: Hold, streams: Sessions) => streams.delete('a'),
    ],
  ] as const)('is the first to be evicted once the hold %s, if it is due', async (_how, map, ends) => {
    const { clock, registry, sessions, streams, end } = held({ ttl: '5m', maxEntries: 2 });
    sessions.set('a', {});
    streams.set('a', {});
    const hold = registry.hold(map, 'a');
    await clock.advance(6 * minute);
    for (const key of ['b', 'c', 'd']) {
      if (key === 'd') ends(hold, streams);
      sessions.set(key, {});
      await clock.advance(10);
    }
    expect([...sessions.keys()]).toEqual(['c', 'd']);
    end();
  });
});

describe('until', () => {
  it('releases when the promise is settled, either way, and answers that promise', async () => {
    const { registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    let finish: (() => void)[] = [];
    const fulfilled = new Promise<void>((resolve) => finish.push(resolve));
    const rejected = new Promise<void>((_, reject) => finish.push(() => reject(new Error('lost'))));
    const first = registry.hold('sessions', 's');
    const second = registry.hold('sessions', 's');
    expect(first.until(fulfilled)).toBe(fulfilled);
    const heard = expect(second.until(rejected)).rejects.toThrow('lost');
    expect([first.isHeld, second.isHeld]).toEqual([true, true]);
    for (const call of finish) call();
    finish = [];
    await heard;
    await settled();
    expect([first.isHeld, second.isHeld]).toEqual([false, false]);
    end();
  });

  it('goes on beyond the end of a `using`, which else releases', async () => {
    const { registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {}).set('t', {});
    let finish: () => void = () => {};
    const holds: Hold[] = [];
    {
      using plain = registry.hold('sessions', 's');
      using awaited = registry.hold('sessions', 't');
      awaited.until(new Promise<void>((resolve) => (finish = resolve)));
      holds.push(plain, awaited);
    }
    expect(holds.map(({ isHeld }) => isHeld)).toEqual([false, true]);
    finish();
    await settled();
    expect(holds.map(({ isHeld }) => isHeld)).toEqual([false, false]);
    end();
  });

  it('of two promises waits for both; a release by hand does not wait', async () => {
    const { registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    const finish: (() => void)[] = [];
    const promise = () => new Promise<void>((resolve) => finish.push(resolve));
    const hold = registry.hold('sessions', 's');
    hold.until(promise());
    hold.until(promise());
    finish[0]?.();
    await settled();
    expect(hold.isHeld).toBe(true);
    finish[1]?.();
    await settled();
    expect(hold.isHeld).toBe(false);
    const byHand = registry.hold('sessions', 's');
    byHand.until(promise());
    byHand.release();
    expect(byHand.isHeld).toBe(false);
    end();
  });

  it.each([undefined, null, 7, () => {}])('refuses %s, and the hold goes on', (given) => {
    const { registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    const hold = registry.hold('sessions', 's');
    expect(() => hold.until(given as never)).toThrow(/promise: expected a promise, received/);
    expect(hold.isHeld).toBe(true);
    end();
  });
});

describe('a hold beside a beforeSweep', () => {
  it('aborts the one that runs, also that of the leader’s entry, and what that answers does not count', async () => {
    const signals: AbortSignal[] = [];
    const answers: (() => void)[] = [];
    const { clock, registry, sessions, streams, end } = held({
      maxIdle: '10m',
      beforeSweep: (_value, _key, { signal }) => {
        signals.push(signal);
        return new Promise<void>((resolve) => answers.push(resolve));
      },
    });
    sessions.set('a', {}).set('b', {});
    streams.set('b', {});
    await clock.advance(10 * minute);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    const holds = [registry.hold('sessions', 'a'), registry.hold('streams', 'b')];
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    for (const answer of answers.splice(0)) answer();
    await clock.advance(20 * minute);
    expect([sessions.size, signals.length]).toEqual([2, 2]);
    for (const hold of holds) hold.release();
    await clock.advance(10 * minute);
    expect(signals).toHaveLength(4);
    for (const answer of answers) answer();
    await clock.advance(0);
    expect(sessions.size).toBe(0);
    end();
  });

  it('may be taken and released from inside of its abort, and of dispose', async () => {
    const holds: Hold[] = [];
    const take = (): void => {
      const hold = registry.hold('sessions', 's');
      holds.push(hold);
      hold.release();
      hold.release();
    };
    const { clock, registry, sessions, end } = held({
      maxIdle: '10m',
      beforeSweep: (_value, _key, { signal }) => {
        signal.addEventListener('abort', take);
        return new Promise<void>(() => {});
      },
      dispose: take,
    });
    sessions.set('s', {});
    await clock.advance(10 * minute);
    using hold = registry.hold('sessions', 's');
    expect([hold.isHeld, holds.length]).toEqual([true, 1]);
    sessions.delete('s');
    expect(holds.map(({ isHeld }) => isHeld)).toEqual([false, false]);
    end();
  });
});

describe('a hold that is never released', () => {
  it('shows in explain and report, with where it was taken when sites are captured', async () => {
    const { clock, registry, sessions, row, end } = held({ maxIdle: '10m', maxAge: '5h' }, {}, 1);
    sessions.set('s', {}).set('t', {});
    const forget = (key: string): Hold => registry.hold('sessions', key);
    forget('s');
    await clock.advance(minute);
    forget('t');
    await clock.advance(11 * minute);
    const { state, rule, why } = registry.explain('sessions', 's');
    expect([state, rule]).toEqual(['held', 'maxIdle']);
    expect(why).toMatch(
      /^due by maxIdle for 2m, but a hold holds it, until its maxAge of 5h, in 5h; age 12m, idle 12m, a hold taken 12m ago at forget \(.*holds\.test\.ts:\d+:\d+\)$/,
    );
    const { held: count, longestHeld } = row() ?? {};
    expect(count).toBe(2);
    expect(longestHeld?.map(({ key, forMs }) => [key, forMs])).toEqual([
      ["'s'", 12 * minute],
      ["'t'", 11 * minute],
    ]);
    for (const { site } of longestHeld ?? []) expect(site).toMatch(/^forget \(.*holds\.test\.ts:\d+:\d+\)$/);
    const printed = String(registry.report());
    expect(printed).toContain('sessions has 2 held entries\n');
    expect(printed).toMatch(/ {2}sessions 's' held for 12m at forget \(/);
    end();
  });

  it('shows without a place where none is captured, and a live entry as live', () => {
    const { registry, sessions, row, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    registry.hold('sessions', 's');
    expect(row()?.longestHeld).toEqual([{ key: "'s'", forMs: 0, site: undefined }]);
    expect(registry.explain('sessions', 's')).toMatchObject({ state: 'live' });
    expect(registry.explain('sessions', 's').why).toMatch(/, a hold taken 0ms ago$/);
    expect(String(registry.report())).toContain('sessions has 1 held entry\n');
    end();
  });
});

describe('what holds keep', () => {
  it('is nothing of what has left: a hold that was taken 10,000 times and not released counts no more', async () => {
    const { clock, registry, sessions, row, end } = held({ maxIdle: '10m', maxAge: '1h' });
    for (let number = 0; number < 10_000; number += 1) {
      sessions.set(`s${number}`, {});
      registry.hold('sessions', `s${number}`);
    }
    expect(row()?.held).toBe(10_000);
    await clock.advance(60 * minute);
    expect([sessions.size, row()?.held, row()?.longestHeld]).toEqual([0, 0, []]);
    end();
  });

  it('ends with the release of the map, whose entries are not held in the next registry', () => {
    const { registry, end } = held({});
    const live = new Map([['s', {}]]);
    const handle = registry.adopt('later', live, { maxIdle: '1m' });
    const hold = registry.hold('later' as 'sessions', 's');
    expect(hold.isHeld).toBe(true);
    handle.release();
    expect(hold.isHeld).toBe(false);
    hold.release();
    registry.adopt('later', live, { maxIdle: '1m' });
    expect(registry.report().maps.find(({ name }) => name === 'later')?.held).toBe(0);
    end();
  });

  it('is in no snapshot: in the next life nobody holds, and the idle time goes on', async () => {
    const { clock, registry, sessions, end } = held({ maxIdle: '10m' });
    sessions.set('s', {});
    registry.hold('sessions', 's');
    await clock.advance(5 * minute);
    const snapshot = registry.snapshot();
    end();
    const next = createRegistry<{ sessions: Sessions }>({ maps: { sessions: { maxIdle: '10m' } }, clock });
    next.restore(snapshot);
    next.maps.sessions.set('s', {});
    expect(next.report().maps[0]?.held).toBe(0);
    await clock.advance(5 * minute);
    expect(next.maps.sessions.size).toBe(0);
    next.stop();
  });
});
