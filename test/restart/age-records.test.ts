import { describe, expect, it } from 'vitest';
import { agesNow, type PastAges, pastAgesOf } from '../../src/restart/age-records.ts';

const record: unknown[] = [
  'ages',
  0,
  500,
  100,
  [
    [-300, 9, 4, 1, 650, [7, 6], [1]],
    [400, 3, 0, 0, -1, [], []],
  ],
  [
    [1, 2],
    [0, 1],
  ],
  [[-300, 5]],
];
const past = (): PastAges => pastAgesOf(record, (at) => (at as number) + 1_000);

describe('what was counted in an earlier life', () => {
  it('is read as it was written, on the line of the past', () => {
    expect(past()).toEqual({
      at: 1_500,
      cohortMs: 100,
      cohorts: [
        { startAt: 700, registered: 9, left: 4, byCeiling: 1, agedMs: 650, alive: [7, 6], ceilings: [1] },
        { startAt: 1_400, registered: 3, left: 0, byCeiling: 0, agedMs: undefined, alive: [], ceilings: [] },
      ],
      past: { reached: [1, 2], left: [0, 1] },
      sizes: [{ startAt: 700, floor: 5 }],
    });
  });

  it('has grown older until the end of the past, where it was complete', () => {
    // The present is instant 40 of this life, and instant 1,570 of the past: 70 after it was written.
    const { cohorts, sizes } = agesNow(past(), { at: 40, shift: -1_530 });
    expect(cohorts.map(({ startAt, agedMs }) => [startAt, agedMs])).toEqual([
      [-830, 720],
      [-130, undefined],
    ]);
    expect(sizes).toEqual([{ startAt: -830, floor: 5 }]);
  });

  it('is no more, and no larger, than can be added up and read again', () => {
    const many = new Array(30).fill(1e308);
    const { cohorts, past } = pastAgesOf(
      record.with(4, [[-300, 1e308, 0, 0, -1, many, many]]).with(5, [many, []]),
      Number,
    );
    const counts = new Array(9).fill(Number.MAX_SAFE_INTEGER);
    expect(cohorts[0]).toMatchObject({ registered: counts[0], alive: counts, ceilings: counts });
    expect(past.reached).toEqual(counts);
  });

  it.each([
    ['a cohort that is no array', 4, [7]],
    ['a count that is no number', 5, [['many'], []]],
    ['a size without an instant', 6, [[]]],
  ])('is damaged with %s', (_, index, field) => {
    expect(() => pastAgesOf(record.with(index, field), Number)).toThrow(TypeError);
  });
});
