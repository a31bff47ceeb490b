import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TrackedMap } from '../../src/maps/tracked-map.js';
import { trackedPartsOf } from '../../src/maps/tracked-mark.js';
import { AgeTable } from '../../src/stamps/age-table.js';
import { EntryTimes } from '../../src/stamps/entry-times.js';
import { createManualClock } from '../../src/testing.js';
import { type Clock, systemClock } from '../../src/time/clock.js';
import { Timeline } from '../../src/time/timeline.js';

const calls = 1_000;

type Call = 'register' | 'refresh';

/** Makes many calls at once and says when each began. */
function burst(times: EntryTimes, call: Call, from = 0, to = calls): number[] {
  const began: number[] = [];
  for (let slot = from; slot < to; slot += 1) {
    began[slot] = performance.now();
    times[call](slot);
  }
  return began;
}

const stampOf = (times: EntryTimes, call: Call, slot: number): number =>
  call === 'register' ? times.registeredAt(slot) : times.lastActiveAt(slot);

const stampsOf = (times: EntryTimes, call: Call): number[] =>
  Array.from({ length: calls }, (_, slot) => stampOf(times, call, slot));

function busyWait(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

function withRealTime(ages?: AgeTable, isUsed = (_: number): boolean => true): EntryTimes {
  const times = new EntryTimes({ clock: systemClock, stampOf: Math.floor }, calls, isUsed, ages);
  // Compiled, or the first calls are too slow to be a burst.
  for (let round = 0; round < 20; round += 1) for (const call of bothCalls) burst(times, call);
  return times;
}

const bothCalls = ['register', 'refresh'] as const;

describe.each(bothCalls)('the stamps of %s', (call) => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('reads the clock for a burst less often than for single calls', async () => {
    const times = withRealTime();
    await Promise.resolve();
    const readings = new Set<number>();
    for (let slot = 0; slot < calls; slot += 1) {
      times[call](slot);
      readings.add(times.readAt);
    }
    expect(readings.size).toBeLessThan(calls / 4);
  });

  it('stamps nothing before the ms in which it happened, in order, and nothing after the turn', async () => {
    const times = withRealTime();
    const began = burst(times, call);
    await Promise.resolve();
    const turnIsOver = performance.now();
    await sleep(5);
    const stamps = stampsOf(times, call);
    for (const [slot, at] of stamps.entries()) {
      expect(at).toBeGreaterThanOrEqual(Math.floor(began[slot] as number));
      expect(at).toBeLessThanOrEqual(turnIsOver);
      expect(Number.isInteger(at)).toBe(true);
    }
    expect(stamps).toEqual(stamps.toSorted((a, b) => a - b));
  });

  it('has nothing look older than it is, however long somebody takes in the midst of a burst', async () => {
    const times = withRealTime();
    burst(times, call, 0, 100);
    busyWait(20);
    const began = burst(times, call, 100, 102);
    await Promise.resolve();
    expect(stampOf(times, call, 100)).toBeGreaterThanOrEqual(Math.floor(began[100] as number));
    expect(stampOf(times, call, 101)).toBeGreaterThanOrEqual(Math.floor(began[101] as number));
  });

  it('is true whenever somebody asks, also in the middle of a burst', () => {
    const times = withRealTime();
    for (let slot = 0; slot < calls; slot += 1) {
      const before = performance.now();
      times[call](slot);
      if (slot % 7 !== 0) continue;
      const at = stampOf(times, call, slot);
      expect(at).toBeGreaterThanOrEqual(Math.floor(before));
      expect(at).toBeLessThanOrEqual(performance.now());
    }
  });

  it('stamps calls at once again when they come slowly, still in the same turn', () => {
    const times = withRealTime();
    burst(times, call, 0, 100);
    const began: number[] = [];
    for (let slot = 100; slot < 300; slot += 1) {
      busyWait(0.1);
      began[slot] = performance.now();
      times[call](slot);
    }
    // The first of them may wait for a reading, but no more than a batch does.
    for (let slot = 200; slot < 299; slot += 1) {
      expect(stampOf(times, call, slot)).toBeGreaterThanOrEqual(Math.floor(began[slot] as number));
      expect(stampOf(times, call, slot)).toBeLessThan(began[slot + 1] as number);
    }
  });

  it('keeps an instant that was set while another call waited for the slot', async () => {
    const times = withRealTime();
    burst(times, call);
    times.refreshAt(calls - 1, 5);
    times.refreshAt(calls - 2, 6);
    burst(times, call, 0, 10);
    await Promise.resolve();
    expect([times.lastActiveAt(calls - 1), times.lastActiveAt(calls - 2)]).toEqual([5, 6]);
  });

  it('survives that its slots are gone before they are stamped', async () => {
    const times = withRealTime();
    burst(times, call);
    times.resize(16);
    await Promise.resolve();
    times.resize(calls);
    expect(stampOf(times, call, calls - 1)).toBe(stampOf(times, call, 20));
  });

  it('stamps every call at once by a clock that is not the real one', () => {
    const manual = createManualClock();
    let at = 0;
    // So fast that real calls would be a burst.
    const clock: Clock = { ...manual, monotonic: () => ++at / 1_000 };
    const times = new EntryTimes({ clock, stampOf: Math.floor }, calls, () => true);
    burst(times, call);
    expect(at).toBe(calls);
    expect(new Set(stampsOf(times, call))).toEqual(new Set([0, 1]));
  });

  it('stamps every call at once under fake timers', () => {
    const times = withRealTime();
    vi.useFakeTimers();
    const stamps: number[] = [];
    for (let slot = 0; slot < calls; slot += 1) {
      times[call](slot);
      stamps.push(Math.floor(performance.now()));
      vi.advanceTimersByTime(slot % 3 === 0 ? 1 : 0);
    }
    expect(stampsOf(times, call)).toEqual(stamps);
  });

  it('stamps by real time what happened in real time, though fake timers came before the turn was over', () => {
    const times = withRealTime();
    const began = burst(times, call);
    vi.useFakeTimers();
    vi.advanceTimersByTime(3_600_000);
    const last = stampOf(times, call, calls - 1);
    vi.useRealTimers();
    expect(last).toBeGreaterThanOrEqual(Math.floor(began[calls - 1] as number));
    expect(last).toBeLessThanOrEqual(performance.now());
  });
});

describe('what is registered in a burst', () => {
  it('is active from then on', async () => {
    const times = withRealTime();
    burst(times, 'register');
    await Promise.resolve();
    for (let slot = 0; slot < calls; slot += 1)
      expect(times.lastActiveAt(slot)).toBe(times.registeredAt(slot));
  });

  it('is counted once, by when it was registered', () => {
    const ages = new AgeTable(Math.floor(performance.now()), 3_600_000);
    const times = withRealTime(ages);
    const before = ages.cohorts[0]?.registered ?? 0;
    burst(times, 'register', 0, 101);
    times.stampWaiting();
    expect(ages.cohorts[0]?.registered).toBe(before + 101);
  });

  it('counts among the oldest at once', () => {
    const times = withRealTime();
    times.clear();
    burst(times, 'register');
    expect(times.oldestSlots(3)).toEqual([0, 1, 2]);
    expect(times.oldest()).toBe(times.registeredAt(0));
  });

  it('is on no list any more once it has left, though it was not stamped until then', async () => {
    for (const leave of ['forget', 'clear'] as const) {
      let isThere = true;
      const times = withRealTime(undefined, () => isThere);
      times.clear();
      burst(times, 'register', 0, 1);
      times[leave](0);
      isThere = false;
      await Promise.resolve();
      expect(times.oldest()).toBe(Number.POSITIVE_INFINITY);
    }
  });

  it('is counted by whoever asks for the ages of its map', () => {
    const map = new TrackedMap<number, number>();
    const parts = trackedPartsOf(map);
    for (let key = 0; key < calls; key += 1) map.set(key, key);
    expect(parts?.tracker.ages.cohorts.map(({ registered }) => registered)).toEqual([calls]);
  });
});

describe('a TrackedMap that is filled in a burst', () => {
  it('keeps to the lifetime of what came after a pause in it', async () => {
    const maxAge = 1_000;
    const map = new TrackedMap<number, number>(null, { maxAge });
    const fill = (from: number, count: number): void => {
      for (let key = from; key < from + count; key += 1) map.set(key, key);
    };
    for (let round = 0; round < 20; round += 1) fill(0, calls);
    map.clear();
    await sleep(1);
    fill(0, calls);
    const filledAt = performance.now();
    busyWait(500);
    const lateAt = performance.now();
    fill(calls, 10);
    // What asks for a stamp while it is still to be made finds it.
    expect(map.delete(calls + 9)).toBe(true);
    await sleep(filledAt + maxAge - performance.now() + 50);
    await map.sweep();
    if (performance.now() < lateAt + maxAge) {
      // Of those before the pause some may have waited for the next reading: no more than one batch.
      expect(map.size).toBeLessThan(9 + 64);
      for (let key = calls; key < calls + 9; key += 1) expect(map.has(key)).toBe(true);
    }
    await sleep(lateAt + maxAge - performance.now() + 50);
    await map.sweep();
    expect(map.size).toBe(0);
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

describe('instants far apart', () => {
  const day = 86_400_000;

  function withEntries(at: number) {
    const used = new Set<number>();
    const times = new EntryTimes({ clock: createManualClock(), stampOf: Math.floor }, 16, (slot) =>
      used.has(slot),
    );
    const add = (slot: number, registeredAt: number): void => {
      used.add(slot);
      times.registerAt(slot, registeredAt);
    };
    add(0, at);
    return { times, add, used };
  }

  it.each([0, -3_000 * day, 5_000 * day + 1])('are exact for years, from %d ms on', (from) => {
    const { times, add, used } = withEntries(from);
    const known = new Map([[0, { registeredAt: from, lastActiveAt: from }]]);
    for (let days = 1; days < 1_000; days += 1) {
      const at = from + days * day + 7;
      used.delete(days % 14);
      add(days % 14, at);
      known.set(days % 14, { registeredAt: at, lastActiveAt: at });
      const old = known.get((days + 3) % 14);
      if (old !== undefined) {
        old.lastActiveAt = at + 1;
        times.refreshAt((days + 3) % 14, at + 1);
      }
      for (const [slot, stamps] of known) {
        expect(times.registeredAt(slot)).toBe(stamps.registeredAt);
        expect(times.lastActiveAt(slot)).toBe(stamps.lastActiveAt);
      }
    }
  });

  it('are exact where one entry stays for years', () => {
    const { times, add } = withEntries(3);
    for (let days = 1; days < 1_000; days += 1) {
      add(1 + (days % 2), days * day);
      times.refreshAt(0, days * day + 5);
      expect(times.registeredAt(0)).toBe(3);
      expect(times.lastActiveAt(0)).toBe(days * day + 5);
      expect(times.registeredAt(1 + (days % 2))).toBe(days * day);
    }
    expect(times.oldest()).toBe(3);
  });

  it.each([-Infinity, 0, 1, -60 * day])('are exact where one looks older than it is: %d', (at) => {
    const { times, add } = withEntries(50_000 * day);
    add(1, 50_000 * day + 1);
    times.restamp(0, at, 50_000 * day + 2);
    expect([0, 1].map((slot) => times.registeredAt(slot))).toEqual([at, 50_000 * day + 1]);
    expect([0, 1].map((slot) => times.lastActiveAt(slot))).toEqual([50_000 * day + 2, 50_000 * day + 1]);
    times.resize(32);
    expect(times.registeredAt(0)).toBe(at);
    times.clear();
    add(1, 50_000 * day + 3.5);
    expect(times.registeredAt(1)).toBe(50_000 * day + 3);
  });

  it('take no more room for what was there before all had left', () => {
    const { times, add, used } = withEntries(0);
    used.clear();
    times.clear();
    add(0, 90 * day);
    expect(times.registeredAt(0)).toBe(90 * day);
    // Whatever is noted is kept in as many bits as instants are.
    times.note(1, 2 ** 32 + 5);
    expect(times.noteOf(1)).toBe(5);
  });

  it('leave alone what is noted of slots without an entry', () => {
    const { times, add, used } = withEntries(0);
    used.delete(0);
    times.note(0, -1);
    times.note(5, 7);
    for (const days of [1, 30, 60, 90, 10_000]) {
      add(1, days * day);
      expect([times.noteOf(0), times.noteOf(5)]).toEqual([-1, 7]);
    }
  });
});

it('stamps with the beginning of the ms that the wall clock showed', () => {
  const clock = { ...createManualClock(), now: () => 1_234.25, monotonic: () => 0 };
  const timeline = new Timeline(clock, () => {});
  const times = new EntryTimes(timeline, 16, () => true);
  const stamps = [10, 10.5, 10.75, 11.7].map((at, slot) => {
    times.registerAt(slot, at);
    return times.registeredAt(slot) - timeline.epochStart;
  });
  expect(stamps).toEqual([1_244, 1_244, 1_245, 1_245]);
});
