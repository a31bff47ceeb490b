import type { Clock } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
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

/** A clock that shows how often it was read, and stands still in between. */
function countedClock(): {
  readonly clock: Clock;
  readonly manual: ManualClock;
  readonly readings: () => number;
} {
  const manual = createManualClock();
  let count = 0;
  const monotonic = (): number => {
    count += 1;
    return manual.monotonic();
  };
  return { clock: { ...manual, monotonic, yield: () => manual.yield() }, manual, readings: () => count };
}

test('reads the clock twice as rarely each time while steps are quick, down to once in as many as asked for', async () => {
  const { clock, readings } = countedClock();
  const slices = new Slices({ clock, budgetMs: 5, stepsPerReading: 8 });
  const stepsToReading = (): number => {
    const before = readings();
    for (let count = 1; ; count += 1) {
      slices.isOver();
      if (readings() > before) return count;
    }
  };
  expect([1, 2, 3, 4, 5].map(stepsToReading)).toEqual([1, 2, 4, 8, 8]);
  // Anew with each slice.
  await slices.giveWay();
  expect([1, 2].map(stepsToReading)).toEqual([1, 2]);
});

test('reads the clock after each step once some have taken long', async () => {
  const { clock, manual, readings } = countedClock();
  const slices = new Slices({ clock, budgetMs: 128, stepsPerReading: 8 });
  for (let step = 0; step < 1 + 2 + 4; step += 1) slices.isOver();
  // A hundred and twenty-eighth of the slice is quick, and more is not.
  for (const [tookMs, next] of [
    [1, 8],
    [1.1, 1],
  ] as const) {
    await manual.advance(tookMs);
    for (let step = 0; step < 8; step += 1) slices.isOver();
    const before = readings();
    for (let step = 1; step < next; step += 1) slices.isOver();
    expect(readings()).toBe(before);
    slices.isOver();
    expect(readings()).toBe(before + 1);
  }
});

test('goes on after the first step that takes all of a slice, however many may come between two readings', async () => {
  const manual = createManualClock();
  const slices = new Slices({ clock: manual, budgetMs: 5, stepsPerReading: 8 });
  for (let slice = 0; slice < 3; slice += 1) {
    await manual.advance(5);
    expect(slices.isOver()).toBe(true);
    await slices.giveWay();
  }
});

test('shows the clock as it last read it', async () => {
  const manual = createManualClock();
  const slices = new Slices({ clock: manual, budgetMs: 5_000, stepsPerReading: 2 });
  const began = slices.now;
  slices.isOver();
  await manual.advance(1);
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
