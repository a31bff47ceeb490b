import { createRegistry } from 'mapsweep';
import { describe, expect, test } from 'vitest';
import { heapUsed } from '../heap-used.js';

describe('what was delivered', () => {
  /** The bytes in use after two minor collections, of which the first may make old what is no more in use. */
  const used = (): number => {
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('this test measures memory: run node with --expose-gc');
    gc({ type: 'minor' });
    gc({ type: 'minor' });
    return process.memoryUsage().heapUsed;
  };

  // A Set or Map of attempts or endings would keep nearly all of them until the next major collection: 2,500 bytes a run.
  test('is not kept until a major collection', async () => {
    let delivered = 0;
    const registry = createRegistry({
      maps: { runs: { maxIdle: '1h' } },
      ended: {
        map: 'runs',
        deliver: async () => {
          delivered += 1;
        },
      },
    });
    const detailLength = 200;
    const burst = Array.from({ length: 100 }, (_, index) => index);
    const keyOf = (round: number, index: number): string => `run-${round}-${index}`;
    const rounds = 60;
    for (let round = 0; round < rounds; round += 1) {
      for (const index of burst) registry.maps.runs.set(keyOf(round, index), index);
    }
    // What the tests before have left is not to be collected in between.
    heapUsed();
    let keptBytes = 0;
    let runs = 0;
    for (let round = 0; round < rounds; round += 1) {
      const before = used();
      for (const index of burst) {
        registry.end(keyOf(round, index), { detail: new Array(detailLength).fill(index) });
      }
      while (delivered < (round + 1) * burst.length) await new Promise(setImmediate);
      // By then all code is compiled and all lists have their size.
      if (round < rounds / 3) continue;
      // A major collection in between gives back what is not of this burst: it says nothing.
      keptBytes += Math.max(0, used() - before);
      runs += burst.length;
    }
    registry.stop();
    expect(keptBytes / runs).toBeLessThan(detailLength * 8);
  });
});
