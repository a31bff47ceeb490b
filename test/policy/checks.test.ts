import { describe, expect, it } from 'vitest';
import { MapsweepTypeError } from '../../src/errors.js';
import { callback, kind, text, truth } from '../../src/policy/checks.js';
import type { Reader } from '../../src/policy/read-options.js';
import { refusalOf } from './refusal.js';

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

  it('refuses any other as an option', () => {
    expect(refusalOf(() => even(3, 'size'))).toEqual(
      new MapsweepTypeError('ERR_INVALID_OPTION', 'size must be an even number; received 3'),
    );
  });

  it.each<[name: string, reader: Reader<unknown>, fitting: unknown[], others: unknown[]]>([
    ['text', text, ['', 'a'], [1, null, undefined]],
    ['truth', truth, [true, false], [0, 'true', undefined]],
  ])('%s is told from everything else', (_name, reader, fitting, others) => {
    for (const value of fitting) expect(reader(value, 'it')).toBe(value);
    for (const value of others) expect(refusalOf(() => reader(value, 'it')).code).toBe('ERR_INVALID_OPTION');
  });
});
