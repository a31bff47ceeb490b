import { adopt, createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it, vi } from 'vitest';
import { foreignMap, IndexedMap, LowerCaseMap, StubbornMap } from './owner-maps.js';

const clockAt = (startAt?: number) => createManualClock(startAt === undefined ? {} : { startAt });

/** Everything that can be seen on an object itself, in order. */
const traceOf = (target: object): unknown[] =>
  Reflect.ownKeys(target).map((key) => [key, Object.getOwnPropertyDescriptor(target, key)]);

const makers: Array<[string, () => Map<string, unknown> | Set<string>]> = [
  ['a Map', () => new Map([['a', 1]])],
  ['a Set', () => new Set(['a'])],
  ['a subclass', () => new IndexedMap<unknown>([])],
  ['a Map of another realm', () => foreignMap([['a', 1]])],
];

describe('an adopted object', () => {
  it('stays the same object, of the same class, in registry.maps too', () => {
    const live = new IndexedMap<number>();
    const registry = createRegistry({ maps: { live: { adopt: live } }, clock: clockAt() });
    expect(registry.maps.live).toBe(live);
    expect(Object.getPrototypeOf(live)).toBe(IndexedMap.prototype);
    const later = new Map();
    const handle = registry.adopt('later', later);
    expect(handle.map).toBe(later);
    expect(handle.name).toBe('later');
    registry.stop();
  });

  it.each(makers)('%s shows nothing of it when it is listed or printed', (_, make) => {
    const live = make();
    const enumerable = () => Object.keys(live);
    const before = enumerable();
    adopt(live, { clock: clockAt() });
    expect(enumerable()).toEqual(before);
  });

  it('keeps its reading methods, which are the very functions that they were', () => {
    const live = new IndexedMap<number>();
    const reads = ['get', 'has', 'forEach', 'keys', 'values', 'entries', Symbol.iterator] as const;
    const before = reads.map((name) => live[name]);
    adopt(live, { clock: clockAt(), ttl: '5m', maxEntries: 5, dispose: () => {} });
    expect(reads.map((name) => live[name])).toEqual(before);
    for (const name of [...reads, 'size']) expect(Object.hasOwn(live, name)).toBe(false);
  });

  it('keeps an own get that its owner had put on it', () => {
    const live = new Map([['a', 1]]);
    let reads = 0;
    live.get = function (this: Map<string, number>, key) {
      reads += 1;
      return Map.prototype.get.call(this, key) as number | undefined;
    };
    const own = live.get;
    const handle = adopt(live, { clock: clockAt(), ttl: 0, dispose: () => {}, keepWhile: () => true });
    void handle.sweep();
    expect(live.get).toBe(own);
    expect(reads).toBe(0);
  });
});

describe('the methods of the owner', () => {
  it('a delete that maintains an index is what the sweep calls, once an entry', async () => {
    const clock = clockAt();
    const live = new IndexedMap<number>();
    live.set('apple', 1).set('avocado', 2);
    const handle = adopt(live, { ttl: '5m', clock });
    live.set('banana', 3);
    await clock.advance(300_000);
    live.set('blueberry', 4);
    const report = await handle.sweep();
    expect(report.swept).toBe(3);
    expect(live.deleteCalls).toEqual(['apple', 'avocado', 'banana']);
    expect([...live.byInitial]).toEqual([['b', new Set(['blueberry'])]]);
    expect([...live.keys()]).toEqual(['blueberry']);
  });

  it('a delete is called with the object as this, and with the key alone', async () => {
    const clock = clockAt();
    const calls: unknown[] = [];
    class Recording extends Map<string, number> {
      override delete(...given: [string]): boolean {
        calls.push([this === live, given]);
        return super.delete(...given);
      }
    }
    const live = new Recording([['a', 1]]);
    const handle = adopt(live, { ttl: 0, clock });
    await handle.sweep();
    expect(calls).toEqual([[true, ['a']]]);
  });

  it('a delete put on the object itself is what the sweep calls', async () => {
    const clock = clockAt();
    const live = new Map([['a', 1]]);
    const deleted: string[] = [];
    live.delete = (key) => {
      deleted.push(key);
      return Map.prototype.delete.call(live, key);
    };
    const handle = adopt(live, { ttl: 0, clock });
    await handle.sweep();
    expect(deleted).toEqual(['a']);
    expect(live.size).toBe(0);
  });

  it('a clear that calls delete tells of each value once, and keeps the index in step', () => {
    const disposed: unknown[] = [];
    const live = new IndexedMap<number>();
    const handle = adopt(live, {
      clock: clockAt(),
      dispose: (value, key, reason) => disposed.push([value, key, reason]),
    });
    live.set('a', 1).set('b', 2);
    live.clear();
    expect(disposed).toEqual([
      [1, 'a', 'cleared'],
      [2, 'b', 'cleared'],
    ]);
    expect(live.byInitial.size).toBe(0);
    expect(handle.stamps('a')).toBe(undefined);
  });

  it('a set that keeps keys in lower case: what it wrote is stamped at the next sweep, and swept by its delete', async () => {
    const clock = clockAt();
    const live = new LowerCaseMap<number>();
    const disposed: unknown[] = [];
    const handle = adopt(live, {
      maxIdle: '1m',
      clock,
      dispose: (value, key) => disposed.push([value, key]),
    });
    live.set('Key', 1);
    await handle.sweep();
    expect(handle.stamps('key')?.registeredAt).toBe(clock.now());
    expect(handle.stamps('Key')).toEqual(handle.stamps('key'));
    expect(handle.explain('Key')).toEqual(handle.explain('key'));
    await clock.advance(59_999);
    await handle.sweep();
    expect(live.get('KEY')).toBe(1);
    await clock.advance(1);
    await handle.sweep();
    expect(live.size).toBe(0);
    expect(disposed).toEqual([[1, 'key']]);
  });

  it('a delete that refuses keeps the entry and its stamp; it is counted, said, and tried at the next sweep', async () => {
    const clock = clockAt();
    const live = new StubbornMap([['a', 1]]);
    const failures: unknown[] = [];
    const disposed: unknown[] = [];
    const registry = createRegistry({
      maps: { live: { adopt: live, ttl: 0, dispose: (value) => disposed.push(value) } },
      clock,
    });
    registry.on('callback-failed', ({ map, callback, key, error }) =>
      failures.push([map, callback, key, (error as { code?: string }).code]),
    );
    live.obstacle = true;
    expect((await registry.sweep()).swept).toBe(0);
    expect(live.has('a')).toBe(true);
    expect(failures).toEqual([['live', 'delete', 'a', 'ERR_DELETE_REFUSED']]);
    expect(registry.stamps('live', 'a')).toBeDefined();
    expect(registry.report().maps[0]).toMatchObject({ overdue: 1, removed: { swept: 0 } });
    live.obstacle = { before: new Error('locked') };
    await registry.sweep();
    expect(live.attempts).toBe(2);
    expect(failures.length).toBe(2);
    expect(disposed).toEqual([]);
    live.obstacle = false;
    expect((await registry.sweep()).swept).toBe(1);
    expect(disposed).toEqual([1]);
    expect(registry.report().maps[0]).toMatchObject({ overdue: 0, removed: { swept: 1 } });
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('a delete that throws after it has removed the entry: the entry has left, the error is told', async () => {
    const clock = clockAt();
    const live = new StubbornMap([['a', 1]]);
    const disposed: unknown[] = [];
    const handle = adopt(live, { ttl: 0, clock, dispose: (...given) => disposed.push(given) });
    live.obstacle = { after: null };
    expect((await handle.sweep()).swept).toBe(1);
    expect(disposed).toEqual([[1, 'a', 'swept']]);
    live.set('b', 2);
    const thrown = new Error('to the owner');
    live.obstacle = { after: thrown };
    expect(() => live.delete('b')).toThrow(thrown);
    expect(disposed[1]).toEqual([2, 'b', 'deleted']);
    expect(handle.stamps('b')).toBe(undefined);
  });

  it('a delete of the owner that refuses, or throws, changes nothing and throws to its caller', () => {
    const live = new StubbornMap([['a', 1]]);
    const disposed: unknown[] = [];
    const handle = adopt(live, { clock: clockAt(), dispose: (value) => disposed.push(value) });
    const before = handle.stamps('a');
    live.obstacle = true;
    expect(live.delete('a')).toBe(false);
    live.obstacle = { before: 'no' };
    expect(() => live.delete('a')).toThrow('no');
    expect(() => live.clear()).toThrow('no');
    expect(handle.stamps('a')).toEqual(before);
    expect(disposed).toEqual([]);
  });

  it('a delete that removes others too: each value is told of once, by the reason it left for', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    class Pairs extends Map<string, string> {
      override delete(key: string): boolean {
        const other = super.get(key);
        const was = super.delete(key);
        if (other !== undefined && super.has(other)) this.delete(other);
        return was;
      }
    }
    const live = new Pairs();
    const handle = adopt(live, {
      clock,
      rules: [{ match: /^left/, ttl: 0 }],
      dispose: (_value, key, reason) => disposed.push([key, reason]),
    });
    live.set('left', 'right').set('right', 'left');
    await handle.sweep();
    expect(live.size).toBe(0);
    expect(disposed.sort()).toEqual([
      ['left', 'swept'],
      ['right', 'deleted'],
    ]);
  });

  it('a delete that adds and deletes another key meanwhile does not mix up the two', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    class Chatty extends Map<string, number> {
      override delete(key: string): boolean {
        const was = super.delete(key);
        if (key === 'a') {
          // Comes after the stamp of 'a' is gone only where delete is called for it inside.
          this.set('note', 7);
          this.delete('note');
        }
        return was;
      }
    }
    const live = new Chatty([['a', 1]]);
    const handle = adopt(live, { clock, ttl: 0, dispose: (...given) => disposed.push(given) });
    await handle.sweep();
    expect(disposed).toEqual([
      [7, 'note', 'deleted'],
      [1, 'a', 'swept'],
    ]);
  });

  it('a delete that calls itself with the same key, and then adds: two registrations, two disposals', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    let nested = false;
    class Nested extends Map<string, number> {
      override delete(key: string): boolean {
        if (key !== 'a' || nested) return super.delete(key);
        nested = true;
        this.delete(key);
        this.set('b', 2);
        this.delete('b');
        return true;
      }
    }
    const live = new Nested([['a', 1]]);
    const handle = adopt(live, { clock, ttl: 0, dispose: (...given) => disposed.push(given) });
    await handle.sweep();
    expect(disposed).toContainEqual([1, 'a', 'swept']);
    expect(disposed).toContainEqual([2, 'b', 'deleted']);
    expect(disposed.length).toBe(2);
  });

  it('a set that throws registers nothing and throws to its caller; one that threw late has registered', () => {
    class Picky extends Map<string, number> {
      override set(key: string, value: number): this {
        if (value < 0) throw new RangeError('negative');
        super.set(key, value);
        if (value === 0) throw new RangeError('zero');
        return this;
      }
    }
    const live = new Picky();
    const handle = adopt(live, { clock: clockAt() });
    expect(() => live.set('a', -1)).toThrow('negative');
    expect(handle.stamps('a')).toBe(undefined);
    expect(() => live.set('a', 0)).toThrow('zero');
    expect(handle.stamps('a')).toBeDefined();
  });
});

describe('the methods of an adopted object', () => {
  it.each([
    ['set', new Map<string, string>(), new Map<string, string>()],
    ['add', new Set<string>(), new Set<string>()],
  ])(
    '%s and delete called on another object do to that one what they do natively, and only that',
    (name, live, other) => {
      const handle = adopt(live as Map<string, string>, { clock: clockAt() });
      const methods = live as unknown as Record<string, (...parameters: unknown[]) => unknown>;
      const call = (method: string, receiver: unknown) => () => methods[method]?.call(receiver, 'a', 'b');
      expect(call(name, other)()).toBe(other);
      expect([other.has('a'), live.size]).toEqual([true, 0]);
      expect(methods[name]?.('a', 'b')).toBe(live);
      expect(call('delete', other)()).toBe(true);
      expect(call('delete', other)()).toBe(false);
      expect([other.size, handle.stamps('a')?.generation]).toEqual([0, 1]);
      for (const receiver of [undefined, null, 1, {}, Object.create(live)]) {
        for (const method of [name, 'delete'])
          expect(call(method, receiver)).toThrow('incompatible receiver');
      }
      expect(live.size).toBe(1);
      handle.release();
    },
  );

  it('called on another adopted object are as its own', () => {
    const [one, two] = [new Map<string, number>(), new Map<string, number>()];
    const [first, second] = [one, two].map((live) => adopt(live, { clock: clockAt() }));
    one.set.call(two, 'a', 1);
    expect([first?.stamps('a'), second?.stamps('a')?.generation]).toEqual([undefined, 1]);
    expect(one.delete.call(two, 'a')).toBe(true);
    expect(second?.stamps('a')).toBe(undefined);
    const { set } = one;
    first?.release();
    set.call(two, 'b', 1);
    expect(second?.stamps('b')?.generation).toBe(2);
    second?.release();
  });

  it('go on from a released object to one that was given them', () => {
    const live = new Map<string, number>();
    const handle = adopt(live, { clock: clockAt() });
    const given = Object.assign(new Map<string, number>(), { set: live.set, delete: live.delete });
    const other = adopt(given, { clock: clockAt() });
    given.set('a', 1);
    expect([other.stamps('a')?.generation, handle.stamps('a')]).toEqual([1, undefined]);
    handle.release();
    given.set('b', 2);
    expect(given.delete('a')).toBe(true);
    expect([other.stamps('a'), other.stamps('b')?.generation]).toEqual([undefined, 2]);
    other.release();
    expect([given.set('c', 3), given.size]).toEqual([given, 2]);
  });
});

describe('release', () => {
  it.each(makers)('leaves no trace on %s', (_, make) => {
    const live = make();
    const before = traceOf(live);
    const handle = adopt(live, { clock: clockAt(), ttl: '5m', maxEntries: 10 });
    expect(traceOf(live)).not.toEqual(before);
    handle.release();
    expect(traceOf(live)).toEqual(before);
    handle.release();
    expect(traceOf(live)).toEqual(before);
  });

  it('gives back own methods that were there before: as values, not enumerable, read-only, and by a getter', () => {
    const live = new Map<string, number>();
    const own = (name: 'set' | 'delete' | 'clear') => (Map.prototype[name] as () => unknown).bind(live);
    const deletion = own('delete');
    live.set = own('set') as never;
    Object.defineProperty(live, 'clear', { value: own('clear'), writable: false, configurable: true });
    Object.defineProperty(live, 'delete', { get: () => deletion, enumerable: true, configurable: true });
    const before = traceOf(live);
    const handle = adopt(live, { clock: clockAt() });
    live.set('a', 1);
    expect(handle.stamps('a')).toBeDefined();
    live.delete('a');
    expect(handle.stamps('a')).toBe(undefined);
    handle.release();
    expect(traceOf(live)).toEqual(before);
  });

  it('keeps the entries, and what the map does from then on is nobody’s business', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    const live = new Map([['a', 1]]);
    const handle = adopt(live, { ttl: 0, clock, dispose: (value) => disposed.push(value) });
    handle.release();
    expect([...live]).toEqual([['a', 1]]);
    expect((await handle.sweep()).swept).toBe(0);
    live.set('a', 2);
    live.delete('a');
    live.clear();
    expect(disposed).toEqual([]);
    expect(handle.stamps('a')).toBe(undefined);
    expect(handle.touch('a')).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('never undoes a wrapper that somebody put on top, which goes on working and reaches the map', () => {
    const live = new Map<string, number>();
    const handle = adopt(live, { clock: clockAt() });
    const seen: string[] = [];
    const below = live.set;
    const theirs = function (this: Map<string, number>, key: string, value: number) {
      seen.push(key);
      return below.call(this, key, value);
    };
    live.set = theirs as never;
    live.set('a', 1);
    expect(handle.stamps('a')).toBeDefined();
    handle.release();
    expect(live.set).toBe(theirs);
    expect(Object.hasOwn(live, 'delete')).toBe(false);
    expect(live.set('b', 2)).toBe(live);
    expect(seen).toEqual(['a', 'b']);
    expect([...live]).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    // And once more around theirs.
    const again = adopt(live, { clock: clockAt() });
    live.set('c', 3);
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(again.stamps('c')).toBeDefined();
    again.release();
    expect(live.set).toBe(theirs);
  });

  it('until then the sweep goes through that wrapper, put there before the sweep or during it', async () => {
    const clock = clockAt();
    const live = new Map([['a', 1]]);
    const handle = adopt(live, { ttl: 0, clock });
    const seen: string[] = [];
    const below = live.delete;
    live.delete = function (this: Map<string, number>, key: string) {
      seen.push(key);
      return below.call(this, key);
    };
    expect((await handle.sweep()).swept).toBe(1);
    expect(seen).toEqual(['a']);
    delete (live as { delete?: unknown }).delete;
    live.set('b', 2);
    expect((await handle.sweep()).swept).toBe(1);
    expect(live.size).toBe(0);
    expect(handle.stamps('b')).toBe(undefined);
    handle.release();
    expect(Reflect.ownKeys(live)).toEqual([]);
  });

  it('lets the object be adopted again, with stamps of its own', async () => {
    const clock = clockAt();
    const live = new Map([['a', 1]]);
    adopt(live, { clock }).release();
    await clock.advance(5_000);
    const again = adopt(live, { clock });
    expect(again.stamps('a')?.registeredAt).toBe(clock.now());
    again.release();
  });

  it('takes the name of a registry away, which is then free', () => {
    const registry = createRegistry({ maps: { first: {} }, clock: clockAt() });
    const live = new Map([['a', 1]]);
    const handle = registry.adopt('late', live, { ttl: '5m' });
    expect(() => registry.adopt('late', new Map())).toThrow("there is a map 'late' already");
    handle.release();
    expect(() => registry.stamps('late' as never, 'a')).toThrow("there is no map 'late'");
    expect(registry.report().maps.map(({ name }) => name)).toEqual(['first']);
    const other = registry.adopt('late', new Map());
    handle.release();
    expect(registry.report().maps.map(({ name }) => name)).toEqual(['first', 'late']);
    other.release();
    registry.stop();
  });

  it.each(['in a callback', 'between two slices'])(
    'a map released %s of a sweep is not swept by it, though all its entries are due',
    async (when) => {
      const clock = clockAt();
      let readings = 0;
      const slow = {
        ...clock,
        monotonic: () => clock.monotonic() + (when === 'in a callback' ? 0 : readings++),
      };
      const victim = new Map([['v', { endedAt: clock.now() - 1_000_000 }]]);
      const release = (): void => {
        if (Object.hasOwn(victim, 'delete')) handle.release();
      };
      const first = {
        adopt: new Map(Array.from({ length: 20 }, (_, n) => [n, n])),
        ttl: 0,
        dispose: () => when === 'in a callback' && release(),
      };
      const registry = createRegistry({
        maps: { first },
        clock: { ...slow, yield: async () => release() },
      });
      const handle = registry.adopt('victim', victim, { ttl: '5m', since: ({ endedAt }) => endedAt });
      await registry.sweep();
      expect(Object.hasOwn(victim, 'delete')).toBe(false);
      expect(victim.size).toBe(1);
      expect(handle.stamps('v')).toBe(undefined);
      registry.stop();
      expect(clock.pendingTimers).toBe(0);
    },
  );

  it('in its own dispose, in the middle of a sweep: the rest stays', async () => {
    const clock = clockAt();
    const live = new Map([
      ['a', 1],
      ['b', 2],
    ]);
    const handle = adopt(live, { ttl: 0, clock, dispose: () => handle.release() });
    expect((await handle.sweep()).swept).toBe(1);
    expect([...live.keys()]).toEqual(['b']);
  });
});

describe('what cannot be adopted', () => {
  const refusalOf = (call: () => unknown): { code?: string; message?: string; name?: string } => {
    try {
      call();
    } catch (error) {
      return error as never;
    }
    return {};
  };

  it.each([
    ['a map that is adopted', () => adoptedMap()],
    ['a TrackedMap', () => new TrackedMap()],
    ['a map of a registry', () => createRegistry({ maps: { a: {} }, clock: clockAt() }).maps.a],
  ])('%s is tracked already, for adopt, createRegistry and registry.adopt alike', (_, make) => {
    const live = make() as Map<unknown, unknown>;
    const registry = createRegistry({ maps: {}, clock: clockAt() });
    for (const call of [
      () => adopt(live),
      () => createRegistry({ maps: { again: { adopt: live } }, clock: clockAt() }),
      () => registry.adopt('again', live),
    ]) {
      expect(refusalOf(call)).toMatchObject({ name: 'TypeError', code: 'ERR_ALREADY_TRACKED' });
    }
    expect(registry.report().maps).toEqual([]);
    registry.stop();
  });

  function adoptedMap() {
    const live = new Map();
    adopt(live, { clock: clockAt() });
    return live;
  }

  it('a map that another copy of this package tracks, in either direction, until that releases it', async () => {
    vi.resetModules();
    const copy = await import('mapsweep');
    expect(copy.adopt).not.toBe(adopt);
    const live = new Map();
    const handle = copy.adopt(live, { clock: clockAt() });
    expect(refusalOf(() => adopt(live))).toMatchObject({ code: 'ERR_ALREADY_TRACKED' });
    handle.release();
    const own = adopt(live, { clock: clockAt() });
    expect(refusalOf(() => copy.adopt(live))).toMatchObject({ code: 'ERR_ALREADY_TRACKED' });
    own.release();
    expect(refusalOf(() => copy.adopt(new TrackedMap()))).toMatchObject({ code: 'ERR_ALREADY_TRACKED' });
    expect(refusalOf(() => adopt(new copy.TrackedMap()))).toMatchObject({ code: 'ERR_ALREADY_TRACKED' });
  });

  it('one object under two names', () => {
    const live = new Map();
    const before = traceOf(live);
    expect(
      refusalOf(() => createRegistry({ maps: { a: { adopt: live }, b: { adopt: live } }, clock: clockAt() })),
    ).toMatchObject({ code: 'ERR_ALREADY_TRACKED', message: expect.stringContaining('maps.b.adopt') });
    expect(traceOf(live)).toEqual(before);
  });

  it.each<[string, unknown, string, string]>([
    ['a frozen Map', Object.freeze(new Map()), 'ERR_NOT_ADOPTABLE', 'frozen'],
    ['a sealed Map', Object.seal(Object.assign(new Map(), { own: 1 })), 'ERR_NOT_ADOPTABLE', 'sealed'],
    [
      'a Map that is not extensible',
      Object.preventExtensions(Object.assign(new Map(), { own: 1 })),
      'ERR_NOT_ADOPTABLE',
      'not extensible',
    ],
    ['a Proxy of a Map', new Proxy(new Map(), {}), 'ERR_NOT_ADOPTABLE', 'a Proxy'],
    ['a WeakMap', new WeakMap(), 'ERR_NOT_A_MAP', 'Weak collections'],
    ['an object', {}, 'ERR_NOT_A_MAP', 'a Map or a Set'],
    ['an array', [['a', 1]], 'ERR_NOT_A_MAP', 'a Map or a Set'],
    ['null', null, 'ERR_NOT_A_MAP', 'a Map or a Set'],
    ['nothing', undefined, 'ERR_NOT_A_MAP', 'a Map or a Set'],
  ])('%s', (_, value, code, part) => {
    const registry = createRegistry({ maps: {}, clock: clockAt() });
    for (const call of [() => adopt(value as never), () => registry.adopt('name', value as never)]) {
      expect(refusalOf(call)).toMatchObject({
        name: 'TypeError',
        code,
        message: expect.stringContaining(part),
      });
    }
    if (value !== undefined) {
      const call = () => createRegistry({ maps: { name: { adopt: value as never } }, clock: clockAt() });
      expect(refusalOf(call)).toMatchObject({ code, message: expect.stringContaining('maps.name.adopt') });
    }
    expect(registry.report().maps).toEqual([]);
    registry.stop();
  });

  it('changes nothing where an option is wrong', () => {
    const live = new Map([['a', 1]]);
    const before = traceOf(live);
    expect(refusalOf(() => adopt(live, { ttl: 'never' as never }))).toMatchObject({
      code: 'ERR_INVALID_DURATION',
    });
    expect(refusalOf(() => adopt(live, { follows: 'sessions' } as never)).code).toBe('ERR_INVALID_OPTION');
    expect(refusalOf(() => adopt(live, { adopt: new Map() } as never)).code).toBe('ERR_INVALID_OPTION');
    expect(refusalOf(() => adopt(live, { nme: 'x' } as never))).toMatchObject({
      code: 'ERR_UNKNOWN_OPTION',
      message: expect.stringContaining('name'),
    });
    expect(refusalOf(() => adopt(live, { clock: {} as never })).message).toContain('clock.now');
    expect(traceOf(live)).toEqual(before);
    adopt(live, { clock: clockAt() }).release();
  });

  it('names the option whose getter throws, and adopts nothing', () => {
    const live = new Map<string, unknown>();
    const options = {
      get maxIdle(): number {
        throw new Error('a getter ran');
      },
    };
    const refusal = { code: 'ERR_INVALID_OPTION', message: 'maxIdle cannot be read: its getter threw' };
    expect(refusalOf(() => adopt(live, options))).toMatchObject(refusal);
    expect(refusalOf(() => new TrackedMap([], options))).toMatchObject(refusal);
    expect(Object.getOwnPropertyNames(live)).toEqual([]);
  });
});

describe('an adopted Set', () => {
  it('stamps members: add registers, add again touches and replaces nothing, delete and clear dispose', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    const live = new Set(['old']);
    const handle = adopt(live, { maxIdle: '1m', clock, dispose: (...given) => disposed.push(given) });
    const startedAt = clock.now();
    expect(live.add('a')).toBe(live);
    await clock.advance(30_000);
    live.add('a');
    expect(handle.stamps('a')).toMatchObject({ registeredAt: startedAt, lastActiveAt: startedAt + 30_000 });
    expect(disposed).toEqual([]);
    await clock.advance(30_000);
    await handle.sweep();
    expect([...live]).toEqual(['a']);
    expect(disposed).toEqual([['old', 'old', 'swept']]);
    live.delete('a');
    live.add('b');
    live.clear();
    expect(disposed.slice(1)).toEqual([
      ['a', 'a', 'deleted'],
      ['b', 'b', 'cleared'],
    ]);
  });

  it('gives the member as value and as key to policy functions, and keeps NaN, -0 and objects', async () => {
    const clock = clockAt();
    const asked: unknown[] = [];
    const live = new Set<unknown>();
    const handle = adopt(live, {
      clock,
      ttl: '1m',
      since: (value, key) => {
        asked.push([value, key]);
        return undefined;
      },
    });
    const member = {};
    live.add(Number.NaN).add(-0).add(0).add(member);
    expect(live.size).toBe(3);
    expect(handle.stamps(0)).toEqual(handle.stamps(-0));
    expect(handle.stamps(Number.NaN)).toBeDefined();
    await handle.sweep();
    expect(asked).toContainEqual([Number.NaN, Number.NaN]);
    expect(asked).toContainEqual([member, member]);
  });
});

describe('writes past the wrapper', () => {
  it('are stamped as of the next sweep, where sizes differ', async () => {
    const clock = clockAt();
    const live = new Map([['seen', 1]]);
    const handle = adopt(live, { ttl: '5m', clock });
    Map.prototype.set.call(live, 'bypass', 2);
    expect(handle.stamps('bypass')).toBe(undefined);
    expect(handle.explain('bypass').state).toBe('untracked');
    await clock.advance(10_000);
    await handle.sweep();
    expect(handle.stamps('bypass')?.registeredAt).toBe(clock.now());
    await clock.advance(299_999);
    await handle.sweep();
    expect([...live.keys()]).toEqual(['bypass']);
    await clock.advance(1);
    await handle.sweep();
    expect(live.size).toBe(0);
  });

  it('are stamped `now` even where `unstamped` is `expired`, which is for adoption alone', async () => {
    const clock = clockAt();
    const live = new Map([['old', 1]]);
    const handle = adopt(live, { ttl: '5m', unstamped: 'expired', clock });
    Map.prototype.set.call(live, 'bypass', 2);
    await handle.sweep();
    expect([...live.keys()]).toEqual(['bypass']);
    expect(handle.stamps('bypass')?.registeredAt).toBe(clock.now());
  });

  it('deletions are noticed at the next sweep: counted as deleted, without dispose, whose value is not known', async () => {
    const clock = clockAt();
    const disposed: unknown[] = [];
    const live = new Map([['a', 1]]);
    const registry = createRegistry({
      maps: { live: { adopt: live, ttl: '5m', dispose: (value) => disposed.push(value) } },
      clock,
    });
    Map.prototype.delete.call(live, 'a');
    await registry.sweep();
    expect(registry.stamps('live', 'a')).toBe(undefined);
    expect(registry.report().maps[0]?.removed.deleted).toBe(1);
    expect(disposed).toEqual([]);
    registry.stop();
  });

  it('a clear past the wrapper leaves no stamp after the next sweep', async () => {
    const clock = clockAt();
    const live = new Map(Array.from({ length: 100 }, (_, n) => [n, n]));
    const registry = createRegistry({ maps: { live: { adopt: live, ttl: '5m' } }, clock });
    Map.prototype.clear.call(live);
    live.set(1, 1);
    await registry.sweep();
    expect(registry.report().maps[0]).toMatchObject({ size: 1, removed: { deleted: 100 } });
    expect(registry.stamps('live', 1)?.registeredAt).toBe(clock.now());
    registry.stop();
  });

  it('a key deleted past the wrapper and set again is a new registration', async () => {
    const clock = clockAt();
    const live = new Map([['a', 1]]);
    const handle = adopt(live, { clock });
    const before = handle.stamps('a');
    Map.prototype.delete.call(live, 'a');
    await clock.advance(1_000);
    live.set('a', 2);
    expect(handle.stamps('a')?.registeredAt).toBe(clock.now());
    expect(handle.stamps('a')?.generation).toBeGreaterThan(before?.generation ?? Number.POSITIVE_INFINITY);
  });

  it('a delete or an overwrite of what was written past the wrapper tells of its value', () => {
    const told: unknown[] = [];
    const live = new Map<string, number>();
    const tell = (...given: unknown[]) => told.push(given);
    const handle = adopt(live, { clock: clockAt(), dispose: tell, replaced: tell });
    Map.prototype.set.call(live, 'a', 1);
    live.delete('a');
    Map.prototype.set.call(live, 'b', 2);
    live.set('b', 3);
    expect(told).toEqual([
      [1, 'a', 'deleted'],
      [2, 'b', 3],
    ]);
    expect(handle.stamps('b')).toBeDefined();
  });
});

describe('entries that were there first', () => {
  const startAt = 1_800_000_000_000;
  const live = () => new Map([['old', { bornAt: startAt - 200_000 }]]);

  it('are stamped `now` by default, and get their whole lifetime', async () => {
    const clock = clockAt(startAt);
    const map = live();
    const handle = adopt(map, { ttl: '5m', clock });
    expect(handle.stamps('old')).toMatchObject({ registeredAt: startAt, lastActiveAt: startAt });
    await clock.advance(299_999);
    await handle.sweep();
    expect(map.size).toBe(1);
    await clock.advance(1);
    await handle.sweep();
    expect(map.size).toBe(0);
  });

  it.each([{ ttl: '5m' }, { maxIdle: '24h' }, { maxAge: '100y' }] as const)(
    'are due at once as `expired`, by %o, with registeredAt 0',
    async (lifetime) => {
      const clock = clockAt(startAt);
      const map = live();
      const handle = adopt(map, { ...lifetime, unstamped: 'expired', clock });
      expect(handle.stamps('old')).toMatchObject({ registeredAt: 0, lastActiveAt: 0 });
      map.set('new', { bornAt: startAt });
      expect((await handle.sweep()).swept).toBe('maxAge' in lifetime ? 0 : 1);
      expect(map.has('new')).toBe(true);
    },
  );

  it.each([3_600_000, -3_600_000, 500])(
    'have registeredAt 0 as `expired` also after the wall clock has jumped by %i ms',
    async (byMs) => {
      const clock = clockAt(startAt);
      const registry = createRegistry({ maps: {}, clock });
      clock.jumpWall(byMs);
      await registry.sweep();
      const map = live();
      const handle = registry.adopt('late', map, { ttl: '5m', unstamped: 'expired' });
      expect(handle.stamps('old')).toMatchObject({ registeredAt: 0, lastActiveAt: 0 });
      await registry.sweep();
      expect(map.size).toBe(0);
      registry.stop();
    },
  );

  it('take the instant that a function knows, and are due to the ms by it', async () => {
    const clock = clockAt(startAt);
    const map = live();
    const handle = adopt(map, { ttl: '5m', unstamped: ({ bornAt }) => bornAt, clock });
    expect(handle.stamps('old')?.registeredAt).toBe(startAt - 200_000);
    await clock.advance(99_999);
    await handle.sweep();
    expect(map.size).toBe(1);
    await clock.advance(1);
    await handle.sweep();
    expect(map.size).toBe(0);
  });

  it('take an instant in the future for now', async () => {
    const clock = clockAt(startAt);
    const map = live();
    const handle = adopt(map, { ttl: '5m', unstamped: () => startAt + 1_000_000, clock });
    expect(handle.stamps('old')?.registeredAt).toBe(startAt);
    await clock.advance(300_000);
    await handle.sweep();
    expect(map.size).toBe(0);
  });

  it.each<[string, () => unknown]>([
    ['throws', () => assert()],
    ['answers NaN', () => Number.NaN],
    ['answers seconds', () => startAt / 1_000],
    ['answers nothing', () => undefined],
    ['answers Infinity', () => Number.POSITIVE_INFINITY],
    ['answers a promise', async () => Promise.reject(new Error('late'))],
    ['answers a text', () => String(startAt)],
  ])('are stamped `now` where the function %s, which is counted and said', (_, unstamped) => {
    const clock = clockAt(startAt);
    const map = live().set('other', { bornAt: startAt });
    const registry = createRegistry({ maps: { other: {} }, clock });
    const failures: unknown[] = [];
    registry.on('callback-failed', ({ map: name, callback, key }) => failures.push([name, callback, key]));
    const handle = registry.adopt('live', map, {
      unstamped: ((_value: unknown, key: string) => (key === 'other' ? startAt - 5 : unstamped())) as never,
    });
    expect(handle.stamps('old')?.registeredAt).toBe(startAt);
    expect(handle.stamps('other')?.registeredAt).toBe(startAt - 5);
    expect(failures).toEqual([['live', 'unstamped', 'old']]);
    registry.stop();
  });

  it('may be changed by the function that is asked about them', () => {
    const clock = clockAt(startAt);
    const map = new Map([
      ['a', 1],
      ['b', 2],
    ]);
    const handle = adopt(map, {
      clock,
      unstamped: (_value, key) => {
        map.delete('b');
        map.set(`${key}!`, 3);
        return startAt - 10;
      },
    });
    expect([...map.keys()]).toEqual(['a', 'a!']);
    expect(handle.stamps('a')?.registeredAt).toBe(startAt - 10);
    expect(handle.stamps('a!')?.registeredAt).toBe(startAt);
  });
});

function assert(): never {
  throw new Error('no idea');
}
