import { createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { afterEach, describe, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.useRealTimers();
});

const failureOf = (assertion: Promise<unknown>): Promise<string> =>
  assertion.then(
    () => 'passed',
    (error: Error) => error.message,
  );

/** A registry of one map that its owner has to clear and one that leaves by itself. */
const setUp = () => {
  const clock = createManualClock();
  const contexts = new Map<string, object>();
  const registry = createRegistry<Record<'contexts' | 'runs', Map<string, object>>>({
    maps: { contexts: { adopt: contexts }, runs: { ttl: '5m' } },
    clock,
  });
  const { runs } = registry.maps;
  return { clock, registry, contexts, runs };
};

describe('expect(scenario).toReturnToBaseline(options)', () => {
  it('holds for a scenario whose entries leave by their lifetime', async () => {
    const { registry, runs } = setUp();
    await expect((run: number) => runs.set(`run-${run}`, {})).toReturnToBaseline({ registry, times: 20 });
    expect(runs.size).toBe(0);
  });

  it('names each map that grew, its growth per run, the first survivors, their ages, why, and where from', async () => {
    const { registry, contexts, runs } = setUp();
    const scenario = (run: number) => {
      runs.set(`run-${run}`, {});
      contexts.set(`run-${run}`, {});
      contexts.set(`retry of run-${run}`, {});
    };
    const message = await failureOf(
      expect(scenario).toReturnToBaseline({ registry, times: 200, warmup: 10 }),
    );
    const file = /registered at .*to-return-to-baseline\.test\.ts:\d+:\d+\)?/g;
    expect(message.replaceAll(file, 'registered HERE')).toBe(
      [
        'expected the registry to return to its baseline after 200 runs, but 1 of its 2 maps grew:',
        '  contexts: 20 -> 420 entries, +2 per run',
        '    then +400 and +400 in as many runs again',
        "    'run-10': live, 'contexts' has no lifetime: it stays until its owner deletes it; age 5m, idle 5m",
        '      registered HERE',
        "    'retry of run-10': live, 'contexts' has no lifetime: it stays until its owner deletes it; age 5m, idle 5m",
        '      registered HERE',
        "    'run-11': live, 'contexts' has no lifetime: it stays until its owner deletes it; age 5m, idle 5m",
        '      registered HERE',
        '    and 397 more',
        '  If something of your own removes them later, set drain to the time that it takes; if this is a cache that ' +
          'fills, set warmup to as many runs as fill it, or its maxEntries.',
        '  5m passed; entries left: runs 200 by ttl',
      ].join('\n'),
    );
  });

  it('runs the scenario warmup + times, one after the other, with the number of the run', async () => {
    const { registry, contexts } = setUp();
    const log: string[] = [];
    const scenario = async (run: number) => {
      log.push(`${run} begins`);
      contexts.set('the only one', {});
      await Promise.resolve();
      log.push(`${run} ends`);
    };
    await expect(scenario).toReturnToBaseline({ registry, times: 2, warmup: 1 });
    expect(log).toEqual(['0 begins', '0 ends', '1 begins', '1 ends', '2 begins', '2 ends']);
  });

  it('takes what is made once for no leak, in the warm-up or after it', async () => {
    const { registry, contexts } = setUp();
    const scenario = () => contexts.set('the only one', {});
    await expect(scenario).toReturnToBaseline({ registry, times: 5, warmup: 1 });
    contexts.clear();
    await expect(scenario).toReturnToBaseline({ registry, times: 5, warmup: 0 });
    contexts.clear();
    await expect(expect(scenario).not.toReturnToBaseline({ registry, times: 5, warmup: 0 })).rejects.toThrow(
      'contexts: 0 -> 1 entry, and no more in as many runs again: made once',
    );
  });

  it('names the new entries where old ones are there too, and a key that was registered anew', async () => {
    const { registry, contexts } = setUp();
    contexts.set('old', {});
    contexts.set('again', {});
    const scenario = (run: number) => {
      if (run === 0) contexts.delete('again');
      contexts.set(run === 0 ? 'again' : `new ${run}`, {});
    };
    const message = await failureOf(expect(scenario).toReturnToBaseline({ registry, times: 4, warmup: 0 }));
    expect(message).toContain('contexts: 2 -> 5 entries, +1 per run\n    4 entries that came in 4 runs stay');
    expect(message).toContain("    'again': live");
    expect(message).not.toContain("'old'");
  });

  it('compares as it is with drain: false', async () => {
    const { clock, registry, runs } = setUp();
    const before = clock.monotonic();
    const scenario = (run: number) => runs.set(`run-${run}`, {});
    await expect(scenario).not.toReturnToBaseline({ registry, times: 5, drain: false });
    expect(clock.monotonic()).toBe(before);
    await expect(() => runs.delete('run-0')).toReturnToBaseline({
      registry,
      times: 5,
      warmup: 0,
      drain: false,
    });
  });

  it('lets pass no more time than drain says', async () => {
    const { registry, runs } = setUp();
    const scenario = (run: number) => runs.set(`run-${run}`, {});
    await expect(scenario).not.toReturnToBaseline({ registry, times: 5, drain: '4m' });
    await expect(scenario).toReturnToBaseline({ registry, times: 5, drain: '5m' });
  });

  it('lets pass what the longest lifetime of what came needs, and not 7 days for what has none', async () => {
    const { clock, registry, contexts, runs } = setUp();
    const before = clock.monotonic();
    const scenario = (run: number) => {
      runs.set(`run-${run}`, {});
      contexts.set(`run-${run}`, {});
    };
    const message = await failureOf(expect(scenario).toReturnToBaseline({ registry, times: 5, warmup: 0 }));
    expect(message).toContain('\n  5m passed; entries left: runs 5 by ttl');
    // Three stretches.
    expect(clock.monotonic() - before).toBe(3 * 5 * 60_000);
  });

  it('waits for the ceiling over a guard, and names a guard without one', async () => {
    const clock = createManualClock();
    const keepWhile = () => true;
    const registry = createRegistry<Record<'patient' | 'stubborn', Map<number, object>>>({
      maps: { patient: { ttl: '5m', keepWhile, maxAge: '2h' }, stubborn: { ttl: '5m', keepWhile } },
      clock,
    });
    await expect((run: number) => registry.maps.patient.set(run, {})).toReturnToBaseline({
      registry,
      times: 3,
      warmup: 0,
    });
    const message = await failureOf(
      expect((run: number) => registry.maps.stubborn.set(run, {})).toReturnToBaseline({ registry, times: 3 }),
    );
    expect(message).toContain('stubborn: 10 -> 13 entries, +1 per run');
    expect(message).toMatch(/10: guarded, due by ttl for .*, but keepWhile holds it, and there is no maxAge/);
  });

  it('waits for an eviction after the current macrotask', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ cache: Map<number, object> }>({
      maps: { cache: { maxEntries: 3 } },
      clock,
    });
    await expect((run: number) => registry.maps.cache.set(run, {})).toReturnToBaseline({
      registry,
      times: 20,
    });
  });

  it('waits for the retries of a delivery, and of a beforeSweep', async () => {
    const clock = createManualClock();
    const attempts = { delivery: 0, hook: 0 };
    const fail = (what: keyof typeof attempts) => () => {
      attempts[what] += 1;
      if (attempts[what] % 3 > 0) throw new Error('busy');
    };
    const registry = createRegistry<{ runs: Map<number, object> }>({
      maps: { runs: { beforeSweep: fail('hook'), ttl: '5m' } },
      ended: { map: 'runs', deliver: fail('delivery') },
      clock,
    });
    const scenario = (run: number) => registry.maps.runs.set(run, {});
    await expect(scenario).toReturnToBaseline({ registry, times: 2, warmup: 0 });
    const deletesItself = (run: number) => {
      registry.maps.runs.set(run, {});
      registry.maps.runs.delete(run);
    };
    await expect(deletesItself).toReturnToBaseline({ registry, times: 2, warmup: 0 });
  });

  it('waits for a guard that lets go after a while', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ leases: Map<number, { until: number }> }>({
      maps: { leases: { ttl: '5m', keepWhile: ({ until }) => clock.now() < until } },
      clock,
    });
    const scenario = (run: number) => registry.maps.leases.set(run, { until: clock.now() + 30 * 60_000 });
    await expect(scenario).toReturnToBaseline({ registry, times: 2, warmup: 0 });
  });

  it('takes notifications that pile up for a leak', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<number, object> }>({
      maps: { runs: { ttl: '5m' } },
      ended: { map: 'runs', attempts: 1_000, deliver: () => Promise.reject(new Error('gone')) },
      clock,
    });
    const scenario = (run: number) => registry.maps.runs.set(run, {});
    const message = await failureOf(
      expect(scenario).toReturnToBaseline({ registry, times: 4, warmup: 0, drain: '10m' }),
    );
    expect(message).toBe(
      'expected the registry to return to its baseline after 4 runs, but notifications piled up:\n' +
        '  pending notifications: 0 -> 4, +1 per run, and it goes on\n' +
        '  the last attempt that failed: no. 26 for 5: Error: gone\n' +
        '  10m passed; entries left: runs 4 by ttl',
    );
    registry.stop();
  });

  it('sees that maps pile up, and takes what was in them before for no leak', async () => {
    const { registry } = setUp();
    const scenario = (run: number) => registry.adopt(`map ${run}`, new Map([['a', 1]]));
    const message = await failureOf(expect(scenario).toReturnToBaseline({ registry, times: 2, warmup: 0 }));
    expect(message).toContain('the number of tracked maps: 2 -> 4, +1 per run');
  });

  it('advances the fake timers of vitest where these are in force', async () => {
    vi.useFakeTimers();
    const registry = createRegistry<{ runs: Map<unknown, object> }>({ maps: { runs: { ttl: '5m' } } });
    await expect((run: number) => registry.maps.runs.set(run, {})).toReturnToBaseline({ registry, times: 5 });
    registry.stop();
  });

  it('says that time stands still where entries only need some, and refuses to prove a leak then', async () => {
    const registry = createRegistry<{ runs: Map<unknown, object> }>({ maps: { runs: { ttl: '5m' } } });
    const scenario = () => registry.maps.runs.set({}, {});
    const options = { registry, times: 5, warmup: 0 };
    await expect(expect(scenario).toReturnToBaseline(options)).rejects.toThrow(
      'Some of these leave by themselves after a time, and here nothing makes time pass',
    );
    await expect(expect(scenario).not.toReturnToBaseline(options)).rejects.toThrow('nothing makes time pass');
    registry.stop();
  });

  it('proves a leak without any clock where no time would help', async () => {
    const contexts = new Map<number, object>();
    const registry = createRegistry({ maps: { contexts: { adopt: contexts } } });
    await expect((run: number) => contexts.set(run, {})).not.toReturnToBaseline({ registry, times: 5 });
    await expect(() => contexts.clear()).toReturnToBaseline({ registry, times: 5 });
    registry.stop();
  });

  it('takes a single map, and samples its sites too', async () => {
    const cache = new TrackedMap<number, object>(undefined, { name: 'cache' });
    const message = await failureOf(
      expect((run: number) => cache.set(run, {})).toReturnToBaseline({
        registry: cache,
        times: 5,
        warmup: 0,
      }),
    );
    expect(message).toContain(
      "expected the map 'cache' to return to its baseline after 5 runs, but it grew:",
    );
    expect(message).toMatch(/registered at .*to-return-to-baseline\.test\.ts/);
  });

  it('samples no sites once the scenario is over', async () => {
    const { registry, contexts } = setUp();
    await expect(() => contexts.set('once', {})).toReturnToBaseline({ registry, times: 2 });
    contexts.clear();
    contexts.set('later', {});
    expect(registry.report().maps[0]?.sites).toEqual([]);
  });

  it('rejects with what the scenario throws', async () => {
    const { registry } = setUp();
    const failure = new Error('the scenario itself is broken');
    const scenario = (run: number) => {
      if (run === 3) throw failure;
    };
    await expect(expect(scenario).toReturnToBaseline({ registry })).rejects.toBe(failure);
    await expect(expect(scenario).not.toReturnToBaseline({ registry })).rejects.toBe(failure);
  });

  it('says under .not that it held', async () => {
    const { registry, runs } = setUp();
    const scenario = (run: number) => runs.set(`run-${run}`, {});
    await expect(expect(scenario).not.toReturnToBaseline({ registry, times: 3 })).rejects.toThrow(
      'expected the scenario to leave something behind, but the registry returned to its baseline after 3 runs; ' +
        '5m passed; entries left: runs 3 by ttl',
    );
  });

  it('refuses a wrong receiver or option', async () => {
    const { registry } = setUp();
    const rejected = (options: unknown, why: string) =>
      expect(expect(() => {}).toReturnToBaseline(options as never)).rejects.toThrow(why);
    await expect(expect(registry).toReturnToBaseline({ registry })).rejects.toThrow(
      'toReturnToBaseline takes the scenario as a function, which it calls many times; received an instance of Registry',
    );
    await expect(expect(Promise.resolve()).toReturnToBaseline({ registry })).rejects.toThrow(
      'await it first',
    );
    await rejected(
      undefined,
      'registry must be a registry, a TrackedMap, an adopted Map or Set, or its handle',
    );
    await rejected({ registry: new Map() }, 'received a Map that nothing tracks');
    await rejected({ registry, times: 0 }, 'times must be an integer of at least 1');
    await rejected({ registry, warmup: -1 }, 'warmup must be an integer of at least 0');
    await rejected({ registry, drain: '5 parsecs' }, 'drain must be');
    await rejected({ registry, nets: 'count' }, "nets must be 'pass' or 'fail'; received \"count\"");
    await rejected({ registry, runs: 3 }, 'runs is not an option');
  });
});
