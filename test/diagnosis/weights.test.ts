import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.ts';
import { createManualClock } from '../../src/testing.ts';

const sweepMs = 60_000;

function setup(weigh?: (value: string, key: string) => number) {
  const clock = createManualClock();
  const asked: string[] = [];
  const registry = createRegistry<{ contexts: Map<string, string>; plain: Map<string, string> }>({
    maps: {
      contexts: {
        maxIdle: '1h',
        weigh: (value, key) => {
          asked.push(key);
          return weigh === undefined ? value.length : weigh(value, key);
        },
      },
      plain: {},
    },
    clock,
  });
  const estimate = (map = 0) => registry.report().maps[map]?.estimatedBytes;
  const errors = () => registry.report().callbackErrors;
  return { clock, registry, contexts: registry.maps.contexts, asked, estimate, errors };
}

describe('weigh', () => {
  it('is never called by set, get or delete, and 8 times by a sweep of 10,000 entries', async () => {
    const { clock, contexts, asked } = setup();
    for (let key = 0; key < 10_000; key += 1) contexts.set(`key-${key}`, 'x');
    contexts.get('key-1');
    contexts.delete('key-1');
    expect(asked).toEqual([]);
    await clock.advance(sweepMs);
    expect(asked).toHaveLength(8);
    expect(new Set(asked).size).toBe(8);
  });

  it('samples the whole of a map: half of it a hundred times as heavy is estimated to 10 % within 20 sweeps', async () => {
    const { clock, contexts, estimate } = setup();
    for (let key = 0; key < 10_000; key += 1)
      contexts.set(`key-${key}`, 'x'.repeat(key < 5_000 ? 1_000 : 10));
    for (let sweep = 0; sweep < 20; sweep += 1) await clock.advance(sweepMs);
    expect(estimate()).toBeGreaterThan(0.9 * 5_050_000);
    expect(estimate()).toBeLessThan(1.1 * 5_050_000);
  });

  it('estimates a map of up to 8 entries to the byte, after each sweep anew', async () => {
    const { clock, contexts, estimate } = setup();
    for (let key = 0; key < 8; key += 1) contexts.set(`key-${key}`, 'x'.repeat(key));
    await clock.advance(sweepMs);
    expect(estimate()).toBe(28);
    for (let key = 0; key < 8; key += 1) contexts.set(`key-${key}`, 'x'.repeat(1_000));
    await clock.advance(sweepMs);
    expect(estimate()).toBe(8_000);
  });

  it('follows a map whose values grow tenfold, to within 20 % after 64 sweeps', async () => {
    const { clock, contexts, estimate } = setup();
    const fill = (length: number) => {
      for (let key = 0; key < 1_000; key += 1) contexts.set(`key-${key}`, 'x'.repeat(length));
    };
    fill(10);
    for (let sweep = 0; sweep < 64; sweep += 1) await clock.advance(sweepMs / 2);
    fill(100);
    for (let sweep = 0; sweep < 55; sweep += 1) await clock.advance(sweepMs);
    expect(estimate()).toBeGreaterThan(80_000);
  });

  it('finds entries in a map of which 20 of 100,000 are left', async () => {
    const { clock, contexts, estimate } = setup();
    for (let key = 0; key < 100_000; key += 1) contexts.set(`key-${key}`, 'xxxxx');
    for (let key = 0; key < 100_000; key += 1) if (key % 5_000 !== 0) contexts.delete(`key-${key}`);
    await clock.advance(sweepMs);
    expect(estimate()).toBe(100);
  });

  it('estimates 0 bytes for an empty map and before the first sweep, and nothing without weigh', async () => {
    const { clock, contexts, estimate } = setup();
    contexts.set('a', 'x');
    expect([estimate(0), estimate(1)]).toEqual([0, undefined]);
    await clock.advance(sweepMs);
    contexts.clear();
    expect(estimate(0)).toBe(0);
  });

  it('prints the estimate in the report, in kB, and of no map without weigh', async () => {
    const { clock, registry, contexts } = setup();
    contexts.set('a', 'x'.repeat(12_345));
    await clock.advance(sweepMs);
    expect(String(registry.report())).toContain('\nestimated weight: contexts 12.3 kB\n');
  });

  it('counts a throw and leaves the entry out: 2 of 3 entries say what all 3 weigh', async () => {
    const { clock, registry, contexts, estimate, errors } = setup((value, key) => {
      if (key === 'b') throw new Error('no');
      return value.length;
    });
    const failed: unknown[] = [];
    registry.on('callback-failed', ({ map, callback, key }) => failed.push([map, callback, key]));
    contexts.set('a', 'x'.repeat(10)).set('b', 'y').set('c', 'z'.repeat(10));
    await clock.advance(sweepMs);
    expect(estimate()).toBe(30);
    expect(errors()).toEqual([{ map: 'contexts', callback: 'weigh', count: 1 }]);
    expect(failed).toEqual([['contexts', 'weigh', 'b']]);
  });

  it.each([
    ['NaN', () => Number.NaN],
    ['a negative number', () => -1],
    ['Infinity', () => Number.POSITIVE_INFINITY],
    ['undefined', () => undefined],
    ['a bigint', () => 10n],
    ['a promise', () => Promise.resolve(10)],
    ['a promise that is rejected', () => Promise.reject(new Error('no'))],
  ])('counts %s as an invalid answer and leaves the entry out', async (_, answer) => {
    const { clock, registry, contexts, estimate, errors } = setup(() => answer() as number);
    const messages: unknown[] = [];
    registry.on('callback-failed', ({ error }) => messages.push(error));
    contexts.set('a', 'x');
    await clock.advance(sweepMs);
    expect(estimate()).toBe(0);
    expect(errors()).toEqual([{ map: 'contexts', callback: 'weigh', count: 1 }]);
    expect(messages).toEqual([expect.objectContaining({ code: 'ERR_INVALID_ANSWER' })]);
  });

  it('may remove what it weighs', async () => {
    const { clock, contexts, asked, errors } = setup(() => {
      contexts.clear();
      return 1;
    });
    contexts.set('a', 'x').set('b', 'y').set('c', 'z');
    await clock.advance(sweepMs);
    expect([asked, errors()]).toEqual([['a'], []]);
  });

  it('is not called after a tick that came late', async () => {
    const late = createManualClock();
    let offset = 0;
    let weighed = 0;
    const registry = createRegistry<{ contexts: Map<string, string> }>({
      maps: { contexts: { weigh: () => (weighed += 1) } },
      clock: { ...late, monotonic: () => late.monotonic() + offset },
    });
    registry.maps.contexts.set('a', 'x');
    await late.advance(30_000);
    offset = 10 * sweepMs;
    await late.advance(30_000);
    expect(weighed).toBe(0);
  });
});
