import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createGatewayRegistry, createRegistry, type LeakSuspectedEvent } from '../../src/index.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';

const minuteMs = 60_000;

function setup(options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, number>; healthy: Map<string, number> }>({
    maps: { runs: {}, healthy: { ttl: '5m' } },
    captureSites: 1,
    clock,
    ...options,
  });
  const events: LeakSuspectedEvent[] = [];
  registry.on('leak-suspected', (event) => events.push(event));
  const register = new Register();
  registerMetrics(registry, { register });
  const gauges = async () => {
    const { values } = (await register.getSingleMetric('mapsweep_leak_suspected')?.get()) ?? { values: [] };
    return values.map(({ labels, value }) => [labels.map, value]);
  };
  let run = 0;
  /** Leaks two runs a minute, beside a healthy map with as many. */
  const leak = async (minutes: number): Promise<void> => {
    for (let minute = 0; minute < minutes; minute += 1) {
      for (const id of [`run-${run}`, `run-${run + 1}`]) {
        registry.maps.runs.set(id, run);
        registry.maps.healthy.set(id, run);
      }
      run += 2;
      await clock.advance(minuteMs);
    }
  };
  return { clock, registry, events, gauges, leak };
}

describe('leak-suspected', () => {
  it('says within 4 hours which map leaks 2 entries a minute, since when, its oldest keys and where they come from', async () => {
    const { clock, registry, events, gauges, leak } = setup();
    const startedAt = clock.now();
    expect(await gauges()).toEqual([
      ['runs', 0],
      ['healthy', 0],
    ]);
    await leak(4 * 60);
    expect(events).toEqual([
      {
        map: 'runs',
        suspected: true,
        entriesPerMinute: expect.closeTo(2, 1),
        since: expect.any(Number),
        size: expect.any(Number),
        oldestKeys: ['run-0', 'run-1', 'run-2', 'run-3', 'run-4'],
        sites: [
          {
            site: expect.stringMatching(/^leak \(.*\/test\/diagnosis\/leak-monitor\.test\.ts:\d+:\d+\)$/),
            count: expect.any(Number),
          },
        ],
      },
    ]);
    const [event] = events;
    expect(event?.sites[0]?.count).toBe(event?.size);
    // To within one of the shortest windows, of 22.5 minutes.
    expect(Math.abs((event?.since ?? 0) - startedAt)).toBeLessThan(22.5 * minuteMs);
    expect(await gauges()).toEqual([
      ['runs', 1],
      ['healthy', 0],
    ]);
    expect(registry.report().maps.map(({ leakSuspected }) => leakSuspected)).toEqual([true, false]);
    expect(String(registry.report())).toMatch(/runs .* LEAK SUSPECTED, \+2\.0 a minute/);
  });

  it('takes itself back with the sweep after the map was drained, and says so once', async () => {
    const { clock, registry, events, gauges, leak } = setup();
    await leak(4 * 60);
    registry.maps.runs.clear();
    await clock.advance(minuteMs);
    expect(events.slice(1)).toEqual([
      {
        map: 'runs',
        suspected: false,
        entriesPerMinute: 0,
        since: undefined,
        size: 0,
        oldestKeys: [],
        sites: [],
      },
    ]);
    expect(await gauges()).toEqual([
      ['runs', 0],
      ['healthy', 0],
    ]);
    await clock.advance(60 * minuteMs);
    expect(events).toHaveLength(2);
  });

  it('comes within 45 minutes where the cycle is shortened to 2 hours', async () => {
    const { events, leak } = setup({ leakDetection: { cycle: '2h' } });
    await leak(45);
    expect(events).toMatchObject([{ map: 'runs', suspected: true }]);
  });

  it('brings no sites without captureSites', async () => {
    const { events, leak } = setup({ captureSites: 0, leakDetection: { cycle: '2h' } });
    await leak(45);
    expect(events[0]?.sites).toEqual([]);
  });

  it('stays silent about a map of 10 runs that come and go every minute, for 12 hours', async () => {
    const { clock, registry, events } = setup();
    const { runs } = registry.maps;
    for (let minute = 0; minute < 12 * 60; minute += 1) {
      for (let run = 0; run < 10; run += 1) {
        runs.set(`run-${minute}-${run}`, run);
        runs.delete(`run-${minute - 3}-${run}`);
      }
      await clock.advance(minuteMs);
    }
    expect(events).toEqual([]);
  });
});

describe('the gateway preset', () => {
  it('suspects runs that never end within 4 hours, long before a day of idling sweeps them, and their contexts', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry({ clock });
    const suspected: string[] = [];
    registry.on('leak-suspected', ({ map }) => suspected.push(map));
    for (let minute = 0; minute < 4 * 60; minute += 1) {
      for (const id of [`run-${minute}-a`, `run-${minute}-b`]) {
        registry.maps.subagentRuns.set(id, {});
        registry.maps.runContextById.set(id, {});
      }
      await clock.advance(minuteMs);
    }
    expect(suspected.sort()).toEqual(['runContextById', 'subagentRuns']);
    await registry.close();
  });

  it('suspects nothing while runs end and leave 5 minutes after their clean-up', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry({ clock });
    const suspected: string[] = [];
    registry.on('leak-suspected', ({ map }) => suspected.push(map));
    for (let minute = 0; minute < 6 * 60; minute += 1) {
      for (const id of [`run-${minute}-a`, `run-${minute}-b`]) {
        registry.maps.subagentRuns.set(id, { endedAt: clock.now(), cleanupCompletedAt: clock.now() });
        registry.maps.runContextById.set(id, {});
      }
      await clock.advance(minuteMs);
    }
    expect(suspected).toEqual([]);
    await registry.close();
  });
});
