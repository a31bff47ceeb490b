import { createRegistry, type EndedPolicy } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { endedEvent, recordedNotifier } from './recorded-notifier.js';

const hour = 3_600_000;

/** A registry of one run, `a`, that has ended; and what is told of its delivery. */
function endedRun(ended: Omit<EndedPolicy<string, number, 'runs'>, 'map'>) {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, number> }>({
    maps: { runs: {} },
    ended: { map: 'runs', ...ended },
    clock,
  });
  const died: string[] = [];
  registry.on('dead-letter', ({ letter, dropped }) => died.push(dropped ? 'dropped' : letter.cause));
  registry.maps.runs.set('a', 1);
  registry.end('a');
  return { clock, registry, died };
}

describe('giveUpAfter', () => {
  it('is a day: a recipient that is away for an hour loses nothing', async () => {
    let isAway = true;
    let delivered = 0;
    const { clock, registry, died } = endedRun({
      deliver: () => {
        if (isAway) throw new Error('connect ECONNREFUSED');
        delivered += 1;
      },
    });
    await clock.advance(hour);
    isAway = false;
    await clock.advance(60_000);
    expect([delivered, died, registry.report().endings?.pending]).toEqual([1, [], 0]);
    registry.stop();
  });

  it('makes one dead letter of what fails for a day, 24 h after its first attempt and not 1 ms before', async () => {
    let attempts = 0;
    const { clock, registry, died } = endedRun({
      deliver: () => {
        attempts += 1;
        throw new Error(`no ${attempts}`);
      },
    });
    await clock.advance(24 * hour - 1);
    expect([died, registry.deadLetters()]).toEqual([[], []]);
    await clock.advance(1);
    expect(died).toEqual(['given-up']);
    expect(registry.deadLetters()).toMatchObject([
      { attempts, ambiguous: false, error: { message: `no ${attempts}` } },
    ]);
    const made = attempts;
    await clock.advance(24 * hour);
    expect([attempts, died]).toEqual([made, ['given-up']]);
    // Each pause is a minute at most, and half of one at least.
    expect(made).toBeGreaterThan(24 * 60);
    expect(made).toBeLessThan(24 * 120);
    registry.stop();
  });

  it('tells of no retry that it leaves no time for', async () => {
    const { notifier, calls, clock, told, push } = recordedNotifier({ limits: { giveUpAfterMs: 900 } });
    await push('a');
    calls[0]!.fail('no');
    await clock.advance(899);
    expect([told, notifier.pendingCount]).toEqual([['a attempt 1 failed: no; over'], 1]);
    await clock.advance(1);
    expect([told.at(-1), calls.length, notifier.pendingCount]).toEqual(['a dead: given-up', 1, 0]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets an attempt that runs come to its end', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier({
      limits: { giveUpAfterMs: 5_000 },
    });
    await push('a', 'b');
    await clock.advance(7_000);
    expect(notifier.pendingCount).toBe(2);
    calls[0]!.succeed();
    calls[1]!.fail('no');
    await clock.advance(0);
    expect([delivered, notifier.deadLetters()]).toMatchObject([['a'], [{ id: 'b', cause: 'given-up' }]]);
  });

  it('counts from the first attempt of a round: one that is redelivered has all of it again', async () => {
    const { notifier, clock, told, push } = recordedNotifier({
      limits: { giveUpAfterMs: 10_000 },
      deliver: () => Promise.reject('no'),
    });
    await push('a');
    await clock.advance(10_000);
    expect(notifier.redeliver('a')).toBe(true);
    await clock.advance(9_999);
    expect(told.filter((line) => line.startsWith('a dead'))).toHaveLength(1);
    await clock.advance(1);
    expect(told.filter((line) => line.startsWith('a dead'))).toHaveLength(2);
  });

  it('does not keep the last attempt of close() from being made', async () => {
    let attempts = 0;
    const { clock, registry } = endedRun({
      giveUpAfter: '10s',
      deliver: () => {
        attempts += 1;
        if (attempts === 1) throw new Error('no');
      },
    });
    await clock.advance(0);
    registry.stop();
    await clock.advance(hour);
    const closed = registry.close();
    await clock.advance(0);
    expect([await closed, attempts]).toEqual([{ undelivered: 0, undisposed: 0 }, 2]);
  });
});

describe('an attempt that times out, to an idempotent recipient', () => {
  const idempotent = { isIdempotent: true, attempts: 3 };

  it('is aborted and tried again; when the next one succeeds, what comes of it counts for nothing', async () => {
    const { notifier, calls, clock, told, delivered, errors, push } = recordedNotifier({
      limits: idempotent,
    });
    await push('a');
    await clock.advance(10_000);
    expect(told).toEqual([expect.stringMatching(/^a attempt 1 failed: .*10000 ms.*; retry in \d+$/)]);
    expect([calls[0]!.context.signal.aborted, notifier.pendingCount]).toEqual([true, 1]);
    await clock.advance(2_000);
    calls[1]!.succeed();
    await clock.advance(0);
    calls[0]!.succeed();
    await clock.advance(0);
    expect([delivered, errors, notifier.pendingCount, clock.pendingTimers]).toEqual([['a'], [], 0, 0]);
  });

  it('may succeed while the next one is to come, and ends that wait', async () => {
    const { notifier, calls, clock, delivered, logged, push } = recordedNotifier({ limits: idempotent });
    await push('a');
    await clock.advance(10_000);
    calls[0]!.succeed();
    await clock.advance(0);
    expect([delivered, notifier.pendingCount, clock.pendingTimers]).toEqual([['a'], 0, 0]);
    expect(logged).toEqual(['a attempted', 'a done']);
    await clock.advance(60_000);
    expect(calls).toHaveLength(1);
  });

  it('may succeed while the next one runs, which is aborted and counts for nothing', async () => {
    const { notifier, calls, clock, told, delivered, errors, push } = recordedNotifier({
      limits: idempotent,
    });
    await push('a');
    await clock.advance(12_000);
    expect(calls).toHaveLength(2);
    calls[0]!.succeed();
    await clock.advance(0);
    const { signal } = calls[1]!.context;
    expect([signal.aborted, signal.reason.code]).toEqual([true, 'ERR_CALLBACK_OBSOLETE']);
    calls[1]!.fail(signal.reason);
    await clock.advance(60_000);
    expect([delivered, errors, calls.length, told.length]).toEqual([['a'], [], 2, 2]);
    expect([notifier.pendingCount, notifier.deadLetterCount, clock.pendingTimers]).toEqual([0, 0, 0]);
  });

  it('makes an ambiguous dead letter at the end, until each of them has failed after all', async () => {
    const { notifier, calls, clock, errors, push } = recordedNotifier({ limits: idempotent });
    await push('a');
    await clock.advance(40_000);
    expect(calls).toHaveLength(3);
    expect(notifier.deadLetters()).toMatchObject([
      { cause: 'attempts-exhausted', ambiguous: true, attempts: 3 },
    ]);
    for (const call of calls) {
      expect(notifier.deadLetters()[0]?.ambiguous).toBe(true);
      call.fail(`late ${call.attempt}`);
      await clock.advance(0);
    }
    expect(notifier.deadLetters()).toMatchObject([{ ambiguous: false, error: 'late 3' }]);
    expect(errors).toEqual(['late 1', 'late 2', 'late 3']);
  });

  it('is redelivered beside one that still runs; the first success takes the letter back', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier({
      limits: { ...idempotent, attempts: 1 },
    });
    await push('a');
    await clock.advance(10_000);
    expect(notifier.redeliver('a')).toBe(true);
    await clock.advance(0);
    calls[0]!.succeed();
    await clock.advance(0);
    calls[1]!.succeed();
    await clock.advance(0);
    expect([delivered, notifier.pendingCount, notifier.deadLetterCount]).toEqual([['a'], 0, 0]);
  });
});

describe('redeliver() without an id', () => {
  it('tries all 20,000 again, the oldest first, in slices, and says how many', async () => {
    const ids = Array.from({ length: 20_000 }, (_, index) => `${index}`);
    let isUp = false;
    const heard: string[] = [];
    const { notifier, clock, push } = recordedNotifier({
      limits: { attempts: 1, maxDeadLetters: 20_000 },
      deliver: ({ id }) => {
        if (!isUp) throw new Error('down');
        heard.push(id);
      },
      // Each reading takes time, so that a turn is over after some.
      clock: (manual) => {
        let readings = 0;
        return { ...manual, monotonic: () => manual.monotonic() + (readings++ % 1_000) / 100 };
      },
    });
    await push(...ids);
    expect(notifier.deadLetterCount).toBe(20_000);
    isUp = true;
    expect(notifier.redeliverAll()).toBe(20_000);
    expect(notifier.deadLetterCount).toBeGreaterThan(0);
    expect(notifier.redeliverAll()).toBe(0);
    for (let turn = 0; turn < 1_000 && heard.length < ids.length; turn += 1) await clock.advance(0);
    expect(heard).toEqual(ids);
    expect([notifier.pendingCount, notifier.deadLetterCount]).toEqual([0, 0]);
  });

  it('tries more again than a call takes arguments, the oldest first', async () => {
    const { notifier, calls, clock } = recordedNotifier({ limits: { maxDeadLetters: 300_000 } });
    const { at, cause } = { at: 1, cause: 'given-up' as const };
    const deadLetters = Array.from({ length: 300_000 }, (_, index) => {
      const event = endedEvent(`${index}`);
      const counts = { attempts: 1, error: 'down', ambiguous: false };
      return { letter: { id: event.id, recipient: 'default', event, ...counts, at, cause }, diedAt: 0 };
    });
    notifier.import({ pending: [], deadLetters });
    expect(notifier.redeliverAll()).toBe(300_000);
    expect(notifier.redeliverAll()).toBe(0);
    await clock.advance(0);
    expect(calls.map(({ id }) => Number(id))).toEqual(Array.from({ length: 32 }, (_, index) => index));
    await notifier.finish(Number.NEGATIVE_INFINITY);
  });

  it('counts one that was left for want of room when it is asked for again', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1, maxPending: 1 } });
    for (const id of ['a', 'b']) {
      await push(id);
      calls.at(-1)!.fail('no');
      await clock.advance(0);
    }
    expect([notifier.redeliverAll(), notifier.redeliverAll()]).toEqual([1, 0]);
    await clock.advance(0);
    calls.at(-1)!.succeed();
    await clock.advance(0);
    expect(notifier.redeliverAll()).toBe(1);
    await clock.advance(0);
    expect(calls.map(({ id }) => id)).toEqual(['a', 'b', 'a', 'b']);
  });

  it('leaves those whose attempt still runs, and what there is no room for', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1, maxPending: 2 } });
    await push('runs');
    await clock.advance(10_000);
    for (const id of ['a', 'b', 'c']) {
      await push(id);
      calls.at(-1)!.fail('no');
      await clock.advance(0);
    }
    expect(notifier.redeliverAll()).toBe(2);
    await clock.advance(0);
    expect(calls.slice(-2).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(notifier.deadLetters().map(({ id }) => id)).toEqual(['runs', 'c']);
  });

  it('is done before finish() is, though nothing else is pending', async () => {
    const { notifier, clock, push } = recordedNotifier({
      limits: { attempts: 1 },
      deliver: (() => {
        let calls = 0;
        return () => {
          calls += 1;
          if (calls === 1) throw new Error('down');
        };
      })(),
    });
    await push('a');
    expect(notifier.redeliverAll()).toBe(1);
    const finished = notifier.finish(clock.monotonic() + 1_000);
    await clock.advance(0);
    expect([await finished, notifier.deadLetterCount]).toEqual([0, 0]);
  });

  it('answers 0 without deliver, and for one id whether there is any', async () => {
    const { clock, registry } = endedRun({
      attempts: 1,
      deliver: { a: () => {}, b: () => Promise.reject('no') },
    });
    await clock.advance(0);
    const [letter] = registry.deadLetters();
    expect(letter).toMatchObject({ recipient: 'b', event: { key: 'a' } });
    expect([registry.redeliver(letter!.id), registry.redeliver(letter!.id), registry.redeliver('x')]).toEqual(
      [true, false, false],
    );
    await clock.advance(0);
    const found = registry.deadLetters().find(({ recipient }) => recipient === 'nobody');
    expect(registry.redeliver(found?.id as string)).toBe(false);
    expect(registry.redeliver()).toBe(1);
    expect(createRegistry({ clock }).redeliver()).toBe(0);
    registry.stop();
  });
});

describe('deadLetterTtl', () => {
  it('drops a dead letter after 7 days, and tells of it and counts it', async () => {
    const { clock, registry, died } = endedRun({ attempts: 1, deliver: () => Promise.reject('no') });
    await clock.advance(0);
    await clock.advance(7 * 24 * hour - 1);
    expect(died).toEqual(['attempts-exhausted']);
    await clock.advance(1);
    expect([died, registry.deadLetters()]).toEqual([['attempts-exhausted', 'dropped'], []]);
    expect(registry.report().endings).toMatchObject({ deadLetters: 0, deadLettersDropped: 1 });
    registry.stop();
  });

  it('drops each when its own time is over, 1,500 of one instant in 3 turns, and needs no timer for none', async () => {
    const { notifier, clock, told, logged, push } = recordedNotifier({
      limits: { attempts: 1, deadLetterTtlMs: 1_000, maxDeadLetters: 2_000 },
      deliver: () => Promise.reject('no'),
    });
    await push('a');
    await clock.advance(400);
    await push(...Array.from({ length: 1_500 }, (_, index) => `b${index}`));
    await clock.advance(599);
    expect(notifier.deadLetterCount).toBe(1_501);
    await clock.advance(1);
    expect([notifier.deadLetterCount, told.at(-1), logged.at(-1)]).toEqual([1_500, 'a dropped', 'a done']);
    await clock.advance(400);
    expect(notifier.deadLetterCount).toBe(1_000);
    await clock.advance(2);
    expect([notifier.deadLetterCount, clock.pendingTimers]).toEqual([0, 0]);
    await push('c');
    expect(clock.pendingTimers).toBe(1);
    notifier.redeliver('c');
    expect(clock.pendingTimers).toBe(0);
  });
});
