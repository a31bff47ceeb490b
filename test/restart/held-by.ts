import type { RegistrySnapshot } from 'mapsweep';
import type { PastEnding, PastEntry, PastTombstone } from '../../src/restart/left.js';
import { pastOf } from '../../src/restart/snapshot.js';

/** What a snapshot holds, as the next life of the process would find it. */
export interface Held {
  /** What was in a map, in the order of registration. */
  entries(map: string): PastEntry[];
  /** The keys of what was in a map and had not ended. */
  openKeys(map: string): unknown[];
  /** Endings that are still to be delivered. */
  readonly pending: PastEnding[];
  readonly deadLetters: PastEnding[];
  readonly tombstones: PastTombstone[];
}

/** Plays a snapshot. @throws as `registry.restore` does */
export function heldBy(snapshot: RegistrySnapshot): Held {
  const { maps, endings, tombstones } = pastOf(snapshot);
  const entries = (map: string): PastEntry[] => [...(maps.get(map)?.entries.values() ?? [])];
  return {
    entries,
    openKeys: (map) =>
      entries(map)
        .filter(({ claimed }) => !claimed)
        .map(({ key }) => key),
    pending: [...endings.values()].filter(({ letter }) => letter === undefined),
    deadLetters: [...endings.values()].filter(({ letter }) => letter !== undefined),
    tombstones: [...tombstones.values()],
  };
}
