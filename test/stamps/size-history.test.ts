import { describe, expect, it } from 'vitest';
import { SizeHistory } from '../../src/stamps/size-history.ts';

const HOUR = 3_600_000;

/** Gives each hour four sizes; every second one is `noise` higher. */
function history(floors: readonly number[], { noise = 0, isCount = true } = {}): SizeHistory {
  const sizes = new SizeHistory(0, HOUR, isCount);
  floors.forEach((floor, hour) => {
    for (let quarter = 0; quarter < 4; quarter += 1) {
      sizes.add(hour * HOUR + (quarter * HOUR) / 4, floor + (quarter % 2) * noise);
    }
  });
  return sizes;
}
const line = (hours: number, perHour: number) =>
  Array.from({ length: hours + 1 }, (_, hour) => hour * perHour);

describe('a size by hours', () => {
  it('grows by what its floors rise, under noise', () => {
    expect(history(line(12, 100), { noise: 500 }).growth(12, 0)).toEqual({
      sinceAt: 0,
      perMs: 100 / HOUR,
      grown: 1_200,
      lastAt: 12 * HOUR,
      isSteady: true,
      fallen: 0,
    });
  });

  it('does not grow before as many hours have brought something', () => {
    expect(history(line(12, 1)).growth(13, 0)).toBeUndefined();
    expect(history([0, 1, 1, 1, 2, 2, 3, 3, 4]).growth(4, 0)).toMatchObject({ grown: 4, sinceAt: 0 });
    expect(history([0, 1, 1, 1, 2, 2, 3, 3, 3]).growth(4, 0)).toBeUndefined();
  });

  it('is looked for in as many hours as it takes to grow by so much', () => {
    expect(history(line(20, 1)).growth(4, 12)).toMatchObject({ grown: 12, sinceAt: 8 * HOUR });
    expect(history(line(20, 1)).growth(4, 3)).toMatchObject({ grown: 4, sinceAt: 16 * HOUR });
    expect(history(line(11, 1)).growth(4, 12)).toBeUndefined();
  });

  it('says how much it fell, of what it rose, and sees a fall within the hour', () => {
    const sizes = history([0, 50, 100, 90, 110, 120]);
    expect(sizes.growth(3, 0)?.fallen).toBeCloseTo(10 / 130);
    sizes.add(6 * HOUR - 1, 0);
    expect(sizes.growth(2, 0)?.fallen).toBeGreaterThan(0.5);
  });

  it('grows by day by what the smallest size of each day rises, under a load that falls every night', () => {
    const wave = (hour: number) => 500 * (1 + Math.sin((Math.PI * hour) / 12));
    const sizes = history(Array.from({ length: 150 }, (_, hour) => Math.round(wave(hour)) + 10 * hour));
    expect(sizes.growth(12, 0)?.fallen).toBeGreaterThan(0.5);
    expect(sizes.growth(5, 0, 24)).toMatchObject({ grown: 1_200, isSteady: true, fallen: 0 });
    expect(sizes.growth(5, 0, 24)?.perMs).toBeCloseTo(10 / HOUR);
    expect(sizes.growth(6, 0, 24)).toBeUndefined();
    const healthy = history(Array.from({ length: 150 }, (_, hour) => Math.round(wave(hour))));
    expect(healthy.growth(1, 0, 24)).toBeUndefined();
  });

  it('is not steady where the last quarter brings less than the others', () => {
    const slower = [0, ...Array.from({ length: 12 }, (_, hour) => 1_000 * (hour + 1) - 45 * hour * hour)];
    expect(history(slower).growth(12, 0)?.isSteady).toBe(false);
    expect(history(line(12, 1_000)).growth(12, 0)?.isSteady).toBe(true);
  });

  it('takes what chance does to small counts for steady, and not to what is no count', () => {
    const few = [0, 2, 3, 5, 6, 8, 9, 11, 13, 15, 16, 17, 18];
    expect(history(few).growth(12, 0)?.isSteady).toBe(true);
    expect(history(few, { isCount: false }).growth(12, 0)?.isSteady).toBe(false);
  });

  it('is not steady where it had grown twice as fast before', () => {
    const filling = [...line(12, 100), ...line(36, 0).map((_, hour) => 1_200 + Math.floor(hour / 3) + 1)];
    expect(history(filling).growth(12, 0)?.isSteady).toBe(false);
  });

  it('counts one bulk load no more than three times as much as other hours', () => {
    const loaded = [0, 5_000, ...line(14, 10).map((size) => 5_010 + size)];
    expect(history(loaded).growth(12, 0)?.isSteady).toBe(true);
  });
});

describe('a size history that outlasts its process', () => {
  it('goes on with the hours of the last life, the one that it had begun among them', () => {
    const before = new SizeHistory(0, HOUR, true);
    for (let hour = 0; hour < 3; hour += 1) before.add(hour * HOUR, 10 * hour);
    const sizes = new SizeHistory(2.5 * HOUR, HOUR, true);
    sizes.goOn(before.hours);
    sizes.goOn(before.hours);
    const added = [2.6, 2.9, 3.1, 3.9, 4].map((hour) => sizes.add(hour * HOUR, 10 * hour));
    expect(added).toEqual([true, false, true, false, true]);
    expect(sizes.hours.map(({ startAt, floor }) => [startAt / HOUR, floor])).toEqual([
      [0, 0],
      [1, 10],
      [2, 20],
      [3, 31],
      [4, 40],
    ]);
    expect(sizes.growth(4, 0)).toMatchObject({ grown: 40, sinceAt: 0 });
  });

  it('remembers a week, over all lives', () => {
    const before = new SizeHistory(0, HOUR, true);
    for (let hour = 0; hour < 168; hour += 1) before.add(hour * HOUR, hour);
    const sizes = new SizeHistory(168 * HOUR, HOUR, true);
    for (let hour = 168; hour < 178; hour += 1) sizes.add(hour * HOUR, hour);
    sizes.goOn(before.hours);
    expect(sizes.hours.map(({ floor }) => floor).slice(0, 2)).toEqual([10, 11]);
    expect(sizes.hours).toHaveLength(168);
  });
});
