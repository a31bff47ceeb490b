import { LeakDetector, type LeakDetectorOptions } from '../diagnosis/leak-detector.js';
import type { NotifierLimits } from '../endings/notifier.js';
import type { TombstoneLimits } from '../endings/tombstones.js';
import { MapsweepTypeError } from '../errors.js';
import type { Deliver } from '../events/ended-event.js';
import { readClock } from '../maps/standalone.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { type CompiledPolicy, compilePolicy, type Policy } from '../policy/policy.js';
import {
  invalidRange,
  invalidType,
  isObjectOfOptions,
  type OptionReader,
  optionPath,
  readFunction,
  readInteger,
  readName,
  readOneOf,
  readOptions,
  suggestion,
} from '../policy/read-options.js';
import type { KeyCodec } from '../restart/snapshot-format.js';
import { type Clock, systemClock } from '../time/clock.js';

// biome-ignore lint/suspicious/noExplicitAny: stands for a Map of whatever, for inference alone
export type AnyMap = Map<any, any> | Set<any>;

/** The collections of a registry by name, as an object type: `{ sessions: Map<string, Session> }`. */
export type RegistryMaps = object;

/** A collection of which only the name is known, since it is neither adopted nor in a type argument. */
// biome-ignore lint/suspicious/noExplicitAny: the caller's keys and values, which nothing tells
type Untyped = Map<any, any>;

/** The collection behind a name: what is adopted or what the type argument says. */
export type CollectionOf<M> = unknown extends M ? Untyped : M;

/** The keys of a Map, the members of a Set. */
export type KeyOf<M> = CollectionOf<M> extends Map<infer K, unknown> ? K : M extends Set<infer K> ? K : never;

/** The values of a Map, the members of a Set. */
export type ValueOf<M> =
  CollectionOf<M> extends Map<unknown, infer V> ? V : M extends Set<infer V> ? V : never;

/** The policy of one collection. */
export type PolicyOf<M> = Omit<Policy<KeyOf<M>, ValueOf<M>>, 'adopt'> & {
  /** A live `Map` or `Set` to instrument in place. Default: a new `TrackedMap` is made. */
  adopt?: M & AnyMap;
};

/** Exactly one ending for each registration in one map. */
export interface EndedPolicy<K, V, Name extends string = string> {
  /** The map whose registrations end. It follows nothing. */
  map: Name;
  /** Hands an ending to its recipient, again until it succeeds. Default: endings are emitted on the bus alone. */
  deliver?: Deliver<K, V>;
  /**
   * Whether the end of an entry was announced before, as its value tells. Asked about every entry that is there at
   * adoption, and about every one that the snapshot held when it comes back. Your word is taken for it: let a value say
   * so on disk only when its delivery has succeeded. A throw counts as no. Default: none was.
   */
  settled?: (value: V, key: K) => boolean;
  /** How often a delivery is tried before it becomes a dead letter. 1 to 1,000. Default 5. */
  attempts?: number;
  /** The shortest pause between two attempts. From 1 ms. Default `'1s'`. */
  minDelay?: Duration;
  /** The longest pause between two attempts. At least `minDelay`. Default `'1m'`. */
  maxDelay?: Duration;
  /** After this long the outcome of an attempt is unknown, and it is not tried again by itself. Default `'10s'`. */
  attemptTimeout?: Duration;
  /** How many attempts run at once. 1 to 10,000. Default 32. */
  concurrency?: number;
  /** How many endings wait for delivery; further ones become dead letters at once. From 1. Default 1,000,000. */
  maxPending?: number;
  /** How many dead letters are kept; beyond it the oldest is dropped. From 1. Default 10,000. */
  maxDeadLetters?: number;
  /** How many claimed endings are remembered, and for how long. Default 100,000 and `'24h'`. */
  tombstones?: { max?: number; ttl?: Duration };
}

/** The options of `createRegistry`. */
export interface RegistryOptions<M extends RegistryMaps> {
  /** A policy by map name. Names have 1 to 128 characters and stand in metrics. */
  maps?: { readonly [Name in keyof M]: PolicyOf<M[Name]> };
  /** Announces the end of every registration in one of the maps, exactly once. Default: none is announced. */
  ended?: {
    [Name in keyof M & string]: EndedPolicy<KeyOf<M[Name]>, ValueOf<M[Name]>, Name>;
  }[keyof M & string];
  /** The interval of the sweeper. From 1 ms to 24 days. Default `'60s'`. */
  sweepEvery?: Duration;
  /** How long a slice of a sweep may hold the event loop, ms. From 0.1 to 1,000. Default 5. */
  sliceBudget?: number;
  /** `observe` judges, counts and reports, and removes, evicts and claims nothing. Default `'sweep'`. */
  mode?: 'sweep' | 'observe';
  /** Time for everything in the registry. Default: the clock of the process. */
  clock?: Clock;
  /** The share of registrations whose call site is sampled, from 0 to 1. Default 0, which costs nothing. */
  captureSites?: number;
  /** What the leak verdict takes for a cycle of the load, and for too small to mention. */
  leakDetection?: Omit<LeakDetectorOptions, 'longestLifetime'>;
  /** Turns keys that JSON cannot carry into something it can, for snapshots. Default: strings, numbers, booleans, null. */
  keyCodec?: KeyCodec;
  /** Turns a value into JSON for snapshots. Default: values do not travel. */
  encodeValue?: (value: unknown, map: string) => unknown;
  /** How long after a restore a run has to come back before it ends as `lost`. From 0 to 24 days. Default `'10m'`. */
  restoreWindow?: Duration;
  /** A file that the snapshot is kept in, or where and how often. Loaded at creation. Default: none. */
  persistTo?: string | { path: string; every?: Duration };
}

/** `ended` with every default applied. */
export interface CompiledEnded {
  readonly map: string;
  readonly deliver: Deliver<unknown, unknown> | undefined;
  readonly settled: ((value: unknown, key: unknown) => boolean) | undefined;
  readonly limits: NotifierLimits;
  readonly tombstones: TombstoneLimits;
}

/** The options with every default applied. */
export interface CompiledRegistryOptions {
  readonly maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>;
  readonly ended: CompiledEnded | undefined;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly mode: 'sweep' | 'observe';
  readonly clock: Clock;
  readonly captureSites: number;
  readonly leakDetection: Omit<LeakDetectorOptions, 'longestLifetime'>;
  readonly keyCodec: KeyCodec | undefined;
  readonly encodeValue: ((value: unknown, map: string) => unknown) | undefined;
  readonly restoreWindowMs: number;
  readonly persistTo: { readonly path: string; readonly everyMs: number } | undefined;
}

/** What a timer takes in one piece. */
const longestTimerMs = 2 ** 31 - 1;
const timerRange = { min: 1, max: longestTimerMs };

/** Checks everything that `createRegistry` takes, before anything is made of it. */
export function compileRegistryOptions(input: unknown): CompiledRegistryOptions {
  const options = readOptions('', input ?? {}, {
    maps: readPolicies,
    ended: readEnded,
    sweepEvery: (value, option) => durationMs(value, option, timerRange),
    sliceBudget: readNumber(0.1, 1_000),
    mode: (value, option) => readOneOf(value, option, ['sweep', 'observe']),
    clock: readClock,
    captureSites: readNumber(0, 1),
    leakDetection: readLeakDetection,
    keyCodec: readKeyCodec,
    encodeValue: (value, option) =>
      readFunction<(value: unknown, map: string) => unknown>(value, option, '(value, map) => JSON'),
    restoreWindow: (value, option) => durationMs(value, option, { min: 0, max: longestTimerMs }),
    persistTo: readPersistTo,
  });
  const maps = options.maps ?? new Map<string, CompiledPolicy<unknown, unknown>>();
  checkFollows(maps);
  checkDistinct(maps);
  const { ended } = options;
  if (ended !== undefined) checkEndedMap(ended.map, maps);
  return {
    maps,
    ended,
    sweepEveryMs: options.sweepEvery ?? 60_000,
    sliceBudgetMs: options.sliceBudget ?? 5,
    mode: options.mode ?? 'sweep',
    clock: options.clock ?? systemClock,
    captureSites: options.captureSites ?? 0,
    leakDetection: options.leakDetection ?? {},
    keyCodec: options.keyCodec,
    encodeValue: options.encodeValue,
    restoreWindowMs: options.restoreWindow ?? 600_000,
    persistTo: options.persistTo,
  };
}

/** A map that follows another must find it, and must not follow itself round a corner. */
export function checkFollows(
  maps: ReadonlyMap<string, Pick<CompiledPolicy<unknown, unknown>, 'follows'>>,
  only?: string,
): void {
  for (const [name, { follows }] of maps) {
    if (only !== undefined && name !== only) continue;
    const option = optionPath(optionPath('maps', name), 'follows');
    if (follows === undefined) continue;
    if (!maps.has(follows)) {
      const hint = suggestion(follows, [...maps.keys()]);
      throw new MapsweepTypeError(
        'ERR_UNKNOWN_MAP',
        `${option}: there is no map '${follows}'. ${hint}`.trim(),
      );
    }
    const chain = [name];
    for (let next: string | undefined = follows; next !== undefined; next = maps.get(next)?.follows) {
      if (chain.includes(next)) {
        const cycle = [...chain, next].map((link) => `'${link}'`).join(' -> ');
        throw new MapsweepTypeError(
          'ERR_FOLLOW_CYCLE',
          `${option}: maps follow each other in a circle: ${cycle}`,
        );
      }
      chain.push(next);
    }
  }
}

function checkDistinct(maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>): void {
  const seen = new Map<unknown, string>();
  for (const [name, { adopt }] of maps) {
    const twin = adopt === undefined ? undefined : seen.get(adopt);
    if (twin !== undefined) {
      const option = optionPath(optionPath('maps', name), 'adopt');
      throw new MapsweepTypeError(
        'ERR_ALREADY_TRACKED',
        `${option}: the same object is adopted as '${twin}'`,
      );
    }
    if (adopt !== undefined) seen.set(adopt, name);
  }
}

function checkEndedMap(map: string, maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>): void {
  const policy = maps.get(map);
  if (policy === undefined) {
    const hint = suggestion(map, [...maps.keys()]);
    throw new MapsweepTypeError('ERR_UNKNOWN_MAP', `ended.map: there is no map '${map}'. ${hint}`.trim());
  }
  if (policy.follows !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      `ended.map: '${map}' follows '${policy.follows}'. Endings are kept for a map that follows nothing`,
    );
  }
}

const readPolicies: OptionReader<ReadonlyMap<string, CompiledPolicy<unknown, unknown>>> = (value, option) => {
  if (!isObjectOfOptions(value)) throw invalidType(option, 'an object of policies by map name', value);
  const policies = new Map<string, CompiledPolicy<unknown, unknown>>();
  for (const name of Object.keys(value)) {
    const path = optionPath(option, name);
    readName(name, `the name in ${path}`);
    policies.set(name, compilePolicy(path, (value as Record<string, Policy<unknown, unknown>>)[name] ?? {}));
  }
  return policies;
};

const readEnded: OptionReader<CompiledEnded> = (value, option) => {
  const ended = readOptions(option, value, {
    map: readName,
    deliver: (given, path) =>
      readFunction<Deliver<unknown, unknown>>(
        given,
        path,
        '(event, { attempt, signal }) => void or a promise',
      ),
    settled: (given, path) =>
      readFunction<(value: unknown, key: unknown) => boolean>(given, path, '(value, key) => boolean'),
    attempts: (given, path) => readInteger(given, path, { min: 1, max: 1_000 }),
    minDelay: (given, path) => durationMs(given, path, timerRange),
    maxDelay: (given, path) => durationMs(given, path, timerRange),
    attemptTimeout: (given, path) => durationMs(given, path, timerRange),
    concurrency: (given, path) => readInteger(given, path, { min: 1, max: 10_000 }),
    maxPending: (given, path) => readInteger(given, path, { min: 1 }),
    maxDeadLetters: (given, path) => readInteger(given, path, { min: 1, max: 10_000_000 }),
    tombstones: (given, path) =>
      readOptions(path, given, {
        max: (max, maxPath) => readInteger(max, maxPath, { min: 1, max: 10_000_000 }),
        ttl: (ttl, ttlPath) => durationMs(ttl, ttlPath, { min: 1 }),
      }),
  });
  if (ended.map === undefined) throw invalidType(`${option}.map`, 'the name of a map', undefined);
  const minDelayMs = ended.minDelay ?? Math.min(1_000, ended.maxDelay ?? 1_000);
  const maxDelayMs = ended.maxDelay ?? Math.max(60_000, minDelayMs);
  if (minDelayMs > maxDelayMs) {
    throw invalidRange(`${option}.maxDelay`, `at least minDelay (${minDelayMs} ms)`, maxDelayMs);
  }
  return {
    map: ended.map,
    deliver: ended.deliver,
    settled: ended.settled,
    limits: {
      attempts: ended.attempts ?? 5,
      minDelayMs,
      maxDelayMs,
      attemptTimeoutMs: ended.attemptTimeout ?? 10_000,
      concurrency: ended.concurrency ?? 32,
      maxPending: ended.maxPending ?? 1_000_000,
      maxDeadLetters: ended.maxDeadLetters ?? 10_000,
    },
    tombstones: { max: ended.tombstones?.max ?? 100_000, ttlMs: ended.tombstones?.ttl ?? 86_400_000 },
  };
};

const readLeakDetection: OptionReader<Omit<LeakDetectorOptions, 'longestLifetime'>> = (value, option) => {
  // Made once to have its options checked; each map gets one of its own.
  new LeakDetector(value as LeakDetectorOptions, option);
  return { ...(value as LeakDetectorOptions) };
};

const readKeyCodec: OptionReader<KeyCodec> = (value, option) => {
  const codec = readOptions(option, value, {
    encode: (given, path) => readFunction<KeyCodec['encode']>(given, path, '(key) => JSON'),
    decode: (given, path) => readFunction<KeyCodec['decode']>(given, path, '(json) => key'),
  });
  const { encode, decode } = codec;
  if (encode === undefined) throw invalidType(`${option}.encode`, 'a function (key) => JSON', undefined);
  if (decode === undefined) throw invalidType(`${option}.decode`, 'a function (json) => key', undefined);
  return { encode, decode };
};

const readPersistTo: OptionReader<{ path: string; everyMs: number }> = (value, option) => {
  if (typeof value === 'string') return { path: readPath(value, option), everyMs: 10_000 };
  const read = readOptions(option, value, {
    path: readPath,
    every: (given, path) => durationMs(given, path, timerRange),
  });
  if (read.path === undefined) throw invalidType(`${option}.path`, 'the path of a file', undefined);
  return { path: read.path, everyMs: read.every ?? 10_000 };
};

const readPath: OptionReader<string> = (value, option) => {
  if (typeof value !== 'string' || value.length === 0 || value.includes('\0')) {
    throw invalidType(option, 'the path of a file', value);
  }
  return value;
};

const readNumber =
  (min: number, max: number): OptionReader<number> =>
  (value, option) => {
    const allowed = `a number from ${min} to ${max}`;
    if (typeof value !== 'number') throw invalidType(option, allowed, value);
    if (!(value >= min && value <= max)) throw invalidRange(option, allowed, value);
    return value;
  };
