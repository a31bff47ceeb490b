import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import {
  describe as describeValue,
  optionPath,
  readInteger,
  readName,
  readOneOf,
  readOptions,
  suggestion,
} from '../../src/policy/read-options.js';
import { refusalOf } from './refusal.js';

const schema = {
  maxIdle: (value: unknown, option: string) => readInteger(value, option),
  maxAge: (value: unknown, option: string) => readInteger(value, option),
  follows: readName,
};

describe('readOptions', () => {
  it('reads each option through its reader, typed', () => {
    const options = readOptions('maps.sessions', { maxIdle: 5, follows: 'runs' }, schema);
    expect({ ...options }).toEqual({ maxIdle: 5, follows: 'runs' });
    expectTypeOf(options.maxIdle).toEqualTypeOf<number | undefined>();
    expectTypeOf(options.follows).toEqualTypeOf<string | undefined>();
  });

  it('tells the reader the path of the option', () => {
    const reader = vi.fn((value: unknown) => value);
    readOptions('maps.sessions', { ttl: 5 }, { ttl: reader });
    readOptions('', { ttl: 5 }, { ttl: reader });
    expect(reader.mock.calls).toEqual([
      [5, 'maps.sessions.ttl'],
      [5, 'ttl'],
    ]);
  });

  it('treats undefined as absent and does not ask its reader', () => {
    const reader = vi.fn();
    expect(Object.keys(readOptions('', { ttl: undefined }, { ttl: reader }))).toEqual([]);
    expect(reader).not.toHaveBeenCalled();
  });

  it('does not treat null, false, 0 and "" as absent', () => {
    const reader = (value: unknown) => [value];
    const options = readOptions(
      '',
      { a: null, b: false, c: 0, d: '' },
      { a: reader, b: reader, c: reader, d: reader },
    );
    expect({ ...options }).toEqual({ a: [null], b: [false], c: [0], d: [''] });
  });

  it('reads a getter once', () => {
    const getter = vi.fn(() => 5);
    const input = Object.defineProperty({}, 'maxIdle', { get: getter, enumerable: true });
    expect(readOptions('', input, schema).maxIdle).toBe(5);
    expect(getter).toHaveBeenCalledTimes(1);
  });

  it('names the option whose getter throws, with the cause', () => {
    const cause = new Error('locked');
    const input = {
      get maxIdle(): number {
        throw cause;
      },
    };
    expect(refusalOf(() => readOptions('maps.a', input, schema))).toMatchObject({
      code: 'ERR_INVALID_OPTION',
      message: 'maps.a.maxIdle cannot be read: its getter threw',
      cause,
    });
  });

  it('ignores inherited, non-enumerable and symbol properties, unknown ones too', () => {
    const input = Object.create({ maxIdle: 1, typo: 1 });
    Object.defineProperty(input, 'maxAge', { value: 1, enumerable: false });
    input[Symbol('mark')] = 1;
    expect(Object.keys(readOptions('', input, schema))).toEqual([]);
  });

  describe('with a polluted Object.prototype', () => {
    afterEach(() => {
      Reflect.deleteProperty(Object.prototype, 'maxIdle');
      Reflect.deleteProperty(Object.prototype, 'maxIdel');
    });

    it('reads nothing that was not given', () => {
      Reflect.set(Object.prototype, 'maxIdle', 1);
      expect(readOptions('', {}, schema).maxIdle).toBeUndefined();
    });

    it('still rejects a name that is polluted too', () => {
      Reflect.set(Object.prototype, 'maxIdel', readInteger);
      expect(refusalOf(() => readOptions('', { maxIdel: 1 }, schema)).code).toBe('ERR_UNKNOWN_OPTION');
    });
  });

  it('takes an object without a prototype, of another realm, or of a class', () => {
    class Config {
      maxIdle = 5;
    }
    const inputs = [
      Object.assign(Object.create(null), { maxIdle: 5 }),
      runInNewContext('({ maxIdle: 5 })'),
      new Config(),
    ];
    for (const input of inputs) expect(readOptions('', input, schema).maxIdle).toBe(5);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['5m', '"5m"'],
    [5, '5'],
    [[], 'an array of length 0'],
    [() => ({}), 'a function'],
    [new Map([['maxIdle', 5]]), 'an instance of Map'],
    [new Set(), 'an instance of Set'],
    [new WeakMap(), 'an instance of WeakMap'],
    [new WeakSet(), 'an instance of WeakSet'],
    [Promise.resolve({}), 'an instance of Promise'],
    [/x/, 'an instance of RegExp'],
    [new Date(0), 'an instance of Date'],
    [new String(''), 'an instance of String'],
    [new Uint8Array(0), 'an instance of Uint8Array'],
  ])('rejects %o as options', (input, shown) => {
    const error = refusalOf(() => readOptions('maps.sessions', input, schema));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe(`maps.sessions must be an object of options; received ${shown}`);
  });

  it('calls the top "options"', () => {
    expect(refusalOf(() => readOptions('', null, schema)).message).toBe(
      'options must be an object of options; received null',
    );
  });

  it('rejects an unknown name with the nearest one and all that are allowed', () => {
    const error = refusalOf(() => readOptions('maps.sessions', { maxIdel: '5m' }, schema));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_UNKNOWN_OPTION');
    expect(error.message).toBe(
      "maps.sessions.maxIdel is not an option. Did you mean 'maxIdle'? Allowed here: maxIdle, maxAge, follows",
    );
  });

  it('rejects an unknown name without a suggestion when none is near', () => {
    expect(refusalOf(() => readOptions('', { colour: 1 }, schema)).message).toBe(
      'colour is not an option. Allowed here: maxIdle, maxAge, follows',
    );
  });

  it('rejects an unknown name whose value is undefined', () => {
    expect(refusalOf(() => readOptions('', { maxIdel: undefined }, schema)).code).toBe('ERR_UNKNOWN_OPTION');
  });

  it('rejects an unknown name before it reads any value', () => {
    const getter = vi.fn();
    const input = Object.defineProperty({}, 'maxIdle', { get: getter, enumerable: true });
    Object.defineProperty(input, 'typo', { value: 1, enumerable: true });
    expect(refusalOf(() => readOptions('', input, schema)).code).toBe('ERR_UNKNOWN_OPTION');
    expect(getter).not.toHaveBeenCalled();
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'rejects %s from a JSON config',
    (name) => {
      const error = refusalOf(() =>
        readOptions('maps.a', JSON.parse(`{ "${name}": { "maxIdle": 1 } }`), schema),
      );
      expect(error.code).toBe('ERR_UNKNOWN_OPTION');
      expect(error.message).toContain(`maps.a.${name} is not an option.`);
    },
  );

  it('keeps the message short for a name of a million characters', () => {
    expect(refusalOf(() => readOptions('', { ['x'.repeat(1e6)]: 1 }, schema)).message.length).toBeLessThan(
      250,
    );
  });
});

describe('optionPath', () => {
  it('joins identifiers with a dot and quotes the rest', () => {
    expect(optionPath('maps', 'sessions')).toBe('maps.sessions');
    expect(optionPath('', 'maps')).toBe('maps');
    expect(optionPath('maps', 'größe')).toBe('maps.größe');
    expect(optionPath('maps', 'sub-agents')).toBe('maps["sub-agents"]');
    expect(optionPath('maps', 'a.b')).toBe('maps["a.b"]');
    expect(optionPath('', '')).toBe('[""]');
    expect(optionPath('maps', '0')).toBe('maps["0"]');
  });
});

describe('suggestion', () => {
  const names = ['ttl', 'since', 'expiresAt', 'maxIdle', 'maxAge', 'maxEntries', 'mode'];

  it.each([
    ['tlt', 'ttl'],
    ['TTL', 'ttl'],
    ['tl', 'ttl'],
    ['maxIdel', 'maxIdle'],
    ['max_idle', 'maxIdle'],
    ['maxidle', 'maxIdle'],
    ['maxage', 'maxAge'],
    ['expiresIn', 'expiresAt'],
    ['maxEntry', 'maxEntries'],
  ])('is %s for %s', (received, name) => {
    expect(suggestion(received, names)).toBe(`Did you mean '${name}'?`);
  });

  it.each(['', 'foo', 'timeout', 'colour', 'x'.repeat(65), 5, null, Symbol('ttl')])(
    'is empty for %s',
    (received) => {
      expect(suggestion(received, names)).toBe('');
    },
  );

  it('is the nearest of several, whatever their order', () => {
    for (const near of [
      ['expiresAt', 'expiresIn'],
      ['expiresIn', 'expiresAt'],
    ]) {
      expect(suggestion('expiresAtt', near)).toBe("Did you mean 'expiresAt'?");
    }
  });

  it('is the name for each of its one-letter slips', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('expiresAt', 'maxEntries'),
        fc.nat({ max: 8 }),
        fc.nat({ max: 2 }),
        (name, at, slip) => {
          const letters = [...name];
          if (slip === 0) letters.splice(at, 1);
          else if (slip === 1) letters.splice(at, 0, 'q');
          else letters.splice(at, 1, 'q');
          expect(suggestion(letters.join(''), names)).toBe(`Did you mean '${name}'?`);
        },
      ),
    );
  });
});

describe('readInteger', () => {
  it('takes both ends of its range', () => {
    expect(readInteger(1, 'n', { min: 1, max: 3 })).toBe(1);
    expect(readInteger(3, 'n', { min: 1, max: 3 })).toBe(3);
    expect(readInteger(-0, 'n')).toBe(0);
    expect(readInteger(Number.MAX_SAFE_INTEGER, 'n')).toBe(Number.MAX_SAFE_INTEGER);
  });

  it.each([0, 4, 1.5, Number.NaN, Infinity, 2 ** 53])('rejects %d as out of 1 to 3', (value) => {
    const error = refusalOf(() => readInteger(value, 'ended.attempts', { min: 1, max: 3 }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe(`ended.attempts must be an integer from 1 to 3; received ${value}`);
  });

  it('rejects 2 ** 53 and Infinity without a maximum', () => {
    for (const value of [2 ** 53, Infinity]) {
      expect(refusalOf(() => readInteger(value, 'n', { min: 1 })).message).toBe(
        `n must be an integer of at least 1; received ${value}`,
      );
    }
  });

  it.each(['2', null, false, 2n, [2]])('rejects %o as no number', (value) => {
    const error = refusalOf(() => readInteger(value, 'n'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
  });
});

describe('readOneOf', () => {
  it('returns the choice, typed', () => {
    const mode = readOneOf('sweep', 'mode', ['sweep', 'observe']);
    expect(mode).toBe('sweep');
    expectTypeOf(mode).toEqualTypeOf<'sweep' | 'observe'>();
  });

  it('rejects another string with the choices and the nearest one', () => {
    const error = refusalOf(() => readOneOf('Observe', 'mode', ['sweep', 'observe']));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe(
      `mode must be 'sweep' or 'observe'; received "Observe". Did you mean 'observe'?`,
    );
  });

  it('rejects a thing whose string form is a choice', () => {
    expect(refusalOf(() => readOneOf(['sweep'], 'mode', ['sweep', 'observe'])).message).toBe(
      "mode must be 'sweep' or 'observe'; received an array of length 1",
    );
  });

  it('names what else the option takes', () => {
    expect(refusalOf(() => readOneOf(5, 'x', ['now', 'expired'], 'a function')).message).toBe(
      "x must be 'now', 'expired' or a function; received 5",
    );
  });
});

describe('readName', () => {
  it('takes 1 and 128 characters', () => {
    expect(readName('a', 'follows')).toBe('a');
    expect(readName('a'.repeat(128), 'follows')).toBe('a'.repeat(128));
  });

  it.each(['', 'a'.repeat(129)])('rejects a string of another length: %j', (value) => {
    const error = refusalOf(() => readName(value, 'maps.a.follows'));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toContain('maps.a.follows must be a string of 1 to 128 characters; received "');
  });

  it.each([undefined, null, 5, Symbol('a'), ['a'], new String('a')])('rejects %o as no string', (value) => {
    expect(refusalOf(() => readName(value, 'follows'))).toBeInstanceOf(TypeError);
  });
});

describe('describe', () => {
  class Session {}
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const revokedFunction = Proxy.revocable(() => {}, {});
  revokedFunction.revoke();

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['-0', -0],
    ['NaN', Number.NaN],
    ['5n', 5n],
    ['"5m"', '5m'],
    ['"a\\nb"', 'a\nb'],
    ['"a\\u{202e}b"', 'a\u202eb'],
    [`"${'x'.repeat(64)}"`, 'x'.repeat(64)],
    [`"${'x'.repeat(64)}"… (65 characters)`, 'x'.repeat(65)],
    ['Symbol()', Symbol()],
    ['Symbol("a b")', Symbol('a b')],
    ['Symbol("")', Symbol('')],
    ['a function', () => {}],
    ['a function parseInt', Number.parseInt],
    ['a function Session', Session],
    [
      `a function ${'x'.repeat(63)}\\u{d83d}…`,
      Object.defineProperty(() => {}, 'name', { value: `${'x'.repeat(63)}😀` }),
    ],
    ['an object', { secret: 'hunter2' }],
    ['an object', Object.create(null)],
    ['an object', runInNewContext('({})')],
    ['an array of length 2', ['hunter2', 1]],
    ['an instance of Session', new Session()],
    ['an instance of Map', new Map([['hunter2', 1]])],
    ['an object', new (class {})()],
    ['an unreadable object', revoked.proxy],
    ['an unreadable function', revokedFunction.proxy],
  ])('says %s', (text, value) => {
    expect(describeValue(value)).toBe(text);
  });

  it('survives objects that lie about their class', () => {
    expect(describeValue({ constructor: { name: 5 } })).toBe('an object');
    const throwing = {
      get constructor(): never {
        throw new Error('no');
      },
    };
    expect(describeValue(Object.create(throwing))).toBe('an unreadable object');
    expect(describeValue(Object.assign(() => {}, { toString: null }))).toBe('a function');
  });

  it('stays on one printable line of at most 600 characters, for any value at all', () => {
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true }),
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 300 }).map((text) => Symbol(text)),
      fc
        .string({ unit: 'binary', maxLength: 300 })
        .map((name) => Object.defineProperty(() => {}, 'name', { value: name })),
      fc.bigInt({ min: 10n ** 500n, max: 10n ** 501n }),
    );
    fc.assert(
      fc.property(anything, (value) => {
        const text = describeValue(value);
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(text.length).toBeLessThanOrEqual(600);
      }),
    );
  });
});
