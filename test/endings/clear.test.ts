import { createRegistry } from 'mapsweep';
import { isCollectable } from 'mapsweep/testing';
import { describe, expect, test } from 'vitest';

class OneByOne<V> extends Map<string, V> {
  override clear(): void {
    for (const key of [...this.keys()]) this.delete(key);
  }
}

describe('a clear of many runs', () => {
  /** What the process has used of processors so far, ms: others on the machine do not count. */
  const usedMs = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  };
  /** How long one takes, ms. */
  const took = (runs: Map<string, number>, count: number): number => {
    const registry = createRegistry({
      maps: { runs: { adopt: runs, maxIdle: '1h' } },
      ended: { map: 'runs' },
    });
    for (let index = 0; index < count; index += 1) runs.set(`run-${index}`, index);
    const startedAt = usedMs();
    runs.clear();
    const tookMs = usedMs() - startedAt;
    expect(registry.report().maps[0]).toMatchObject({ size: 0, registered: count });
    registry.stop();
    return tookMs;
  };

  // All of them are claimed at once: to look for each among all others takes 40 times as long for 8 times as many.
  test.each([
    ['of a Map', () => new Map<string, number>()],
    ['of a class that deletes one by one', () => new OneByOne<number>()],
  ])('%s takes time in proportion', (_, make) => {
    took(make(), 8_000);
    const least = (count: number): number =>
      Math.min(...Array.from({ length: 3 }, () => took(make(), count)));
    expect(least(64_000)).toBeLessThan(least(8_000) * 24 + 100);
  });

  test('of a class that deletes one by one keeps none of their values', async () => {
    const runs = new OneByOne<object>();
    const registry = createRegistry({ maps: { runs: { adopt: runs } }, ended: { map: 'runs' } });
    const setOne = (key: string): WeakRef<object> => {
      const value = {};
      runs.set(key, value);
      return new WeakRef(value);
    };
    const references = ['a', 'b', 'c'].map(setOne);
    runs.clear();
    for (const reference of references) expect(await isCollectable(reference)).toBe(true);
    registry.stop();
  });
});
