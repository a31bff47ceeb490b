import { describe, expect, it } from 'vitest';
import { type Linked, LinkedList } from '../../src/stamps/linked-list.js';

interface Item extends Linked<Item> {
  readonly name: string;
}

const itemOf = (name: string): Item => ({ name, list: undefined, earlier: undefined, later: undefined });

const namesOf = (list: LinkedList<Item>): string[] => {
  const names: string[] = [];
  for (let item = list.first; item !== undefined; item = item.later) names.push(item.name);
  return names;
};

describe('a linked list', () => {
  it.each([
    ['the first', 0, ['b', 'c']],
    ['one in the midst', 1, ['a', 'c']],
    ['the last', 2, ['a', 'b']],
  ] as const)(
    'keeps its order when %s is taken out, which can be added again, behind all',
    (_, index, left) => {
      const list = new LinkedList<Item>();
      const items = ['a', 'b', 'c'].map(itemOf);
      for (const item of items) list.add(item);
      const taken = items[index] as Item;
      expect(list.delete(taken)).toBe(true);
      expect([namesOf(list), list.size]).toEqual([left, 2]);
      // It keeps no neighbour.
      expect(taken).toEqual(itemOf(taken.name));
      list.add(taken);
      expect(namesOf(list)).toEqual([...left, taken.name]);
    },
  );

  it('takes nothing out that is not there, or in another one', () => {
    const [list, other] = [new LinkedList<Item>(), new LinkedList<Item>()];
    const item = itemOf('a');
    other.add(item);
    expect([list.delete(item), list.delete(itemOf('b')), list.size]).toEqual([false, false, 0]);
    expect([other.delete(item), other.delete(item), other.size, other.first]).toEqual([
      true,
      false,
      0,
      undefined,
    ]);
  });
});
