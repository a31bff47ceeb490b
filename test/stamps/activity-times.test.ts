import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TrackedMap } from '../../src/maps/tracked-map.js';
import { ActivityTimes } from '../../src/stamps/activity-times.js';
import { createManualClock } from '../../src/testing.js';
import { type Clock, systemClock } from '../../src/time/clock.js';

const calls = 1_000;

/** Makes many calls at once and says when each began. */
function burst(activity: ActivityTimes, from = 0, to = calls): number[] {
  const began: number[] = [];
  for (let slot = from; slot < to; slot += 1) {
    began[slot] = performance.now();
    activity.refresh(slot);
  }
  return began;
}

function stampsOf(activity: ActivityTimes): number[] {
  return Array.from({ length: calls }, (_, slot) => activity.at(slot));
}

function busyWait(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

const withRealTime = (): ActivityTimes => {
  const activity = new ActivityTimes(systemClock, calls);
  // Compiled, or the first calls are too slow to be a burst.
  for (let round = 0; round < 20; round += 1) burst(activity);
  return activity;
};

describe('the last activity', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('reads the clock for a burst less often than for single calls', async () => {
    const activity = withRealTime();
    await Promise.resolve();
    burst(activity);
    expect(new Set(stampsOf(activity)).size).toBeLessThan(calls / 4);
  });

  it('stamps nothing before it happened, in order, and nothing after the turn', async () => {
    const activity = withRealTime();
    const began = burst(activity);
    await Promise.resolve();
    const turnIsOver = performance.now();
    await sleep(5);
    const stamps = stampsOf(activity);
    for (const [slot, at] of stamps.entries()) {
      expect(at).toBeGreaterThanOrEqual(began[slot] as number);
      expect(at).toBeLessThanOrEqual(turnIsOver);
    }
    expect(stamps).toEqual(stamps.toSorted((a, b) => a - b));
  });

  it('is true whenever somebody asks, also in the middle of a burst', () => {
    const activity = withRealTime();
    for (let slot = 0; slot < calls; slot += 1) {
      const before = performance.now();
      activity.refresh(slot);
      if (slot % 7 !== 0) continue;
      const at = activity.at(slot);
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThanOrEqual(performance.now());
    }
  });

  it('stamps calls at once again when they come slowly, still in the same turn', () => {
    const activity = withRealTime();
    burst(activity, 0, 100);
    const began: number[] = [];
    for (let slot = 100; slot < 300; slot += 1) {
      busyWait(0.1);
      began[slot] = performance.now();
      activity.refresh(slot);
    }
    // The first of them may wait for a reading, but no more than a batch does.
    for (let slot = 200; slot < 299; slot += 1) {
      expect(activity.at(slot)).toBeGreaterThanOrEqual(began[slot] as number);
      expect(activity.at(slot)).toBeLessThan(began[slot + 1] as number);
    }
  });

  it('keeps an instant that was set while another activity of the slot waited', async () => {
    const activity = withRealTime();
    burst(activity);
    activity.set(calls - 1, 5);
    activity.set(calls - 2, 6);
    burst(activity, 0, 10);
    await Promise.resolve();
    expect([activity.at(calls - 1), activity.at(calls - 2)]).toEqual([5, 6]);
  });

  it('survives that its slots are gone before they are stamped', async () => {
    const activity = withRealTime();
    burst(activity);
    activity.resize(16);
    await Promise.resolve();
    activity.resize(calls);
    expect(activity.at(calls - 1)).toBe(0);
  });

  it('stamps every call at once by a clock that is not the real one', () => {
    const manual = createManualClock();
    let at = 0;
    // So fast that real calls would be a burst.
    const clock: Clock = { ...manual, monotonic: () => ++at / 1_000 };
    const activity = new ActivityTimes(clock, calls);
    burst(activity);
    expect(stampsOf(activity)).toEqual(Array.from({ length: calls }, (_, slot) => (slot + 1) / 1_000));
  });

  it('stamps every call at once under fake timers', () => {
    const activity = withRealTime();
    vi.useFakeTimers();
    const stamps: number[] = [];
    for (let slot = 0; slot < calls; slot += 1) {
      activity.refresh(slot);
      stamps.push(performance.now());
      vi.advanceTimersByTime(slot % 3 === 0 ? 1 : 0);
    }
    expect(stampsOf(activity)).toEqual(stamps);
  });

  it('stamps by real time what happened in real time, though fake timers came before the turn was over', () => {
    const activity = withRealTime();
    const began = burst(activity);
    vi.useFakeTimers();
    vi.advanceTimersByTime(3_600_000);
    const last = activity.at(calls - 1);
    vi.useRealTimers();
    expect(last).toBeGreaterThanOrEqual(began[calls - 1] as number);
    expect(last).toBeLessThanOrEqual(performance.now());
  });
});

describe('a TrackedMap that is touched in a burst', () => {
  it('sweeps the idle, and none that was touched', async () => {
    const map = new TrackedMap<number, string>(null, { maxIdle: 1_000 });
    for (let key = 0; key < calls; key += 1) map.set(key, 'value');
    await sleep(1_050);
    // Stamps are made by the monotonic clock, from which the wall clock of whole ms may differ by one.
    const began = Date.now() - 1;
    for (let key = 0; key < calls; key += 2) {
      if (key % 4 === 0) map.touch(key);
      else map.set(key, 'other');
    }
    await map.sweep();
    expect(map.size).toBe(calls / 2);
    for (const key of map.keys()) {
      expect(key % 2).toBe(0);
      const { registeredAt, lastActiveAt } = map.stamps(key) as {
        registeredAt: number;
        lastActiveAt: number;
      };
      expect(lastActiveAt).toBeGreaterThanOrEqual(began);
      expect(lastActiveAt).toBeLessThanOrEqual(Date.now());
      expect(registeredAt).toBeLessThan(began);
    }
    await sleep(1_050);
    await map.sweep();
    expect(map.size).toBe(0);
  });
});
