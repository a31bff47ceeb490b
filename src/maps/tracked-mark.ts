import { MapsweepTypeError } from '../errors.js';
import { processWide } from '../events/process-wide.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';

/** What tracks a Map or a Set, for the other entry points of this package. */
export interface TrackedParts {
  readonly engine: Engine;
  readonly tracker: Tracker;
}

// Two copies of this package in one process see each other's maps.
const mark = Symbol.for('mapsweep.tracked');

const trackedObjects = (): WeakMap<object, TrackedParts> => processWide(mark, () => new WeakMap());

/**
 * Checks that nothing tracks an object.
 *
 * @throws MapsweepTypeError `ERR_ALREADY_TRACKED` if something does, in whichever registry
 */
export function assertNotTracked(option: string, target: object): void {
  if (!trackedObjects().has(target)) return;
  throw new MapsweepTypeError(
    'ERR_ALREADY_TRACKED',
    `${option}: this object is tracked already. A map has one set of stamps: release() the other handle, or close() the other registry, first`,
  );
}

/** Returns what tracks an object, in whichever copy of this package; `undefined` if nothing does. */
export function trackedPartsOf(target: object): TrackedParts | undefined {
  return trackedObjects().get(target);
}

/** Marks an object as tracked. Holds the parts no longer than the object itself. */
export function markTracked(target: object, parts: TrackedParts): void {
  trackedObjects().set(target, parts);
}

/** Takes the mark away. */
export function unmarkTracked(target: object): void {
  trackedObjects().delete(target);
}
