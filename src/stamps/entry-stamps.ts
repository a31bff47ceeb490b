import type { Timeline } from '../time/timeline.js';
import type { Activity } from './activity.js';
import type { NativeCollection } from './native-collection.js';
import type { StampStore } from './stamp-store.js';

/** The stamps of one entry. */
export interface EntryStamps {
  /**
   * When the key was first set, epoch ms. A `set` on a present key never changes it; `delete` and `set` does. Of many calls
   * right after each other, up to 64 share one reading of the clock, made after the last of them: when the turn of the event
   * loop is over at the latest.
   */
  readonly registeredAt: number;
  /**
   * The last activity that counts, epoch ms: a `set` or `touch` of the entry or of a companion, the release of a hold, or a look at
   * which a guard kept it. Never before `registeredAt`, and read as that is. Reading an entry is no activity.
   */
  readonly lastActiveAt: number;
  /** Positive, and greater at each later registration of the key; not consecutive. */
  readonly generation: number;
}

/** A map and what is known of its entries. */
export interface StampedMap {
  readonly native: NativeCollection<unknown, unknown>;
  readonly stamps: StampStore<unknown>;
  readonly activity: Pick<Activity, 'latest'>;
}

/** Returns the stamps of a key, or `undefined` if there is no such entry. */
export function stampsOf(map: StampedMap, timeline: Timeline, key: unknown): EntryStamps | undefined {
  const slot = map.stamps.slotOf(key);
  if (slot === undefined || !map.native.has(key)) return undefined;
  timeline.notice();
  return shownStamps(map, timeline, slot);
}

/**
 * Returns the stamps of a slot as people see them.
 *
 * @param wallNow what the wall clock shows now, if that is known already
 */
export function shownStamps(
  { stamps, activity }: Pick<StampedMap, 'stamps' | 'activity'>,
  timeline: Timeline,
  slot: number,
  wallNow = timeline.clock.now(),
): EntryStamps {
  const registeredAt = timeline.toEpoch(stamps.registeredAt(slot), wallNow);
  const lastActiveAt = Math.max(registeredAt, timeline.toEpoch(activity.latest(slot), wallNow));
  return { registeredAt, lastActiveAt, generation: stamps.generation[slot] as number };
}
