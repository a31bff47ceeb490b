import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const advancer = { advance: (ms: number) => vi.advanceTimersByTimeAsync(ms) };

/** The library as it is where a setup file installs fake timers before anything is loaded. */
const load = async () => {
  const [{ createRegistry }, kit] = await Promise.all([import('mapsweep'), import('mapsweep/testing')]);
  return { createRegistry, ...kit };
};

beforeEach(() => {
  vi.resetModules();
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a library that is loaded after fake timers were installed', () => {
  it('checks a scenario, whose maps follow the fake clock', async () => {
    const { createRegistry, returnToBaseline } = await load();
    const deliver = async () => {};
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } }, ended: { map: 'runs', deliver } });
    const scenario = (run: number) => registry.maps.runs.set(run, {});
    const result = await returnToBaseline(scenario, { registry, clock: advancer, times: 20 });
    expect(result).toMatchObject({ held: true, elapsedMs: 300_000 });
    registry.stop();
  });

  it('tells a scenario that waits for the fake clock so', async () => {
    const { createRegistry, returnToBaseline } = await load();
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } } });
    const scenario = () => new Promise((resolve) => setTimeout(resolve, 50));
    await expect(returnToBaseline(scenario, { registry, clock: advancer })).rejects.toMatchObject({
      code: 'ERR_NO_CLOCK',
    });
    registry.stop();
  });

  it('stamps each entry of a burst at the time of its set', async () => {
    const { createRegistry } = await load();
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } } });
    for (let run = 0; run < 30; run += 1) registry.maps.runs.set(run, {});
    const setAt = Date.now();
    vi.advanceTimersByTime(60_000);
    expect(registry.explain('runs', 29).deadline).toBe(setAt + 300_000);
    registry.stop();
  });
});
