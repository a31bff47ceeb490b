import { types } from 'node:util';
import { MapsweepTypeError } from '../errors.js';
import { checkAdoptable } from './adoptable.js';
import { callback, truth } from './checks.js';
import { durationMs, timerRange } from './duration.js';
import type {
  BatchedHook,
  CompiledHook,
  CompiledLifetimes,
  CompiledPolicy,
  CompiledRule,
  Follows,
  InstantOf,
  MaxPerOwner,
  Persist,
  Policy,
} from './policy.js';
import {
  invalidType,
  isObjectOfOptions,
  optionPath,
  readInteger,
  readName,
  readOneOf,
  readOptions,
} from './read-options.js';

const DEFAULT_ORPHAN_AFTER_MS = 30 * 60_000;
const DEFAULT_BEFORE_SWEEP_TIMEOUT_MS = 30_000;
const VALUE_AND_KEY = '(value, key)';
const OWNER = `${VALUE_AND_KEY} => whatever tells owners apart`;
const LEADER_KEY = `${VALUE_AND_KEY} => the key of the leader, or undefined`;
const INSTANT = `${VALUE_AND_KEY} => epoch milliseconds, a Date, null or undefined`;
const MATCH = 'a RegExp or a function (key) => boolean';

/**
 * Checks a policy and applies its defaults. Reads every option once, changes nothing, and throws at the first mistake.
 *
 * @param path where the policy stands, for messages, such as `maps.sessions`; empty for the top
 * @throws {MapsweepTypeError} `ERR_UNKNOWN_OPTION`, `ERR_INVALID_OPTION`, `ERR_INVALID_DURATION`, `ERR_NOT_A_MAP` or
 *   `ERR_NOT_ADOPTABLE`
 * @throws {MapsweepRangeError} `ERR_INVALID_OPTION` or `ERR_INVALID_DURATION`
 */
export function compilePolicy<K, V>(path: string, policy: Policy<K, V>): CompiledPolicy<K, V> {
  // The likeliest mistake of all: `maps: { sessions: new Map() }`.
  if (types.isMap(policy) || types.isSet(policy)) {
    throw invalidType(path || 'options', 'an object of options', policy, 'To adopt it, write { adopt: it }');
  }
  const options = readOptions(path, policy, policySchema<K, V>());
  requireTogether(path, 'orphanAfter', options.orphanAfter, 'follows', options.follows);
  requireTogether(path, 'beforeSweepTimeout', options.beforeSweepTimeout, 'beforeSweep', options.beforeSweep);
  if (options.adopt !== undefined) checkReplaced(path, options, options.adopt);
  return {
    adopt: options.adopt,
    own: compileLifetimes(path, '', options),
    rules: options.rules ?? [],
    activeAt: options.activeAt,
    keepWhile: options.keepWhile,
    follows: options.follows?.map,
    leaderKey: options.follows?.key,
    orphanAfterMs:
      options.orphanAfter ?? (options.follows === undefined ? Infinity : DEFAULT_ORPHAN_AFTER_MS),
    maxEntries: options.maxEntries ?? Infinity,
    maxPerOwner: options.maxPerOwner,
    shed: options.shed ?? false,
    expectedMax: options.expectedMax ?? Infinity,
    unstamped: options.unstamped ?? 'now',
    beforeSweep: options.beforeSweep,
    beforeSweepTimeoutMs: options.beforeSweepTimeout ?? DEFAULT_BEFORE_SWEEP_TIMEOUT_MS,
    dispose: options.dispose,
    replaced: options.replaced,
    weigh: options.weigh,
    persist: options.persist,
    sweepEveryMs: options.sweepEvery,
    mode: options.mode,
  };
}

/**
 * Checks that a policy fits the object that it is for.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION` for `replaced` on a Set: a member is both key and value, and is replaced
 *   by nothing
 */
export function checkReplaced(
  path: string,
  { replaced }: { readonly replaced?: unknown },
  target: Map<unknown, unknown> | Set<unknown>,
): void {
  if (replaced === undefined || !types.isSet(target)) return;
  const option = optionPath(path, 'replaced');
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${option} is never called on a Set, whose members are replaced by nothing: leave it out, dispose is told of what leaves`,
  );
}

function lifetimesSchema<K, V>() {
  return {
    ttl: readDurationOrFalse,
    since: (value: unknown, option: string) =>
      readChoiceOrFunction<'registeredAt' | 'lastActiveAt', InstantOf<K, V>>(
        value,
        option,
        ['registeredAt', 'lastActiveAt'],
        INSTANT,
      ),
    expiresAt: callback<InstantOf<K, V>>(INSTANT),
    maxIdle: readDurationOrFalse,
    maxAge: readDurationOrFalse,
  };
}

function policySchema<K, V>() {
  return {
    adopt: (value: unknown, option: string) => checkAdoptable(option, value) as Map<K, V> | Set<K>,
    ...lifetimesSchema<K, V>(),
    activeAt: callback<InstantOf<K, V>>(INSTANT),
    keepWhile: callback<(value: V, key: K) => boolean>(`${VALUE_AND_KEY} => boolean`),
    rules: readRules<K, V>,
    follows: readFollows<K, V>,
    orphanAfter: readDurationOrFalse,
    maxEntries: (value: unknown, option: string) => readInteger(value, option, { min: 1 }),
    maxPerOwner: readMaxPerOwner<K, V>,
    shed: truth,
    expectedMax: (value: unknown, option: string) => readInteger(value, option, { min: 1 }),
    unstamped: (value: unknown, option: string) =>
      readChoiceOrFunction<'now' | 'expired', (value: V, key: K) => number>(
        value,
        option,
        ['now', 'expired'],
        `${VALUE_AND_KEY} => epoch milliseconds`,
      ),
    beforeSweep: readBeforeSweep<K, V>,
    beforeSweepTimeout: (value: unknown, option: string) => durationMs(value, option, timerRange),
    dispose: callback<NonNullable<CompiledPolicy<K, V>['dispose']>>(
      '(value, key, reason) => void or a promise',
    ),
    replaced: callback<NonNullable<CompiledPolicy<K, V>['replaced']>>(
      '(value, key, replacement) => void or a promise',
    ),
    weigh: callback<(value: V, key: K) => number>(`${VALUE_AND_KEY} => bytes`),
    persist: readPersist<K, V>,
    sweepEvery: (value: unknown, option: string) => durationMs(value, option, timerRange),
    mode: (value: unknown, option: string) => readOneOf(value, option, ['sweep', 'observe']),
  };
}

/** The names of all options of a policy. */
export const policyOptionNames: readonly string[] = Object.keys(policySchema());

function readPersist<K, V>(value: unknown, option: string): Partial<Persist<K, V>> | undefined {
  if (typeof value === 'boolean') return value ? {} : undefined;
  if (!isObjectOfOptions(value)) throw invalidType(option, 'true, false or { encode, decode }', value);
  const read = readOptions(option, value, {
    encode: callback<Persist<K, V>['encode']>(`${VALUE_AND_KEY} => JSON`),
    decode: callback<NonNullable<Persist<K, V>['decode']>>('(json, key) => value'),
  });
  if (read.encode !== undefined) return read;
  throw invalidType(optionPath(option, 'encode'), `a function ${VALUE_AND_KEY} => JSON`, undefined);
}

function readBeforeSweep<K, V>(value: unknown, option: string): CompiledHook<K, V> {
  const single = '(value, key, { signal, attempt }) => void or a promise';
  const many = '(entries, { signal, attempt }) => the keys that failed, or a promise of them';
  if (typeof value === 'function') return { batch: undefined, run: value as never };
  if (!isObjectOfOptions(value)) throw invalidType(option, `a function ${single}, or { batch, run }`, value);
  const { batch, run } = readOptions(option, value, {
    batch: (given: unknown, path: string) => readInteger(given, path, { min: 1, max: 1_000 }),
    run: callback<BatchedHook<K, V>['run']>(many),
  });
  if (batch === undefined && run === undefined) {
    throw invalidType(option, `a function ${single}, or { batch, run }`, value);
  }
  if (batch === undefined) {
    throw invalidType(optionPath(option, 'batch'), 'an integer from 1 to 1,000', undefined);
  }
  if (run === undefined) throw invalidType(optionPath(option, 'run'), `a function ${many}`, undefined);
  return { batch, run };
}

function readFollows<K, V>(value: unknown, option: string): Partial<Follows<K, V>> & { map: string } {
  if (!isObjectOfOptions(value)) return { map: readName(value, option) };
  const { map, key } = readOptions(option, value, {
    map: readName,
    key: callback<Follows<K, V>['key']>(LEADER_KEY),
  });
  if (map === undefined) throw invalidType(optionPath(option, 'map'), 'the name of a map', undefined);
  if (key === undefined) throw invalidType(optionPath(option, 'key'), `a function ${LEADER_KEY}`, undefined);
  return { map, key };
}

function readMaxPerOwner<K, V>(value: unknown, option: string): MaxPerOwner<K, V> {
  if (!isObjectOfOptions(value)) throw invalidType(option, '{ owner, max }', value);
  const { owner, max } = readOptions(option, value, {
    owner: callback<MaxPerOwner<K, V>['owner']>(OWNER),
    max: (given: unknown, path: string) => readInteger(given, path, { min: 1 }),
  });
  if (owner === undefined) throw invalidType(optionPath(option, 'owner'), `a function ${OWNER}`, undefined);
  if (max === undefined) throw invalidType(optionPath(option, 'max'), 'an integer of at least 1', undefined);
  return { owner, max };
}

function readRules<K, V>(value: unknown, option: string): ReadonlyArray<CompiledRule<K, V>> {
  if (!Array.isArray(value)) throw invalidType(option, 'an array of rules { match, … }', value);
  // `Array.from` visits holes too, which `map` would leave for a sweep to fall into.
  return Array.from(value, (rule: unknown, index) => compileRule<K, V>(option, index, rule));
}

function compileRule<K, V>(path: string, index: number, rule: unknown): CompiledRule<K, V> {
  const rulePath = `${path}[${index}]`;
  const options = readOptions(rulePath, rule, { match: readMatch<K>, ...lifetimesSchema<K, V>() });
  if (options.match === undefined) throw invalidType(optionPath(rulePath, 'match'), MATCH, undefined);
  return { match: options.match, lifetimes: compileLifetimes(rulePath, `rules[${index}].`, options) };
}

function readMatch<K>(value: unknown, option: string): (key: K) => boolean {
  if (typeof value === 'function') return value as (key: K) => boolean;
  if (!types.isRegExp(value)) {
    // From a JSON config, which has no regular expressions.
    const hint = typeof value === 'string' ? 'A pattern in a string needs new RegExp(pattern)' : '';
    throw invalidType(option, MATCH, value, hint);
  }
  // A clone, so that the user's lastIndex is neither read nor moved. The flags stay, since /y also anchors the match.
  const pattern = new RegExp(value);
  return (key) => {
    if (typeof key !== 'string' && typeof key !== 'number') return false;
    // With /g and /y each match would start where the last one ended.
    pattern.lastIndex = 0;
    return pattern.test(String(key));
  };
}

interface ReadLifetimes<K, V> {
  readonly ttl?: number;
  readonly since?: 'registeredAt' | 'lastActiveAt' | InstantOf<K, V>;
  readonly expiresAt?: InstantOf<K, V>;
  readonly maxIdle?: number;
  readonly maxAge?: number;
}

function compileLifetimes<K, V>(
  path: string,
  label: string,
  options: ReadLifetimes<K, V>,
): CompiledLifetimes<K, V> {
  requireTogether(path, 'since', options.since, 'ttl', options.ttl);
  return {
    label,
    ttlMs: options.ttl ?? Infinity,
    since: options.since ?? 'registeredAt',
    expiresAt: options.expiresAt,
    maxIdleMs: options.maxIdle ?? Infinity,
    maxAgeMs: options.maxAge ?? Infinity,
  };
}

// `ttl: false` satisfies `since`: whoever turns off a TTL, by an override or a config, need not take `since` out too.
function requireTogether(
  path: string,
  name: string,
  value: unknown,
  needed: string,
  neededValue: unknown,
): void {
  if (value === undefined || neededValue !== undefined) return;
  const option = optionPath(path, name);
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${option} has no effect without ${optionPath(path, needed)}: set ${needed} beside it, or leave ${name} out`,
  );
}

function readDurationOrFalse(value: unknown, option: string): number {
  return durationMs(value, option, { allowFalse: true });
}

function readChoiceOrFunction<Choice extends string, Callback>(
  value: unknown,
  option: string,
  choices: readonly Choice[],
  signature: string,
): Choice | Callback {
  if (typeof value === 'function') return value as Callback;
  return readOneOf(value, option, choices, `a function ${signature}`);
}
