import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { detached } from '../../src/time/async-context.js';

describe('detached', () => {
  test('hides the stores of the caller, also from what it starts, and gives them back', async () => {
    const requests = new AsyncLocalStorage<string>();
    await requests.run('request', async () => {
      const inside = detached(
        () => [requests.getStore(), Promise.resolve().then(() => requests.getStore())] as const,
      );
      expect([inside[0], await inside[1]]).toEqual([undefined, undefined]);
      expect(requests.getStore()).toBe('request');
    });
  });

  test('enterWith() in one call is not seen by the next', () => {
    const requests = new AsyncLocalStorage<string>();
    detached(() => requests.enterWith('left behind'));
    expect(detached(() => requests.getStore())).toBeUndefined();
  });

  test('returns what the function returns, and lets through what it throws', () => {
    expect(detached(() => 42)).toBe(42);
    expect(() =>
      detached(() => {
        throw new RangeError('through');
      }),
    ).toThrow('through');
  });
});
