import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { afterEach, describe, expect, it, vi } from 'vitest';

const { gc } = globalThis;

afterEach(() => {
  vi.useRealTimers();
  globalThis.gc = gc;
});

// In functions of their own, so that no variable of a test holds the value.
const forgotten = () => new WeakRef({ payload: 'x'.repeat(1_000) });
const held = new Set<object>();
const pinned = () => {
  const value = { payload: 'pinned' };
  held.add(value);
  return new WeakRef(value);
};

describe('expect(weakRef).toBecomeCollectable()', () => {
  it('takes a value that nothing holds', async () => {
    await expect(forgotten()).toBecomeCollectable();
  });

  it('fails for a value that something holds', async () => {
    const reference = pinned();
    await expect(reference).not.toBecomeCollectable();
    await expect(expect(reference).toBecomeCollectable()).rejects.toThrow(
      'expected the value behind the WeakRef to become collectable, but something still holds it',
    );
    held.clear();
    await expect(reference).toBecomeCollectable();
  });

  it('proves that a swept value is gone, its key and its ending too', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<object, object> }>({
      maps: { runs: { ttl: '5m' } },
      ended: { map: 'runs', deliver: () => {} },
      clock,
    });
    const references = (() => {
      const key = { id: 1 };
      const value = { prompt: 'long' };
      registry.maps.runs.set(key, value);
      return [new WeakRef(key), new WeakRef(value)] as const;
    })();
    await clock.advance(6 * 60_000);
    for (const reference of references) await expect(reference).toBecomeCollectable();
    expect(registry).toHaveEndedEveryRunOnce();
  });

  it('collects under fake timers', async () => {
    vi.useFakeTimers();
    await expect(forgotten()).toBecomeCollectable();
  });

  it('collects in a process that was started without --expose-gc', async () => {
    globalThis.gc = undefined;
    await expect(forgotten()).toBecomeCollectable();
    await expect(pinned()).not.toBecomeCollectable();
  });

  it('refuses what is no WeakRef, also under .not', async () => {
    const why =
      /^toBecomeCollectable takes a WeakRef, since whoever is handed the value itself holds it; received an object/;
    await expect(expect({}).toBecomeCollectable()).rejects.toThrow(why);
    await expect(expect({}).not.toBecomeCollectable()).rejects.toThrow(why);
  });

  it('says under .not that it was collected', async () => {
    await expect(expect(forgotten()).not.toBecomeCollectable()).rejects.toThrow(
      'expected the value behind the WeakRef to be held by something, but it was collected',
    );
  });
});
