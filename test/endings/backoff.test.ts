import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { retryDelayMs } from '../../src/endings/backoff.js';

const limits = { minDelayMs: 1_000, maxDelayMs: 60_000 };

describe('retryDelayMs', () => {
  test('spans 1-2 s, 2-4 s, 4-8 s, 8-16 s, 16-32 s and then 30-60 s', () => {
    const spans = [1, 2, 3, 4, 5, 6, 7, 2_000].map((attempt) => [
      retryDelayMs(attempt, limits, () => 0),
      retryDelayMs(attempt, limits, () => 1 - Number.EPSILON),
    ]);
    expect(spans).toEqual([
      [1_000, 2_000],
      [2_000, 4_000],
      [4_000, 8_000],
      [8_000, 16_000],
      [16_000, 32_000],
      [30_000, 60_000],
      [30_000, 60_000],
      [30_000, 60_000],
    ]);
  });

  test('is a number within the limits for any attempt, limits and random', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.double({ min: 0, max: 1e12, noNaN: true }),
        fc.double({ min: 0, max: 1e12, noNaN: true }),
        fc.double(),
        (attempt, minDelayMs, more, share) => {
          const maxDelayMs = minDelayMs + more;
          const delayMs = retryDelayMs(attempt, { minDelayMs, maxDelayMs }, () => share);
          return delayMs >= minDelayMs && delayMs <= maxDelayMs;
        },
      ),
    );
  });

  test('of a shortest pause of 0 ms stays 0, also after 2,000 attempts', () => {
    expect(retryDelayMs(2_000, { minDelayMs: 0, maxDelayMs: 60_000 }, () => 0.5)).toBe(0);
  });

  test('takes a random that is no number in [0, 1) for one half', () => {
    for (const broken of [Number.NaN, 1, -0.1, Infinity, undefined as unknown as number]) {
      expect(retryDelayMs(1, limits, () => broken)).toBe(1_500);
    }
  });
});
