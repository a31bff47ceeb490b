import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import {
  type Clock,
  createGatewayRegistry,
  createRegistry,
  type LeakSuspectedEvent,
  type Policy,
} from '../../src/index.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function setup(
  policy: Omit<Policy<string, number>, 'adopt'> = {},
  options: object = {},
  clock = createManualClock(),
) {
  const registry = createRegistry<{ runs: Map<string, number> }>({
    maps: { runs: policy },
    clock,
    ...options,
  });
  const { runs } = registry.maps;
  const events: LeakSuspectedEvent[] = [];
  registry.on('leak-suspected', (event) => events.push(event));
  const register = new Register();
  registerMetrics(registry, { register });
  const gauge = async (name: string) => {
    const { values } = (await register.getSingleMetric(`mapsweep_${name}`)?.get()) ?? { values: [] };
    return values.find(({ labels }) => labels.map === 'runs')?.value;
  };
  const verdict = () => registry.report().maps[0]?.leak;
  let run = 0;
  /** Every ten minutes 20 runs come and leave after one minute, and as many as said stay. */
  const churn = async (hours: number, staying: number): Promise<void> => {
    for (let step = 0; step < hours * 6; step += 1) {
      const short = Array.from({ length: 20 }, () => `run-${run++}`);
      for (const id of short) runs.set(id, 1);
      for (let left = staying; left > 0; left -= 1) runs.set(`leaked-${run++}`, 1);
      await clock.advance(minuteMs);
      for (const id of short) runs.delete(id);
      await clock.advance(9 * minuteMs);
    }
  };
  /** So many are added each minute, and stay. */
  const grow = async (hours: number, eachMinute = 1): Promise<void> => {
    for (let minute = 0; minute < hours * 60; minute += 1) {
      for (let left = eachMinute; left > 0; left -= 1) runs.set(`run-${run++}`, 1);
      await clock.advance(minuteMs);
    }
  };
  return { clock, registry, runs, events, gauge, verdict, churn, grow };
}

describe('a leak among churn', () => {
  it('is told within 12 hours: rate, age, since when, oldest keys, sites', async () => {
    const { clock, registry, events, gauge, verdict, churn } = setup({}, { captureSites: 1 });
    const startedAt = clock.now();
    await churn(8, 1);
    expect(verdict()?.state).toBe('ok');
    expect(await gauge('leak_suspected')).toBe(0);
    await churn(4, 1);
    expect(events).toEqual([
      {
        map: 'runs',
        suspected: true,
        reason: expect.stringMatching(
          /^9\d % of its entries leave young, and what is older than 2h never does: \d+ entries, registered at \d+ different times, have stayed$/,
        ),
        perHour: expect.closeTo(6, 0),
        since: startedAt,
        size: expect.any(Number),
        oldestKeys: expect.arrayContaining([expect.stringMatching(/^leaked-/)]),
        sites: [
          {
            site: expect.stringMatching(/^churn \(.*\/test\/diagnosis\/leak-monitor\.test\.ts:\d+:\d+\)$/),
            count: expect.any(Number),
          },
        ],
      },
    ]);
    expect(verdict()).toMatchObject({ state: 'leaking', noneLeaveAfterMs: 2 * hourMs, by: 'entries' });
    expect(await gauge('leak_suspected')).toBe(1);
    expect(registry.health().reasons).toEqual([expect.stringMatching(/^the map 'runs' leaks: 9\d % of its/)]);
    expect(String(registry.report())).toMatch(/runs .* LEAKING, \+[56]\.\d an hour\n/);
    expect(String(registry.report())).toContain('runs is leaking: 9');
  });

  it('takes itself back with the sweep after what had stayed was removed, and says so once', async () => {
    const { clock, runs, events, gauge, verdict, churn } = setup();
    await churn(12, 1);
    runs.clear();
    await clock.advance(minuteMs);
    expect(events.slice(1)).toMatchObject([{ map: 'runs', suspected: false, perHour: 0, since: undefined }]);
    expect(verdict()?.state).toBe('ok');
    expect(await gauge('leak_suspected')).toBe(0);
    await churn(6, 0);
    expect(events).toHaveLength(2);
  });

  it('goes on with the rate of the last day that can be judged, since the same time, and is told once', async () => {
    const { registry, events, verdict, churn } = setup();
    await churn(12, 1);
    const found = verdict();
    expect(found?.reason).toMatch(/: 4\d entries, registered at \d different times, have stayed$/);
    await churn(28, 10);
    expect(verdict()).toMatchObject({ state: 'leaking', perHour: 60, since: found?.since });
    expect(verdict()?.reason).toMatch(/: 1512 entries, registered at 36 different times, have stayed$/);
    // Four hours have to go by until it is known of the next ones, and six until that is worth a word.
    await churn(9, 0);
    expect(verdict()).toMatchObject({
      perHour: (60 * 19) / 24,
      reason: expect.stringMatching(/have stayed$/),
    });
    await churn(1, 0);
    expect(verdict()?.perHour).toBe((60 * 18) / 24);
    expect(verdict()?.reason).toMatch(/ have stayed, none of them from the last 10h$/);
    await churn(18, 0);
    expect(verdict()).toMatchObject({ state: 'leaking', perHour: 0, since: found?.since });
    expect(verdict()?.reason).toMatch(/: 1752 entries, .* have stayed, none of them from the last 28h$/);
    expect(String(registry.report())).toMatch(/runs .* LEAKING, \+0\.0 an hour\n/);
    expect(events).toHaveLength(1);
  });

  it('counts no more what its owner has removed since', async () => {
    const { clock, runs, verdict, churn } = setup();
    await churn(24, 1);
    const leaked = [...runs.keys()].filter((id) => id.startsWith('leaked'));
    expect(verdict()?.reason).toContain(': 120 entries, ');
    for (const id of leaked.slice(0, 10)) runs.delete(id);
    await clock.advance(hourMs);
    // Those of the hour that can be judged now have come too.
    expect(verdict()?.reason).toContain(': 116 entries, ');
  });

  it('is found behind a limit that removes what has leaked', async () => {
    const ceilings: Omit<Policy<string, number>, 'adopt'>[] = [
      { maxIdle: '1d' },
      { maxAge: '1d' },
      { maxEntries: 100 },
      // One that is told of each removal takes another way.
      { maxIdle: '1d', dispose: () => {} },
    ];
    for (const policy of ceilings) {
      const { verdict, runs, churn } = setup(policy);
      await churn(12, 1);
      expect(verdict()?.state).toBe('leaking');
      await churn(36, 1);
      expect(runs.size).toBeLessThanOrEqual(160);
      expect(verdict()?.state).toBe('leaking');
      // As many are removed as come: there are no more after each hour.
      expect(verdict()?.perHour).toBeCloseTo(0, 0);
      const [, there] = /2h leaves only by a ceiling or a cap: \d+ entries, .* of which (\d+) are there/.exec(
        verdict()?.reason ?? '',
      ) as RegExpExecArray;
      expect(Number(there)).toBeGreaterThan(50);
      expect(Number(there)).toBeLessThanOrEqual(runs.size);
    }
  });

  it('is none where a TTL of a day removes what stays', async () => {
    const { events, churn } = setup({ ttl: '1d' });
    await churn(60, 1);
    expect(events).toEqual([]);
  });

  it('is none below what the owner says to expect, and one above', async () => {
    const { events, verdict, churn } = setup({ expectedMax: 100 });
    await churn(14, 1);
    expect(events).toEqual([]);
    await churn(6, 1);
    expect(verdict()?.state).toBe('leaking');
  });

  it('is found where a sweep empties a map at once', async () => {
    const { registry, clock } = setup();
    const live = new Map<string, number>();
    registry.adopt('live', live, { maxAge: '30m' });
    for (let index = 0; index < 2_000; index += 1) live.set(`${index}`, index);
    await clock.advance(31 * minuteMs);
    expect(live.size).toBe(0);
    expect(registry.report().maps[1]?.removed.swept).toBe(2_000);
    expect(registry.report().maps[1]?.leak.state).toBe('ok');
  });

  it('is found where companions leave by the idle limit of their leaders', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, number>; seqs: Map<string, number> }>({
      maps: { runs: { maxIdle: '1d' }, seqs: { follows: 'runs' } },
      clock,
    });
    for (let step = 0; step < 6 * 40; step += 1) {
      for (const kind of ['short', 'leaked']) {
        registry.maps.runs.set(`${kind}-${step}`, 1);
        registry.maps.seqs.set(`${kind}-${step}`, 1);
      }
      await clock.advance(minuteMs);
      registry.maps.runs.delete(`short-${step}`);
      await clock.advance(9 * minuteMs);
    }
    expect(registry.report().maps.map(({ leak }) => leak.state)).toEqual(['leaking', 'leaking']);
    expect(registry.report().maps[1]?.removed.companion).toBeGreaterThan(240);
  });
});

describe('a map from which nothing leaves', () => {
  it('is growing after 4 hours and leaking after 12', async () => {
    const { events, gauge, verdict, grow } = setup();
    await grow(3.5);
    expect(verdict()?.state).toBe('ok');
    expect(await gauge('hours_to_limit')).toBeUndefined();
    await grow(0.6);
    expect(verdict()).toMatchObject({
      state: 'growing',
      reason: 'it has grown for 4h or more, nothing leaves, and no bound is known',
      hoursToLimit: undefined,
    });
    expect(verdict()?.perHour).toBeCloseTo(60, 0);
    expect(await gauge('hours_to_limit')).toBe(1e9);
    await grow(7.5);
    expect(events).toEqual([]);
    await grow(0.5);
    expect(events).toMatchObject([{ map: 'runs', suspected: true }]);
    expect(await gauge('hours_to_limit')).toBeUndefined();
    expect(await gauge('leak_suspected')).toBe(1);
  });

  it('says that what is old does not leave where what is young does, and what keeps it', async () => {
    const clock = createManualClock();
    const keepWhile = (isBusy: boolean) => isBusy;
    const registry = createRegistry<Record<'guarded' | 'held' | 'both', Map<number, boolean>>>({
      maps: {
        guarded: { maxIdle: '5m', keepWhile },
        held: { maxIdle: '5m' },
        both: { maxIdle: '5m', keepWhile },
      },
      clock,
    });
    const { guarded, held, both } = registry.maps;
    for (let minute = 0; minute < 5 * 60; minute += 1) {
      guarded.set(minute, minute % 10 === 0);
      held.set(minute, true);
      both.set(minute, minute % 20 === 0);
      if (minute % 10 === 0) registry.hold('held', minute);
      if (minute % 20 === 10) registry.hold('both', minute);
      await clock.advance(60_000);
    }
    const why = 'it has grown for 4h or more, nothing leaves of what is older than 2h, and no bound is known';
    expect(registry.report().maps.map(({ leak }) => [leak.state, leak.reason])).toEqual([
      ['growing', `${why}; keepWhile keeps 30 of 34`],
      ['growing', `${why}; holds keep 30 of 34`],
      ['growing', `${why}; keepWhile keeps 15 of 34; holds keep 15 of 34`],
    ]);
    registry.stop();
  });

  it('is said to have stopped once it does not grow, and goes on with what it still grows by', async () => {
    const { clock, runs, events, verdict, grow } = setup();
    await grow(13);
    const why = 'it has grown for 12h or more, nothing leaves, and no bound is known';
    expect(verdict()).toMatchObject({ state: 'leaking', perHour: 60, reason: why });
    await clock.advance('5h');
    expect(verdict()?.reason).toBe(why);
    await clock.advance('3h');
    // Of four hours, and the eight since.
    expect(verdict()).toMatchObject({ perHour: 240 / 12, reason: `${why}; it has not grown for 8h` });
    // A twentieth leaves, which is more than the latest four hours had brought of it.
    for (const key of [...runs.keys()].slice(0, 100)) runs.delete(key);
    await clock.advance('16h');
    expect(verdict()).toMatchObject({ state: 'leaking', perHour: 0, since: events[0]?.since });
    expect(verdict()?.reason).toMatch(/next to nothing \(\d+ %\) leaves.*; it has not grown for 1d$/);
    await grow(5, 10);
    expect(verdict()?.perHour).toBe(600);
    expect(verdict()?.reason).toMatch(/ no bound is known$/);
    expect(events).toHaveLength(1);
  });

  it('says how long the heap lasts where entries are weighed', async () => {
    const { gauge, verdict, grow } = setup({ weigh: () => 1_000_000 });
    await grow(5);
    expect(verdict()?.state).toBe('growing');
    const hours = (await gauge('hours_to_limit')) as number;
    // 60 MB an hour, and a heap of 1 to 16 GB.
    expect(hours).toBeGreaterThan(5);
    expect(hours).toBeLessThan(300);
  });

  it.each([{ maxEntries: 1_000 }, { expectedMax: 1_000 }])(
    'is filling below %j, says until when, and is never leaking',
    async (policy) => {
      const { events, gauge, registry, verdict, grow } = setup(policy);
      await grow(5);
      expect(verdict()?.state).toBe('filling');
      // 300 of 1,000 at 60 an hour.
      expect((await gauge('hours_to_limit')) as number).toBeCloseTo(700 / 60, 0);
      expect(String(registry.report())).toMatch(/runs .* filling, \+60\.0 an hour, full in 1\dh\n/);
      await grow(9);
      expect(verdict()?.state).toBe('filling');
      expect(events).toEqual([]);
    },
  );

  it('is ok once it stands at its cap', async () => {
    const { verdict, grow } = setup({ maxEntries: 400 });
    await grow(12);
    expect(verdict()?.state).toBe('ok');
  });

  it('is leaking above what the owner says to expect', async () => {
    const { verdict, grow } = setup({ expectedMax: 500 });
    await grow(14);
    expect(verdict()).toMatchObject({
      state: 'leaking',
      reason: 'it has grown for 12h or more, nothing leaves, and it is beyond its expectedMax of 500',
    });
  });

  it('is found 24 times as soon with a cycle of an hour', async () => {
    const { events, grow } = setup({}, { leakDetection: { cycle: '1h' }, sweepEvery: '30s' });
    await grow(0.6, 2);
    expect(events).toMatchObject([{ map: 'runs', suspected: true }]);
    expect(events[0]?.perHour).toBeCloseTo(120, -1);
  });

  it('says that it grows, and when that is judged, where entries may stay for longer than the cycle', async () => {
    const policy = { mode: 'observe', maxIdle: '30m' } as const;
    const { clock, events, verdict, grow } = setup(policy, {
      leakDetection: { cycle: '10m' },
      sweepEvery: '5s',
    });
    await grow(1 / 60, 20);
    expect(verdict()).toMatchObject({ state: 'ok', reason: 'nothing speaks for a leak' });
    await grow(38 / 60, 20);
    expect(verdict()).toMatchObject({
      state: 'ok',
      reason: 'its growth is not judged before 40m: entries may stay 30m',
      perHour: 0,
      since: undefined,
    });
    await clock.advance('2m');
    expect(verdict()?.reason).toBe('nothing speaks for a leak');
    expect(events).toEqual([]);
  });

  it('is said to have lasted 90 s, and not 2 minutes, with a cycle of 3 minutes', async () => {
    const options = { leakDetection: { cycle: '3m' }, sweepEvery: '1s' };
    const { clock, runs, events } = setup({}, options);
    for (let second = 0; second < 120; second += 1) {
      runs.set(`run-${second}`, 1);
      await clock.advance(1_000);
    }
    expect(events.map(({ reason }) => reason)).toEqual([
      'it has grown for 90s or more, nothing leaves, and no bound is known',
    ]);
  });
});

describe('a weight that grows while the number of entries stays', () => {
  it('is growing after 4 hours and leaking after 12, in bytes', async () => {
    let bytes = 1_000;
    const { clock, runs, verdict, events } = setup({ weigh: () => bytes });
    for (let index = 0; index < 5; index += 1) runs.set(`run-${index}`, 1);
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      bytes += 100;
      await clock.advance(minuteMs);
      if (minute === 5 * 60) expect(verdict()).toMatchObject({ state: 'growing', by: 'weight' });
    }
    expect(verdict()).toMatchObject({ state: 'leaking', by: 'weight' });
    // Five entries, 100 bytes a minute each.
    expect(verdict()?.perHour).toBeCloseTo(30_000, -3);
    expect(events).toHaveLength(1);
  });
});

describe('a process that stands still', () => {
  it('does not count the ten hours in which nothing could leave', async () => {
    const clock = createManualClock();
    let stoodStillMs = 0;
    const stopped: Clock = {
      ...clock,
      now: () => clock.now() + stoodStillMs,
      monotonic: () => clock.monotonic() + stoodStillMs,
    };
    const { events, verdict, churn } = setup({}, { clock: stopped }, clock);
    await churn(6, 1);
    stoodStillMs = 10 * hourMs;
    await churn(1.5, 1);
    expect(verdict()?.state).toBe('ok');
    await churn(8, 1);
    expect(events).toHaveLength(1);
  });
});

describe('the gateway preset', () => {
  it('says of runs that never end that they grow, within 5 hours, and that they leak within 13', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry({ clock });
    const suspected: string[] = [];
    registry.on('leak-suspected', ({ map }) => suspected.push(map));
    const states = () =>
      registry
        .report()
        .maps.filter(({ leak }) => leak.state !== 'ok')
        .map(({ name, leak }) => `${name} ${leak.state}`)
        .sort();
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      registry.maps.subagentRuns.set(`run-${minute}`, {});
      registry.maps.runContextById.set(`run-${minute}`, {});
      await clock.advance(minuteMs);
      if (minute === 5 * 60) expect(states()).toEqual(['runContextById growing', 'subagentRuns growing']);
    }
    expect(suspected.sort()).toEqual(['runContextById', 'subagentRuns']);
    await registry.close();
  });

  it('suspects nothing while runs end and leave 5 minutes after their clean-up', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry({ clock });
    const suspected: string[] = [];
    registry.on('leak-suspected', ({ map }) => suspected.push(map));
    for (let minute = 0; minute < 14 * 60; minute += 1) {
      registry.maps.subagentRuns.set(`run-${minute}`, {
        endedAt: clock.now(),
        cleanupCompletedAt: clock.now(),
      });
      registry.maps.runContextById.set(`run-${minute}`, {});
      await clock.advance(minuteMs);
    }
    expect(suspected).toEqual([]);
    await registry.close();
  });
});

describe('of healthy maps', () => {
  // Logins of a week: half log out soon, the others stay until they expire.
  it.each([7, 1])('one whose values say that they expire after %d days does not leak', async (days) => {
    const clock = createManualClock();
    const registry = createRegistry<{ sessions: Map<number, { until: number }> }>({
      clock,
      sweepEvery: '15m',
      maps: { sessions: { expiresAt: ({ until }) => until } },
    });
    const { sessions } = registry.maps;
    const suspected: string[] = [];
    registry.on('leak-suspected', ({ reason }) => suspected.push(reason));
    for (let hour = 0; hour < 24 * days + 48; hour += 1) {
      const until = clock.now() + days * 24 * hourMs;
      for (let key = 0; key < 20; key += 1) sessions.set(100 * hour + key, { until });
      await clock.advance(25 * minuteMs);
      for (let key = 0; key < 10; key += 1) sessions.delete(100 * hour + key);
      await clock.advance(35 * minuteMs);
    }
    expect(suspected).toEqual([]);
    registry.stop();
  });

  it('a cache that fills in a day up to its cap does not leak, though all entries are weighed', async () => {
    const { clock, runs, events, verdict } = setup({ maxEntries: 1_000, weigh: () => 1_000 });
    for (let hour = 0; hour < 40; hour += 1) {
      for (let key = 0; key < 50; key += 1) runs.set(`${hour} ${key}`, 1);
      await clock.advance(hourMs);
    }
    expect(events).toEqual([]);
    expect(verdict()?.state).toBe('ok');
  });
});

it('finds values that swell in a cache that is full', async () => {
  let bytes = 1_000;
  const { clock, runs, verdict } = setup({ maxEntries: 100, weigh: () => bytes });
  for (let key = 0; key < 100; key += 1) runs.set(`${key}`, 1);
  for (let hour = 0; hour < 30; hour += 1) {
    await clock.advance(hourMs);
    bytes += 200;
  }
  expect(verdict()).toMatchObject({ state: 'leaking', by: 'weight' });
});

it('finds entries that stay beside those that expire', async () => {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Map<number, { until: number | undefined }> }>({
    clock,
    maps: { sessions: { expiresAt: ({ until }) => until } },
  });
  const { sessions } = registry.maps;
  for (let hour = 0; hour < 48; hour += 1) {
    const until = clock.now() + 2 * hourMs;
    for (let key = 0; key < 20; key += 1)
      sessions.set(100 * hour + key, { until: key < 3 ? undefined : until });
    await clock.advance(hourMs);
  }
  expect(registry.report().maps[0]?.leak.state).toBe('leaking');
  registry.stop();
});
