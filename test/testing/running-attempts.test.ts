import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as realTimeout } from 'node:timers/promises';
import { createRegistry, type RegistryOptions } from 'mapsweep';
import { createManualClock, drainWithin, returnToBaseline } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';

type Maps = { runs: Map<number, object> };
type Ended = NonNullable<RegistryOptions<Maps>['ended']>;

const setUp = (
  deliver: () => unknown,
  clock?: RegistryOptions<Maps>['clock'],
  ended: Partial<Ended> = {},
) => {
  const registry = createRegistry<Maps>({
    maps: { runs: {} },
    ended: { map: 'runs', deliver, ...ended },
    clock,
  });
  const run = (key: number) => {
    registry.maps.runs.set(key, {});
    registry.end(key);
    registry.maps.runs.delete(key);
  };
  return { registry, run };
};

afterEach(() => {
  vi.useRealTimers();
});

// Real time passes in these, since that is what an answer from elsewhere takes.
describe('a deliver that takes real time', () => {
  it('owes nothing where time is real', async () => {
    const { registry, run } = setUp(() => realTimeout(5));
    expect(await returnToBaseline(run, { registry, times: 20 })).toMatchObject({
      held: true,
      runs: 20,
      pending: { before: 0, after: 0 },
    });
    await registry.close();
  });

  it.each<[string, () => ReturnType<typeof createManualClock> | undefined]>([
    ['a manual clock', () => createManualClock()],
    [
      'fake timers',
      () => {
        vi.useFakeTimers();
        return undefined;
      },
    ],
  ])('does not time out by the time that is let pass on %s', async (_what, start) => {
    const clock = start();
    const { registry, run } = setUp(() => realTimeout(15), clock);
    const { held, message } = await returnToBaseline(run, {
      registry,
      times: 5,
      ...(clock === undefined && { clock: { advance: (ms) => vi.advanceTimersByTimeAsync(ms) } }),
    });
    expect(message).toContain('returned to its baseline after 5 runs');
    expect(held).toBe(true);
    registry.stop();
  });

  it('is heard though it began while time was let pass, and timed out by that', async () => {
    const clock = createManualClock();
    const registry = createRegistry<Maps & { other: Map<number, object> }>({
      maps: { runs: { ttl: '1m' }, other: { ttl: '1h' } },
      ended: { map: 'runs', deliver: () => realTimeout(15) },
      clock,
    });
    const scenario = (run: number) => {
      registry.maps.runs.set(run, {});
      registry.maps.other.set(run, {});
    };
    expect(await returnToBaseline(scenario, { registry, times: 3, warmup: 0 })).toMatchObject({
      held: true,
      deadLetters: 0,
    });
  });

  it('is waited for by drainWithin', async () => {
    const { registry, run } = setUp(() => realTimeout(15), createManualClock());
    run(1);
    expect(await drainWithin(registry, '5m')).toMatchObject({
      drained: true,
      message: 'the registry is drained after 0ms and stays so until 5m are over',
    });
    expect(registry.deadLetters()).toEqual([]);
  });

  it('does not time out by the time that is let pass, though the attempts take more than a second together', async () => {
    const { registry, run } = setUp(() => realTimeout(600), createManualClock(), { giveUpAfter: '1m' });
    expect(await returnToBaseline(run, { registry, times: 2, warmup: 1, drain: '2m' })).toMatchObject({
      held: true,
      deadLetters: 0,
    });
  });

  it('does not time out by the time that is let pass, though a request takes more than a second', async () => {
    const server = createServer((_request, response) => {
      setTimeout(() => response.end(), 1_500);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const deliver = () =>
      new Promise((resolve) => get({ port, host: '127.0.0.1' }, (response) => resolve(response.resume())));
    const { registry, run } = setUp(deliver, createManualClock(), { giveUpAfter: '1m' });
    run(1);
    const { message } = await drainWithin(registry, '5m');
    expect(message).toBe('the registry is drained after 0ms and stays so until 5m are over');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('a deliver that never comes to its end', () => {
  it('is waited for no longer than a second in all, and is told as a dead letter by drainWithin', async () => {
    const { registry, run } = setUp(() => new Promise(() => {}), createManualClock());
    for (let key = 0; key < 3; key += 1) run(key);
    const { drained, message } = await drainWithin(registry, '5m');
    expect(drained).toBe(true);
    expect(message).toMatch(
      /stays so until 5m are over; 3 dead letters, so that nobody heard of what ended$/,
    );
  });

  it('owes more with each run where time is real', async () => {
    const { registry, run } = setUp(() => new Promise(() => {}));
    const { held, message } = await returnToBaseline(run, { registry, times: 5, warmup: 0 });
    expect(held).toBe(false);
    expect(message).toContain('pending notifications: 0 -> 5, +1 per run, and it goes on');
    registry.stop();
  });
});

type Entries = { runs: Map<number, object>; other: Map<number, object> };

const cleanedUp = (
  beforeSweep: () => unknown,
  { clock, ...policy }: { clock?: RegistryOptions<Entries>['clock']; [option: string]: unknown } = {},
) => {
  const failures = new Set<string>();
  const registry = createRegistry<Entries>({
    maps: { runs: { ttl: '1m', beforeSweep: async () => void (await beforeSweep()), ...policy }, other: {} },
    clock,
  });
  registry.on('callback-failed', ({ error }) => failures.add(String(error)));
  return { registry, failures, run: (key: number) => void registry.maps.runs.set(key, {}) };
};

describe('a beforeSweep that takes real time', () => {
  it('does not time out by the time that is let pass on a manual clock', async () => {
    const { registry, run, failures } = cleanedUp(() => realTimeout(20), { clock: createManualClock() });
    const { message } = await returnToBaseline(run, { registry, times: 40, nets: 'fail' });
    expect(message).toContain(
      'returned to its baseline after 40 runs; 1m passed; entries left: runs 40 by ttl',
    );
    expect([...failures]).toEqual([]);
  });

  it('does not time out by the time that is let pass on fake timers', async () => {
    vi.useFakeTimers();
    const { registry, run, failures } = cleanedUp(() => realTimeout(20));
    const clock = { advance: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
    const { message } = await returnToBaseline(run, { registry, times: 5, clock });
    expect(message).toContain('returned to its baseline after 5 runs');
    expect([...failures]).toEqual([]);
    registry.stop();
  });

  it('does not time out where other entries need more time', async () => {
    const clock = createManualClock();
    const registry = createRegistry<Entries>({
      maps: { runs: { ttl: '1m', beforeSweep: () => realTimeout(20) }, other: { ttl: '6h' } },
      clock,
    });
    const scenario = (run: number) => {
      registry.maps.runs.set(run, {});
      registry.maps.other.set(run, {});
    };
    const { message } = await returnToBaseline(scenario, { registry, times: 5, warmup: 1 });
    expect(message).toContain('entries left: runs 5 by ttl; other 5 by ttl');
    expect(registry.report().callbackErrors).toEqual([]);
  });

  it('does not time out where a cap evicts the entry', async () => {
    const { registry, run, failures } = cleanedUp(() => realTimeout(20), {
      clock: createManualClock(),
      maxEntries: 2,
    });
    const { message } = await returnToBaseline(run, { registry, times: 5, warmup: 3 });
    expect(message).toContain('returned to its baseline after 5 runs');
    expect([...failures]).toEqual([]);
  });

  it.each(['2m', '10m'] as const)('is waited for by drainWithin of %s', async (duration) => {
    const { registry, run, failures } = cleanedUp(() => realTimeout(20), { clock: createManualClock() });
    for (let key = 0; key < 5; key += 1) run(key);
    const { drained, message } = await drainWithin(registry, duration);
    expect(message).toMatch(/^the registry is drained after 1m and stays so/);
    expect(drained).toBe(true);
    expect([...failures]).toEqual([]);
  });

  it('is waited for by drainWithin of a single map', async () => {
    const { registry, run, failures } = cleanedUp(() => realTimeout(20), { clock: createManualClock() });
    run(1);
    expect(await drainWithin(registry.maps.runs, '10m')).toMatchObject({ drained: true });
    expect([...failures]).toEqual([]);
  });

  it('may fail at first, and has its next attempt waited for too', async () => {
    let calls = 0;
    const beforeSweep = async () => {
      await realTimeout(20);
      calls += 1;
      if (calls % 2 === 1) throw new Error('db down');
    };
    const { registry, run, failures } = cleanedUp(beforeSweep, { clock: createManualClock() });
    run(1);
    expect(await drainWithin(registry, '10m')).toMatchObject({ drained: true, elapsedMs: 120_000 });
    expect([...failures]).toEqual(['Error: db down']);
  });

  it('is told by its own error where it always fails', async () => {
    const beforeSweep = async () => {
      await realTimeout(2);
      throw new Error('db down');
    };
    const { registry, run, failures } = cleanedUp(beforeSweep, { clock: createManualClock() });
    const { held, message } = await returnToBaseline(run, { registry, times: 20, warmup: 2 });
    expect(held).toBe(false);
    expect(message).toMatch(
      /has not succeeded: \d+ attempts failed, .*; last error in this map: Error: db down;/,
    );
    expect([...failures]).toEqual(['Error: db down']);
  });
});

describe('a beforeSweep that never comes to its end', () => {
  it('is waited for no longer than a second in all, and is told as one that did not settle', async () => {
    const { registry, run } = cleanedUp(() => new Promise(() => {}), { clock: createManualClock() });
    const { held, message } = await returnToBaseline(run, { registry, times: 5, warmup: 1 });
    expect(held).toBe(false);
    expect(message).toContain(
      'last error in this map: MapsweepError: beforeSweep did not settle within 30000 ms',
    );
  });

  it('has time pass again where it waits for the clock of the test', async () => {
    const clock = createManualClock();
    const beforeSweep = () => new Promise<void>((resolve) => clock.setTimeout(resolve, 5_000));
    const { registry, run, failures } = cleanedUp(beforeSweep, { clock });
    const { message } = await returnToBaseline(run, { registry, times: 5, warmup: 1 });
    expect(message).toContain('returned to its baseline after 5 runs');
    expect([...failures]).toEqual([]);
  });
});
