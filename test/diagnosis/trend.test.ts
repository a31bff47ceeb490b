import { describe, expect, it } from 'vitest';
import { mannKendallS, theilSenSlope } from '../../src/diagnosis/trend.js';

describe('mannKendallS', () => {
  it('is 36 for nine rising values, -36 for nine falling ones and 0 for equal ones', () => {
    const rising = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(mannKendallS(rising)).toBe(36);
    expect(mannKendallS(rising.toReversed())).toBe(-36);
    expect(mannKendallS(rising.fill(3))).toBe(0);
  });

  it('counts a tie as nothing', () => {
    expect(mannKendallS([1, 2, 2])).toBe(2);
  });

  it('is 32 or more for 44 of the 362,880 orders of nine values', () => {
    let atLeast32 = 0;
    const order: number[] = [];
    const extend = () => {
      // With n values placed the remaining ones can add at most all pairs that are not decided yet.
      const undecided = 36 - (order.length * (order.length - 1)) / 2;
      if (mannKendallS(order) + undecided < 32) return;
      if (order.length === 9) atLeast32++;
      for (let value = 1; value <= 9; value++) {
        if (order.includes(value)) continue;
        order.push(value);
        extend();
        order.pop();
      }
    };
    extend();
    expect(atLeast32).toBe(44);
  });
});

describe('theilSenSlope', () => {
  it('is the slope of a line', () => {
    expect(theilSenSlope([0, 10, 25, 30], [5, 25, 55, 65])).toBe(2);
  });

  it('is not moved by two wild values of nine', () => {
    expect(theilSenSlope([0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 900, 4, 5, -700, 7, 8])).toBe(1);
  });

  it('is the mean of the middle two for an even number of pairs', () => {
    expect(theilSenSlope([0, 1, 2, 3], [0, 1, 3, 6])).toBe(2);
  });

  it('is 0 without two different x', () => {
    expect(theilSenSlope([], [])).toBe(0);
    expect(theilSenSlope([1, 1], [0, 5])).toBe(0);
  });
});
