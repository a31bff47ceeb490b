import { MapsweepTypeError } from '../errors.js';
import { policyOptionNames } from '../policy/compile-policy.js';
import type { CompiledPolicy } from '../policy/policy.js';
import {
  invalidType,
  isObjectOfOptions,
  type Reader,
  readProperty,
  unknownOption,
} from '../policy/read-options.js';
import { Engine } from '../sweeping/engine.js';
import { type Clock, systemClock } from '../time/clock.js';

/** Buckets of this width: nothing ticks by itself, so it only says how much a sweep in between looks at again. */
const bucketMs = 1_000;

/** Reads the option `clock`: anything that implements `Clock`. */
export const readClock: Reader<Clock> = (value, option) => {
  const allowed = 'a Clock: now(), monotonic(), setTimeout(), clearTimeout()';
  if (value === null || typeof value !== 'object') throw invalidType(option, allowed, value);
  for (const method of ['now', 'monotonic', 'setTimeout', 'clearTimeout'] as const) {
    if (typeof (value as Partial<Clock>)[method] !== 'function') {
      throw invalidType(`${option}.${method}`, 'a function', (value as Partial<Clock>)[method]);
    }
  }
  for (const method of ['now', 'monotonic'] as const) {
    const reading = (value as Clock)[method]();
    if (!Number.isFinite(reading))
      throw invalidType(`${option}.${method}()`, 'a finite number of ms', reading);
  }
  return value as Clock;
};

/** Makes the engine of a map that belongs to no registry: it does not tick, and sweeps when it is told to. */
export function standaloneEngine(clock: Clock = systemClock): Engine {
  return new Engine({ clock, sweepEveryMs: bucketMs, sliceBudgetMs: 5, observing: false });
}

/** Refuses what only a registry can do. */
export function checkStandalone(policy: CompiledPolicy<unknown, unknown>): void {
  if (policy.adopt !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      'adopt: give the object itself, as in adopt(map, options)',
    );
  }
  if (policy.sweepEveryMs !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      'sweepEvery: a map that is used alone is swept by its own sweep(). Put it into a createRegistry({ maps })',
    );
  }
  if (policy.follows === undefined) return;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    'follows: a map that is used alone has no leader. Put both maps into one createRegistry({ maps })',
  );
}

/**
 * Parts the options that belong to the map from those that are its policy. Only own properties count.
 *
 * @throws MapsweepTypeError for a name that is neither, and a getter that throws
 */
export function splitOptions(
  options: unknown,
  names: readonly string[],
): { own: Record<string, unknown>; policy: unknown } {
  if (!isObjectOfOptions(options)) return { own: {}, policy: options };
  const allowed = [...names, ...policyOptionNames];
  for (const name of Object.keys(options)) {
    if (!allowed.includes(name)) throw unknownOption('', name, allowed);
  }
  const own: Record<string, unknown> = {};
  const policy: Record<string, unknown> = {};
  for (const name of Object.keys(options)) {
    const part = names.includes(name) ? own : policy;
    part[name] = readProperty(options, name, name);
  }
  return { own, policy };
}
