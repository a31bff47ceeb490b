import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdleOrder } from '../../src/stamps/idle-order.js';

/** Takes all out, the longest idle first; `activeAt` tells the activity of a slot as it is now. */
function taken(
  order: IdleOrder,
  activeAt: (slot: number) => number,
  turn: (slot: number) => number = () => 0,
): number[] {
  const slots: number[] = [];
  for (let slot = order.oldest; slot >= 0; slot = order.oldest) {
    if (!order.isUpToDate(slot, activeAt(slot), turn(slot))) continue;
    slots.push(slot);
    order.remove(slot);
  }
  return slots;
}

describe('IdleOrder', () => {
  it('gives the longest idle first, though nothing but their registration was told', () => {
    const order = new IdleOrder();
    expect(order.oldest).toBe(-1);
    for (const slot of [3, 1, 2]) order.place(slot, 0, 0);
    const activeAt = [NaN, 50, 20, 40];
    expect(taken(order, (slot) => activeAt[slot] as number)).toEqual([2, 3, 1]);
  });

  it('gives those of one instant in the order of their activity', () => {
    const order = new IdleOrder();
    const turns = [NaN, 2, 3, 1];
    for (const slot of [3, 1, 2]) order.place(slot, 7, turns[slot] as number);
    turns[3] = 4;
    expect(
      taken(
        order,
        () => 7,
        (slot) => turns[slot] as number,
      ),
    ).toEqual([1, 2, 3]);
  });

  it('puts a slot where its activity belongs, also if that is long ago', () => {
    const order = new IdleOrder();
    for (const slot of [0, 5_000, 17]) order.place(slot, 10 + slot, 0);
    order.place(17, 3, 0);
    expect(order.oldest).toBe(17);
    order.place(17, 11, 0);
    expect(order.oldest).toBe(0);
    order.remove(0);
    order.remove(0);
    order.remove(1_000_000);
    expect([order.has(0), order.has(17), order.has(1_000_000)]).toEqual([false, true, false]);
    expect(order.oldest).toBe(17);
    order.clear();
    expect([order.oldest, order.has(17)]).toEqual([-1, false]);
  });

  it('keeps its order when it gives the room of higher slots back', () => {
    const order = new IdleOrder();
    for (let slot = 0; slot < 1_000; slot += 1) {
      order.place(slot, (slot * 7) % 100, slot);
    }
    for (let slot = 20; slot < 1_000; slot += 1) if (slot % 2 === 0) order.remove(slot);
    order.shrink(32);
    for (let slot = 20; slot < 32; slot += 1) order.remove(slot);
    const expected = Array.from({ length: 20 }, (_, slot) => slot).sort(
      (a, b) => ((a * 7) % 100) - ((b * 7) % 100),
    );
    expect(
      taken(
        order,
        (slot) => (slot * 7) % 100,
        (slot) => slot,
      ),
    ).toEqual(expected);
    order.place(500, 1, 0);
    expect(order.oldest).toBe(500);
  });

  it('agrees with a naive list in any sequence of calls', () => {
    const step = fc.record({
      act: fc.constantFrom('place', 'touch', 'touch', 'remove', 'take'),
      slot: fc.nat(40),
      at: fc.nat(30),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const order = new IdleOrder();
        const model = new Map<number, { at: number; turn: number }>();
        const turns = new Map<number, number>();
        let now = 0;
        let turn = 0;
        const oldest = () =>
          [...model].sort(([, a], [, b]) => a.at - b.at || a.turn - b.turn).map(([slot]) => slot)[0] ?? -1;
        for (const { act, slot, at } of steps) {
          now += at;
          if (act === 'place') {
            order.place(slot, at, turns.get(slot) ?? 0);
            model.set(slot, { at, turn: turns.get(slot) ?? 0 });
          } else if (act === 'touch') {
            turn += 1;
            turns.set(slot, turn);
            const known = model.get(slot);
            if (known !== undefined) model.set(slot, { at: now, turn });
          } else if (act === 'remove') {
            order.remove(slot);
            model.delete(slot);
          } else {
            const expected = oldest();
            const first = () => {
              for (;;) {
                const found = order.oldest;
                const { at: activeAt, turn: itsTurn } = model.get(found) ?? { at: 0, turn: 0 };
                if (found < 0 || order.isUpToDate(found, activeAt, itsTurn)) return found;
              }
            };
            // Slots of one instant that were never touched come in any order.
            const found = first();
            expect(model.get(found)).toEqual(model.get(expected));
          }
          expect(order.has(slot)).toBe(model.has(slot));
        }
      }),
    );
  });
});
