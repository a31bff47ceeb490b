import { describe, expect, it } from 'vitest';
import { SizeWindows } from '../../src/diagnosis/size-windows.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function watched(sizes: readonly number[], everyMs: number, shortestMs: number, levels = 3): SizeWindows {
  const windows = new SizeWindows(shortestMs, levels);
  for (const [index, size] of sizes.entries()) windows.add(index * everyMs, size);
  return windows;
}

describe('SizeWindows', () => {
  it('completes a window of 4 minutes with the first size at 4 minutes, and a pair of them at 8', () => {
    const windows = new SizeWindows(4 * MINUTE, 3);
    const completed = Array.from({ length: 17 }, (_, minute) => windows.add(minute * MINUTE, 0));
    expect(completed).toEqual([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3]);
    expect(windows.at(0).map(({ startMs }) => startMs / MINUTE)).toEqual([0, 4, 8, 12]);
    expect(windows.at(1).map(({ startMs }) => startMs / MINUTE)).toEqual([0, 8]);
  });

  it('keeps of a window its smallest size, and of a pair the smallest and the higher of the two floors', () => {
    const windows = watched([5, 3, 9, 7, 8, 6, 20, 6, 0], MINUTE, 4 * MINUTE);
    expect(windows.at(0).map(({ floor, peak }) => [floor, peak])).toEqual([
      [3, 3],
      [6, 6],
    ]);
    expect(windows.at(1).map(({ floor, peak }) => [floor, peak])).toEqual([[3, 6]]);
  });

  it('adds up what rose and what fell, the change across a border in the later window', () => {
    const windows = watched([5, 3, 9, 7, 10, 10, 4, 5, 0], MINUTE, 4 * MINUTE);
    expect(windows.at(0).map(({ rose, fell }) => [rose, fell])).toEqual([
      [6, 4],
      [4, 6],
    ]);
    expect(windows.at(1).map(({ rose, fell }) => [rose, fell])).toEqual([[10, 10]]);
  });

  it('puts at least 4 sizes into a window, so that it is 4 hours long where sweeps are an hour apart', () => {
    const windows = watched(new Array(13).fill(0), HOUR, 10 * MINUTE);
    expect(windows.at(0).map(({ startAt }) => startAt / HOUR)).toEqual([0, 4, 8]);
  });

  it('counts a silence of 10 hours as one window, and keeps the real instant beside', () => {
    const windows = new SizeWindows(4 * MINUTE, 1);
    for (let minute = 0; minute <= 12; minute++) windows.add((minute + (minute >= 6 ? 600 : 0)) * MINUTE, 0);
    expect(windows.watchedMs).toBe((5 + 4 + 6) * MINUTE);
    expect(windows.at(0).map(({ startAt, startMs }) => [startAt / MINUTE, startMs / MINUTE])).toEqual([
      [0, 0],
      [4, 4],
      [608, 11],
    ]);
  });

  it('keeps nine windows of each length', () => {
    const windows = watched(new Array(1000).fill(0), MINUTE, 4 * MINUTE, 2);
    expect([windows.at(0).length, windows.at(1).length]).toEqual([9, 9]);
  });

  it('remembers the highest floor of windows before an instant, and nothing of one that reaches past it', () => {
    const windows = watched([5, 5, 5, 5, 9, 9, 9, 9, 7, 7, 7, 7, 0], MINUTE, 4 * MINUTE);
    expect(windows.peakBefore(0, 0)).toBe(-Infinity);
    expect(windows.peakBefore(4 * MINUTE, 0)).toBe(5);
    expect(windows.peakBefore(8 * MINUTE - 1, 0)).toBe(5);
    expect(windows.peakBefore(8 * MINUTE, 0)).toBe(9);
  });
});
