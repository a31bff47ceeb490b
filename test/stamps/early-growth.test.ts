import { describe, expect, it } from 'vitest';
import { EarlyGrowth } from '../../src/stamps/early-growth.js';
import { makesTable } from './large-tables.js';

/** Keys that come, and go when so many are there, in a Map and in one beside it whose growth is early. */
class Pair {
  readonly first = new Map<unknown, unknown>();
  readonly second = new Map<unknown, unknown>();
  readonly growth = new EarlyGrowth(this.second);
  /** Which calls have made a table for more than 60,000 keys, and were expected to. */
  readonly grown = { first: [] as number[], second: [] as number[] };
  // As V8 does it.
  #capacity = 4;
  #room = 4;

  play(calls: number, mostKeys: number): void {
    for (let count = 1; count <= calls; count += 1) {
      if (count > mostKeys) this.#delete(`key ${count - mostKeys}`);
      this.#set(`key ${count}`, count);
    }
  }

  #delete(key: string): void {
    this.first.delete(key);
    this.second.delete(key);
    this.growth.deleted();
  }

  #set(key: string, count: number): void {
    const before = this.first.size;
    const isFirstFull = this.#room === 0;
    if (isFirstFull) {
      if (this.#capacity - before < this.#capacity / 2) this.#capacity *= 2;
      this.#room = this.#capacity - before;
    }
    this.#room -= 1;
    const ofFirst = (): unknown => this.first.set(key, count);
    const ofSecond = (): void => {
      this.second.set(key, count);
      this.growth.added();
    };
    this.#expect(isFirstFull, count, this.grown.first, ofFirst);
    this.#expect(this.growth.room === 0, count, this.grown.second, ofSecond);
  }

  #expect(isFull: boolean, count: number, grown: number[], call: () => void): void {
    if (!isFull || this.first.size < 60_000) call();
    else {
      expect(makesTable(this.first.size, call)).toBe(true);
      grown.push(count);
    }
  }
}

function played(calls: number, mostKeys: number): Pair {
  const pair = new Pair();
  pair.play(calls, mostKeys);
  return pair;
}

describe('the growth of a second Map', () => {
  it('comes a 128th of its capacity before that of the first one, in calls that are foretold', () => {
    const { first, second, grown, growth } = played(300_000, Number.POSITIVE_INFINITY);
    expect(grown.first).toEqual([65_537, 131_073, 262_145]);
    expect(grown.second).toEqual([65_537 - 512, 131_073 - 1_024, 262_145 - 2_048]);
    expect(second).toEqual(first);
    expect(growth.capacity).toBe(524_288);
  });

  it('stays apart while entries come and go, and their number stays', () => {
    const { grown } = played(700_000, 80_000);
    expect(grown.first.length).toBeGreaterThan(3);
    expect(grown.second.length).toBeGreaterThanOrEqual(grown.first.length);
    for (const at of grown.first) {
      const nearest = Math.min(...grown.second.map((other) => Math.abs(other - at)));
      expect(nearest).toBeGreaterThanOrEqual(512);
    }
  });

  it('takes no place in the largest table from the keys of the first one', () => {
    const largest = 64;
    const nobody = Symbol('nobody');
    const map = new Map<unknown, unknown>([[nobody, undefined]]);
    const growth = new EarlyGrowth(map, nobody, largest);
    for (let key = 1; key <= largest; key += 1) {
      expect(growth.hasNobody).toBe(map.has(nobody));
      map.set(key, key);
      growth.added();
    }
    expect([growth.hasNobody, map.size]).toEqual([false, largest]);
    expect([growth.capacity, growth.room]).toEqual([largest, 0]);
  });

  it('is reckoned anew when the table shrinks', () => {
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
  });
});
