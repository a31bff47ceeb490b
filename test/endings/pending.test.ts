import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newObligation, type Obligation } from '../../src/endings/obligation.js';
import { Pending } from '../../src/endings/pending.js';
import { heapUsed } from '../heap-used.js';

const ids = ['a', 'b', 'c', 'd'];

type One = Obligation<unknown, unknown>;

const obligationOf = (id: string, since: number): One => {
  const event = {
    id,
    key: id,
    generation: 1,
    reason: 'completed',
    registeredAt: 0,
    lastActiveAt: 0,
    endedAt: 0,
    value: undefined,
    detail: undefined,
  };
  return newObligation({ event, attempts: 0 }, since, false, false);
};

/** Adds so many, and then deletes them. */
function burst(pending: Pending<unknown, unknown>, count: number): void {
  const obligations = Array.from({ length: count }, (_, index) => obligationOf(`${index}`, index));
  for (const obligation of obligations) pending.add(obligation);
  for (const obligation of obligations) pending.delete(obligation);
}

describe('Pending', () => {
  test('agrees with a Map, whatever is added and deleted', () => {
    const command = fc.record({
      id: fc.constantFrom(...ids),
      since: fc.integer({ min: 0, max: 9 }),
      what: fc.constantFrom('add', 'delete', 'delete another'),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const pending = new Pending<unknown, unknown>();
        const expected = new Map<string, One>();
        for (const { id, since, what } of commands) {
          const obligation = obligationOf(id, since);
          const known = expected.get(id);
          if (what === 'delete another') expect(pending.delete(obligation)).toBe(false);
          else if (what === 'delete' && known !== undefined) {
            expect(pending.delete(known)).toBe(true);
            expected.delete(id);
          } else if (known === undefined) {
            pending.add(obligation);
            expected.set(id, obligation);
          }
          expect(pending.size).toBe(expected.size);
          expect([...pending.all()]).toEqual([...expected.values()]);
          for (const each of ids) expect(pending.get(each)).toBe(expected.get(each));
          expect(pending.has(id)).toBe(expected.has(id));
          const oldest = Math.min(...[...expected.values()].map(({ since }) => since));
          expect(pending.oldest?.since).toBe(expected.size === 0 ? undefined : oldest);
        }
      }),
    );
  });

  test('yields what is there when its turn comes, also what was added meanwhile', () => {
    const pending = new Pending<unknown, unknown>();
    const [a, b, c, d] = ids.map((id) => obligationOf(id, 0)) as [One, One, One, One];
    for (const obligation of [a, b, c]) pending.add(obligation);
    const seen: string[] = [];
    for (const { id } of pending.all()) {
      seen.push(id);
      if (id !== 'a') continue;
      pending.delete(a);
      pending.delete(b);
      pending.add(d);
    }
    expect(seen).toEqual(['a', 'c', 'd']);
  });

  test('goes on after a burst, whose places it has given back', () => {
    const pending = new Pending<unknown, unknown>();
    const obligations = Array.from({ length: 3_000 }, (_, index) => obligationOf(`${index}`, index));
    for (let round = 0; round < 2; round += 1) {
      for (const obligation of obligations) pending.add(obligation);
      expect(pending.size).toBe(3_000);
      expect(pending.get('2999')).toBe(obligations[2_999]);
      for (const obligation of obligations) pending.delete(obligation);
      expect([...pending.all()]).toEqual([]);
    }
  });

  test('gives the memory of a burst back though some stay', () => {
    const count = 100_000;
    const pending = new Pending<unknown, unknown>();
    // What is compiled in a first burst is not of the second.
    burst(pending, count);
    const before = heapUsed();
    for (const id of ids) pending.add(obligationOf(id, 0));
    burst(pending, count);
    expect(heapUsed() - before).toBeLessThan(count * 4);
    expect([...pending.all()].map(({ id }) => id)).toEqual(ids);
  });

  test('goes on with a walk in whose midst the places of a burst were given back', () => {
    const pending = new Pending<unknown, unknown>();
    for (const id of ids) pending.add(obligationOf(id, 0));
    const walk = pending.all();
    expect(walk.next().value?.id).toBe('a');
    burst(pending, 3_000);
    expect([...walk].map(({ id }) => id)).toEqual(['b', 'c', 'd']);
    for (const id of ids) expect(pending.get(id)?.id).toBe(id);
  });
});
