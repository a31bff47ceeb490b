import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';
import { Register } from './client.ts';

/** A path as discovery names maps, of the length that is usual in a large gateway. */
const pathOf = (index: number) => `openclaw.agentEvents.state/registry${String(index).padStart(3, '0')}`;

function setup() {
  const clock = createManualClock();
  const register = new Register();
  const registry = createRegistry({ maps: {}, clock });
  registerMetrics(registry, { register });
  const bytes = async () => Buffer.byteLength(await register.metrics());
  const seriesOf = async (map: string) =>
    (await register.metrics())
      .split('\n')
      .filter((line) => line.includes(`map="${map}"`))
      .map((line) => line.replace(/^mapsweep_(\w+)\{.*/, '$1'));
  return { clock, register, registry, bytes, seriesOf };
}

describe('a scrape', () => {
  it('is less than 100 kB of a gateway with 240 discovered maps that were all written to and lost something', async () => {
    const { clock, registry, bytes } = setup();
    for (let index = 0; index < 240; index += 1) {
      const map = new Map<string, number>();
      registry.adopt(pathOf(index), map, index < 4 ? { maxIdle: '5m' } : { mode: 'observe' });
      map.set('a', 1).set('b', 2).delete('a');
      if (index % 2 === 0) map.delete('b');
    }
    await clock.advance(600_000);
    expect(await bytes()).toBeLessThan(100_000);
  });

  it('grows by less than 0.5 kB with a discovered map that is only observed, was written to and lost something', async () => {
    const { registry, bytes } = setup();
    const before = await bytes();
    const map = new Map([['a', 1]]);
    registry.adopt(pathOf(1), map, { mode: 'observe' });
    map.set('b', 1).delete('a');
    const after = await bytes();
    expect(after - before).toBeGreaterThan(0);
    expect(after - before).toBeLessThan(500);
  });

  it('grows by less than 1.2 kB with a map that was written to, and by nothing with one that never was', async () => {
    const { registry, bytes } = setup();
    const before = await bytes();
    const map = new Map<string, number>();
    registry.adopt(pathOf(1), map, { ttl: '5m', maxIdle: '24h' });
    expect(await bytes()).toBe(before);
    map.set('a', 1);
    const after = await bytes();
    expect(after).toBeGreaterThan(before);
    expect(after - before).toBeLessThan(1_200);
  });
});

describe('the series of a map that was adopted later', () => {
  it('begin with its first write, those of histograms with the first removal, and end with its release', async () => {
    const { registry, seriesOf } = setup();
    const map = new Map<string, number>();
    const handle = registry.adopt('later', map, { ttl: '5m' });
    expect(await seriesOf('later')).toEqual([]);
    map.set('a', 1);
    expect(await seriesOf('later')).toEqual([
      'entries',
      'oldest_entry_age_seconds',
      'registered_total',
      'removed_total',
      'removed_total',
      'overdue_entries',
      'leak_suspected',
    ]);
    map.delete('a');
    const series = new Set(await seriesOf('later'));
    expect(series).toContain('age_at_removal_seconds_count');
    expect(series).toContain('sweep_lag_seconds_count');
    handle.release();
    expect(await seriesOf('later')).toEqual([]);
  });

  it('are, while it is only observed, how many there are, how old the oldest is, what came and what left', async () => {
    const { registry, seriesOf } = setup();
    const map = new Map([['a', 1]]);
    registry.adopt('later', map, { mode: 'observe' });
    expect(await seriesOf('later')).toEqual(['entries', 'oldest_entry_age_seconds', 'registered_total']);
    map.delete('a');
    expect(await seriesOf('later')).toEqual(['entries', 'registered_total', 'removed_total']);
  });

  it('have one more while it leaks', async () => {
    const { clock, registry, seriesOf } = setup();
    const map = new Map<string, number>();
    registry.adopt('later', map, { mode: 'observe' });
    for (let minute = 0; minute < 14 * 60; minute += 1) {
      map.set(`k${minute}`, 1);
      await clock.advance(60_000);
    }
    expect(registry.report().maps[0]?.leak.state).toBe('leaking');
    expect(await seriesOf('later')).toContain('leak_suspected');
    map.clear();
    await clock.advance(120_000);
    expect(await seriesOf('later')).not.toContain('leak_suspected');
  });

  it('are there at once for what it held when it was adopted', async () => {
    const { registry, seriesOf } = setup();
    registry.adopt('later', new Map([['a', 1]]));
    expect(await seriesOf('later')).toContain('entries');
  });

  it('are of what can happen to it: one without a lifetime is never overdue, swept or late', async () => {
    const { register, registry, seriesOf } = setup();
    const map = new Map([['a', 1]]);
    registry.adopt('later', map);
    map.delete('a');
    expect((await seriesOf('later')).filter((name) => /overdue|lag/.test(name))).toEqual([]);
    const reasons = (await register.metrics()).match(/removed_total\{.*reason="\w+"/g);
    expect(reasons?.map((line) => line.replace(/.*reason=/, ''))).toEqual(['"deleted"']);
  });
});
