import { describe, expect, it } from 'vitest';
import { RecentSizes } from '../../src/diagnosis/recent-sizes.ts';

const second = 1_000;

/** Adds a size for each second: as many as there are seconds. */
function climbing(seconds: number, originAt = 0): RecentSizes {
  const sizes = new RecentSizes(originAt, second);
  for (let at = 0; at < seconds; at += 1) sizes.add(originAt + at * second, at);
  return sizes;
}

describe('recent sizes', () => {
  it('are one a step, the smallest in it', () => {
    const sizes = new RecentSizes(500, second);
    for (const [at, size] of [
      [500, 3],
      [900, 2],
      [1_499, 5],
      [1_500, 4],
      [9_700, 7],
    ] as const) {
      sizes.add(at, size);
    }
    expect(sizes.floors).toEqual([2, 4, 7]);
  });

  it('take no more room however long it lasts, and still begin where they began', () => {
    expect(climbing(48).floors).toHaveLength(48);
    expect(climbing(49).floors).toEqual([...Array.from({ length: 24 }, (_, pair) => 2 * pair), 48]);
    for (const seconds of [97, 1_000, 86_400]) {
      const { floors } = climbing(seconds, 123);
      expect(floors.length).toBeGreaterThan(24);
      expect(floors.length).toBeLessThanOrEqual(48);
      expect(floors[0]).toBe(0);
      const steps = floors.slice(1).map((floor, index) => floor - (floors[index] as number));
      expect(new Set(steps).size).toBe(1);
    }
  });

  it('have the smallest of both steps that become one', () => {
    const sizes = new RecentSizes(0, second);
    for (let at = 0; at < 49; at += 1) sizes.add(at * second, at % 2 === 0 ? 9 : 1);
    expect(sizes.floors.slice(0, 24)).toEqual(Array.from({ length: 24 }, () => 1));
  });
});
