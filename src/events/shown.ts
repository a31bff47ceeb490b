import { types } from 'node:util';

/*
 * The one place where what belongs to the owner becomes text that others read: in errors, reports, logs, pages, metrics.
 * A key may be a megabyte long, hold a secret or an escape sequence of a terminal, and an object may run code or throw
 * whenever it is looked at. So nothing here calls anything of the owner's, neither a getter nor a `toString` nor the
 * trap of a Proxy; what comes out is one short line, and says nothing of what an object holds.
 */

/** The most characters that are shown of a value, a key or the name of a class. */
const longestExcerpt = 64;

/** The most characters that are shown of a text whose very wording matters, such as the message of an error. */
const longestText = 256;

/** Decimal digits of a longer bigint take time that grows with the square of their number. */
const longestBits = 64;

/** More prototypes than this are not looked at for the name of a class. */
const longestChain = 16;

// Control and format characters, line breaks, halves of a pair, and what is not seen at all: they end a line, move the
// cursor, reverse what follows, or make two keys look alike.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** A received value for an error message: a string in double quotes, of an object no more than its class. */
export function describe(value: unknown): string {
  return escaped(described(value));
}

/** A key or a name as people write it: `'run-7'`, `42`, `Symbol(main)`, `an instance of Session`. */
export function shownKey(key: unknown): string {
  if (typeof key === 'symbol') return `Symbol(${shownText(key.description ?? '', longestExcerpt)})`;
  if (typeof key !== 'string') return describe(key);
  // Double quotes are for what has single ones in it.
  return escaped(key.includes("'") ? quoted(key) : quoted(key).replace(/^"(.*)"/s, singleQuoted));
}

/** A text of the owner's that goes without quotes, such as the name of a map in a table. */
export function shownText(text: string, most = longestText): string {
  return escaped(excerpt(text, most));
}

/** The name of a function of the owner's, where that says more than the option that it was given as; else `undefined`. */
export function shownName(given: object, option: string): string | undefined {
  const name = dataOf(given, 'name');
  return typeof name === 'string' && name !== '' && name !== option ? shownText(name) : undefined;
}

/** What was thrown: the name and message of an error, anything else as {@link describe} has it. */
export function shownError(error: unknown): string {
  if (!types.isNativeError(error)) return describe(error);
  const name = dataOf(error, 'name');
  const message = dataOf(error, 'message');
  const shownName = typeof name === 'string' && name !== '' ? shownText(name, longestExcerpt) : 'Error';
  return typeof message === 'string' && message !== '' ? `${shownName}: ${shownText(message)}` : shownName;
}

/**
 * A key for JSON that people read. A short and plain string, a number, a boolean or `null` is itself; everything else
 * is what {@link shownKey} makes of it.
 */
export function plainKey(key: unknown): string | number | boolean | null {
  if (typeof key === 'boolean' || key === null) return key;
  if (typeof key === 'number' && Number.isFinite(key)) return key;
  const isPlain = typeof key === 'string' && key.length <= longestExcerpt && key.search(unprintable) < 0;
  return isPlain ? key : shownKey(key);
}

function described(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'bigint':
      return BigInt.asIntN(longestBits, value) === value
        ? `${value}n`
        : `a bigint of more than ${longestBits} bits`;
    case 'symbol':
      return value.description === undefined ? 'Symbol()' : `Symbol(${quoted(value.description)})`;
    case 'function':
    case 'object':
      return describedObject(value);
    default:
      return Object.is(value, -0) ? '-0' : String(value);
  }
}

function describedObject(value: object | null): string {
  if (value === null) return 'null';
  if (types.isProxy(value)) return isRevoked(value) ? `an unreadable ${typeof value}` : 'a Proxy';
  if (typeof value === 'function') return named('a function', dataOf(value, 'name'));
  if (Array.isArray(value)) return `an array of length ${value.length}`;
  const name = classNameOf(value);
  return name === 'Object' ? 'an object' : named('an instance of', name, 'an object');
}

/** The name of the constructor that the nearest prototype has; `undefined` where only foreign code could tell. */
function classNameOf(value: object): unknown {
  const maker = dataOf(Object.getPrototypeOf(value), 'constructor');
  return typeof maker === 'function' ? dataOf(maker, 'name') : undefined;
}

/** A property of an object or of one of its prototypes, unless it is a getter or a Proxy stands in between. */
function dataOf(object: unknown, name: string): unknown {
  let holder = object;
  for (let links = 0; links < longestChain; links += 1) {
    if ((typeof holder !== 'object' && typeof holder !== 'function') || holder === null) return undefined;
    if (types.isProxy(holder)) return undefined;
    const property = Object.getOwnPropertyDescriptor(holder, name);
    if (property !== undefined) return property.value;
    holder = Object.getPrototypeOf(holder);
  }
  return undefined;
}

/** Whether a Proxy has been revoked: then even this throws, and else it runs no trap. */
function isRevoked(proxy: object): boolean {
  try {
    Array.isArray(proxy);
    return false;
  } catch {
    return true;
  }
}

function named(kind: string, name: unknown, otherwise = kind): string {
  return typeof name === 'string' && name !== '' ? `${kind} ${excerpt(name, longestExcerpt)}` : otherwise;
}

function quoted(text: string): string {
  return text.length <= longestExcerpt
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, longestExcerpt))}… (${text.length} characters)`;
}

const singleQuoted = (_: string, inner: string): string => `'${inner.replaceAll('\\"', '"')}'`;

function excerpt(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}

// After the cut, so that a long text costs no more than a short one.
function escaped(text: string): string {
  return text.replace(unprintable, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** `1 entry`, `3 entries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
