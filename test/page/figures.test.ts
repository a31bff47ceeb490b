import { getHeapStatistics } from 'node:v8';
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { sentenceOf } from '../../src/page/sentence.ts';
import { dataAt, distinct, served, textAt, wordsOf } from './setting.ts';

describe('the order of the maps', () => {
  /** Registers five maps of which each order is another one. */
  async function ordered() {
    const clock = createManualClock();
    const guarded = { ttl: '1h', keepWhile: () => true };
    const registry = createRegistry<Record<string, Map<number, number>>>({
      maps: { d: guarded, runs: {}, b: {}, c: guarded, a: {} } as never,
      clock,
    });
    const add = (name: string, count: number) => {
      const map = registry.maps[name] as unknown as Map<number, number>;
      for (let index = 0; index < count; index += 1) map.set(map.size, index);
    };
    for (let minute = 0; minute < 14 * 60; minute += 1) {
      add('runs', 5);
      await clock.advance(60_000);
    }
    for (const [name, count] of [
      ['b', 1],
      ['c', 2],
      ['d', 1],
    ] as const) {
      add(name, count);
      await clock.advance(60_000);
    }
    await clock.advance(3_600_000);
    add('a', 3);
    add('d', 4);
    return registry;
  }

  it('is another one for each way to sort, and that which was asked for', async () => {
    const registry = await ordered();
    const address = await served(registry);
    const orders: Record<string, string> = {};
    for (const sort of ['worst', 'size', 'oldest', 'overdue', 'name']) {
      const { rows } = (await dataAt(`${address}/report.json?sort=${sort}`)).maps;
      orders[sort] = rows.map(({ name }: { name: string }) => name).join(' ');
    }
    expect(orders).toEqual({
      worst: 'runs c d a b',
      size: 'runs d a c b',
      oldest: 'runs b c d a',
      overdue: 'c d runs a b',
      name: 'a b c d runs',
    });
    registry.stop();
  });
});

describe('the figures of a map', () => {
  it('stand each in its own column, and by its own name in the text', async () => {
    const registry = await distinct();
    const address = await served(registry);
    const page = await textAt(`${address}/?filter=tokens`);
    const cells = (tag: string) =>
      [...page.matchAll(new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 'g'))].map(([, cell]) =>
        wordsOf(cell as string),
      );
    const [, ...columns] = cells('th').slice(0, -1);
    const row = Object.fromEntries(cells('td').map((cell, index) => [columns[index], cell]));
    expect(row).toEqual({
      Verdict: 'ok',
      Since: '',
      Entries: '15',
      'Over time': expect.any(String),
      Oldest: '2h',
      Overdue: '7',
      Orphaned: '6',
      Guarded: '3',
      Held: '2',
      Waiting: '4',
      Weight: '15.0 kB',
    });
    const figures = { size: 15, overdue: 7, orphaned: 6, guarded: 3, held: 2, waiting: 4 };
    const text = '15 entries, 15.0 kB, oldest 2h, 7 overdue, 6 orphaned, 3 guarded, 2 held, 4 waiting';
    expect(await textAt(`${address}/report.txt`)).toContain(`tokens: ok; ${text}`);
    expect((await dataAt(`${address}/report.json?filter=tokens`)).maps.rows[0]).toMatchObject({
      ...figures,
      oldestAgeMs: 2 * 3_600_000 + 60_000,
      estimatedBytes: 15_000,
    });
    expect(registry.report().maps.find(({ name }) => name === 'tokens')).toMatchObject(figures);
    registry.stop();
  });

  it('name the places where its entries were registered, each with its share, the greatest first', async () => {
    const registry = createRegistry({ maps: { runs: {} }, captureSites: 1, clock: createManualClock() });
    const runs = registry.maps.runs as unknown as Map<string, number>;
    const here = () => runs.set(`here-${runs.size}`, 1);
    const there = () => runs.set(`there-${runs.size}`, 1);
    there();
    for (let index = 0; index < 3; index += 1) here();
    const address = await served(registry);
    const words = wordsOf(await textAt(`${address}/?map=runs`));
    const shares = /75 % \(3 sampled\): here.*:(\d+):\d+\)?\s*25 % \(1 sampled\): there.*:(\d+):/;
    const [, lineOfHere, lineOfThere] = shares.exec(words) as RegExpExecArray;
    expect(Number(lineOfThere)).toBe(Number(lineOfHere) + 1);
    const text = await textAt(`${address}/report.txt?map=runs`);
    expect(text).toMatch(/75 % registered at here.*\n.*25 % registered at there/);
    registry.stop();
  });
});

describe('the figures of the process and of the endings', () => {
  it('say how much of its limit the heap takes, as v8 does', async () => {
    const registry = createRegistry({ maps: {}, clock: createManualClock() });
    // Or a collection between the two readings could free a third of it.
    globalThis.gc?.();
    const { heapShare, sentence } = await dataAt(`${await served(registry)}/report.json`);
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    expect(heapShare / (used / limit)).toBeGreaterThan(0.8);
    expect(heapShare / (used / limit)).toBeLessThan(1.2);
    expect(sentence.text).toContain(`heap at ${Math.round(heapShare * 100)} % of its limit.`);
    registry.stop();
  });

  it.each([
    [0.849, 'good', 'All is well', 85],
    [0.85, 'doubtful', 'Worth a look', 85],
    [0.994, 'doubtful', 'Worth a look', 99],
  ])(
    'turn the sentence amber where the heap takes 0.85 of its limit: %d',
    (heapShare, tone, opening, percent) => {
      const none = { total: 0, leaking: 0, growing: 0 };
      const sentence = sentenceOf({
        at: 0,
        maps: none,
        watched: none,
        lastSweepAt: undefined,
        pending: 0,
        deadLetters: 0,
        heapShare,
        health: { status: 'ok' },
        closed: false,
      });
      expect(sentence).toEqual({ tone, text: expect.stringMatching(`^${opening}.*heap at ${percent} %`) });
    },
  );

  it('say how many endings are pending, and for how long the oldest has been', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { runs: {} },
      ended: { map: 'runs', attemptTimeout: '10m', deliver: () => new Promise(() => {}) },
      clock,
    });
    for (const key of ['a', 'b', 'c']) {
      registry.maps.runs.set(key, 1);
      registry.end(key);
      await clock.advance(60_000);
    }
    const address = await served(registry);
    const { endings } = await dataAt(`${address}/report.json`);
    expect(endings).toMatchObject({ pending: 3, oldestPendingMs: 180_000 });
    expect(wordsOf(await textAt(address))).toContain('3 pending, the oldest for 3m.');
    expect(await textAt(`${address}/report.txt`)).toContain('3 pending, the oldest for 3m');
    registry.stop();
  });
});
