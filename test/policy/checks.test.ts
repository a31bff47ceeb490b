import { describe, expect, expectTypeOf, it } from 'vitest';
import { MapsweepError, MapsweepTypeError } from '../../src/errors.js';
import {
  anything,
  arrayOf,
  callback,
  count,
  exactly,
  instant,
  kind,
  optional,
  record,
  recordOf,
  text,
  truth,
} from '../../src/policy/checks.js';
import type { Reader } from '../../src/policy/read-options.js';
import { refusalOf } from './refusal.js';

const damaged = (path: string, allowed: string) =>
  new MapsweepError('ERR_INVALID_SNAPSHOT', `${path} is not ${allowed}`);

describe('callback', () => {
  it('returns the function itself', () => {
    const dispose = () => {};
    expect(callback('() => void')(dispose, 'dispose')).toBe(dispose);
  });

  it('rejects the name of a function, with the signature', () => {
    const error = refusalOf(() => callback('(value, key) => void')('onEnd', 'maps.a.dispose'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe('maps.a.dispose must be a function (value, key) => void; received "onEnd"');
  });
});

describe('kind', () => {
  const even = kind<number>('an even number', (value) => (value as number) % 2 === 0);

  it('returns a value that fits as it is', () => {
    expect(even(4, 'size')).toBe(4);
  });

  it('refuses any other as an option, unless it is told what makes the error', () => {
    expect(refusalOf(() => even(3, 'size'))).toEqual(
      new MapsweepTypeError('ERR_INVALID_OPTION', 'size must be an even number; received 3'),
    );
    expect(refusalOf(() => even(3, 'size', damaged))).toEqual(damaged('size', 'an even number'));
  });
});

describe('the kinds of JSON', () => {
  it.each<[name: string, reader: Reader<unknown>, fitting: unknown[], others: unknown[]]>([
    ['anything', anything, [null, 0, '', {}], [undefined]],
    ['text', text, ['', 'a'], [1, null, undefined]],
    ['truth', truth, [true, false], [0, 'true', undefined]],
    ['count', count, [0, 1, 2 ** 53 - 1], [-1, 1.5, 2 ** 53, '1', undefined]],
    ['instant', instant, [0, -1.5, 1.8e12], [Number.NaN, Infinity, '1', undefined]],
    ['exactly one', exactly(1), [1], ['1', true, undefined]],
    ['exactly one of two', exactly('a', 'b'), ['a', 'b'], ['c', undefined]],
    ['optional', optional(text), [undefined, 'a'], [null, 1]],
    ['an array', arrayOf(count), [[], [1, 2]], [{}, 'ab', [1, -1]]],
    ['a record of any names', recordOf(count), [{}, { a: 1 }], [null, [], { a: 'b' }]],
    ['a record', record({ a: count }), [{ a: 1 }, { a: 1, b: 2 }], [null, [1], {}, { a: -1 }]],
  ])('%s is told from everything else', (_name, reader, fitting, others) => {
    for (const value of fitting) expect(reader(value, 'it', damaged)).toBe(value);
    for (const value of others)
      expect(refusalOf(() => reader(value, 'it', damaged)).code).toBe('ERR_INVALID_SNAPSHOT');
  });

  it('names the place inside of arrays and records, with an index and a name', () => {
    const reader = record({ maps: recordOf(arrayOf(record({ at: instant }))) });
    const where = (value: unknown) => refusalOf(() => reader(value, 'journal', damaged)).message;
    expect(where({ maps: { 'a b': [{ at: 1 }, { at: 'now' }] } })).toBe(
      'journal.maps["a b"][1].at is not epoch milliseconds',
    );
    expect(where({ maps: [] })).toBe('journal.maps is not an object');
  });

  it('an inherited property counts as absent', () => {
    const reader = record({ at: optional(instant) });
    expect(reader(Object.create({ at: 'polluted' }), 'it', damaged)).toEqual({});
  });

  it('types what was read', () => {
    const reader = record({ name: text, sizes: arrayOf(count), end: optional(exactly('swept', 'lost')) });
    expectTypeOf(reader).returns.toEqualTypeOf<{
      name: string;
      sizes: number[];
      end: 'swept' | 'lost' | undefined;
    }>();
  });
});
