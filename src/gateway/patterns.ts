import { types } from 'node:util';
import { invalidType } from '../policy/read-options.js';

/**
 * Reads a RegExp, as a clone: the caller's `lastIndex` is neither read nor moved.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: anything else
 */
export function readRegExp(value: unknown, option: string): RegExp {
  if (!types.isRegExp(value)) throw invalidType(option, 'a RegExp', value);
  return new RegExp(value);
}

/** Whether a pattern is found in a text, looked for from the start though it may be sticky or global. */
export function testFromStart(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(text);
}
