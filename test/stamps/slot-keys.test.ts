import { describe, expect, it } from 'vitest';
import { SlotKeys } from '../../src/stamps/slot-keys.js';

const filled = (count: number): SlotKeys<number> => {
  const keys = new SlotKeys<number>();
  for (let slot = 0; slot < count; slot += 1) keys.set(slot, -slot - 1);
  return keys;
};

describe('SlotKeys', () => {
  it.each([1, 1_023, 1_024, 1_025, 2_048, 5_000])('keeps %d keys by slot', (count) => {
    const keys = filled(count);
    for (let slot = 0; slot < count; slot += 1) expect(keys.get(slot)).toBe(-slot - 1);
    keys.set(count - 1, 7);
    keys.delete(0);
    expect([keys.get(0), keys.get(count - 1)]).toEqual([undefined, count === 1 ? undefined : 7]);
  });

  it('has no key where there is no slot', () => {
    const keys = filled(10);
    expect([-1, 10, 1_023, 1_024, 1_000_000].map((slot) => keys.get(slot))).toEqual(Array(5).fill(undefined));
  });

  it.each([0, 5, 1_023, 1_024, 1_025, 3_000])('grows again after all but %d are given back', (used) => {
    const keys = filled(4_000);
    keys.shrink(used);
    for (let slot = used; slot < 6_000; slot += 1) keys.set(slot, slot);
    for (let slot = 0; slot < 6_000; slot += 1) expect(keys.get(slot)).toBe(slot < used ? -slot - 1 : slot);
    keys.clear();
    expect(keys.get(0)).toBeUndefined();
    keys.set(0, 3);
    expect(keys.get(0)).toBe(3);
  });
});
