import { invalidType, type Reader } from './read-options.js';

/**
 * Makes a reader of one kind of value, which returns it as it is.
 *
 * @param allowed what the value must be, for the message
 */
export function kind<T>(allowed: string, fits: (value: unknown) => boolean): Reader<T> {
  return (value, path) => {
    if (!fits(value)) throw invalidType(path, allowed, value);
    return value as T;
  };
}

/** Makes a reader of a function; `signature` says how it is called, such as `(value, key) => boolean`. */
export function callback<Callback extends (...parameters: never[]) => unknown>(
  signature: string,
): Reader<Callback> {
  return kind(`a function ${signature}`, (value) => typeof value === 'function');
}

export const text = kind<string>('a string', (value) => typeof value === 'string');

export const truth = kind<boolean>('true or false', (value) => typeof value === 'boolean');
