import { checkAdoptable } from '../policy/adoptable.js';
import { checkReplaced, compilePolicy } from '../policy/compile-policy.js';
import type { Policy } from '../policy/policy.js';
import { readName, readOptions } from '../policy/read-options.js';
import type { Clock } from '../time/clock.js';
import { adoptInto } from './adoption.js';
import type { KeyOf, ValueOf } from './collection-types.js';
import { MapHandle } from './map-handle.js';
import { checkStandalone, readClock, splitOptions, standaloneEngine } from './standalone.js';
import { assertNotTracked } from './tracked-mark.js';

/** The options of a map that is adopted outside any registry: a policy, and a name for messages. */
export interface AdoptOptions<K, V> extends Omit<Policy<K, V>, 'adopt' | 'follows' | 'orphanAfter'> {
  /** 1 to 128 characters. Default: `adopted`. */
  name?: string;
  /** Default: the clock of the process. */
  clock?: Clock;
}

/**
 * Tracks a live `Map` or `Set` in place: the same object, its own methods still called, reads not intercepted. Without
 * a registry there is no timer: it is swept by the handle's `sweep()`.
 *
 * @throws MapsweepTypeError if it is no Map or Set, cannot be adopted, or is tracked already, or if an option is wrong
 */
// biome-ignore lint/suspicious/noExplicitAny: stands for a Map of whatever, for inference alone
export function adopt<M extends Map<any, any> | Set<any>>(
  map: M,
  options: AdoptOptions<KeyOf<M>, ValueOf<M>> = {},
): MapHandle<M, KeyOf<M>> {
  const { own, policy } = splitOptions(options, ['name', 'clock']);
  const { name = 'adopted', clock } = readOptions('', own, { name: readName, clock: readClock });
  const target = checkAdoptable('map', map);
  assertNotTracked('map', target);
  const compiled = compilePolicy('', policy as Policy<unknown, unknown>);
  checkReplaced('', compiled, target);
  checkStandalone(compiled);
  const engine = standaloneEngine(clock);
  return new MapHandle(engine, adoptInto(engine, name, compiled, target));
}
