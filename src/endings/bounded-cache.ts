import { LRUCache } from 'lru-cache';

/**
 * Makes an LRU cache of at most `max` entries, whose lists grow with them. By their number, lru-cache lays them out for
 * all of them at the start, which takes megabytes; by their size, with 1 for each, it does not.
 */
export const boundedCache = <Key extends NonNullable<unknown>, Value extends NonNullable<unknown>>(
  max: number,
): LRUCache<Key, Value> => new LRUCache({ maxSize: max, sizeCalculation: () => 1 });
