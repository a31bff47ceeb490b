import { collected, derefOf } from '../collectable.js';
import type { MatcherResult } from './matcher.js';

/** `await expect(weakRef).toBecomeCollectable()` */
export async function toBecomeCollectable(received: unknown): Promise<MatcherResult> {
  const pass = await collected(derefOf('toBecomeCollectable', received));
  return {
    pass,
    message: () =>
      pass
        ? 'expected the value behind the WeakRef to be held by something, but it was collected'
        : 'expected the value behind the WeakRef to become collectable, but something still holds it. It may be the ' +
          'test itself: a variable that is still used, a closure, what a mock was called with, or a failed assertion',
  };
}
