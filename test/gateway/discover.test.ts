import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { constants, createContext, runInContext, Script } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import {
  type Discovered,
  type DiscoverOptions,
  type Discovery,
  discover,
  policyFor,
} from '../../src/discover.js';

const STATE = Symbol.for('openclaw.agentEvents.state');
/** With time for it, on a busy machine too. */
const under = (singleton: unknown, options?: DiscoverOptions) =>
  discover({ root: { [STATE]: singleton }, ...options, limit: { time: '1h', ...options?.limit } });
const pathsUnder = (singleton: unknown, options?: DiscoverOptions) =>
  under(singleton, options).map(({ path }) => path);

const refuse = (): never => {
  throw new Error('user code ran');
};
/** A Proxy every trap of which throws. */
const hostile = <Target extends object>(target: Target): Target =>
  new Proxy(target, new Proxy({}, { get: () => refuse }));

/** The import of Node itself: vitest would evaluate the module with a namespace of its own making. */
const nativeImport: (url: string) => Promise<unknown> = new Script('(url) => import(url)', {
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext();

describe('discover', () => {
  afterEach(() => {
    delete (globalThis as Record<symbol, unknown>)[STATE];
  });

  it('lists 2 Maps and a Set of a singleton on globalThis, with their sizes and the very objects', () => {
    const seqByRun = new Map([['run-1', 1]]);
    const runContextById = new Map();
    const listeners = new Set([1, 2, 3]);
    (globalThis as Record<symbol, unknown>)[STATE] = { seqByRun, runContextById, listeners };
    const found = discover();
    expect(found).toEqual([
      { path: 'openclaw.agentEvents.state/listeners', kind: 'set', size: 3, ref: listeners },
      { path: 'openclaw.agentEvents.state/runContextById', kind: 'map', size: 0, ref: runContextById },
      { path: 'openclaw.agentEvents.state/seqByRun', kind: 'map', size: 1, ref: seqByRun },
    ]);
    expect(found[2]!.ref).toBe(seqByRun);
    expect(found.truncated).toBe(false);
    expectTypeOf(found).toEqualTypeOf<Discovery>();
    expectTypeOf(found[0]!).toEqualTypeOf<Discovered>();
  });

  it('gives a singleton that is a Map the path of its symbol alone', () => {
    expect(pathsUnder(new Map())).toEqual(['openclaw.agentEvents.state']);
  });

  it('finds nothing where there is no singleton', () => {
    expect(discover()).toEqual([]);
    expect(discover({ root: {} }).truncated).toBe(false);
  });

  describe('which singletons', () => {
    it('takes a symbol that is not registered by its description, and none without one', () => {
      const root = {
        [Symbol('openclaw.local')]: new Map(),
        [Symbol()]: new Map(),
        [Symbol.for('other.openclaw.x')]: new Map(),
        'openclaw.string': new Map(),
      };
      expect(discover({ root }).map(({ path }) => path)).toEqual(['openclaw.local']);
      expect(discover({ root, match: /^/ })).toHaveLength(2);
    });

    it('ignores lastIndex of a RegExp and leaves it alone', () => {
      const root = { [Symbol.for('openclaw.a')]: new Map(), [Symbol.for('openclaw.b')]: new Map() };
      for (const match of [/openclaw\./g, /openclaw\./y]) {
        match.lastIndex = 5;
        expect(discover({ root, match })).toHaveLength(2);
        expect(match.lastIndex).toBe(5);
      }
    });

    it('looks into a singleton of any class, and into none that is a list', () => {
      class State {
        readonly runs = new Map();
      }
      expect(pathsUnder(new State())).toEqual(['openclaw.agentEvents.state/runs']);
      expect(pathsUnder([new Map()])).toEqual([]);
      // Their 1,001 elements would be over the limit of properties.
      for (const list of [new Array(1001), new Uint8Array(1001), Object('x'.repeat(1001))]) {
        expect(under(list).truncated).toBe(false);
      }
      for (const primitive of [undefined, null, 5, 'text', Symbol('x'), refuse]) {
        expect(pathsUnder(primitive)).toEqual([]);
      }
    });
  });

  describe('how deep', () => {
    const nested = { m0: new Map(), a: { m1: new Map(), b: { m2: new Map(), c: { m3: new Map() } } } };
    const prefix = 'openclaw.agentEvents.state/';

    it.each([
      [0, ['m0']],
      [1, ['m0', 'a/m1']],
      [2, ['m0', 'a/m1', 'a/b/m2']],
      [3, ['m0', 'a/m1', 'a/b/m2', 'a/b/c/m3']],
    ])('looks %i levels of plain objects below a singleton', (depth, names) => {
      expect(pathsUnder(nested, { depth })).toEqual(names.map((name) => prefix + name));
    });

    it('looks 2 levels below by default', () => {
      expect(under(nested)).toEqual(under(nested, { depth: 2 }));
    });

    it('passes over class instances, arrays, functions and the contents of Maps below a singleton', () => {
      const map = new Map([['inner', new Map()]]);
      const withProperty = Object.assign(new Map(), { index: new Map() });
      const found = pathsUnder({
        instance: new (class {
          readonly map = new Map();
        })(),
        list: [new Map()],
        orphanList: Object.setPrototypeOf([new Map()], null),
        fn: Object.assign(() => {}, { map: new Map() }),
        map,
        withProperty,
      });
      expect(found).toEqual([`${prefix}map`, `${prefix}withProperty`]);
    });

    it('passes over symbol-keyed properties below the root, and takes those that are not enumerable', () => {
      const state = Object.defineProperty({ [Symbol.for('openclaw.hidden')]: new Map() }, 'shy', {
        value: new Map(),
      });
      expect(pathsUnder(state)).toEqual([`${prefix}shy`]);
    });
  });

  describe('each once', () => {
    it('lists a Map that three paths reach under the shortest', () => {
      const map = new Map();
      expect(pathsUnder({ a: { b: map, c: map }, z: map })).toEqual(['openclaw.agentEvents.state/z']);
    });

    it('lists it under the first in code-unit order of two of equal length, however they were made', () => {
      const map = new Map();
      expect(pathsUnder({ b: map, a: map })).toEqual(['openclaw.agentEvents.state/a']);
      const root = { [Symbol.for('openclaw.y')]: { map }, [Symbol.for('openclaw.x')]: { map } };
      expect(discover({ root }).map(({ path }) => path)).toEqual(['openclaw.x/map']);
    });

    it('lists two symbols of one description with equal paths', () => {
      const root = { [Symbol('openclaw.twin')]: new Map(), [Symbol('openclaw.twin')]: new Set() };
      expect(discover({ root }).map(({ path, kind }) => [path, kind])).toEqual([
        ['openclaw.twin', 'map'],
        ['openclaw.twin', 'set'],
      ]);
    });

    it('ends on cycles', () => {
      const state: Record<string, unknown> = { map: new Map() };
      state.self = state;
      state.child = { parent: state };
      expect(pathsUnder(state, { depth: 32 })).toEqual(['openclaw.agentEvents.state/map']);
    });
  });

  describe('odd objects', () => {
    it('calls no getter and no setter', () => {
      let calls = 0;
      // Not one that throws: that could be caught on the way.
      const accessor = { get: () => new Map([[++calls, 0]]), set: () => calls++, enumerable: true };
      const state = Object.defineProperty({ plain: new Map() }, 'map', accessor);
      expect(pathsUnder(state)).toEqual(['openclaw.agentEvents.state/plain']);
      expect(discover({ root: Object.defineProperty({}, STATE, accessor) })).toEqual([]);
      expect(calls).toBe(0);
    });

    it('runs no trap of a Proxy, in any place', () => {
      expect(pathsUnder(hostile(new Map()))).toEqual([]);
      expect(pathsUnder(hostile({ map: new Map() }))).toEqual([]);
      const state = {
        map: hostile(new Map()),
        set: hostile(new Set()),
        object: hostile({ map: new Map() }),
        heir: Object.create(hostile({}), { map: { value: new Map() } }),
      };
      expect(pathsUnder(state)).toEqual([]);
    });

    it('passes over revoked Proxies', () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      expect(pathsUnder({ proxy, map: new Map() })).toHaveLength(1);
      expect(pathsUnder(proxy)).toEqual([]);
    });

    it('looks into frozen objects and objects without a prototype', () => {
      const bare = Object.assign(Object.create(null), { map: new Map() });
      expect(pathsUnder(Object.freeze({ bare: Object.freeze(bare) }))).toEqual([
        'openclaw.agentEvents.state/bare/map',
      ]);
    });

    it('finds Maps, Sets and plain objects of another realm', () => {
      const state = runInContext(
        '({ map: new Map([[1, 2]]), inner: { set: new Set([1, 2]) } })',
        createContext(),
      );
      expect(under({ state }).map(({ path, kind, size }) => [path, kind, size])).toEqual([
        ['openclaw.agentEvents.state/state/map', 'map', 1],
        ['openclaw.agentEvents.state/state/inner/set', 'set', 2],
      ]);
    });

    it('reads the real size of a Map and a Set whose own size throws or lies', () => {
      class Throwing extends Map {
        override get size() {
          return refuse();
        }
      }
      class Lying extends Set {
        override get size() {
          return 99;
        }
      }
      const map = new Throwing();
      Map.prototype.set.call(map, 1, 1);
      const sizes = under({ map, set: new Lying([1, 2]) }).map(({ size }) => size);
      expect(sizes).toEqual([1, 2]);
    });

    it('takes no object for a Map that only has the prototype of one, nor WeakMaps', () => {
      expect(pathsUnder({ fake: Object.create(Map.prototype), weak: new WeakMap() })).toEqual([]);
    });

    it('passes over exports of a module that is still being evaluated', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'mapsweep-discover-'));
      const file = join(folder, 'self.mjs');
      // The namespace is an object without a prototype, and `later` cannot be read before its line has run.
      writeFileSync(
        file,
        "import * as self from './self.mjs'; export var early = new Map(); globalThis.probe(self); export const later = new Map();",
      );
      const global = globalThis as { probe?: (self: unknown) => void };
      let found: string[] | undefined;
      try {
        global.probe = (self) => {
          expect(() => (self as { later: unknown }).later).toThrow(ReferenceError);
          found = pathsUnder({ self });
        };
        await nativeImport(pathToFileURL(file).href);
      } finally {
        delete global.probe;
        rmSync(folder, { recursive: true });
      }
      expect(found).toEqual(['openclaw.agentEvents.state/self/early']);
    });
  });

  describe('limits', () => {
    const wide = (count: number, nameOf: (index: number) => string | number = (index) => `k${index}`) => {
      const object: Record<string | number, unknown> = {};
      for (let index = 0; index < count; index += 1) object[nameOf(index)] = index;
      object.map = new Map();
      return object;
    };
    const timed = <Result>(run: () => Result): [result: Result, cpuTimeMs: number] => {
      const before = process.cpuUsage();
      const result = run();
      const { user, system } = process.cpuUsage(before);
      return [result, (user + system) / 1_000];
    };
    const few = { map: new Map() };

    it('does not list the properties of an object that has 500,000, says so, and finds what is beside it', () => {
      const all = { few, wide: wide(500_000) };
      const [found, cpuTimeMs] = timed(() => under(all));
      // To list them takes 500 ms.
      expect(cpuTimeMs).toBeLessThan(250);
      expect(found.map(({ path }) => path)).toEqual(['openclaw.agentEvents.state/few/map']);
      expect([found.truncated, found.leftOut]).toEqual([true, ['openclaw.agentEvents.state/wide']]);
      expect(Object.keys(found)).toEqual(['0']);
    }, 60_000);

    it('ends after its time, whatever the number of wide objects, and goes on from there the next time', () => {
      const wides = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`w${index}`, wide(50_000)]));
      const all = { wides, z: { few } };
      const options = { depth: 3, limit: { time: 12 } };
      const [found, cpuTimeMs] = timed(() => under(all, options));
      // To list them takes 1,000 ms, and to go through all of them 50.
      expect(cpuTimeMs).toBeLessThan(250);
      expect([found.length, found.truncated]).toEqual([0, true]);
      // Two searches are enough to be certain of one object.
      for (let search = 0; search < 50; search += 1) under(all, options);
      for (let search = 0; search < 5; search += 1) {
        expect(pathsUnder(all, options)).toEqual(['openclaw.agentEvents.state/z/few/map']);
      }
    }, 60_000);

    it('lists an object once in a while of which only that tells how wide it is', () => {
      const state = { few, numbers: wide(100_000, (index) => index * 977) };
      const names = vi.spyOn(Object, 'getOwnPropertyNames');
      const listed = () => names.mock.calls.filter(([object]) => object === state.numbers).length;
      const searched: number[] = [];
      for (let search = 1; search <= 130; search += 1) {
        const before = listed();
        expect(under(state).leftOut).toEqual(['openclaw.agentEvents.state/numbers']);
        if (listed() > before) searched.push(search);
      }
      names.mockRestore();
      expect(searched).toEqual([1, 66]);
    });

    it('looks into a wide object where its limits allow it, also after it was passed over', () => {
      const state = wide(50_000, (index) => index);
      expect(pathsUnder(state)).toEqual([]);
      expect(pathsUnder(state, { limit: { properties: 100_000, time: '10s' } })).toEqual([
        'openclaw.agentEvents.state/map',
      ]);
    });

    it('looks into an object again that is wide no more', () => {
      const state = wide(50_000, (index) => index);
      expect(pathsUnder(state)).toEqual([]);
      for (let index = 0; index < 50_000; index += 1) delete state[index];
      const searches = Array.from({ length: 65 }, () => pathsUnder(state).length);
      expect(searches).toEqual([...Array.from({ length: 64 }, () => 0), 1]);
      expect(pathsUnder(state)).toEqual(['openclaw.agentEvents.state/map']);
    });

    it('names no more than a hundred of what it left out', () => {
      const state = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`p${index}`, {}]));
      const { truncated, leftOut } = under(state, { limit: { objects: 1 } });
      expect([truncated, leftOut.length, leftOut[0]]).toEqual([true, 100, 'openclaw.agentEvents.state/p0']);
    });

    it('looks at 1,000 properties of an object and says that it is cut at 1,001', () => {
      const state = (count: number) =>
        Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, new Map()]));
      const whole = under(state(1000));
      expect([whole.length, whole.truncated]).toEqual([1000, false]);
      const cut = under(state(1001));
      expect([cut.length, cut.truncated]).toEqual([1000, true]);
    });

    it('looks into 1,000 objects, the singleton among them, and says that it is cut at 1,001', () => {
      const state = (objects: number) =>
        Object.fromEntries(
          Array.from({ length: objects - 1 }, (_, index) => [`p${index}`, { map: new Map() }]),
        );
      const whole = under(state(1000));
      expect([whole.length, whole.truncated]).toEqual([999, false]);
      const cut = under({ ...state(1000), last: {} });
      expect(cut.truncated).toBe(true);
    });

    it('takes other limits, also for the symbols of the root', () => {
      const state = { a: { map: new Map() }, b: { map: new Map() } };
      expect(pathsUnder(state, { limit: { objects: 2 } })).toEqual(['openclaw.agentEvents.state/a/map']);
      expect(under(state, { limit: { objects: 3, properties: 2 } }).truncated).toBe(false);
      const root = Object.fromEntries(
        ['a', 'b', 'c'].map((name) => [Symbol.for(`openclaw.${name}`), new Map()]),
      );
      expect(discover({ root, limit: { properties: 3 } }).truncated).toBe(false);
      const cut = discover({ root, limit: { properties: 2 } });
      expect([cut.length, cut.truncated, cut.leftOut]).toEqual([2, true, ['']]);
    });

    it('keeps `truncated` out of the elements and out of JSON', () => {
      expect(Object.keys(under(new Map()))).toEqual(['0']);
    });
  });

  it.each<[DiscoverOptions, string]>([
    [
      { root: null } as unknown as DiscoverOptions,
      'root must be an object that is not a Proxy; received null',
    ],
    [{ match: 'openclaw' } as unknown as DiscoverOptions, 'match must be a RegExp; received "openclaw"'],
    [{ depth: -1 }, 'depth must be an integer from 0 to 32; received -1'],
    [{ depth: 33 }, 'depth must be an integer from 0 to 32; received 33'],
    [{ limit: 5 } as unknown as DiscoverOptions, 'limit must be an object of options; received 5'],
    [{ limit: { objects: 0 } }, 'limit.objects must be an integer of at least 1; received 0'],
    [{ limit: { properties: 1.5 } }, 'limit.properties must be an integer of at least 1; received 1.5'],
    [{ limit: { time: 0 } }, 'limit.time must be a number of milliseconds or a string such as'],
    [{ dept: 1 } as DiscoverOptions, "dept is not an option. Did you mean 'depth'?"],
  ])('refuses options %#: %s', (options, message) => {
    expect(() => discover(options)).toThrow(message);
  });

  it('refuses a root that is a Proxy', () => {
    expect(() => discover({ root: hostile({}) })).toThrow('root must be an object that is not a Proxy');
  });

  it('lists every Map and Set of a tree of plain objects once, in order, whatever the tree', () => {
    const name = fc.string({ maxLength: 3 }).map((text) => text.replaceAll('/', '-'));
    // Proxies are put in below: fast-check itself looks at the values that it makes.
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', maxDepth: 5 },
        fc.constantFrom(...leaves.keys()),
        fc.anything(),
        fc.dictionary(name, tie('tree'), { maxKeys: 4, noNullPrototype: false }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(name, tree), fc.integer({ min: 0, max: 4 }), (drawn, depth) => {
        const state = planted(drawn);
        const found = under(state, { depth, match: /state$/ });
        const levels = found.map(({ path }) => path.split('/').length);
        expect(new Set(found.map(({ ref }) => ref)).size).toBe(found.length);
        expect(levels).toEqual(levels.toSorted((a, b) => a - b));
        for (const { ref, kind, size } of found) {
          expect(ref).toBeInstanceOf(kind === 'map' ? Map : Set);
          expect(ref.size).toBe(size);
        }
        expect(new Set(found.map(({ ref }) => ref))).toEqual(collections(state, depth));
      }),
    );
  });
});

const leaves = new Map<unknown, () => object>([
  ['a map', () => new Map([[1, 2]])],
  ['a set', () => new Set([1, 2])],
  ['a proxy', () => hostile({ map: new Map() })],
]);

/** A copy in which each name of a leaf is a new one of these. */
function planted(value: unknown): unknown {
  const leaf = leaves.get(value);
  if (leaf !== undefined) return leaf();
  if (!isRecord(value)) return value;
  const copy = Object.create(Object.getPrototypeOf(value));
  for (const [name, property] of Object.entries(value)) copy[name] = planted(property);
  return copy;
}

/** The same by the simplest recursion, without order or limits. */
function collections(value: unknown, depth: number, into = new Set<object>()): Set<object> {
  for (const [, property] of Object.entries(value as object)) {
    if (types.isProxy(property)) continue;
    if (property instanceof Map || property instanceof Set) into.add(property);
    else if (depth > 0 && isRecord(property)) collections(property, depth - 1, into);
  }
  return into;
}

function isRecord(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

describe('policyFor', () => {
  const patterns = [
    { match: 'openclaw.*.state/seqByRun', policy: 'sequence' },
    { match: /\/seqByRun$/g, policy: 'other sequence' },
    { match: 'openclaw.*', policy: 'singleton' },
    { match: '*/*', policy: 'property' },
  ];

  it.each([
    ['openclaw.agentEvents.state/seqByRun', 'sequence'],
    ['openclaw.agentEvents.state/inner/seqByRun', 'other sequence'],
    ['openclaw.agentEvents.state', 'singleton'],
    ['openclaw.agentEvents.state/runs', 'property'],
    ['openclaw.agentEvents.state/inner/runs', undefined],
    ['openclawXagentEvents', undefined],
  ])('gives %s the policy of the first match, %s', (path, policy) => {
    expect(policyFor(path, patterns)).toBe(policy);
    // Again, for a /g RegExp would alternate.
    expect(policyFor(path, patterns)).toBe(policy);
  });

  it('takes every character of a string but * literally', () => {
    const unit = fc.oneof(fc.nat(0xffff), fc.nat(0x7f));
    const text = fc.array(unit, { maxLength: 10 }).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(text, text, (path, other) => {
        const policy = policyFor(path, [{ match: path.replaceAll('*', '-'), policy: 1 }]);
        expect(policy).toBe(path.includes('*') ? undefined : 1);
        const literal = other.replaceAll('*', '-');
        expect(policyFor(path, [{ match: literal, policy: 1 }])).toBe(path === literal ? 1 : undefined);
      }),
    );
  });

  it('takes no time for a pattern of many stars that does not match', () => {
    const startedAt = performance.now();
    for (const [path, match] of [
      ['a'.repeat(60), `${'*a'.repeat(6)}*b`],
      [`${'a'.repeat(50_000)}!`, '*a*a*a*a*a*a*a*b'],
      ['/a'.repeat(10_000), `${'*/'.repeat(9_999)}*b`],
    ] as const) {
      expect(policyFor(path, [{ match, policy: 1 }])).toBeUndefined();
    }
    // The first alone took a RegExp 2.5 s.
    expect(performance.now() - startedAt).toBeLessThan(500);
  });

  it('matches what a RegExp would in which [^/]* stands for each *', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', '*', '*'), maxLength: 8 });
    fc.assert(
      fc.property(text, pattern, (path, match) => {
        const literals = match.split('*').map((literal) => literal.replaceAll('.', '\\.'));
        const expected = new RegExp(`^${literals.join('[^/]*')}$`).test(path);
        expect(policyFor(path, [{ match, policy: true }]) ?? false).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses a match that is neither a string nor a RegExp', () => {
    expect(() => policyFor('a', [{ match: 5 as unknown as string, policy: 1 }])).toThrow(
      'patterns[0].match must be a RegExp',
    );
  });

  it('refuses a path that is no string, and patterns that are none', () => {
    const refusal = (path: unknown, patterns: unknown): unknown => {
      try {
        return policyFor(path as string, patterns as []);
      } catch (error) {
        return [(error as { code?: string }).code, (error as Error).message];
      }
    };
    const code = 'ERR_INVALID_OPTION';
    for (const [path, patterns, message] of [
      ['a', 5, 'patterns must be an array of { match, policy }; received 5'],
      ['a', null, 'patterns must be an array of { match, policy }; received null'],
      ['a', [null], 'patterns[0] must be { match, policy }; received null'],
      [5, [{ match: '*', policy: 1 }], 'path must be a string; received 5'],
    ])
      expect(refusal(path, patterns)).toEqual([code, message]);
  });
});

describe('what modules have put into the registries by name', () => {
  const REGISTRIES: unique symbol = Symbol.for('mapsweep.registries');
  const withRegistries = (registries: unknown, options?: DiscoverOptions) =>
    discover({ root: { [REGISTRIES]: registries }, ...options });

  afterEach(() => {
    Reflect.deleteProperty(globalThis, REGISTRIES);
  });

  it('is found on globalThis, with the three lines of a module that imports nothing', () => {
    const runs = new Map([['run-1', {}]]);
    const scope = globalThis as { [REGISTRIES]?: Map<string, unknown> };
    scope[REGISTRIES] ??= new Map();
    scope[REGISTRIES].set('subagents.runs', runs);
    const found = discover();
    expect(found).toEqual([{ path: 'mapsweep.registries/subagents.runs', kind: 'map', size: 1, ref: runs }]);
    expect(found[0]?.ref).toBe(runs);
  });

  it('is listed whatever is matched, and the registries themselves are not', () => {
    const registries = new Map<string, unknown>([['a', new Set([1])]]);
    for (const match of [/^no/, /./]) {
      expect(withRegistries(registries, { match }).map(({ path }) => path)).toEqual([
        'mapsweep.registries/a',
      ]);
    }
  });

  it('is listed under its other path where it has one', () => {
    const runs = new Map();
    const root = { [STATE]: { runs }, [REGISTRIES]: new Map([['runs', runs]]) };
    expect(discover({ root }).map(({ path }) => path)).toEqual(['openclaw.agentEvents.state/runs']);
  });

  it('is looked into where it is an object, of any class', () => {
    class Registry {
      readonly runs = new Map();
      readonly #hidden = new Map();
      size = () => this.#hidden.size;
    }
    expect(withRegistries(new Map([['a', new Registry()]])).map(({ path }) => path)).toEqual([
      'mapsweep.registries/a/runs',
    ]);
  });

  it('runs no code of a Map of another class, nor of what it holds', () => {
    class Hostile extends Map<unknown, unknown> {
      override entries = refuse;
      override get size() {
        return refuse();
      }
      override [Symbol.iterator] = refuse;
    }
    const registries = new Hostile();
    Map.prototype.set.call(registries, 'a', hostile(new Map()));
    Map.prototype.set.call(registries, 'b', new Hostile());
    Map.prototype.set.call(registries, Symbol('c'), new Map());
    Map.prototype.set.call(registries, 'd', 'a string');
    expect(withRegistries(registries).map(({ path }) => path)).toEqual(['mapsweep.registries/b']);
  });

  it.each([
    ['nothing', () => undefined],
    ['null', () => null],
    ['an object', () => ({ a: new Map() })],
    ['a Proxy', () => hostile(new Map())],
    ['a Set', () => new Set([new Map()])],
  ])('is nothing where the registries are %s', (_, registries) => {
    expect(withRegistries(registries())).toEqual([]);
  });

  it('is cut at the limit of properties, and said to be', () => {
    const registries = new Map(Array.from({ length: 12 }, (_, index) => [`${index}`, new Map()]));
    const found = withRegistries(registries, { limit: { properties: 10 } });
    expect(found).toHaveLength(10);
    expect([found.truncated, found.leftOut]).toEqual([true, ['mapsweep.registries']]);
  });
});
