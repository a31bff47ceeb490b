import fc from 'fast-check';
import { adopt } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { Past } from '../../src/restart/past.js';
import { hours, type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';
import { MemoryVolume } from './memory-journal.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

/** Lets what was said be written. */
const written = () => machine.clock.advance(0);

const restart = (life: Life, options?: LifeOptions): Promise<Life> => machine.restart(life, options);

describe('a key that comes back after a kill -9', () => {
  it('makes room before one that is idle for longer, if it is due as an orphan when it comes', async () => {
    const options = (maxEntries: number) => ({
      maps: {
        contexts: {
          follows: 'runs',
          orphanAfter: '1m',
          maxEntries,
          persist: { encode: (run: Run) => run },
        },
      },
    });
    const first = start(options(3));
    first.runs.set('led', {});
    for (const key of ['led', 'one', 'two']) {
      first.contexts.set(key, {});
      await machine.clock.advance(1_000);
    }
    first.kill();
    await machine.clock.advance(minutes(5));
    const next = start(options(2));
    next.runs.set('led', {});
    next.contexts.set('led', {}).set('new', {});
    // The second time no sweep has come in between: what is due is found where it is filed.
    for (const key of ['one', 'two']) {
      next.contexts.set(key, {});
      await machine.clock.advance(10);
      expect([...next.contexts.keys()]).toEqual(['led', 'new']);
    }
  });

  it('takes its stamps, its generation and its id', async () => {
    const first = start();
    first.runs.set('before', {});
    first.runs.set('a', {});
    await machine.clock.advance(minutes(5));
    const stamps = first.registry.stamps('runs', 'a');
    const next = await restart(first);
    next.runs.set('a', {});
    expect(next.registry.stamps('runs', 'a')).toMatchObject({
      registeredAt: stamps?.registeredAt,
      generation: stamps?.generation,
    });
    next.registry.end('a');
    await written();
    const third = await restart(next);
    third.runs.set('before', {});
    third.registry.end('before');
    await written();
    const lifeIdOf = (id = '') => id.split(':')[0];
    expect(third.told).toHaveLength(1);
    expect(lifeIdOf(third.told[0]?.id)).toBe(lifeIdOf(next.told[0]?.id));
  });

  const odd: [name: string, key: unknown][] = [
    ["'__proto__'", '__proto__'],
    ["'constructor'", 'constructor'],
    ['the empty string', ''],
    ['half of a pair', '\ud800'],
    ['the other half', 'x\udc00'],
    ['a line that ends', 'a\n\u2028"\\\0'],
    ['1 MB of text', 'ä€'.repeat(1 << 18)],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['-0', -0],
    ['1e21', 1e21],
    ['the largest number', Number.MAX_VALUE],
    ['null', null],
    ['true', true],
    ['false', false],
  ];

  it.each(odd)('may be %s', async (_name, key) => {
    const first = start();
    first.runs.set(key, {});
    first.contexts.set(key, {});
    await machine.clock.advance(minutes(3));
    const [run, context] = [first.registry.stamps('runs', key), first.registry.stamps('contexts', key)];
    const next = await restart(first);
    next.runs.set(key, {});
    next.contexts.set(key, {});
    expect(next.registry.stamps('runs', key)?.registeredAt).toBe(run?.registeredAt);
    expect(next.registry.stamps('contexts', key)?.registeredAt).toBe(context?.registeredAt);
    next.runs.delete(key);
    const third = await restart(next, { deliver: () => {} });
    await machine.clock.advance(minutes(30));
    expect([...next.told, ...third.told]).toMatchObject([{ key: key === 0 ? 0 : key, reason: 'deleted' }]);
  });

  it('is told from every other key, whatever they are', async () => {
    const key = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 5 }),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('NaN', 'null', 'true', '0', '{"number":"NaN"}', '__proto__'),
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { comparator: 'SameValueZero', maxLength: 8 }), async (keys) => {
        machine = new Machine();
        const first = start();
        for (const each of keys) {
          first.runs.set(each, {});
          await machine.clock.advance(1_000);
        }
        const before = keys.map((each) => first.registry.stamps('runs', each)?.registeredAt);
        const next = await restart(first);
        for (const each of keys.toReversed()) next.runs.set(each, {});
        expect(keys.map((each) => next.registry.stamps('runs', each)?.registeredAt)).toEqual(before);
        next.kill();
      }),
      { numRuns: 30 },
    );
  }, 60_000);

  it.each<[name: string, key: unknown]>([
    ['a symbol', Symbol('odd')],
    ['an object', { odd: true }],
    ['undefined', undefined],
    ['a bigint', 7n],
  ])(
    'is not known if it is %s: it is left out, counted and said once, and the rest is written',
    async (_name, key) => {
      const first = start();
      first.runs.set('before', {});
      first.runs.set(key, {});
      first.runs.set('after', {});
      first.contexts.set(key, {});
      await written();
      expect(first.failures).toEqual(['runs persist', 'contexts persist']);
      first.runs.delete(key);
      first.runs.set(key, {});
      await written();
      expect(first.failures).toHaveLength(2);
      expect(first.registry.report().callbackErrors).toContainEqual({
        map: 'runs',
        callback: 'persist',
        count: 3,
      });
      // In this life it is a key as any other.
      expect(first.told).toMatchObject([{ key, reason: 'deleted' }]);
      const next = await restart(first);
      await machine.clock.advance(minutes(11));
      expect(next.told).toMatchObject([
        { key: 'before', reason: 'lost' },
        { key: 'after', reason: 'lost' },
      ]);
    },
  );

  it('has a claim if it had ended and was still there', async () => {
    const first = start();
    first.runs.set('a', {});
    first.registry.end('a');
    const next = await restart(first);
    next.runs.set('a', {});
    expect(next.registry.end('a')).toBe('duplicate');
    next.runs.delete('a');
    const third = await restart(next);
    await machine.clock.advance(minutes(30));
    expect([...first.told, ...next.told, ...third.told]).toHaveLength(1);
  });

  it('is a new run if it had left: no reused key loses an ending', async () => {
    const first = start();
    for (let round = 0; round < 3; round += 1) {
      first.runs.set('room', {});
      first.runs.delete('room');
    }
    const next = await restart(first);
    next.runs.set('room', {});
    expect(next.registry.end('room')).toBe('claimed');
    next.runs.delete('room');
    next.runs.set('room', {});
    expect(next.registry.end('room')).toBe('claimed');
    await written();
    const ids = [...first.told, ...next.told].map(({ id }) => id);
    expect(new Set(ids).size).toBe(5);
  });

  it('gives later registrations greater generations, over lives that registered nothing, or only what has left', async () => {
    const first = start();
    first.runs.set('a', {});
    first.runs.delete('a');
    first.runs.set('b', {});
    first.registry.end('b');
    first.runs.delete('b');
    await written();
    const second = await restart(first);
    const third = await restart(second);
    third.runs.set('c', {});
    expect(third.registry.stamps('runs', 'c')?.generation).toBeGreaterThan(2);
  });

  it('that is adopted full of entries finds them', async () => {
    const own = new Map<unknown, Run>([['a', {}]]);
    const first = start({ maps: { runs: { adopt: own } } });
    const stamps = first.registry.stamps('runs', 'a');
    await machine.clock.advance(minutes(5));
    const again = new Map<unknown, Run>([
      ['z', {}],
      ['a', {}],
    ]);
    const next = await restart(first, { maps: { runs: { adopt: again } } });
    expect(next.registry.stamps('runs', 'a')).toMatchObject({
      registeredAt: stamps?.registeredAt,
      generation: stamps?.generation,
    });
    expect(next.registry.stamps('runs', 'z')?.generation).toBeGreaterThan(stamps?.generation as number);
  });

  it('finds its stamps in a map that is adopted later, over two restarts', async () => {
    const own = () => new Map<string, Run>([['a', {}]]);
    const first = start();
    first.registry.adopt('late', own(), { persist: true });
    await machine.clock.advance(minutes(60));
    const next = await restart(first);
    next.registry.adopt('late', new Map<string, Run>([['z', {}], ...own()]), { persist: true });
    const third = await restart(next);
    const late = third.registry.adopt('late', new Map<string, Run>([['z', {}], ...own()]), { persist: true });
    expect(late.stamps('a')?.registeredAt).toBe(machine.clock.now() - minutes(60));
    expect(late.stamps('z')?.registeredAt).toBe(machine.clock.now());
  });

  it('finds nothing of a map that was released', async () => {
    const first = start();
    const handle = first.registry.adopt('late', new Map<string, Run>([['a', {}]]), { persist: true });
    await machine.clock.advance(minutes(5));
    handle.release();
    const next = await restart(first);
    const late = next.registry.adopt('late', new Map<string, Run>([['a', {}]]), { persist: true });
    expect(late.stamps('a')?.registeredAt).toBe(machine.clock.now());
  });

  it('is a new one after a name was released and taken again', async () => {
    const first = start();
    const persist = { encode: (run: Run) => run.text, decode: (text: unknown) => ({ text: text as string }) };
    first.registry.adopt('late', new Map([['old', { text: 'old' }]]), { persist }).release();
    first.registry.adopt('late', new Map([['new', { text: 'new' }]]), { persist });
    const next = await restart(first);
    const map = new Map<string, Run>();
    next.registry.adopt('late', map, { persist });
    expect([...map]).toEqual([['new', { text: 'new' }]]);
  });
});

describe('a map without persist', () => {
  it('leaves nothing, unless it is that of the endings', async () => {
    const first = start({ maps: { contexts: { persist: false } } });
    first.runs.set('a', {});
    first.contexts.set('a', {});
    await machine.clock.advance(minutes(5));
    const next = await restart(first, { maps: { contexts: { persist: false } } });
    next.runs.set('a', {});
    next.contexts.set('a', {});
    expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(machine.clock.now() - minutes(5));
    expect(next.registry.stamps('contexts', 'a')?.registeredAt).toBe(machine.clock.now());
    expect(JSON.stringify(machine.volume.records)).not.toContain('contexts');
  });
});

describe('persist: { encode, decode }', () => {
  const persist = {
    encode: ({ text }: Run) => ({ shown: text }),
    decode: (json: unknown) => ({ text: (json as { shown: string }).shown }),
  };

  it('brings the entries back before createRegistry returns, with their stamps', async () => {
    const first = start({ maps: { runs: { persist }, contexts: { persist } } });
    first.runs.set('a', { text: 'one' });
    await machine.clock.advance(minutes(5));
    first.runs.set('b', { text: 'two' });
    first.contexts.set('b', { text: 'three' });
    first.runs.set('gone', { text: 'gone' });
    first.runs.delete('gone');
    const next = await restart(first, { maps: { runs: { persist }, contexts: { persist } } });
    expect([...next.runs]).toEqual([
      ['a', { text: 'one' }],
      ['b', { text: 'two' }],
    ]);
    expect([...next.contexts]).toEqual([['b', { text: 'three' }]]);
    expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(machine.clock.now() - minutes(5));
    await machine.clock.advance(minutes(30));
    expect([...first.told, ...next.told]).toMatchObject([{ key: 'gone', reason: 'deleted' }]);
    next.runs.delete('a');
    expect(next.ended.at(-1)).toEqual(['a', 'deleted']);
  });

  it('brings back an entry that has ended and waits for its time to leave', async () => {
    const first = start({ maps: { runs: { persist } } });
    first.runs.set('a', { text: 'one' });
    first.registry.end('a');
    let life = await restart(first, { maps: { runs: { persist } } });
    // Also after the journal was written anew, as it is now and then.
    for (let times = 0; times < 10; times += 1) {
      expect([...life.runs]).toEqual([['a', { text: 'one' }]]);
      expect(life.registry.end('a')).toBe('duplicate');
      life.registry.touch('runs', 'a');
      await machine.clock.advance(minutes(2));
      life = await restart(life, { maps: { runs: { persist } } });
    }
  });

  it('sets them through the methods of an adopted subclass, so that it keeps its index', async () => {
    class Indexed extends Map<unknown, Run> {
      readonly keysOf = new Map<string, unknown>();

      override set(key: unknown, value: Run): this {
        this.keysOf.set(value.text as string, key);
        return super.set(key, value);
      }
    }
    const first = start({ maps: { runs: { persist, adopt: new Indexed() } } });
    first.runs.set('a', { text: 'one' });
    const own = new Indexed();
    await restart(first, { maps: { runs: { persist, adopt: own } } });
    expect([...own.keysOf]).toEqual([['one', 'a']]);
    expect([...own]).toEqual([['a', { text: 'one' }]]);
  });

  it('fills an adopted Map, and an adopted Set by its members', async () => {
    const members = { encode: () => 1, decode: () => undefined };
    const begin = (map: Map<unknown, Run>, set: Set<unknown>): LifeOptions => ({
      maps: { runs: { persist, adopt: map }, contexts: { persist: members, adopt: set } },
    });
    const first = start(begin(new Map(), new Set()));
    first.runs.set('a', { text: 'one' });
    (first.registry.maps.contexts as unknown as Set<unknown>).add('a').add('b');
    const [map, set] = [new Map<unknown, Run>(), new Set<unknown>()];
    await restart(first, begin(map, set));
    expect([...map]).toEqual([['a', { text: 'one' }]]);
    expect([...set]).toEqual(['a', 'b']);
  });

  it('leaves alone what the owner has filled in before', async () => {
    const first = start({ maps: { runs: { persist } } });
    first.runs.set('a', { text: 'old' }).set('b', { text: 'old' });
    const own = new Map<unknown, Run>([['a', { text: 'new' }]]);
    const next = await restart(first, { maps: { runs: { persist, adopt: own } } });
    expect([...own]).toEqual([
      ['a', { text: 'new' }],
      ['b', { text: 'old' }],
    ]);
    expect(next.registry.stamps('runs', 'a')?.generation).toBe(1);
  });

  it('writes a value anew when another one is set, and when it was changed in place and touched', async () => {
    const first = start({ maps: { runs: { persist } } });
    const run = { text: 'one' };
    first.runs.set('a', run).set('b', { text: 'one' }).set('c', { text: 'one' });
    await written();
    first.runs.set('b', { text: 'two' });
    const next = await restart(first, { maps: { runs: { persist } } });
    expect(next.runs.get('b')).toEqual({ text: 'two' });
    const inPlace = next.runs.get('a') as Run;
    inPlace.text = 'changed';
    next.registry.touch('runs', 'a');
    await machine.clock.advance(minutes(1));
    const third = await restart(next, { maps: { runs: { persist } } });
    expect([...third.runs.values()]).toEqual([{ text: 'changed' }, { text: 'two' }, { text: 'one' }]);
  });

  it.each<[what: string, change: (json: { shown: unknown }) => void]>([
    ['what the owner sets then', (json) => Object.assign(json, { shown: 'two' })],
    ['what is no JSON', (json) => Object.assign(json, { shown: 2n })],
  ])(
    'writes what the owner sets where decode has made %s of what was written, and thrown',
    async (_, change) => {
      const first = start({ maps: { runs: { persist } } });
      first.runs.set('a', { text: 'one' });
      const decode = (json: unknown) => {
        change(json as { shown: unknown });
        throw new Error('later');
      };
      const next = await restart(first, { maps: { runs: { persist: { ...persist, decode } } } });
      next.runs.set('a', { text: 'two' });
      const third = await restart(next, { maps: { runs: { persist } } });
      expect(third.runs.get('a')).toEqual({ text: 'two' });
    },
  );

  it.each<[what: string, many: 'runs' | 'contexts', end: 'stays' | 'close' | 'detach']>([
    ['changed in place and touched once more in the interval in which that was looked for', 'runs', 'stays'],
    ['changed in place and touched at the end, when that was looked for already', 'contexts', 'close'],
    ['changed in place and touched, and was to be looked at when it was detached', 'runs', 'detach'],
  ])('writes a value anew that was %s', async (_, many, end) => {
    const few = many === 'runs' ? ('contexts' as const) : ('runs' as const);
    const maps = { runs: { persist }, contexts: { persist } };
    let onYield: (() => void) | undefined;
    let passedMs = 0;
    // While a look is awaited each reading is a little later, so that it takes more than one slice.
    const clock: LifeOptions['clock'] = (base) => ({
      ...base,
      monotonic: () => {
        if (onYield !== undefined) passedMs += 1;
        return base.monotonic() + passedMs;
      },
      yield: async () => {
        onYield?.();
        await base.yield?.();
      },
    });
    const first = start({ maps, clock });
    const said = (): number => internalsOf(first.registry)?.restart.recorder?.writer.saidCount as number;
    first[few].set('a', { text: 'one' });
    for (let n = 0; n < 4_000; n += 1) first[many].set(n, { text: 'x' });
    // Of the many the last one is looked at last.
    const [map, key] = end === 'detach' ? ([many, 3_999] as const) : ([few, 'a'] as const);
    await machine.clock.advance(minutes(1));
    const change = (text: string): void => {
      (first[map].get(key) as Run).text = text;
      first.registry.touch(map, key);
    };
    for (const key of first[many].keys()) first.registry.touch(many, key);
    let closed: Promise<unknown> | undefined;
    const saidBefore = said();
    onYield = () => {
      // The values of the many are being looked at.
      if (said() < saidBefore + 500) return;
      onYield = undefined;
      if (end !== 'detach') change('two');
      if (end === 'close') closed = first.registry.close();
      if (end === 'detach') closed = Promise.resolve(first.registry.detach());
    };
    if (end === 'detach') change('two');
    await machine.clock.advance(minutes(1));
    expect(onYield).toBeUndefined();
    if (end === 'stays') {
      change('three');
      await machine.clock.advance(minutes(2));
    }
    await closed;
    const next = await restart(first, { maps });
    expect(next[map].get(key)).toEqual({ text: end === 'stays' ? 'three' : 'two' });
  });

  it.each([false, true])(
    'writes nothing of an entry that encode has removed, its place taken: %s',
    async (isTaken) => {
      const encode = (run: Run, key: unknown): unknown => {
        if (run.announced) first.runs.delete(key);
        if (run.announced && isTaken) first.runs.set('other', {});
        return run;
      };
      const options = { maps: { runs: { persist: { encode } } } };
      const first = start(options);
      const changed: Run = {};
      first.runs.set('at its registration', { announced: true }).set('later', changed);
      await written();
      changed.announced = true;
      first.runs.set('later', changed);
      const next = await restart(first, options);
      await machine.clock.advance(minutes(11));
      expect(first.told.map(({ key, reason }) => [key, reason])).toEqual([
        ['at its registration', 'deleted'],
        ['later', 'deleted'],
      ]);
      expect(next.told.map(({ key, reason }) => [key, reason])).toEqual(isTaken ? [['other', 'lost']] : []);
    },
  );

  it.each<[what: string, next: () => object]>([
    ['the owner has another one by then', () => ({ adopt: new Map([['a', { text: 'two' }]]), persist })],
    [
      'encode gives another one by then',
      () => ({ persist: { ...persist, encode: () => ({ shown: 'two' }) } }),
    ],
    [
      'decode changes in place what it is given, and encode gives that',
      () => ({
        persist: {
          encode: (run: object) => run,
          decode: (json: unknown) => Object.assign(json as object, { shown: 'two' }),
        },
      }),
    ],
  ])('writes the value of an entry that comes back if %s', async (_what, next) => {
    const first = start({ maps: { runs: { persist } } });
    first.runs.set('a', { text: 'one' });
    const second = await restart(first, { maps: { runs: next() } });
    const third = await restart(second, { maps: { runs: { persist } } });
    expect([...third.runs]).toEqual([['a', { text: 'two' }]]);
  });

  it('writes no value that is as it was, however often it is set', async () => {
    const first = start({ maps: { runs: { persist } } });
    const run = { text: 'the one and only' };
    for (let times = 0; times < 5; times += 1) {
      first.runs.set('a', run);
      await machine.clock.advance(minutes(1));
    }
    expect(JSON.stringify(machine.volume.records).split('the one and only')).toHaveLength(2);
  });

  it('writes an entry that encode throws on without its value, counts it, says it once, and writes the rest', async () => {
    const encode = ({ text }: Run) => {
      if (text === 'bad') throw new Error('cannot');
      return { shown: text };
    };
    const first = start({ maps: { runs: { persist: { ...persist, encode } } } });
    first.runs.set('x', { text: 'bad' }).set('a', { text: 'one' }).set('y', { text: 'bad' });
    await written();
    expect(first.failures).toEqual(['runs persist.encode']);
    expect(first.registry.report().callbackErrors).toContainEqual({
      map: 'runs',
      callback: 'persist.encode',
      count: 2,
    });
    const next = await restart(first, { maps: { runs: { persist } } });
    expect([...next.runs]).toEqual([['a', { text: 'one' }]]);
    // Their ends are told all the same, without a value.
    await machine.clock.advance(minutes(11));
    expect(next.told.map(({ key, reason, value }) => [key, reason, value])).toEqual([
      ['x', 'lost', undefined],
      ['y', 'lost', undefined],
    ]);
  });

  it('keeps an entry that encode throws on when all is written anew, and its value once that can be encoded', async () => {
    let isFailing = false;
    const encode = ({ text }: Run) => {
      if (isFailing) throw new Error('cannot');
      return { shown: text };
    };
    const first = start({ maps: { runs: { persist: { ...persist, encode } } } });
    first.runs.set('a', { text: 'one' }).set('b', { text: 'two' });
    await written();
    isFailing = true;
    internalsOf(first.registry)?.restart.recorder?.writer.checkpoint();
    await written();
    expect(first.failures).toEqual(['runs persist.encode']);
    isFailing = false;
    first.runs.set('b', { text: 'two' });
    const next = await restart(first, { maps: { runs: { persist } } });
    expect([...next.runs]).toEqual([['b', { text: 'two' }]]);
    await machine.clock.advance(minutes(11));
    expect(next.told.map(({ key, reason }) => [key, reason])).toEqual([['a', 'lost']]);
  });

  it.each<[what: string, answer: () => unknown]>([
    ['undefined', () => undefined],
    ['a function', () => () => {}],
    ['a bigint', () => 7n],
    [
      'a circle',
      () => {
        const circle: { self?: unknown } = {};
        circle.self = circle;
        return circle;
      },
    ],
    ['a promise', () => Promise.reject(new Error('late'))],
  ])('takes %s from encode for a failure', async (_what, encode) => {
    const first = start({ maps: { runs: { persist: { encode } } } });
    first.runs.set('a', {});
    await written();
    expect(first.failures).toEqual(['runs persist.encode']);
  });

  it.each<[what: string, decode: () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('cannot');
      },
    ],
    ['answers a promise', () => Promise.resolve({})],
  ])(
    'awaits an entry whose decode %s, counts it, says it once, and brings the rest back',
    async (_what, fail) => {
      const first = start({ maps: { runs: { persist } } });
      first.runs.set('x', { text: 'bad' }).set('a', { text: 'one' }).set('y', { text: 'bad' });
      const decode = (json: unknown) =>
        (json as { shown: string }).shown === 'bad' ? fail() : { text: 'one' };
      const next = await restart(first, { maps: { runs: { persist: { ...persist, decode } } } });
      expect([...next.runs]).toEqual([['a', { text: 'one' }]]);
      expect(next.registry.report().callbackErrors).toContainEqual({
        map: 'runs',
        callback: 'persist.decode',
        count: 2,
      });
      next.runs.set('x', { text: 'good' });
      expect(next.registry.stamps('runs', 'x')?.generation).toBe(1);
      await machine.clock.advance(minutes(11));
      expect(next.ended).toEqual([['y', 'lost']]);
    },
  );

  it('survives a set of the owner that throws: the entry is awaited', async () => {
    class Picky extends Map<unknown, Run> {
      override set(key: unknown, value: Run): this {
        if (key === 'x') throw new Error('not that one');
        return super.set(key, value);
      }
    }
    const first = start({ maps: { runs: { persist } } });
    first.runs.set('x', { text: 'one' }).set('a', { text: 'one' });
    const next = await restart(first, { maps: { runs: { persist, adopt: new Picky() } } });
    expect([...next.runs.keys()]).toEqual(['a']);
    expect(next.registry.report().callbackErrors).toContainEqual({
      map: 'runs',
      callback: 'persist.decode',
      count: 1,
    });
    await machine.clock.advance(minutes(11));
    expect(next.ended).toEqual([['x', 'lost']]);
  });

  it('keeps values to itself: nothing of one is in the journal but what encode gives', async () => {
    const first = start({
      maps: { runs: { persist }, contexts: {} },
      deliver: () => Promise.reject(new Error('down')),
    });
    const secret = { text: 'public', password: 's3cret', timer: setTimeout(() => {}, 1) };
    first.runs.set('a', secret);
    first.contexts.set('a', secret);
    first.registry.end('a');
    const next = await restart(first, { deliver: () => Promise.reject(new Error('down')) });
    next.runs.set('a', secret);
    await machine.clock.advance(minutes(5));
    expect(JSON.stringify([machine.volume.records, next.registry.snapshot()])).not.toContain('s3cret');
    clearTimeout(secret.timer);
  });

  it('writes the value of an ending as encode gave it, over any number of lives', async () => {
    const encode = ({ text }: Run) => ({ enc: text });
    const options: LifeOptions = {
      maps: { runs: { persist: { encode } } },
      ended: { attempts: 1 },
      deliver: () => Promise.reject(new Error('down')),
    };
    let life = start(options);
    life.runs.set('a', { text: 'job' });
    life.registry.end('a');
    life.runs.delete('a');
    for (let times = 0; times < 10; times += 1) life = await restart(life, options);
    const last = await restart(life, { ...options, deliver: () => {} });
    expect(last.registry.deadLetters()).toMatchObject([{ event: { key: 'a', value: { enc: 'job' } } }]);
    expect(String(last.registry.deadLetters()[0]?.error)).toBe('MapsweepError: Error: down');
  });

  it('gives a run that is lost the value that decode makes of what was written', async () => {
    const first = start({ maps: { runs: { persist } } });
    first.runs.set('a', { text: 'one' });
    const fails = {
      ...persist,
      decode: (json: unknown) => ({ text: `${(json as { shown: string }).shown}!` }),
    };
    const once = { isFirst: true };
    const decode = (json: unknown) => {
      if (once.isFirst) {
        once.isFirst = false;
        throw new Error('not yet');
      }
      return fails.decode(json);
    };
    const next = await restart(first, { maps: { runs: { persist: { ...persist, decode } } } });
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost', value: { text: 'one!' } }]);
  });
});

describe('ended.id', () => {
  const ended = { id: (run: Run) => run.id };

  it('makes a run the same under another key, and the end of both one', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    await machine.clock.advance(minutes(5));
    const next = await restart(first, { ended });
    next.runs.set('b', { id: 'job 1' });
    expect(next.registry.stamps('runs', 'b')?.registeredAt).toBe(machine.clock.now() - minutes(5));
    // And in the life after that, by its new key, and by another one yet.
    const third = await restart(next, { ended });
    third.runs.set('b', { id: 'job 1' });
    expect(third.registry.stamps('runs', 'b')?.registeredAt).toBe(machine.clock.now() - minutes(5));
    third.registry.end('b');
    await machine.clock.advance(minutes(30));
    expect(third.told).toMatchObject([{ id: 'job 1', key: 'b', reason: 'completed' }]);
  });

  it('leaves nothing of a run that comes back under another key and leaves at once', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'one' });
    await written();
    const second = await restart(first, { ended });
    second.runs.set('b', { id: 'one' });
    second.runs.delete('b');
    await written();
    expect(second.told).toMatchObject([{ id: 'one', key: 'b' }]);
    // Of an entry that was left behind, a run that has no id would be taken for the one that has ended.
    const third = await restart(second, { ended });
    third.runs.set('a', {});
    expect(third.registry.end('a')).toBe('claimed');
  });

  it('is back under another key, though its value cannot be written', async () => {
    const encode = ({ text }: Run): unknown => {
      if (text === 'bad') throw new Error('cannot');
      return { text };
    };
    const options = { ended, maps: { runs: { persist: { encode } } } };
    const first = start(options);
    first.runs.set('a', { id: 'one', text: 'fine' });
    await written();
    const second = await restart(first, options);
    second.runs.set('b', { id: 'one', text: 'bad' }).set('c', { id: 'two', text: 'fine' });
    await written();
    const past = new Past();
    for (const record of machine.volume.records) past.play(JSON.parse(record));
    expect(past.lives).toBe(2);
    expect(past.maps.get('runs')?.entries.get(1)).toMatchObject({ id: 'one', life: past.lives, absentMs: 0 });
  });

  it('makes a run another one under the same key: both end', async () => {
    const first = start({ ended });
    first.runs.set('room', { id: 1 });
    const next = await restart(first, { ended });
    next.runs.set('room', { id: 2 });
    expect(next.registry.stamps('runs', 'room')?.registeredAt).toBe(machine.clock.now());
    expect(next.registry.end('room')).toBe('claimed');
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([
      { id: '2', reason: 'completed' },
      { id: '1', key: 'room', reason: 'lost' },
    ]);
  });

  it('keeps both apart over a further life', async () => {
    const first = start({ ended });
    first.runs.set('room', { id: 1 });
    const next = await restart(first, { ended });
    next.runs.set('room', { id: 2 });
    const third = await restart(next, { ended });
    third.runs.set('elsewhere', { id: 1 });
    third.runs.set('room', { id: 2 });
    await machine.clock.advance(minutes(30));
    expect(third.told).toEqual([]);
    third.registry.end('elsewhere');
    third.registry.end('room');
    await written();
    expect(third.told).toMatchObject([{ id: '1' }, { id: '2' }]);
  });

  it('remembers a run that has ended and left: set again, it is a duplicate', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    first.runs.delete('a');
    const next = await restart(first, { ended });
    next.runs.set('b', { id: 'job 1' });
    expect(next.registry.end('b')).toBe('duplicate');
    next.runs.delete('b');
    // Also over a life in which the journal was written anew.
    let life = next;
    for (let times = 0; times < 10; times += 1) life = await restart(life, { ended });
    life.runs.set('c', { id: 'job 1' });
    expect(life.registry.end('c')).toBe('duplicate');
    await machine.clock.advance(minutes(30));
    expect([first, next, life].flatMap(({ told }) => told)).toHaveLength(1);
  });

  it('remembers it by its key and generation too, within its time', async () => {
    const first = start({ ended });
    for (const id of ['job 1', 'job 2']) {
      first.runs.set('room', { id });
      first.registry.end('room');
      first.runs.delete('room');
    }
    first.runs.set('job 3', { id: 'job 3' });
    const generation = first.registry.stamps('runs', 'job 3')?.generation as number;
    first.runs.clear();
    let life = first;
    // Also over a life in which the journal was written anew.
    for (let times = 0; times < 10; times += 1) life = await restart(life, { ended });
    const { registry, runs } = life;
    expect(registry.report().endings?.tombstones).toBe(2);
    expect(registry.end('room')).toBe('duplicate');
    expect(registry.end('room', { generation: generation - 1 })).toBe('duplicate');
    expect(registry.end('room', { generation })).toBe('unknown');
    expect(registry.end('job 3', { generation })).toBe('duplicate');
    // A key that had left is a new run.
    runs.set('room', { id: 'job 4' });
    expect(registry.end('room')).toBe('claimed');
    expect(registry.transfer('job 3', 'room')).toBe('duplicate');
    await machine.clock.advance(hours(24));
    const last = await restart(life, { ended });
    expect(last.registry.end('job 3')).toBe('unknown');
    expect(last.registry.report().endings?.tombstones).toBe(0);
    expect([first, life, last].flatMap(({ told }) => told.map(({ id }) => id))).toEqual([
      'job 1',
      'job 2',
      'job 3',
      'job 4',
    ]);
  });

  it('remembers one that was transferred away, which nobody was told of', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    first.runs.set('b', { id: 'job 2' });
    first.registry.transfer('a', 'b');
    first.runs.delete('a');
    const next = await restart(first, { ended });
    next.runs.set('a', { id: 'job 1' });
    expect(next.registry.end('a')).toBe('duplicate');
    next.runs.set('b', { id: 'job 2' });
    expect(next.registry.end('b')).toBe('claimed');
  });

  it('knows when one was active to which a run went over, also in the interval of that', async () => {
    const first = start({ ended });
    for (const key of ['a', 'b']) first.runs.set(key, { id: 'job 1' });
    await machine.clock.advance(minutes(5));
    first.registry.transfer('a', 'b');
    await machine.clock.advance(10_000);
    first.registry.touch('runs', 'b');
    const touchedAt = machine.clock.now();
    const next = await restart(first, { ended });
    next.runs.set('b', { id: 'job 1' });
    // An entry counts as active at most an interval later than it was, and never earlier.
    expect(next.registry.stamps('runs', 'b')?.lastActiveAt).toBeGreaterThanOrEqual(touchedAt);
  });

  it.each(['first', 'second'])(
    'ends a run once that is there twice, when its %s entry is set first',
    async (order) => {
      const first = start({ ended });
      first.runs.set('a', { id: 'job 1' });
      first.runs.set('b', { id: 'job 1' });
      const next = await restart(first, { ended });
      const keys = order === 'first' ? ['a', 'b'] : ['b', 'a'];
      for (const key of keys) next.runs.set(key, { id: 'job 1' });
      await machine.clock.advance(minutes(11));
      expect(next.told).toEqual([]);
      expect(next.registry.end('a')).toBe('claimed');
      expect(next.registry.end('b')).toBe('duplicate');
      await written();
      expect(next.told).toMatchObject([{ id: 'job 1', key: 'a' }]);
    },
  );

  it.each(['a', 'ba', 'b', ''])(
    "ends a run once that was there twice, wherever its journal ends, when of a and b '%s' are set again",
    async (keys) => {
      const first = start({ ended });
      first.runs.set('a', { id: 'job 1' });
      await written();
      const before = machine.volume.records.length;
      first.runs.set('b', { id: 'job 1' });
      await written();
      first.kill();
      const { records } = machine.volume;
      expect(records.length).toBeGreaterThan(before + 1);
      for (let end = before; end <= records.length; end += 1) {
        machine.volume = new MemoryVolume(records.slice(0, end));
        const next = start({ ended });
        for (const key of keys) next.runs.set(key, { id: 'job 1' });
        await machine.clock.advance(minutes(11));
        for (const key of keys) next.registry.end(key);
        const third = await restart(next, { ended });
        for (const key of keys) third.runs.set(key, { id: 'job 1' });
        for (const key of keys) third.registry.end(key);
        await machine.clock.advance(minutes(11));
        expect([...next.told, ...third.told], `${end} records`).toMatchObject([{ id: 'job 1' }]);
      }
    },
  );

  /** Remembers the last run that has ended. */
  const memory = { ended: { ...ended, tombstones: { max: 1 } } };
  /** Another run takes the place of the one that is remembered. */
  const endAnother = ({ runs }: Life): void => {
    runs.set('z', { id: 'job 2' });
    runs.delete('z');
  };

  it('has ended in each entry that it was set in again, wherever its journal ends', async () => {
    const first = start(memory);
    first.runs.set('a', { id: 'job 1' });
    first.runs.delete('a');
    await written();
    const before = machine.volume.records.length;
    first.runs.set('b', { id: 'job 1' });
    await written();
    first.kill();
    const { records } = machine.volume;
    expect(records.length).toBeGreaterThan(before + 1);
    for (let end = before + 1; end <= records.length; end += 1) {
      machine.volume = new MemoryVolume(records.slice(0, end));
      const next = start(memory);
      endAnother(next);
      next.runs.set('b', { id: 'job 1' });
      expect(next.registry.end('b'), `${end} records`).toBe('duplicate');
      await machine.clock.advance(minutes(11));
      expect(next.told).toMatchObject([{ id: 'job 2' }]);
    }
  });

  it('has ended where it had been too, if a journal that was written anew ends before it says so', async () => {
    const first = start(memory);
    first.runs.set('a', { id: 'job 1' });
    await machine.clock.advance(1_000);
    const before = machine.volume.records.length;
    first.runs.set('b', { id: 'job 1' });
    expect(first.registry.transfer('a', 'b')).toBe('transferred');
    first.runs.delete('b');
    await written();
    first.kill();
    // Where records were dropped on a full disk, what is owed is written first, and last what has left.
    const { records } = machine.volume;
    const end = records.filter((record) => record.startsWith('["end",2,"b"'));
    expect(end).toHaveLength(1);
    machine.volume = new MemoryVolume([...records.slice(0, before), ...end]);
    const next = start(memory);
    await written();
    expect(next.told).toMatchObject([{ id: 'job 1', key: 'b' }]);
    endAnother(next);
    next.runs.set('a', { id: 'job 1' });
    expect(next.registry.end('a')).toBe('duplicate');
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ id: 'job 1' }, { id: 'job 2' }]);
  });

  it('never loses a run that goes on under another key, wherever its journal ends', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    first.runs.set('b', { id: 'job 1' });
    await written();
    const before = machine.volume.records.length;
    expect(first.registry.transfer('a', 'b')).toBe('transferred');
    first.runs.delete('a');
    await written();
    first.kill();
    const { records } = machine.volume;
    expect(records.length).toBeGreaterThan(before + 1);
    for (let end = before; end <= records.length; end += 1) {
      machine.volume = new MemoryVolume(records.slice(0, end));
      const next = start({ ended });
      await machine.clock.advance(minutes(11));
      expect(next.told, `${end} records`).toMatchObject([{ id: 'job 1', reason: 'lost' }]);
    }
  });

  it('keeps the claim of a second entry that comes back under the key of the first, found in its map', async () => {
    const first = start(memory);
    first.runs.set('a', { id: 'job 1' });
    first.runs.delete('a');
    first.runs.set('b', { id: 'job 1' });
    const own = new Map<unknown, Run>([['a', { id: 'job 1' }]]);
    const next = await restart(first, { ...memory, maps: { runs: { adopt: own } } });
    expect(next.registry.end('a')).toBe('duplicate');
    endAnother(next);
    const third = await restart(next, memory);
    third.runs.set('a', { id: 'job 1' });
    expect(third.registry.end('a')).toBe('duplicate');
    await machine.clock.advance(minutes(11));
    expect(third.told).toEqual([]);
  });

  it('is the run of the key where the owner names none, and of no other entry that was found beside it', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    const own = new Map<unknown, Run>([
      ['a', {}],
      ['b', { id: 'job 1' }],
    ]);
    const next = await restart(first, { ended, maps: { runs: { adopt: own } } });
    expect(next.registry.end('a')).toBe('claimed');
    expect(next.registry.end('b')).toBe('duplicate');
    await written();
    expect(next.told).toMatchObject([{ id: 'job 1', key: 'a' }]);
  });

  it('is not taken for the run of a name that its owner has given it since', async () => {
    const first = start({ ended });
    first.runs.set('a', {});
    const own = new Map<unknown, Run>([['a', { id: 'job 1' }]]);
    const next = await restart(first, { ended, maps: { runs: { adopt: own } } });
    next.runs.set('b', { id: 'job 1' });
    expect([next.registry.end('b'), next.registry.end('a')]).toEqual(['claimed', 'claimed']);
    await written();
    expect(next.told.map(({ id, key }) => [key, id === 'job 1'])).toEqual([
      ['b', true],
      ['a', false],
    ]);
  });

  it('is asked once a registration', async () => {
    let asked = 0;
    const id = (run: Run) => {
      asked += 1;
      return run.id;
    };
    const first = start({ ended: { id } });
    first.runs.set('a', { id: 1 });
    first.runs.set('a', { id: 1 });
    expect(asked).toBe(1);
    const next = await restart(first, { ended: { id } });
    asked = 0;
    next.runs.set('a', { id: 1 });
    next.runs.set('b', { id: 2 });
    expect(asked).toBe(2);
  });

  it('is not asked about an entry that decode brings back: the journal says which run it is', async () => {
    const maps = {
      runs: {
        persist: {
          encode: ({ text }: Run) => text,
          decode: (text: unknown): Run => ({ text: text as string, id: 'another' }),
        },
      },
    };
    const first = start({ maps, ended });
    first.runs.set('open', { id: 'job 1', text: '' }).set('claimed', { id: 'job 2', text: '' });
    // Of the same registration, whatever its value says now.
    first.runs.set('open', { id: 'job 3', text: 'again' });
    first.registry.end('claimed');
    const id = vi.fn((run: Run) => run.id);
    const next = await restart(first, { maps, ended: { id } });
    expect(next.runs.get('open')).toEqual({ text: 'again', id: 'another' });
    expect(id).not.toHaveBeenCalled();
    expect(next.registry.end('claimed')).toBe('duplicate');
    expect(next.registry.end('open')).toBe('claimed');
    await machine.clock.advance(minutes(11));
    expect([first, next].flatMap(({ told }) => told.map(({ id, reason }) => [id, reason]))).toEqual([
      ['job 2', 'completed'],
      ['job 1', 'completed'],
    ]);
  });

  it.each<[what: string, answer: () => unknown]>([
    ['undefined', () => undefined],
    ['NaN', () => Number.NaN],
    ['a text of 257 characters', () => 'x'.repeat(257)],
    ['an object', () => ({})],
    ['a promise that rejects', () => Promise.reject(new Error('late'))],
    [
      'a throw',
      () => {
        throw new Error('no idea');
      },
    ],
  ])('that answers %s has the run known by its key, counted and said once', async (_what, id) => {
    const first = start({ ended: { id } });
    first.runs.set('a', {}).set('b', {});
    await machine.clock.advance(minutes(5));
    expect(first.failures).toEqual(['runs id']);
    expect(first.registry.report().callbackErrors).toContainEqual({ map: 'runs', callback: 'id', count: 2 });
    const next = await restart(first, { ended: { id } });
    next.runs.set('a', {});
    expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(machine.clock.now() - minutes(5));
    expect(next.registry.end('a')).toBe('claimed');
    await machine.clock.advance(minutes(11));
    expect(next.told.map(({ key }) => key)).toEqual(['a', 'b']);
    expect(new Set(next.told.map((told) => told.id)).size).toBe(2);
  });

  it('takes a text of 256 characters, and a number', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'x'.repeat(256) }).set('b', { id: -1.5 });
    first.runs.clear();
    await written();
    expect(first.told.map(({ id }) => id)).toEqual(['x'.repeat(256), '-1.5']);
    expect(first.failures).toEqual([]);
  });

  it('that removes the entry that it is asked about harms nobody', async () => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    const next = await restart(first, {
      ended: {
        id: (run: Run, key: unknown) => {
          if (key === 'b') next.runs.delete('b');
          return run.id;
        },
      },
    });
    next.runs.set('b', { id: 'job 1' });
    await machine.clock.advance(minutes(11));
    expect(next.runs.size).toBe(0);
    const ids = next.told.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('job 1');
  });
});

describe('who is asked about a run that comes back', () => {
  const ways = [
    ['match of a rule', 'job 1', (asked: () => boolean) => ({ rules: [{ match: asked, ttl: '5m' }] }), {}],
    ['match of a rule', undefined, (asked: () => boolean) => ({ rules: [{ match: asked, ttl: '5m' }] }), {}],
    ['ended.settled', 'job 1', () => ({}), { isSettled: true }],
    ['ended.settled', undefined, () => ({}), { isSettled: true }],
  ] as const;

  it.each(ways)(
    'may remove it: %s, of a run with the id %s',
    async (_, id, policyOf, { isSettled }: { isSettled?: true }) => {
      const ended = id === undefined ? {} : { id: (run: Run) => run.id };
      const first = start({ ended });
      first.runs.set('a', { id });
      const firstGeneration = first.registry.stamps('runs', 'a')?.generation ?? 0;
      let asked = 0;
      const removes = (): boolean => {
        asked += 1;
        return asked === 1 && !next.runs.delete('a');
      };
      const next: Life = await restart(first, {
        maps: { runs: policyOf(removes) },
        ended: { ...ended, ...(isSettled && { settled: removes }) },
      });
      next.runs.set('a', { id });
      next.runs.set('b', { id: 'job 2' });
      expect(next.registry.stamps('runs', 'b')?.generation).toBeGreaterThan(firstGeneration);
      expect(next.registry.end('b')).toBe('claimed');
      await written();
      expect(next.told.map(({ key, reason }) => [key, reason])).toEqual([
        ['a', 'deleted'],
        ['b', 'completed'],
      ]);
      const ids = next.told.map((told) => told.id);
      expect(new Set(ids).size).toBe(2);
      if (id !== undefined) expect(ids).toEqual(['job 1', 'job 2']);
      // And nothing of either is left.
      const third = await restart(next, { ended });
      await machine.clock.advance(minutes(30));
      expect(third.told).toEqual([]);
    },
  );

  it('may end it: one that had ended before is a duplicate', async () => {
    const ended = { id: (run: Run) => run.id };
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    first.registry.end('a');
    await written();
    const results: string[] = [];
    const match = (key: unknown): boolean => results.push(next.registry.end(key)) === 0;
    const next: Life = await restart(first, { ended, maps: { runs: { rules: [{ match, ttl: '5m' }] } } });
    next.runs.set('a', { id: 'job 1' });
    await written();
    expect([results, first.told.length, next.told]).toEqual([['duplicate'], 1, []]);
  });
});

describe('from inside of the question which run a registration is', () => {
  it('transfer() of one that has not come back finds nothing: it is that run itself', async () => {
    const first = start({ ended: { id: () => 'run' } });
    first.runs.set('old', {});
    const results: string[] = [];
    const id = (_: Run, key: unknown): string => {
      if (key === 'new') results.push(next.registry.transfer('old', 'new'));
      return 'run';
    };
    const next: Life = await restart(first, { ended: { id } });
    next.runs.set('new', {});
    expect(next.registry.end('new')).toBe('claimed');
    await written();
    expect([results, next.told.map((told) => told.id)]).toEqual([['unknown'], ['run']]);
  });
});

describe('from inside of ended.settled, a second registration of a run that has ended', () => {
  const ended = { id: (run: Run) => run.id };

  it.each<[string, (life: Life) => unknown]>([
    ['end()', ({ registry }) => registry.end('b')],
    ['delete', ({ runs }) => runs.delete('b')],
    ['transfer()', ({ registry }) => registry.transfer('b', 'c')],
  ])('is a duplicate to %s', async (_, act) => {
    const first = start({ ended });
    first.runs.set('a', { id: 'job 1' });
    first.registry.end('a');
    first.runs.delete('a');
    await written();
    let isArmed = true;
    const settled = (_run: Run, key: unknown): boolean => {
      if (key === 'b' && isArmed) {
        isArmed = false;
        act(next);
      }
      return false;
    };
    const next: Life = await restart(first, { ended: { ...ended, settled } });
    next.runs.set('c', { id: 'job 1' }).set('b', { id: 'job 1' });
    next.runs.clear();
    await machine.clock.advance(minutes(1));
    expect([isArmed, first.told.length, next.told]).toEqual([false, 1, []]);
  });
});

describe('a key that a method of the owner’s sets, comes back by that, and is removed by the same method', () => {
  class Setting extends Map<unknown, Run> {
    override delete(key: unknown): boolean {
      if (!this.has(key)) this.set(key, {});
      return super.delete(key);
    }
    override clear(): void {
      this.set('a', {});
      super.clear();
    }
  }

  it.each(['delete', 'clear'] as const)(
    'by %s: leaves no stamp, and its end is told at once',
    async (method) => {
      const first = start();
      first.runs.set('a', {});
      const next = await restart(first, { maps: { runs: { adopt: new Setting() } } });
      next.runs[method]('a');
      expect(next.registry.report().maps[0]).toMatchObject({ name: 'runs', size: 0, registered: 1 });
      expect(next.registry.stamps('runs', 'a')).toBe(undefined);
      await written();
      expect(next.told.map(({ key, reason }) => [key, reason])).toEqual([['a', 'deleted']]);
    },
  );
});

describe('ended.settled', () => {
  const ended = { settled: (run: Run) => run.announced === true };

  it('marks a run as ended that comes back and was announced', async () => {
    const first = start({ ended });
    first.runs.set('a', {}).set('b', {});
    const next = await restart(first, { ended });
    next.runs.set('a', { announced: true }).set('b', {});
    expect(next.registry.end('a')).toBe('duplicate');
    expect(next.registry.end('b')).toBe('claimed');
    next.runs.clear();
    const third = await restart(next, { ended });
    await machine.clock.advance(minutes(30));
    expect([next, third].flatMap(({ told }) => told)).toMatchObject([{ key: 'b' }]);
  });

  it('marks a run as ended that had left and was announced, within the restore window (openclaw#64071)', async () => {
    const first = start({ ended });
    first.runs.set('a', {}).set('b', {});
    first.runs.clear();
    await written();
    const next = await restart(first, { ended });
    next.runs.set('a', { announced: true });
    expect(next.registry.end('a')).toBe('duplicate');
    await machine.clock.advance(minutes(11));
    next.runs.set('b', { announced: true });
    expect(next.registry.end('b')).toBe('claimed');
  });

  it('is not asked about what is set in a first life', async () => {
    const first = start({ ended });
    first.runs.set('a', { announced: true });
    expect(first.registry.end('a')).toBe('claimed');
  });

  it('that throws counts as no', async () => {
    const failing = {
      settled: () => {
        throw new Error('no idea');
      },
    };
    const first = start({ ended: failing });
    first.runs.set('a', {});
    const next = await restart(first, { ended: failing });
    next.runs.set('a', {});
    expect(next.failures).toEqual(['runs settled']);
    expect(next.registry.end('a')).toBe('claimed');
  });
});

describe('what a registry does without its owner', () => {
  it('ends a run that was never set again by its key, once', async () => {
    const first = start();
    first.runs.set('a', {});
    const next = await restart(first);
    expect(next.registry.end('a', { reason: 'error' })).toBe('claimed');
    expect(next.registry.end('a')).toBe('duplicate');
    const third = await restart(next);
    third.runs.set('a', {});
    expect(third.registry.end('a')).toBe('duplicate');
    await machine.clock.advance(minutes(30));
    expect([next, third].flatMap(({ told }) => told)).toMatchObject([{ key: 'a', reason: 'error' }]);
  });

  it('ends only the registration that was meant', async () => {
    const first = start();
    first.runs.set('a', {});
    const generation = first.registry.stamps('runs', 'a')?.generation as number;
    const next = await restart(first);
    expect(next.registry.end('a', { generation: generation + 1 })).toBe('unknown');
    expect(next.registry.end('a', { generation })).toBe('claimed');
  });

  it('transfers a run that has not come back', async () => {
    const first = start();
    first.runs.set('a', {});
    const next = await restart(first);
    next.runs.set('b', {});
    expect(next.registry.transfer('a', 'b')).toBe('transferred');
    const third = await restart(next);
    third.runs.set('b', {});
    await machine.clock.advance(minutes(30));
    expect([...next.told, ...third.told]).toEqual([]);
    third.registry.end('b');
    await written();
    expect(third.told).toMatchObject([{ key: 'b' }]);
  });

  it('transfers none to a run that has ended, whose end was told, and none that has ended itself', async () => {
    const first = start();
    for (const key of ['a', 'ended']) first.runs.set(key, {});
    first.registry.end('ended');
    await written();
    const next = await restart(first);
    for (const key of ['b', 'c']) next.runs.set(key, {});
    next.registry.end('b');
    expect(next.registry.transfer('a', 'b')).toBe('duplicate');
    expect(next.registry.transfer('ended', 'c')).toBe('duplicate');
    expect(next.registry.transfer('nobody', 'b')).toBe('unknown');
    await machine.clock.advance(minutes(30));
    expect(next.told.map(({ key, reason }) => [key, reason])).toEqual([
      ['b', 'completed'],
      ['a', 'lost'],
    ]);
  });

  it('leaves alone a map that is tracked without a registry', () => {
    const map = new Map();
    const handle = adopt(map, { name: 'alone', maxIdle: '1h' });
    map.set('a', 1);
    expect(handle.stamps('a')?.generation).toBe(1);
    handle.release();
  });
});
