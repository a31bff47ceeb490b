import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createManualClock } from '../../src/testing/manual-clock.js';

afterEach(() => {
  vi.useRealTimers();
});

describe('time', () => {
  test('starts at 1_700_000_000_000 on the wall and above 0 on the monotonic clock', () => {
    const clock = createManualClock();
    expect(clock.now()).toBe(1_700_000_000_000);
    expect(clock.monotonic()).toBeGreaterThan(0);
  });

  test('starts at startAt, and both clocks advance by the same', async () => {
    const clock = createManualClock({ startAt: 42 });
    const start = clock.monotonic();
    await clock.advance(1_000);
    await clock.advance(0.5);
    expect([clock.now(), clock.monotonic() - start]).toEqual([1_042.5, 1_000.5]);
  });

  test('jumpWall moves the wall alone, in both directions, and fires nothing', async () => {
    const clock = createManualClock();
    const [wall, start] = [clock.now(), clock.monotonic()];
    let fired = 0;
    clock.setTimeout(() => (fired += 1), 10);
    clock.jumpWall(3_600_000);
    expect(clock.now() - wall).toBe(3_600_000);
    clock.jumpWall(-7_200_000);
    await clock.advance(9);
    expect([clock.now() - wall, clock.monotonic() - start, fired]).toEqual([-3_599_991, 9, 0]);
    await clock.advance(1);
    expect([fired, clock.pendingTimers]).toEqual([1, 0]);
  });

  test('stands still without advance', async () => {
    const clock = createManualClock();
    const before = [clock.now(), clock.monotonic()];
    for (let turn = 0; turn < 10; turn += 1) await clock.yield();
    expect([clock.now(), clock.monotonic()]).toEqual(before);
  });
});

describe('timers', () => {
  test('fire in the order of instant, then of creation, each at its own instant', async () => {
    const clock = createManualClock();
    const start = clock.monotonic();
    const fired: string[] = [];
    const set = (name: string, ms: number) =>
      clock.setTimeout(() => fired.push(`${name} at ${clock.monotonic() - start}`), ms);
    set('c', 30);
    set('a', 10);
    set('d', 30);
    set('b', 20);
    set('late', 31);
    await clock.advance(30);
    expect(fired).toEqual(['a at 10', 'b at 20', 'c at 30', 'd at 30']);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(1);
    expect(clock.pendingTimers).toBe(0);
  });

  test('advance takes a duration string, as options do', async () => {
    const clock = createManualClock();
    const start = clock.now();
    const fired: number[] = [];
    clock.setTimeout(() => fired.push(clock.now() - start), 90_000);
    await clock.advance('1.5m');
    expect(fired).toEqual([90_000]);
    await clock.advance('24h');
    expect(clock.now() - start).toBe(90_000 + 86_400_000);
    for (const wrong of ['5 parsecs', '-5m'])
      await expect(clock.advance(wrong as '2m')).rejects.toMatchObject({ code: 'ERR_INVALID_DURATION' });
  });

  test('set by timers fire inside the window, and not beyond it', async () => {
    const clock = createManualClock();
    const start = clock.monotonic();
    const fired: number[] = [];
    const everyTen = (): void => {
      fired.push(clock.monotonic() - start);
      clock.setTimeout(everyTen, 10);
    };
    clock.setTimeout(everyTen, 10);
    await clock.advance(35);
    expect([fired, clock.monotonic() - start]).toEqual([[10, 20, 30], 35]);
    await clock.advance(5);
    expect(fired).toEqual([10, 20, 30, 40]);
  });

  test('advance(0) fires those due now, also when a promise sets them', async () => {
    const clock = createManualClock();
    const fired: string[] = [];
    clock.setTimeout(() => fired.push('at once'), 0);
    void nextTurn().then(() => clock.setTimeout(() => fired.push('after a turn'), 0));
    clock.setTimeout(() => fired.push('1 ms'), 1);
    await clock.advance(0);
    expect(fired).toEqual(['at once', 'after a turn']);
  });

  test('cleared ones do not fire; fired, unknown and foreign handles are ignored', async () => {
    const clock = createManualClock();
    let fired = 0;
    const handle = clock.setTimeout(() => (fired += 1), 5);
    const kept = clock.setTimeout(() => (fired += 1), 5);
    clock.clearTimeout(handle);
    clock.clearTimeout(handle);
    for (const foreign of [
      undefined,
      null,
      0,
      'x',
      {},
      { index: 0 },
      createManualClock().setTimeout(() => {}, 1),
    ]) {
      clock.clearTimeout(foreign);
    }
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(5);
    clock.clearTimeout(kept);
    expect([fired, clock.pendingTimers]).toEqual([1, 0]);
  });

  test('one that throws stops no other, and rejects advance with its error at the end of the window', async () => {
    const clock = createManualClock();
    const start = clock.monotonic();
    const failure = new Error('timer');
    const fired: number[] = [];
    clock.setTimeout(() => {
      throw failure;
    }, 1);
    clock.setTimeout(() => fired.push(2), 2);
    await expect(clock.advance(10)).rejects.toBe(failure);
    expect([fired, clock.monotonic() - start]).toEqual([[2], 10]);
    for (const _ of [1, 2]) {
      clock.setTimeout(() => {
        throw failure;
      }, 1);
    }
    await expect(clock.advance(1)).rejects.toMatchObject({ errors: [failure, failure] });
    await expect(clock.advance(1)).resolves.toBeUndefined();
  });

  test('that set each other at 0 ms for ever reject advance instead of hanging it', {
    timeout: 60_000,
  }, async () => {
    const clock = createManualClock();
    const again = (): void => void clock.setTimeout(again, 0);
    again();
    await expect(clock.advance(0)).rejects.toMatchObject({ code: 'ERR_NOT_DRAINED' });
  });
});

describe('promises', () => {
  test('settle before the first timer, between two of one instant, and after the last', async () => {
    const clock = createManualClock();
    const order: string[] = [];
    const later = async (name: string): Promise<void> => {
      await nextTurn();
      await Promise.resolve();
      await nextTurn();
      order.push(name);
    };
    void later('before');
    for (const name of ['first', 'second']) {
      clock.setTimeout(() => {
        order.push(name);
        void later(`after ${name}`);
      }, 5);
    }
    await clock.advance(5);
    expect(order).toEqual(['before', 'first', 'after first', 'second', 'after second']);
  });

  test('a pass of 200 slices with a yield between each ends in the advance that started it', async () => {
    const clock = createManualClock();
    let slices = 0;
    clock.setTimeout(async () => {
      for (; slices < 200; slices += 1) await clock.yield();
    }, 5);
    await clock.advance(5);
    expect(slices).toBe(200);
  });

  test('advance comes back although somebody yields for ever', async () => {
    const clock = createManualClock();
    let isOver = false;
    void (async () => {
      while (!isOver) await clock.yield();
    })();
    await clock.advance(5);
    isOver = true;
  });

  test('advances that overlap queue up, in the order of the calls', async () => {
    const clock = createManualClock();
    const start = clock.monotonic();
    const seen: string[] = [];
    clock.setTimeout(() => seen.push(`timer ${clock.monotonic() - start}`), 15);
    await Promise.all([
      clock.advance(10).then(() => seen.push(`first ${clock.monotonic() - start}`)),
      clock.advance(10).then(() => seen.push(`second ${clock.monotonic() - start}`)),
    ]);
    expect(seen).toEqual(['first 10', 'timer 15', 'second 20']);
  });

  test('a timer may advance: that waits for the advance that fired it', async () => {
    const clock = createManualClock();
    const start = clock.monotonic();
    let inner: Promise<void> | undefined;
    clock.setTimeout(() => {
      inner = clock.advance(100);
    }, 1);
    await clock.advance(10);
    await inner;
    expect(clock.monotonic() - start).toBe(110);
  });

  test('works while the fake timers of the test runner have frozen setImmediate and performance', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'queueMicrotask', 'performance', 'Date'] });
    const clock = createManualClock();
    let fired = 0;
    clock.setTimeout(() => (fired += 1), 5);
    await clock.advance(5);
    await clock.yield();
    expect(fired).toBe(1);
  });
});

describe('random', () => {
  test('is mulberry32: 0.627..., 0.0027... and 0.527... for seed 1', () => {
    const { random } = createManualClock({ seed: 1 });
    expect([random(), random(), random()]).toEqual([
      0.6270739405881613, 0.002735721180215478, 0.5274470399599522,
    ]);
  });

  test('repeats for a seed, differs between seeds, stays in [0, 1) and is even', () => {
    const draw = (seed?: number) => {
      const clock = createManualClock({ seed });
      return Array.from({ length: 10_000 }, () => clock.random());
    };
    expect(draw()).toEqual(draw(1));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    const drawn = draw(0);
    expect(drawn.every((share) => share >= 0 && share < 1)).toBe(true);
    expect(drawn.reduce((sum, share) => sum + share) / drawn.length).toBeCloseTo(0.5, 1);
    expect(new Set(drawn).size).toBeGreaterThan(9_990);
  });
});

describe('arguments', () => {
  test.each([
    ['text', 'TypeError'],
    [10n, 'TypeError'],
    [null, 'TypeError'],
    [Number.NaN, 'RangeError'],
    [Infinity, 'RangeError'],
    [0, 'RangeError'],
    [-1, 'RangeError'],
  ])('startAt %s is a %s', (startAt, name) => {
    expect(() => createManualClock({ startAt: startAt as number })).toThrow(
      expect.objectContaining({
        name,
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('startAt'),
      }),
    );
  });

  test.each([
    ['1', 'TypeError'],
    [1.5, 'RangeError'],
    [-1, 'RangeError'],
    [2 ** 32, 'RangeError'],
  ])('seed %s is a %s', (seed, name) => {
    expect(() => createManualClock({ seed: seed as number })).toThrow(expect.objectContaining({ name }));
  });

  test('a misspelt option is an error with a suggestion', () => {
    expect(() => createManualClock({ startsAt: 5 } as object)).toThrow(/startsAt.*startAt/);
  });

  test.each([
    [true, 'TypeError'],
    [undefined, 'TypeError'],
    [Number.NaN, 'RangeError'],
    [Infinity, 'RangeError'],
    [-1, 'RangeError'],
  ])('advance(%s) rejects with a %s and moves nothing', async (ms, name) => {
    const clock = createManualClock();
    const start = clock.monotonic();
    await expect(clock.advance(ms as number)).rejects.toMatchObject({ name, code: 'ERR_INVALID_OPTION' });
    expect(clock.monotonic()).toBe(start);
  });

  test.each([
    ['1', 'TypeError'],
    [Number.NaN, 'RangeError'],
    [-Infinity, 'RangeError'],
  ])('jumpWall(%s) throws a %s', (ms, name) => {
    expect(() => createManualClock().jumpWall(ms as number)).toThrow(expect.objectContaining({ name }));
  });

  test.each([
    ['1', 'TypeError'],
    [undefined, 'TypeError'],
    [Number.NaN, 'RangeError'],
    [-1, 'RangeError'],
    [2 ** 31, 'RangeError'],
    [Infinity, 'RangeError'],
  ])('setTimeout(fn, %s) throws a %s, where Node would make it 1 ms', (ms, name) => {
    const clock = createManualClock();
    expect(() => clock.setTimeout(() => {}, ms as number)).toThrow(expect.objectContaining({ name }));
    expect(clock.pendingTimers).toBe(0);
  });

  test('setTimeout takes no function but a function', () => {
    expect(() => createManualClock().setTimeout('code' as unknown as () => void, 1)).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('"code"') }),
    );
  });
});
