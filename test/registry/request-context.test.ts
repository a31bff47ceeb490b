import { AsyncLocalStorage } from 'node:async_hooks';
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

type Numbers = Map<string, number>;

/** Never settles, and outlives every request. */
const hanging = new Promise<void>(() => {});

const collectGarbage = (globalThis as { gc?: () => void }).gc as () => void;

/** Whether what a request stored is collectable, once the request is over and has left behind what it set off. */
async function isCollectable(request: () => unknown): Promise<boolean> {
  const storage = new AsyncLocalStorage<object>();
  const stored = (() => {
    const store = {};
    storage.run(store, () => void request());
    return new WeakRef(store);
  })();
  for (let turn = 0; turn < 20 && stored.deref() !== undefined; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  return stored.deref() === undefined;
}

describe('the context of a request is pinned by nothing that its calls set off', () => {
  it('a request that holds on to its store is found out', async () => {
    expect(await isCollectable(() => hanging.then(() => {}))).toBe(false);
  });

  it('a sweep by hand, while a beforeSweep that it started hangs', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: { ttl: 1, beforeSweep: () => hanging } },
      clock,
    });
    registry.maps.runs.set('a', 1);
    await clock.advance(1);
    expect(await isCollectable(() => registry.sweep())).toBe(true);
    expect(registry.report().maps[0]?.waiting).toBe(1);
    registry.stop();
  });

  it('a sweep by hand, while a dispose that it called hangs', async () => {
    const clock = createManualClock();
    let disposed = 0;
    const registry = createRegistry<{ runs: Numbers }>({
      maps: {
        runs: {
          ttl: 1,
          dispose: (async () => {
            disposed += 1;
            await hanging;
          }) as () => void,
        },
      },
      clock,
    });
    registry.maps.runs.set('a', 1);
    await clock.advance(1);
    expect(await isCollectable(() => registry.sweep())).toBe(true);
    expect(disposed).toBe(1);
    registry.stop();
  });

  it('a set beyond maxEntries, while the beforeSweep of what is evicted hangs', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: { maxEntries: 1, beforeSweep: () => hanging } },
      clock,
    });
    registry.maps.runs.set('a', 1);
    const pinned = isCollectable(() => registry.maps.runs.set('b', 1));
    await clock.advance(1);
    expect(await pinned).toBe(true);
    expect(registry.report().maps[0]?.waiting).toBe(1);
    registry.stop();
  });

  it('a delete, while what dispose and a listener return hangs', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: { dispose: () => hanging as never } },
      ended: { map: 'runs' },
      clock,
    });
    let heard = 0;
    registry.on('subagent-ended', () => {
      heard += 1;
      return hanging;
    });
    registry.maps.runs.set('a', 1);
    expect(await isCollectable(() => registry.maps.runs.delete('a'))).toBe(true);
    expect(heard).toBe(1);
    registry.stop();
  });

  it('an end, while its delivery hangs', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: {} },
      ended: { map: 'runs', deliver: () => hanging },
      clock,
    });
    registry.maps.runs.set('a', 1);
    expect(await isCollectable(() => registry.end('a'))).toBe(true);
    expect(registry.report().endings?.pending).toBe(1);
    registry.stop();
  });

  it('a sweep, while a policy function answers with a promise that hangs', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: { ttl: 1, since: () => hanging as never } },
      clock,
    });
    registry.maps.runs.set('a', 1);
    expect(await isCollectable(() => void registry.sweep())).toBe(true);
    expect(registry.report().callbackErrors).toMatchObject([{ callback: 'since' }]);
    registry.stop();
  });
});
