import { types } from 'node:util';
import { type MapsweepErrorCode, MapsweepRangeError, MapsweepTypeError } from '../errors.js';
import { describe, shownKey } from '../events/shown.js';

/**
 * Checks one value and returns it in the form that the library works with; throws an error that names its place. A reader of an
 * option is never called with `undefined`, which means that the option was left out.
 */
export type Reader<T> = (value: unknown, path: string) => T;

/** The options that an object may have, each with its reader. */
export type OptionSchema = Readonly<Record<string, Reader<unknown>>>;

/** What {@link readOptions} returns for a schema. */
export type OptionsOf<Schema extends OptionSchema> = {
  readonly [Name in keyof Schema]?: ReturnType<Schema[Name]>;
};

const LONGEST_NAME = 128;
/** A longer name is no slip of the finger, and to compare it takes its length times theirs. */
const LONGEST_MISSPELT = 64;

/**
 * Reads an object of options: each value once, through its reader.
 *
 * Only own enumerable string keys count, so that a polluted `Object.prototype` sets nothing. `undefined` is the same
 * as absent, but a name that is not in the schema is an error whatever its value is. Names are checked before values,
 * because a misspelt name often explains why another value is wrong.
 *
 * @param path where the object stands, such as `maps.sessions`; empty for the top
 * @returns an object without a prototype
 * @throws {MapsweepTypeError} `ERR_UNKNOWN_OPTION`, with the nearest name as a suggestion; `ERR_INVALID_OPTION` if
 *   `input` is not an object of options or a getter throws; whatever a reader throws
 */
export function readOptions<Schema extends OptionSchema>(
  path: string,
  input: unknown,
  schema: Schema,
): OptionsOf<Schema> {
  if (!isObjectOfOptions(input)) throw invalidType(path || 'options', 'an object of options', input);
  const names = Object.keys(input);
  for (const name of names) {
    if (!Object.hasOwn(schema, name)) throw unknownOption(path, name, Object.keys(schema));
  }
  // Without a prototype, for an absent option must not be looked up on a polluted one.
  const options: Record<string, unknown> = Object.create(null);
  for (const name of names) {
    const option = optionPath(path, name);
    const value = readProperty(input, name, option);
    if (value !== undefined) options[name] = schema[name]!(value, option);
  }
  return options as OptionsOf<Schema>;
}

/** The path of an option inside of `parent`: `maps.sessions`, or `maps["my sessions"]` if that is no identifier. */
export function optionPath(parent: string, name: string): string {
  if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]{0,63}$/u.test(name)) return `${parent}[${describe(name)}]`;
  return parent === '' ? name : `${parent}.${name}`;
}

/**
 * Makes a reader of a number. What is none is a MapsweepTypeError, one that does not fit a MapsweepRangeError.
 *
 * @param allowed what it must be, for the message
 */
export const numeric =
  (allowed: string, fits: (value: number) => boolean): Reader<number> =>
  (value, option) => {
    if (typeof value !== 'number') throw invalidType(option, allowed, value);
    if (!fits(value)) throw invalidRange(option, allowed, value);
    return value;
  };

/**
 * Reads an integer from `min` to `max`, both included.
 *
 * @param range `min` defaults to 0, `max` to `Number.MAX_SAFE_INTEGER`
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: not a number
 * @throws {MapsweepRangeError} `ERR_INVALID_OPTION`: `NaN`, a fraction, or out of range
 */
export function readInteger(
  value: unknown,
  option: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): number {
  const allowed =
    max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
  const fits = (given: number): boolean => Number.isInteger(given) && given >= min && given <= max;
  return numeric(allowed, fits)(value, option) + 0;
}

/**
 * Reads one of a closed set of strings.
 *
 * @param otherwise what else the option takes, for the message; the caller has looked for it before
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: another type; `'Sweep'` for `'sweep'` brings a suggestion
 */
export function readOneOf<const Choice extends string>(
  value: unknown,
  option: string,
  choices: readonly Choice[],
  otherwise?: string,
): Choice {
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  const quoted = choices.map((candidate) => `'${candidate}'`);
  const allowed = listOf(otherwise === undefined ? quoted : [...quoted, otherwise]);
  throw invalidType(option, allowed, value, suggestion(value, choices));
}

/**
 * Reads a name: a non-empty string of at most 128 characters.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: not a string
 * @throws {MapsweepRangeError} `ERR_INVALID_OPTION`: empty or too long
 */
export function readName(value: unknown, option: string): string {
  const allowed = `a string of 1 to ${LONGEST_NAME} characters`;
  if (typeof value !== 'string') throw invalidType(option, allowed, value);
  if (value.length === 0 || value.length > LONGEST_NAME) throw invalidRange(option, allowed, value);
  return value;
}

/** The error for a value of a type, shape or choice that `option` does not take. `hint` says what to do instead. */
export function invalidType(
  option: string,
  allowed: string,
  received: unknown,
  hint = '',
  code: MapsweepErrorCode = 'ERR_INVALID_OPTION',
): MapsweepTypeError {
  return new MapsweepTypeError(code, sentence(option, allowed, received, hint));
}

/** The error for a value of the right type that is outside of what `option` allows. */
export function invalidRange(
  option: string,
  allowed: string,
  received: unknown,
  hint = '',
  code: MapsweepErrorCode = 'ERR_INVALID_OPTION',
): MapsweepRangeError {
  return new MapsweepRangeError(code, sentence(option, allowed, received, hint));
}

function sentence(option: string, allowed: string, received: unknown, hint: string): string {
  return `${option} must be ${allowed}; received ${describe(received)}${hint === '' ? '' : `. ${hint}`}`;
}

/** The error for a name that is none of the options. */
export function unknownOption(path: string, name: string, allowed: readonly string[]): MapsweepTypeError {
  const hint = suggestion(name, allowed);
  return new MapsweepTypeError(
    'ERR_UNKNOWN_OPTION',
    `${optionPath(path, name)} is not an option.${hint === '' ? '' : ` ${hint}`} Allowed here: ${allowed.join(', ')}`,
  );
}

/**
 * Returns whether a value is an object that may be meant as options. A Map, a Date and their like are not: what they hold is
 * in no own property, so that they would pass as empty ones.
 */
export function isObjectOfOptions(input: unknown): input is Record<string, unknown> {
  return (
    typeof input === 'object' &&
    input !== null &&
    !types.isMap(input) &&
    !types.isSet(input) &&
    !types.isWeakMap(input) &&
    !types.isWeakSet(input) &&
    !types.isPromise(input) &&
    !types.isRegExp(input) &&
    !types.isDate(input) &&
    !types.isBoxedPrimitive(input) &&
    !ArrayBuffer.isView(input) &&
    !Array.isArray(input)
  );
}

/**
 * Reads a property of an object of options.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: its getter throws
 */
export function readProperty(input: Record<string, unknown>, name: string, option: string): unknown {
  try {
    return input[name];
  } catch (cause) {
    throw new MapsweepTypeError('ERR_INVALID_OPTION', `${option} cannot be read: its getter threw`, {
      cause,
    });
  }
}

function listOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}

/** `Did you mean 'maxIdle'?` if one of the names is near, else an empty string. */
export function suggestion(received: unknown, names: readonly string[]): string {
  if (typeof received !== 'string' || received.length > LONGEST_MISSPELT) return '';
  let nearest = '';
  let smallest = Infinity;
  for (const name of names) {
    const distance = editDistance(received.toLowerCase(), name.toLowerCase());
    // One slip in three letters: 'tlt' is 'ttl', and 'foo' is nothing.
    const allowed = Math.max(1, Math.floor(Math.max(received.length, name.length) / 3));
    if (distance <= allowed && distance < smallest) {
      nearest = name;
      smallest = distance;
    }
  }
  return nearest === '' ? '' : `Did you mean ${shownKey(nearest)}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours between two short words (optimal string alignment). */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const substitution = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      let cost = Math.min(previous[column]! + 1, current[column - 1]! + 1, substitution);
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, beforePrevious[column - 2]! + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length]!;
}
