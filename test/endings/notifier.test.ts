import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import type { Deliver } from '../../src/events/ended-event.js';
import { endedEvent, recordedNotifier } from './recorded-notifier.js';

describe('a delivery', () => {
  test('starts in a microtask after push, and is told once with its duration', async () => {
    const { notifier, calls, clock, told } = recordedNotifier();
    notifier.push(endedEvent('a'));
    expect([calls.length, notifier.pendingCount]).toEqual([0, 1]);
    await Promise.resolve();
    expect(calls).toMatchObject([{ id: 'a', attempt: 1 }]);
    await clock.advance(250);
    calls[0]!.succeed();
    await clock.advance(0);
    expect(told).toEqual(['a delivered by attempt 1 in 250 ms']);
    expect([notifier.pendingCount, notifier.deadLetterCount, clock.pendingTimers]).toEqual([0, 0, 0]);
  });

  test('sees nothing of the async context of push, at a retry neither', async () => {
    const requests = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const { clock, notifier } = recordedNotifier({
      deliver: (_, { attempt }) => {
        seen.push(requests.getStore());
        requests.enterWith('handler');
        if (attempt === 1) throw new Error('first');
      },
    });
    requests.run('request', () => {
      notifier.push(endedEvent('a'));
      notifier.push(endedEvent('b'));
    });
    await requests.run('advance', () => clock.advance(2_000));
    expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('of an id that is pending is not begun twice, and of one that is a dead letter it is a new round', async () => {
    const { notifier, calls, push } = recordedNotifier({ limits: { attempts: 1 } });
    await push('a', 'a');
    expect([calls.length, notifier.pendingCount]).toEqual([1, 1]);
    calls[0]!.fail('no');
    await push();
    await push('a');
    expect([calls.length, notifier.pendingCount, notifier.deadLetterCount]).toEqual([2, 1, 0]);
  });

  test('of a later run becomes the dead letter of the earlier one for want of room, and where nothing is tried any more', async () => {
    for (const [limits, isClosed] of [
      [{}, true],
      [{ maxPending: 1 }, false],
    ] as const) {
      const { notifier, calls, push } = recordedNotifier({ limits: { attempts: 1, ...limits } });
      await push('a');
      calls[0]!.fail('no');
      await push();
      if (isClosed) await notifier.finish(Number.NEGATIVE_INFINITY);
      else await push('b');
      const later = { ...endedEvent('a'), reason: 'later' };
      notifier.push(later);
      await push();
      expect(notifier.deadLetters()).toMatchObject([{ id: 'a', event: later, attempts: 1 }]);
      expect(notifier.pendingCount).toBe(isClosed ? 0 : 1);
    }
  });

  test('of a later run has nothing to do with an attempt of an earlier one that has timed out and still runs', async () => {
    const limits = { attempts: 1, isIdempotent: true, attemptTimeoutMs: 10 };
    const { notifier, calls, clock, delivered, push } = recordedNotifier({ limits });
    await push('a');
    await clock.advance(1_000);
    expect(notifier.deadLetterCount).toBe(1);
    await push('a');
    calls[0]!.succeed();
    await clock.advance(0);
    expect([calls[1]!.context.signal.aborted, notifier.pendingCount]).toEqual([false, 1]);
    calls[1]!.succeed();
    await clock.advance(0);
    expect([delivered, notifier.pendingCount]).toEqual([['a', 'a'], 0]);
  });

  test('counts for the id at push, whatever the handler writes to its event', async () => {
    const { notifier, push, clock } = recordedNotifier({
      limits: { attempts: 1 },
      deliver: (event) => {
        event.id = 'forged';
        throw new Error('no');
      },
    });
    await push('a');
    expect([notifier.pendingCount, notifier.deadLetters().map(({ id }) => id)]).toEqual([0, ['a']]);
    expect(clock.pendingTimers).toBe(0);
  });

  const throwing = (error: unknown) => () => {
    throw error;
  };
  const failures: Array<[string, Deliver<string, unknown>, unknown]> = [
    ['throws null', throwing(null), null],
    ['throws undefined', throwing(undefined), undefined],
    ['rejects with undefined', () => Promise.reject(undefined), undefined],
    // biome-ignore lint/suspicious/noThenProperty: thenables that misbehave are the point
    ['returns a thenable whose then throws', () => ({ then: throwing('then') }), 'then'],
    [
      'returns a thenable whose then cannot be read',
      () => Object.defineProperty({}, 'then', { get: throwing('getter') }),
      'getter',
    ],
    [
      'returns a promise whose constructor cannot be read',
      () => Object.defineProperty(Promise.resolve(), 'constructor', { get: throwing('constructor') }),
      'constructor',
    ],
    [
      'returns a thenable that rejects twice and then throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: see above
        then: (_: unknown, reject: (error: unknown) => void) => {
          reject('first');
          reject('second');
          throw 'third';
        },
      }),
      'first',
    ],
  ];
  test.each(failures)('fails where the handler %s', async (_, deliver, error) => {
    const { notifier, push, told, errors } = recordedNotifier({ deliver, limits: { attempts: 1 } });
    await push('a');
    expect(told).toEqual([`a attempt 1 failed: ${String(error)}; over`, 'a dead: attempts-exhausted']);
    expect(notifier.deadLetters()).toMatchObject([{ id: 'a', attempts: 1, error, ambiguous: false }]);
    expect(errors).toEqual([]);
  });

  const successes: Array<[string, Deliver<string, unknown>]> = [
    ['nothing', () => {}],
    ['a number', () => 5],
    ['false', () => false],
    ['an error', () => new Error('as a value')],
    ['a promise of an error', () => Promise.resolve(new Error('as a value'))],
    // biome-ignore lint/suspicious/noThenProperty: not a thenable, since its then is no function
    ['an object with a then that is no function', () => ({ then: 5 })],
    [
      'a thenable that resolves and then throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: thenables that misbehave are the point
        then: (resolve: (value: unknown) => void) => {
          resolve(1);
          throw new Error('too late');
        },
      }),
    ],
  ];
  test.each(successes)('succeeds where the handler returns %s', async (_, deliver) => {
    const { push, told, errors, clock } = recordedNotifier({ deliver });
    await push('a');
    expect(told).toEqual(['a delivered by attempt 1 in 0 ms']);
    expect([errors, clock.pendingTimers]).toEqual([[], 0]);
  });

  test('may push and redeliver from inside the handler', async () => {
    const { notifier, push, delivered, clock } = recordedNotifier({
      limits: { concurrency: 1 },
      deliver: (event) => {
        if (event.id === 'a') notifier.push(endedEvent('b'));
        expect(notifier.redeliver(event.id)).toBe(false);
      },
    });
    await push('a');
    expect(delivered).toEqual(['a', 'b']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('100,000 of them with a synchronous handler and 1 slot overflow no stack', {
    timeout: 60_000,
  }, async () => {
    let delivered = 0;
    const { notifier, clock } = recordedNotifier({
      deliver: () => {
        delivered += 1;
      },
      limits: { concurrency: 1 },
    });
    for (let index = 0; index < 100_000; index += 1) notifier.push(endedEvent(`${index}`));
    await clock.advance(0);
    expect([delivered, notifier.pendingCount, clock.pendingTimers]).toEqual([100_000, 0, 0]);
  });
});

test('a delivered value becomes collectable, and so does that of a letter delivered late', async () => {
  const { notifier, calls, clock } = recordedNotifier();
  const pushOne = (id: string): WeakRef<object> => {
    const value = { id };
    notifier.push({ ...endedEvent(id), value });
    return new WeakRef(value);
  };
  const references = [pushOne('a'), pushOne('late')];
  await clock.advance(0);
  calls[0]!.succeed();
  await clock.advance(10_000);
  calls[1]!.succeed();
  calls.length = 0;
  await clock.advance(0);
  for (
    let turn = 0;
    turn < 20 && references.some((reference) => reference.deref() !== undefined);
    turn += 1
  ) {
    await clock.yield();
    globalThis.gc!();
  }
  expect(references.filter((reference) => reference.deref() !== undefined)).toHaveLength(0);
});

describe('retries', () => {
  test('come after 1-2, 2-4, 4-8 and 8-16 s, and after 5 attempts there is exactly one dead letter', async () => {
    const startedAt: number[] = [];
    const { notifier, clock, told, push } = recordedNotifier({
      deliver: (_, { attempt }) => {
        startedAt.push(clock.now());
        throw `no ${attempt}`;
      },
    });
    await push('a');
    await clock.advance(60_000);
    const pauses = startedAt.slice(1).map((at, index) => at - startedAt[index]!);
    expect(pauses).toHaveLength(4);
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(1_000 * 2 ** index);
      expect(pause).toBeLessThanOrEqual(2_000 * 2 ** index);
    }
    expect(told).toEqual([
      ...pauses.map((pause, index) => `a attempt ${index + 1} failed: no ${index + 1}; retry in ${pause}`),
      'a attempt 5 failed: no 5; over',
      'a dead: attempts-exhausted',
    ]);
    expect(notifier.deadLetters()).toEqual([
      {
        id: 'a',
        recipient: 'default',
        event: endedEvent('a'),
        attempts: 5,
        error: 'no 5',
        ambiguous: false,
        at: startedAt[4],
        cause: 'attempts-exhausted',
      },
    ]);
    await clock.advance(3_600_000);
    expect([startedAt.length, notifier.pendingCount, clock.pendingTimers]).toEqual([5, 0, 0]);
  });

  test('start at the millisecond that was told, not 1 ms before', async () => {
    const { calls, clock, told, push } = recordedNotifier();
    await push('a');
    calls[0]!.fail('no');
    await clock.advance(0);
    const delayMs = Number(/retry in (\d+)/.exec(told[0]!)![1]);
    await clock.advance(delayMs - 1);
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls.map(({ at }) => at)).toEqual([0, delayMs]);
    calls[1]!.succeed();
    await clock.advance(0);
    expect(told[1]).toBe('a delivered by attempt 2 in 0 ms');
    expect(clock.pendingTimers).toBe(0);
  });

  test('of 100 that failed together are spread by the random of the clock', async () => {
    const { clock, told, push } = recordedNotifier({
      deliver: () => Promise.reject('no'),
      limits: { attempts: 2 },
    });
    await push(...Array.from({ length: 100 }, (_, index) => `${index}`));
    expect(new Set(told.map((line) => line.split('retry in ')[1])).size).toBeGreaterThan(90);
    await clock.advance(2_000);
    expect(clock.pendingTimers).toBe(0);
  });

  test('due behind 1,000 fresh ones wait for 1 of them, and fresh ones for 1 retry', async () => {
    const { calls, clock, push } = recordedNotifier({ limits: { concurrency: 1 } });
    await push('retried');
    calls[0]!.fail('no');
    await push('blocker');
    await clock.advance(2_000);
    await push(...Array.from({ length: 1_000 }, (_, index) => `fresh ${index}`));
    for (let next = 1; next <= 3; next += 1) {
      calls[next]!.succeed();
      await clock.advance(0);
    }
    expect(calls.slice(2).map(({ id }) => id)).toContain('retried');
  });
});

describe('slots', () => {
  test('32 attempts run at once, and a settled one makes room for the next', async () => {
    const { calls, clock, push, notifier } = recordedNotifier();
    await push(...Array.from({ length: 100 }, (_, index) => `${index}`));
    expect([calls.length, notifier.pendingCount]).toEqual([32, 100]);
    calls[7]!.succeed();
    calls[8]!.fail('no');
    await clock.advance(0);
    expect([calls.length, notifier.pendingCount]).toEqual([34, 99]);
    for (let next = 0; next < calls.length; next += 1) {
      calls[next]!.succeed();
      await clock.advance(next === 33 ? 2_000 : 0);
    }
    expect([notifier.pendingCount, clock.pendingTimers]).toEqual([0, 0]);
  });

  test('attempts of one id never overlap, whatever fails, times out, is redelivered or pushed again', async () => {
    const running = new Map<string, number>();
    let most = 0;
    const successes = new Map<string, number>();
    const { notifier, clock, delivered } = recordedNotifier({
      limits: { attempts: 3, concurrency: 3, attemptTimeoutMs: 5_000, maxDeadLetters: 5 },
      deliver: async (event) => {
        running.set(event.id, (running.get(event.id) ?? 0) + 1);
        most = Math.max(most, running.get(event.id)!);
        const kind = clock.random();
        if (kind > 0.3) await new Promise<void>((resolve) => clock.setTimeout(resolve, kind * 9_000));
        running.set(event.id, running.get(event.id)! - 1);
        if (clock.random() < 0.6) throw new Error('no');
        successes.set(event.id, (successes.get(event.id) ?? 0) + 1);
      },
      sink: {
        deadLetter: ({ letter }) => {
          notifier.redeliver(letter.id);
        },
      },
    });
    const ids = Array.from({ length: 40 }, (_, index) => `${index}`);
    for (const id of ids) notifier.push(endedEvent(id));
    for (let step = 0; step < 200; step += 1) {
      await clock.advance(1_500);
      // Not one that succeeded: that would be a new registration under an old id, which nobody makes.
      for (const id of ids) if (!successes.has(id)) notifier.redeliver(id);
    }
    expect(most).toBe(1);
    expect(delivered.length).toBe(new Set(delivered).size);
    expect([...successes.values()].every((count) => count === 1)).toBe(true);
    expect(delivered.length).toBeGreaterThan(20);
  });

  test.each([
    [1, 20, 5],
    // So quick that the clock is not read after each.
    [0.004, 20_000, 1_250 + 2 * 8],
  ])(
    'handlers of %f ms that never wait leave the event loop its turns: at most 5 ms of starts in each',
    async (handlerMs, count, most) => {
      let elapsedMs = 0;
      const startedAt: number[] = [];
      const { notifier } = recordedNotifier({
        clock: (clock) => ({ ...clock, monotonic: () => clock.monotonic() + elapsedMs }),
        limits: { concurrency: 2 },
        deliver: async () => {
          startedAt.push(elapsedMs);
          elapsedMs += handlerMs;
        },
      });
      for (let index = 0; index < count; index += 1) notifier.push(endedEvent(`${index}`));
      const startedByTurn: number[] = [];
      while (notifier.pendingCount > 0) {
        await new Promise((resolve) => setImmediate(resolve));
        startedByTurn.push(startedAt.length);
      }
      const inOneTurn = startedByTurn.map((count, index) => count - (startedByTurn[index - 1] ?? 0));
      expect(Math.max(...inOneTurn)).toBeLessThanOrEqual(most);
      expect(startedAt).toHaveLength(count);
    },
  );
});

describe('the sink', () => {
  test('is told of the state as it is after the change', async () => {
    const seen: unknown[] = [];
    const look = (name: string) => () => seen.push([name, notifier.pendingCount, notifier.deadLetterCount]);
    const { notifier, push, calls, clock } = recordedNotifier({
      limits: { attempts: 1 },
      sink: {
        delivered: look('delivered'),
        attemptFailed: look('attemptFailed'),
        deadLetter: look('deadLetter'),
      },
    });
    await push('a', 'b');
    calls[0]!.succeed();
    await clock.advance(0);
    calls[1]!.fail('no');
    await clock.advance(0);
    expect(seen).toEqual([
      ['delivered', 1, 0],
      ['attemptFailed', 0, 1],
      ['deadLetter', 0, 1],
    ]);
  });
});
