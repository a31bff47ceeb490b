import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdleOrder } from '../../src/stamps/idle-order.js';

function listed(order: IdleOrder): number[] {
  const slots: number[] = [];
  for (let slot = order.oldest; slot >= 0; slot = order.next(slot)) slots.push(slot);
  return slots;
}

describe('IdleOrder', () => {
  it('lists slots from the longest idle to the latest active', () => {
    const order = new IdleOrder();
    expect(order.oldest).toBe(-1);
    for (const slot of [3, 1, 2]) order.touch(slot);
    expect(listed(order)).toEqual([3, 1, 2]);
    order.touch(3);
    order.touch(3);
    expect(listed(order)).toEqual([1, 2, 3]);
    order.remove(2);
    order.remove(2);
    order.remove(1_000);
    expect(listed(order)).toEqual([1, 3]);
  });

  it('takes slots far beyond its first capacity', () => {
    const order = new IdleOrder();
    for (const slot of [0, 5_000, 17]) order.touch(slot);
    order.touch(0);
    expect(listed(order)).toEqual([5_000, 17, 0]);
  });

  it('agrees with a naive list in any sequence of calls', () => {
    const step = fc.record({ act: fc.constantFrom('touch', 'touch', 'remove'), slot: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const order = new IdleOrder();
        let model: number[] = [];
        for (const { act, slot } of steps) {
          order[act as 'touch'](slot);
          model = model.filter((other) => other !== slot);
          if (act === 'touch') model.push(slot);
          expect(order.oldest).toBe(model[0] ?? -1);
        }
        expect(listed(order)).toEqual(model);
      }),
      { numRuns: 200 },
    );
  });
});
