import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { compilePolicy } from '../../src/policy/compile-policy.js';
import { type CompiledPolicy, hasLifetime, type Policy } from '../../src/policy/policy.js';
import { refusalOf } from './refusal.js';

interface Session {
  endedAt?: number;
}
type SessionPolicy = Policy<string, Session>;

// As a policy comes from a JSON config or from JavaScript: any shape at all.
const compile = (policy: unknown): CompiledPolicy<string, Session> =>
  compilePolicy('maps.sessions', policy as SessionPolicy);

const refusal = (policy: unknown) => refusalOf(() => compile(policy));

const lifetimeDefaults = {
  label: '',
  ttlMs: Infinity,
  since: 'registeredAt',
  expiresAt: undefined,
  maxIdleMs: Infinity,
  maxAgeMs: Infinity,
};

describe('compilePolicy', () => {
  it('compiles an empty policy to no lifetime, no limit and no callback', () => {
    expect(compile({})).toEqual({
      adopt: undefined,
      own: lifetimeDefaults,
      rules: [],
      activeAt: undefined,
      keepWhile: undefined,
      follows: undefined,
      orphanAfterMs: Infinity,
      maxEntries: Infinity,
      expectedMax: Infinity,
      shed: false,
      unstamped: 'now',
      beforeSweep: undefined,
      beforeSweepTimeoutMs: 30_000,
      dispose: undefined,
      weigh: undefined,
      mode: undefined,
    });
  });

  it('compiles a full policy to milliseconds and the very functions it was given', () => {
    const adopt = new Map<string, Session>();
    const since = (session: Session) => session.endedAt;
    const [expiresAt, activeAt, keepWhile, unstamped] = [vi.fn(), vi.fn(), vi.fn(), vi.fn()];
    const [beforeSweep, dispose, weigh, match] = [vi.fn(), vi.fn(), vi.fn(), vi.fn()];
    const policy: SessionPolicy = {
      adopt,
      ttl: '5m',
      since,
      expiresAt,
      maxIdle: '24h',
      activeAt,
      maxAge: 604_800_000,
      keepWhile,
      rules: [{ match, maxIdle: '1 hour' }],
      follows: 'runs',
      orphanAfter: '10m',
      maxEntries: 1000,
      expectedMax: 900,
      shed: true,
      unstamped,
      beforeSweep,
      beforeSweepTimeout: '1m',
      dispose,
      weigh,
      mode: 'observe',
    };
    expect(compile(policy)).toEqual({
      adopt,
      own: { label: '', ttlMs: 300_000, since, expiresAt, maxIdleMs: 86_400_000, maxAgeMs: 604_800_000 },
      rules: [{ match, lifetimes: { ...lifetimeDefaults, label: 'rules[0].', maxIdleMs: 3_600_000 } }],
      activeAt,
      keepWhile,
      follows: 'runs',
      orphanAfterMs: 600_000,
      maxEntries: 1000,
      expectedMax: 900,
      shed: true,
      unstamped,
      beforeSweep: { batch: undefined, run: beforeSweep },
      beforeSweepTimeoutMs: 60_000,
      dispose,
      weigh,
      mode: 'observe',
    });
    expect(compile(policy).adopt).toBe(adopt);
  });

  it('calls none of the callbacks and leaves the policy and its map as they are', () => {
    const callback = vi.fn();
    const adopt = new Map([['a', {}]]);
    const rules = Object.freeze([Object.freeze({ match: callback, expiresAt: callback })]);
    const policy = Object.freeze({
      adopt,
      rules,
      ttl: 5,
      since: callback,
      unstamped: callback,
      dispose: callback,
    });
    compile(policy);
    expect(callback).not.toHaveBeenCalled();
    expect([...adopt]).toEqual([['a', {}]]);
  });

  it('takes 0 as due at once for ttl, maxIdle, maxAge and orphanAfter', () => {
    const compiled = compile({ ttl: 0, maxIdle: '0', maxAge: 0, follows: 'runs', orphanAfter: 0 });
    expect(compiled.own).toMatchObject({ ttlMs: 0, maxIdleMs: 0, maxAgeMs: 0 });
    expect(compiled.orphanAfterMs).toBe(0);
  });

  it('takes false as never for ttl, maxIdle, maxAge and orphanAfter', () => {
    const compiled = compile({
      ttl: false,
      maxIdle: false,
      maxAge: false,
      follows: 'runs',
      orphanAfter: false,
    });
    expect(compiled.own).toEqual(lifetimeDefaults);
    expect(compiled.orphanAfterMs).toBe(Infinity);
  });

  it('gives a companion 30 minutes as an orphan', () => {
    expect(compile({ follows: 'runs' }).orphanAfterMs).toBe(1_800_000);
  });

  it('compiles a policy from a JSON config like one from code', () => {
    const json =
      '{ "ttl": "5m", "since": "lastActiveAt", "maxAge": false, "follows": "runs", "maxEntries": 10 }';
    expect(compile(JSON.parse(json))).toEqual(
      compile({ ttl: '5m', since: 'lastActiveAt', maxAge: false, follows: 'runs', maxEntries: 10 }),
    );
  });

  it('reads each getter once, those of rules too', () => {
    const getters = { ttl: vi.fn(() => '5m'), match: vi.fn(() => /x/), rules: vi.fn() };
    const rule = Object.defineProperty({}, 'match', { get: getters.match, enumerable: true });
    getters.rules.mockReturnValue([rule]);
    const policy = Object.defineProperties(
      {},
      {
        ttl: { get: getters.ttl, enumerable: true },
        rules: { get: getters.rules, enumerable: true },
      },
    );
    compile(policy);
    for (const getter of Object.values(getters)) expect(getter).toHaveBeenCalledTimes(1);
  });

  it('does not notice later changes of the policy, its rules and their array', () => {
    const rule = { match: /^a/, ttl: 5 };
    const policy = { ttl: 5, rules: [rule] };
    const compiled = compile(policy);
    policy.ttl = 6;
    rule.ttl = 6;
    policy.rules.push(rule);
    expect(compiled.own.ttlMs).toBe(5);
    expect(compiled.rules.map(({ lifetimes }) => lifetimes.ttlMs)).toEqual([5]);
  });

  describe('with a polluted Object.prototype', () => {
    afterEach(() => {
      for (const name of ['ttl', 'since', 'follows', 'orphanAfter', 'mode']) {
        Reflect.deleteProperty(Object.prototype, name);
      }
    });

    it('compiles an empty policy to no lifetime all the same', () => {
      const expected = compile({});
      Object.assign(Object.prototype, { ttl: 0, since: 'x', follows: 'x', orphanAfter: 0, mode: 'observe' });
      const compiled = compile({});
      for (const name of ['ttl', 'since', 'follows', 'orphanAfter', 'mode']) {
        Reflect.deleteProperty(Object.prototype, name);
      }
      expect(compiled).toEqual(expected);
    });
  });

  it.each<[unknown, string, string]>([
    [{ maxIdel: '5m' }, 'maps.sessions.maxIdel is not an option.', "Did you mean 'maxIdle'?"],
    [{ TTL: '5m' }, 'maps.sessions.TTL is not an option.', "Did you mean 'ttl'?"],
    [{ max_entries: 5 }, 'maps.sessions.max_entries is not an option.', "Did you mean 'maxEntries'?"],
    [{ onDispose: 5 }, 'maps.sessions.onDispose is not an option.', "Did you mean 'dispose'?"],
    [
      { match: /x/ },
      'maps.sessions.match is not an option.',
      'Allowed here: adopt, ttl, since, expiresAt, maxIdle',
    ],
    [
      { rules: [{ match: /x/ }, { match: /x/, maxage: 5 }] },
      'maps.sessions.rules[1].maxage is not an option.',
      "Did you mean 'maxAge'?",
    ],
    [
      { rules: [{ match: /x/, keepWhile: () => true }] },
      'maps.sessions.rules[0].keepWhile is not an option.',
      'Allowed here: match, ttl, since, expiresAt, maxIdle, maxAge',
    ],
  ])('rejects the unknown name in %o', (policy, name, help) => {
    const error = refusal(policy);
    expect(error.code).toBe('ERR_UNKNOWN_OPTION');
    expect(error.message).toContain(name);
    expect(error.message).toContain(help);
  });

  it.each<[unknown, string]>([
    [{ ttl: null }, 'maps.sessions.ttl must be a number of milliseconds or a string such as'],
    [{ maxIdle: '5 parsecs' }, 'maps.sessions.maxIdle must be'],
    [{ maxAge: -1 }, 'maps.sessions.maxAge must be'],
    [{ beforeSweep: () => {}, beforeSweepTimeout: 0 }, 'maps.sessions.beforeSweepTimeout must be'],
    [{ maxAge: Infinity }, 'or false for never; received Infinity'],
    [{ follows: 'runs', orphanAfter: true }, 'maps.sessions.orphanAfter must be'],
    [{ rules: [{ match: /x/, ttl: 'soon' }] }, 'maps.sessions.rules[0].ttl must be'],
  ])('rejects the duration in %o', (policy, message) => {
    const error = refusal(policy);
    expect(error.code).toBe('ERR_INVALID_DURATION');
    expect(error.message).toContain(message);
  });

  it.each<[unknown, string]>([
    [
      { ttl: 5, since: 'endedAt' },
      "maps.sessions.since must be 'registeredAt', 'lastActiveAt' or a function (value, key) => epoch milliseconds, " +
        'a Date, null or undefined; received "endedAt"',
    ],
    [{ ttl: 5, since: 'registredAt' }, `received "registredAt". Did you mean 'registeredAt'?`],
    [{ since: 'lastActiveAt' }, 'maps.sessions.since has no effect without maps.sessions.ttl'],
    [
      { ttl: 5, rules: [{ match: /x/, since: 'lastActiveAt' }] },
      'maps.sessions.rules[0].since has no effect without maps.sessions.rules[0].ttl',
    ],
    [
      { beforeSweepTimeout: '1m' },
      'maps.sessions.beforeSweepTimeout has no effect without maps.sessions.beforeSweep',
    ],
    [{ orphanAfter: '5m' }, 'maps.sessions.orphanAfter has no effect without maps.sessions.follows'],
    [{ orphanAfter: false }, 'maps.sessions.orphanAfter has no effect without maps.sessions.follows'],
    [{ expiresAt: 5 }, 'maps.sessions.expiresAt must be a function'],
    [{ activeAt: 'lastActiveAt' }, 'maps.sessions.activeAt must be a function'],
    [
      { keepWhile: true },
      'maps.sessions.keepWhile must be a function (value, key) => boolean; received true',
    ],
    [{ beforeSweep: {} }, 'maps.sessions.beforeSweep must be a function'],
    [{ beforeSweep: { batch: 10 } }, 'maps.sessions.beforeSweep.run must be a function'],
    [
      { beforeSweep: { run: () => {} } },
      'maps.sessions.beforeSweep.batch must be an integer from 1 to 1,000',
    ],
    [{ follows: {} }, 'maps.sessions.follows.map must be the name of a map'],
    [{ follows: { map: 'runs' } }, 'maps.sessions.follows.key must be a function'],
    [{ dispose: 'close' }, 'maps.sessions.dispose must be a function'],
    [{ weigh: 100 }, 'maps.sessions.weigh must be a function'],
    [{ unstamped: 'never' }, "maps.sessions.unstamped must be 'now', 'expired' or a function"],
    [{ unstamped: 0 }, "maps.sessions.unstamped must be 'now', 'expired' or a function"],
    [{ mode: 'dry-run' }, `maps.sessions.mode must be 'sweep' or 'observe'; received "dry-run"`],
    [{ maxEntries: '10' }, 'maps.sessions.maxEntries must be an integer of at least 1; received "10"'],
    [{ follows: ['runs'] }, 'maps.sessions.follows must be a string of 1 to 128 characters'],
    [
      { rules: { match: /x/ } },
      'maps.sessions.rules must be an array of rules { match, … }; received an object',
    ],
    [{ rules: [/x/] }, 'maps.sessions.rules[0] must be an object of options; received an instance of RegExp'],
    [{ rules: new Array(1) }, 'maps.sessions.rules[0] must be an object of options; received undefined'],
    [
      { rules: [{ ttl: 5 }] },
      'maps.sessions.rules[0].match must be a RegExp or a function (key) => boolean; received',
    ],
    [
      { rules: [{ match: '^cron:' }] },
      'maps.sessions.rules[0].match must be a RegExp or a function (key) => boolean; received "^cron:". A pattern in ' +
        'a string needs new RegExp(pattern)',
    ],
    [{ rules: [{ match: {} }] }, 'maps.sessions.rules[0].match must be a RegExp or a function'],
    [null, 'maps.sessions must be an object of options; received null'],
    ['5m', 'maps.sessions must be an object of options; received "5m"'],
    [new Map(), 'received an instance of Map. To adopt it, write { adopt: it }'],
    [new Set(), 'received an instance of Set. To adopt it, write { adopt: it }'],
  ])('rejects %o with a TypeError', (policy, message) => {
    const error = refusal(policy);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toContain(message);
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('rejects maxEntries %d with a RangeError', (maxEntries) => {
    const error = refusal({ maxEntries });
    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe(
      `maps.sessions.maxEntries must be an integer of at least 1; received ${maxEntries}`,
    );
  });

  it.each(['', 'r'.repeat(129)])(
    'rejects a leader whose name has another length than 1 to 128',
    (follows) => {
      expect(refusal({ follows })).toBeInstanceOf(RangeError);
    },
  );

  it('rejects what cannot be adopted, with its path', () => {
    expect(refusal({ adopt: {} })).toMatchObject({ code: 'ERR_NOT_A_MAP' });
    expect(refusal({ adopt: Object.freeze(new Map()) }).code).toBe('ERR_NOT_ADOPTABLE');
    expect(refusal({ adopt: {} }).message).toContain('maps.sessions.adopt must be a Map or a Set');
  });

  it('adopts a Set, and a Map of another realm', () => {
    const set = new Set<string>();
    const map = runInNewContext('new Map()');
    expect(compile({ adopt: set }).adopt).toBe(set);
    expect(compile({ adopt: map }).adopt).toBe(map);
  });

  it('takes since beside a TTL that is turned off', () => {
    expect(compile({ ttl: false, since: 'lastActiveAt' }).own).toMatchObject({
      ttlMs: Infinity,
      since: 'lastActiveAt',
    });
  });

  it('names options without a path at the top', () => {
    expect(() => compilePolicy('', { rules: [{ match: /x/, ttl: -1 }] })).toThrow(
      /^rules\[0\]\.ttl must be /,
    );
    expect(() => compilePolicy('', { since: 'registeredAt' })).toThrow(/^since has no effect without ttl: /);
    expect(() => compilePolicy('', new Map() as Policy<unknown, unknown>)).toThrow(/^options must be /);
  });

  it('answers a policy or throws one of its own errors, for any JSON at all', () => {
    const names = [
      'ttl',
      'since',
      'maxIdle',
      'rules',
      'follows',
      'orphanAfter',
      'maxEntries',
      'unstamped',
      'mode',
    ];
    const json = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(
        fc.constantFrom(...names),
        fc.oneof(fc.jsonValue(), fc.constantFrom('5m', 'now', 'sweep', 5)),
      ),
    );
    fc.assert(
      fc.property(json, (policy) => {
        try {
          compile(policy);
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^ERR_(UNKNOWN_OPTION|INVALID_OPTION|INVALID_DURATION)$/),
            message: expect.stringMatching(/^maps\.sessions\b/),
          });
        }
      }),
    );
  });
});

describe('a rule', () => {
  const matcher = (match: RegExp) => {
    const { match: compiled } = compilePolicy<unknown, unknown>('', { rules: [{ match }] }).rules[0]!;
    return compiled;
  };

  it('keeps the order and the lifetimes of each rule apart, with its name for explanations', () => {
    const { rules, own } = compile({
      ttl: '1h',
      rules: [
        { match: /^cron:/, ttl: '24h', since: 'lastActiveAt' },
        { match: /^pinned:/ },
        { match: () => true, ttl: false, maxAge: '7d' },
      ],
    });
    expect(own.ttlMs).toBe(3_600_000);
    expect(rules.map(({ lifetimes }) => lifetimes)).toEqual([
      { ...lifetimeDefaults, label: 'rules[0].', ttlMs: 86_400_000, since: 'lastActiveAt' },
      { ...lifetimeDefaults, label: 'rules[1].' },
      { ...lifetimeDefaults, label: 'rules[2].', maxAgeMs: 604_800_000 },
    ]);
  });

  it.each(['', 'g', 'y', 'gy'])('gives the same answer 3 times in a row with the flags "%s"', (flags) => {
    const matches = matcher(new RegExp('^cron:', flags));
    expect([1, 2, 3].map(() => matches('cron:1'))).toEqual([true, true, true]);
    expect([1, 2, 3].map(() => matches('run:1'))).toEqual([false, false, false]);
  });

  it('answers as a fresh RegExp does, for any keys in any order', () => {
    const flags = fc.constantFrom('', 'g', 'y', 'gi', 'iy', 'gsy');
    const keys = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'A'), maxLength: 4 }));
    fc.assert(
      fc.property(fc.constantFrom('a', 'ab', '^b', 'a$'), flags, keys, (source, flag, sequence) => {
        const matches = matcher(new RegExp(source, flag));
        for (const key of sequence) expect(matches(key)).toBe(new RegExp(source, flag).test(key));
      }),
    );
  });

  it('neither reads nor moves the lastIndex of the RegExp it was given', () => {
    const match = /cron:/g;
    match.lastIndex = 4;
    const matches = matcher(match);
    expect(matches('cron:1')).toBe(true);
    expect(match.lastIndex).toBe(4);
    match.lastIndex = 6;
    expect(matches('cron:1')).toBe(true);
  });

  it('takes a frozen RegExp and one of another realm', () => {
    expect(matcher(Object.freeze(/^a/g))('a')).toBe(true);
    expect(matcher(runInNewContext('/^a/'))('a')).toBe(true);
  });

  it('matches by RegExp strings, and numbers as they are written', () => {
    const matches = matcher(/^4\d\d$/g);
    for (const key of ['404', 404, 404]) expect(matches(key)).toBe(true);
    for (const key of [5, 4040, Number.NaN]) expect(matches(key)).toBe(false);
    expect(matcher(/^(NaN|-1\.5|0)$/)(-0)).toBe(true);
  });

  it('matches by RegExp no key of another type', () => {
    const matches = matcher(/./);
    for (const key of [null, undefined, true, 5n, {}, Symbol('5'), new String('5')])
      expect(matches(key)).toBe(false);
  });

  it('hands any key to a function', () => {
    const match = vi.fn(() => true);
    const compiled = compilePolicy<unknown, unknown>('', { rules: [{ match }] }).rules[0]!;
    const key = {};
    expect(compiled.match(key)).toBe(true);
    expect(match).toHaveBeenCalledWith(key);
  });
});

describe('hasLifetime', () => {
  it.each<[SessionPolicy, boolean]>([
    [{}, false],
    [{ ttl: 0 }, true],
    [{ ttl: '5m' }, true],
    [{ expiresAt: () => undefined }, true],
    [{ maxIdle: '5m' }, true],
    [{ maxAge: '5m' }, true],
    [{ ttl: false, maxIdle: false, maxAge: false }, false],
    [{ rules: [{ match: /x/ }] }, false],
    [{ rules: [{ match: /x/ }, { match: /y/, maxIdle: 0 }] }, true],
    [{ rules: [{ match: /x/, expiresAt: () => undefined }] }, true],
    [{ follows: 'runs', orphanAfter: '5m' }, false],
    [{ maxEntries: 5, keepWhile: () => true, activeAt: () => 0 }, false],
  ])('of %o is %s', (policy, expected) => {
    expect(hasLifetime(compile(policy))).toBe(expected);
  });
});

describe('Policy', () => {
  it('types its callbacks by the value and the key', () => {
    const policy: SessionPolicy = {
      ttl: '5m',
      since: (value, key) => {
        expectTypeOf(value).toEqualTypeOf<Session>();
        expectTypeOf(key).toEqualTypeOf<string>();
        return value.endedAt;
      },
      dispose: (_value, _key, reason) => {
        expectTypeOf(reason).toEqualTypeOf<
          'deleted' | 'cleared' | 'swept' | 'evicted' | 'companion' | 'closed'
        >();
      },
      replaced: (value, key, replacement) => {
        expectTypeOf(value).toEqualTypeOf<Session>();
        expectTypeOf(key).toEqualTypeOf<string>();
        expectTypeOf(replacement).toEqualTypeOf<Session>();
      },
      beforeSweep: async (_value, _key, { signal, attempt }) => {
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        expectTypeOf(attempt).toEqualTypeOf<number>();
      },
    };
    expect(hasLifetime(compile(policy))).toBe(true);
  });

  it('refuses at compile time what compilePolicy refuses at run time', () => {
    const policies: SessionPolicy[] = [
      // @ts-expect-error -- no such unit
      { ttl: '5 parsecs' },
      // @ts-expect-error -- misspelt
      { maxIdel: '5m' },
      // @ts-expect-error -- a rule needs `match`
      { rules: [{ ttl: '5m' }] },
      // @ts-expect-error -- a rule has lifetimes only
      { rules: [{ match: /x/, follows: 'runs' }] },
      // @ts-expect-error -- a WeakMap has no entries to sweep
      { adopt: new WeakMap() },
      // @ts-expect-error -- no such mode
      { mode: 'dry-run' },
    ];
    for (const policy of policies) expect(() => compile(policy)).toThrow(/maps\.sessions/);
  });
});
