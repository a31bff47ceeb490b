import { describe, expect, it } from 'vitest';
import { GrowthWatch } from '../../src/testing/explosion.js';

/** The run after which a watch says that a map of these sizes explodes; `undefined` where it never does. */
const explodesAt = (sizeAfter: (run: number) => number, runs = 200): number | undefined => {
  const watch = new GrowthWatch(sizeAfter(0));
  for (let run = 1; run <= runs; run += 1) if (watch.explodes(Math.floor(sizeAfter(run)))) return run;
  return undefined;
};

describe('GrowthWatch', () => {
  it('sees a map that doubles at each run, at 1,000 entries', () => {
    expect(explodesAt((run) => 2 ** run)).toBe(10);
    expect(explodesAt((run) => 500 * 2 ** run)).toBe(5);
  });

  it('sees a map that grows by a tenth at each run, long before it is full', () => {
    const run = explodesAt((at) => 10 * 1.1 ** at) as number;
    expect(10 * 1.1 ** run).toBeLessThan(10_000);
  });

  it.each<[string, (run: number) => number]>([
    ['as much at each run', (run) => 5_000 * run],
    ['one more at each run than at the one before', (run) => 50 * run * run],
    ['a lot at once and then nothing', (run) => (run > 20 ? 100_000 : 0)],
    ['nothing', () => 100_000],
    ['up and down', (run) => 10_000 * (run % 7)],
  ])('lets a map be that grows by %s', (_how, sizeAfter) => {
    expect(explodesAt(sizeAfter)).toBeUndefined();
  });
});
