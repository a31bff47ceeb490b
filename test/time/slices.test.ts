import type { Clock } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { expect, test } from 'vitest';
import { Slices, type SlicesOptions } from '../../src/time/slices.js';
import { slowClock } from './slow-clock.js';

/** A clock of which each reading takes 1 ms, so that a slice of n ms has n steps. */
const tickingClock = (onYield?: (pause: number) => void): Clock => slowClock(createManualClock(), 1, onYield);

/** Does `count` steps in slices and returns how many were done. */
async function steps(count: number, options: SlicesOptions): Promise<number> {
  const slices = new Slices(options);
  let done = 0;
  while (done < count) {
    done += 1;
    if (slices.isOver() && !(await slices.giveWay())) break;
  }
  slices.end();
  return done;
}

const stepsUntilOver = (slices: Slices): number => {
  for (let count = 1; ; count += 1) if (slices.isOver()) return count;
};

test('gives way once the budget is used up, and not before', async () => {
  let pauses = 0;
  const slices = new Slices({ clock: tickingClock((pause) => (pauses = pause)), budgetMs: 5 });
  expect(stepsUntilOver(slices)).toBe(5);
  expect(pauses).toBe(0);
  expect(await slices.giveWay()).toBe(true);
  expect(pauses).toBe(1);
  expect(stepsUntilOver(slices)).toBe(5);
});

test('gives way 20,000 times over 100,000 steps of 1 ms with a budget of 5 ms', async () => {
  let pauses = 0;
  const clock = tickingClock((pause) => (pauses = pause));
  expect(await steps(100_000, { clock, budgetMs: 5 })).toBe(100_000);
  expect(pauses).toBe(20_000);
});

test('reads the clock once in 8 steps where that is asked for, and begins to count anew with each slice', async () => {
  const slices = new Slices({ clock: tickingClock(), budgetMs: 1, stepsPerReading: 8 });
  expect(stepsUntilOver(slices)).toBe(8);
  slices.isOver();
  await slices.giveWay();
  expect(stepsUntilOver(slices)).toBe(8);
  slices.stepsPerReading = 2;
  expect(stepsUntilOver(slices)).toBe(2);
});

test('shows the clock as it last read it', () => {
  const slices = new Slices({ clock: tickingClock(), budgetMs: 1, stepsPerReading: 2 });
  const began = slices.now;
  slices.isOver();
  expect(slices.now).toBe(began);
  slices.isOver();
  expect(slices.now).toBe(began + 1);
});

test('counts what the slices took, and not the pauses in between', async () => {
  const manual = createManualClock();
  const clock = { ...manual, yield: () => manual.advance(60_000) };
  const slices = new Slices({ clock, budgetMs: 5 });
  for (let slice = 0; slice < 3; slice += 1) {
    await manual.advance(7);
    expect(slices.isOver()).toBe(true);
    await slices.giveWay();
  }
  await manual.advance(2);
  slices.isOver();
  expect(slices.spentMs).toBe(3 * 7 + 2);
});

test('tells of each slice how long it took, also of the last', async () => {
  const durations: number[] = [];
  const sliceFinished = (durationMs: number): void => void durations.push(durationMs);
  await steps(7, { clock: tickingClock(), budgetMs: 3, sliceFinished });
  // One reading more than the budget: the end of a slice is read too.
  expect(durations).toEqual([4, 4, 2]);
});

test('ends work that was stopped while the event loop had its turn', async () => {
  let isStopped = false;
  const clock = tickingClock(() => {
    isStopped = true;
  });
  expect(await steps(100, { clock, budgetMs: 5, isStopped: () => isStopped })).toBe(5);
});

test('goes on after a clock whose yield fails', async () => {
  const clock = tickingClock(() => {
    throw new Error('no turn');
  });
  expect(await steps(100, { clock, budgetMs: 5 })).toBe(100);
});
