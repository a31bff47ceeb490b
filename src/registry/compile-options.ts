import { readLeakDetection } from '../diagnosis/leak-judge.js';
import { readEnded } from '../endings/ended-policy.js';
import { MapsweepTypeError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import { readClock } from '../maps/standalone.js';
import { truth } from '../policy/checks.js';
import { compilePolicy } from '../policy/compile-policy.js';
import { durationMs, longestTimerMs, timerRange } from '../policy/duration.js';
import type { CompiledPolicy } from '../policy/policy.js';
import {
  invalidRange,
  invalidType,
  isObjectOfOptions,
  numeric,
  type OptionSchema,
  optionPath,
  type Reader,
  readName,
  readOneOf,
  readOptions,
  readProperty,
  suggestion,
} from '../policy/read-options.js';
import { readPersistTo } from '../restart/persist-to.js';
import { systemClock } from '../time/clock.js';
import { readLogger } from './logging.js';
import { readMemory } from './memory-options.js';
import type { CompiledRegistryOptions } from './registry-options.js';

/** Options of the first edition, and what has taken their place. */
const successors = {
  keyCodec: 'keys are strings, numbers, booleans or null, and an entry with another key is left out',
  encodeValue: 'say it for each map, as maps.sessions.persist = { encode }',
};

/** Checks everything that `createRegistry` takes, before anything is made of it. */
export function compileRegistryOptions(input: unknown): CompiledRegistryOptions {
  for (const [name, successor] of Object.entries(successors)) {
    if (isObjectOfOptions(input) && Object.hasOwn(input, name)) {
      throw new MapsweepTypeError('ERR_UNKNOWN_OPTION', `${name} is gone: ${successor}`);
    }
  }
  const options = readOptions('', input === undefined ? {} : input, registrySchema);
  const maps = options.maps ?? new Map<string, CompiledPolicy<unknown, unknown>>();
  checkFollows(maps);
  checkDistinct(maps);
  const sweepEveryMs = options.sweepEvery ?? 60_000;
  for (const [map, policy] of maps) checkSweepEvery(optionPath('maps', map), policy, sweepEveryMs);
  const { ended } = options;
  if (options.audit === true && options.logger === undefined) {
    const message = 'audit: expected a logger to write to, as createRegistry({ logger, audit: true })';
    throw new MapsweepTypeError('ERR_INVALID_OPTION', message);
  }
  if (ended !== undefined) checkEndedMap(ended.map, maps);
  return {
    name: options.name ?? 'default',
    maps,
    ended,
    sweepEveryMs,
    sliceBudgetMs: options.sliceBudget ?? 5,
    mode: options.mode ?? 'sweep',
    clock: options.clock ?? systemClock,
    captureSites: options.captureSites ?? 0,
    leakDetection: options.leakDetection ?? readLeakDetection({}, 'leakDetection'),
    restoreWindowMs: options.restoreWindow ?? 600_000,
    persistTo: options.persistTo,
    logger: options.logger,
    audit: options.audit ?? false,
    memory: options.memory,
  };
}

/** A map may be swept more often than the others, and not less often. */
export function checkSweepEvery(
  path: string,
  { sweepEveryMs }: Pick<CompiledPolicy<unknown, unknown>, 'sweepEveryMs'>,
  everyMs: number,
): void {
  if (sweepEveryMs === undefined || sweepEveryMs <= everyMs) return;
  const allowed = `at most the sweepEvery of the registry, ${everyMs} ms`;
  throw invalidRange(optionPath(path, 'sweepEvery'), allowed, sweepEveryMs);
}

function checkFollows(maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>): void {
  const followsOf = (map: string) => maps.get(map)?.follows;
  for (const [name, { follows }] of maps) checkLeader(name, follows, maps, followsOf);
}

/**
 * Checks that a map that follows another finds it, and does not follow itself round a corner.
 *
 * @param known the maps that there are; the map itself may be among them
 * @param followsOf the leader of one of those
 */
export function checkLeader(
  name: string,
  follows: string | undefined,
  known: ReadonlyMap<string, unknown>,
  followsOf: (map: string) => string | undefined,
): void {
  if (follows === undefined) return;
  const option = optionPath(optionPath('maps', name), 'follows');
  if (follows !== name && !known.has(follows)) {
    const hint = suggestion(follows, [...known.keys()]);
    throw new MapsweepTypeError(
      'ERR_UNKNOWN_MAP',
      `${option}: there is no map ${shownKey(follows)}. ${hint}`.trim(),
    );
  }
  const chain = [name];
  for (let next: string | undefined = follows; next !== undefined; next = followsOf(next)) {
    if (chain.includes(next)) {
      const cycle = [...chain, next].map(shownKey).join(' -> ');
      throw new MapsweepTypeError(
        'ERR_FOLLOW_CYCLE',
        `${option}: maps follow each other in a circle: ${cycle}`,
      );
    }
    chain.push(next);
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
        `${option}: the same object is adopted as ${shownKey(twin)}`,
      );
    }
    if (adopt !== undefined) seen.set(adopt, name);
  }
}

function checkEndedMap(map: string, maps: ReadonlyMap<string, CompiledPolicy<unknown, unknown>>): void {
  const policy = maps.get(map);
  if (policy === undefined) {
    const hint = suggestion(map, [...maps.keys()]);
    throw new MapsweepTypeError(
      'ERR_UNKNOWN_MAP',
      `ended.map: there is no map ${shownKey(map)}. ${hint}`.trim(),
    );
  }
  if (policy.follows !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      `ended.map: ${shownKey(map)} follows ${shownKey(policy.follows)}. Endings are kept for a map that follows nothing`,
    );
  }
}

const readPolicies: Reader<ReadonlyMap<string, CompiledPolicy<unknown, unknown>>> = (value, option) => {
  if (!isObjectOfOptions(value)) throw invalidType(option, 'an object of policies by map name', value);
  const policies = new Map<string, CompiledPolicy<unknown, unknown>>();
  for (const name of Object.keys(value)) {
    const path = optionPath(option, name);
    readName(name, `the name in ${path}`);
    const policy = readProperty(value, name, path);
    policies.set(name, compilePolicy(path, policy === undefined ? {} : (policy as object)));
  }
  return policies;
};

const readNumber = (min: number, max: number): Reader<number> =>
  numeric(`a number from ${min} to ${max}`, (value) => value >= min && value <= max);

const registrySchema = {
  name: readName,
  maps: readPolicies,
  ended: readEnded,
  sweepEvery: (value, option) => durationMs(value, option, timerRange),
  sliceBudget: readNumber(0.1, 1_000),
  mode: (value, option) => readOneOf(value, option, ['sweep', 'observe']),
  clock: readClock,
  captureSites: readNumber(0, 1),
  leakDetection: readLeakDetection,
  restoreWindow: (value, option) => durationMs(value, option, { min: 0, max: longestTimerMs }),
  persistTo: readPersistTo,
  logger: readLogger,
  audit: truth,
  memory: readMemory,
} satisfies OptionSchema;

/** The names of all options of a registry. */
export const registryOptionNames: readonly string[] = Object.keys(registrySchema);
