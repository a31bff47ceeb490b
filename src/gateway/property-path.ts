import { types } from 'node:util';
import { MapsweepTypeError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import { NativeMap, NativeSet } from '../stamps/native-collection.js';

/** Reads what a property path leads to; `undefined` where it leads to nothing. */
export type PathReader = (value: unknown) => unknown;

/**
 * Makes a reader of a property path, such as `queue.length`. It runs no code of what it looks at: of an object only own
 * data properties count, besides the `size` of a native Map or Set and the `length` of a string.
 *
 * @returns a reader that throws a `MapsweepTypeError` with `ERR_INVALID_ANSWER` where a getter or a Proxy stands in the way:
 *   nobody can say then what the value says
 */
export function pathReader(path: string): PathReader {
  const names = path.split('.');
  return (value) => {
    let found = value;
    for (const name of names) {
      if (found === undefined || found === null) return undefined;
      found = propertyOf(found, name, path);
    }
    return found;
  };
}

function propertyOf(holder: unknown, name: string, path: string): unknown {
  if (typeof holder === 'string') return name === 'length' ? holder.length : undefined;
  if (typeof holder !== 'object' && typeof holder !== 'function') return undefined;
  if (types.isProxy(holder)) throw unreadable(path, 'a Proxy stands in its way');
  if (name === 'size' && types.isMap(holder)) return new NativeMap(holder).size();
  if (name === 'size' && types.isSet(holder)) return new NativeSet(holder).size();
  const property = Object.getOwnPropertyDescriptor(holder, name);
  if (property === undefined) return undefined;
  if (property.get !== undefined || property.set !== undefined) {
    throw unreadable(path, `${shownKey(name)} is a getter, which is never run`);
  }
  return property.value;
}

const unreadable = (path: string, why: string): MapsweepTypeError =>
  new MapsweepTypeError('ERR_INVALID_ANSWER', `${shownKey(path)} cannot be read: ${why}`);
