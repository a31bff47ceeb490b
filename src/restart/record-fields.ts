import { describe } from '../events/shown.js';
import { keyOf, noKey } from './records.js';

// What stands in the fields of a record. Each function throws a TypeError that says what is wrong.

/** An integer of at least 0. */
export function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new TypeError(`expected an integer of at least 0, found ${describe(value)}`);
}

/** Yes or no, as 1 or 0. */
export function flag(value: unknown): boolean {
  if (value === 0 || value === 1) return value === 1;
  throw new TypeError(`expected 0 or 1, found ${describe(value)}`);
}

/** A number of ms. */
export function instant(value: unknown): number {
  if (Number.isFinite(value)) return value as number;
  throw new TypeError(`expected a number of ms, found ${describe(value)}`);
}

/** A string. */
export function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`expected a string, found ${describe(value)}`);
}

/** The key of an entry. */
export function knownKey(json: unknown): unknown {
  const key = keyOf(json);
  if (key !== noKey) return key;
  throw new TypeError(`expected a key, found ${describe(json)}`);
}

/** An array. */
export function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`expected an array, found ${describe(value)}`);
}

/** An object. Members that only a later version knows are left alone. */
export function members(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new TypeError(`expected an object, found ${describe(value)}`);
}
