import { createRequire } from 'node:module';
import { register as globalRegister } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRegistry, TrackedMap } from '../../src/index.ts';
import { installedRegister } from '../../src/prometheus/peer.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { internals } from '../../src/registry/internals.ts';
import { openNow } from '../../src/restart/open-journal.ts';
import { createManualClock } from '../../src/testing.ts';
import { version } from '../../src/version.ts';
import { MemoryVolume } from '../restart/memory-journal.ts';
import { AggregatorRegistry, Counter, client, Gauge, Register, unnamed } from './client.ts';

interface Run {
  endedAt?: number;
}

/** Every metric, with its type, its labels beside `registry`, and how workers are put together. */
const contract = {
  entries: ['gauge', ['map'], 'sum'],
  oldest_entry_age_seconds: ['gauge', ['map'], 'max'],
  registered_total: ['counter', ['map'], 'sum'],
  removed_total: ['counter', ['map', 'reason'], 'sum'],
  overdue_entries: ['gauge', ['map'], 'sum'],
  leak_suspected: ['gauge', ['map'], 'max'],
  hours_to_limit: ['gauge', ['map'], 'min'],
  guarded_entries: ['gauge', ['map'], 'sum'],
  held_entries: ['gauge', ['map'], 'sum'],
  orphaned_entries: ['gauge', ['map'], 'sum'],
  waiting_entries: ['gauge', ['map'], 'sum'],
  before_sweep_failing_entries: ['gauge', ['map'], 'sum'],
  before_sweep_total: ['counter', ['map', 'outcome'], 'sum'],
  before_sweep_seconds: ['histogram', [], 'sum'],
  estimated_weight: ['gauge', ['map'], 'sum'],
  entry_limit: ['gauge', ['map'], 'sum'],
  age_at_removal_seconds: ['histogram', ['map'], 'sum'],
  sweep_lag_seconds: ['histogram', ['map'], 'sum'],
  info: ['gauge', ['version'], 'first'],
  last_sweep_timestamp_seconds: ['gauge', [], 'min'],
  sweeps_skipped_total: ['counter', [], 'sum'],
  callback_errors_total: ['counter', ['map', 'callback'], 'sum'],
  sweep_duration_seconds: ['histogram', [], 'sum'],
  sweep_slice_seconds: ['histogram', [], 'sum'],
  ended_total: ['counter', ['reason'], 'sum'],
  ended_duplicates_total: ['counter', [], 'sum'],
  ended_deliveries_total: ['counter', ['recipient', 'outcome'], 'sum'],
  ended_pending: ['gauge', ['recipient'], 'sum'],
  ended_oldest_pending_seconds: ['gauge', [], 'max'],
  dead_letters: ['gauge', ['recipient'], 'sum'],
  tombstones: ['gauge', [], 'sum'],
  tombstones_evicted_total: ['counter', [], 'sum'],
  ended_delivery_seconds: ['histogram', [], 'sum'],
} as const;

const names = Object.keys(contract);

/** The series of a scrape, by name and labels: `entries{map="runs"}`. */
async function scrape(register: { metrics(): Promise<string> }, prefix = 'mapsweep_') {
  const series = new Map<string, number>();
  for (const line of unnamed(await register.metrics()).split('\n')) {
    const match = /^(\w+(?:\{.*\})?) (\S+)$/.exec(line);
    if (match?.[1]?.startsWith(prefix)) series.set(match[1].slice(prefix.length), Number(match[2]));
  }
  return series;
}

const seriesOf = (series: Map<string, number>, name: string) =>
  Object.fromEntries([...series].filter(([key]) => key === name || key.startsWith(`${name}{`)));

function setup(options: object = {}) {
  const clock = createManualClock();
  const register = new Register();
  const registry = createRegistry<{ runs: Map<string, Run>; contexts: Map<string, string> }>({
    maps: {
      runs: {
        ttl: '5m',
        since: (run) => run.endedAt,
        maxAge: '1d',
        maxEntries: 1_000,
        keepWhile: () => held.on,
        beforeSweep: async () => {},
        dispose: () => {},
      },
      contexts: { follows: 'runs', weigh: (value) => value.length },
    },
    ended: { map: 'runs', deliver: async () => {} },
    clock,
    ...options,
  });
  const held = { on: false };
  const undo = registerMetrics(registry, { register });
  return {
    clock,
    register,
    registry,
    held,
    undo,
    runs: registry.maps.runs,
    contexts: registry.maps.contexts,
  };
}

afterEach(() => globalRegister.clear());

describe('registerMetrics', () => {
  it('registers 33 metrics, each of its type, with its labels and its aggregator', async () => {
    const { register } = setup();
    const metrics = await register.getMetricsAsJSON();
    const found = Object.fromEntries(
      metrics.map(({ name, type, aggregator }) => {
        const { labelNames } = register.getSingleMetric(name) as unknown as { labelNames: string[] };
        expect(labelNames.at(-1)).toBe('registry');
        return [name.replace('mapsweep_', ''), [type, labelNames.slice(0, -1), aggregator]];
      }),
    );
    expect(found).toEqual(contract);
    expect(names).toHaveLength(33);
  });

  it('shows every series as zero in the first scrape, before a map has an entry', async () => {
    const { register } = setup();
    const series = await scrape(register);
    expect([...series].filter(([, value]) => value !== 0)).toEqual([
      ['entry_limit{map="runs"}', 1_000],
      [`info{version="${version}"}`, 1],
    ]);
    // No number of hours is true of a map that neither fills nor grows.
    const shown = names.filter((name) => name !== 'hours_to_limit');
    for (const name of shown.filter((of) => contract[of as keyof typeof contract][0] !== 'histogram')) {
      expect(Object.keys(seriesOf(series, name)), name).not.toEqual([]);
    }
    expect(Object.keys(seriesOf(series, 'removed_total'))).toHaveLength(2 * 5);
    expect(seriesOf(series, 'removed_total')).toHaveProperty(
      ['removed_total{map="runs",reason="companion"}'],
      0,
    );
    expect(seriesOf(series, 'ended_total')).toEqual(
      Object.fromEntries(
        ['completed', 'swept', 'evicted', 'deleted', 'lost', 'other'].map((reason) => [
          `ended_total{reason="${reason}"}`,
          0,
        ]),
      ),
    );
    expect(Object.keys(seriesOf(series, 'ended_deliveries_total'))).toEqual([
      'ended_deliveries_total{recipient="default",outcome="delivered"}',
      'ended_deliveries_total{recipient="default",outcome="failed"}',
      'ended_deliveries_total{recipient="default",outcome="dead"}',
      'ended_deliveries_total{recipient="default",outcome="dropped"}',
    ]);
    expect(series.get('sweep_lag_seconds_count{map="runs"}')).toBe(0);
    expect(series.get('sweep_lag_seconds_count{map="contexts"}')).toBe(0);
    expect(series.get('ended_delivery_seconds_count')).toBe(0);
    expect(series.get('sweep_duration_seconds_count')).toBe(0);
  });

  it('shows callback_errors_total for the callbacks that a policy has, and for those alone', async () => {
    const { register } = setup();
    const callbacks = Object.keys(seriesOf(await scrape(register), 'callback_errors_total'));
    const of = (map: string, ...own: string[]) =>
      own.map((callback) => `callback_errors_total{map="${map}",callback="${callback}"}`);
    expect(callbacks).toEqual([
      ...of('', 'listener'),
      ...of('runs', 'since', 'keepWhile', 'beforeSweep', 'dispose', 'delete', 'settled', 'deliver'),
      ...of('contexts', 'weigh', 'delete'),
    ]);
  });

  it('has five metrics more with a journal, as zero from the first scrape on, and none of them without', async () => {
    const own = {
      journal_bytes: 'gauge',
      journal_append_seconds: 'histogram',
      journal_errors_total: 'counter',
      journal_waiting_seconds: 'gauge',
      journal_lost: 'gauge',
    };
    const register = new Register();
    const registry = createRegistry({
      maps: { runs: {} },
      ended: { map: 'runs' },
      persistTo: openNow(new MemoryVolume().open(), { maxWaitMs: 5_000 }),
    });
    registerMetrics(registry, { register });
    const types = (of: Register) =>
      of
        .getMetricsAsArray()
        .filter(({ name }) => name.includes('journal'))
        .map(({ name }) => [
          name.replace('mapsweep_', ''),
          (of.getSingleMetric(name) as never as { type: string }).type,
        ]);
    expect(Object.fromEntries(types(register))).toEqual(own);
    expect(types(setup().register)).toEqual([]);
    await registry.close();
  });

  it('shows how many entries of an earlier life are awaited in each map, and why, until they are dropped', async () => {
    const clock = createManualClock();
    const volume = new MemoryVolume();
    const open = () => openNow(volume.open(), { maxWaitMs: 5_000 });
    const persist = { encode: (value: unknown) => value, decode: (json: unknown) => json as number };
    const broken = {
      ...persist,
      decode: (json: unknown) => {
        if (json === 1) throw new Error('shape changed');
        return json as number;
      },
    };
    const first = createRegistry<Record<string, Map<string, number>>>({
      clock,
      maps: { runs: { persist: true }, sessions: { persist }, carts: { persist } },
      persistTo: open(),
    });
    for (const map of Object.values(first.maps))
      for (const key of ['a', 'b', 'c']) map.set(key, Number(key === 'a'));
    await first.close();
    const register = new Register();
    const registry = createRegistry<Record<string, Map<string, number>>>({
      clock,
      maps: { runs: { persist: true }, sessions: { persist: broken } },
      persistTo: open(),
    });
    registerMetrics(registry, { register });
    const shown = async () => seriesOf(await scrape(register), 'awaited_entries');
    const expected = {
      'awaited_entries{map="runs",reason="not-set"}': 3,
      'awaited_entries{map="sessions",reason="decode-fails"}': 1,
      'awaited_entries{map="carts",reason="no-map"}': 3,
    };
    expect(await shown()).toEqual(expected);
    registry.maps.runs?.set('a', 1);
    expect(await shown()).toEqual({ ...expected, 'awaited_entries{map="runs",reason="not-set"}': 2 });
    await clock.advance(600_000);
    expect(await shown()).toEqual({});
    await registry.close();
  });

  it('shows for how long a disk that hangs has taken nothing, once it answers 0, and a journal that was lost', async () => {
    const clock = createManualClock();
    const register = new Register();
    const volume = new MemoryVolume();
    const persistTo = openNow(volume.open(), { maxWaitMs: 5_000 });
    const registry = createRegistry({ maps: { runs: { persist: true } }, persistTo, clock });
    registerMetrics(registry, { register });
    const journal = async () => {
      await clock.advance(0);
      const series = await scrape(register);
      return ['waiting_seconds', 'lost'].map((name) => series.get(`journal_${name}`));
    };
    expect(await journal()).toEqual([0, 0]);
    let answer = () => {};
    volume.beforeWrite = () => new Promise((resolve) => (answer = resolve));
    registry.maps.runs?.set('a', 1);
    await clock.advance(120_000);
    expect(await journal()).toEqual([120, 0]);
    volume.beforeWrite = () => {};
    answer();
    expect(await journal()).toEqual([0, 0]);
    volume.takeAway();
    registry.maps.runs?.set('b', 1);
    await clock.advance(120_000);
    expect(await journal()).toEqual([0, 1]);
    registry.detach();
  });

  it('has no metric of an option that is not set, nor of endings without `ended`', async () => {
    const register = new Register();
    registerMetrics(createRegistry({ maps: { runs: {} }, clock: createManualClock() }), { register });
    const found = register.getMetricsAsArray().map(({ name }) => name.replace('mapsweep_', ''));
    const ofOptions =
      /^(ended|dead|tombstones|journal|guarded|orphaned|waiting|before_sweep|estimated|entry_limit)/;
    expect(found).toEqual(names.filter((name) => !ofOptions.test(name)));
  });

  it('shows the limit of a map that evicts what is beyond it, and of one that is only observed none', async () => {
    const limits = async (maps: object, mode: 'sweep' | 'observe') => {
      const register = new Register();
      registerMetrics(createRegistry({ maps, mode, clock: createManualClock() } as never), { register });
      return Object.keys(seriesOf(await scrape(register), 'entry_limit'));
    };
    const maps = { runs: { maxEntries: 2 }, seen: { maxEntries: 2, mode: 'observe' } };
    expect(await limits(maps, 'sweep')).toEqual(['entry_limit{map="runs"}']);
    expect(await limits(maps, 'observe')).toEqual([]);
  });

  it('gains the metrics of an option with the first map that has it, and they are in the next scrape', async () => {
    const register = new Register();
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    registerMetrics(registry, { register });
    const handle = registry.adopt('later', new Map([['a', 1]]), { weigh: () => 10, maxEntries: 5 });
    const series = await scrape(register);
    expect([series.get('entry_limit{map="later"}'), series.get('estimated_weight{map="later"}')]).toEqual([
      5, 0,
    ]);
    handle.release();
    expect([...(await scrape(register)).keys()].filter((key) => key.includes('later'))).toEqual([]);
  });

  it('counts sizes, ages, registrations and removals by reason, and no replacement', async () => {
    const { clock, register, runs, contexts } = setup();
    runs.set('a', {}).set('b', {}).set('c', {}).set('c', {});
    contexts.set('a', 'x').set('b', 'y');
    await clock.advance(30_000);
    runs.set('d', {});
    runs.delete('a');
    runs.set('b', { endedAt: clock.now() });
    await clock.advance(6 * 60_000);
    const series = await scrape(register);
    expect(seriesOf(series, 'entries')).toEqual({ 'entries{map="runs"}': 2, 'entries{map="contexts"}': 0 });
    expect(series.get('oldest_entry_age_seconds{map="runs"}')).toBe(390);
    expect(series.get('oldest_entry_age_seconds{map="contexts"}')).toBe(0);
    expect(series.get('registered_total{map="runs"}')).toBe(4);
    expect(seriesOf(series, 'removed_total')).toEqual({
      'removed_total{map="runs",reason="deleted"}': 1,
      'removed_total{map="runs",reason="cleared"}': 0,
      'removed_total{map="runs",reason="swept"}': 1,
      'removed_total{map="runs",reason="evicted"}': 0,
      'removed_total{map="runs",reason="companion"}': 0,
      'removed_total{map="contexts",reason="deleted"}': 0,
      'removed_total{map="contexts",reason="cleared"}': 0,
      'removed_total{map="contexts",reason="swept"}': 0,
      'removed_total{map="contexts",reason="evicted"}': 0,
      'removed_total{map="contexts",reason="companion"}': 2,
    });
    // Due at 330 s, removed by the sweep at 360 s.
    expect(series.get('sweep_lag_seconds_sum{map="runs"}')).toBeCloseTo(30, 3);
    expect(series.get('sweep_lag_seconds_bucket{le="60",map="runs"}')).toBe(1);
    expect(series.get('sweep_duration_seconds_count')).toBe(6);
    expect(series.get('sweep_slice_seconds_count')).toBe(6);
    expect(series.get('last_sweep_timestamp_seconds')).toBe((clock.now() - 30_000) / 1_000);
  });

  it('counts what was over long before it was registered as late since then', async () => {
    const { clock, register, runs } = setup();
    runs.set('a', { endedAt: 0 });
    await clock.advance(60_000);
    const series = await scrape(register);
    expect(series.get('sweep_lag_seconds_sum{map="runs"}')).toBe(60);
  });

  it('shows 1 entry that is overdue because it is guarded, and 0 once it has left', async () => {
    const { clock, register, runs, held } = setup();
    held.on = true;
    runs.set('a', { endedAt: clock.now() });
    await clock.advance(6 * 60_000);
    const during = await scrape(register);
    expect([during.get('overdue_entries{map="runs"}'), during.get('guarded_entries{map="runs"}')]).toEqual([
      1, 1,
    ]);
    held.on = false;
    await clock.advance(60_000);
    const after = await scrape(register);
    expect([after.get('overdue_entries{map="runs"}'), after.get('guarded_entries{map="runs"}')]).toEqual([
      0, 0,
    ]);
  });

  it('counts 2 entries that are held, and 0 from the start; of a map that is adopted later from its first hold on', async () => {
    const { register, registry, runs } = setup();
    runs.set('a', {}).set('b', {});
    expect(seriesOf(await scrape(register), 'held_entries')).toEqual({
      'held_entries{map="runs"}': 0,
      'held_entries{map="contexts"}': 0,
    });
    const later = new Map([['c', 1]]);
    registry.adopt('later', later, {});
    const holds = ['a', 'a', 'b'].map((key) => registry.hold('runs', key));
    expect(seriesOf(await scrape(register), 'held_entries')).toEqual({
      'held_entries{map="runs"}': 2,
      'held_entries{map="contexts"}': 0,
    });
    registry.hold('later' as 'runs', 'c');
    for (const hold of holds) hold.release();
    expect(seriesOf(await scrape(register), 'held_entries')).toEqual({
      'held_entries{map="runs"}': 0,
      'held_entries{map="contexts"}': 0,
      'held_entries{map="later"}': 1,
    });
  });

  it('estimates a weight of 1,200 for 3 entries that weigh 400 each, for the map that has a weigh alone', async () => {
    const { clock, register, contexts } = setup();
    for (const key of ['a', 'b', 'c']) contexts.set(key, 'x'.repeat(400));
    await clock.advance(60_000);
    expect(seriesOf(await scrape(register), 'estimated_weight')).toEqual({
      'estimated_weight{map="contexts"}': 1_200,
    });
  });

  it('counts endings by reason with free texts as other, duplicates, deliveries and tombstones', async () => {
    let fails = true;
    const clock = createManualClock();
    const register = new Register();
    const registry = createRegistry<{ runs: Map<string, Run> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        attempts: 2,
        tombstones: { max: 2 },
        deliver: () => {
          if (fails) throw new Error('no');
        },
      },
      clock,
    });
    registerMetrics(registry, { register });
    for (const key of ['a', 'b', 'c']) registry.maps.runs.set(key, {});
    registry.end('a', { reason: 'my own text' });
    await clock.advance(10_000);
    fails = false;
    registry.end('b');
    registry.end('b');
    registry.maps.runs.delete('c');
    await clock.advance(0);
    const series = await scrape(register);
    expect(seriesOf(series, 'ended_total')).toMatchObject({
      'ended_total{reason="completed"}': 1,
      'ended_total{reason="deleted"}': 1,
      'ended_total{reason="other"}': 1,
    });
    expect(series.get('ended_duplicates_total')).toBe(1);
    expect(seriesOf(series, 'ended_deliveries_total')).toEqual({
      'ended_deliveries_total{recipient="default",outcome="delivered"}': 2,
      'ended_deliveries_total{recipient="default",outcome="failed"}': 2,
      'ended_deliveries_total{recipient="default",outcome="dead"}': 1,
      'ended_deliveries_total{recipient="default",outcome="dropped"}': 0,
    });
    expect(series.get('callback_errors_total{map="runs",callback="deliver"}')).toBe(2);
    expect(series.get('ended_delivery_seconds_count')).toBe(2);
    expect(series.get('dead_letters{recipient="default"}')).toBe(1);
    expect(series.get('tombstones')).toBe(2);
    expect(series.get('tombstones_evicted_total')).toBe(1);
  });

  it('measures how old entries are that leave, whichever way they go', async () => {
    const clock = createManualClock();
    const register = new Register();
    const registry = createRegistry<{ runs: Map<string, Run>; contexts: Map<string, string> }>({
      maps: { runs: { maxIdle: '5m', dispose: () => {} }, contexts: { follows: 'runs' } },
      clock,
    });
    registerMetrics(registry, { register });
    const { runs, contexts } = registry.maps;
    for (const key of ['deleted', 'cleared', 'swept']) {
      runs.set(key, {});
      contexts.set(key, '');
    }
    await clock.advance(30_000);
    runs.delete('deleted');
    await clock.advance(330_000);
    const after = await scrape(register);
    runs.set('late', {});
    await clock.advance(10_000);
    runs.clear();
    const ageOf = (series: Map<string, number>, of: string) => series.get(`age_at_removal_seconds_${of}`);
    for (const map of ['runs', 'contexts']) {
      // One left at 30 s, two at the sweep of the fifth minute.
      expect([map, ageOf(after, `count{map="${map}"}`), ageOf(after, `sum{map="${map}"}`)]).toEqual([
        map,
        3,
        630,
      ]);
    }
    expect(ageOf(await scrape(register), 'count{map="runs"}')).toBe(4);
    expect(ageOf(await scrape(register), 'bucket{le="60",map="runs"}')).toBe(2);
  });

  it.each([1, 2_000])(
    'measures the ages of %d entries that a sweep removes untold, all of a map',
    async (count) => {
      const clock = createManualClock();
      const register = new Register();
      const registry = createRegistry<{ runs: Map<number, number> }>({
        maps: { runs: { ttl: '90s' } },
        clock,
      });
      registerMetrics(registry, { register });
      for (let key = 0; key < count; key += 1) registry.maps.runs.set(key, key);
      await clock.advance(120_000);
      const series = await scrape(register);
      expect(series.get('removed_total{map="runs",reason="swept"}')).toBe(count);
      expect(series.get('age_at_removal_seconds_count{map="runs"}')).toBe(count);
      expect(series.get('age_at_removal_seconds_sum{map="runs"}')).toBe(120 * count);
      expect(series.get('sweep_lag_seconds_sum{map="runs"}')).toBe(30 * count);
    },
  );

  it('counts calls of beforeSweep by what came of them, how long they took, and who waits', async () => {
    const clock = createManualClock();
    const register = new Register();
    let finish: (error?: Error) => void = () => {};
    const beforeSweep = () =>
      new Promise<void>((resolve, reject) => {
        finish = (error) => (error === undefined ? resolve() : reject(error));
      });
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: { ttl: '1m', beforeSweep } },
      clock,
    });
    registerMetrics(registry, { register });
    registry.maps.runs.set('a', 1);
    await clock.advance(60_000);
    expect((await scrape(register)).get('waiting_entries{map="runs"}')).toBe(1);
    await clock.advance(2_000);
    finish(new Error('no'));
    await clock.advance(60_000);
    await clock.advance(60_000);
    registry.touch('runs', 'a');
    finish();
    await clock.advance(60_000);
    finish();
    await clock.advance(0);
    const series = await scrape(register);
    expect(seriesOf(series, 'before_sweep_total')).toEqual({
      'before_sweep_total{map="runs",outcome="succeeded"}': 1,
      'before_sweep_total{map="runs",outcome="failed"}': 1,
      'before_sweep_total{map="runs",outcome="aborted"}': 1,
    });
    expect(series.get('before_sweep_seconds_count')).toBe(3);
    expect(series.get('waiting_entries{map="runs"}')).toBe(0);
    expect(series.get('removed_total{map="runs",reason="swept"}')).toBe(1);
  });

  it('counts entries whose beforeSweep has failed more than once in a row, until it succeeds', async () => {
    const clock = createManualClock();
    const register = new Register();
    let isAway = true;
    let finish = (): void => {};
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: {
        runs: {
          ttl: '1m',
          beforeSweep: async () => {
            if (isAway) throw new Error('away');
            await new Promise<void>((resolve) => {
              finish = resolve;
            });
          },
        },
      },
      sweepEvery: '1m',
      clock,
    });
    registerMetrics(registry, { register });
    const counts = async () => {
      const series = await scrape(register);
      return ['failing', 'waiting'].map((what) =>
        series.get(`${what === 'failing' ? 'before_sweep_failing' : what}_entries{map="runs"}`),
      );
    };
    registry.maps.runs.set('a', 1);
    await clock.advance(60_000);
    expect(await counts()).toEqual([0, 1]);
    await clock.advance(60_000);
    expect(await counts()).toEqual([1, 1]);
    isAway = false;
    await clock.advance(120_000);
    // The third attempt runs.
    expect(await counts()).toEqual([1, 1]);
    finish();
    await clock.advance(0);
    expect(await counts()).toEqual([0, 0]);
  });

  it('counts endings by the reasons that are named, and other texts as other', async () => {
    const register = new Register();
    const registry = createRegistry<{ runs: Map<string, Run> }>({
      maps: { runs: {} },
      ended: { map: 'runs' },
      clock: createManualClock(),
    });
    registerMetrics(registry, { register, reasons: ['cancelled', 'a\u202eb', 'swept'] });
    const ended = async () => seriesOf(await scrape(register), 'ended_total');
    expect((await ended())['ended_total{reason="cancelled"}']).toBe(0);
    for (const reason of ['cancelled', 'cancelled', 'a\u202eb', 'something', '__proto__', 'toString']) {
      registry.maps.runs.set(reason, {});
      registry.end(reason, { reason });
      registry.maps.runs.delete(reason);
    }
    expect(await ended()).toEqual({
      'ended_total{reason="completed"}': 0,
      'ended_total{reason="swept"}': 0,
      'ended_total{reason="evicted"}': 0,
      'ended_total{reason="deleted"}': 0,
      'ended_total{reason="lost"}': 0,
      'ended_total{reason="other"}': 3,
      'ended_total{reason="cancelled"}': 2,
      'ended_total{reason="a\\\\u{202e}b"}': 1,
    });
  });

  it('shows a pending ending while its delivery runs', async () => {
    let finish = () => {};
    const { register, registry, runs, clock } = setup({
      ended: { map: 'runs', deliver: () => new Promise<void>((resolve) => (finish = resolve)) },
    });
    runs.set('a', {});
    registry.end('a');
    await clock.advance(0);
    const pending = 'ended_pending{recipient="default"}';
    expect((await scrape(register)).get(pending)).toBe(1);
    await clock.advance(250);
    expect((await scrape(register)).get('ended_oldest_pending_seconds')).toBe(0.25);
    finish();
    await clock.advance(0);
    const series = await scrape(register);
    expect([series.get(pending), series.get('ended_oldest_pending_seconds')]).toEqual([0, 0]);
    expect(series.get('ended_delivery_seconds_sum')).toBeCloseTo(0.25, 6);
  });

  it('gives the same values to a second scrape and to two at once: totals are set, not added up', async () => {
    const { register, runs } = setup();
    runs.set('a', {}).set('b', {});
    const [one, two] = await Promise.all([scrape(register), scrape(register)]);
    expect(one).toEqual(two);
    expect(await scrape(register)).toEqual(one);
    expect(one.get('registered_total{map="runs"}')).toBe(2);
  });

  it('shows a map that was adopted later, and takes all of its series away with it', async () => {
    const { register, registry, clock } = setup();
    const handle = registry.adopt('later', new Map([['a', 1]]), { ttl: '1m', weigh: () => 10 });
    await clock.advance(60_000);
    const during = await scrape(register);
    expect(during.get('entries{map="later"}')).toBe(0);
    expect(during.get('removed_total{map="later",reason="swept"}')).toBe(1);
    expect(during.get('sweep_lag_seconds_count{map="later"}')).toBe(1);
    handle.release();
    const after = [...(await scrape(register)).keys()];
    expect(after.filter((key) => key.includes('later'))).toEqual([]);
    expect(after.filter((key) => key.includes('runs'))).not.toEqual([]);
  });

  it('measures a map anew that has the name of one that was released', async () => {
    const { register, registry } = setup();
    for (const keys of [['a', 'b', 'c'], ['d']]) {
      const map = new Map(keys.map((key) => [key, 1]));
      const handle = registry.adopt('later', map);
      for (const key of keys) map.delete(key);
      if (keys.length > 1) handle.release();
    }
    const series = await scrape(register);
    expect(series.get('age_at_removal_seconds_count{map="later"}')).toBe(1);
    expect(series.get('removed_total{map="later",reason="deleted"}')).toBe(1);
  });

  it('shows no failure of a map that is gone, even if that comes late and is told', async () => {
    const { register, registry } = setup();
    const told: unknown[] = [];
    registry.on('callback-failed', ({ map, callback }) => told.push([map, callback]));
    const map = new Map([['a', 1]]);
    let fail = () => {};
    const dispose = () => new Promise<void>((_, reject) => (fail = () => reject(new Error('late')))) as never;
    const handle = registry.adopt('later', map, { dispose });
    map.delete('a');
    handle.release();
    fail();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([['later', 'dispose']]);
    expect(registry.report().callbackErrors).toEqual([]);
    expect([...(await scrape(register)).keys()].filter((key) => key.includes('later'))).toEqual([]);
  });

  it('takes a tick that came late for no sweep: its duration is not observed', async () => {
    const clock = createManualClock();
    const register = new Register();
    let behindMs = 0;
    const registry = createRegistry({
      maps: { runs: {} },
      clock: { ...clock, monotonic: () => clock.monotonic() + behindMs },
    });
    registerMetrics(registry, { register });
    await clock.advance(30_000);
    behindMs = 600_000;
    await clock.advance(30_000);
    const series = await scrape(register);
    expect([series.get('sweep_duration_seconds_count'), series.get('last_sweep_timestamp_seconds')]).toEqual([
      0, 0,
    ]);
    expect(series.get('sweeps_skipped_total')).toBe(1);
  });

  it('escapes a map name with quotes, backslashes and line breaks', async () => {
    const register = new Register();
    registerMetrics(createRegistry({ maps: { 'a "b"\\\n': {} }, clock: createManualClock() }), { register });
    expect(await register.metrics()).toContain(
      'mapsweep_entries{map="a \\"b\\"\\\\\\n",registry="default"} 0\n',
    );
  });

  it('tells apart two names that would print alike, be they of maps or of registries', async () => {
    const long = '\\u{'.repeat(42);
    const names = ['a\u200bb', 'a\\u{200b}b', 'a\\\\u{200b}b', `${long}a`, `${long}b`];
    const clock = createManualClock();
    const register = new Register();
    const maps = Object.fromEntries(names.map((name) => [name, {}]));
    for (const name of names) registerMetrics(createRegistry({ name, maps, clock }), { register });
    const lines = (await register.metrics()).match(/^mapsweep_entries\{.*$/gm) ?? [];
    expect(new Set(lines).size).toBe(names.length ** 2);
    expect(lines[0]).toBe('mapsweep_entries{map="a\\\\u{200b}b",registry="a\\\\u{200b}b"} 0');
    expect(lines[1]).toContain('{map="a\\\\u{5c}u{200b}b",');
  });

  it('escapes in a map name what would move the cursor of a terminal or reverse a line', async () => {
    const register = new Register();
    const clock = createManualClock();
    const name = '\x1b[2J\u202e\r\ud83d';
    const registry = createRegistry({ maps: { [name]: { ttl: '1m' } }, clock });
    registerMetrics(registry, { register });
    registry.maps[name]?.set('a', 1);
    await clock.advance(60_000);
    const text = unnamed(await register.metrics());
    expect(text).toContain('mapsweep_registered_total{map="\\\\u{1b}[2J\\\\u{202e}\\\\u{d}\\\\u{d83d}"} 1\n');
    expect(text).toContain('mapsweep_sweep_lag_seconds_count{map="\\\\u{1b}[2J');
    expect(text).not.toMatch(/[\p{Cf}\ufffd]|(?!\n)\p{Cc}/u);
    registry.stop();
  });
});

describe('the register', () => {
  it('is the default one of prom-client where none is given', async () => {
    const undo = registerMetrics(createRegistry({ maps: { runs: {} }, clock: createManualClock() }));
    expect((await scrape(globalRegister)).get('entries{map="runs"}')).toBe(0);
    undo();
    expect(globalRegister.getMetricsAsArray()).toEqual([]);
  });

  it('gets each metric once when the same registry is registered twice', () => {
    const { register, registry, undo } = setup();
    expect(registerMetrics(registry, { register })).toBe(undo);
    expect(register.getMetricsAsArray()).toHaveLength(33);
  });

  it('observes a sweep once when the same registry is registered twice', async () => {
    const { clock, register, registry } = setup();
    registerMetrics(registry, { register });
    await clock.advance(60_000);
    expect((await scrape(register)).get('sweep_duration_seconds_count')).toBe(1);
  });

  it('is shared by registries of different names, each of which says so on every series', async () => {
    const { register } = setup();
    const second = createRegistry({ name: 'orders', maps: { runs: {} }, clock: createManualClock() });
    registerMetrics(second, { register });
    second.maps.runs?.set('a', 1);
    const lines = (await register.metrics()).split('\n').filter((line) => /^[^#]/.test(line));
    expect(lines).toContain('mapsweep_entries{map="runs",registry="default"} 0');
    expect(lines).toContain('mapsweep_entries{map="runs",registry="orders"} 1');
    expect(lines.filter((line) => !/registry="(default|orders)"/.test(line))).toEqual([]);
    expect(register.getMetricsAsArray()).toHaveLength(33);
  });

  it('tells apart the runs of two registries on it, and each recipient is told of his own', async () => {
    const register = new Register();
    const told: string[] = [];
    const open = (name: string) => {
      const clock = createManualClock();
      const registry = createRegistry<{ runs: Map<string, Run> }>({
        name,
        maps: { runs: { maxIdle: '1m' } },
        ended: { map: 'runs', deliver: { [`${name}-desk`]: ({ key }) => void told.push(`${name} ${key}`) } },
        clock,
      });
      registerMetrics(registry, { register });
      registry.maps.runs.set('a', {}).set('b', {});
      return { registry, clock };
    };
    const [turns, jobs] = [open('turns'), open('jobs')];
    turns.registry.end('a');
    await turns.clock.advance(0);
    await jobs.clock.advance(180_000);
    const series = (await register.metrics()).split('\n').filter((line) => /^[^#].* [^0]/.test(line));
    const delivered = series.filter((line) => /^mapsweep_ended_(total|deliveries_total)/.test(line));
    expect(delivered.sort()).toEqual([
      'mapsweep_ended_deliveries_total{recipient="jobs-desk",outcome="delivered",registry="jobs"} 2',
      'mapsweep_ended_deliveries_total{recipient="turns-desk",outcome="delivered",registry="turns"} 1',
      'mapsweep_ended_total{reason="completed",registry="turns"} 1',
      'mapsweep_ended_total{reason="swept",registry="jobs"} 2',
    ]);
    expect(told.sort()).toEqual(['jobs a', 'jobs b', 'turns a']);
  });

  it('refuses a second registry of the same name, takes it under a prefix, and on another register', async () => {
    const { register } = setup();
    const second = createRegistry({ maps: { others: {} }, clock: createManualClock() });
    expect(() => registerMetrics(second, { register })).toThrow(
      expect.objectContaining({
        code: 'ERR_METRICS_CONFLICT',
        message: expect.stringMatching(/another registry has the name 'default'.*createRegistry\({ name }\)/),
      }),
    );
    expect(register.getMetricsAsArray()).toHaveLength(33);
    registerMetrics(second, { register, prefix: 'second_' });
    registerMetrics(second, { register: new Register() });
    expect((await scrape(register, 'second_')).get('entries{map="others"}')).toBe(0);
    expect((await scrape(register)).get('entries{map="runs"}')).toBe(0);
  });

  it('loses the series of one registry on its undo, and the metrics that no other one has', async () => {
    const { register, undo } = setup();
    const second = createRegistry({ name: 'orders', maps: { others: {} }, clock: createManualClock() });
    registerMetrics(second, { register });
    undo();
    const text = await register.metrics();
    expect(text).toContain('mapsweep_entries{map="others",registry="orders"} 0');
    expect(text).not.toContain('default');
    expect(text).not.toContain('mapsweep_ended');
  });

  it('loses the series of a registry that is closed, and its alerts with them', async () => {
    const { register, registry } = setup();
    new Gauge({ name: 'mine', help: 'mine', registers: [register] }).set(1);
    await registry.close();
    expect(await register.metrics()).toBe('# HELP mine mine\n# TYPE mine gauge\nmine 1\n');
    expect(registry[internals].engine.measurements.size).toBe(0);
    const next = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    registerMetrics(next, { register });
    expect((await scrape(register)).get('entries{map="runs"}')).toBe(0);
  });

  it('takes no registry that is closed, whose series would never leave, nor one that is about to be', async () => {
    const register = new Register();
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    const closing = registry.close();
    const refused = expect.objectContaining({ code: 'ERR_CLOSED' });
    expect(() => registerMetrics(registry, { register })).toThrow(refused);
    await closing;
    expect(() => registerMetrics(registry, { register })).toThrow(refused);
    expect(register.getMetricsAsArray()).toEqual([]);
  });

  it('may be named by the module that it is the default one of', async () => {
    const undo = registerMetrics(createRegistry({ maps: { runs: {} }, clock: createManualClock() }), {
      client,
    });
    expect(await client.register.metrics()).toContain('mapsweep_entries{map="runs",registry="default"} 0');
    undo();
    expect(client.register.getMetricsAsArray()).toEqual([]);
  });

  it('escapes the name of a registry as it does that of a map', async () => {
    const register = new Register();
    registerMetrics(createRegistry({ name: 'a"\u202eb', maps: {}, clock: createManualClock() }), {
      register,
    });
    expect(await register.metrics()).toContain('registry="a\\"\\\\u{202e}b"');
  });

  it('refuses where the last of the names is taken by a metric of the user, and registers nothing', () => {
    const register = new Register();
    new Counter({ name: 'mapsweep_ended_delivery_seconds', help: 'mine', registers: [register] });
    const registry = createRegistry({ maps: {}, clock: createManualClock() });
    expect(() => registerMetrics(registry, { register })).toThrow(
      expect.objectContaining({ code: 'ERR_METRICS_CONFLICT' }),
    );
    expect(register.getMetricsAsArray()).toHaveLength(1);
  });

  it('loses the metrics on undo, keeps the others, and takes a second registry then', async () => {
    const { clock, register, registry, undo, runs } = setup();
    new Gauge({ name: 'mine', help: 'mine', registers: [register] }).set(1);
    undo();
    undo();
    expect(await register.metrics()).toBe('# HELP mine mine\n# TYPE mine gauge\nmine 1\n');
    expect(registry[internals].engine.measurements.size).toBe(0);
    await clock.advance(60_000);
    runs.set('a', {});
    const second = createRegistry({ maps: { others: {} }, clock });
    registerMetrics(second, { register });
    undo();
    expect((await scrape(register)).get('entries{map="others"}')).toBe(0);
    expect(() => registerMetrics(registry, { register })).toThrow(/another registry has the name 'default'/);
  });

  it('can be cleared and registered anew, without measuring anything twice', async () => {
    const { register, registry, undo } = setup();
    const { size } = registry[internals].engine.measurements;
    register.clear();
    expect(registerMetrics(registry, { register })).toBe(undo);
    expect(register.getMetricsAsArray()).toHaveLength(33);
    expect(registry[internals].engine.measurements.size).toBe(size);
    expect((await scrape(register)).get('entries{map="runs"}')).toBe(0);
  });

  it('stays cleared whatever the registries do, until one is registered', async () => {
    const register = new Register();
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    registerMetrics(registry, { register });
    const second = createRegistry({ name: 'orders', maps: { others: {} }, clock: createManualClock() });
    registerMetrics(second, { register });
    const { length } = register.getMetricsAsArray();
    register.clear();
    registry.adopt('later', new Map([['a', 1]]), { weigh: () => 10 });
    registry.maps.runs.set('a', {});
    await second.close();
    // What is new in the meantime is not among what was cleared.
    const found = register.getMetricsAsArray().map(({ name }) => name);
    expect(found).toEqual(['mapsweep_estimated_weight']);
    registerMetrics(registry, { register });
    expect(register.getMetricsAsArray()).toHaveLength(length + 1);
    expect((await scrape(register)).get('entries{map="runs"}')).toBe(1);
  });

  it('has every series again after resetMetrics, with totals that the registry keeps', async () => {
    const { register, runs } = setup();
    runs.set('a', {});
    const before = await scrape(register);
    register.resetMetrics();
    expect(await scrape(register)).toEqual(before);
  });

  it('speaks OpenMetrics: counters end in _total once, scrape after scrape, and the undo finds them', async () => {
    const register = new Register();
    register.setContentType('application/openmetrics-text; version=1.0.0; charset=utf-8' as never);
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    const undo = registerMetrics(registry, { register });
    await register.metrics();
    const text = unnamed(await register.metrics());
    expect(text).toContain('# TYPE mapsweep_registered counter\nmapsweep_registered_total{map="runs"} 0\n');
    expect(registerMetrics(registry, { register })).toBe(undo);
    undo();
    expect(register.getMetricsAsArray()).toEqual([]);
  });

  it('keeps the default labels of the user', async () => {
    const { register } = setup();
    register.setDefaultLabels({ service: 'gateway' });
    expect(await register.metrics()).toContain(
      'mapsweep_entries{map="runs",registry="default",service="gateway"} 0\n',
    );
  });

  /** A registry with metrics that nobody uses any more, once it was collected. */
  async function abandonedIn(register: Register): Promise<void> {
    const registry = (() => {
      const made = createRegistry({ maps: { runs: {} } });
      registerMetrics(made, { register });
      made.stop();
      return new WeakRef(made);
    })();
    await vi.waitFor(() => {
      (globalThis as { gc?: () => void }).gc?.();
      // A failed assertion about the registry itself would keep it.
      expect(registry.deref() === undefined).toBe(true);
    });
  }

  it('does not keep a registry alive that nobody uses: its metrics leave with the next scrape', async () => {
    const register = new Register();
    const user = new Gauge({ name: 'mine', help: 'mine', registers: [register] });
    await abandonedIn(register);
    expect([...(await scrape(register)).keys()]).toEqual([]);
    expect(register.getMetricsAsArray()).toEqual([user]);
  });

  it('takes another registry in the place of one that was collected', async () => {
    const register = new Register();
    await abandonedIn(register);
    registerMetrics(createRegistry({ maps: { others: {} }, clock: createManualClock() }), { register });
    expect(seriesOf(await scrape(register), 'entries')).toEqual({ 'entries{map="others"}': 0 });
  });

  it('keeps reporting an adopted map whose registry object was dropped while its timer runs', async () => {
    const register = new Register();
    const map = new Map([['a', 1]]);
    (() => registerMetrics(createRegistry({ maps: { map: { adopt: map } } }), { register }))();
    for (let round = 0; round < 3; round += 1) {
      (globalThis as { gc?: () => void }).gc?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    map.set('b', 2);
    expect((await scrape(register)).get('entries{map="map"}')).toBe(2);
  });
});

describe('a failing collector', () => {
  it('breaks neither metrics() nor the metrics of the user, keeps the last values, and is counted', async () => {
    const clock = createManualClock();
    const failing = { on: false };
    const register = new Register();
    new Gauge({ name: 'mine', help: 'mine', registers: [register] }).set(1);
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      clock: {
        ...clock,
        monotonic: () => {
          if (failing.on) throw new Error('no clock');
          return clock.monotonic();
        },
      },
    });
    registerMetrics(registry, { register });
    registry.maps.runs.set('a', 1);
    await clock.advance(5_000);
    expect((await scrape(register)).get('oldest_entry_age_seconds{map="runs"}')).toBe(5);
    failing.on = true;
    const text = unnamed(await register.metrics());
    expect(text).toContain('\nmine 1\n');
    expect(text).toContain('\nmapsweep_oldest_entry_age_seconds{map="runs"} 5\n');
    expect(text).toContain('\nmapsweep_entries{map="runs"} 1\n');
    expect(text).toContain('\nmapsweep_callback_errors_total{map="",callback="collect"} 1\n');
  });
});

describe('a name that somebody else takes before a map brings its metric', () => {
  it('counts one error, however many maps are adopted, and is the metric’s once it is free', async () => {
    const register = new Register();
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    registerMetrics(registry, { register });
    new Gauge({ name: 'mapsweep_estimated_weight', help: 'mine', registers: [register] }).set(1);
    const adopt = (name: string) => registry.adopt(name, new Map([['a', 1]]), { weigh: () => 10 });
    for (const name of ['one', 'two', 'three']) adopt(name);
    const refused = await scrape(register);
    expect(refused.get('callback_errors_total{map="",callback="collect"}')).toBe(1);
    expect(refused.get('estimated_weight')).toBe(1);
    register.removeSingleMetric('mapsweep_estimated_weight');
    adopt('four');
    expect((await scrape(register)).has('estimated_weight{map="one"}')).toBe(true);
  });
});

describe('a scrape', () => {
  it('looks at no entry: 4 maps of 250,000 entries take less than twice as long as 4 of 100', async () => {
    const fastest = async (entries: number) => {
      const register = new Register();
      const maps = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, { ttl: '5m' } as const]));
      const registry = createRegistry<Record<string, Map<number, number>>>({
        maps,
        clock: createManualClock(),
      });
      registerMetrics(registry, { register });
      for (const map of Object.values(registry.maps))
        for (let key = 0; key < entries; key += 1) map.set(key, key);
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 50; round += 1) {
        const began = performance.now();
        await register.metrics();
        best = Math.min(best, performance.now() - began);
      }
      return best;
    };
    await fastest(100);
    const small = await fastest(100);
    expect(await fastest(250_000)).toBeLessThan(2 * small + 0.2);
  }, 60_000);
});

describe('the arguments', () => {
  const registry = createRegistry({ maps: {}, clock: createManualClock() });

  it.each([
    ['no registry', () => registerMetrics(new TrackedMap() as never), /registry must be a registry/],
    ['nothing', () => registerMetrics(undefined as never), /registry must be a registry/],
    [
      'a wrong register',
      () => registerMetrics(registry, { register: {} as never }),
      /register must be a Registry/,
    ],
    ['a wrong prefix', () => registerMetrics(registry, { prefix: '9-' }), /prefix must be .*received "9-"/],
    [
      'a wrong client',
      () => registerMetrics(registry, { client: {} as never }),
      /client must be the module prom-client or @prometheus-io/,
    ],
    [
      'a reason that is no text',
      () => registerMetrics(registry, { reasons: [1] as never }),
      /reasons\[0\] must/,
    ],
    [
      'too many reasons',
      () => registerMetrics(registry, { reasons: Array(51).fill('a') }),
      /reasons must be an array of at most 50 texts/,
    ],
    ['a misspelt option', () => registerMetrics(registry, { prefx: 'a' } as never), /Did you mean 'prefix'/],
  ])('are checked at once: %s', (_, call, message) => {
    expect(call).toThrow(message);
    expect(globalRegister.getMetricsAsArray()).toEqual([]);
  });

  it('may be an AggregatorRegistry', async () => {
    const register = new AggregatorRegistry();
    registerMetrics(registry, { register, prefix: '' })();
    expect(register.getMetricsAsArray()).toEqual([]);
  });
});

describe('the client', () => {
  const requireOf = (...installed: string[]) => {
    const load = (name: string) => {
      if (!installed.includes(name)) throw Object.assign(new Error(`Cannot find module '${name}'`));
      return { register: `the register of ${name}` };
    };
    return Object.assign(load, { resolve: (name: string) => void load(name) }) as never;
  };

  it.each(['prom-client', '@prometheus-io/client'])('is %s where that one is installed', (name) => {
    expect(installedRegister(requireOf(name))).toBe(`the register of ${name}`);
  });

  it('is named with what to install where there is none', () => {
    expect(() => installedRegister(requireOf())).toThrow(
      expect.objectContaining({
        code: 'ERR_MISSING_PEER',
        message: expect.stringMatching(/npm install prom-client.*npm install @prometheus-io\/client/),
      }),
    );
  });

  it('has to be named where both are installed: the error says how', () => {
    expect(() => installedRegister(requireOf('prom-client', '@prometheus-io/client'))).toThrow(
      expect.objectContaining({
        code: 'ERR_AMBIGUOUS_PEER',
        message: expect.stringMatching(
          /both installed.*\{ client \}.*\{ register \}.*metricsHandler\(client/,
        ),
      }),
    );
  });
});

describe('the version', () => {
  it('is that of the package', () => {
    expect(version).toBe(createRequire(import.meta.url)('../../package.json').version);
  });
});
