import type { LeakMonitor } from '../diagnosis/leak-monitor.js';
import type { RegistrationSites } from '../diagnosis/registration-sites.js';
import type { WatchedSizes } from '../diagnosis/watched-sizes.js';
import type { Weights } from '../diagnosis/weights.js';
import type { Deliveries } from '../endings/deliveries.js';
import type { Endings } from '../endings/endings.js';
import type { Tombstones } from '../endings/tombstones.js';
import type { LogLines } from '../events/log-lines.js';
import { invalidType } from '../policy/read-options.js';
import type { Restart } from '../restart/restart.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';

/**
 * The property that holds the parts of a registry, for the other entry points of this package. Its symbol is registered,
 * since these may have been loaded from another copy of it.
 */
export const internals: unique symbol = Symbol.for('mapsweep.internals') as never;

/** The parts of a registry. */
export interface RegistryInternals {
  /** What tells the registry from others. */
  readonly name: string;
  /** The maps that were named in `createRegistry`; the others were adopted later. */
  readonly named: { has(tracker: Tracker): boolean };
  readonly engine: Engine;
  readonly leaks: LeakMonitor;
  /** Sizes that are no Map's. */
  readonly watched: WatchedSizes;
  readonly sites: RegistrationSites;
  readonly weights: Weights;
  readonly endings: Endings | undefined;
  readonly tombstones: Tombstones | undefined;
  readonly deliveries: Deliveries | undefined;
  readonly restart: Restart;
  /** What is written to the owner's `logger`, if there is one. */
  readonly lines: LogLines | undefined;
  /** What watches the memory of the process, if the owner wants that. */
  readonly memory: { stop(): void } | undefined;
  /** `close()` was called: adopted maps are given back, or are about to be. */
  isClosed: boolean;
}

/** Returns the parts of a registry. @throws MapsweepTypeError if the value is none */
export function partsOf(registry: unknown): RegistryInternals {
  const parts = internalsOf(registry);
  if (parts === undefined) throw invalidType('registry', 'a registry, made by createRegistry', registry);
  return parts;
}

/** Returns the parts of a registry, `undefined` if the value is none. */
export function internalsOf(value: unknown): RegistryInternals | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  return (value as { [internals]?: RegistryInternals })[internals];
}
