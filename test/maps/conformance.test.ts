import { inspect } from 'node:util';
import fc from 'fast-check';
import { adopt, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { foreignMap } from './owner-maps.js';

type Entries = Iterable<readonly [unknown, unknown]>;
type AnyMap = Map<unknown, unknown>;

// A class with methods of its own, all of which must still run.
class CountingMap extends Map<unknown, unknown> {
  calls = 0;

  override set(key: unknown, value: unknown): this {
    this.calls += 1;
    return super.set(key, value);
  }

  override delete(key: unknown): boolean {
    this.calls += 1;
    return super.delete(key);
  }

  override clear(): void {
    this.calls += 1;
    super.clear();
  }
}

class TrackedSubclass extends TrackedMap<unknown, unknown> {
  readonly seen: unknown[] = [];

  override set(key: unknown, value: unknown): this {
    // Runs during construction too, before the field is there, as in any subclass of Map.
    this.seen?.push(key);
    return super.set(key, value);
  }
}

const clock = createManualClock();
const adopted = (map: AnyMap): AnyMap => {
  adopt(map, { ttl: '5m', dispose: () => {}, maxEntries: 1_000, clock });
  return map;
};

const subjects: Array<[string, (entries?: Entries) => AnyMap]> = [
  ['Map', (entries) => new Map(entries)],
  ['TrackedMap', (entries) => new TrackedMap(entries, { clock })],
  [
    'TrackedMap with every callback',
    (entries) =>
      new TrackedMap(entries, {
        clock,
        ttl: '5m',
        since: () => undefined,
        expiresAt: () => undefined,
        activeAt: () => undefined,
        maxIdle: '1h',
        maxAge: '1d',
        keepWhile: () => true,
        rules: [{ match: /^never$/, ttl: 1 }],
        maxEntries: 1_000,
        dispose: () => {},
        beforeSweep: () => {},
      }),
  ],
  ['subclass of TrackedMap', (entries) => new TrackedSubclass(entries, { clock })],
  ['adopted Map', (entries) => adopted(new Map(entries))],
  ['adopted subclass', (entries) => adopted(new CountingMap(entries))],
  ['adopted Map of another realm', (entries) => adopted(foreignMap(entries))],
];

const anObject = { name: 'object' };
const aSymbol = Symbol('key');
const aFunction = () => {};
const oddKeys: unknown[] = [
  Number.NaN,
  -0,
  0,
  '',
  '0',
  '__proto__',
  'constructor',
  null,
  undefined,
  true,
  1n,
  Number.POSITIVE_INFINITY,
  anObject,
  aSymbol,
  Symbol.for('mapsweep.tracked'),
  aFunction,
  [],
];

/** What a call came to: its result, with the map itself by name, or the kind of its exception. */
function outcomeOf(map: AnyMap, call: () => unknown): unknown {
  try {
    const result = call();
    return { result: result === map ? 'the map' : result };
  } catch (error) {
    return { threw: (error as Error).name, sameRealm: error instanceof Error };
  }
}

const entriesOf = (map: AnyMap): Array<[unknown, unknown]> => [...Map.prototype.entries.call(map)] as never;

beforeEach(() => {
  // A timer that is set for a capacity pass alone; no test here goes beyond 1,000 entries.
  expect(clock.pendingTimers).toBe(0);
});

describe.each(subjects)('%s does what a Map does', (name, make) => {
  it('is a Map to instanceof, to toString and to the engine', () => {
    const map = make([['a', 1]]);
    if (!name.includes('realm')) expect(map).toBeInstanceOf(Map);
    expect(Object.prototype.toString.call(map)).toBe('[object Map]');
    expect(Map.prototype.get.call(map, 'a')).toBe(1);
    expect(map.size).toBe(1);
  });

  it.each(oddKeys.map((key) => [key]))('keeps the key %o', (key) => {
    const map = make();
    const model = new Map();
    const value = { of: key };
    expect(map.set(key, value)).toBe(map);
    model.set(key, value);
    expect(map.has(key)).toBe(true);
    expect(map.get(key)).toBe(value);
    expect(Object.is([...map.keys()][0], [...model.keys()][0])).toBe(true);
    expect(map.delete(key)).toBe(true);
    expect(map.delete(key)).toBe(false);
    expect(map.has(key)).toBe(false);
    expect(map.size).toBe(0);
  });

  it('takes -0 and 0 for one key, NaN for one, and "1" and 1 for two', () => {
    const map = make();
    map.set(-0, 'minus').set(0, 'plus').set(Number.NaN, 1).set(Number.NaN, 2).set('1', 's').set(1, 'n');
    expect(map.size).toBe(4);
    expect(map.get(-0)).toBe('plus');
    expect(map.get(Number.NaN)).toBe(2);
    expect(map.delete(-0)).toBe(true);
    expect(map.has(0)).toBe(false);
  });

  it('keeps undefined as a value', () => {
    const map = make();
    map.set('a', undefined);
    expect(map.has('a')).toBe(true);
    expect(map.size).toBe(1);
    expect(map.delete('a')).toBe(true);
  });

  it('takes calls with too few and too many arguments', () => {
    const map = make() as unknown as Record<'set' | 'delete' | 'clear', (...given: unknown[]) => unknown>;
    expect(map.set()).toBe(map);
    expect(entriesOf(map as never)).toEqual([[undefined, undefined]]);
    expect(map.delete('a', 'b')).toBe(false);
    expect(map.delete()).toBe(true);
    expect(map.set('a', 1, 2, 3)).toBe(map);
    expect(map.clear('x')).toBe(undefined);
    expect((map as never as AnyMap).size).toBe(0);
  });

  it('lists entries in the order in which their keys were first set', () => {
    const map = make([
      ['b', 1],
      ['a', 2],
    ]);
    map.set('c', 3).set('b', 4);
    map.delete('a');
    map.set('a', 5);
    expect([...map]).toEqual([
      ['b', 4],
      ['c', 3],
      ['a', 5],
    ]);
    expect([...map.keys()]).toEqual(['b', 'c', 'a']);
    expect([...map.values()]).toEqual([4, 3, 5]);
    const seen: unknown[] = [];
    map.forEach(function (this: unknown, value, key, of) {
      seen.push([key, value, of === map, this]);
    }, 'this');
    expect(seen).toEqual([
      ['b', 4, true, 'this'],
      ['c', 3, true, 'this'],
      ['a', 5, true, 'this'],
    ]);
  });

  it('shows an iteration what is added and deleted during it', () => {
    const map = make([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    const seen: unknown[] = [];
    for (const [key] of map) {
      seen.push(key);
      if (key === 'a') {
        map.delete('b');
        map.set('d', 4);
      }
      if (key === 'd') map.set('e', 5);
    }
    expect(seen).toEqual(['a', 'c', 'd', 'e']);
    const cut: unknown[] = [];
    for (const key of map.keys()) {
      cut.push(key);
      map.clear();
    }
    expect(cut).toEqual(['a']);
    expect(map.size).toBe(0);
  });

  it('goes on with an iterator across clear and set', () => {
    const map = make([['a', 1]]);
    const iterator = map.entries();
    map.clear();
    map.set('z', 26);
    expect(iterator.next()).toEqual({ value: ['z', 26], done: false });
    expect(iterator.next()).toEqual({ value: undefined, done: true });
    map.set('y', 25);
    expect(iterator.next().done).toBe(true);
  });

  it('throws a TypeError where a method is called on something else', () => {
    const map = make() as unknown as Record<string, (...given: unknown[]) => unknown>;
    const methods = ['set', 'get', 'has', 'delete', 'clear', 'forEach', 'keys', 'values', 'entries'];
    for (const method of methods) {
      for (const receiver of [undefined, {}, new Set(), new WeakMap()]) {
        // Not `toThrow(TypeError)`: a Map of another realm throws that realm's.
        expect(outcomeOf(map as never, () => map[method]?.call(receiver, aFunction))).toMatchObject({
          threw: 'TypeError',
        });
      }
    }
    expect(outcomeOf(map as never, () => map.forEach?.('no function'))).toMatchObject({ threw: 'TypeError' });
  });

  it('lets another Map use its methods, and is used by those of Map', () => {
    const map = make();
    Map.prototype.set.call(map, 'a', 1);
    expect(map.get('a')).toBe(1);
    expect(Map.prototype.delete.call(map, 'a')).toBe(true);
    expect(map.size).toBe(0);
  });

  it('is cloned by structuredClone as a Map with copies of its values', () => {
    const value = { deep: [1] };
    const map = make([['a', value]]);
    const clone = structuredClone(map);
    expect(Object.getPrototypeOf(clone)).toBe(Map.prototype);
    expect(clone).toEqual(new Map([['a', value]]));
    expect(clone.get('a')).not.toBe(value);
    clone.set('b', 1);
    expect(map.has('b')).toBe(false);
  });

  it('prints its entries and nothing else', () => {
    const printed = inspect(make([['a', 1]]));
    expect(printed).toMatch(/^\w+\(1\) (\[Map\] )?\{ 'a' => 1(, (calls: 0|seen: \[\]))? \}$/);
    // Fields of the subclass itself, and nothing of ours.
    const fields = { 'adopted subclass': { calls: 0 }, 'subclass of TrackedMap': { seen: [] } }[name] ?? {};
    expect(Object.entries(make([['a', 1]]))).toEqual(Object.entries(fields));
    expect(JSON.stringify(make([['a', 1]]))).toBe(JSON.stringify(fields));
  });

  it('is spread, copied and compared as a Map is', () => {
    const map = make([['a', 1]]);
    expect(new Map(map)).toEqual(new Map([['a', 1]]));
    expect(Object.fromEntries(map)).toEqual({ a: 1 });
    expect(Array.from(map)).toEqual([['a', 1]]);
    expect(new Map([['a', 1]])).toEqual(new Map(map.entries()));
  });

  it('does what a Map does in any sequence of calls', () => {
    const key = fc.constantFrom(...oddKeys.slice(0, 9), 'a', 'b', 'c', anObject);
    const call = fc.oneof(
      fc.record({ method: fc.constant('set' as const), key, value: fc.nat(5) }),
      fc.record({ method: fc.constantFrom('delete', 'get', 'has'), key, value: fc.constant(0) }),
      fc.record({ method: fc.constant('clear'), key: fc.constant(0), value: fc.constant(0) }),
      fc.record({ method: fc.constant('walk'), key, value: fc.nat(3) }),
    );
    const run = (map: AnyMap, calls: ReadonlyArray<{ method: string; key: unknown; value: number }>) => {
      const trace: unknown[] = [];
      for (const { method, key: given, value } of calls) {
        if (method === 'walk') {
          // Changes the map while it is being walked; bounded, since a walk that adds may never end.
          let steps = 0;
          for (const [at, held] of map) {
            trace.push(at, held);
            if (steps === value) map.delete(at);
            if (steps === value + 1) map.set(given, steps);
            steps += 1;
            if (steps > 20) break;
          }
        } else {
          const methods = map as unknown as Record<string, (...parameters: unknown[]) => unknown>;
          trace.push(outcomeOf(map, () => methods[method]?.(given, value)));
        }
        trace.push(map.size);
      }
      return [trace, entriesOf(map)];
    };
    fc.assert(
      fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
        expect(run(make(), calls)).toEqual(run(new Map(), calls));
      }),
      { numRuns: 60 },
    );
  });
});

describe('the constructor of TrackedMap', () => {
  const constructors: Array<[string, (entries?: unknown) => AnyMap]> = [
    ['Map', (entries) => new Map(entries as never)],
    ['TrackedMap', (entries) => new TrackedMap(entries as never, { clock })],
  ];

  it.each(constructors)(
    '%s takes nothing, null, pairs, longer arrays, holes and anything with 0 and 1',
    (_, make) => {
      expect(make().size).toBe(0);
      expect(make(null).size).toBe(0);
      expect(make(undefined).size).toBe(0);
      const odd = Object.assign(() => {}, { 0: 'from a function', 1: 5 });
      // biome-ignore lint/suspicious/noSparseArray: a hole is the point
      const entries = [['a', 1, 2], [, 'hole'], { 0: 'object', 1: 3 }, [], new String('xy'), odd];
      expect([...make(entries)]).toEqual([
        ['a', 1],
        [undefined, undefined],
        ['object', 3],
        ['x', 'y'],
        ['from a function', 5],
      ]);
    },
  );

  it.each(constructors)('%s refuses what is no iterable and what is no entry', (_, make) => {
    for (const entries of [5, true, {}, Symbol('s'), 1n]) {
      expect(() => make(entries)).toThrow(TypeError);
    }
    for (const entry of [1, 'ab', null, undefined, true, Symbol('s')]) {
      expect(() => make([entry])).toThrow(TypeError);
      if (typeof entry !== 'symbol') {
        expect(() => make([entry])).toThrow(`Iterator value ${String(entry)} is not an entry object`);
      }
    }
    expect(() => make('')).not.toThrow();
    expect(() => make('ab')).toThrow(TypeError);
  });

  it.each(constructors)('%s closes the iterator where an entry is wrong or its getter throws', (_, make) => {
    let closed = 0;
    function* entries(bad: unknown) {
      try {
        yield ['a', 1];
        yield bad;
        yield ['b', 2];
      } finally {
        closed += 1;
      }
    }
    expect(() => make(entries(7))).toThrow(TypeError);
    expect(closed).toBe(1);
    const thrown = new Error('getter');
    const bad = {
      get 0() {
        throw thrown;
      },
    };
    expect(() => make(entries(bad))).toThrow(thrown);
    expect(closed).toBe(2);
  });

  it.each(constructors)('%s passes on what the iterator throws', (_, make) => {
    const thrown = new Error('next');
    const broken = {
      [Symbol.iterator]: () => ({
        next() {
          throw thrown;
        },
        return() {
          throw new Error('must not be closed: it failed by itself');
        },
      }),
    };
    expect(() => make(broken)).toThrow(thrown);
  });

  it('calls an overridden set, as the constructor of Map does', () => {
    class Doubling extends TrackedMap<string, number> {
      override set(key: string, value: number): this {
        return super.set(key, value * 2);
      }
    }
    expect([...new Doubling([['a', 1]], { clock })]).toEqual([['a', 2]]);
    class Refusing extends TrackedMap<string, number> {
      override set(): this {
        throw new Error('no');
      }
    }
    expect(() => new Refusing([['a', 1]], { clock })).toThrow('no');
    expect(() => new Refusing(undefined, { clock })).not.toThrow();
  });

  it('lets a subclass have fields, private state, its own iterator and another species', () => {
    class Fancy extends TrackedMap<string, number> {
      readonly label = 'fancy';
      #secret = 7;

      get secret(): number {
        return this.#secret;
      }

      static override get [Symbol.species](): MapConstructor {
        return Map;
      }
    }
    const fancy = new Fancy([['a', 1]], { clock, name: 'fancy ones' });
    expect(fancy).toBeInstanceOf(TrackedMap);
    expect(fancy.label).toBe('fancy');
    expect(fancy.secret).toBe(7);
    expect(fancy.name).toBe('fancy ones');
    expect(fancy.stamps('a')?.generation).toBeGreaterThan(0);
    expect(Object.prototype.toString.call(fancy)).toBe('[object Map]');
  });

  it('takes another map as its entries, and is taken as such', () => {
    const first = new TrackedMap([['a', { n: 1 }]], { clock });
    const second = new TrackedMap(first, { clock });
    first.delete('a');
    expect(second.get('a')).toEqual({ n: 1 });
  });
});

describe('methods look the same', () => {
  it.each(['set', 'get', 'has', 'delete', 'clear', 'forEach', 'entries', 'keys', 'values'])(
    '%s has the name and length that it has on a Map',
    (method) => {
      const native = (Map.prototype as never)[method] as (...parameters: never[]) => unknown;
      for (const [name, make] of subjects) {
        const own = (make() as never)[method] as (...parameters: never[]) => unknown;
        expect([name, own.name, own.length]).toEqual([name, native.name, native.length]);
      }
    },
  );

  it('leaves reading methods as they are, on a TrackedMap and on an adopted Map', () => {
    for (const map of [new TrackedMap(undefined, { clock }), adopted(new Map())]) {
      for (const method of ['get', 'has', 'forEach', 'entries', 'keys', 'values', Symbol.iterator]) {
        expect(Object.hasOwn(map, method)).toBe(false);
        expect((map as never)[method]).toBe((Map.prototype as never)[method]);
      }
      let prototype = Object.getPrototypeOf(map);
      while (!Object.hasOwn(prototype, 'size')) prototype = Object.getPrototypeOf(prototype);
      expect(prototype).toBe(Map.prototype);
    }
  });
});

describe('on an engine that has getOrInsert and getOrInsertComputed', () => {
  // As the proposal has them, for Node 20 has neither: https://tc39.es/proposal-upsert/
  const get = Map.prototype.get;
  const has = Map.prototype.has;
  const set = Map.prototype.set;
  const upserts = {
    getOrInsert(this: AnyMap, key: unknown, value: unknown): unknown {
      if (!has.call(this, key)) set.call(this, key, value);
      return get.call(this, key);
    },
    getOrInsertComputed(this: AnyMap, key: unknown, compute: (key: unknown) => unknown): unknown {
      has.call(this, key);
      if (typeof compute !== 'function') throw new TypeError(`${String(compute)} is not a function`);
      if (has.call(this, key)) return get.call(this, key);
      const value = compute(key === 0 ? 0 : key);
      set.call(this, key, value);
      return value;
    },
  };
  type Upserting = AnyMap & typeof upserts;
  const had = ['getOrInsert', 'getOrInsertComputed'].map(
    (name) => [name, Object.getOwnPropertyDescriptor(Map.prototype, name)] as const,
  );
  let fresh: typeof import('mapsweep');

  beforeEach(async () => {
    for (const [name, descriptor] of had) {
      if (descriptor !== undefined) continue;
      const value = upserts[name as keyof typeof upserts];
      Object.defineProperty(Map.prototype, name, { value, writable: true, configurable: true });
    }
    vi.resetModules();
    fresh = await import('mapsweep');
  });

  afterEach(() => {
    for (const [name, descriptor] of had) {
      if (descriptor === undefined) delete (Map.prototype as never as Record<string, unknown>)[name];
    }
  });

  const makers: Array<[string, () => Upserting]> = [
    ['Map', () => new Map() as Upserting],
    ['TrackedMap', () => new fresh.TrackedMap(undefined, { clock }) as never],
    [
      'adopted Map',
      () => {
        const map = new Map();
        fresh.adopt(map, { clock });
        return map as Upserting;
      },
    ],
  ];

  it.each(makers)('%s inserts what is absent and reads what is present', (_, make) => {
    const map = make();
    expect(map.getOrInsert('a', 1)).toBe(1);
    expect(map.getOrInsert('a', 2)).toBe(1);
    expect(map.getOrInsertComputed('b', (key) => `of ${String(key)}`)).toBe('of b');
    expect(
      map.getOrInsertComputed('b', () => {
        throw new Error('called for a present key');
      }),
    ).toBe('of b');
    map.set('u', undefined);
    expect(map.getOrInsert('u', 1)).toBe(undefined);
    expect([...map]).toEqual([
      ['a', 1],
      ['b', 'of b'],
      ['u', undefined],
    ]);
  });

  it.each(makers)('%s computes with the key as the map keeps it, and once', (_, make) => {
    const map = make();
    const asked: unknown[] = [];
    map.getOrInsertComputed(-0, (key) => asked.push(Object.is(key, 0)));
    expect(asked).toEqual([true]);
    expect(Object.is([...map.keys()][0], 0)).toBe(true);
    expect(map.getOrInsertComputed(Number.NaN, () => 'n')).toBe('n');
    expect(map.getOrInsert(Number.NaN, 'm')).toBe('n');
  });

  it.each(makers)('%s passes on what the callback throws and inserts nothing', (_, make) => {
    const map = make();
    const thrown = new Error('compute');
    expect(() =>
      map.getOrInsertComputed('a', () => {
        throw thrown;
      }),
    ).toThrow(thrown);
    expect(map.size).toBe(0);
    for (const compute of [undefined, 1, {}]) {
      expect(() => map.getOrInsertComputed('a', compute as never)).toThrow(TypeError);
      map.set('present', 1);
      expect(() => map.getOrInsertComputed('present', compute as never)).toThrow(TypeError);
    }
  });

  it.each(makers)('%s lets the callback set the very key, and the computed value wins', (_, make) => {
    const map = make();
    expect(
      map.getOrInsertComputed('a', (key) => {
        map.set(key, 'by the callback');
        return 'computed';
      }),
    ).toBe('computed');
    expect([...map]).toEqual([['a', 'computed']]);
    expect(
      map.getOrInsertComputed('b', () => {
        map.clear();
        return 1;
      }),
    ).toBe(1);
    expect([...map]).toEqual([['b', 1]]);
  });

  it('stamps what they insert, and takes a read by them for no activity', async () => {
    const live = new Map();
    const tracked = new fresh.TrackedMap<unknown, unknown>(undefined, { clock });
    for (const [map, handle] of [
      [live, fresh.adopt(live, { clock })],
      [tracked, tracked],
    ] as const) {
      const upserting = map as Upserting;
      upserting.getOrInsert('a', 1);
      await clock.advance(10);
      const before = handle.stamps('a');
      expect(before?.registeredAt).toBe(clock.now() - 10);
      upserting.getOrInsert('a', 2);
      upserting.getOrInsertComputed('b', () => 1);
      expect(handle.stamps('a')).toEqual(before);
      expect(handle.stamps('b')?.registeredAt).toBe(clock.now());
    }
  });

  it('tells that the value is replaced which the callback of getOrInsertComputed had set itself', () => {
    const told: unknown[] = [];
    const dispose = (value: unknown) => told.push([value, 'disposed']);
    const replaced = (...given: unknown[]) => told.push(given);
    const tracked = new fresh.TrackedMap<unknown, unknown>(undefined, {
      clock,
      dispose,
      replaced,
    }) as never as Upserting;
    const live = new Map() as Upserting;
    fresh.adopt(live, { clock, dispose, replaced });
    for (const map of [tracked, live]) {
      told.length = 0;
      map.getOrInsertComputed('a', (key) => {
        map.set(key, 'by the callback');
        return 'computed';
      });
      expect(told).toEqual([['by the callback', 'a', 'computed']]);
    }
  });

  it('release gives the two methods back as they were', () => {
    const map = new Map();
    const before = Reflect.ownKeys(map);
    const handle = fresh.adopt(map, { clock });
    expect(Object.hasOwn(map, 'getOrInsert')).toBe(true);
    handle.release();
    expect(Reflect.ownKeys(map)).toEqual(before);
  });
});

describe('with callbacks that call back', () => {
  const keys = ['a', 'b', 'c', 'd'];

  /** Values are unique, so that each can be followed from its `set` to its `dispose`. */
  interface Value {
    readonly id: number;
  }

  const step = fc.record({
    act: fc.constantFrom('set', 'set', 'set', 'same', 'delete', 'clear', 'touch', 'sweep', 'advance'),
    key: fc.constantFrom(...keys),
    ms: fc.nat(40),
  });
  const reaction = fc.record({
    act: fc.constantFrom('set', 'delete', 'clear', 'touch', 'sweep', 'nothing', 'throw'),
    key: fc.constantFrom(...keys),
  });

  it.each(['TrackedMap', 'adopted Map', 'adopted subclass', 'adopted Map of another realm'])(
    '%s disposes once of every value that leaves or is replaced, and stamps exactly what it holds',
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 25 }),
          fc.array(reaction, { maxLength: 40 }),
          async (steps, reactions) => {
            const own = createManualClock();
            const born: Value[] = [];
            const disposed: Value[] = [];
            const tape = [...reactions];
            const set = (key: string): void => {
              const value = { id: born.length };
              born.push(value);
              map.set(key, value);
            };
            const react = (): void => {
              const next = tape.shift();
              if (next === undefined) return;
              if (next.act === 'set') set(next.key);
              else if (next.act === 'delete') map.delete(next.key);
              else if (next.act === 'clear') map.clear();
              else if (next.act === 'touch') handle.touch(next.key);
              else if (next.act === 'sweep') void handle.sweep();
              else if (next.act === 'throw') throw null;
            };
            const policy = {
              clock: own,
              ttl: 50,
              since: () => {
                react();
                return own.now() - 20;
              },
              maxIdle: 30,
              maxEntries: 3,
              activeAt: () => {
                react();
                return undefined;
              },
              keepWhile: (value: Value) => {
                react();
                return value.id % 7 === 0;
              },
              maxAge: 60,
              rules: [
                {
                  match: () => {
                    react();
                    return false;
                  },
                },
              ],
              dispose: (value: Value) => {
                disposed.push(value);
                react();
              },
              replaced: (value: Value, key: string, replacement: Value) => {
                expect(born[replacement.id]).toBe(replacement);
                expect(keys).toContain(key);
                disposed.push(value);
                react();
              },
            };
            const tracked = new TrackedMap<string, Value>(
              undefined,
              kind === 'TrackedMap' ? policy : { clock: own },
            );
            const live: Map<string, Value> =
              kind === 'adopted Map'
                ? new Map()
                : kind === 'adopted subclass'
                  ? (new CountingMap() as never)
                  : foreignMap();
            const handle = kind === 'TrackedMap' ? tracked : adopt(live, policy);
            const map = kind === 'TrackedMap' ? tracked : live;
            for (const { act, key, ms } of steps) {
              if (act === 'set') set(key);
              else if (act === 'same') {
                const held = map.get(key);
                if (held !== undefined) map.set(key, held);
              } else if (act === 'delete') map.delete(key);
              else if (act === 'clear') map.clear();
              else if (act === 'touch') handle.touch(key);
              else if (act === 'sweep') await handle.sweep();
              else await own.advance(ms);
              for (const name of keys) {
                const stamps = handle.stamps(name);
                expect(stamps !== undefined).toBe(map.has(name));
                if (stamps === undefined) continue;
                expect(stamps.registeredAt).toBeLessThanOrEqual(stamps.lastActiveAt);
                expect(stamps.lastActiveAt).toBeLessThanOrEqual(own.now());
              }
            }
            tape.length = 0;
            await own.advance(200);
            await handle.sweep();
            map.clear();
            const byId = (first: Value, second: Value) => first.id - second.id;
            expect([...disposed].sort(byId)).toEqual(born);
            expect(map.size).toBe(0);
            expect(own.pendingTimers).toBe(0);
          },
        ),
        { numRuns: 60 },
      );
    },
  );
});
