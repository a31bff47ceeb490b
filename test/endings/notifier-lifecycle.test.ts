import { execFileSync } from 'node:child_process';
import { describe, expect, test, vi } from 'vitest';
import type { DeadLetter } from '../../src/events/dead-letter.js';
import { stateOf } from './notifier-state.js';
import { endedEvent, recordedNotifier } from './recorded-notifier.js';

describe('finish', () => {
  test('with nothing pending resolves to 0 and leaves no timer', async () => {
    const { notifier, clock } = recordedNotifier();
    await expect(notifier.finish(clock.monotonic() + 10_000)).resolves.toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('retries at once what waits, without any time passing, and resolves when all is delivered', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier();
    await push('a', 'b');
    calls[0]!.fail('no');
    await clock.advance(0);
    const undelivered = notifier.finish(clock.monotonic() + 10_000);
    await clock.advance(0);
    expect(calls.map(({ id, attempt }) => [id, attempt])).toEqual([
      ['a', 1],
      ['b', 1],
      ['a', 2],
    ]);
    calls[1]!.succeed();
    calls[2]!.succeed();
    await expect(undelivered).resolves.toBe(0);
    expect([delivered, clock.pendingTimers]).toEqual([['b', 'a'], 0]);
  });

  test('goes on with backoff where such a retry fails again', async () => {
    const { notifier, clock, delivered, push } = recordedNotifier({
      deliver: (_, { attempt }) => {
        if (attempt < 3) throw new Error('no');
      },
    });
    await push('a');
    const undelivered = notifier.finish(clock.monotonic() + 10_000);
    await clock.advance(4_000);
    await expect(undelivered).resolves.toBe(0);
    expect([delivered, clock.pendingTimers]).toEqual([['a'], 0]);
  });

  test('at its deadline aborts what runs, counts it with what waits, and starts nothing more', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({
      limits: { concurrency: 2, minDelayMs: 60_000 },
    });
    await push('running', 'waiting', 'queued');
    const undelivered = notifier.finish(clock.monotonic() + 5_000);
    calls[1]!.fail('no');
    await clock.advance(4_999);
    expect(calls.map(({ id }) => id)).toEqual(['running', 'waiting', 'queued']);
    expect(calls[0]!.context.signal.aborted).toBe(false);
    await clock.advance(1);
    await expect(undelivered).resolves.toBe(3);
    expect(calls[0]!.context.signal.reason).toMatchObject({ code: 'ERR_CLOSED' });
    expect(clock.pendingTimers).toBe(0);
    expect(stateOf(notifier).pending.map(({ event, attempts }) => [event.id, attempts])).toEqual([
      ['running', 1],
      ['waiting', 1],
      ['queued', 1],
    ]);
    calls[2]!.fail('no');
    await push('after');
    await clock.advance(3_600_000);
    expect([calls.length, notifier.pendingCount, clock.pendingTimers]).toEqual([3, 4, 0]);
  });

  test('counts what became a dead letter meanwhile, not those of before, and not what was delivered late', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1, maxDeadLetters: 2 } });
    await push('before');
    calls[0]!.fail('no');
    await push('fails', 'late', 'pending', 'fails too');
    const undelivered = notifier.finish(clock.monotonic() + 15_000);
    calls[1]!.fail('no');
    calls[4]!.fail('no');
    await clock.advance(10_000);
    expect(notifier.pendingCount).toBe(0);
    await expect(undelivered).resolves.toBe(4);
    expect(clock.pendingTimers).toBe(0);

    const other = recordedNotifier({ limits: { attempts: 1 } });
    await other.push('late', 'fails', 'runs on');
    const rest = other.notifier.finish(other.clock.monotonic() + 15_000);
    other.calls[1]!.fail('no');
    await other.clock.advance(9_000);
    await other.push('after');
    await other.clock.advance(1_000);
    other.calls[0]!.succeed();
    other.calls[3]!.succeed();
    // "runs on" timed out at 10 s, "fails" failed; "late" succeeded after its time-out, "after" came in meanwhile.
    await expect(rest).resolves.toBe(2);
  });

  test('leaves alone a retry that runs already', async () => {
    const { notifier, calls, clock, push } = recordedNotifier();
    await push('a');
    calls[0]!.fail('no');
    await clock.advance(2_000);
    const undelivered = notifier.finish(clock.monotonic() + 5_000);
    await clock.advance(0);
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2]);
    calls[1]!.succeed();
    await expect(undelivered).resolves.toBe(0);
  });

  test('once over, refuses to redeliver', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1 } });
    await push('a');
    const undelivered = notifier.finish(clock.monotonic() + 5_000);
    calls[0]!.fail('no');
    await expect(undelivered).resolves.toBe(1);
    expect([notifier.redeliver('a'), notifier.deadLetterCount]).toEqual([false, 1]);
  });

  test('keeps the process alive for a retry 50 ms ahead, and no longer', () => {
    const program = `
      import { Notifier } from './src/endings/notifier.ts';
      import { TimerQueue } from './src/time/timer-queue.ts';
      import { systemClock } from './src/time/clock.ts';
      const timers = new TimerQueue(systemClock);
      timers.schedule(systemClock.monotonic() + 60_000, () => {});
      const sink = { delivered() {}, attemptFailed() {}, deadLetter() {}, failedLate() {} };
      const limits = { attempts: 5, minDelayMs: 50, maxDelayMs: 50, attemptTimeoutMs: 10_000, concurrency: 1,
        maxPending: 10, maxDeadLetters: 10, giveUpAfterMs: Infinity, deadLetterTtlMs: Infinity };
      const deliver = (event, { attempt }) => { if (attempt < 3) throw new Error('no'); };
      const notifier = new Notifier({ clock: systemClock, timers, deliver, limits, sink });
      const start = systemClock.monotonic();
      notifier.push({ id: 'a' });
      notifier.finish(start + 20_000).then((undelivered) => console.log(undelivered));
      process.on('exit', () => console.log(systemClock.monotonic() - start < 10_000 ? 'early' : 'late'));`;
    const output = execFileSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      {
        encoding: 'utf8',
        cwd: new URL('../..', import.meta.url),
      },
    );
    expect(output).toBe('0\nearly\n');
  });

  test('with a deadline that has passed starts nothing and resolves to all of them', async () => {
    const { notifier, calls, clock } = recordedNotifier();
    notifier.push(endedEvent('a'));
    await expect(notifier.finish(clock.monotonic())).resolves.toBe(1);
    await clock.advance(60_000);
    expect([calls.length, clock.pendingTimers]).toEqual([0, 0]);
  });

  test('called again returns the first promise, whatever its deadline', async () => {
    const { notifier, clock, push, calls } = recordedNotifier();
    await push('a');
    const first = notifier.finish(clock.monotonic() + 5_000);
    expect(notifier.finish(clock.monotonic() + 50_000)).toBe(first);
    calls[0]!.succeed();
    await expect(first).resolves.toBe(0);
    expect(notifier.finish(clock.monotonic())).toBe(first);
  });

  test('late settlements after the deadline change what is owed, and are not retried', async () => {
    const { notifier, calls, clock, delivered, push, told } = recordedNotifier({ limits: { attempts: 2 } });
    await push('succeeds', 'fails');
    const undelivered = notifier.finish(clock.monotonic() + 1_000);
    await clock.advance(1_000);
    await expect(undelivered).resolves.toBe(2);
    calls[0]!.succeed();
    calls[1]!.fail('no');
    await clock.advance(60_000);
    expect([delivered, notifier.pendingCount, calls.length]).toEqual([['succeeds'], 1, 2]);
    expect(told.at(-1)).toBe('fails attempt 1 failed: no; over');
    expect(notifier.redeliver('fails')).toBe(false);
  });

  test('a dead letter that is redelivered meanwhile and delivered counts no more', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1 } });
    await push('a', 'b');
    const undelivered = notifier.finish(clock.monotonic() + 5_000);
    calls[0]!.fail('no');
    await clock.advance(0);
    expect(notifier.redeliver('a')).toBe(true);
    await clock.advance(0);
    calls[1]!.succeed();
    calls[2]!.succeed();
    await expect(undelivered).resolves.toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('finish, of an ending that somebody else has taken over meanwhile', () => {
  test('takes it off once, though its attempt succeeds after its time-out too', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({
      limits: { attempts: 1, attemptTimeoutMs: 1_000 },
    });
    await push('taken', 'fails');
    void notifier.finish(clock.monotonic() + 10_000);
    await clock.advance(1_000);
    expect([notifier.deadLetterCount, notifier.undelivered]).toEqual([2, 2]);
    expect(notifier.forfeit('taken')).toBe(true);
    calls[0]!.succeed();
    await clock.advance(10_000);
    expect(notifier.undelivered).toBe(1);
  });
});

describe('pauseRetries', () => {
  test('leaves no timer: first attempts start, retries wait and attempts have no time-out', async () => {
    const { notifier, calls, clock, push } = recordedNotifier();
    await push('fails', 'waits', 'runs');
    calls[1]!.fail('no');
    await clock.advance(0);
    notifier.pauseRetries();
    notifier.pauseRetries();
    expect(clock.pendingTimers).toBe(0);
    calls[0]!.fail('no');
    await push('fresh');
    await clock.advance(3_600_000);
    expect(calls.map(({ id }) => id)).toEqual(['fails', 'waits', 'runs', 'fresh']);
    expect([notifier.pendingCount, notifier.deadLetterCount, clock.pendingTimers]).toEqual([4, 0, 0]);
    calls[2]!.succeed();
    calls[3]!.succeed();
    const undelivered = notifier.finish(clock.monotonic() + 10_000);
    await clock.advance(0);
    expect(calls.slice(4).map(({ id, attempt }) => [id, attempt])).toEqual([
      ['waits', 2],
      ['fails', 2],
    ]);
    calls[4]!.succeed();
    calls[5]!.succeed();
    await expect(undelivered).resolves.toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('holds a retry that is due and has no slot yet', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { concurrency: 1 } });
    await push('retried');
    calls[0]!.fail('no');
    await push('blocker');
    await clock.advance(2_000);
    notifier.pauseRetries();
    calls[1]!.succeed();
    await push('fresh');
    expect(calls.map(({ id }) => id)).toEqual(['retried', 'blocker', 'fresh']);
  });

  test('finish afterwards brings the time-outs back', async () => {
    const { notifier, clock, push } = recordedNotifier();
    await push('a');
    notifier.pauseRetries();
    await clock.advance(5_000);
    const undelivered = notifier.finish(clock.monotonic() + 60_000);
    notifier.pauseRetries();
    await clock.advance(5_000);
    await expect(undelivered).resolves.toBe(1);
    expect(notifier.deadLetters()).toMatchObject([{ cause: 'timed-out' }]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('many retries that wait', () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => `${index}`);

  test.each(['finish', 'leave', 'pauseRetries'] as const)(
    'are on one ticket, so that %s takes as long as with none',
    async (call) => {
      const { notifier, clock, timers, push } = recordedNotifier({ deliver: () => Promise.reject('down') });
      await push(...ids);
      expect([notifier.pendingCount, timers.size]).toEqual([1_000, 1]);
      const cancel = vi.spyOn(timers, 'cancel');
      void notifier[call](clock.monotonic() + 10_000);
      expect(cancel.mock.calls.length).toBeLessThan(10);
    },
  );

  test('have their attempt of finish, each one, before any of them has another', async () => {
    const attempts: number[] = [];
    const { notifier, clock, push } = recordedNotifier({
      // Some of them come to an end of their wait before others have had their turn.
      limits: { concurrency: 10, minDelayMs: 1_000, maxDelayMs: 1_000 },
      deliver: (_, { attempt }) => {
        if (attempt === 1) throw new Error('down');
        attempts.push(attempt);
        return new Promise((_resolve, reject) => clock.setTimeout(reject, 100));
      },
    });
    await push(...ids);
    const finished = notifier.finish(clock.monotonic() + 15_000);
    await clock.advance(15_000);
    expect(await finished).toBe(1_000);
    expect(attempts.slice(0, 1_000)).toEqual(ids.map(() => 2));
    expect(attempts.length).toBeGreaterThan(1_000);
  });

  test('come to an end of their wait in slices, and each once', async () => {
    const heard: string[] = [];
    let isUp = false;
    const { notifier, clock, push } = recordedNotifier({
      limits: { minDelayMs: 1_000, maxDelayMs: 1_000 },
      deliver: ({ id }) => {
        if (!isUp) throw new Error('down');
        heard.push(id);
      },
    });
    await push(...ids);
    isUp = true;
    await clock.advance(1_000);
    expect(heard).toHaveLength(500);
    await clock.advance(1);
    expect([heard, notifier.pendingCount, clock.pendingTimers]).toEqual([ids, 0, 0]);
  });
});

describe('export and import', () => {
  test('an attempt in flight is counted, and goes on with the next number at once in the importer', async () => {
    const first = recordedNotifier();
    await first.push('in flight', 'waiting', 'failed');
    first.calls[1]!.fail('no');
    await first.clock.advance(0);
    first.notifier.push(endedEvent('queued'));
    const state = stateOf(first.notifier);
    expect(state.pending.map(({ event, attempts }) => [event.id, attempts])).toEqual([
      ['in flight', 1],
      ['waiting', 1],
      ['failed', 1],
      ['queued', 0],
    ]);
    const second = recordedNotifier();
    second.notifier.import(structuredClone(state));
    await second.clock.advance(0);
    expect(new Map(second.calls.map(({ id, attempt }) => [id, attempt]))).toEqual(
      new Map([
        ['in flight', 2],
        ['waiting', 2],
        ['failed', 2],
        ['queued', 1],
      ]),
    );
    for (const call of second.calls) call.succeed();
    await second.clock.advance(0);
    expect([second.delivered.length, second.clock.pendingTimers]).toEqual([4, 0]);
  });

  test('says since when the oldest waits, though what was pending here stands before it', async () => {
    const { notifier, calls, clock, push } = recordedNotifier();
    await push('own');
    const ownAt = clock.monotonic();
    expect(notifier.oldestPending?.since).toBe(ownAt);
    await clock.advance(1_000);
    const taken = ['newer', 'oldest'].map((id, index) => ({
      event: { ...endedEvent(id), endedAt: clock.now() - 60_000 * (index + 1) },
      attempts: 0,
    }));
    notifier.import({ pending: taken, deadLetters: [] });
    expect(notifier.oldestPending?.since).toBe(clock.monotonic() - 120_000);
    await clock.advance(0);
    for (const call of calls) call.succeed();
    await clock.advance(1_000);
    expect(notifier.oldestPending?.since).toBeUndefined();
    await push('later', 'last');
    expect(notifier.oldestPending?.since).toBe(clock.monotonic());
  });

  test('one that was in its last attempt becomes an ambiguous dead letter, since nobody knows how that went', async () => {
    const { notifier, calls, clock, told } = recordedNotifier({ limits: { attempts: 3 } });
    notifier.import({ pending: [{ event: endedEvent('a'), attempts: 3 }], deadLetters: [] });
    await clock.advance(0);
    expect(calls).toEqual([]);
    expect(told).toEqual(['a dead: attempts-exhausted, ambiguous']);
    expect(notifier.deadLetters()).toMatchObject([
      { id: 'a', attempts: 3, error: undefined, ambiguous: true },
    ]);
    expect(notifier.redeliver('a')).toBe(true);
  });

  const letter = (id: string): DeadLetter<string, unknown> => ({
    id,
    recipient: 'default',
    event: endedEvent(id),
    attempts: 5,
    error: 'no',
    ambiguous: false,
    at: 1,
    cause: 'attempts-exhausted',
  });

  test('letters keep their content and order, are told to nobody, and the oldest go beyond the limit', async () => {
    const { notifier, told } = recordedNotifier({ limits: { maxDeadLetters: 2 } });
    const letters = [letter('a'), { ...letter('b'), ambiguous: true }, letter('c')];
    const deadLetters = letters.map((each, index) => ({ letter: each, diedAt: index }));
    notifier.import({ pending: [], deadLetters });
    expect(notifier.deadLetters()).toEqual(letters.slice(1));
    expect(stateOf(notifier)).toEqual({ pending: [], deadLetters: deadLetters.slice(1) });
    expect(told).toEqual(['a dropped']);
    letters[1]!.id = 'forged';
    expect(notifier.deadLetters()[0]!.id).toBe('b');
  });

  test('imported twice, everything is there once', async () => {
    const { notifier, calls, clock } = recordedNotifier();
    const state = {
      pending: [{ event: endedEvent('a'), attempts: 1 }],
      deadLetters: [{ letter: letter('b'), diedAt: 1 }],
    };
    notifier.import(state);
    notifier.import(state);
    await clock.advance(0);
    notifier.import(state);
    await clock.advance(0);
    expect([calls.length, notifier.pendingCount, notifier.deadLetterCount]).toEqual([1, 1, 1]);
  });

  test('what exceeds maxPending overflows with its attempts kept', async () => {
    const { notifier } = recordedNotifier({ limits: { maxPending: 1 } });
    notifier.import({
      pending: [
        { event: endedEvent('a'), attempts: 0 },
        { event: endedEvent('b'), attempts: 2 },
      ],
      deadLetters: [],
    });
    expect(notifier.deadLetters()).toMatchObject([{ id: 'b', attempts: 2, cause: 'overflow' }]);
  });
});

describe('leave', () => {
  test('has attempts that run written down, for whoever makes the next ones', async () => {
    const { calls, notifier, logged, push } = recordedNotifier();
    await push('a', 'b', 'c');
    calls[1]?.succeed();
    await Promise.resolve();
    expect(notifier.leave().map(({ id, attempt }) => [id, attempt])).toEqual([
      ['a', 1],
      ['c', 1],
    ]);
    expect(logged).toEqual(['b done', 'a attempted', 'c attempted']);
    expect([notifier.leave(), logged.length]).toEqual([[], 3]);
  });
});
