import { expect, it } from 'vitest';
import { Vigil } from '../../src/integrations/postgres/vigil.js';

const a = { instance: 'a', epoch: 1 };
const b = { instance: 'b', epoch: 7 };

/** Looks every 10 ms from an instant on; dead after 80 ms. */
function looks(vigil: Vigil, from: number, count: number, absent = [a]): string[] {
  let dead: string[] = [];
  for (let look = 0; look < count; look += 1)
    dead = vigil.look(from + 10 * look, absent).map(({ instance }) => instance);
  return dead;
}

it('takes nobody for dead before its lock was free for 80 ms, and then at every look', () => {
  const vigil = new Vigil(80, 10);
  expect(looks(vigil, 0, 8)).toEqual([]);
  expect(looks(vigil, 80, 1)).toEqual(['a']);
  expect(looks(vigil, 90, 1)).toEqual(['a']);
});

it('begins anew for one whose lock was held at one look, or whose epoch is another', () => {
  const vigil = new Vigil(80, 10);
  looks(vigil, 0, 8);
  vigil.look(80, []);
  expect(looks(vigil, 90, 8)).toEqual([]);
  expect(looks(vigil, 170, 1, [{ ...a, epoch: 2 }])).toEqual([]);
  expect(looks(vigil, 180, 8, [{ ...a, epoch: 2 }])).toEqual(['a']);
});

it('counts nothing from before a gap of more than three pauses, or a clock that went back', () => {
  const vigil = new Vigil(80, 10);
  looks(vigil, 0, 8);
  expect(vigil.look(3_600_000, [a])).toEqual([]);
  expect(looks(vigil, 3_600_010, 7)).toEqual([]);
  expect(vigil.look(100, [a])).toEqual([]);
  expect(looks(vigil, 110, 7)).toEqual([]);
  expect(looks(vigil, 180, 1)).toEqual(['a']);
});

it('counts nothing from before it was told to forget', () => {
  const vigil = new Vigil(80, 10);
  looks(vigil, 0, 8);
  vigil.forget();
  expect(looks(vigil, 80, 8)).toEqual([]);
  expect(looks(vigil, 160, 1)).toEqual(['a']);
});

it('leaves one alone that is done with, until it was there in between', () => {
  const vigil = new Vigil(80, 10);
  looks(vigil, 0, 9, [a, b]);
  vigil.leave(a);
  expect(vigil.look(90, [a, b])).toEqual([b]);
  vigil.forget();
  expect(looks(vigil, 100, 20, [a, b])).toEqual(['b']);
  vigil.look(300, [b]);
  expect(looks(vigil, 310, 9, [a, b])).toEqual(['a', 'b']);
});
