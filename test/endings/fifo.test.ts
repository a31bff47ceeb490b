import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fifo } from '../../src/endings/fifo.js';

describe('Fifo', () => {
  test('agrees with an array through any pushes and shifts', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (commands) => {
        const queue = new Fifo<number>();
        const expected: number[] = [];
        for (const [index, isPush] of commands.entries()) {
          if (isPush) {
            queue.push(index);
            expected.push(index);
          } else {
            expect(queue.shift()).toBe(expected.shift());
          }
          expect(queue.size).toBe(expected.length);
        }
      }),
    );
  });

  test('gives back 1,000,000 values in order', () => {
    const queue = new Fifo<number>();
    for (let index = 0; index < 1_000_000; index += 1) queue.push(index);
    let isInOrder = true;
    for (let index = 0; index < 1_000_000; index += 1) isInOrder &&= queue.shift() === index;
    expect([isInOrder, queue.size]).toEqual([true, 0]);
  });
});
