import { expect, it } from 'vitest';
import { UtteranceQueue } from '../../src/restart/utterance-queue.js';
import { heapUsed } from '../heap-used.js';

const whatAndNumbers = (what: object | string, first: number, second: number) => [what, first, second];

it('gives out in order what was pushed, whatever is pushed between and from inside', () => {
  const queue = new UtteranceQueue();
  const taken: unknown[] = [];
  let pushed = 0;
  const push = (): void => queue.push(String(pushed), pushed, -pushed++);
  for (let n = 0; n < 3_000; n += 1) push();
  for (let n = 0; n < 2_000; n += 1) {
    queue.take((what, first, second) => {
      if (n % 2 === 0) push();
      taken.push(whatAndNumbers(what, first, second));
    });
  }
  while (queue.size > 0) taken.push(queue.take(whatAndNumbers));
  expect(taken).toEqual(Array.from({ length: 4_000 }, (_, n) => [String(n), n, -n]));
  expect(queue.bytes).toBe(0);
});

it('takes no more bytes after a million than what waits, though it is never empty', () => {
  const queue = new UtteranceQueue();
  queue.push('first', 0, 0);
  const before = heapUsed();
  for (let n = 0; n < 1_000_000; n += 1) {
    queue.push(`text ${n}`, n, n);
    queue.take(() => {});
  }
  expect(queue.bytes).toBeLessThan(100);
  expect(heapUsed() - before).toBeLessThan(5_000_000);
});
