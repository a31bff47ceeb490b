import { adopt, createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { refusalOf } from '../policy/refusal.js';

type Numbers = Map<string, number>;

describe('createRegistry refuses at once, naming the option, what was received and what is allowed', () => {
  const years = '101y';
  const cases: Array<[string, object, string, readonly string[]]> = [
    [
      'a map that is none',
      { maps: { a: { adopt: {} } } },
      'ERR_NOT_A_MAP',
      ['maps.a.adopt', 'a Map or a Set', 'an object'],
    ],
    [
      'a Map in place of a policy',
      { maps: { a: new Map() } },
      'ERR_INVALID_OPTION',
      ['maps.a', '{ adopt: it }'],
    ],
    [
      'a policy that is no object',
      { maps: { a: '5m' } },
      'ERR_INVALID_OPTION',
      ['maps.a', '"5m"', 'an object of options'],
    ],
    [
      'a policy that is null',
      { maps: { a: null } },
      'ERR_INVALID_OPTION',
      ['maps.a', 'received null', 'an object of options'],
    ],
    [
      'maps that are no object',
      { maps: [] },
      'ERR_INVALID_OPTION',
      ['maps', 'an object of policies by map name'],
    ],
    [
      'maps in a Map',
      { maps: new Map([['a', {}]]) },
      'ERR_INVALID_OPTION',
      ['maps', 'an object of policies'],
    ],
    [
      'a frozen Map',
      { maps: { a: { adopt: Object.freeze(new Map()) } } },
      'ERR_NOT_ADOPTABLE',
      ['maps.a.adopt', 'frozen'],
    ],
    [
      'a Proxy',
      { maps: { a: { adopt: new Proxy(new Map(), {}) } } },
      'ERR_NOT_ADOPTABLE',
      ['maps.a.adopt', 'a Proxy'],
    ],
    ['a WeakMap', { maps: { a: { adopt: new WeakMap() } } }, 'ERR_NOT_A_MAP', ['maps.a.adopt', 'WeakMap']],
    [
      'an empty name',
      { maps: { '': {} } },
      'ERR_INVALID_OPTION',
      ['maps[""]', '1 to 128 characters', 'received ""'],
    ],
    [
      'a name of 129 characters',
      { maps: { ['x'.repeat(129)]: {} } },
      'ERR_INVALID_OPTION',
      ['1 to 128 characters', '(129 characters)'],
    ],
    [
      'a ttl of NaN',
      { maps: { a: { ttl: Number.NaN } } },
      'ERR_INVALID_DURATION',
      ['maps.a.ttl', 'NaN', "'5m'"],
    ],
    [
      'a negative ttl',
      { maps: { a: { ttl: -1 } } },
      'ERR_INVALID_DURATION',
      ['maps.a.ttl', '-1', 'from 0 ms'],
    ],
    ['a negative text', { maps: { a: { ttl: '-5m' } } }, 'ERR_INVALID_DURATION', ['maps.a.ttl', '"-5m"']],
    [
      'an infinite maxIdle',
      { maps: { a: { maxIdle: Number.POSITIVE_INFINITY } } },
      'ERR_INVALID_DURATION',
      ['maps.a.maxIdle', 'Infinity', 'false'],
    ],
    [
      'an absurd maxAge',
      { maps: { a: { maxAge: years } } },
      'ERR_INVALID_DURATION',
      ['maps.a.maxAge', `"${years}"`, '100 years'],
    ],
    [
      'an absurd number',
      { maps: { a: { ttl: 1e300 } } },
      'ERR_INVALID_DURATION',
      ['maps.a.ttl', '100 years'],
    ],
    [
      'a duration without sense',
      { maps: { a: { ttl: 'five minutes' } } },
      'ERR_INVALID_DURATION',
      ['maps.a.ttl', '"five minutes"'],
    ],
    ['a duration of true', { maps: { a: { ttl: true } } }, 'ERR_INVALID_DURATION', ['maps.a.ttl', 'true']],
    ['a duration of null', { maps: { a: { ttl: null } } }, 'ERR_INVALID_DURATION', ['maps.a.ttl', 'null']],
    [
      'an orphanAfter without a leader',
      { maps: { a: { orphanAfter: '5m' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.orphanAfter', 'maps.a.follows'],
    ],
    [
      'a since without a ttl',
      { maps: { a: { since: 'lastActiveAt' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.since', 'maps.a.ttl'],
    ],
    [
      'a since that is none',
      { maps: { a: { ttl: 1, since: 'endedAt' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.since', "'registeredAt'", '"endedAt"'],
    ],
    [
      'a misspelt option',
      { maps: { a: { maxIdel: '5m' } } },
      'ERR_UNKNOWN_OPTION',
      ['maps.a.maxIdel', "Did you mean 'maxIdle'"],
    ],
    [
      'a misspelt option at the top',
      { sweepevery: '5s' },
      'ERR_UNKNOWN_OPTION',
      ['sweepevery', "Did you mean 'sweepEvery'"],
    ],
    [
      'a misspelt option in a rule',
      { maps: { a: { rules: [{ match: /a/, tll: 1 }] } } },
      'ERR_UNKNOWN_OPTION',
      ['maps.a.rules[0].tll', "'ttl'"],
    ],
    [
      'a rule without match',
      { maps: { a: { rules: [{ ttl: 1 }] } } },
      'ERR_INVALID_OPTION',
      ['maps.a.rules[0].match', 'RegExp'],
    ],
    [
      'a match that is a text',
      { maps: { a: { rules: [{ match: '^a' }] } } },
      'ERR_INVALID_OPTION',
      ['maps.a.rules[0].match', 'new RegExp'],
    ],
    [
      'rules that are no array',
      { maps: { a: { rules: {} } } },
      'ERR_INVALID_OPTION',
      ['maps.a.rules', 'an array'],
    ],
    [
      'a keepWhile that is no function',
      { maps: { a: { keepWhile: true } } },
      'ERR_INVALID_OPTION',
      ['maps.a.keepWhile', 'true', '=> boolean'],
    ],
    [
      'a dispose that is no function',
      { maps: { a: { dispose: {} } } },
      'ERR_INVALID_OPTION',
      ['maps.a.dispose', 'function'],
    ],
    [
      'a maxEntries of 0',
      { maps: { a: { maxEntries: 0 } } },
      'ERR_INVALID_OPTION',
      ['maps.a.maxEntries', '0', 'at least 1'],
    ],
    [
      'a maxEntries of 1.5',
      { maps: { a: { maxEntries: 1.5 } } },
      'ERR_INVALID_OPTION',
      ['maps.a.maxEntries', '1.5'],
    ],
    [
      'a maxEntries of a text',
      { maps: { a: { maxEntries: '10' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.maxEntries', '"10"'],
    ],
    ['another mode', { mode: 'observed' }, 'ERR_INVALID_OPTION', ['mode', "'observe'", '"observed"']],
    [
      'a mode in capitals',
      { maps: { a: { mode: 'Sweep' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.mode', "Did you mean 'sweep'"],
    ],
    [
      'an unstamped that is none',
      { maps: { a: { unstamped: 'old' } } },
      'ERR_INVALID_OPTION',
      ['maps.a.unstamped', "'expired'", '"old"'],
    ],
    [
      'a leader that is not there',
      { maps: { a: { follows: 'sesions' }, sessions: {} } },
      'ERR_UNKNOWN_MAP',
      ['maps.a.follows', "'sesions'", "Did you mean 'sessions'"],
    ],
    [
      'a map that follows itself',
      { maps: { a: { follows: 'a' } } },
      'ERR_FOLLOW_CYCLE',
      ['maps.a.follows', "'a' -> 'a'"],
    ],
    [
      'maps that follow each other',
      { maps: { a: { follows: 'b' }, b: { follows: 'c' }, c: { follows: 'a' } } },
      'ERR_FOLLOW_CYCLE',
      ["'a' -> 'b' -> 'c' -> 'a'"],
    ],
    ['an interval of 0', { sweepEvery: 0 }, 'ERR_INVALID_DURATION', ['sweepEvery', '0', '1 ms']],
    [
      'an interval of NaN, which would tick every ms',
      { sweepEvery: Number.NaN },
      'ERR_INVALID_DURATION',
      ['sweepEvery', 'NaN'],
    ],
    [
      'an interval of 25 days, which a timer turns into 1 ms',
      { sweepEvery: '25d' },
      'ERR_INVALID_DURATION',
      ['sweepEvery', '"25d"'],
    ],
    ['an interval of false', { sweepEvery: false }, 'ERR_INVALID_DURATION', ['sweepEvery', 'false']],
    ['a slice budget of 0', { sliceBudget: 0 }, 'ERR_INVALID_OPTION', ['sliceBudget', '0', '0.1']],
    ['a slice budget of NaN', { sliceBudget: Number.NaN }, 'ERR_INVALID_OPTION', ['sliceBudget', 'NaN']],
    [
      'a clock without monotonic()',
      { clock: { now: () => 1 } },
      'ERR_INVALID_OPTION',
      ['clock.monotonic', 'function'],
    ],
    [
      'a clock that reads NaN',
      { clock: { ...createManualClock(), now: () => Number.NaN } },
      'ERR_INVALID_OPTION',
      ['clock.now()', 'NaN'],
    ],
    ['endings of no map', { maps: { a: {} }, ended: {} }, 'ERR_INVALID_OPTION', ['ended.map', 'undefined']],
    [
      'endings of an unknown map',
      { maps: { sessions: {} }, ended: { map: 'session' } },
      'ERR_UNKNOWN_MAP',
      ['ended.map', "Did you mean 'sessions'"],
    ],
    [
      'endings of a companion',
      { maps: { a: {}, b: { follows: 'a' } }, ended: { map: 'b' } },
      'ERR_INVALID_OPTION',
      ['ended.map', "'b' follows 'a'"],
    ],
    [
      '0 attempts',
      { maps: { a: {} }, ended: { map: 'a', attempts: 0 } },
      'ERR_INVALID_OPTION',
      ['ended.attempts', '0', 'an integer of at least 1, or Infinity'],
    ],
    [
      'a name that is nearly that of an option of endings',
      { maps: { a: {} }, ended: { map: 'a', giveupafter: '1h' } },
      'ERR_UNKNOWN_OPTION',
      ['ended.giveupafter', "Did you mean 'giveUpAfter'"],
    ],
    [
      'a time to give up of nothing',
      { maps: { a: {} }, ended: { map: 'a', giveUpAfter: 0 } },
      'ERR_INVALID_DURATION',
      ['ended.giveUpAfter', '0'],
    ],
    [
      'idempotent by a word',
      { maps: { a: {} }, ended: { map: 'a', idempotent: 'yes' } },
      'ERR_INVALID_OPTION',
      ['ended.idempotent', 'true or false', '"yes"'],
    ],
    [
      'no recipients',
      { maps: { a: {} }, ended: { map: 'a', deliver: {} } },
      'ERR_INVALID_OPTION',
      ['ended.deliver', 'an object of such functions'],
    ],
    [
      'a recipient that is no function',
      { maps: { a: {} }, ended: { map: 'a', deliver: { queue: () => {}, audit: 'log' } } },
      'ERR_INVALID_OPTION',
      ['ended.deliver.audit', 'function', '"log"'],
    ],
    [
      'a recipient without a name',
      { maps: { a: {} }, ended: { map: 'a', deliver: { '': () => {} } } },
      'ERR_INVALID_OPTION',
      ['the name in ended.deliver[', '1 to 128 characters'],
    ],
    [
      'delays in the wrong order',
      { maps: { a: {} }, ended: { map: 'a', minDelay: '2m', maxDelay: '1m' } },
      'ERR_INVALID_OPTION',
      ['ended.maxDelay', 'minDelay', '60000'],
    ],
    [
      'a tombstone limit of 0',
      { maps: { a: {} }, ended: { map: 'a', tombstones: { max: 0 } } },
      'ERR_INVALID_OPTION',
      ['ended.tombstones.max', '0'],
    ],
    [
      'a misspelt tombstone option',
      { maps: { a: {} }, ended: { map: 'a', tombstones: { tl: 1 } } },
      'ERR_UNKNOWN_OPTION',
      ['ended.tombstones.tl', "'ttl'"],
    ],
    [
      'a deliver that is no function',
      { maps: { a: {} }, ended: { map: 'a', deliver: 'x' } },
      'ERR_INVALID_OPTION',
      ['ended.deliver', '"x"'],
    ],
    ['a share of 2', { captureSites: 2 }, 'ERR_INVALID_OPTION', ['captureSites', '2', '0 to 1']],
    [
      'the key codec of the first edition',
      { keyCodec: { encode: () => '', decode: () => '' } },
      'ERR_UNKNOWN_OPTION',
      ['keyCodec is gone', 'left out'],
    ],
    [
      'the value encoder of the first edition',
      { encodeValue: () => '' },
      'ERR_UNKNOWN_OPTION',
      ['encodeValue is gone', 'persist = { encode }'],
    ],
    [
      'the interval of the first edition',
      { persistTo: { path: '/tmp/never', every: '10s' } },
      'ERR_UNKNOWN_OPTION',
      ['persistTo.every is gone', 'maxWait'],
    ],
    [
      'a misspelt option of the journal, which is not taken for one of the first edition',
      { persistTo: { path: '/tmp/never', ever: '10s' } },
      'ERR_UNKNOWN_OPTION',
      ['persistTo.ever is not an option. Allowed here: path, sync, maxWait'],
    ],
    [
      'a promise of less than the kernel',
      { persistTo: { path: '/tmp/never', sync: 'none' } },
      'ERR_INVALID_OPTION',
      ['persistTo.sync', '"none"', 'kernel'],
    ],
    [
      'half a persist',
      { maps: { runs: { persist: { decode: () => 1 } } } },
      'ERR_INVALID_OPTION',
      ['persist.encode'],
    ],
    ['an empty path', { persistTo: '' }, 'ERR_INVALID_OPTION', ['persistTo', 'path']],
    ['a misspelt leak option', { leakDetection: { cycl: 1 } }, 'ERR_UNKNOWN_OPTION', ['leakDetection.cycl']],
  ];

  it.each(cases)('%s', (_, options, code, parts) => {
    const live = new Map();
    const clock = createManualClock();
    const maps = { first: { adopt: live }, ...(options as { maps?: object }).maps };
    const isOdd =
      Array.isArray((options as { maps?: unknown }).maps) ||
      (options as { maps?: unknown }).maps instanceof Map;
    const given = isOdd ? { clock, ...options } : { clock, ...options, maps };
    const refusal = refusalOf(() => createRegistry(given as never));
    expect(refusal.code).toBe(code);
    expect(['TypeError', 'RangeError']).toContain(refusal.name);
    for (const part of parts) expect(refusal.message).toContain(part);
    expect(refusal.message?.includes('\n')).toBe(false);
    // Nothing half applied.
    expect(Reflect.ownKeys(live)).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([null, 5, 'x', [], new Map(), () => {}])('options that are %o', (options) => {
    if (options === null) return;
    expect(refusalOf(() => createRegistry(options as never)).code).toBe('ERR_INVALID_OPTION');
  });
});

describe('createRegistry', () => {
  it('takes no options, and maps of any odd name', () => {
    createRegistry({} as never).stop();
    const names = ['__proto__', 'constructor', 'toString', 'x'.repeat(128), 'with space', 'ü'];
    const maps = Object.fromEntries(names.map((name) => [name, {}]));
    const registry = createRegistry<Record<string, Numbers>>({
      maps: Object.defineProperty(maps, '__proto__', { value: {}, enumerable: true }),
      clock: createManualClock(),
    });
    expect(Object.keys(registry.maps).sort()).toEqual([...names].sort());
    Object.getOwnPropertyDescriptor(registry.maps, '__proto__')?.value.set('a', 1);
    expect(registry.stamps('__proto__', 'a')).toBeDefined();
    registry.stop();
  });

  it('makes TrackedMaps, which know their names', () => {
    const registry = createRegistry<{ sessions: Numbers }>({
      maps: { sessions: {} },
      clock: createManualClock(),
    });
    expect(registry.maps.sessions).toBeInstanceOf(TrackedMap);
    expect((registry.maps.sessions as TrackedMap<string, number>).name).toBe('sessions');
    registry.stop();
  });

  it('takes nothing from a polluted Object.prototype, at any level', async () => {
    const polluted = {
      ttl: 0,
      maxEntries: 1,
      mode: 'observe',
      deliver: () => {},
      attempts: 0,
      sweepEvery: 1,
      follows: 'x',
    };
    Object.assign(Object.prototype, polluted);
    try {
      const clock = createManualClock();
      const registry = createRegistry<{ map: Numbers }>({ maps: { map: {} }, ended: { map: 'map' }, clock });
      registry.maps.map.set('a', 1).set('b', 2);
      await clock.advance(60_000);
      expect(registry.maps.map.size).toBe(2);
      expect(registry.report()).toMatchObject({ mode: 'sweep', sweepEveryMs: 60_000 });
      expect(registry.end('a')).toBe('claimed');
      registry.stop();
    } finally {
      for (const name of Object.keys(polluted)) delete (Object.prototype as Record<string, unknown>)[name];
    }
  });

  it('reads each option once', () => {
    let reads = 0;
    const policy = {
      get ttl() {
        reads += 1;
        return '5m' as const;
      },
    };
    createRegistry<{ map: Numbers }>({ maps: { map: policy }, clock: createManualClock() }).stop();
    expect(reads).toBe(1);
  });

  it('takes undefined for an option that is left out', () => {
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { ttl: undefined, rules: undefined, follows: undefined } },
      ended: undefined,
      sweepEvery: undefined,
      clock: createManualClock(),
    });
    expect(registry.report().sweepEveryMs).toBe(60_000);
    registry.stop();
  });
});

describe('registry.adopt', () => {
  const open = () => createRegistry<{ first: Numbers }>({ maps: { first: {} }, clock: createManualClock() });

  it.each<[string, (registry: ReturnType<typeof open>, live: Numbers) => unknown, string, string]>([
    [
      'a name that is taken',
      (registry, live) => registry.adopt('first', live),
      'ERR_DUPLICATE_NAME',
      "'first'",
    ],
    ['an empty name', (registry, live) => registry.adopt('', live), 'ERR_INVALID_OPTION', 'name'],
    [
      'a name of 129 characters',
      (registry, live) => registry.adopt('x'.repeat(129), live),
      'ERR_INVALID_OPTION',
      '128',
    ],
    [
      'a name that is none',
      (registry, live) => registry.adopt(5 as never, live),
      'ERR_INVALID_OPTION',
      'name',
    ],
    [
      'a wrong policy',
      (registry, live) => registry.adopt('b', live, { ttl: -1 }),
      'ERR_INVALID_DURATION',
      'ttl',
    ],
    [
      'an unknown leader',
      (registry, live) => registry.adopt('b', live, { follows: 'frist' as string }),
      'ERR_UNKNOWN_MAP',
      "'first'",
    ],
    [
      'itself as its leader',
      (registry, live) => registry.adopt('b', live, { follows: 'b' as string }),
      'ERR_FOLLOW_CYCLE',
      "'b' -> 'b'",
    ],
    [
      'a policy that adopts',
      (registry, live) => registry.adopt('b', live, { adopt: live } as never),
      'ERR_INVALID_OPTION',
      'adopt',
    ],
    [
      'a policy that is null',
      (registry, live) => registry.adopt('b', live, null as never),
      'ERR_INVALID_OPTION',
      'null',
    ],
  ])('refuses %s, and changes nothing', (_, call, code, part) => {
    const registry = open();
    const live = new Map<string, number>();
    const refusal = refusalOf(() => call(registry, live));
    expect(refusal.code).toBe(code);
    expect(refusal.message).toContain(part);
    expect(Reflect.ownKeys(live)).toEqual([]);
    expect(registry.report().maps.map(({ name }) => name)).toEqual(['first']);
    registry.adopt('fine', live).release();
    registry.stop();
  });

  it('finds no circle through a map that comes back under its old name with another leader', () => {
    const registry = open();
    const a = registry.adopt('a', new Map(), { follows: 'first' });
    const b = registry.adopt('b', new Map(), { follows: a.name });
    a.release();
    expect(refusalOf(() => registry.adopt('a', new Map(), { follows: b.name })).code).toBe(
      'ERR_FOLLOW_CYCLE',
    );
    registry.adopt('a', new Map(), { follows: 'first' });
    registry.stop();
  });

  it.each(['detach', 'close'] as const)('gives the map back where what it asks calls %s()', async (leave) => {
    const clock = createManualClock();
    const registry = createRegistry({ clock });
    const late = new Map([['a', 1]]);
    const unstamped = () => {
      void registry[leave]();
      return clock.now();
    };
    expect(refusalOf(() => registry.adopt('late', late, { unstamped })).code).toBe('ERR_CLOSED');
    expect(Reflect.ownKeys(late)).toEqual([]);
    expect([registry.report().maps, [...late]]).toEqual([[], [['a', 1]]]);
    await registry.close();
    adopt(late).release();
  });
});

describe('calls that name a map', () => {
  it('refuse an unknown one, saying which there are', () => {
    const registry = createRegistry<{ runs: Numbers; seqs: Numbers }>({
      maps: { runs: {}, seqs: {} },
      clock: createManualClock(),
    });
    for (const call of [
      () => registry.touch('run' as never, 'a'),
      () => registry.stamps('run' as never, 'a'),
      () => registry.explain('run' as never, 'a'),
    ]) {
      expect(refusalOf(call)).toMatchObject({
        code: 'ERR_UNKNOWN_MAP',
        message: expect.stringMatching(/'run'.*runs, seqs/),
      });
    }
    expect(refusalOf(() => registry.touch(undefined as never, 'a')).code).toBe('ERR_INVALID_OPTION');
    registry.stop();
  });

  it('refuse it on one printable line, whatever the maps are called and however many there are', () => {
    const hostile = '\n\x1b[2J\u202e\x9b\ud800';
    const names = Array.from({ length: 1_000 }, (_, index) => `${hostile}${index}`.padEnd(128, '\x07'));
    const maps = Object.fromEntries(names.map((name) => [name, {}]));
    const registry = createRegistry({ maps, clock: createManualClock() });
    const late = names[0] as string;
    const calls = [
      () => registry.touch(hostile, 'a'),
      () => registry.touch('x'.repeat(128), 'a'),
      () => registry.adopt(late, new Map()),
      () => registry.adopt(`${late.slice(1)}`, new Map(), { follows: `${hostile}none` }),
      () => createRegistry({ maps: { [late]: { follows: hostile } } }),
      () => createRegistry({ maps: { [late]: { follows: late } } }),
      () => createRegistry({ maps: { [late]: {} }, ended: { map: `${late.slice(1)}` } }),
    ];
    for (const call of calls) {
      const { message = '' } = refusalOf(call);
      expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
      expect(message.length).toBeLessThan(20_000);
    }
    expect(refusalOf(calls[0] as () => unknown).message).toMatch(/, and 980 more$/);
    registry.stop();
  });

  it('touch says whether there was an entry, and adds none', () => {
    const registry = createRegistry<{ runs: Numbers }>({ maps: { runs: {} }, clock: createManualClock() });
    expect(registry.touch('runs', 'a')).toBe(false);
    expect(registry.maps.runs.size).toBe(0);
    registry.maps.runs.set('a', 1);
    expect(registry.touch('runs', 'a')).toBe(true);
    registry.stop();
  });
});

describe('end', () => {
  it('refuses a wrong option, also where nothing is told of endings', () => {
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    expect(() => registry.end('a', { reson: 'x' } as never)).toThrow(/reson.*reason/s);
    expect(registry.end('a', { reason: 'x' })).toBe('unknown');
  });
});

describe('close()', () => {
  it('stops, delivers what is pending, releases adopted maps, and leaves no timer', async () => {
    const clock = createManualClock();
    const live = new Map([['a', 1]]);
    const delivered: unknown[] = [];
    let isDown = true;
    const registry = createRegistry({
      maps: { live: { adopt: live, ttl: '5m' } },
      ended: {
        map: 'live',
        deliver: ({ key }) => {
          if (isDown) throw new Error('down');
          delivered.push(key);
        },
      },
      clock,
    });
    registry.end('a');
    await clock.advance(0);
    isDown = false;
    const closing = registry.close();
    await clock.advance(0);
    expect(await closing).toMatchObject({ undelivered: 0 });
    expect(delivered).toEqual(['a']);
    expect(Reflect.ownKeys(live)).toEqual([]);
    expect([...live]).toEqual([['a', 1]]);
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(3_600_000);
    expect(live.size).toBe(1);
  });

  it('ends no live entry', async () => {
    const clock = createManualClock();
    const told: unknown[] = [];
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: { dispose: () => told.push('dispose') } },
      ended: { map: 'map', deliver: () => void told.push('deliver') },
      clock,
    });
    registry.on('subagent-ended', () => told.push('ended'));
    registry.maps.map.set('a', 1);
    await registry.close();
    expect(told).toEqual([]);
    expect(registry.maps.map.size).toBe(1);
  });

  it('gives up at its deadline, and says how many are undelivered', async () => {
    const clock = createManualClock();
    const signals: AbortSignal[] = [];
    const registry = createRegistry<{ map: Numbers }>({
      maps: { map: {} },
      ended: {
        map: 'map',
        concurrency: 1,
        deliver: (_event, { signal }) => {
          signals.push(signal);
          return new Promise(() => {});
        },
      },
      clock,
    });
    registry.maps.map.set('a', 1).set('b', 2);
    registry.end('a');
    registry.end('b');
    const closing = registry.close({ deadline: '3s' });
    await clock.advance(3_000);
    expect(await closing).toMatchObject({ undelivered: 2 });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits for nothing with a deadline of 0, though its clock stands still', async () => {
    const answers = [() => new Promise<void>(() => {}), async () => {}];
    const registry = createRegistry({
      maps: { runs: { dispose: () => answers.pop()?.() } },
      ended: { map: 'runs', deliver: () => Promise.reject(new Error('away')) },
      clock: createManualClock(),
    });
    const { runs } = registry.maps;
    for (const id of ['a', 'b', 'c']) runs.set(id, {});
    registry.end('c');
    runs.delete('a');
    runs.delete('b');
    expect(await registry.close({ deadline: 0 })).toEqual({ undelivered: 3, undisposed: 1 });
  });

  it('is idempotent: the result of the first, also while that runs', async () => {
    const registry = createRegistry<{ map: Numbers }>({ maps: { map: {} }, clock: createManualClock() });
    const first = registry.close();
    expect(registry.close({ deadline: 1 })).toBe(first);
    await first;
    expect(registry.close()).toBe(first);
    registry.stop();
  });

  it.each(['close', 'detach'] as const)('gives one result though what it aborts calls %s()', async (how) => {
    const clock = createManualClock();
    let disposed = (): void => {};
    let inner: unknown;
    const registry = createRegistry<{ runs: Numbers; sockets: Numbers }>({
      maps: {
        runs: {
          ttl: '1m',
          beforeSweep: (_value, _key, { signal }) =>
            new Promise<void>((_resolve, reject) => {
              signal.addEventListener('abort', () => {
                inner = registry[how]();
                reject(signal.reason);
              });
            }),
        },
        sockets: {
          dispose: () =>
            new Promise<void>((resolve) => {
              disposed = resolve;
            }),
        },
      },
      clock,
    });
    registry.maps.runs.set('a', 1);
    registry.maps.sockets.set('a', 1);
    await clock.advance(60_000);
    registry.maps.sockets.delete('a');
    const outer = registry.close();
    expect(registry.close()).toBe(outer);
    if (how === 'close') expect(inner).toBe(outer);
    else expect(inner).toEqual({ undelivered: 0 });
    disposed();
    let result: unknown;
    void outer.then((closed) => {
      result = closed;
    });
    await clock.advance(0);
    expect(result).toEqual({ undelivered: 0, undisposed: 0 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('refuses a wrong deadline, and is not closed by that', async () => {
    const registry = createRegistry<{ map: Numbers }>({ maps: { map: {} }, clock: createManualClock() });
    expect(refusalOf(() => registry.close({ deadline: Number.NaN })).code).toBe('ERR_INVALID_DURATION');
    expect(refusalOf(() => registry.close({ deadlin: 1 } as never)).message).toContain("'deadline'");
    registry.adopt('late', new Map()).release();
    await registry.close();
  });

  it('lets no map be adopted afterwards; the maps go on being maps', async () => {
    const clock = createManualClock();
    const live = new Map([['a', 1]]);
    const registry = createRegistry<{ map: Numbers; live: Numbers }>({
      maps: { map: { ttl: 1, maxEntries: 1 }, live: { adopt: live } },
      clock,
    });
    await registry.close();
    expect(refusalOf(() => registry.adopt('late', new Map())).code).toBe('ERR_CLOSED');
    registry.maps.map.set('a', 1).set('b', 2).delete('a');
    await clock.advance(600_000);
    expect(registry.maps.map.size).toBe(1);
    expect(clock.pendingTimers).toBe(0);
    // And what it had adopted is free for another one.
    createRegistry({ maps: { live: { adopt: live } }, clock }).stop();
  });

  it('makes no new run of one whose end was claimed before, in a map that it has released', async () => {
    const clock = createManualClock();
    const runs = new Map<string, number>();
    const registry = createRegistry({ maps: { runs: { adopt: runs } }, ended: { map: 'runs' }, clock });
    const told: string[] = [];
    registry.on('ended', ({ id }) => told.push(id));
    runs.set('a', 1);
    expect(registry.end('a')).toBe('claimed');
    const closed = registry.close();
    await clock.advance(0);
    await closed;
    expect(registry.end('a')).toBe('duplicate');
    runs.set('b', 2);
    expect(registry.end('b')).toBe('unknown');
    expect(told).toHaveLength(1);
  });

  it('inside a callback of a sweep ends that sweep', async () => {
    const clock = createManualClock();
    const live = new Map(Array.from({ length: 5 }, (_, n) => [n, n]));
    let closing: Promise<unknown> | undefined;
    const registry = createRegistry({
      maps: {
        live: {
          adopt: live,
          ttl: 0,
          dispose: () => {
            closing = registry.close();
          },
        },
      },
      clock,
    });
    const report = await registry.sweep();
    await closing;
    expect(report).toMatchObject({ swept: 1, skipped: 'stopped' });
    expect(live.size).toBe(4);
    expect(Reflect.ownKeys(live)).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});
