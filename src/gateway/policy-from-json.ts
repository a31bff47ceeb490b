import { types } from 'node:util';
import { MapsweepTypeError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import { compilePolicy, policyOptionNames } from '../policy/compile-policy.js';
import type { Duration } from '../policy/duration.js';
import type { Instant, Policy } from '../policy/policy.js';
import {
  invalidRange,
  invalidType,
  isObjectOfOptions,
  type Reader,
  readOptions,
} from '../policy/read-options.js';
import { NativeMap, NativeSet } from '../stamps/native-collection.js';
import { type PathReader, pathReader } from './property-path.js';

/**
 * A property path, such as `execution.endedAt` or `queue.length`, or several. Names stand between dots; only own data
 * properties count, besides the `size` of a Map or Set and the `length` of a string or array. No getter is run.
 */
export type PropertyPaths = string | readonly string[];

/** `Lifetimes` as JSON can hold them. */
export interface JsonLifetimes {
  /** Due this long after `since`; `false` is never. */
  readonly ttl?: Duration | false;
  /**
   * `registeredAt` or `lastActiveAt`, alone, is that stamp of the entry; anything else are paths, of which the first that is
   * set counts.
   */
  readonly since?: PropertyPaths;
  /** The first path that is set counts. */
  readonly expiresAt?: PropertyPaths;
  /** Due when idle this long; `false` is never. */
  readonly maxIdle?: Duration | false;
  /** Due at this age, whatever holds it; `false` is never. */
  readonly maxAge?: Duration | false;
}

/** One rule of a {@link JsonPolicy}. */
export interface JsonRule extends JsonLifetimes {
  /** A regular expression, which reads keys as Unicode does. */
  readonly match: string;
}

/** A policy as JSON can hold it: what is a function in a `Policy` is a property path here. See {@link policyFromJson}. */
export interface JsonPolicy
  extends JsonLifetimes,
    Pick<
      Policy<unknown, unknown>,
      'orphanAfter' | 'maxEntries' | 'expectedMax' | 'shed' | 'sweepEvery' | 'mode'
    > {
  /** The map whose entries those of this one accompany, by equal key. */
  readonly follows?: string;
  /** By key: the first that matches replaces the lifetimes above. */
  readonly rules?: readonly JsonRule[];
  /** The first path that is set counts. */
  readonly activeAt?: PropertyPaths;
  /**
   * An entry is kept while what any of the paths leads to is neither 0, `false` nor missing, nor an empty string, array, Map or
   * Set.
   */
  readonly keepWhile?: PropertyPaths;
  /** The sum of the numbers that the paths lead to. */
  readonly weigh?: PropertyPaths;
  /** What the first path leads to that leads anywhere is the owner. */
  readonly maxPerOwner?: {
    /** Leads to the owner of a value. */
    readonly owner: PropertyPaths;
    /** How many entries each may have. From 1. */
    readonly max: number;
  };
  /** How old entries are that were there at adoption: new, or long overdue. */
  readonly unstamped?: 'now' | 'expired';
}

/** What {@link policyFromJson} makes: a policy for any map, without what only a function can say. */
export type PolicyFromJson = Omit<
  Policy<unknown, unknown>,
  'adopt' | 'follows' | 'beforeSweep' | 'beforeSweepTimeout' | 'dispose' | 'replaced' | 'persist'
> & {
  /** The map whose entries those of this one accompany, by equal key. */
  follows?: string;
};

/**
 * Makes a policy of one that JSON holds, such as `{ "maxIdle": "30m", "keepWhile": ["queue.length", "activeTaskIds.size"] }`.
 * Each function is named after its paths, and so shown by reports and the page.
 *
 * An instant is epoch ms or a `Date`; 0, `null` and what is missing are unset. Where a path leads through a getter or a
 * Proxy, what it would say is not known: the entry stays, as after a function that throws.
 *
 * @param option where the policy stands, for messages; empty for the top
 * @throws {MapsweepTypeError | MapsweepRangeError} as `createRegistry` does for a policy; and for a function, a pattern that
 *   is none, a path with an empty name
 */
export function policyFromJson(json: JsonPolicy, option = ''): PolicyFromJson {
  const policy: PolicyFromJson = { ...readOptions(option, json, policySchema) };
  compilePolicy(option, policy);
  return policy;
}

type Question<Answer> = (value: unknown) => Answer;

const stamps = ['registeredAt', 'lastActiveAt'];

const asGiven: Reader<unknown> = (value, option) => {
  if (typeof value === 'function') throw invalidType(option, 'what JSON can hold', value);
  return value;
};

const instantPaths: Reader<Question<Instant>> = (value, option) =>
  byPaths(
    value,
    option,
    ' or else ',
    (readers) => (entry) => firstFound(readers, entry, isInstant) as Instant,
  );

const sincePaths: Reader<unknown> = (value, option) =>
  stamps.includes(value as string) ? value : instantPaths(withoutStamps(value, option), option);

function withoutStamps(paths: unknown, option: string): unknown {
  const at = Array.isArray(paths) ? paths.findIndex((path) => stamps.includes(path)) : -1;
  if (at < 0) return paths;
  const what = `${shownKey((paths as unknown[])[at])} is a stamp and stands alone, and not in a list of paths`;
  const instead = 'To limit an entry for which no path is set, use maxAge or maxIdle';
  throw new MapsweepTypeError('ERR_INVALID_OPTION', `${option}[${at}]: ${what}. ${instead}`);
}

const guardPaths: Reader<Question<boolean>> = (value, option) =>
  byPaths(value, option, ' or ', (readers) => (entry) => readers.some((read) => isSomething(read(entry))));

const weightPaths: Reader<Question<number>> = (value, option) =>
  byPaths(
    value,
    option,
    ' + ',
    (readers) => (entry) => readers.reduce((sum, read) => sum + numberOf(read(entry)), 0),
  );

const ownerPaths: Reader<Question<unknown>> = (value, option) =>
  byPaths(value, option, ' or else ', (readers) => (entry) => firstFound(readers, entry, isThere));

const lifetimes = { since: sincePaths, expiresAt: instantPaths };

const withoutJson = ['adopt', 'beforeSweep', 'beforeSweepTimeout', 'dispose', 'replaced', 'persist'];

const policySchema: Readonly<Record<string, Reader<unknown>>> = {
  ...Object.fromEntries(
    policyOptionNames.filter((name) => !withoutJson.includes(name)).map((name) => [name, asGiven]),
  ),
  ...lifetimes,
  activeAt: instantPaths,
  keepWhile: guardPaths,
  weigh: weightPaths,
  rules: readRules,
  maxPerOwner: readMaxPerOwner,
};

function readRules(value: unknown, option: string): unknown {
  if (!Array.isArray(value)) throw invalidType(option, 'an array of rules { match, … }', value);
  const schema = { ttl: asGiven, maxIdle: asGiven, maxAge: asGiven, ...lifetimes, match: readPattern };
  return Array.from(value, (rule: unknown, index) => ({
    match: undefined,
    ...readOptions(`${option}[${index}]`, rule, schema),
  }));
}

function readPattern(value: unknown, option: string): RegExp {
  if (typeof value !== 'string') throw invalidType(option, 'a regular expression in a string', value);
  try {
    return new RegExp(value, 'u');
  } catch (cause) {
    const why = `${option} is no regular expression: ${(cause as Error).message}`;
    throw new MapsweepTypeError('ERR_INVALID_OPTION', why, { cause });
  }
}

function readMaxPerOwner(value: unknown, option: string): unknown {
  if (!isObjectOfOptions(value)) throw invalidType(option, '{ owner, max }', value);
  return readOptions(option, value, { owner: ownerPaths, max: asGiven });
}

/** Makes a function of the paths, which bears them as its name. */
function byPaths<Answer>(
  value: unknown,
  option: string,
  conjunction: string,
  ask: (readers: readonly PathReader[]) => Question<Answer>,
): Question<Answer> {
  const paths = readPaths(value, option);
  const question = ask(paths.map(pathReader));
  return Object.defineProperty(question, 'name', { value: paths.join(conjunction) });
}

function readPaths(value: unknown, option: string): readonly string[] {
  const allowed = 'a property path such as "queue.length", or an array of them';
  const paths: unknown[] = Array.isArray(value) ? Array.from(value) : [value];
  if (paths.length === 0) throw invalidRange(option, allowed, value);
  return paths.map((path, index) => {
    const at = Array.isArray(value) ? `${option}[${index}]` : option;
    if (typeof path !== 'string') throw invalidType(at, allowed, path);
    if (path.split('.').includes('')) throw invalidRange(at, `${allowed}, with a name between dots`, path);
    return path;
  });
}

/** What the first path leads to that leads to something that counts. */
function firstFound(
  readers: readonly PathReader[],
  entry: unknown,
  counts: (found: unknown) => boolean,
): unknown {
  for (const read of readers) {
    const found = read(entry);
    if (counts(found)) return found;
  }
  return undefined;
}

const isThere = (found: unknown): boolean => found !== undefined && found !== null;

/** Records also have 0 for an instant that is unset. */
const isInstant = (found: unknown): boolean => isThere(found) && found !== 0;

/** Whether there is something to wait for. What a Proxy stands for is not known. */
function isSomething(found: unknown): boolean {
  if (types.isProxy(found)) return true;
  if (Array.isArray(found)) return found.length > 0;
  if (types.isMap(found)) return new NativeMap(found).size() > 0;
  if (types.isSet(found)) return new NativeSet(found).size() > 0;
  return Boolean(found);
}

function numberOf(found: unknown): number {
  if (found === undefined || found === null) return 0;
  if (typeof found === 'number') return found;
  throw new MapsweepTypeError('ERR_INVALID_ANSWER', `weigh must find numbers, found ${shownKey(found)}`);
}
