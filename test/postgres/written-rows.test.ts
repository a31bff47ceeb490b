import { expect, it } from 'vitest';
import { WrittenRows } from '../../src/integrations/postgres/written-rows.js';

/** Rows as a server has them, of which some may go, and what is known of them. */
function journal(first = 1) {
  const rows = new WrittenRows(first, first - 1);
  const there = new Set<number>();
  const found = ({ from, to }: { from: number; to: number }): number =>
    [...there].filter((number) => number >= from && number <= to).length;
  return {
    rows,
    there,
    write(...numbers: number[]) {
      for (const number of numbers) {
        there.add(number);
        rows.add(number);
      }
    },
    lose(...numbers: number[]) {
      for (const number of numbers) there.delete(number);
    },
    look(expected = rows.expected) {
      return rows.missing(found(expected), expected);
    },
  };
}

it('finds the rows that have gone since the last look, whatever was written after them, once', () => {
  const { write, lose, look } = journal();
  write(1, 2, 3);
  expect(look()).toBe(0);
  write(4, 6, 7);
  lose(6, 7);
  write(8);
  expect([look(), look()]).toEqual([2, 0]);
  write(9);
  expect(look()).toBe(0);
});

it('finds that the last row of the look before has gone, and all of them', () => {
  const { write, lose, look } = journal();
  write(1, 2);
  expect(look()).toBe(0);
  lose(2);
  expect([look(), look()]).toEqual([1, 0]);
  write(3, 4);
  lose(1, 3, 4);
  expect(look()).toBe(2);
});

it('misses none that a checkpoint has superseded, before a look or in the midst of one', () => {
  const { rows, write, lose, look } = journal();
  write(1, 2);
  const early = rows.expected;
  rows.beginCheckpoint();
  write(3, 4);
  rows.supersede(3);
  lose(1, 2);
  expect([look(early), look()]).toEqual([0, 0]);
  lose(4);
  expect(look()).toBe(1);
});

it('begins anew with what has been read anew, though that came in the midst of a look', () => {
  const { rows, write, lose, look } = journal();
  write(1, 2);
  const early = rows.expected;
  rows.readTo(2);
  write(3);
  expect(look(early)).toBe(0);
  lose(3);
  expect(look()).toBe(1);
});
