import { describe, expect, it } from 'vitest';
import { courseOfEntries, courseOfLevel, type Look } from '../../src/testing/course.js';

/** Looks at a map that had `others` beside what came; it was empty once in each stretch, and a stretch had 100 runs. */
const looks = (stayed: number[][], others: number[] = [], more: Partial<Look>[] = []): Look[] =>
  stayed.map((counts, stretch) => ({
    runs: 100,
    size: counts.reduce((sum, count) => sum + count, others[stretch] ?? 0),
    low: 0,
    stayed: counts,
    cameInRuns: counts.at(-1) as number,
    ...more[stretch],
  }));

const lows = (...sizes: number[]) => sizes.map((low) => ({ low }));
const longLast = [{}, {}, {}, { runs: 400 }];

describe('courseOfEntries(looks)', () => {
  it.each<[string, string, Look[], number?]>([
    ['back', 'nothing that came stayed', looks([[0]])],
    ['back', 'all of it has left meanwhile', looks([[5], [0, 0]])],
    ['doubtful', 'something stayed once', looks([[5]])],
    ['stopped', 'nothing stayed of the second stretch', looks([[22], [22, 0]])],
    ['turns-over', 'nothing is left of the first stretch', looks([[14], [0, 18]])],
    [
      'turns-over',
      'it fills up to the latest 150',
      looks([[100], [50, 100], [0, 50, 100]], [10], lows(10, 110, 150)),
    ],
    ['doubtful', 'a queue is longer than before', looks([[110], [0, 210]], [], lows(10, 110))],
    [
      'grows',
      'a queue was longer throughout',
      looks([[110], [10, 200], [0, 110, 200]], [], lows(10, 110, 210)),
    ],
    ['doubtful', 'two stretches have left no more than one', looks([[30], [12, 18]])],
    ['doubtful', 'two stretches have left as much', looks([[100], [100, 100]])],
    ['grows', 'three stretches have left as much', looks([[100], [100, 100], [100, 100, 100]])],
    ['grows', 'one of three left one fewer', looks([[9], [9, 8], [9, 8, 9]])],
    ['doubtful', 'the third has left fewer', looks([[100], [100, 100], [100, 100, 46]])],
    ['stopped', 'the fourth has left nothing', looks([[100], [100, 100], [100, 100, 46], [100, 100, 46, 0]])],
    ['doubtful', 'the first begins to leave', looks([[100], [100, 100], [90, 100, 100]])],
    ['doubtful', 'what was there before leaves', looks([[100], [100, 100], [100, 100, 100]], [10, 10, 0])],
    ['grows', 'it was used up before', looks([[100], [100, 100], [100, 100, 100]], [90, 10, 10])],
    ['grows', 'the first stretch left nothing', looks([[0], [0, 5], [0, 5, 5], [0, 5, 5, 5]])],
    [
      'turns-over',
      'a full cache replaces at random',
      looks([[110], [60, 59], [35, 40, 44]], [10, 1, 1], lows(10, 120, 120)),
    ],
    [
      'doubtful',
      'as much is there, and less was in between',
      looks([[110], [60, 59], [35, 40, 44]], [10, 1, 1], lows(10, 110, 110)),
    ],
    ['bounded', 'it is within its cap', looks([[40]], [10]), 50],
    ['doubtful', 'it is above its cap', looks([[41]], [10]), 50],
    ['sparse', 'one came in each stretch', looks([[1], [1, 1], [1, 1, 1]])],
    [
      'grows',
      'four came at four times the runs',
      looks([[1], [1, 1], [1, 1, 1], [1, 1, 1, 4]], [], longLast),
    ],
    ['paced', 'one came at four times the runs', looks([[1], [1, 1], [1, 1, 1], [1, 1, 1, 1]], [], longLast)],
    [
      'grows',
      'the one of each stretch came in its drain',
      looks([[1], [1, 1], [1, 1, 1]]).map((look) => ({ ...look, cameInRuns: 0 })),
    ],
  ])('is %s where %s', (course, _why, seen, bound) => {
    expect(courseOfEntries(seen, bound)).toBe(course);
  });

  it('takes what still grows, ever less, for a leak after six stretches, and not before', () => {
    const counts = [95, 86, 78, 70, 64, 58];
    const seen = looks(counts.map((_, stretch) => counts.slice(0, stretch + 1)));
    expect(courseOfEntries(seen.slice(0, 5))).toBe('doubtful');
    expect(courseOfEntries(seen)).toBe('grows');
  });
});

describe('courseOfLevel(lows, now)', () => {
  it.each<[string, string, number[], number]>([
    ['back', 'it is what it was', [7], 7],
    ['back', 'it is less', [7, 5], 4],
    ['doubtful', 'it is more after one stretch', [7], 9],
    ['stopped', 'it is no more than before the second', [7, 9], 9],
    ['turns-over', 'it came down to the same in the second', [7, 7], 40],
    ['doubtful', 'it was more throughout the second', [7, 9], 11],
    ['grows', 'it was more throughout the third too', [7, 9, 11], 13],
    ['doubtful', 'it rises ever less', [0, 100, 200], 250],
    ['turns-over', 'it rose in one of three', [0, 0, 5], 9],
    ['grows', 'it has risen in six, ever less', [0, 100, 180, 240, 280, 300], 310],
  ])('is %s where %s', (course, _why, lows, now) => {
    expect(courseOfLevel(lows, now)).toBe(course);
  });
});
