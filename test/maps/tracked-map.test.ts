import { createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it, vi } from 'vitest';

describe('a TrackedMap alone', () => {
  it('stamps its first entries, in their order', async () => {
    const clock = createManualClock();
    const map = new TrackedMap(
      [
        ['a', 1],
        ['b', 2],
        ['a', 3],
      ],
      { clock },
    );
    expect([...map]).toEqual([
      ['a', 3],
      ['b', 2],
    ]);
    const [a, b] = [map.stamps('a'), map.stamps('b')];
    expect(a).toEqual({ registeredAt: clock.now(), lastActiveAt: clock.now(), generation: a?.generation });
    expect(b?.generation).toBeGreaterThan(a?.generation as number);
    expect(map.stamps('c')).toBe(undefined);
  });

  it('registeredAt changes by delete and set alone; set and touch refresh lastActiveAt, a read does not', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>(undefined, { clock });
    map.set('a', 1);
    const first = map.stamps('a');
    await clock.advance(10);
    map.get('a');
    map.has('a');
    for (const _ of map);
    expect(map.stamps('a')).toEqual(first);
    map.set('a', 1);
    expect(map.stamps('a')).toEqual({ ...first, lastActiveAt: clock.now() });
    await clock.advance(10);
    expect(map.touch('a')).toBe(true);
    expect(map.touch('b')).toBe(false);
    expect(map.has('b')).toBe(false);
    expect(map.stamps('a')).toEqual({ ...first, lastActiveAt: clock.now() });
    map.delete('a');
    expect(map.stamps('a')).toBe(undefined);
    map.set('a', 1);
    expect(map.stamps('a')?.registeredAt).toBe(clock.now());
    expect(map.stamps('a')?.generation).toBeGreaterThan(first?.generation as number);
  });

  it('generations are positive, unique over the map and never fall, also after clear', () => {
    const map = new TrackedMap<number, number>();
    const seen: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (let n = 0; n < 50; n += 1) {
        map.set(n, n);
        seen.push(map.stamps(n)?.generation as number);
      }
      map.clear();
    }
    expect(seen[0]).toBeGreaterThan(0);
    expect(seen).toEqual([...seen].sort((first, second) => first - second));
    expect(new Set(seen).size).toBe(250);
  });

  it('is swept by its own sweep(), a small map by the time that returns', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>([['a', 1]], { ttl: '5m', clock });
    await clock.advance(299_999);
    expect((await map.sweep()).swept).toBe(0);
    await clock.advance(1);
    const sweeping = map.sweep();
    expect(map.size).toBe(0);
    expect(await sweeping).toMatchObject({ swept: 1, maps: { TrackedMap: { swept: 1, overdue: 0 } } });
  });

  it('explains an entry', () => {
    const map = new TrackedMap<string, number>([['a', 1]], {
      name: 'runs',
      ttl: '5m',
      clock: createManualClock(),
    });
    expect(map.name).toBe('runs');
    expect(map.explain('a')).toMatchObject({ map: 'runs', key: 'a', state: 'live', rule: 'ttl' });
    expect(map.explain('b').state).toBe('absent');
  });

  it('starts no timer without maxEntries or beforeSweep, and pins no process', () => {
    vi.useFakeTimers();
    const map = new TrackedMap<string, number>(undefined, { ttl: '5m', dispose: () => {} });
    map.set('a', 1);
    void map.sweep();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('works with two registries and maps alone side by side, each with its own stamps', () => {
    const clock = createManualClock();
    const one = createRegistry<{ map: Map<string, number> }>({ maps: { map: {} }, clock });
    const two = createRegistry<{ map: Map<string, number> }>({ maps: { map: {} }, clock });
    one.maps.map.set('a', 1);
    expect(two.stamps('map', 'a')).toBe(undefined);
    one.stop();
    two.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it.each<[string, unknown, string]>([
    ['a misspelt option', { tlt: '5m' }, "Did you mean 'ttl'"],
    ['a misspelt name', { nmae: 'x' }, "Did you mean 'name'"],
    ['a wrong duration', { ttl: 'soon' }, 'ttl'],
    ['a leader', { follows: 'runs' }, 'follows: a map that is used alone has no leader'],
    ['something to adopt', { adopt: new Map() }, 'adopt'],
    ['an empty name', { name: '' }, 'name must be a string of 1 to 128 characters; received ""'],
    ['a name of 129 characters', { name: 'x'.repeat(129) }, '(129 characters)'],
    ['a name that is no text', { name: 5 }, 'name'],
    ['a clock that is none', { clock: { now: () => 1 } }, 'clock.monotonic'],
    ['a Map for its options', new Map(), 'an object of options'],
    ['null', null, 'an object of options'],
    ['a text', 'runs', 'an object of options'],
    ['an array', [], 'an object of options'],
  ])('refuses %s', (_, options, part) => {
    expect(() => new TrackedMap(undefined, options as never)).toThrow(part);
  });

  it('ignores options that are inherited, and those of a polluted prototype', async () => {
    const polluted = Object.prototype as { ttl?: unknown; maxEntries?: unknown; name?: unknown };
    Object.assign(polluted, { ttl: 0, maxEntries: 1, tlt: 5 });
    try {
      const clock = createManualClock();
      const map = new TrackedMap<string, number>(undefined, { clock });
      map.set('a', 1).set('b', 2);
      await clock.advance(10);
      await map.sweep();
      expect(map.size).toBe(2);
    } finally {
      for (const name of ['ttl', 'maxEntries', 'tlt']) delete (polluted as Record<string, unknown>)[name];
    }
    const inherited = Object.create({ ttl: 0 }) as object;
    const map = new TrackedMap<string, number>([['a', 1]], inherited);
    await map.sweep();
    expect(map.size).toBe(1);
  });

  it('a subclass whose own delete, set or clear does more sees them called: by sweeps, evictions and its owner', async () => {
    const clock = createManualClock();
    const calls: string[] = [];
    class Indexed extends TrackedMap<string, number> {
      override set(key: string, value: number): this {
        calls.push(`set ${key}`);
        return super.set(key, value);
      }

      override delete(key: string): boolean {
        calls.push(`delete ${key}`);
        return super.delete(key);
      }

      override clear(): void {
        for (const key of [...this.keys()]) this.delete(key);
      }
    }
    const disposed: unknown[] = [];
    const map = new Indexed([['a', 1]], {
      ttl: '1m',
      maxEntries: 2,
      clock,
      dispose: (_value, key, reason) => disposed.push([key, reason]),
    });
    await clock.advance(60_000);
    expect((await map.sweep()).swept).toBe(1);
    map.set('b', 1).set('c', 1).set('d', 1);
    await clock.advance(0);
    map.clear();
    expect(calls).toEqual([
      'set a',
      'delete a',
      'set b',
      'set c',
      'set d',
      'delete b',
      'delete c',
      'delete d',
    ]);
    expect(disposed).toEqual([
      ['a', 'swept'],
      ['b', 'evicted'],
      ['c', 'deleted'],
      ['d', 'deleted'],
    ]);
  });

  it('stays a Map where a method of its own is deleted or wrapped by somebody', async () => {
    const clock = createManualClock();
    const map = new TrackedMap<string, number>(undefined, { ttl: 0, clock });
    const calls: string[] = [];
    map.delete = function (this: TrackedMap<string, number>, key) {
      calls.push(key);
      return TrackedMap.prototype.delete.call(this, key);
    };
    map.set('a', 1);
    await map.sweep();
    expect(calls).toEqual(['a']);
    expect(map.size).toBe(0);
  });
});

describe('a key that was given as -0', () => {
  class OwnMap extends Map<number, number> {
    override set(key: number, value: number): this {
      return super.set(key, value);
    }
    override delete(key: number): boolean {
      return super.delete(key);
    }
  }

  it.each([
    ['a plain Map', () => new Map<number, number>()],
    ['a class with methods of its own', () => new OwnMap()],
  ])('is told and asked about as 0, as the Map keeps it: %s', async (_, newMap) => {
    const clock = createManualClock();
    const given: [string, unknown][] = [];
    const note = <Answer>(callback: string, key: unknown, answer: Answer): Answer => {
      given.push([callback, key]);
      return answer;
    };
    const registry = createRegistry<{ map: Map<number, number>; companions: Map<number, number> }>({
      maps: {
        map: {
          adopt: newMap(),
          maxIdle: '1m',
          maxPerOwner: { owner: (_value, key) => note('owner', key, 'one'), max: 2 },
          rules: [{ match: (key) => note('match', key, false) }],
          keepWhile: (_value, key) => note('keepWhile', key, false),
          replaced: (_value, key) => note('replaced', key, undefined),
          dispose: (_value, key) => note('dispose', key, undefined),
        },
        companions: {
          adopt: newMap(),
          follows: { map: 'map', key: (_value, key) => note('follows.key', key, key) },
          dispose: (_value, key) => note('companion', key, undefined),
        },
      },
      ended: {
        map: 'map',
        id: (_value, key) => note('id', key, 'run'),
        deliver: ({ key }) => note('deliver', key, undefined),
      },
      clock,
    });
    const { map, companions } = registry.maps;
    map.set(-0, 1).set(-0, 2);
    companions.set(-0, 1).set(-0, 2);
    registry.touch('companions', -0);
    registry.isDue('map', -0);
    map.delete(-0);
    map.set(-0, 3);
    await clock.advance(60_000);
    expect(new Set(given.map(([callback]) => callback)).size).toBe(9);
    expect(given.filter(([, key]) => !Object.is(key, 0))).toEqual([]);
    registry.stop();
  });
});
