import { expect, test } from 'vitest';
import { firstFailure } from './search.js';

test('200 random programs of 200 steps, which call everything from inside of every callback, agree with a plain model', async () => {
  expect(await firstFailure({ seed: 1, count: 200, steps: 200 })).toBeUndefined();
}, 120_000);
