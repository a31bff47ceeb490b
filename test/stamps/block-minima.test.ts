import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockMinima } from '../../src/stamps/block-minima.ts';

function setup() {
  const values = new Map<number, number>();
  const minima = new BlockMinima();
  let looks = 0;
  const valueAt = (slot: number) => {
    looks += 1;
    return values.get(slot) ?? Number.POSITIVE_INFINITY;
  };
  return {
    values,
    minima,
    add(slot: number, value: number) {
      values.set(slot, value);
      minima.add(slot, value);
    },
    remove(slot: number) {
      minima.remove(slot, values.get(slot) ?? Number.NaN);
      values.delete(slot);
    },
    least: () => minima.least(valueAt),
    leastSlots: (count: number) => minima.leastSlots(count, valueAt),
    looks: () => looks,
  };
}

describe('BlockMinima', () => {
  it('has no least of nothing, also after all of 3,000 numbers have left', () => {
    const { add, remove, least, minima } = setup();
    expect(least()).toBe(Number.POSITIVE_INFINITY);
    for (let slot = 0; slot < 3_000; slot += 1) add(slot, slot);
    for (let slot = 0; slot < 3_000; slot += 1) remove(slot);
    expect(least()).toBe(Number.POSITIVE_INFINITY);
    add(0, 1);
    minima.clear();
    expect(least()).toBe(Number.POSITIVE_INFINITY);
  });

  it('knows the least of numbers in up to 5,001 slots, in whatever order they come and go', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5_000), fc.option(fc.integer({ min: -50, max: 50 }))), { maxLength: 300 }),
        (steps) => {
          const { values, add, remove, least } = setup();
          for (const [slot, value] of steps) {
            if (values.has(slot)) remove(slot);
            if (value !== null) add(slot, value);
            expect(least()).toBe(Math.min(Number.POSITIVE_INFINITY, ...values.values()));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('knows the slots of the three least, of equal numbers the lower slots', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(9_000), fc.option(fc.integer({ min: -20, max: 20 }))), { maxLength: 100 }),
        (steps) => {
          const { values, add, remove, leastSlots } = setup();
          for (const [slot, value] of steps) {
            if (values.has(slot)) remove(slot);
            if (value !== null) add(slot, value);
            const expected = [...values].sort((one, other) => one[1] - other[1] || one[0] - other[0]);
            expect(leastSlots(3)).toEqual(expected.slice(0, 3).map(([at]) => at));
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('looks at 3,072 slots of a million for the three least', () => {
    const { add, leastSlots, looks } = setup();
    for (let slot = 0; slot < 1_000_000; slot += 1) add(slot, (slot * 7_919) % 1_000_003);
    expect(leastSlots(3)).toHaveLength(3);
    expect(looks()).toBe(3_072);
  });

  it('looks at no slot while the least stays, and at 1,024 when it has left, of a million', () => {
    const { add, remove, least, looks } = setup();
    for (let slot = 0; slot < 1_000_000; slot += 1) add(slot, slot);
    remove(500_000);
    expect([least(), looks()]).toEqual([0, 0]);
    remove(0);
    expect([least(), looks()]).toEqual([1, 1_024]);
    expect([least(), looks()]).toEqual([1, 1_024]);
  });

  it('looks at 98 blocks once when the first 100,000 of a million have left, and then at none', () => {
    const { add, remove, least, looks } = setup();
    for (let slot = 0; slot < 1_000_000; slot += 1) add(slot, slot);
    for (let slot = 0; slot < 100_000; slot += 1) remove(slot);
    expect([least(), looks()]).toEqual([100_000, 98 * 1_024]);
    expect([least(), looks()]).toEqual([100_000, 98 * 1_024]);
  });
});
