import { createRegistry, type RegistryOptions } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { Levels } from '../../src/testing/levels.js';
import { type Subject, subjectOf } from '../../src/testing/subject.js';
import { Machine } from '../restart/lives.js';

interface Item {
  dueAt?: number;
  of?: string;
}
type Maps = { items: Map<string, Item | undefined>; leaders: Map<string, unknown> };
type Items = object;

const minute = 60_000;

class OwnSet extends Map<string, Item> {
  override set(key: string, value: Item): this {
    return super.set(key, value);
  }
}

/** A registry whose functions of (value, key) note what they are asked about. */
function noting(items: (note: <Answer>(value: unknown, key: string, answer: Answer) => Answer) => Items) {
  const clock = createManualClock();
  const asked: string[] = [];
  const note = <Answer>(value: unknown, key: string, answer: Answer): Answer => {
    asked.push(value === undefined ? `${key} gone` : key);
    return answer;
  };
  const registry = createRegistry<Maps>({
    maps: { items: items(note), leaders: {} },
    clock,
  } as RegistryOptions<Maps>);
  const { items: map } = registry.maps;
  const deleteNatively = (key: string) => Map.prototype.delete.call(map, key);
  /** Deletes one key and sets another, so that the sizes do not show it. */
  const swap = (key: string) => {
    deleteNatively(key);
    Map.prototype.set.call(map, `in place of ${key}`, {});
  };
  return { clock, registry, map, asked, swap, deleteNatively };
}

describe('a function of (value, key) is not asked about what was deleted past the wrapper', () => {
  it.each([
    ['maxEntries', { maxEntries: 4 }],
    ['maxPerOwner', { maxPerOwner: { owner: () => 'all', max: 4 } }],
  ])('expiresAt, by an eviction by %s, which takes notice of it', async (_, caps) => {
    const { clock, registry, map, asked, deleteNatively } = noting((note) => ({
      ...caps,
      expiresAt: (item: Item, key: string) => note(item, key, item?.dueAt),
    }));
    const dueAt = clock.now() + 1;
    for (const key of ['a', 'b', 'c', 'd']) map.set(key, { dueAt });
    await clock.advance(2);
    map.set('e', {});
    await clock.advance(2);
    expect([...map.keys()]).toEqual(['b', 'c', 'd', 'e']);
    deleteNatively('b');
    map.set('f', {}).set('g', {});
    asked.length = 0;
    await clock.advance(2);
    expect(asked).toEqual(['c']);
    expect([...map.keys()]).toEqual(['d', 'e', 'f', 'g']);
    expect(registry.report().maps[0]).toMatchObject({ removed: { deleted: 1, evicted: 2 } });
    registry.stop();
  });

  it('persist.encode, as its change is written', async () => {
    const machine = new Machine();
    const asked: unknown[] = [];
    const encode = (run: unknown): unknown => {
      asked.push(run);
      return run;
    };
    const { contexts, failures } = machine.start({ maps: { contexts: { persist: { encode } } } });
    contexts.set('a', { text: '1' }).set('b', { text: '2' });
    await machine.clock.advance(1);
    contexts.set('a', { text: '3' }).set('b', { text: '4' });
    Map.prototype.delete.call(contexts, 'a');
    await machine.clock.advance(1);
    expect(asked).toEqual([{ text: '1' }, { text: '2' }, { text: '4' }]);
    expect(failures).toEqual([]);
    machine.powerOff();
  });

  it('follows.key, by a touch', () => {
    const { registry, map, asked, swap } = noting((note) => ({
      follows: { map: 'leaders', key: (item: Item, key: string) => note(item, key, item?.of) },
    }));
    map.set('a', { of: 'leader' });
    swap('a');
    registry.touch('items', 'a');
    expect(asked).toEqual(['a']);
    registry.stop();
  });

  it('beforeSweep, whose turn has come, which takes notice of it', async () => {
    const { clock, registry, map, asked, swap } = noting((note) => ({
      ttl: '1m',
      beforeSweep: (item: Item, key: string) => note(item, key, new Promise(() => {})),
      beforeSweepTimeout: '10s',
    }));
    for (let n = 0; n < 40; n += 1) map.set(`k${n}`, {});
    await clock.advance(minute);
    expect(asked.length).toBe(32);
    swap('k35');
    await clock.advance(minute / 2);
    expect(asked.length).toBeGreaterThanOrEqual(39);
    expect(asked.filter((key) => key.endsWith('gone'))).toEqual([]);
    expect(registry.report().maps[0]).toMatchObject({ removed: { deleted: 1 } });
    registry.stop();
  });

  it.each([
    ['', undefined],
    [' of a class of its own', OwnSet],
  ])('replaced, by a set%s, which registers it anew', (_, Kind) => {
    const { registry, map, asked, swap } = noting((note) => ({
      ...(Kind && { adopt: new Kind() }),
      replaced: (item: Item, key: string) => note(item, key, undefined),
    }));
    map.set('a', {}).set('b', {});
    const before = registry.stamps('items', 'a')?.generation as number;
    swap('a');
    map.set('a', {}).set('b', {});
    expect(asked).toEqual(['b']);
    expect(registry.stamps('items', 'a')?.generation).toBeGreaterThan(before);
    registry.stop();
  });

  it('ended.settled, by a late restore', () => {
    const asked: unknown[] = [];
    const options = {
      maps: { runs: {} },
      ended: {
        map: 'runs',
        settled: (run: unknown) => {
          asked.push(run);
          return false;
        },
      },
      clock: createManualClock(),
    } as const;
    const first = createRegistry<{ runs: Map<string, Item> }>(options as never);
    first.maps.runs.set('x', {});
    const next = createRegistry<{ runs: Map<string, Item> }>(options as never);
    next.maps.runs.set('a', {}).set('b', {});
    Map.prototype.delete.call(next.maps.runs, 'a');
    next.restore(first.snapshot());
    expect(asked).toEqual([{}]);
    first.stop();
    next.stop();
  });

  it('unstamped and ended.settled, of an entry that they have deleted so before', () => {
    for (const name of ['unstamped', 'settled'] as const) {
      const asked: unknown[] = [];
      const adopt = new Map([...'abc'].map((key) => [key, { dueAt: 1 }]));
      const question = (item: unknown): number | false => {
        asked.push(item);
        Map.prototype.delete.call(adopt, 'b');
        return name === 'unstamped' && 2e12;
      };
      const registry = createRegistry({
        maps: { items: { adopt, ...(name === 'unstamped' && { unstamped: question as () => number }) } },
        ended: { map: 'items', ...(name === 'settled' && { settled: question as () => boolean }) },
        clock: createManualClock(),
      });
      expect(asked).toEqual([{ dueAt: 1 }, { dueAt: 1 }]);
      registry.stop();
    }
  });

  it('weigh, by a leak test', () => {
    const { registry, map, asked, swap } = noting((note) => ({
      weigh: (item: Item, key: string) => note(item, key, 1),
    }));
    map.set('a', {}).set('b', {});
    const levels = new Levels(subjectOf(registry) as Subject);
    levels.begin(1);
    swap('a');
    levels.end();
    expect(asked).toEqual(['a', 'b', 'b']);
    registry.stop();
  });
});

describe('an entry that was set past the wrapper while another was deleted so, which the sizes do not show', () => {
  const disposing = () => {
    const told: string[] = [];
    const all = noting(() => ({
      ttl: '5m',
      dispose: (_: Item, key: string, reason: string) => void told.push(`${key} ${reason}`),
    }));
    all.map.set('a', {}).set('b', {});
    all.swap('a');
    return { ...all, told };
  };

  it('is disposed of by close({ dispose: true })', async () => {
    const { registry, map, told } = disposing();
    expect(await registry.close({ dispose: true })).toEqual({ undelivered: 0, undisposed: 0 });
    expect([told, map.size]).toEqual([['b closed', 'in place of a closed'], 0]);
  });

  it('is found by the sweep after that which finds the other one due', async () => {
    const { clock, registry, told } = disposing();
    await clock.advance(5 * minute);
    expect(registry.stamps('items', 'in place of a')).toBeUndefined();
    await clock.advance(minute);
    expect(registry.stamps('items', 'in place of a')?.registeredAt).toBe(clock.now());
    await clock.advance(5 * minute);
    expect(told).toEqual(['b swept', 'in place of a swept']);
    registry.stop();
  });
});

it('a value undefined that is there is asked about', async () => {
  const { clock, registry, map, asked } = noting((note) => ({
    maxEntries: 1,
    expiresAt: (item: Item, key: string) => note(item, key, undefined),
    follows: { map: 'leaders', key: (item: Item, key: string) => note(item, key, undefined) },
    weigh: (item: Item, key: string) => note(item, key, 1),
  }));
  map.set('a', undefined);
  registry.touch('items', 'a');
  await registry.sweep();
  expect(asked).toEqual(['a gone', 'a gone', 'a gone', 'a gone']);
  map.set('b', undefined);
  await clock.advance(1);
  // Once more of the one that the cap is about to evict.
  expect(asked.slice(4)).toEqual(['b gone', 'a gone', 'b gone', 'a gone']);
  registry.stop();
});

it('a touch of what was deleted past the wrapper finds nothing', async () => {
  const { registry, map, deleteNatively } = noting(() => ({ maxIdle: '5m' }));
  map.set('a', {}).set('b', {});
  deleteNatively('a');
  expect([registry.touch('items', 'a'), registry.touch('items', 'b')]).toEqual([false, true]);
  await registry.close();
});
