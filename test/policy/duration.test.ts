import fc from 'fast-check';
import ms, { type StringValue } from 'ms';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Duration, durationMs, LONGEST_DURATION_MS } from '../../src/policy/duration.js';
import { refusalOf } from './refusal.js';

const refusal = (value: unknown, limits?: Parameters<typeof durationMs>[2]) =>
  refusalOf(() => durationMs(value, 'maps.sessions.ttl', limits));

describe('durationMs', () => {
  it.each<[Duration, number]>([
    [0, 0],
    [1.5, 1.5],
    ['500', 500],
    ['500ms', 500],
    ['60s', 60_000],
    ['5m', 300_000],
    ['5 minutes', 300_000],
    ['1.5h', 5_400_000],
    ['.5h', 1_800_000],
    ['24H', 86_400_000],
    ['7 Days', 604_800_000],
    ['1w', 604_800_000],
    ['0', 0],
    ['100y', 3_155_760_000_000],
    [3_155_760_000_000, 3_155_760_000_000],
  ])('reads %j as %d ms', (value, milliseconds) => {
    expect(durationMs(value, 'ttl')).toBe(milliseconds);
  });

  it('reads "-0" and -0 as 0', () => {
    expect(durationMs('-0s', 'ttl')).toBe(0);
    expect(durationMs(-0, 'ttl')).toBe(0);
  });

  it('takes every number from 0 to 100 years as it is', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: LONGEST_DURATION_MS, noNaN: true }), (value) => {
        expect(durationMs(value, 'ttl')).toBe(value + 0);
      }),
    );
  });

  it('agrees with ms on whatever a string says', () => {
    const unit = fc.constantFrom(
      '',
      'ms',
      'MSECS',
      ' sec',
      's',
      'm',
      'Mins',
      ' hrs',
      'h',
      'd',
      ' weeks',
      'y',
      'x',
    );
    fc.assert(
      fc.property(
        fc.tuple(fc.nat({ max: 99 }), unit).map(([count, name]) => `${count}${name}`),
        (text) => {
          const expected = ms(text as StringValue) as number | undefined;
          if (expected === undefined) expect(refusal(text).code).toBe('ERR_INVALID_DURATION');
          else expect(durationMs(text, 'ttl')).toBe(expected);
        },
      ),
    );
  });

  it('answers a number from 0 to 100 years or throws ERR_INVALID_DURATION, for any value at all', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true }), (value) => {
        try {
          const milliseconds = durationMs(value, 'ttl');
          expect(milliseconds).toBeGreaterThanOrEqual(0);
          expect(milliseconds).toBeLessThanOrEqual(LONGEST_DURATION_MS);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_INVALID_DURATION' });
        }
      }),
    );
  });

  it.each([
    [Number.NaN, 'NaN'],
    [-1, '-1'],
    [Infinity, 'Infinity'],
    [-Infinity, '-Infinity'],
    [3_155_760_000_001, '3155760000001'],
    ['101y', '"101y"'],
    ['-5m', '"-5m"'],
    ['9'.repeat(98), `"${'9'.repeat(64)}"… (98 characters)`],
  ])('rejects %j as out of range', (value, shown) => {
    const error = refusal(value);
    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe('ERR_INVALID_DURATION');
    expect(error.message).toContain(`received ${shown}`);
  });

  it.each([
    ['', '""'],
    [' ', '" "'],
    [' 5m', '" 5m"'],
    ['5 parsecs', '"5 parsecs"'],
    ['1e3', '"1e3"'],
    ['Infinity', '"Infinity"'],
    [`${'5'.repeat(100)}m`, `"${'5'.repeat(64)}"… (101 characters)`],
    ['x'.repeat(1_000_000), `"${'x'.repeat(64)}"… (1000000 characters)`],
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [false, 'false'],
    [5n, '5n'],
    [Symbol('5m'), 'Symbol("5m")'],
    [{ minutes: 5 }, 'an object'],
    [['5m'], 'an array of length 1'],
    [new Date(5), 'an instance of Date'],
    [new Number(5), 'an instance of Number'],
    [() => 5, 'a function'],
  ])('rejects %o as no duration', (value, shown) => {
    const error = refusal(value);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_DURATION');
    expect(error.message).toContain(`received ${shown}`);
  });

  it('names the option, what is allowed and what was received', () => {
    expect(refusal('5 parsecs').message).toBe(
      "maps.sessions.ttl must be a number of milliseconds or a string such as '500ms', '30s', '5m', '24h' or " +
        `'7d', from 0 ms to 100 years; received "5 parsecs"`,
    );
    expect(refusal(5, { min: 1000, max: 60_000, allowFalse: true }).message).toContain(
      'from 1000 ms to 60000 ms, or false for never; received 5',
    );
  });

  it('reads false as Infinity where it is allowed, and there alone', () => {
    expect(durationMs(false, 'ttl', { allowFalse: true })).toBe(Infinity);
    expect(refusal(true, { allowFalse: true })).toBeInstanceOf(TypeError);
    expect(refusal(Infinity, { allowFalse: true })).toBeInstanceOf(RangeError);
    expect(refusal(false).message).not.toContain('or false');
  });

  it('takes both limits themselves, and nothing 1 ms outside of them', () => {
    const limits = { min: 1000, max: 60_000 };
    expect(durationMs('1s', 'sweepEvery', limits)).toBe(1000);
    expect(durationMs('60s', 'sweepEvery', limits)).toBe(60_000);
    expect(refusal(999, limits)).toBeInstanceOf(RangeError);
    expect(refusal('60001', limits)).toBeInstanceOf(RangeError);
  });
});

describe('Duration', () => {
  it('takes numbers and the strings of ms at compile time', () => {
    expectTypeOf<300_000>().toExtend<Duration>();
    expectTypeOf<
      '500' | '5m' | '24h' | '7d' | '1.5 hours' | '2 Weeks' | '10MS' | '1Y'
    >().toExtend<Duration>();
  });

  it('takes every string that the types of ms take', () => {
    expectTypeOf<Lowercase<'5 Years' | '5Hrs' | '5Msecs'>>().toExtend<Duration>();
    expectTypeOf<StringValue>().toExtend<Duration>();
  });

  it('refuses misspelt units and other types at compile time', () => {
    // @ts-expect-error -- no such unit
    const misspelt: Duration = '5 parsecs';
    // @ts-expect-error -- no number
    const unitAlone: Duration = 'm';
    // @ts-expect-error -- any string
    const anyString: Duration = String('5m');
    // @ts-expect-error -- `false` is for the options that say so
    const never: Duration = false;
    // @ts-expect-error -- a bigint
    const big: Duration = 5n;
    expect([misspelt, unitAlone, anyString, never, big]).toHaveLength(5);
  });
});
