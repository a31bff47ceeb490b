import { AsyncLocalStorage } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createManualClock } from '../../src/testing/manual-clock.js';
import type { Clock } from '../../src/time/clock.js';
import { TimerQueue } from '../../src/time/timer-queue.js';

/** A manual clock that writes down the delay of every timer that is set. */
function recordingClock() {
  const manual = createManualClock();
  const delays: number[] = [];
  const clock: Clock = {
    ...manual,
    setTimeout: (fn, ms) => {
      delays.push(ms);
      return manual.setTimeout(fn, ms);
    },
  };
  return { manual, clock, delays };
}

describe('one timer', () => {
  test('1,000 tickets set 1 timer, for the earliest, and run in order', async () => {
    const { manual, clock, delays } = recordingClock();
    const timers = new TimerQueue(clock);
    const start = clock.monotonic();
    const ran: number[] = [];
    for (let index = 0; index < 1_000; index += 1)
      timers.schedule(start + 10 + index, (at) => ran.push(at - start));
    expect([timers.size, manual.pendingTimers, delays]).toEqual([1_000, 1, [10]]);
    await manual.advance(1_009);
    expect(ran).toEqual(Array.from({ length: 1_000 }, (_, index) => 10 + index));
    expect([timers.size, manual.pendingTimers]).toEqual([0, 0]);
  });

  test('an earlier ticket moves the timer, a later one and a cancelled one do not', async () => {
    const { manual, clock, delays } = recordingClock();
    const timers = new TimerQueue(clock);
    const start = clock.monotonic();
    const ran: string[] = [];
    timers.schedule(start + 100.4, () => ran.push('100.4'));
    timers.schedule(start + 200, () => ran.push('200'));
    const earliest = timers.schedule(start + 50, () => ran.push('50'));
    timers.cancel(earliest);
    timers.schedule(start + 300.7, () => ran.push('300.7'));
    expect(delays).toEqual([101, 50]);
    await manual.advance(400);
    expect(ran).toEqual(['100.4', '200', '300.7']);
    expect(manual.pendingTimers).toBe(0);
  });

  test('1,000 tickets of the past set 1 timer', () => {
    const { clock, delays } = recordingClock();
    const timers = new TimerQueue(clock);
    for (let index = 0; index < 1_000; index += 1) timers.schedule(-index, () => {});
    expect(delays).toEqual([0]);
  });

  test('the last ticket that is cancelled takes the timer with it, and cancelling again is nothing', () => {
    const { manual, clock } = recordingClock();
    const timers = new TimerQueue(clock);
    const kept = timers.schedule(clock.monotonic() + 10, () => {});
    const other = timers.schedule(clock.monotonic() + 20, () => {});
    timers.cancel(kept);
    timers.cancel(kept);
    timers.cancel(undefined);
    expect([timers.size, manual.pendingTimers]).toEqual([1, 1]);
    timers.cancel(other);
    expect([timers.size, manual.pendingTimers]).toEqual([0, 0]);
  });

  test('100,000 tickets scheduled and cancelled leave none behind', () => {
    const { manual, clock } = recordingClock();
    const timers = new TimerQueue(clock);
    for (let index = 0; index < 100_000; index += 1) {
      timers.cancel(timers.schedule(clock.monotonic() + 1 + (index % 977), () => {}));
    }
    expect([timers.size, manual.pendingTimers]).toEqual([0, 0]);
  });

  test('a cancelled ticket that is kept does not pin its closure', async () => {
    const { clock } = recordingClock();
    const timers = new TimerQueue(clock);
    timers.schedule(clock.monotonic() + 1, () => {});
    const scheduleOne = () => {
      const pinned = { big: new Array(1_000).fill(0) };
      return {
        ticket: timers.schedule(clock.monotonic() + 5, () => void pinned.big),
        ref: new WeakRef(pinned),
      };
    };
    const { ticket, ref } = scheduleOne();
    timers.cancel(ticket);
    for (let turn = 0; turn < 20 && ref.deref() !== undefined; turn += 1) {
      await nextTurn();
      globalThis.gc!();
    }
    expect(ref.deref() === undefined).toBe(true);
    expect(ticket).toBeDefined();
  });

  test('clamps a delay to 2^31-1 ms and goes on from there', async () => {
    const { manual, clock, delays } = recordingClock();
    const timers = new TimerQueue(clock);
    const longest = 2 ** 31 - 1;
    const ran: number[] = [];
    timers.schedule(clock.monotonic() + longest + 5_000, (at) => ran.push(at));
    timers.schedule(Infinity, () => ran.push(Infinity));
    await manual.advance(longest);
    expect([delays, ran.length]).toEqual([[longest, 5_000], 0]);
    await manual.advance(5_000);
    expect(ran).toHaveLength(1);
    timers.clear();
    expect(manual.pendingTimers).toBe(0);
  });

  test('rejects NaN, which is due never and always', () => {
    const timers = new TimerQueue(createManualClock());
    expect(() => timers.schedule(Number.NaN, () => {})).toThrow(
      expect.objectContaining({
        name: 'RangeError',
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('atMonotonic'),
      }),
    );
  });

  test('unrefs its timer, and refs it while the process is held', () => {
    const calls: string[] = [];
    const handle = () => ({ ref: () => calls.push('ref'), unref: () => calls.push('unref') });
    const clock = { ...createManualClock(), setTimeout: handle, clearTimeout: () => calls.push('clear') };
    const timers = new TimerQueue(clock);
    const ticket = timers.schedule(clock.monotonic() + 5, () => {});
    const release = timers.holdProcess();
    const releaseOther = timers.holdProcess();
    release();
    release();
    expect(calls.splice(0)).toEqual(['unref', 'ref', 'ref', 'ref']);
    releaseOther();
    timers.cancel(ticket);
    expect(calls).toEqual(['unref', 'clear']);
  });

  test('takes handles that are numbers or undefined, as browsers and simple clocks give', () => {
    for (const handle of [1, undefined, null]) {
      const timers = new TimerQueue({ ...createManualClock(), setTimeout: () => handle });
      expect(() => timers.schedule(1, () => {})).not.toThrow();
    }
  });
});

describe('never early', () => {
  test('a timer that fires 1 ms early runs nothing and is set again', async () => {
    const { manual, clock, delays } = recordingClock();
    let isEarly = true;
    const timers = new TimerQueue({
      ...clock,
      setTimeout: (fn, ms) => clock.setTimeout(fn, isEarly ? ms - 1 : ms),
    });
    const start = clock.monotonic();
    const ran: number[] = [];
    timers.schedule(start + 100, () => ran.push(clock.monotonic() - start));
    isEarly = false;
    await manual.advance(99);
    expect([ran, delays]).toEqual([[], [99, 1]]);
    await manual.advance(1);
    expect(ran).toEqual([100]);
    expect(manual.pendingTimers).toBe(0);
  });

  test('a fraction of a millisecond rounds up', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const start = clock.monotonic();
    const ran: number[] = [];
    timers.schedule(start + 10.25, () => ran.push(clock.monotonic() - start));
    await clock.advance(10.5);
    expect(ran).toEqual([]);
    await clock.advance(0.5);
    expect(ran).toEqual([11]);
  });

  test('an error of rounding does not cost 1 ms more', () => {
    const { manual, clock, delays } = recordingClock();
    const now = 12_345.678;
    const timers = new TimerQueue({ ...clock, monotonic: () => now });
    // 72345.678 - 12345.678 is 60000.00000000001 in floating point.
    timers.schedule(72_345.678_000_000_01, () => {});
    expect(delays).toEqual([60_000]);
    timers.clear();
    expect(manual.pendingTimers).toBe(0);
  });
});

describe('tickets', () => {
  test('one that throws stops no other and goes to onError, whose own throw goes nowhere', async () => {
    const clock = createManualClock();
    const errors: unknown[] = [];
    const timers = new TimerQueue(clock, {
      onError: (error) => {
        errors.push(error);
        throw new Error('onError');
      },
    });
    const ran: number[] = [];
    for (const at of [1, 2, 3]) {
      timers.schedule(clock.monotonic() + 5, () => {
        ran.push(at);
        throw at;
      });
    }
    await clock.advance(5);
    expect([ran, errors]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    const silent = new TimerQueue(clock);
    silent.schedule(clock.monotonic(), () => {
      throw undefined;
    });
    await clock.advance(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('one that schedules itself for now runs once a millisecond, not in a loop', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    let runs = 0;
    const again = (): void => {
      runs += 1;
      timers.schedule(clock.monotonic(), again);
    };
    timers.schedule(clock.monotonic(), again);
    await clock.advance(0);
    expect(runs).toBe(1);
    await clock.advance(10);
    expect(runs).toBe(11);
    timers.clear();
    expect(clock.pendingTimers).toBe(0);
  });

  test('what a ticket schedules for the past does not hold up those that were due with it', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const ran: string[] = [];
    const urgent = (): void => void timers.schedule(-1_000, urgent);
    timers.schedule(clock.monotonic() + 1, () => {
      ran.push('first');
      urgent();
    });
    for (const name of ['second', 'third']) timers.schedule(clock.monotonic() + 1, () => ran.push(name));
    await clock.advance(1);
    expect(ran).toEqual(['first', 'second', 'third']);
    timers.clear();
  });

  test('one can cancel another that is due at the same instant', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const ran: string[] = [];
    timers.schedule(clock.monotonic() + 1, () => {
      ran.push('first');
      timers.cancel(second);
    });
    const second = timers.schedule(clock.monotonic() + 1, () => ran.push('second'));
    timers.schedule(clock.monotonic() + 1, () => ran.push('third'));
    await clock.advance(1);
    expect(ran).toEqual(['first', 'third']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('pause inside one holds those behind it until resume', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const ran: string[] = [];
    timers.schedule(clock.monotonic() + 1, () => {
      ran.push('first');
      timers.pause();
    });
    timers.schedule(clock.monotonic() + 1, () => ran.push('second'));
    await clock.advance(60_000);
    expect([ran, timers.size, clock.pendingTimers]).toEqual([['first'], 1, 0]);
    timers.resume();
    await clock.advance(0);
    expect(ran).toEqual(['first', 'second']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('clear inside one drops those behind it', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const ran: string[] = [];
    timers.schedule(clock.monotonic() + 1, () => {
      ran.push('first');
      timers.clear();
    });
    timers.schedule(clock.monotonic() + 1, () => ran.push('second'));
    await clock.advance(60_000);
    expect([ran, timers.size, clock.pendingTimers]).toEqual([['first'], 0, 0]);
  });

  test('paused, it keeps what is scheduled and sets no timer', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock);
    const ran: number[] = [];
    timers.schedule(clock.monotonic() + 5, (at) => ran.push(at));
    timers.pause();
    timers.pause();
    expect(clock.pendingTimers).toBe(0);
    timers.schedule(clock.monotonic() + 1, (at) => ran.push(at));
    await clock.advance(10);
    expect([ran, timers.size, clock.pendingTimers]).toEqual([[], 2, 0]);
    timers.resume();
    timers.resume();
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(0);
    expect(ran).toEqual([1_001, 1_005]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('isolation', () => {
  test('tickets run outside the async context of the request that scheduled them', async () => {
    const requests = new AsyncLocalStorage<string>();
    // Real timers, for the context of a manual clock's timers is that of `advance`.
    const { systemClock } = await import('../../src/time/clock.js');
    const timers = new TimerQueue(systemClock);
    const store = await requests.run(
      'request',
      () =>
        new Promise((resolve) => {
          timers.schedule(systemClock.monotonic(), () => resolve(requests.getStore()));
          timers.holdProcess();
        }),
    );
    expect(store).toBeUndefined();
  });

  const runInProcess = (body: string): string =>
    execFileSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '--eval',
        `import { TimerQueue } from './src/time/timer-queue.ts'; import { systemClock } from './src/time/clock.ts';
         const timers = new TimerQueue(systemClock); const start = performance.now(); ${body}
         process.on('exit', () => console.log(performance.now() - start < 5_000 ? 'early' : 'late'));`,
      ],
      { encoding: 'utf8', cwd: new URL('../..', import.meta.url) },
    );

  test('a ticket 60 s ahead does not keep a process alive', () => {
    expect(runInProcess('timers.schedule(systemClock.monotonic() + 60_000, () => {});')).toBe('early\n');
  });

  test('a held process waits for its ticket', () => {
    const body = `const release = timers.holdProcess();
      timers.schedule(systemClock.monotonic() + 300, () => { console.log('ran'); release(); });
      timers.schedule(systemClock.monotonic() + 60_000, () => {});`;
    expect(runInProcess(body)).toBe('ran\nearly\n');
  });
});
