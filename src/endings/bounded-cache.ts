import { LRUCache } from 'lru-cache';

/** Why an entry leaves: only `evict` is the cache's own doing. */
export type BoundedCacheReason = LRUCache.DisposeReason;

/**
 * Makes an LRU cache of at most `max` entries, whose lists grow with them. By their number, lru-cache lays them out for
 * all of them at the start, which takes megabytes; by their size, with 1 for each, it does not.
 *
 * @param dispose is told of each entry that leaves
 */
export function boundedCache<Key extends NonNullable<unknown>, Value extends NonNullable<unknown>>(
  max: number,
  dispose?: (value: Value, key: Key, reason: BoundedCacheReason) => void,
): LRUCache<Key, Value> {
  return new LRUCache({ maxSize: max, sizeCalculation: () => 1, ...(dispose !== undefined && { dispose }) });
}
