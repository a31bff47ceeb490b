import v8 from 'node:v8';
import { createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { heapUsed } from '../heap-used.js';
import { slowClock } from '../time/slow-clock.js';

/** Instances of a class that are still reachable. `queryObjects` collects garbage before it counts. */
function alive(of: new (...parameters: never[]) => unknown): number {
  const { queryObjects } = v8 as unknown as {
    queryObjects(type: unknown, options: { format: 'count' }): number;
  };
  return queryObjects(of, { format: 'count' });
}

const gc = globalThis.gc;

beforeAll(() => {
  if (gc === undefined) throw new Error('these tests measure memory: run node with --expose-gc');
});

describe('after a million runs', () => {
  const batch = 10_000;
  const batches = 100;

  it('keeps tombstones, pending and dead letters within their limits, and a flat heap', async () => {
    const clock = createManualClock();
    let attempts = 0;
    const registry = createRegistry<{ runs: Map<string, { endedAt?: number }> }>({
      clock,
      maps: { runs: { ttl: '5m', since: (run) => run.endedAt } },
      ended: {
        map: 'runs',
        deliver: () => {
          attempts += 1;
          // One in a hundred is refused for good.
          if (attempts % 100 === 0) throw new Error('refused');
        },
        attempts: 1,
        maxPending: 20_000,
        maxDeadLetters: 500,
        tombstones: { max: 1_000, ttl: '24h' },
      },
    });
    const heaps: number[] = [];
    for (let round = 0; round < batches; round += 1) {
      for (let index = 0; index < batch; index += 1) {
        const key = `run-${round}-${index}`;
        registry.maps.runs.set(key, { endedAt: clock.now() });
        registry.end(key);
      }
      await clock.advance(6 * 60_000);
      expect(registry.maps.runs.size).toBe(0);
      const { endings } = registry.report();
      expect(endings?.tombstones).toBeLessThanOrEqual(1_000);
      expect(endings?.deadLetters).toBeLessThanOrEqual(500);
      expect(endings?.pending).toBe(0);
      if (round % 10 === 9) heaps.push(heapUsed());
    }
    expect(attempts).toBe(batch * batches);
    expect(registry.report().endings?.tombstonesEvicted).toBe(batch * batches - 1_000);
    // Flat: between the second tenth and the last, less than a byte for each run that came and went.
    const growth = (heaps.at(-1) as number) - (heaps[1] as number);
    expect(growth).toBeLessThan(batch * (batches - 20));
    await registry.close();
  }, 120_000);
});

describe('what has left', () => {
  class Payload {
    readonly text = 'x'.repeat(100);
  }

  it('is collectable once swept, companions and notified values included', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<object, Payload>; contexts: Map<object, Payload> }>({
      clock,
      maps: { runs: { ttl: '5m', dispose: () => {} }, contexts: { follows: 'runs', orphanAfter: '1h' } },
      ended: { map: 'runs', deliver: async () => {} },
    });
    const before = alive(Payload);
    for (let index = 0; index < 100; index += 1) {
      const key = {};
      registry.maps.runs.set(key, new Payload());
      registry.maps.contexts.set(key, new Payload());
    }
    expect(alive(Payload) - before).toBe(200);
    await clock.advance(7 * 60_000);
    expect(alive(Payload) - before).toBe(0);
    await registry.close();
  });

  it('is seen by this count: a value that something still holds is not collectable', async () => {
    const clock = createManualClock();
    const leaked: Payload[] = [];
    const registry = createRegistry<{ runs: Map<string, Payload> }>({
      clock,
      maps: { runs: { ttl: '5m', dispose: (value) => leaked.push(value) } },
    });
    const before = alive(Payload);
    for (let index = 0; index < 10; index += 1) registry.maps.runs.set(`run-${index}`, new Payload());
    await clock.advance(7 * 60_000);
    expect(alive(Payload) - before).toBe(10);
    expect(leaked).toHaveLength(10);
    await registry.close();
  });

  it('is collectable when a map is released or a registry closed', async () => {
    class Owned extends Map<string, Payload> {}
    const clock = createManualClock();
    const mapsBefore = alive(Owned);
    const trackedBefore = alive(TrackedMap);
    const kept = createRegistry({ clock, maps: {} });
    await (async () => {
      const closed = createRegistry<{ runs: Map<string, Payload>; owned: Map<string, Payload> }>({
        clock,
        maps: { runs: { ttl: '5m' }, owned: { adopt: new Owned(), ttl: '5m' } },
      });
      closed.maps.runs.set('a', new Payload());
      closed.maps.owned.set('a', new Payload());
      const handle = kept.adopt('late', new Owned([['a', new Payload()]]), { maxIdle: '1h' });
      expect(alive(Owned) - mapsBefore).toBe(2);
      handle.release();
      await closed.close();
    })();
    expect(alive(Owned) - mapsBefore).toBe(0);
    expect(alive(TrackedMap) - trackedBefore).toBe(0);
    await kept.close();
  });
});

describe('a map that had 200,000 entries once', () => {
  it.each(['delete', 'clear', 'sweep'] as const)('holds no typed arrays for them after %s', async (how) => {
    const arrayBuffers = (): number => {
      gc?.();
      gc?.();
      return process.memoryUsage().arrayBuffers;
    };
    const clock = createManualClock();
    const map = new TrackedMap<number, number>(null, { maxIdle: '1m', maxEntries: 1_000_000, clock });
    const before = arrayBuffers();
    for (let n = 0; n < 200_000; n += 1) map.set(n, n);
    expect(arrayBuffers() - before).toBeGreaterThan(5_000_000);
    await clock.advance(60_000);
    if (how === 'delete') for (let n = 0; n < 200_000; n += 1) map.delete(n);
    else if (how === 'clear') map.clear();
    else await map.sweep();
    expect(map.size).toBe(0);
    expect(arrayBuffers() - before).toBeLessThan(100_000);
    map.set(1, 1);
    expect(map.stamps(1)?.generation).toBe(200_001);
  });

  it('of another one whose entries they accompanied holds nothing to find those by', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<number, number>; contexts: Map<number, number> }>({
      maps: { runs: { ttl: '1h' }, contexts: { follows: 'runs' } },
      clock,
    });
    const { runs, contexts } = registry.maps;
    const fill = (count: number): void => {
      for (let run = 0; run < count; run += 1) runs.set(run, run);
      for (let run = 0; run < count; run += 1) contexts.set(run, run);
      for (let run = 0; run < count; run += 1) runs.delete(run);
    };
    fill(10);
    const before = heapUsed();
    fill(200_000);
    await registry.sweep();
    expect(contexts.size).toBe(0);
    // A number for each of them would take three times as much; what V8 has compiled meanwhile takes up to half of it.
    expect(heapUsed() - before).toBeLessThan(1_000_000);
    registry.stop();
  });
});

describe('a pass that was broken off', () => {
  it('pins nothing that leaves after it', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ map: Map<number, object> }>({
      maps: { map: { maxIdle: '1m' } },
      clock: slowClock(clock, 0.1, () => breakOff()),
      sweepEvery: '1h',
    });
    const breakOff = (): void => registry.stop();
    const { map } = registry.maps;
    const fill = (): WeakRef<object> => {
      for (let n = 0; n < 2_000; n += 1) map.set(n, { n });
      return new WeakRef(map.get(1_999) as object);
    };
    const last = fill();
    await clock.advance(120_000);
    expect(await registry.sweep()).toMatchObject({ skipped: 'stopped', swept: 0 });
    map.clear();
    await new Promise((resolve) => setImmediate(resolve));
    gc?.();
    expect(last.deref()).toBe(undefined);
    expect(map.size).toBe(0);
  });
});
