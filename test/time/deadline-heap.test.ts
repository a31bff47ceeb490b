import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DeadlineEntry, DeadlineHeap } from '../../src/time/deadline-heap.js';

type Command =
  | { readonly kind: 'insert'; readonly at: number }
  | { readonly kind: 'remove'; readonly which: number }
  | { readonly kind: 'pop' }
  | { readonly kind: 'clear' };

// Few instants, so that ties are common.
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('insert' as const), at: fc.integer({ min: -4, max: 40 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat({ max: 200 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pop' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

interface Expected {
  readonly entry: DeadlineEntry<number>;
  readonly at: number;
  readonly value: number;
}

const byDeadlineThenInsertion = (first: Expected, second: Expected) =>
  first.at - second.at || first.value - second.value;

describe('DeadlineHeap', () => {
  test('agrees with a sorted list through any inserts, removals and pops, ties in the order of insertion', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 150, size: 'max' }), (commands) => {
        const heap = new DeadlineHeap<number>();
        const everInserted: DeadlineEntry<number>[] = [];
        let expected: Expected[] = [];
        for (const next of commands) {
          if (next.kind === 'insert') {
            const value = everInserted.length;
            const entry = heap.insert(next.at, value);
            everInserted.push(entry);
            expected.push({ entry, at: next.at, value });
            expected.sort(byDeadlineThenInsertion);
          } else if (next.kind === 'remove' && everInserted.length > 0) {
            // Any that was ever there: one that left before must be refused.
            const entry = everInserted[next.which % everInserted.length]!;
            const present = expected.find((candidate) => candidate.entry === entry);
            expect(heap.remove(entry)).toBe(present?.value);
            expected = expected.filter((candidate) => candidate.entry !== entry);
          } else if (next.kind === 'pop') {
            expect(heap.pop()).toBe(expected.shift()?.value);
          } else if (next.kind === 'clear') {
            heap.clear();
            expected = [];
          }
          expect(heap.size).toBe(expected.length);
          expect(heap.peek()).toBe(expected[0]?.entry);
        }
        expect(Array.from(expected, () => heap.pop())).toEqual(expected.map(({ value }) => value));
        expect(heap.pop()).toBeUndefined();
      }),
      { numRuns: 150 },
    );
  });

  test('moves the last entry up where it comes before the parents of the one removed', () => {
    const heap = new DeadlineHeap<number>();
    const entries = [0, 10, 1, 11, 12, 2, 3].map((at) => heap.insert(at, at));
    heap.remove(entries[3]!);
    expect(Array.from({ length: 6 }, () => heap.pop())).toEqual([0, 1, 2, 3, 10, 12]);
  });

  test('removes any of 100,000 entries with fewer than 40 comparisons', () => {
    const heap = new DeadlineHeap<number>();
    let comparisons = 0;
    const counting = (at: number) =>
      ({
        [Symbol.toPrimitive]: () => {
          comparisons += 1;
          return at;
        },
      }) as unknown as number;
    const entries = Array.from({ length: 100_000 }, (_, index) =>
      heap.insert(counting((index * 7919) % 100_003), index),
    );
    let most = 0;
    for (const entry of entries.slice(0, 1_000)) {
      comparisons = 0;
      heap.remove(entry);
      most = Math.max(most, comparisons);
    }
    // A comparison reads two deadlines; two comparisons a level, 17 levels.
    expect(most / 2).toBeLessThan(40);
    expect(heap.size).toBe(99_000);
  });

  test('an entry that left holds its value no more', () => {
    const heap = new DeadlineHeap<object>();
    const removed = heap.insert(1, {});
    const popped = heap.insert(2, {});
    const cleared = heap.insert(3, {});
    heap.remove(removed);
    heap.pop();
    heap.clear();
    expect([removed.value, popped.value, cleared.value]).toEqual([undefined, undefined, undefined]);
  });

  test('refuses the entry of another heap', () => {
    const heap = new DeadlineHeap<string>();
    heap.insert(1, 'own');
    const foreign = new DeadlineHeap<string>().insert(1, 'foreign');
    expect(heap.remove(foreign)).toBeUndefined();
    expect(heap.size).toBe(1);
  });

  test('tells which entries were there before a count of insertions', () => {
    const heap = new DeadlineHeap<string>();
    const before = heap.insert(9, 'before');
    const { inserted } = heap;
    const after = heap.insert(1, 'after');
    expect([heap.isBefore(before, inserted), heap.isBefore(after, inserted)]).toEqual([true, false]);
  });
});
