import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Tombstones } from '../../src/endings/tombstones.js';

const purge = (kept: Tombstones): void => {
  while (kept.purgeSome());
};

function tombstones({ max = 100, ttlMs = 1_000 } = {}) {
  let now = 0;
  const kept = new Tombstones({ max, ttlMs }, () => now);
  let generation = 0;
  const claim = (key: unknown): void => {
    generation += 1;
    kept.set(key, { id: `id${generation}`, generation, at: now, endsRun: false });
  };
  const pass = (ms: number): void => {
    now += ms;
  };
  return { kept, claim, pass };
}

describe('Tombstones', () => {
  const keys = [undefined, null, 0, Number.NaN, '', 'a', Symbol('s'), {}, () => {}, 1n, true, []];

  it.each(keys.map((key) => [key]))('remembers the key %o', (key) => {
    const { kept, claim } = tombstones();
    expect(kept.get(key)).toBe(undefined);
    claim(key);
    expect(kept.get(key)).toMatchObject({ id: 'id1', generation: 1 });
    expect([...kept.entries()]).toEqual([[key, { id: 'id1', generation: 1, at: 0, endsRun: false }]]);
    kept.delete(key);
    expect(kept.get(key)).toBe(undefined);
    expect(kept.size).toBe(0);
  });

  it('keeps the place of one that is renamed: the oldest still goes first', () => {
    const { kept, claim } = tombstones({ max: 2 });
    claim('a');
    claim('b');
    kept.rename('a', { id: 'another', generation: 7 });
    expect(kept.get('a')).toEqual({ id: 'another', generation: 7, at: 0, endsRun: false });
    claim('c');
    expect([...kept.entries()].map(([key]) => key)).toEqual(['b', 'c']);
    kept.rename('a', { id: 'gone', generation: 8 });
    expect(kept.get('a')).toBe(undefined);
  });

  it('remembers a run that ends again in one place, and forgets no other one for it', () => {
    const { kept } = tombstones({ max: 2 });
    const end = (key: string, id: string, generation: number) =>
      kept.set(key, { id, generation, at: 0, endsRun: true });
    // Both are remembered by their ids too, of which there is room for two.
    end('key of x', 'x', 1);
    end('key of y', 'y', 2);
    for (const generation of [3, 4, 5]) end('a', 'a', generation);
    expect(['x', 'y', 'a'].map((id) => kept.hasRun(id))).toEqual([true, true, true]);
  });

  it('tells keys apart as a Map does', () => {
    const { kept, claim } = tombstones();
    claim({});
    claim('1');
    claim(0);
    expect(kept.get({})).toBe(undefined);
    expect(kept.get(1)).toBe(undefined);
    expect(kept.get(-0)).toBeDefined();
    expect(kept.get(null)).toBe(undefined);
    expect(kept.get(undefined)).toBe(undefined);
  });

  it('ends at its ttl to the ms, also where the clock reads 0 at the start', () => {
    const { kept, claim, pass } = tombstones();
    claim('a');
    pass(999);
    expect(kept.get('a')).toBeDefined();
    pass(1);
    expect(kept.get('a')).toBe(undefined);
    expect([...kept.entries()]).toEqual([]);
    purge(kept);
    expect([kept.size, kept.evictedTotal]).toEqual([0, 0]);
  });

  it('beyond max forgets the oldest, which is counted; one that is claimed again is young again', () => {
    const { kept, claim, pass } = tombstones({ max: 3 });
    for (const key of ['a', 'b', 'c']) claim(key);
    pass(1);
    claim('a');
    claim('d');
    expect(['a', 'b', 'c', 'd'].map((key) => kept.get(key) !== undefined)).toEqual([true, false, true, true]);
    expect([kept.size, kept.evictedTotal]).toEqual([3, 1]);
  });

  it('counts as evicted early only what had time left', () => {
    const { kept, claim, pass } = tombstones({ max: 2 });
    claim('a');
    claim('b');
    pass(1_000);
    claim('c');
    claim('d');
    claim('e');
    expect(kept.evictedTotal).toBe(1);
  });

  it('lists the oldest first', () => {
    const { kept, claim } = tombstones();
    for (const key of ['a', 'b', 'c', 'a']) claim(key);
    expect([...kept.entries()].map(([key]) => key)).toEqual(['b', 'c', 'a']);
  });

  it('keeps no object alive that is a key', async () => {
    const { kept, claim } = tombstones();
    const refs = (() => {
      const key = { run: 1 };
      claim(key);
      return new WeakRef(key);
    })();
    claim('other');
    await vi.waitFor(
      () => {
        globalThis.gc?.();
        expect(refs.deref() === undefined).toBe(true);
      },
      { timeout: 5_000, interval: 5 },
    );
    expect([...kept.entries()].map(([key]) => key)).toEqual(['other']);
  });

  it('take hardly more memory than a Map of them, also once the oldest was looked for', () => {
    const count = 50_000;
    const bytesOf = (make: () => unknown): number => {
      globalThis.gc?.();
      const before = process.memoryUsage().heapUsed;
      const made = make();
      globalThis.gc?.();
      const bytes = process.memoryUsage().heapUsed - before;
      expect(made).toBeDefined();
      return bytes;
    };
    const tombstoneOf = (run: number) => ({ id: 'id', generation: run, at: run, endsRun: false });
    const plain = bytesOf(() => {
      const map = new Map<string, unknown>();
      for (let run = 0; run < count; run += 1) map.set(`plain ${run}`, tombstoneOf(run));
      return map;
    });
    const ours = bytesOf(() => {
      const kept = new Tombstones({ max: count, ttlMs: 1_000 }, () => 0);
      for (let run = 0; run < count; run += 1) {
        kept.set(`kept  ${run}`, tombstoneOf(run));
        if (run % 10_000 === 10) kept.purgeSome();
      }
      return kept;
    });
    expect(ours / plain).toBeLessThan(1.15);
  });

  it('agrees with a naive model in any sequence of calls', () => {
    const step = fc.record({
      act: fc.constantFrom('claim', 'claim', 'claim', 'delete', 'pass', 'purge'),
      key: fc.integer({ min: 0, max: 12 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { kept, claim, pass } = tombstones({ max: 5, ttlMs: 10 });
        let model: Array<[number, number]> = [];
        let now = 0;
        for (const { act, key } of steps) {
          if (act === 'claim') {
            claim(key);
            model = [...model.filter(([of]) => of !== key), [key, now] as [number, number]].slice(-5);
          } else if (act === 'delete') {
            kept.delete(key);
            model = model.filter(([of]) => of !== key);
          } else if (act === 'pass') {
            pass(key);
            now += key;
          } else purge(kept);
          const alive = model.filter(([, at]) => now < at + 10).map(([of]) => of);
          expect([...kept.entries()].map(([of]) => of)).toEqual(alive);
          expect(kept.get(key) !== undefined).toBe(alive.includes(key));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('Tombstones of runs that their owner names', () => {
  const ended = (kept: Tombstones): string[] => [...kept.runs()].flatMap((run) => run?.[0] ?? []);

  it('agree with a memory by id beside that by key, in any sequence of calls', () => {
    // Keys and ids are of one kind, so that the id of a run is often its key, or that of another.
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.record({
      act: fc.constantFrom('set', 'set', 'set', 'rename', 'restore', 'delete', 'deleteRun', 'pass', 'purge'),
      key: name,
      id: name,
      endsRun: fc.boolean(),
      ms: fc.nat(12),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 0;
        const kept = new Tombstones({ max: 100, ttlMs: 10 }, () => now);
        const byKey = new Map<string, { id: string; at: number }>();
        const byId = new Map<string, number>();
        for (const [index, { act, key, id, endsRun, ms }] of steps.entries()) {
          const generation = index + 1;
          if (act === 'set') {
            kept.set(key, { id, generation, at: now, endsRun });
            byKey.set(key, { id, at: now });
            if (endsRun) byId.set(id, now);
          } else if (act === 'rename') {
            kept.rename(key, { id, generation });
            const renamed = byKey.get(key);
            if (renamed !== undefined) renamed.id = id;
          } else if (act === 'restore') {
            kept.restore(id, { key, generation, at: now });
            byKey.set(key, { id, at: now });
            byId.set(id, now);
          } else if (act === 'delete') {
            kept.delete(key);
            byKey.delete(key);
          } else if (act === 'deleteRun') {
            kept.deleteRun(id);
            byId.delete(id);
          } else if (act === 'pass') now += ms;
          else purge(kept);
          for (const of of ['a', 'b', 'c', 'd']) {
            const tombstone = byKey.get(of);
            expect(kept.get(of)?.id).toBe(tombstone && now < tombstone.at + 10 ? tombstone.id : undefined);
            expect(kept.hasRun(of)).toBe(now < (byId.get(of) ?? Number.NEGATIVE_INFINITY) + 10);
          }
          expect(new Set(ended(kept))).toEqual(
            new Set([...byId].filter(([, at]) => now < at + 10).map(([of]) => of)),
          );
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('remember a run once whose id is its key, however often it is set again', () => {
    let now = 0;
    const kept = new Tombstones({ max: 10, ttlMs: 1_000 }, () => now);
    for (const key of ['a', 'b', 'a', 'a']) {
      now += 1;
      kept.set(key, { id: key, generation: now, at: now, endsRun: true });
    }
    expect([...kept.runs()].filter((run) => run !== undefined)).toEqual([
      ['b', { key: 'b', generation: 2, at: 2 }],
      ['a', { key: 'a', generation: 4, at: 4 }],
    ]);
  });

  it('do not forget when a run has ended for what its key had before', () => {
    let now = 0;
    const kept = new Tombstones({ max: 10, ttlMs: 60 }, () => now);
    kept.set('c', { id: 'c', generation: 1, at: now, endsRun: true });
    now = 30;
    kept.set('a', { id: 'c', generation: 2, at: now, endsRun: true });
    kept.set('c', { id: 'd', generation: 3, at: now, endsRun: true });
    now = 61;
    expect(kept.hasRun('c')).toBe(true);
    now = 90;
    expect(kept.hasRun('c')).toBe(false);
  });

  it('are not pushed out by registrations that were no runs', () => {
    const kept = new Tombstones({ max: 3, ttlMs: 60 }, () => 0);
    kept.set('job', { id: 'job', generation: 1, at: 0, endsRun: true });
    for (const key of ['a', 'b', 'c']) kept.set(key, { id: 'open', generation: 2, at: 0, endsRun: false });
    expect(kept.get('job')).toBe(undefined);
    expect(kept.hasRun('job')).toBe(true);
    expect(kept.evictedTotal).toBe(1);
  });

  it.each(['a key behind the walk', 'the key at which it stands', 'the same run at which it stands'])(
    'all come up in a walk, though another run ends meanwhile under %s',
    (where) => {
      const kept = new Tombstones({ max: 100, ttlMs: 60 }, () => 0);
      const keys = Array.from({ length: 10 }, (_, index) => `run ${index}`);
      for (const key of keys) kept.set(key, { id: key, generation: 1, at: 0, endsRun: true });
      const seen = new Set<string>();
      for (const run of kept.runs()) {
        if (run === undefined) continue;
        seen.add(run[0]);
        if (seen.size !== 4) continue;
        const key = where.startsWith('a key') ? 'run 7' : 'run 3';
        kept.set(key, {
          id: where.startsWith('the same') ? key : 'other',
          generation: 2,
          at: 0,
          endsRun: true,
        });
      }
      for (const key of keys) expect(seen).toContain(key);
    },
  );

  it.each([
    { what: 'that are remembered by key alone', idOf: String, endsRun: false, ms: 0 },
    { what: 'whose ids are not their keys', idOf: (key: number) => `id ${key}`, endsRun: true, ms: 0 },
    { what: 'whose time is over', idOf: String, endsRun: true, ms: 100 },
  ])('are walked along in steps, and without the clock, past those $what', ({ idOf, endsRun, ms }) => {
    let now = 0;
    let readings = 0;
    const kept = new Tombstones({ max: 1_000, ttlMs: 100 }, () => {
      readings += 1;
      return now;
    });
    for (let key = 0; key < 1_000; key += 1) {
      kept.set(`${key}`, { id: idOf(key), generation: key, at: 0, endsRun });
    }
    now = ms;
    readings = 0;
    const runs = kept.runs();
    for (let steps = 0; steps < 1_000; steps += 1) expect(runs.next().done).toBe(false);
    expect(readings).toBe(1);
  });

  it('are forgotten from the oldest on, whatever has left before', () => {
    let now = 0;
    const kept = new Tombstones({ max: 1_000, ttlMs: 100 }, () => now);
    const steps = fc.array(
      fc.record({ key: fc.nat(30), act: fc.constantFrom('set', 'set', 'delete', 'purge') }),
      {
        maxLength: 200,
      },
    );
    fc.assert(
      fc.property(steps, (all) => {
        for (const { key, act } of all) {
          now += 1;
          if (act === 'set') kept.set(key, { id: `${key}`, generation: now, at: now, endsRun: false });
          else if (act === 'delete') kept.delete(key);
          else kept.purgeSome();
        }
        purge(kept);
        expect([...kept.entries()].every(([, { at }]) => now < at + 100)).toBe(true);
        expect(kept.size).toBe([...kept.entries()].length);
      }),
      { numRuns: 100 },
    );
    now += 200;
    expect(ended(kept)).toEqual([]);
    purge(kept);
    expect(kept.size).toBe(0);
  });
});
