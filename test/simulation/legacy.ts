import type { PastEnding, PastEntry, PastTombstone } from '../../src/restart/left.js';
import type { Past } from '../../src/restart/past.js';
import type { MapName } from './scenario.js';

/** An entry that an earlier process left. Instants are those of the simulated world, as the next process has them. */
export interface LeftEntry {
  readonly map: MapName;
  readonly key: string;
  readonly generation: number;
  /** Of the run; `undefined` in maps without endings. */
  readonly id: string | undefined;
  readonly registeredAt: number;
  /** As written: it may have been active for `lateMs` more. */
  readonly lastActiveAt: number;
  readonly usedAt: number;
  readonly lateMs: number;
  claimed: boolean;
  /** The fact by which it was, in the process that awaits it. */
  claimedBy?: number;
  /** It was claimed when its window had closed, in a process that leaves runs open. */
  isLeftOpen?: boolean;
  /** For how long it had been awaited when the process began. */
  readonly absentMs: number;
  /** What `encode` gave. */
  readonly value: EncodedItem | undefined;
}

/** An item as `encode` gives it. */
export interface EncodedItem {
  readonly serial: number;
  readonly endedAt: number | undefined;
  readonly expiresAt: number | undefined;
  readonly announced: boolean;
  readonly runId: string;
  readonly spoils: 'nothing' | 'encode' | 'decode';
}

/** What earlier processes left, as the model takes it over. */
export interface Legacy {
  readonly entries: Map<MapName, LeftEntry[]>;
  readonly lastGenerations: Map<MapName, number>;
  /** Since when they have been tried, or dead, by the clock of the simulated world. */
  readonly endings: PastEnding[];
  /** The same, of what is owed to the second recipient. */
  readonly ofAudit: PastEnding[];
  /** Runs that are remembered by the owner's id, the oldest first, with when they ended. */
  readonly endedIds: readonly PastTombstone[];
}

/** What is owed to the first recipient, or to another one. */
export function endingsOf(past: Past, name = 'default'): PastEnding[] {
  return [...past.endings.values()].filter(({ recipient }) => recipient === name);
}

/**
 * What is left for a process that starts now.
 *
 * @param past played to its end
 * @param worldAt gives an instant of the past as one of the simulated world
 */
export function legacyOf(past: Past, worldAt: (instant: number) => number, now: number): Legacy {
  const present = (instant: number): number => Math.min(worldAt(instant), now);
  const entries = new Map<MapName, LeftEntry[]>();
  const lastGenerations = new Map<MapName, number>();
  for (const [name, map] of past.maps) {
    lastGenerations.set(name as MapName, map.lastGeneration);
    entries.set(
      name as MapName,
      [...map.entries.values()].map((entry) => leftEntry(name as MapName, entry, present, past.everyMs)),
    );
  }
  const presentEnding = (one: PastEnding): PastEnding => ({
    ...one,
    triedAt: one.triedAt === undefined ? undefined : worldAt(one.triedAt),
    letter: one.letter && { ...one.letter, diedAt: worldAt(one.letter.diedAt) },
  });
  const endedIds = [...past.tombstones.values()].map((tombstone) => ({
    ...tombstone,
    at: present(tombstone.at),
  }));
  return {
    entries,
    lastGenerations,
    endings: endingsOf(past).map(presentEnding),
    ofAudit: endingsOf(past, 'audit').map(presentEnding),
    endedIds,
  };
}

function leftEntry(
  map: MapName,
  { key, generation, id, registeredAt, lastActiveAt, usedAt, claimed, absentMs, value }: PastEntry,
  present: (instant: number) => number,
  lateMs: number,
): LeftEntry {
  return {
    map,
    key: key as string,
    generation,
    id,
    registeredAt: present(registeredAt),
    lastActiveAt: present(lastActiveAt),
    usedAt: present(usedAt),
    lateMs,
    claimed,
    absentMs,
    value: value as EncodedItem | undefined,
  };
}
