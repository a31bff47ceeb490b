import { describe, expect, it } from 'vitest';
import { judgeGoals } from './bench/goals.js';
import { parseOptions } from './bench/options.js';
import { Results } from './bench/results.js';
import { median, medianRatio, percentile } from './bench/statistics.js';

describe('the statistics of the benchmark', () => {
  it('take the middle value of an odd number and the mean of the middle two of an even one', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 6])).toBe(5.5);
    expect(median([])).toBeNaN();
  });

  it('sort by size and not as text', () => {
    expect(median([10, 9, 100])).toBe(10);
  });

  it('take the nearest rank for a percentile', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile([3, 1, 2], 0.99)).toBe(3);
    expect(percentile([], 0.99)).toBeNaN();
  });

  it('compare within a round: a round that was 10 times slower for both changes no ratio', () => {
    const ours = new Map([
      [0, 20],
      [1, 200],
      [2, 20],
    ]);
    const plain = new Map([
      [0, 10],
      [1, 100],
      [2, 10],
    ]);
    expect(medianRatio(ours, plain)).toBe(2);
  });

  it('leave out a round that lacks one side', () => {
    const ours = new Map([
      [0, 30],
      [1, 900],
    ]);
    expect(medianRatio(ours, new Map([[0, 10]]))).toBe(3);
    expect(medianRatio(ours, new Map())).toBeNaN();
  });
});

describe('the goals of the benchmark', () => {
  function measured(trackedNs: number): Results {
    const results = new Results();
    for (const [contender, setNewNs] of [
      ['map-least', 100],
      ['tracked', trackedNs],
    ] as const) {
      results.measurements.push({
        round: 0,
        scenario: 'operations',
        contender,
        size: 1_000,
        figures: { setNewNs },
      });
    }
    return results;
  }

  it('meets a limit of 1.3 at 1.3 and misses it at 1.31', () => {
    expect(judgeGoals(measured(130))).toMatchObject([{ goal: '<= 1.3', measured: '1.30', isMet: true }]);
    expect(judgeGoals(measured(131))).toMatchObject([{ goal: '<= 1.3', isMet: false }]);
  });

  it('says nothing of what was not measured', () => {
    expect(judgeGoals(new Results())).toEqual([]);
  });
});

describe('the options of the benchmark', () => {
  it('measure 7 rounds at three sizes by default', () => {
    expect(parseOptions([])).toMatchObject({
      rounds: 7,
      sizes: [10_000, 100_000, 1_000_000],
      isShort: false,
    });
  });

  it('keep the plain Map as the base, whatever is chosen', () => {
    const { contenders, scenarios } = parseOptions(['--only', 'tracked,memory']);
    expect(contenders).toContain('map');
    expect(contenders).not.toContain('lru-cache');
    expect(scenarios).toEqual(['memory']);
  });

  it('name what is wrong', () => {
    expect(() => parseOptions(['--only', 'trakced'])).toThrow(/--only: there is no 'trakced'/);
    expect(() => parseOptions(['--rounds', '0'])).toThrow(
      /--rounds: expected a whole number from 1, received '0'/,
    );
  });
});
