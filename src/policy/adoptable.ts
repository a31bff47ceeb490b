import { types } from 'node:util';
import { MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { invalidType } from './read-options.js';

// What an adoption wraps. The two young ones exist on some engines only.
const WRAPPED_METHODS = ['set', 'add', 'delete', 'clear', 'getOrInsert', 'getOrInsertComputed'];

/**
 * Checks that an object can be adopted: a `Map` or `Set`, of any realm or subclass, on which methods can be put.
 * It changes nothing, and does not ask whether the object is tracked already.
 *
 * @param option the path of the option or argument, for the message
 * @throws {MapsweepTypeError} `ERR_NOT_A_MAP`: anything but a `Map` or `Set`, a `WeakMap` too;
 *   `ERR_NOT_ADOPTABLE`: a `Proxy`, an object that is frozen, sealed or not extensible, one with a method that is
 *   fixed on it, or one that keeps its entries elsewhere than in itself
 */
export function checkAdoptable(option: string, value: unknown): Map<unknown, unknown> | Set<unknown> {
  // First, because a Proxy of a Map is no Map to the engine, and every other question runs its traps.
  if (types.isProxy(value)) {
    throw notAdoptable(
      option,
      'a Proxy',
      'the methods of a Map do not run on a Proxy, and writes to its target would be missed. Adopt the target itself',
    );
  }
  if (!types.isMap(value) && !types.isSet(value)) throw notAMap(option, value);
  if (!Object.isExtensible(value)) {
    const state = Object.isFrozen(value) ? 'frozen' : Object.isSealed(value) ? 'sealed' : 'not extensible';
    throw notAdoptable(
      option,
      `${describe(value)} that is ${state}`,
      'no method can be put on it. Adopt it before it is locked, or copy it into a new TrackedMap',
    );
  }
  for (const method of WRAPPED_METHODS) {
    if (Object.getOwnPropertyDescriptor(value, method)?.configurable === false) {
      throw notAdoptable(
        option,
        `${describe(value)} whose own ${method} is not configurable`,
        `it cannot be wrapped and given back. Define ${method} as configurable, or on the class`,
      );
    }
  }
  if (hasOwnSize(value)) {
    throw notAdoptable(
      option,
      `${describe(value)} whose class has a size of its own`,
      'it keeps its entries elsewhere than in the Map that it is, where they cannot be seen. Adopt the Map that it keeps them in',
    );
  }
  return value;
}

/** Returns whether a class puts its own `size` over that of Map or Set, whose prototype is one step above all objects. */
function hasOwnSize(value: object): boolean {
  let holder: object | null = value;
  while (holder !== null && !Object.hasOwn(holder, 'size')) holder = Object.getPrototypeOf(holder);
  const above = holder === null ? null : Object.getPrototypeOf(holder);
  return above !== null && Object.getPrototypeOf(above) !== null;
}

function notAMap(option: string, value: unknown): MapsweepTypeError {
  return invalidType(option, 'a Map or a Set', value, hintFor(value), 'ERR_NOT_A_MAP');
}

function hintFor(value: unknown): string {
  if (types.isWeakMap(value) || types.isWeakSet(value)) {
    return 'Weak collections cannot be listed and need no sweep: their entries leave with their keys';
  }
  if (value instanceof Map || value instanceof Set) {
    return 'It inherits from a Map or Set, but its constructor never ran';
  }
  if (typeof value === 'object' && value !== null) {
    return 'To adopt is to instrument a live Map or Set in place; leave adopt out to get a new TrackedMap';
  }
  return '';
}

function notAdoptable(option: string, received: string, hint: string): MapsweepTypeError {
  return new MapsweepTypeError(
    'ERR_NOT_ADOPTABLE',
    `${option} must be a Map or a Set that can be instrumented; received ${received}: ${hint}`,
  );
}
