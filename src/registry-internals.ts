import type { Deliveries } from './deliveries.js';
import type { Endings } from './endings.js';
import type { Engine } from './engine.js';
import type { LeakMonitor } from './leak-monitor.js';
import type { RegistrationSites } from './registration-sites.js';
import type { Restoration } from './restoration.js';
import type { Tombstones } from './tombstones.js';
import type { Weights } from './weights.js';

/**
 * Where a registry keeps its parts for the other entry points of this package. By a registered symbol, since these may
 * have been loaded from another copy of it.
 */
export const internals: unique symbol = Symbol.for('mapsweep.internals') as never;

/** The parts of a registry. */
export interface RegistryInternals {
  readonly engine: Engine;
  readonly leaks: LeakMonitor;
  readonly sites: RegistrationSites;
  readonly weights: Weights;
  readonly endings: Endings | undefined;
  readonly tombstones: Tombstones | undefined;
  readonly deliveries: Deliveries | undefined;
  readonly restoration: Restoration;
}

/** The parts of a registry, or `undefined` where the value is none. */
export function internalsOf(value: unknown): RegistryInternals | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  return (value as { [internals]?: RegistryInternals })[internals];
}
