import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { TurnBudget } from '../../src/time/turn-budget.js';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a budget of a turn', () => {
  // Of 39 µs and more a step is not quick, and the clock is read after each.
  it.each([0.001, 0.004, 0.03, 0.5])(
    'of 5 ms, once used up by steps of %f ms, is so until the next turn',
    async (stepMs) => {
      const clock = createManualClock();
      let [spentMs, turns] = [0, 0];
      const budget = new TurnBudget({ ...clock, monotonic: () => clock.monotonic() + spentMs }, 5, () => {
        turns += 1;
      });
      const spend = (): number => {
        const before = spentMs;
        while (budget.hasTime()) spentMs += stepMs;
        return spentMs - before;
      };
      for (let turn = 0; turn < 3; turn += 1) {
        const ofTurnMs = spend();
        expect(ofTurnMs).toBeGreaterThanOrEqual(5);
        // It looks at its clock at every eighth step.
        expect(ofTurnMs).toBeLessThanOrEqual(5 + 8 * stepMs);
        const asked = Array.from({ length: 100 }, () => budget.hasTime());
        expect(asked).not.toContain(true);
        expect(turns).toBe(turn);
        await nextTurn();
        expect(turns).toBe(turn + 1);
      }
    },
  );
});
