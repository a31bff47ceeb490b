import { describe, expect, test } from 'vitest';
import { recordedNotifier } from './recorded-notifier.js';

describe('an attempt that times out', () => {
  test('after 10 s becomes an ambiguous dead letter, frees its slot and is not retried', async () => {
    const { notifier, calls, clock, told, push } = recordedNotifier({ limits: { concurrency: 1 } });
    await push('slow', 'next');
    await clock.advance(9_999);
    expect([calls.length, told]).toEqual([1, []]);
    await clock.advance(1);
    expect(calls.map(({ id }) => id)).toEqual(['slow', 'next']);
    expect(told).toEqual([
      expect.stringMatching(/^slow attempt 1 failed: .*10000 ms.*; over$/),
      'slow dead: timed-out, ambiguous',
    ]);
    expect(notifier.deadLetters()).toMatchObject([
      {
        id: 'slow',
        attempts: 1,
        ambiguous: true,
        at: clock.now(),
        cause: 'timed-out',
        error: { name: 'MapsweepError', code: 'ERR_CALLBACK_TIMEOUT' },
      },
    ]);
    calls[1]!.succeed();
    await clock.advance(3_600_000);
    expect([calls.length, notifier.pendingCount, clock.pendingTimers]).toEqual([2, 0, 0]);
  });

  test('late success removes the dead letter and counts as delivered', async () => {
    const { notifier, calls, clock, told, delivered, push } = recordedNotifier();
    await push('a');
    await clock.advance(12_000);
    expect([notifier.pendingCount, notifier.deadLetterCount]).toEqual([0, 1]);
    calls[0]!.succeed();
    await clock.advance(0);
    expect(notifier.deadLetters()).toEqual([]);
    expect([delivered, told.at(-1)]).toEqual([['a'], 'a delivered by attempt 1 in 12000 ms']);
    expect(notifier.redeliver('a')).toBe(false);
  });

  test('late rejection clears the mark, updates the error and is told as a late failure alone', async () => {
    const { notifier, calls, clock, told, errors, push } = recordedNotifier();
    await push('a');
    await clock.advance(10_000);
    const before = told.length;
    calls[0]!.fail('in the end');
    await clock.advance(0);
    expect(notifier.deadLetters()).toMatchObject([
      { ambiguous: false, error: 'in the end', cause: 'timed-out' },
    ]);
    expect([told.length, errors]).toEqual([before, ['in the end']]);
  });

  test('late rejection with the reason of the signal is no news', async () => {
    const { notifier, calls, clock, errors, push } = recordedNotifier();
    await push('a');
    const { signal } = calls[0]!.context;
    signal.addEventListener('abort', () => calls[0]!.fail(signal.reason));
    await clock.advance(10_000);
    expect([notifier.deadLetters()[0]!.ambiguous, errors]).toEqual([false, []]);
  });

  test('is not redelivered before it has settled', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier();
    await push('a');
    await clock.advance(10_000);
    expect([notifier.redeliver('a'), calls.length]).toEqual([false, 1]);
    calls[0]!.fail('no');
    await clock.advance(0);
    expect(notifier.redeliver('a')).toBe(true);
    await clock.advance(0);
    calls[1]!.succeed();
    await clock.advance(0);
    expect([delivered, calls[1]!.attempt]).toEqual([['a'], 1]);
    expect([notifier.deadLetterCount, clock.pendingTimers]).toEqual([0, 0]);
  });

  test('late success of a letter that was dropped meanwhile still counts as delivered', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier({ limits: { maxDeadLetters: 1 } });
    await push('a', 'b');
    await clock.advance(10_000);
    expect(notifier.deadLetters().map(({ id }) => id)).toEqual(['b']);
    calls[0]!.succeed();
    await clock.advance(0);
    expect([delivered, notifier.deadLetterCount]).toEqual([['a'], 1]);
  });
});

describe('an attempt whose dead letter was dropped, and whose id is that of another run since', () => {
  async function reused() {
    const recorded = recordedNotifier({ limits: { maxDeadLetters: 1 } });
    const { clock, notifier, push, logged } = recorded;
    for (const id of ['a', 'b', 'a']) {
      await push(id);
      await clock.advance(10_000);
    }
    expect(notifier.deadLetters()).toMatchObject([{ id: 'a', ambiguous: true }]);
    expect(logged).toEqual(['a dead', 'b dead', 'a done', 'a dead', 'b done']);
    logged.length = 0;
    return recorded;
  }

  test('succeeds late, and the other one stays a dead letter', async () => {
    const { calls, clock, notifier, delivered, logged } = await reused();
    calls[0]!.succeed();
    await clock.advance(0);
    expect([delivered, notifier.deadLetterCount, logged]).toEqual([['a'], 1, []]);
  });

  test('fails late, and the outcome of the other one is as unknown as before', async () => {
    const { calls, clock, notifier, logged } = await reused();
    calls[0]!.fail('no');
    await clock.advance(0);
    expect(notifier.deadLetters()).toMatchObject([{ id: 'a', ambiguous: true }]);
    expect(logged).toEqual([]);
  });
});

describe('the signal', () => {
  test('read before the time-out is aborted by it, with its error as reason', async () => {
    const { calls, clock, push, notifier } = recordedNotifier();
    await push('a');
    const { signal } = calls[0]!.context;
    let abortedAt: number | undefined;
    signal.addEventListener('abort', () => {
      abortedAt = notifier.deadLetterCount;
    });
    await clock.advance(9_999);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect([signal.aborted, signal.reason.code, abortedAt]).toEqual([true, 'ERR_CALLBACK_TIMEOUT', 1]);
    expect(calls[0]!.context.signal).toBe(signal);
  });

  test('read for the first time after the time-out shows aborted', async () => {
    const { calls, clock, push } = recordedNotifier();
    await push('a');
    await clock.advance(10_000);
    const { signal } = calls[0]!.context;
    expect([signal.aborted, signal.reason.code]).toEqual([true, 'ERR_CALLBACK_TIMEOUT']);
  });

  test('of an attempt that succeeded is not aborted, and the handler cannot abort it', async () => {
    const { calls, clock, push } = recordedNotifier();
    await push('a');
    calls[0]!.succeed();
    await clock.advance(60_000);
    expect(calls[0]!.context.signal.aborted).toBe(false);
    expect(Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(calls[0]!.context)))).toEqual([
      'constructor',
      'signal',
    ]);
  });
});

describe('time-outs', () => {
  test('of attempts that start at 0, 4 and 8 s come at 10, 14 and 18 s', async () => {
    const { clock, startedAt, push, notifier } = recordedNotifier();
    await push('a');
    await clock.advance(4_000);
    await push('b');
    await clock.advance(4_000);
    await push('c');
    await clock.advance(60_000);
    const wallStart = clock.now() - (clock.monotonic() - startedAt);
    expect(notifier.deadLetters().map(({ id, at }) => [id, at - wallStart])).toEqual([
      ['a', 10_000],
      ['b', 14_000],
      ['c', 18_000],
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('of 32 attempts at once need 1 ticket, also when the oldest settles', async () => {
    const { calls, clock, timers, push, notifier } = recordedNotifier();
    await push(...Array.from({ length: 32 }, (_, index) => `${index}`));
    expect(timers.size).toBe(1);
    await clock.advance(1_000);
    await push('late');
    calls[0]!.succeed();
    await clock.advance(1_000);
    await push();
    expect([calls.length, timers.size]).toEqual([33, 1]);
    await clock.advance(8_000);
    expect([notifier.deadLetterCount, timers.size]).toEqual([31, 1]);
    await clock.advance(1_000);
    expect([notifier.deadLetterCount, timers.size, clock.pendingTimers]).toEqual([32, 0, 0]);
  });

  test('of two at the same instant both come, though the first one frees a slot for a third', async () => {
    const { calls, clock, push, notifier } = recordedNotifier({ limits: { concurrency: 2 } });
    await push('a', 'b', 'c', 'd');
    await clock.advance(10_000);
    expect(notifier.deadLetters().map(({ id }) => id)).toEqual(['a', 'b']);
    expect(calls.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
    await clock.advance(9_999);
    expect(notifier.deadLetterCount).toBe(2);
    await clock.advance(1);
    expect([notifier.deadLetterCount, clock.pendingTimers]).toEqual([4, 0]);
  });
});
