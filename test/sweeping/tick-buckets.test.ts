import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TickBuckets } from '../../src/sweeping/tick-buckets.js';

/** What a pass up to `tick` brings. */
function drained(buckets: TickBuckets, tick: number): number[] {
  buckets.take(tick);
  const slots: number[] = [];
  for (let slot = buckets.takeNext(); slot >= 0; slot = buckets.takeNext()) slots.push(slot);
  return slots;
}

describe('TickBuckets', () => {
  it('brings what is filed up to a tick, the earliest first, first in first out, and then nothing', () => {
    const buckets = new TickBuckets();
    for (const [slot, tick] of [
      [1, 5],
      [2, 3],
      [3, 5],
      [4, 9],
      [5, 3],
    ] as const) {
      buckets.file(slot, tick);
    }
    expect(drained(buckets, 2)).toEqual([]);
    expect(drained(buckets, 5)).toEqual([2, 5, 1, 3]);
    expect(drained(buckets, 8)).toEqual([]);
    expect(drained(buckets, 100)).toEqual([4]);
  });

  it('brings what is watched in every pass, after what is filed, as long as it is watched again', () => {
    const buckets = new TickBuckets();
    buckets.watch(7);
    buckets.file(1, 1);
    expect(drained(buckets, 1)).toEqual([1, 7]);
    expect(drained(buckets, 2)).toEqual([]);
    buckets.watch(7);
    expect(drained(buckets, 3)).toEqual([7]);
  });

  it('takes a slot that is filed again from where it was', () => {
    const buckets = new TickBuckets();
    buckets.file(1, 5);
    buckets.file(1, 9);
    buckets.watch(1);
    buckets.file(1, 7);
    expect(drained(buckets, 6)).toEqual([]);
    expect(drained(buckets, 7)).toEqual([1]);
    expect(buckets.has(1)).toBe(false);
  });

  it('takes a tick that is past for the last one taken, and brings it with the next pass, not with this one', () => {
    const buckets = new TickBuckets();
    buckets.file(1, 5);
    buckets.take(10);
    expect(buckets.takeNext()).toBe(1);
    buckets.file(1, 3);
    buckets.file(2, 10);
    expect(buckets.takeNext()).toBe(-1);
    expect(drained(buckets, 10)).toEqual([1, 2]);
  });

  it('forgets what is removed, also in the middle of a pass', () => {
    const buckets = new TickBuckets();
    for (let slot = 0; slot < 5; slot += 1) buckets.file(slot, 1);
    buckets.remove(99);
    buckets.take(1);
    expect(buckets.takeNext()).toBe(0);
    buckets.remove(1);
    buckets.remove(1);
    expect(buckets.takeNext()).toBe(2);
    buckets.remove(4);
    expect(buckets.takeNext()).toBe(3);
    expect(buckets.takeNext()).toBe(-1);
  });

  it('goes on with a pass that was interrupted before it takes the next', () => {
    const buckets = new TickBuckets();
    for (let slot = 0; slot < 3; slot += 1) buckets.file(slot, 1);
    buckets.file(9, 2);
    buckets.take(1);
    expect(buckets.takeNext()).toBe(0);
    expect(drained(buckets, 2)).toEqual([1, 2, 9]);
  });

  it('leaves what is watched for another pass, if asked to', () => {
    const buckets = new TickBuckets();
    buckets.watch(4);
    buckets.file(1, 1);
    buckets.file(3, 9);
    buckets.take(2, false);
    expect([buckets.takeNext(), buckets.takeNext()]).toEqual([1, -1]);
    expect(drained(buckets, 9)).toEqual([3, 4]);
  });

  it('takes ticks far apart and far behind', () => {
    const buckets = new TickBuckets();
    buckets.file(1, 1e12);
    buckets.file(2, -1e12);
    buckets.file(3, 0);
    expect(drained(buckets, 0)).toEqual([2, 3]);
    expect(drained(buckets, 1e12 - 1)).toEqual([]);
    expect(drained(buckets, 1e12)).toEqual([1]);
  });

  it('agrees with a naive model in any sequence of calls', () => {
    const slot = fc.nat(30);
    const step = fc.record({
      act: fc.constantFrom('file', 'file', 'file', 'watch', 'remove', 'take', 'next', 'next', 'take filed'),
      slot,
      tick: fc.integer({ min: -3, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const buckets = new TickBuckets();
        // In order of filing: the tick of each slot that waits, the watched ones, and what the pass still has to bring.
        const filed = new Map<number, number>();
        const watched = new Set<number>();
        let pass: number[] = [];
        let taken = Number.NEGATIVE_INFINITY;
        const out = (of: number): void => {
          filed.delete(of);
          watched.delete(of);
          pass = pass.filter((waiting) => waiting !== of);
        };
        const upTo = (tick: number): number[] =>
          [...filed]
            .filter(([, at]) => at <= tick)
            .sort(([, first], [, second]) => first - second)
            .map(([of]) => of);
        for (const { act, slot: of, tick } of steps) {
          if (act === 'file') {
            buckets.file(of, tick);
            out(of);
            filed.set(of, Math.max(tick, taken));
          } else if (act === 'watch') {
            buckets.watch(of);
            out(of);
            watched.add(of);
          } else if (act === 'remove') {
            buckets.remove(of);
            out(of);
          } else if (act === 'take' || act === 'take filed') {
            const withWatched = act === 'take';
            buckets.take(tick, withWatched);
            const due = upTo(tick);
            pass = [...pass, ...due, ...(withWatched ? watched : [])];
            for (const one of due) filed.delete(one);
            if (withWatched) watched.clear();
            taken = Math.max(taken, tick);
          } else expect(buckets.takeNext()).toBe(pass.shift() ?? -1);
          expect(buckets.has(of)).toBe(filed.has(of) || watched.has(of) || pass.includes(of));
        }
      }),
      { numRuns: 500 },
    );
  });
});
