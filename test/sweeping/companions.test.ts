import { createRegistry, type RegistryEvents } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { IndexedMap, StubbornMap } from '../maps/owner-maps.js';

type Strings = Map<string, number>;

/** A leader, a companion and a companion of that, which write down what they are told. */
function chain(policies: { runs?: object; contexts?: object; seqs?: object } = {}, options: object = {}) {
  const clock = createManualClock();
  const told: string[] = [];
  const dispose =
    (map: string) =>
    (value: number, key: string, reason: string): void => {
      told.push(`${map} ${key}=${value} ${reason}, ${sizes()}`);
    };
  const registry = createRegistry<{ seqs: Strings; contexts: Strings; runs: Strings }>({
    // The leader last: what follows may be named before what leads.
    maps: {
      seqs: { follows: 'contexts', dispose: dispose('seqs'), ...policies.seqs },
      contexts: { follows: 'runs', dispose: dispose('contexts'), ...policies.contexts },
      runs: { ttl: '5m', dispose: dispose('runs'), ...policies.runs },
    },
    clock,
    ...options,
  });
  const { runs, contexts, seqs } = registry.maps;
  const sizes = () => `left ${runs.size}/${contexts.size}/${seqs.size}`;
  const add = (key: string): void => {
    runs.set(key, 1);
    contexts.set(key, 2);
    seqs.set(key, 3);
  };
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, runs, contexts, seqs, told, add, end };
}

describe('a companion leaves in the same step as its leader', () => {
  const expected = (key: string, reason: string) => [
    `runs ${key}=1 ${reason}, left 0/0/0`,
    `contexts ${key}=2 companion, left 0/0/0`,
    `seqs ${key}=3 companion, left 0/0/0`,
  ];

  it('when the leader is swept', async () => {
    const { clock, registry, told, add, end } = chain();
    add('a');
    await clock.advance(300_000);
    expect(told).toEqual(expected('a', 'swept'));
    expect(registry.report().maps.map(({ removed }) => removed)).toMatchObject([
      { companion: 1, swept: 0 },
      { companion: 1, swept: 0 },
      { companion: 0, swept: 1 },
    ]);
    end();
  });

  it('when the owner deletes the leader', () => {
    const { runs, told, add, end } = chain();
    add('a');
    runs.delete('a');
    expect(told).toEqual(expected('a', 'deleted'));
    end();
  });

  it('when the owner clears the leader: every state has changed before the first callback', () => {
    const { runs, told, add, end } = chain();
    add('a');
    add('b');
    runs.clear();
    expect(told).toEqual([...expected('a', 'cleared'), ...expected('b', 'cleared')]);
    end();
  });

  it('when the leader is evicted', async () => {
    const { clock, runs, told, add, end } = chain({ runs: { maxEntries: 1 } });
    add('a');
    await clock.advance(1);
    runs.set('b', 9);
    await clock.advance(1);
    expect(told).toEqual([
      'runs a=1 evicted, left 1/0/0',
      'contexts a=2 companion, left 1/0/0',
      'seqs a=3 companion, left 1/0/0',
    ]);
    end();
  });

  it('when the leader had left past the wrapper, at the next sweep', async () => {
    const { clock, registry, runs, told, add, end } = chain();
    add('a');
    Map.prototype.delete.call(runs, 'a');
    await registry.sweep();
    expect(told).toEqual(expected('a', '').slice(1));
    expect(clock.now()).toBe(registry.report().lastSweepAt);
    end();
  });

  it('when the middle of a chain leaves, what is below goes and what is above stays', () => {
    const { runs, contexts, told, add, end } = chain();
    add('a');
    contexts.delete('a');
    expect(told).toEqual(['contexts a=2 deleted, left 1/0/0', 'seqs a=3 companion, left 1/0/0']);
    expect(runs.has('a')).toBe(true);
    end();
  });

  it('and stays when its leader is only replaced or touched', () => {
    const { registry, runs, contexts, add, end } = chain({ runs: { dispose: undefined } });
    add('a');
    runs.set('a', 7);
    registry.touch('runs', 'a');
    expect(contexts.has('a')).toBe(true);
    end();
  });

  it('though a beforeSweep of its own would hold it', async () => {
    const asked: string[] = [];
    const { clock, told, add, end } = chain({ seqs: { beforeSweep: () => void asked.push('hook') } });
    add('a');
    await clock.advance(300_000);
    expect(told).toEqual(expected('a', 'swept'));
    expect(asked).toEqual([]);
    end();
  });

  it('through its own delete, which keeps its index', async () => {
    const clock = createManualClock();
    const contexts = new IndexedMap<number>();
    const registry = createRegistry({
      maps: { runs: { ttl: '5m' }, contexts: { adopt: contexts, follows: 'runs' } },
      clock,
    });
    (registry.maps.runs as Strings).set('a', 1);
    contexts.set('a', 2);
    await clock.advance(300_000);
    expect(contexts.deleteCalls).toEqual(['a']);
    expect(contexts.byInitial.size).toBe(0);
    registry.stop();
  });

  it('once, where each map deletes from the other in its own delete', async () => {
    const clock = createManualClock();
    const disposed: string[] = [];
    class Linked extends Map<string, number> {
      other: Map<string, number> | undefined;

      override delete(key: string): boolean {
        this.other?.delete(key);
        return super.delete(key);
      }
    }
    const runs = new Map<string, number>();
    const contexts = new Linked();
    contexts.other = runs;
    const dispose = (value: number, key: string, reason: string) => disposed.push(`${key}${value} ${reason}`);
    const registry = createRegistry({
      maps: {
        runs: { adopt: runs, ttl: '5m', dispose },
        contexts: { adopt: contexts, follows: 'runs', dispose },
      },
      clock,
    });
    runs.set('a', 1);
    contexts.set('a', 2);
    contexts.delete('a');
    expect(disposed).toEqual(['a1 deleted', 'a2 companion']);
    disposed.length = 0;
    runs.set('b', 1);
    contexts.set('b', 2);
    await clock.advance(300_000);
    expect(disposed).toEqual(['b1 swept', 'b2 companion']);
    expect(runs.size + contexts.size).toBe(0);
    registry.stop();
  });

  it('also one that was set again by the dispose of its leader: that one is new, and stays', async () => {
    const { clock, contexts, add, told, end } = chain({
      runs: {
        dispose: (_value: number, key: string) => {
          contexts.set(key, 77);
        },
      },
    });
    add('a');
    await clock.advance(300_000);
    expect(contexts.get('a')).toBe(77);
    expect(told).toEqual(['contexts a=2 companion, left 0/1/0', 'seqs a=3 companion, left 0/1/0']);
    end();
  });

  it('in the order of the maps, and only where there is such a key', () => {
    const clock = createManualClock();
    const told: string[] = [];
    const dispose = (_value: unknown, key: unknown, reason: string) => told.push(`${String(key)} ${reason}`);
    const registry = createRegistry<{ a: Strings; b: Strings; c: Strings }>({
      maps: { a: { dispose }, b: { follows: 'a', dispose }, c: { follows: 'a', dispose } },
      clock,
    });
    const { a, b, c } = registry.maps;
    a.set('k', 1);
    c.set('k', 3);
    b.set('other', 2);
    a.delete('k');
    expect(told).toEqual(['k deleted', 'k companion']);
    expect(b.size).toBe(1);
    registry.stop();
  });
});

describe('calls out around a removal with companions', () => {
  it('are: dispose of the leader, of its companions down the chain, the end on the bus, and deliver later', async () => {
    const order: string[] = [];
    const { clock, registry, add, end } = chain(
      {
        runs: { dispose: () => order.push('dispose runs') },
        contexts: { dispose: () => order.push('dispose contexts') },
        seqs: { dispose: () => order.push('dispose seqs') },
      },
      { ended: { map: 'runs', deliver: () => void order.push('deliver') } },
    );
    registry.on('subagent-ended', ({ key }) => order.push(`ended ${String(key)}`));
    registry.on('swept', ({ map, key }) => order.push(`swept ${map} ${String(key)}`));
    add('a');
    add('b');
    const sweeping = clock.advance(300_000);
    await sweeping;
    const one = (key: string) => [
      'dispose runs',
      'dispose contexts',
      'dispose seqs',
      `ended ${key}`,
      `swept runs ${key}`,
    ];
    expect(order).toEqual([...one('a'), ...one('b'), 'deliver', 'deliver']);
    end();
  });

  it('happen all, whichever of them throws', async () => {
    const order: string[] = [];
    const thrower = (name: string) => () => {
      order.push(name);
      throw null;
    };
    const { clock, registry, add, end } = chain(
      {
        runs: { dispose: thrower('runs') },
        contexts: { dispose: thrower('contexts') },
        seqs: { dispose: async () => thrower('seqs')() },
      },
      { ended: { map: 'runs', deliver: thrower('deliver'), attempts: 1 } },
    );
    const failures: unknown[] = [];
    registry.on('subagent-ended', thrower('listener'));
    registry.on('subagent-ended', () => order.push('second listener'));
    registry.on('callback-failed', ({ map, callback, error }) => failures.push([map, callback, error]));
    add('a');
    await clock.advance(300_000);
    expect(order).toEqual(['runs', 'contexts', 'seqs', 'listener', 'second listener', 'deliver']);
    expect(failures.slice(0, 3)).toEqual([
      ['runs', 'dispose', null],
      ['contexts', 'dispose', null],
      ['', 'listener', null],
    ]);
    expect(failures.slice(3).sort()).toEqual([
      ['runs', 'deliver', null],
      ['seqs', 'dispose', null],
    ]);
    end();
  });
});

describe('activity of a companion', () => {
  it('keeps its leader, and on up the chain, and never goes down', async () => {
    const { clock, registry, runs, contexts, seqs, add, end } = chain({
      runs: { ttl: false, maxIdle: '5m' },
    });
    add('a');
    add('b');
    for (let n = 0; n < 10; n += 1) {
      await clock.advance(60_000);
      seqs.set('a', n);
      registry.touch('runs', 'b');
    }
    expect([...runs.keys()]).toEqual(['a', 'b']);
    // What is shown is what counts.
    const at = clock.now();
    expect(registry.stamps('seqs', 'a')?.lastActiveAt).toBe(at);
    expect(registry.stamps('contexts', 'a')?.lastActiveAt).toBe(at);
    expect(registry.stamps('runs', 'a')?.lastActiveAt).toBe(at);
    expect(registry.stamps('contexts', 'b')?.lastActiveAt).toBe(at - 600_000);
    const swept: [map: string, lastActiveAt: number][] = [];
    registry.on('swept', ({ map, key, lastActiveAt }) => key === 'a' && swept.push([map, lastActiveAt]));
    await clock.advance(300_000);
    expect(swept).toEqual([['runs', at]]);
    expect([runs.size, contexts.size, seqs.size]).toEqual([0, 0, 0]);
    end();
  });

  it('counts to the ms: the leader is due when both have been idle for maxIdle', async () => {
    const { clock, registry, runs, contexts, end } = chain({ runs: { ttl: false, maxIdle: '5m' } });
    runs.set('a', 1);
    await clock.advance(200_000);
    contexts.set('a', 1);
    await clock.advance(299_999);
    await registry.sweep();
    expect(runs.size).toBe(1);
    expect(registry.explain('runs', 'a').deadline).toBe(clock.now() + 1);
    await clock.advance(1);
    await registry.sweep();
    expect(runs.size).toBe(0);
    end();
  });

  it('goes up past a map of the chain that has no such key', async () => {
    const { clock, registry, runs, seqs, end } = chain({ runs: { ttl: false, maxIdle: '5m' } });
    runs.set('a', 1);
    await clock.advance(200_000);
    seqs.set('a', 1);
    await clock.advance(200_000);
    await registry.sweep();
    expect(runs.size).toBe(1);
    end();
  });

  it('counts for `since: lastActiveAt` and for the order of eviction of the leader', async () => {
    const { clock, runs, contexts, end } = chain({
      runs: { ttl: '5m', since: 'lastActiveAt', maxEntries: 2 },
    });
    runs.set('a', 1).set('b', 1);
    await clock.advance(1);
    contexts.set('a', 1);
    await clock.advance(1);
    runs.set('c', 1);
    await clock.advance(1);
    expect([...runs.keys()]).toEqual(['a', 'c']);
    await clock.advance(240_000);
    contexts.set('a', 1);
    await clock.advance(120_000);
    expect([...runs.keys()]).toEqual(['a']);
    end();
  });

  it('does not move the ttl of a leader that counts from its registration', async () => {
    const { clock, runs, seqs, add, end } = chain();
    add('a');
    for (let n = 0; n < 4; n += 1) {
      await clock.advance(60_000);
      seqs.set('a', n);
    }
    await clock.advance(60_000);
    expect(runs.size).toBe(0);
    end();
  });

  it('is not the next registration’s: a new leader of the same key is idle from its own start', async () => {
    const { clock, registry, runs, contexts, end } = chain({ runs: { ttl: false, maxIdle: '5m' } });
    runs.set('a', 1);
    await clock.advance(1_000);
    contexts.set('a', 1);
    runs.delete('a');
    runs.set('other', 1).set('a', 1);
    await clock.advance(300_000);
    await registry.sweep();
    expect(runs.size).toBe(0);
    end();
  });
});

describe('an orphan', () => {
  it('leaves 30 minutes after its last activity by default, to the ms', async () => {
    const { clock, registry, contexts, told, end } = chain();
    contexts.set('lonely', 1);
    await clock.advance(60_000);
    contexts.set('lonely', 2);
    await clock.advance(1_799_999);
    await registry.sweep();
    expect(contexts.size).toBe(1);
    await clock.advance(1);
    await registry.sweep();
    expect(contexts.size).toBe(0);
    expect(told.at(-1)).toBe('contexts lonely=2 swept, left 0/0/0');
    end();
  });

  it('stays for ever with `orphanAfter: false`, unless by a lifetime of its own', async () => {
    const { clock, contexts, seqs, end } = chain({
      contexts: { orphanAfter: false },
      seqs: { orphanAfter: false, maxAge: '1h' },
    });
    contexts.set('lonely', 1);
    seqs.set('lonely', 1);
    seqs.set('other', 1);
    await clock.advance(86_400_000);
    expect(contexts.size).toBe(1);
    expect(seqs.size).toBe(0);
    end();
  });

  it('is none while its leader has the key, however idle: even if the leader came later', async () => {
    const { clock, runs, contexts, end } = chain({ runs: { ttl: false }, contexts: { orphanAfter: '10m' } });
    contexts.set('a', 1);
    await clock.advance(599_000);
    runs.set('a', 1);
    await clock.advance(86_400_000);
    expect(contexts.size).toBe(1);
    runs.delete('a');
    expect(contexts.size).toBe(0);
    end();
  });

  it('is none any more once its own guard, which is asked in the last moment, has set its leader', async () => {
    const { clock, runs, contexts, end } = chain({
      runs: { ttl: false },
      contexts: {
        orphanAfter: '10m',
        keepWhile: (_: number, key: string) => {
          runs.set(key, 1);
          return false;
        },
      },
    });
    contexts.set('a', 1);
    await clock.advance(3_600_000);
    expect(contexts.size).toBe(1);
    end();
  });

  it('has its whole time again after its leader left while it was only observed', async () => {
    const { clock, registry, runs, contexts, end } = chain({
      runs: { ttl: false },
      contexts: { mode: 'observe', orphanAfter: '10m' },
    });
    runs.set('a', 1);
    contexts.set('a', 1);
    runs.delete('a');
    expect(contexts.size).toBe(1);
    await clock.advance(600_000);
    await registry.sweep();
    expect(contexts.size).toBe(1);
    // Counted and reported: observing is there to show it.
    const report = registry.report().maps.find(({ name }) => name === 'contexts');
    expect(report).toMatchObject({ overdue: 1, mode: 'observe' });
    expect(registry.explain('contexts', 'a')).toMatchObject({ state: 'due', rule: 'orphanAfter' });
    end();
  });

  it('is not what companions become when their leader’s map is released: its entries may live on', async () => {
    const clock = createManualClock();
    const runs = new Map([['a', 1]]);
    const contexts = new Map([['a', 1]]);
    const registry = createRegistry({ maps: {}, clock });
    const leading = registry.adopt('runs', runs);
    registry.adopt('contexts', contexts, { follows: 'runs', orphanAfter: '10m' });
    await clock.advance(500_000);
    expect(registry.explain('contexts', 'a').rule).toBe('follows');
    leading.release();
    expect(registry.explain('contexts', 'a')).toMatchObject({
      state: 'live',
      rule: undefined,
      why: expect.stringContaining(
        "'runs', which it follows, is tracked no more, so that nothing takes it along",
      ),
    });
    await clock.advance(3_600_000);
    expect(contexts.size).toBe(1);
    registry.adopt('runs', runs);
    expect(registry.explain('contexts', 'a').rule).toBe('follows');
    await clock.advance(600_000);
    expect(contexts.size).toBe(1);
    runs.delete('a');
    expect(contexts.size).toBe(0);
    contexts.set('b', 1);
    runs.set('b', 1);
    registry.touch('contexts', 'b');
    expect(contexts.size).toBe(1);
    registry.stop();
  });

  it('is also a companion that was adopted before there was a leader with its key', async () => {
    const clock = createManualClock();
    const contexts = new Map([
      ['a', 1],
      ['b', 1],
    ]);
    const registry = createRegistry<{ runs: Strings; contexts: Strings }>({
      maps: { runs: {}, contexts: { adopt: contexts, follows: 'runs', unstamped: 'expired' } },
      clock,
    });
    registry.maps.runs.set('a', 1);
    await registry.sweep();
    expect([...contexts.keys()]).toEqual(['a']);
    registry.stop();
  });
});

describe('a companion that does not leave', () => {
  it('because its delete refuses: is tried at every sweep, and leaves when that lets it', async () => {
    const clock = createManualClock();
    const disposed: unknown[] = [];
    const failures: unknown[] = [];
    const contexts = new StubbornMap<string, number>();
    const registry = createRegistry<{ runs: Strings; contexts: StubbornMap<string, number> }>({
      maps: {
        runs: { dispose: (_value, key) => disposed.push(`run ${key}`) },
        contexts: {
          adopt: contexts,
          follows: 'runs',
          orphanAfter: false,
          dispose: (_value, key, reason) => disposed.push(`context ${key} ${reason}`),
        },
      },
      clock,
    });
    registry.on('callback-failed', ({ map, callback, key }) => failures.push([map, callback, key]));
    registry.maps.runs.set('a', 1);
    contexts.set('a', 1);
    contexts.obstacle = true;
    registry.maps.runs.delete('a');
    expect(disposed).toEqual(['run a']);
    expect(contexts.size).toBe(1);
    expect(registry.explain('contexts', 'a')).toMatchObject({ state: 'due', rule: 'follows' });
    await registry.sweep();
    expect(failures).toEqual([
      ['contexts', 'delete', 'a'],
      ['contexts', 'delete', 'a'],
    ]);
    contexts.obstacle = false;
    await registry.sweep();
    expect(disposed).toEqual(['run a', 'context a companion']);
    expect(registry.report().maps[1]).toMatchObject({
      overdue: 0,
      size: 0,
      removed: { companion: 1, swept: 0 },
    });
    registry.stop();
  });

  it('leaves as a companion also where a cap is what looks at it next', async () => {
    const clock = createManualClock();
    const left: unknown[] = [];
    const contexts = new StubbornMap<string, number>();
    const registry = createRegistry<{ runs: Strings; contexts: StubbornMap<string, number> }>({
      maps: {
        runs: {},
        contexts: {
          adopt: contexts,
          follows: 'runs',
          orphanAfter: false,
          maxEntries: 1,
          beforeSweep: (_value, key) => void left.push(`asked about ${key}`),
          dispose: (_value, key, reason) => left.push(`${key} ${reason}`),
        },
      },
      clock,
    });
    registry.on('evicted', ({ key, rule }) => left.push(`${String(key)} evicted by ${rule}`));
    registry.maps.runs.set('a', 1);
    contexts.set('a', 1);
    contexts.obstacle = true;
    registry.maps.runs.delete('a');
    contexts.obstacle = false;
    contexts.set('b', 1);
    await clock.advance(1);
    expect(left).toEqual(['a companion']);
    expect(registry.report().maps[1]).toMatchObject({ size: 1, removed: { companion: 1, evicted: 0 } });
    registry.stop();
  });

  it('stays for good where the leader has come back meanwhile', async () => {
    const clock = createManualClock();
    const contexts = new StubbornMap<string, number>();
    const registry = createRegistry<{ runs: Strings; contexts: StubbornMap<string, number> }>({
      maps: { runs: {}, contexts: { adopt: contexts, follows: 'runs' } },
      clock,
    });
    const { runs } = registry.maps;
    runs.set('a', 1);
    contexts.set('a', 1);
    contexts.obstacle = true;
    runs.delete('a');
    contexts.obstacle = false;
    runs.set('a', 2);
    await registry.sweep();
    expect(contexts.size).toBe(1);
    runs.delete('a');
    expect(contexts.size).toBe(0);
    registry.stop();
  });

  it('because it throws in its delete: the leader and the other companions leave all the same', () => {
    const clock = createManualClock();
    const stubborn = new StubbornMap([['a', 1]]);
    stubborn.obstacle = { before: new Error('locked') };
    const registry = createRegistry<{ runs: Strings; stubborn: Strings; other: Strings }>({
      maps: { runs: {}, stubborn: { adopt: stubborn, follows: 'runs' }, other: { follows: 'runs' } },
      clock,
    });
    const { runs, other } = registry.maps;
    runs.set('a', 1);
    other.set('a', 1);
    expect(runs.delete('a')).toBe(true);
    expect([runs.size, stubborn.size, other.size]).toEqual([0, 1, 0]);
    registry.stop();
  });

  it('because the registry observes: the owner’s delete takes no companion along', () => {
    const { runs, contexts, add, end } = chain({}, { mode: 'observe' });
    add('a');
    runs.delete('a');
    expect(contexts.size).toBe(1);
    end();
  });
});

describe('companions and their own lifetimes', () => {
  it('leave by these besides, alone, with what follows them', async () => {
    const { clock, runs, told, add, end } = chain({ contexts: { maxIdle: '1m' } });
    add('a');
    await clock.advance(60_000);
    expect(told).toEqual(['contexts a=2 swept, left 1/0/0', 'seqs a=3 companion, left 1/0/0']);
    expect(runs.size).toBe(1);
    end();
  });

  it('are told as `swept` where they were due themselves, and not where they left with their leader', async () => {
    const { clock, registry, add, end } = chain({ contexts: { maxIdle: '1m' } });
    const swept: string[] = [];
    registry.on('swept', ({ map, rule }: RegistryEvents['swept']) => swept.push(`${map} by ${rule}`));
    add('a');
    await clock.advance(300_000);
    expect(swept).toEqual(['contexts by maxIdle', 'runs by ttl']);
    end();
  });
});

describe('maps that come and go', () => {
  const entered = (map: Strings, key: string) => map.set(key, 1);

  it('find their leader and their followers, and lose them, in whatever order they come', () => {
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    const [runs, first, second] = [registry.maps.runs as Strings, new Map(), new Map()] as Strings[];
    const leaving = (key: string) => {
      for (const map of [runs, first, second] as Strings[]) entered(map, key);
      runs?.delete(key);
      return [first?.has(key), second?.has(key)];
    };
    const handle = registry.adopt('first', first as Strings, { follows: 'runs' });
    registry.adopt('second', second as Strings, { follows: 'runs' });
    expect(leaving('a')).toEqual([false, false]);
    handle.release();
    expect(leaving('b')).toEqual([true, false]);
    registry.adopt('first', first as Strings, { follows: 'runs' });
    expect(leaving('c')).toEqual([false, false]);
    registry.stop();
  });

  it('stay without a leader from its release until there is one of its name', () => {
    const clock = createManualClock();
    const registry = createRegistry({ maps: {}, clock });
    const leader: Strings = new Map();
    const follower: Strings = new Map();
    const handle = registry.adopt('leader', leader);
    registry.adopt('follower', follower, { follows: 'leader' as never });
    handle.release();
    for (const map of [leader, follower]) entered(map, 'a');
    leader.delete('a');
    expect(follower.has('a')).toBe(true);
    registry.adopt('leader', leader);
    for (const map of [leader, follower]) entered(map, 'a');
    leader.delete('a');
    expect(follower.has('a')).toBe(false);
    registry.stop();
  });

  it('are not looked at, each of 1,000 entries, because their leader is released: none is due earlier without it', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ maps: {}, clock });
    const [leader, follower]: Strings[] = [new Map(), new Map()];
    const handle = registry.adopt('leader', leader as Strings);
    const policy = { follows: 'leader' as never, mode: 'observe', orphanAfter: '1m' } as const;
    registry.adopt('follower', follower as Strings, policy);
    for (let n = 0; n < 1_000; n += 1) for (const map of [leader, follower]) map?.set(`${n}`, n);
    follower?.set('orphan', 1);
    await clock.advance(120_000);
    const overdue = () => registry.report().maps.find(({ name }) => name === 'follower')?.overdue;
    expect(overdue()).toBe(1);
    handle.release();
    // The orphan was due, and is none any more.
    expect(await registry.sweep()).toMatchObject({ examined: 1 });
    expect(overdue()).toBe(0);
    expect(await registry.sweep()).toMatchObject({ examined: 0 });
    registry.stop();
  });

  describe('where one is released from inside of what is asked or told of each', () => {
    /** A leader, followers of it in this order, and the entry `a` in all of them. The first is made by the test. */
    function followed(first: (release: () => void) => [Strings, object], rest: object = {}) {
      const clock = createManualClock();
      const registry = createRegistry<{ leader: Strings }>({ maps: { leader: { maxIdle: '5m' } }, clock });
      const [map, policy] = first(() => released.release());
      const released = registry.adopt('first', map, { follows: 'leader', ...policy });
      const next = registry.adopt('next', new Map<string, number>(), { follows: 'leader', ...rest });
      const { leader } = registry.maps;
      for (const each of [leader, released.map, next.map]) each.set('a', 1);
      return { clock, registry, leader, next: next.map };
    }

    it('the companion in the next one leaves all the same', () => {
      const { registry, leader, next } = followed((release) => [
        new (class extends Map<string, number> {
          override delete(key: string): boolean {
            const had = super.delete(key);
            if (this.size === 0) release();
            return had;
          }
        })(),
        {},
      ]);
      leader.delete('a');
      expect(next.has('a')).toBe(false);
      registry.stop();
    });

    it('the guard in the next one is asked all the same', async () => {
      const { clock, registry, leader } = followed(
        (release) => [
          new Map(),
          {
            keepWhile: () => {
              release();
              return false;
            },
          },
        ],
        { keepWhile: () => true },
      );
      await clock.advance(300_000);
      expect(leader.has('a')).toBe(true);
      registry.stop();
    });
  });

  it('look at no map that has nothing to do with them, so that ten thousand take no longer each than ten', () => {
    const registry = createRegistry({ maps: { bystander: {} }, clock: createManualClock() });
    const bystander = internalsOf(registry)?.engine.trackers.get('bystander');
    let looks = 0;
    for (const property of ['companions', 'policy'] as const) {
      const value = bystander?.[property];
      Object.defineProperty(bystander, property, {
        get: () => {
          looks += 1;
          return value;
        },
      });
    }
    registry.adopt('leader', new Map());
    const handle = registry.adopt('follower', new Map(), { follows: 'leader' as never });
    handle.release();
    expect(looks).toBe(0);
    registry.stop();
  });
});

describe('the leader of an entry, which is remembered', () => {
  it('is another one when the value names another', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, number>; contexts: Map<string, { run: string }> }>({
      maps: {
        runs: { maxIdle: '5m' },
        contexts: { follows: { map: 'runs', key: ({ run }: { run: string }) => run } },
      },
      clock,
    });
    const { runs, contexts } = registry.maps;
    runs.set('one', 1).set('other', 1);
    contexts.set('c', { run: 'one' }).set('c', { run: 'one' });
    for (let turn = 0; turn < 3; turn += 1) {
      contexts.set('c', { run: 'other' });
      await clock.advance(4 * 60_000);
    }
    expect([...runs.keys()]).toEqual(['other']);
    registry.stop();
  });

  it.each([undefined, Number.NaN, 0])('is found by the key %s', async (key) => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<unknown, number>; contexts: Map<unknown, number> }>({
      maps: { runs: { maxIdle: '5m' }, contexts: { follows: 'runs' } },
      clock,
    });
    const { runs, contexts } = registry.maps;
    runs.set('other', 1);
    runs.set('removed', 1);
    runs.delete('removed');
    contexts.set(key, 1);
    contexts.set('other', 1).set('other', 2);
    runs.set(key, 1);
    for (let turn = 0; turn < 3; turn += 1) {
      await clock.advance(4 * 60_000);
      contexts.set(key, turn);
    }
    expect([...runs.keys()]).toEqual([key]);
    registry.stop();
  });
});

it.each(['quiet', 'disposing'])(
  'a companion whose delete refused while its leader left goes when that is its own again (%s)',
  async (kind) => {
    const clock = createManualClock();
    const dispose = kind === 'disposing' ? { dispose: () => {} } : {};
    const registry = createRegistry<{ runs: Strings; contexts: Strings }>({
      maps: { runs: { maxIdle: '1h' }, contexts: { follows: 'runs', ...dispose } },
      clock,
    });
    registry.on('callback-failed', () => {});
    const { runs, contexts } = registry.maps;
    runs.set('a', 1);
    contexts.set('a', 1);
    contexts.delete = () => false;
    runs.delete('a');
    expect(contexts.size).toBe(1);
    Reflect.deleteProperty(contexts, 'delete');
    await registry.sweep();
    expect(contexts.size).toBe(0);
    registry.stop();
  },
);
