import { types } from 'node:util';
import type { RegistrationSites } from '../diagnosis/registration-sites.js';
import { describe, shownKey } from '../events/shown.js';
import { trackedPartsOf } from '../maps/tracked-mark.js';
import { internalsOf, type RegistryInternals } from '../registry/internals.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';

/** What a check of a test is about: a registry, or a single map that something tracks. */
export interface Subject {
  /** For messages, such as `the registry` or `the map 'sessions'`. */
  readonly called: string;
  readonly engine: Engine;
  /** `undefined` for a single map. */
  readonly registry: RegistryInternals | undefined;
  /** The registry as its owner has it; `undefined` for a single map. */
  readonly owner: object | undefined;
  /** Where entries were registered, as far as that is sampled. */
  readonly sites: RegistrationSites | undefined;
  /** Its maps as they are now. */
  trackers(): Tracker[];
}

/**
 * Finds what tracks a value, whichever copy of this package made it.
 *
 * @returns `undefined` if it is neither a registry nor something tracked
 */
export function subjectOf(value: unknown): Subject | undefined {
  const registry = internalsOf(value);
  if (registry !== undefined) {
    const { engine, sites } = registry;
    const trackers = () => [...engine.trackers.values()];
    return { called: 'the registry', engine, registry, owner: value as object, sites, trackers };
  }
  if (value === null || typeof value !== 'object') return undefined;
  const parts = trackedPartsOf(isHandle(value) ? value.map : value);
  if (parts === undefined) return undefined;
  const { engine, tracker } = parts;
  return {
    called: `the map ${shownKey(tracker.name)}`,
    engine,
    registry: undefined,
    owner: undefined,
    sites: undefined,
    trackers: () => (tracker.isReleased ? [] : [tracker]),
  };
}

/** Says what a value is that a check cannot be about, and what to give instead. For error messages. */
export function notASubject(value: unknown): string {
  const received = `received ${describe(value)}`;
  if (types.isPromise(value)) return `${received}: await it first`;
  if (types.isMap(value) || types.isSet(value)) {
    const what = types.isMap(value) ? 'Map' : 'Set';
    return (
      `received a ${what} that nothing tracks: make it a TrackedMap, adopt(it), or give it to ` +
      'createRegistry({ maps: { name: { adopt: it } } })'
    );
  }
  if (typeof value === 'object' && value !== null && isHandle(value)) {
    return 'received the handle of a map that was released: nothing tracks that map any more';
  }
  return received;
}

function isHandle(value: object): value is { readonly map: object } {
  const { map, release } = value as { map?: unknown; release?: unknown };
  return typeof release === 'function' && (types.isMap(map) || types.isSet(map));
}
