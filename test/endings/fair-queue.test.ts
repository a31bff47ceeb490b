import { describe, expect, test } from 'vitest';
import { FairQueue } from '../../src/endings/fair-queue.js';

const takeAll = (queue: FairQueue<string>, withRetries = true): string[] => {
  const taken: string[] = [];
  while (queue.hasNext(withRetries)) taken.push(queue.take(withRetries)!);
  return taken;
};

describe('FairQueue', () => {
  test('alternates between 3 retries and 3 fresh ones, each in its order', () => {
    const queue = new FairQueue<string>();
    for (const index of [1, 2, 3]) {
      queue.addFresh(`fresh ${index}`);
      queue.addRetry(`retry ${index}`);
    }
    expect(takeAll(queue)).toEqual(['retry 1', 'fresh 1', 'retry 2', 'fresh 2', 'retry 3', 'fresh 3']);
    expect(queue.take(true)).toBeUndefined();
  });

  test.each(['addFresh', 'addRetry'] as const)(
    'an endless stream of %s keeps the other kind for 1 turn',
    (stream) => {
      const queue = new FairQueue<string>();
      for (let index = 0; index < 10; index += 1) queue[stream]('stream');
      for (let index = 0; index < 5; index += 1) {
        queue.take(true);
        queue[stream]('stream');
      }
      queue[stream === 'addFresh' ? 'addRetry' : 'addFresh']('other');
      expect([queue.take(true), queue.take(true)]).toContain('other');
    },
  );

  test('leaves retries where they are when asked for fresh ones alone', () => {
    const queue = new FairQueue<string>();
    queue.addRetry('retry');
    queue.addFresh('fresh 1');
    queue.addFresh('fresh 2');
    expect(takeAll(queue, false)).toEqual(['fresh 1', 'fresh 2']);
    expect([queue.hasNext(false), takeAll(queue)]).toEqual([false, ['retry']]);
  });
});
