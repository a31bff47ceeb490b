import { adopt, createRegistry, type Duration, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { afterEach, describe, expect, it, vi } from 'vitest';

interface Maps {
  [name: string]: Map<string, object>;
  runs: Map<string, object>;
}

afterEach(() => {
  vi.useRealTimers();
});

const withRun = (ttl: Duration = '5m') => {
  const clock = createManualClock();
  const registry = createRegistry<Maps>({ maps: { runs: { ttl } }, clock });
  registry.maps.runs.set('run-1', {});
  return { clock, registry };
};

describe('expect(mapOrRegistry).toDrainWithin(duration)', () => {
  it('sweeps what is due after exactly the duration, and nothing 1 ms before', async () => {
    const { registry } = withRun();
    await expect(registry).not.toDrainWithin(5 * 60_000 - 1);
    await expect(registry).toDrainWithin(1);
  });

  it('lets the whole time pass, also where it is drained before, or always was', async () => {
    const { clock, registry } = withRun();
    const before = clock.monotonic();
    await expect(registry).toDrainWithin('24h');
    expect(clock.monotonic() - before).toBe(24 * 60 * 60_000);
    await expect(registry).toDrainWithin('5m');
    expect(clock.monotonic() - before).toBe((24 * 60 + 5) * 60_000);
  });

  it('is not drained where something comes back meanwhile and is there at the end', async () => {
    const { clock, registry } = withRun('24h');
    registry.maps.runs.clear();
    clock.setTimeout(() => registry.maps.runs.set('late', {}), 60_000);
    const failure =
      /not drained after 5m; it holds:\n {2}runs: 1 entry[\s\S]*; it had been drained meanwhile$/;
    await expect(expect(registry).toDrainWithin('5m')).rejects.toThrow(failure);
  });

  it('is drained where what comes back leaves in time', async () => {
    const { clock, registry } = withRun('2m');
    clock.setTimeout(() => registry.maps.runs.set('retry', {}), 10 * 60_000);
    await expect(expect(registry).not.toDrainWithin('15m')).rejects.toThrow(
      'the registry is drained after 12m and stays so until 15m are over; entries left: runs 2 by ttl',
    );
  });

  it('waits for retries of a delivery', async () => {
    const clock = createManualClock();
    let failures = 3;
    const registry = createRegistry<Maps>({
      maps: { runs: { ttl: '5m' } },
      ended: {
        map: 'runs',
        deliver: () => {
          failures -= 1;
          if (failures >= 0) throw new Error('busy');
        },
      },
      clock,
    });
    registry.maps.runs.set('run-1', {});
    registry.maps.runs.delete('run-1');
    await expect(registry).toDrainWithin('1m');
  });

  it('waits for a beforeSweep that fails twice', async () => {
    const clock = createManualClock();
    let failures = 2;
    const beforeSweep = async () => {
      failures -= 1;
      if (failures >= 0) throw new Error('unavailable');
    };
    const registry = createRegistry<Maps>({ maps: { runs: { ttl: '5m', beforeSweep } }, clock });
    registry.maps.runs.set('run-1', {});
    await expect(registry).not.toDrainWithin('5m');
    await expect(registry).toDrainWithin('10m');
  });

  it('waits for the beforeSweep of what is due at the very end', async () => {
    const beforeSweep = () => new Promise<void>((resolve) => setImmediate(resolve));
    const registry = createRegistry<Maps>({
      maps: { runs: { ttl: '5m', beforeSweep } },
      sweepEvery: '24h',
      clock: createManualClock(),
    });
    registry.maps.runs.set('run-1', {});
    await expect(registry).toDrainWithin('5m');
  });

  it('advances the fake timers of vitest where these are in force', async () => {
    vi.useFakeTimers();
    const registry = createRegistry<Maps>({ maps: { runs: { ttl: '5m' } } });
    registry.maps.runs.set('run-1', {});
    const before = Date.now();
    await expect(registry).toDrainWithin('5m');
    expect(Date.now() - before).toBe(5 * 60_000);
    registry.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('advances the manual clock of the registry, and leaves fake timers alone', async () => {
    vi.useFakeTimers();
    const before = Date.now();
    const { registry } = withRun();
    await expect(registry).toDrainWithin('5m');
    expect(Date.now()).toBe(before);
  });

  it('takes a TrackedMap and the handle of an adopted map', async () => {
    const clock = createManualClock();
    const tracked = new TrackedMap([['a', 1]], { ttl: '24h', clock });
    await expect(tracked).not.toDrainWithin('23h');
    await expect(tracked).toDrainWithin('1h');
    const handle = adopt(new Set(['a']), { ttl: '5m', clock });
    await expect(handle).toDrainWithin('5m');
  });

  it('advances whatever clock it is given', async () => {
    const manual = createManualClock();
    const { advance: _, ...clock } = manual;
    const registry = createRegistry<Maps>({ maps: { runs: { ttl: '5m' } }, clock });
    registry.maps.runs.set('run-1', {});
    await expect(registry).toDrainWithin('5m', { clock: manual });
  });

  it('says what is left and why where it does not drain', async () => {
    const { registry } = withRun('1h');
    await expect(expect(registry).toDrainWithin('5m')).rejects.toThrow(
      [
        'expected it to drain within 5m, but the registry is not drained after 5m; it holds:',
        '  runs: 1 entry',
        "    'run-1': live, due by ttl in 55m; age 5m, idle 5m",
      ].join('\n'),
    );
  });

  it('says under .not how soon it drained', async () => {
    const { registry } = withRun();
    await expect(expect(registry).not.toDrainWithin('1h')).rejects.toThrow(
      'expected it not to drain within 1h, but the registry is drained after 5m',
    );
  });

  it('says that nothing can make time pass, also under .not and for what is drained', async () => {
    const registry = createRegistry<Maps>({ maps: { runs: { ttl: '5m' } } });
    const why =
      /nothing can: the registry has no manual clock, and no fake timers are in force.*real time pass, by clock: \{ advance: .*vi\.useFakeTimers\(\)/;
    await expect(expect(registry).toDrainWithin('5m')).rejects.toThrow(why);
    await expect(expect(registry).not.toDrainWithin('5m')).rejects.toThrow(why);
    registry.stop();
  });

  it('says so where the clock has gone back, as fake timers do that each test installs anew', async () => {
    vi.useFakeTimers();
    const registry = createRegistry<{ runs: Map<number, object> }>({ maps: { runs: { ttl: '5m' } } });
    registry.maps.runs.set(1, {});
    await expect(registry).toDrainWithin('20m');
    vi.useRealTimers();
    vi.useFakeTimers();
    registry.maps.runs.set(2, {});
    await expect(expect(registry).toDrainWithin('5m')).rejects.toThrow(
      'The clock of the maps had gone back before the check, as where fake timers begin anew in each test',
    );
    registry.stop();
  });

  it('says that the clock of the maps did not follow', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const registry = createRegistry<Maps>({ maps: { runs: { ttl: '5m' } } });
    registry.maps.runs.set('run-1', {});
    await expect(expect(registry).toDrainWithin('5m')).rejects.toThrow(
      'the clock of the maps did not follow: it is another one. Fake timers have to replace performance.now() too',
    );
    registry.stop();
  });

  it('refuses a wrong receiver, duration or option', async () => {
    const { registry } = withRun();
    await expect(expect(new Map()).toDrainWithin('5m')).rejects.toThrow(
      'toDrainWithin takes a registry, a TrackedMap, an adopted Map or Set, or its handle',
    );
    // @ts-expect-error a misspelt unit
    await expect(expect(registry).toDrainWithin('5mn')).rejects.toThrow('duration must be');
    await expect(expect(registry).toDrainWithin(Number.NaN)).rejects.toThrow('duration must be');
    // @ts-expect-error a misspelt option
    await expect(expect(registry).toDrainWithin('5m', { clok: 1 })).rejects.toThrow("Did you mean 'clock'?");
    // @ts-expect-error no clock
    await expect(expect(registry).toDrainWithin('5m', { clock: {} })).rejects.toThrow(
      'clock must be a manual clock',
    );
  });
});
