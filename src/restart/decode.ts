import { MapsweepTypeError } from '../errors.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';

/** Asks `persist.decode` for a value; `error` is what it threw. A promise is an error: entries are there at once. */
export function decoded(
  decode: (json: unknown, key: unknown) => unknown,
  json: unknown,
  key: unknown,
): { readonly value: unknown; readonly error?: unknown } {
  try {
    const value = decode(json, key);
    if (!isThenable(value)) return { value };
    swallowRejection(value, () => {});
    throw new MapsweepTypeError(
      'ERR_INVALID_ANSWER',
      'persist.decode must answer the value itself, got a promise',
    );
  } catch (error) {
    return { value: undefined, error: error ?? new Error('persist.decode threw nothing') };
  }
}
