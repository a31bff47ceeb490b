import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  describe as describeValue,
  plainKey,
  shownError,
  shownKey,
  shownText,
} from '../../src/events/shown.js';

class Session {}

/** Everything by which a value can run code when it is looked at; each of it throws. */
function booby(): { values: unknown[]; calls: () => number } {
  let calls = 0;
  const trap = (): never => {
    calls += 1;
    throw new Error('hunter2');
  };
  const traps = new Proxy({}, { get: () => trap });
  class Custom {
    [inspect.custom] = trap;
    toString = trap;
    toJSON = trap;
    valueOf = trap;
    [Symbol.toPrimitive] = trap;
    get [Symbol.toStringTag](): string {
      return trap();
    }
  }
  class NamedByGetter {}
  Object.defineProperty(NamedByGetter, 'name', { get: trap });
  const constructedByGetter = {
    get constructor(): never {
      return trap();
    },
  };
  class OddError extends Error {
    override get message(): string {
      return trap();
    }
    override get name(): string {
      return trap();
    }
    override get stack(): string {
      return trap();
    }
  }
  const functionNamedByGetter = Object.defineProperty(() => {}, 'name', { get: trap });
  return {
    values: [
      new Custom(),
      new NamedByGetter(),
      constructedByGetter,
      Object.create(constructedByGetter),
      new OddError(),
      functionNamedByGetter,
      new Proxy({}, traps),
      new Proxy([], traps),
      new Proxy(() => {}, traps),
      new Proxy(new Error('no'), traps),
      Object.create(new Proxy({}, traps)),
      Object.setPrototypeOf(() => {}, new Proxy({}, traps)),
    ],
    calls: () => calls,
  };
}

describe('describe', () => {
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
    ['-9223372036854775808n', -(2n ** 63n)],
    ['a bigint of more than 64 bits', 2n ** 63n],
    ['a bigint of more than 64 bits', 1n << 8_000_000n],
    ['"5m"', '5m'],
    ['"a\\nb"', 'a\nb'],
    ['"a\\u{202e}b"', 'a\u202eb'],
    ['"\\u{9b}31m"', '\x9b31m'],
    ['"a\\u{200b}b\\u{3164}\\u{feff}"', 'a\u200bb\u3164\ufeff'],
    ['"\\ud83d"', '\ud83d'],
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
    ['an object', { constructor: { name: 5 } }],
    ['an array of length 2', ['hunter2', 1]],
    ['an instance of Session', new Session()],
    ['an instance of Session', Object.create(new Session())],
    ['an instance of Map', new Map([['hunter2', 1]])],
    ['an object', new (class {})()],
    ['a Proxy', new Proxy({}, {})],
    ['an unreadable object', revoked.proxy],
    ['an unreadable function', revokedFunction.proxy],
    ['a function', Object.assign(() => {}, { toString: null })],
  ])('says %s', (text, value) => {
    expect(describeValue(value)).toBe(text);
  });
});

describe('shownKey', () => {
  it.each<[string, unknown]>([
    ["'run-7'", 'run-7'],
    ["'line\\nbreak'", 'line\nbreak'],
    ['\'say "hi"\'', 'say "hi"'],
    ['"it\'s"', "it's"],
    ["'back\\\\slash'", 'back\\slash'],
    ["'a\\\\\"b'", 'a\\"b'],
    ["'\\u001b[31mred'", '\x1b[31mred'],
    ["'\\ud83d'", '\ud83d'],
    ["'a\\u{202e}b'", 'a\u202eb'],
    [`'${'x'.repeat(64)}'… (1000000 characters)`, 'x'.repeat(1e6)],
    ['42', 42],
    ['null', null],
    ['Symbol(s)', Symbol('s')],
    ['Symbol(\\u{1b}[2J)', Symbol('\x1b[2J')],
    [`Symbol(${'x'.repeat(64)}…)`, Symbol('x'.repeat(65))],
    ['an object', { token: 'hunter2' }],
    ['an instance of Session', new Session()],
  ])('says %s', (text, key) => {
    expect(shownKey(key)).toBe(text);
  });
});

describe('shownError', () => {
  it.each<[string, unknown]>([
    ['Error: down', new Error('down')],
    ['TypeError: down', new TypeError('down')],
    ['Error', new Error('')],
    ['Error: two\\u{a}lines \\u{1b}[31m', new Error('two\nlines \x1b[31m')],
    [`Error: ${'x'.repeat(256)}…`, new Error('x'.repeat(1e6))],
    ['AbortError: late', Object.assign(new Error('late'), { name: 'AbortError' })],
    ['RangeError: elsewhere', runInNewContext('new RangeError("elsewhere")')],
    ['"down"', 'down'],
    ['an object', { message: 'hunter2' }],
    ['undefined', undefined],
  ])('says %s', (text, error) => {
    expect(shownError(error)).toBe(text);
  });
});

describe('plainKey', () => {
  it('leaves what JSON carries and a person can read, and names the rest', () => {
    expect(['run-7', 7, true, null].map(plainKey)).toEqual(['run-7', 7, true, null]);
    expect(plainKey({ toJSON: () => 'hunter2' })).toBe('an object');
    expect(plainKey(5n)).toBe('5n');
    expect(plainKey(Number.NaN)).toBe('NaN');
    expect(plainKey('\x9b2J')).toBe("'\\u{9b}2J'");
    expect(plainKey('x'.repeat(5e6))).toBe(`'${'x'.repeat(64)}'… (5000000 characters)`);
  });
});

describe('what is shown of the owner', () => {
  const all = [describeValue, shownKey, shownError, (value: unknown) => String(plainKey(value))];

  it('runs no code of what it looks at: no getter, no method, no trap', () => {
    const { values, calls } = booby();
    for (const show of all) for (const value of values) expect(show(value)).not.toContain('hunter2');
    expect(calls()).toBe(0);
  });

  it('stays on one printable line of at most 2,000 characters, for any value at all', () => {
    // Any code units, halves of a pair among them; half of them such as end a line, move a cursor or are not seen.
    const unit = fc.oneof(
      fc.nat(0xffff),
      fc.constantFrom(...[0, 7, 10, 27, 0x9b, 0xad, 0x2028, 0x202e, 0xfeff]),
    );
    const text = fc.array(unit, { maxLength: 100 }).map((units) => String.fromCharCode(...units));
    const anything = fc.oneof(
      fc.anything({ maxDepth: 1, maxKeys: 3, withBigInt: true, withDate: true, withNullPrototype: true }),
      text,
      text.map((description) => Symbol(description)),
      text.map((message) => new Error(message)),
      text.map((name) => Object.defineProperty(() => {}, 'name', { value: name })),
      fc.bigInt({ min: 10n ** 500n, max: 10n ** 501n }),
    );
    const lines = [...all, (value: unknown) => shownText(String(describeValue(value)))];
    fc.assert(
      fc.property(anything, (value) => {
        for (const show of lines) {
          const shown = show(value);
          expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
          expect(shown.length).toBeLessThanOrEqual(2_000);
        }
      }),
    );
  });

  it('costs no more for a text of a million characters than for a short one', () => {
    const long = '\x1b'.repeat(1e6);
    for (const show of [...all, shownText]) expect(show(long).length).toBeLessThanOrEqual(2_000);
  });
});
