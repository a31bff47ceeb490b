import { describe, expect, test } from 'vitest';
import { stateOf } from './notifier-state.js';
import { recordedNotifier } from './recorded-notifier.js';

const ids = (letters: ReadonlyArray<{ readonly id: string }>) => letters.map(({ id }) => id);

describe('redeliver', () => {
  test('starts a new round of 2 attempts from number 1, at once, and then there is one new dead letter', async () => {
    const { notifier, calls, clock, told, push } = recordedNotifier({ limits: { attempts: 2 } });
    await push('a');
    for (const round of [1, 2]) {
      calls.at(-1)!.fail('no');
      await clock.advance(4_000);
      calls.at(-1)!.fail('no');
      await clock.advance(0);
      expect(notifier.deadLetters()).toMatchObject([{ id: 'a', attempts: 2 }]);
      expect(notifier.redeliver('a')).toBe(true);
      expect([notifier.deadLetterCount, notifier.pendingCount]).toEqual([0, 1]);
      await clock.advance(0);
      expect(calls).toHaveLength(2 * round + 1);
    }
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2, 1, 2, 1]);
    calls.at(-1)!.succeed();
    await clock.advance(0);
    expect(told.filter((line) => line.includes('dead'))).toHaveLength(2);
    expect([notifier.pendingCount, notifier.deadLetterCount, clock.pendingTimers]).toEqual([0, 0, 0]);
  });

  test('is false for an unknown, a pending, a delivered and an already redelivered id', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { attempts: 1 } });
    await push('a', 'b');
    expect([notifier.redeliver('unknown'), notifier.redeliver('a')]).toEqual([false, false]);
    calls[0]!.succeed();
    calls[1]!.fail('no');
    await clock.advance(0);
    expect([notifier.redeliver('a'), notifier.redeliver('b'), notifier.redeliver('b')]).toEqual([
      false,
      true,
      false,
    ]);
  });

  test('works while the dead letter is told', async () => {
    let redelivered: boolean | undefined;
    const { notifier, delivered, push } = recordedNotifier({
      limits: { attempts: 1 },
      deliver: () => {
        if (redelivered === undefined) throw new Error('no');
      },
      sink: {
        deadLetter: ({ letter }) => {
          redelivered = notifier.redeliver(letter.id);
        },
      },
    });
    await push('a');
    expect([redelivered, delivered]).toEqual([true, ['a']]);
  });

  test('is false while maxPending is reached, so that overflow cannot be pumped round', async () => {
    const { notifier, push } = recordedNotifier({ limits: { maxPending: 1 } });
    await push('a', 'b');
    expect([ids(notifier.deadLetters()), notifier.redeliver('b'), notifier.pendingCount]).toEqual([
      ['b'],
      false,
      1,
    ]);
  });
});

describe('limits', () => {
  test('beyond 3 pending, endings become dead letters at once, without an attempt', async () => {
    const { notifier, calls, clock, told, push } = recordedNotifier({
      limits: { maxPending: 3, concurrency: 1 },
    });
    await push('a', 'b', 'c', 'd', 'e');
    expect([notifier.pendingCount, calls.length]).toEqual([3, 1]);
    expect(notifier.deadLetters()).toMatchObject([
      { id: 'd', attempts: 0, error: undefined, ambiguous: false, cause: 'overflow' },
      { id: 'e', attempts: 0, cause: 'overflow' },
    ]);
    expect(told).toEqual(['d dead: overflow', 'e dead: overflow']);
    calls[0]!.succeed();
    await clock.advance(0);
    await push('f');
    expect([notifier.pendingCount, notifier.deadLetterCount]).toEqual([3, 2]);
  });

  test('beyond 3 dead letters the oldest is dropped and told, however often they are read', async () => {
    const { notifier, told, push, clock } = recordedNotifier({
      limits: { maxDeadLetters: 3, attempts: 1 },
      deliver: () => Promise.reject('no'),
    });
    await push('a', 'b', 'c');
    expect(ids(notifier.deadLetters())).toEqual(['a', 'b', 'c']);
    stateOf(notifier);
    notifier.redeliver('unknown');
    notifier.owes('a');
    await push('d');
    expect(ids(notifier.deadLetters())).toEqual(['b', 'c', 'd']);
    expect(told.filter((line) => line.endsWith('dropped'))).toEqual(['a dropped']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a walk meets each letter that stays, whatever is dropped and added on the way, and comes to an end', async () => {
    const { notifier, push } = recordedNotifier({
      limits: { maxDeadLetters: 4, attempts: 1 },
      deliver: () => Promise.reject('no'),
    });
    await push('a', 'b', 'c', 'd');
    const met: string[] = [];
    for (const { letter } of notifier.letters()) {
      met.push(letter.id);
      // The one at which it stands, and two that it has not come to.
      if (letter.id === 'a') await push('e');
      if (letter.id === 'b') await push('f', 'g', 'h');
    }
    expect(met).toEqual(['a', 'b']);
    expect(ids(notifier.deadLetters())).toEqual(['e', 'f', 'g', 'h']);
    met.length = 0;
    for (const { letter } of notifier.letters()) {
      met.push(letter.id);
      if (letter.id === 'e') await push('i');
    }
    expect(met).toEqual(['e', 'f', 'g', 'h']);
  });

  test('a late rejection does not make its letter young again', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { maxDeadLetters: 2, attempts: 1 } });
    await push('a');
    await clock.advance(10_000);
    await push('b');
    calls[1]!.fail('no');
    calls[0]!.fail('late');
    await push('c');
    calls[2]!.fail('no');
    await push();
    expect(ids(notifier.deadLetters())).toEqual(['b', 'c']);
  });

  test('a refused redelivery does not make a letter young again', async () => {
    const { notifier, calls, clock, push } = recordedNotifier({ limits: { maxDeadLetters: 2, attempts: 1 } });
    await push('a');
    await clock.advance(10_000);
    await push('b', 'c');
    calls[1]!.fail('no');
    await clock.advance(0);
    expect(notifier.redeliver('a')).toBe(false);
    calls[2]!.fail('no');
    await clock.advance(0);
    expect(ids(notifier.deadLetters())).toEqual(['b', 'c']);
  });

  test('with 0 dead letters each one is told and dropped', async () => {
    const { notifier, told, push } = recordedNotifier({
      limits: { maxDeadLetters: 0, attempts: 1 },
      deliver: () => Promise.reject('no'),
    });
    await push('a');
    expect(told.slice(1)).toEqual(['a dead: attempts-exhausted', 'a dropped']);
    expect(notifier.deadLetterCount).toBe(0);
  });
});

test('dead letters, and those that are told, are copies: writing to them changes nothing', async () => {
  const { notifier, push } = recordedNotifier({
    limits: { attempts: 1 },
    deliver: () => Promise.reject('no'),
    sink: { deadLetter: ({ letter }) => Object.assign(letter, { id: 'forged' }) },
  });
  await push('a');
  const [copy] = notifier.deadLetters();
  copy!.id = 'forged';
  copy!.event.id = 'forged';
  expect(notifier.deadLetters()).toMatchObject([{ id: 'a', event: { id: 'a' } }]);
});
