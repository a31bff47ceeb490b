/** Returns whether a value is a promise or another thenable. A `then` that throws when read makes it none. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  try {
    return typeof (value as { then?: unknown }).then === 'function';
  } catch {
    return false;
  }
}

/**
 * Sees to it that the rejection of a promise that nobody waits for is told and not unhandled. Anything that is no
 * promise is ignored.
 */
export function swallowRejection(result: unknown, onRejected: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).then(undefined, onRejected);
}
