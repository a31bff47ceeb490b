import { invalidType, type Reader } from './read-options.js';

/**
 * Makes a reader of one kind of value, which returns it as it is. Options are read with such readers, and so is what
 * comes from a disk: each takes as its third argument what makes the error.
 *
 * @param allowed what the value must be, for the message
 */
export function kind<T>(allowed: string, fits: (value: unknown) => boolean): Reader<T> {
  return (value, path, refuse = invalidType) => {
    if (!fits(value)) throw refuse(path, allowed, value);
    return value as T;
  };
}

/** Makes a reader of a function; `signature` says how it is called, such as `(value, key) => boolean`. */
export function callback<Callback extends (...parameters: never[]) => unknown>(
  signature: string,
): Reader<Callback> {
  return kind(`a function ${signature}`, (value) => typeof value === 'function');
}

/** Takes whatever JSON carries. */
export const anything = kind<unknown>('JSON', (value) => value !== undefined);

export const text = kind<string>('a string', (value) => typeof value === 'string');

export const truth = kind<boolean>('true or false', (value) => typeof value === 'boolean');

export const count = kind<number>(
  'an integer of at least 0',
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
);

export const instant = kind<number>('epoch milliseconds', Number.isFinite);

/** Takes one of the values, and no other. */
export function exactly<const Value extends string | number | boolean>(...values: Value[]): Reader<Value> {
  const allowed = values.map((value) => JSON.stringify(value)).join(' or ');
  return kind(allowed, (value) => values.includes(value as Value));
}

/** Takes what `reader` takes, and `undefined`. */
export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, path, refuse) => (value === undefined ? undefined : reader(value, path, refuse));
}

/** Takes an object with these properties, of which only its own count; any other property is left alone. */
export function record<T>(properties: { readonly [Name in keyof T]-?: Reader<T[Name]> }): Reader<T> {
  return (value, path, refuse) => {
    const read = object(value, path, refuse);
    for (const [name, reader] of Object.entries<Reader<unknown>>(properties)) {
      reader(Object.hasOwn(read, name) ? read[name] : undefined, `${path}.${name}`, refuse);
    }
    return value as T;
  };
}

/** Takes an object whose own properties, whatever their names, hold such values. */
export function recordOf<T>(reader: Reader<T>): Reader<Record<string, T>> {
  return (value, path, refuse) => {
    for (const [name, item] of Object.entries(object(value, path, refuse))) {
      reader(item, `${path}[${JSON.stringify(name)}]`, refuse);
    }
    return value as Record<string, T>;
  };
}

/** Takes an array of such values. */
export function arrayOf<T>(reader: Reader<T>): Reader<T[]> {
  return (value, path, refuse) => {
    array(value, path, refuse).forEach((item, index) => {
      reader(item, `${path}[${index}]`, refuse);
    });
    return value as T[];
  };
}

const array = kind<unknown[]>('an array', Array.isArray);

const object = kind<Record<string, unknown>>(
  'an object',
  (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
);
