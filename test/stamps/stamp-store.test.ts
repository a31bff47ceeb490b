import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { StampStore } from '../../src/stamps/stamp-store.js';
import { systemClock } from '../../src/time/clock.js';
import { makesTable } from './large-tables.js';

const byWholeMs = { clock: systemClock, stampOf: Math.floor };

describe('StampStore', () => {
  it('stamps a key with its instant, a slot and a generation', () => {
    const store = new StampStore<string>(byWholeMs);
    const slot = store.register('a', 5);
    expect(store.slotOf('a')).toBe(slot);
    expect(store.keyOf(slot)).toBe('a');
    expect([store.registeredAt(slot), store.lastActiveAt(slot), store.generation[slot]]).toEqual([5, 5, 1]);
    expect(store.size).toBe(1);
    expect(store.holds(slot, 1)).toBe(true);
    expect(store.slotOf('b')).toBe(undefined);
  });

  it('yields what is there, and neither what has left meanwhile nor what has come, without going through all of it first', () => {
    const store = new StampStore<number>(byWholeMs);
    for (let key = 0; key < 100_000; key += 1) store.register(key, 0);
    let copyMs = Number.POSITIVE_INFINITY;
    let firstMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round += 1) {
      let startedAt = performance.now();
      Array.from(store.keys());
      copyMs = Math.min(copyMs, performance.now() - startedAt);
      startedAt = performance.now();
      store.present().next();
      firstMs = Math.min(firstMs, performance.now() - startedAt);
    }
    expect(firstMs).toBeLessThan(copyMs / 5);
    const seen: number[] = [];
    for (const [key, slot, generation] of store.present()) {
      expect(store.holds(slot, generation)).toBe(true);
      seen.push(key);
      if (key % 2 === 0) store.unregister(store.slotOf(key + 1) as number);
      if (key < 1_000) store.register(200_000 + key, 1);
    }
    expect(seen).toEqual(Array.from({ length: 50_000 }, (_, n) => 2 * n));
  });

  it('forgets all of a slot: its key, its flags, its generation', () => {
    const store = new StampStore<object>(byWholeMs);
    const key = {};
    const slot = store.register(key, 1);
    store.setFlag(slot, 4, true);
    store.register({}, 1);
    store.unregister(slot);
    expect(store.slotOf(key)).toBe(undefined);
    expect(store.keyOf(slot)).toBe(undefined);
    expect(store.holds(slot, 1)).toBe(false);
    expect(store.register({}, 2)).toBe(slot);
    expect(store.hasFlag(slot, 4)).toBe(false);
    expect(store.holds(slot, 3)).toBe(true);
  });

  it('keeps 0 for -0, and NaN as one key', () => {
    const store = new StampStore<number>(byWholeMs);
    const slot = store.register(-0, 1);
    expect(Object.is(store.keyOf(slot), 0)).toBe(true);
    expect(store.slotOf(0)).toBe(slot);
    const nan = store.register(Number.NaN, 1);
    expect(store.slotOf(Number.NaN)).toBe(nan);
  });

  it('says whether a flag was changed', () => {
    const store = new StampStore<string>(byWholeMs);
    const slot = store.register('a', 1);
    expect(store.setFlag(slot, 2, true)).toBe(true);
    expect(store.setFlag(slot, 2, true)).toBe(false);
    expect(store.setFlag(slot, 8, true)).toBe(true);
    expect(store.setFlag(slot, 2, false)).toBe(true);
    expect([store.hasFlag(slot, 2), store.hasFlag(slot, 8)]).toEqual([false, true]);
  });

  it('forgets all at once, and never gives a generation again', () => {
    for (const count of [5, 5_000]) {
      const store = new StampStore<number>(byWholeMs);
      for (let n = 0; n < count; n += 1) store.setFlag(store.register(n, n), 4, true);
      store.clear();
      expect([store.size, store.slotOf(1), store.keyOf(1), store.oldestRegisteredAt()]).toEqual([
        0,
        undefined,
        undefined,
        undefined,
      ]);
      for (let slot = 0; slot < count; slot += 1) expect(store.holds(slot, slot + 1)).toBe(false);
      const slot = store.register(1, 1);
      expect([store.generation[slot], store.hasFlag(slot, 4)]).toEqual([count + 1, false]);
      expect(store.capacity).toBeLessThanOrEqual(1_024);
    }
  });

  it('gives the memory of a burst of 100,000 back when it is empty', () => {
    const store = new StampStore<number>(byWholeMs);
    for (let n = 0; n < 100_000; n += 1) store.register(n, n);
    expect(store.capacity).toBeGreaterThanOrEqual(100_000);
    for (let n = 0; n < 100_000; n += 1) store.unregister(store.slotOf(n) as number);
    expect(store.size).toBe(0);
    expect(store.capacity).toBeLessThanOrEqual(1_024);
    expect(store.register(1, 1)).toBe(0);
    expect(store.generation[0]).toBe(100_001);
  });

  it('never gives a generation twice, also after it was raised', () => {
    const store = new StampStore<string>(byWholeMs);
    store.register('a', 1);
    store.raiseGeneration(500);
    store.raiseGeneration(3);
    const slot = store.register('b', 1);
    expect(store.generation[slot]).toBe(501);
    expect(store.lastGeneration).toBe(501);
  });

  it('agrees with a naive store in any sequence of registrations and departures', () => {
    const key = fc.integer({ min: 0, max: 40 });
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ act: fc.constant('register'), key, at: fc.nat(1_000) }) },
      { weight: 2, arbitrary: fc.record({ act: fc.constant('unregister'), key, at: fc.constant(0) }) },
      {
        weight: 1,
        arbitrary: fc.record({ act: fc.constant('restamp'), key, at: fc.integer({ min: -500, max: 1_000 }) }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const store = new StampStore<number>(byWholeMs);
        const model = new Map<number, { at: number; generation: number; flags: number }>();
        let generation = 0;
        let now = 0;
        for (const { act, key: of, at: span } of steps) {
          // Time goes on with each registration; stamps from elsewhere may be of any time.
          if (act === 'register') now += span;
          const at = act === 'register' ? now : span;
          const slot = store.slotOf(of);
          expect(slot !== undefined).toBe(model.has(of));
          if (act === 'register' && slot === undefined) {
            generation += 1;
            model.set(of, { at, generation, flags: 0 });
            store.register(of, at);
          } else if (act === 'unregister' && slot !== undefined) {
            model.delete(of);
            store.unregister(slot);
          } else if (act === 'restamp' && slot !== undefined) {
            const known = model.get(of);
            if (known !== undefined) known.at = at;
            store.restamp(slot, at, at);
          }
          expect(store.size).toBe(model.size);
        }
        expect([...store.keys()]).toEqual([...model.keys()]);
        for (const [of, { at, generation: expected }] of model) {
          const slot = store.slotOf(of) as number;
          expect(store.keyOf(slot)).toBe(of);
          expect([store.registeredAt(slot), store.generation[slot]]).toEqual([at, expected]);
        }
        const slots = [...store.entries()].map(([, slot]) => slot);
        expect(new Set(slots).size).toBe(slots.length);
        const byAge = [...model].sort(([, first], [, second]) => first.at - second.at).map(([of]) => of);
        expect(store.oldestKeys(4)).toEqual(byAge.slice(0, 4));
        const instants = [...model.values()].map(({ at }) => at);
        expect(store.oldestRegisteredAt()).toBe(instants.length === 0 ? undefined : Math.min(...instants));
      }),
      { numRuns: 200 },
    );
  });
});

it('keeps apart what is registered and what leaves in the same burst', () => {
  const store = new StampStore<number>(byWholeMs);
  const began = new Map<number, number>();
  for (let key = 0; key < 100_000; key += 1) {
    began.set(key, performance.now());
    store.registerNow(key);
    // Some leave while their registration waits for its reading of the clock, and their slots have others then.
    if (key % 3 !== 1) continue;
    const leaving = key % 2 === 0 ? key : key - 1;
    store.unregister(store.slotOf(leaving) as number);
    began.delete(leaving);
  }
  expect([...store.keys()]).toEqual([...began.keys()]);
  let last = 0;
  for (const [key, slot] of store.entries()) {
    const at = store.registeredAt(slot);
    expect(at).toBeGreaterThanOrEqual(Math.max(Math.floor(began.get(key) as number), last));
    expect(at).toBeLessThanOrEqual(performance.now());
    last = at;
  }
  expect(store.oldestRegisteredAt()).toBe(
    store.registeredAt(store.slotOf(store.oldestKeys(1)[0] as number) as number),
  );
});

describe('StampStore.shrink', () => {
  it('gives back the slots above the last one in use when most of a burst have left, and no others', () => {
    const store = new StampStore<number>(byWholeMs);
    for (let key = 0; key < 10_000; key += 1) store.register(key, key);
    expect(store.shrink()).toBe(undefined);
    for (let key = 10; key < 10_000; key += 1) store.unregister(store.slotOf(key) as number);
    const capacity = store.shrink() as number;
    expect(capacity).toBe(store.capacity);
    expect(capacity).toBeLessThan(64);
    expect(store.shrink()).toBe(undefined);
    for (let key = 0; key < 10; key += 1) {
      expect(store.registeredAt(store.slotOf(key) as number)).toBe(key);
    }
    for (let key = 20_000; key < 20_100; key += 1) store.register(key, key);
    expect(new Set(Array.from(store.entries(), ([, slot]) => slot)).size).toBe(110);
  });

  it('uses the lowest free slots first after a burst, so that a late one that stays does not keep it for ever', () => {
    const store = new StampStore<number>(byWholeMs);
    for (let key = 0; key < 10_000; key += 1) store.register(key, key);
    for (let key = 0; key < 9_999; key += 1) store.unregister(store.slotOf(key) as number);
    expect(store.shrink()).toBe(undefined);
    for (let key = 20_000; key < 20_010; key += 1) expect(store.register(key, key)).toBeLessThan(10);
    store.unregister(store.slotOf(9_999) as number);
    expect(store.shrink()).toBeLessThan(64);
    expect(store.size).toBe(10);
  });
});

describe('a StampStore that a burst has left nearly empty', () => {
  const burst = 10_000;

  /** A store of which those keys are left that the last of so many were, or the ones given. */
  function leftOver({ staying }: { staying: readonly number[] }): StampStore<number> {
    const store = new StampStore<number>(byWholeMs);
    for (let key = 0; key < burst; key += 1) store.register(key, 0);
    for (let key = 0; key < burst; key += 1) {
      if (!staying.includes(key)) store.unregister(store.slotOf(key) as number);
    }
    store.shrink();
    return store;
  }

  it('gives its memory back while its entries leave one after the other and others come', () => {
    const late = Array.from({ length: 10 }, (_, index) => burst - 1 - index);
    const store = leftOver({ staying: late });
    expect(store.capacity).toBeGreaterThanOrEqual(burst);
    for (const key of late) {
      store.unregister(store.slotOf(key) as number);
      store.register(key, 1);
    }
    expect(store.shrink()).toBeLessThan(64);
    expect(store.shrink()).toBe(undefined);
    expect(store.size).toBe(10);
  });

  it('gives it back in several goes, where some stay in the midst of it', () => {
    const store = leftOver({ staying: [2_000, burst - 1] });
    const turnOver = (key: number): void => {
      store.unregister(store.slotOf(key) as number);
      store.register(key, 1);
    };
    turnOver(burst - 1);
    expect(store.shrink()).toBeLessThan(5_000);
    turnOver(2_000);
    expect(store.shrink()).toBeLessThan(64);
  });

  it.each([3_000, burst - 1])('looks at no slots pass after pass while the entry of slot %i stays', (key) => {
    const store = leftOver({ staying: [key] });
    const looks = vi.spyOn(store, 'isUsed');
    for (let pass = 0; pass < 10; pass += 1) {
      store.register(-1, 1);
      store.unregister(store.slotOf(-1) as number);
      expect(store.shrink()).toBe(undefined);
    }
    expect(looks.mock.calls.length).toBeLessThanOrEqual(10);
  });

  it('has a place for as many entries as before, in slots of their own', () => {
    const store = leftOver({ staying: [1, 5_000, burst - 1] });
    const { capacity } = store;
    // What leaves up there is used again too, once there is no room below.
    store.unregister(store.slotOf(5_000) as number);
    for (let key = burst; store.size < burst; key += 1) store.register(key, 0);
    expect(store.capacity).toBe(capacity);
    const slots = Array.from(store.entries(), ([, slot]) => slot);
    expect(new Set(slots).size).toBe(burst);
    expect(Math.max(...slots)).toBe(burst - 1);
  });

  it('keeps a slot for each entry, whatever comes, leaves and is given back', () => {
    const step = fc.record({
      act: fc.constantFrom('come', 'leave', 'leave', 'shrink'),
      count: fc.nat(1_500),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(), (steps, seed) => {
        const store = new StampStore<number>(byWholeMs);
        let next = 0;
        const come = (count: number): void => {
          for (let left = count; left > 0; left -= 1) store.register(next++, 0);
        };
        come(3_000);
        for (const { act, count } of steps) {
          if (act === 'come') come(count);
          else if (act === 'shrink') expect([undefined, store.capacity]).toContain(store.shrink());
          else {
            const keys = [...store.keys()];
            const leaving = keys.filter((key) => ((key * 7_919 + seed) % 3_000) / 2 < count);
            for (const key of leaving) store.unregister(store.slotOf(key) as number);
          }
          const entries = [...store.entries()];
          expect(entries.every(([key, slot]) => store.keyOf(slot) === key)).toBe(true);
          expect(new Set(entries.map(([, slot]) => slot)).size).toBe(entries.length);
          expect(entries.every(([, slot]) => slot < store.capacity)).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

it('makes room in its arrays in other calls than those in which a Map of its keys or its own one grows', () => {
  const store = new StampStore<number>(byWholeMs);
  const grown: number[] = [];
  for (let count = 1; count <= 140_000; count += 1) {
    const before = store.capacity;
    store.register(count, count);
    if (store.capacity !== before && count > 60_000) grown.push(count);
  }
  expect(grown.length).toBe(8);
  for (const full of [65_536, 131_072]) {
    for (const at of grown) {
      expect(Math.abs(at - (full + 1))).toBeGreaterThan(200);
      expect(Math.abs(at - (full + 1 - full / 128))).toBeGreaterThan(200);
    }
  }
});

it('gives out generations without end', () => {
  const store = new StampStore<string>(byWholeMs);
  const first = store.register('first', 0);
  store.raiseGeneration(2 ** 32 - 3);
  const slots = ['a', 'b', 'c'].map((key) => store.register(key, 0));
  expect(slots.map((slot) => store.generation[slot])).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32]);
  expect(store.generation[first]).toBe(1);
  for (let count = 0; count < 100; count += 1) store.register(`more ${count}`, 0);
  expect(store.holds(slots[2] as number, 2 ** 32)).toBe(true);
  expect(store.generation[first]).toBe(1);
  store.renumber(first, 2 ** 40);
  store.clear();
  const last = store.register('last', 0);
  expect([store.generation[last], store.lastGeneration]).toEqual([2 ** 40 + 1, 2 ** 40 + 1]);
});

it('leaves an eighth of its room unused at most, once there is much', () => {
  const store = new StampStore<number>(byWholeMs);
  for (let count = 1; count <= 100_000; count += 1) {
    store.register(count, count);
    if (count > 8_192) expect(store.capacity).toBeLessThanOrEqual(count * 1.125);
  }
});

it('has its table shrink in another call than that of a Map with its keys, and foretells both', () => {
  const store = new StampStore<number>(byWholeMs);
  const map = new Map<number, number>();
  for (let key = 0; key < 140_000; key += 1) {
    map.set(key, key);
    store.register(key, key);
  }
  const made: { of: string; left: number; isForetold: boolean }[] = [];
  for (let left = 139_999; left > 60_000; left -= 1) {
    const key = 139_999 - left;
    const isForetold = store.isAboutToShrink;
    if (left < 65_530 || left > 65_545) {
      map.delete(key);
      store.unregister(store.slotOf(key) as number);
      expect(isForetold).toBe(false);
      continue;
    }
    if (makesTable(32_768, () => map.delete(key))) made.push({ of: 'map', left, isForetold });
    const slot = store.slotOf(key) as number;
    if (makesTable(32_768, () => store.unregister(slot))) made.push({ of: 'store', left, isForetold });
  }
  expect(made).toEqual([
    { of: 'map', left: 65_535, isForetold: true },
    { of: 'store', left: 65_534, isForetold: true },
  ]);
});

it('shows all its keys and no other one, also when there are as many as a Map can have', () => {
  const mostKeys = 64;
  const store = new StampStore<number>(byWholeMs, undefined, mostKeys);
  for (const round of ['first', 'after they have left one by one', 'after a clear']) {
    const walk = store.keys();
    for (let key = 0; key < mostKeys; key += 1) {
      store.register(key, key);
      const keys = Array.from({ length: key + 1 }, (_, index) => index);
      expect([...store.keys()], round).toEqual(keys);
      expect([...store.entries()].map(([of]) => of)).toEqual(keys);
      expect([store.size, store.oldestKeys(1)]).toEqual([key + 1, [0]]);
      expect(walk.next().value).toBe(key);
    }
    if (round === 'first') {
      for (let key = 0; key < mostKeys; key += 1) {
        expect(store.unregister(store.slotOf(key) as number)).toBe(key === mostKeys - 1);
      }
    } else store.clear();
    expect([store.size, [...store.keys()], store.oldestRegisteredAt()]).toEqual([0, [], undefined]);
  }
});

it('shows nobody a key that is nobody’s, whatever is registered, cleared and walked along meanwhile', () => {
  const store = new StampStore<string>(byWholeMs);
  const shown = (): unknown[] => [store.size, [...store.keys()], [...store.entries()].map(([key]) => key)];
  expect([...shown(), store.oldestKeys(3), store.oldestRegisteredAt()]).toEqual([0, [], [], [], undefined]);
  const slot = store.register('a', 1);
  const present = store.present();
  expect(present.next().value?.[0]).toBe('a');
  const walks = [store.keys(), store.entries(), present];
  store.clear();
  store.register('b', 2);
  expect(walks.map((walk) => walk.next().done)).toEqual([true, true, true]);
  expect(shown()).toEqual([1, ['b'], ['b']]);
  expect(store.oldestKeys(3)).toEqual(['b']);
  expect(store.unregister(store.slotOf('b') as number)).toBe(true);
  expect(shown()).toEqual([0, [], []]);
  expect(store.register('c', 3)).toBe(slot);
  expect([...store.present()].map(([key]) => key)).toEqual(['c']);
});
