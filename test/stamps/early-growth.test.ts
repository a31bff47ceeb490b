import { getHeapSpaceStatistics } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { EarlyGrowth } from '../../src/stamps/early-growth.js';

/** Bytes of what is too large for a page, as the tables of large Maps are. */
const largeBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'large_object_space')?.space_used_size ??
  0;

/** Runs a call, and returns whether V8 has made a table for at least so many keys in it. */
function makesTable(capacity: number, call: () => void): boolean {
  const before = largeBytes();
  call();
  // Key, value and place in the chain of each, 8 bytes each.
  return largeBytes() - before > capacity * 20;
}

describe('the growth of a second Map', () => {
  it('comes a 128th of its capacity before that of the first one, in calls that are foretold', () => {
    const first = new Map<unknown, unknown>();
    const second = new Map<unknown, unknown>();
    const growth = new EarlyGrowth(second);
    const grown = { first: [] as number[], second: [] as number[] };
    for (let count = 1; count <= 300_000; count += 1) {
      const isNear = growth.room < 3 || (first.size & (first.size - 1)) === 0;
      const key = `key ${count}`;
      const isForetold = growth.room === 0;
      const ofFirst = (): unknown => first.set(key, count);
      const ofSecond = (): void => {
        second.set(key, count);
        growth.added();
      };
      if (!isNear || count < 65_000) {
        ofFirst();
        ofSecond();
        continue;
      }
      if (makesTable(first.size, ofFirst)) grown.first.push(count);
      const isGrown = makesTable(second.size, ofSecond);
      if (isGrown) grown.second.push(count);
      expect(isGrown).toBe(isForetold);
    }
    expect(grown.first).toEqual([65_537, 131_073, 262_145]);
    expect(grown.second).toEqual([65_537 - 512, 131_073 - 1_024, 262_145 - 2_048]);
    expect(second).toEqual(first);
  });

  it('stays apart while entries come and go, and their number stays', () => {
    const first = new Map<unknown, unknown>();
    const second = new Map<unknown, unknown>();
    const growth = new EarlyGrowth(second);
    const grown = { first: [] as number[], second: [] as number[] };
    let isForetold = true;
    for (let count = 1; count <= 700_000; count += 1) {
      const key = `key ${count}`;
      if (count > 80_000) {
        const old = `key ${count - 80_000}`;
        first.delete(old);
        second.delete(old);
        growth.deleted();
      }
      const wasFull = growth.room === 0;
      const ofSecond = (): void => {
        second.set(key, count);
        growth.added();
      };
      if (count < 80_000) {
        first.set(key, count);
        ofSecond();
        continue;
      }
      if (makesTable(first.size, () => first.set(key, count))) grown.first.push(count);
      const isGrown = makesTable(second.size, ofSecond);
      if (isGrown) grown.second.push(count);
      isForetold &&= isGrown === wasFull;
    }
    expect(isForetold).toBe(true);
    expect(grown.first.length).toBeGreaterThan(3);
    expect(grown.second.length).toBeGreaterThanOrEqual(grown.first.length);
    for (const at of grown.first) {
      const nearest = Math.min(...grown.second.map((other) => Math.abs(other - at)));
      expect(nearest).toBeGreaterThanOrEqual(1_024);
    }
  });

  it('is reckoned anew when the table shrinks, and when all keys go', () => {
    const map = new Map<unknown, unknown>();
    const growth = new EarlyGrowth(map);
    for (let key = 0; key < 1_000; key += 1) {
      map.set(key, key);
      growth.added();
    }
    expect(growth.capacity).toBe(1_024);
    for (let key = 0; key < 990; key += 1) {
      map.delete(key);
      growth.deleted();
    }
    expect(growth.capacity).toBe(32);
    map.clear();
    growth.cleared();
    expect([growth.capacity, growth.room]).toEqual([4, 4]);
  });
});
