import { createRegistry } from 'mapsweep';
import {
  assertDrained,
  assertEndedEveryRunOnce,
  createManualClock,
  drainWithin,
  returnToBaseline,
} from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { baselineWithFallback } from '../../src/testing/return-to-baseline.js';
import type { RunningCheck } from '../../src/testing/running-check.js';

const setUp = () => {
  const clock = createManualClock();
  const runs = new Map<number, object>();
  const registry = createRegistry<{ runs: Map<number, object> }>({
    maps: { runs: { adopt: runs, ttl: '5m' } },
    ended: { map: 'runs' },
    clock,
  });
  return { clock, registry, runs };
};

const failsLater = async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  throw new Error('closed meanwhile');
};

const oneAtATime = { code: 'ERR_NOT_AWAITED' };

describe('two checks at once on one registry', () => {
  it('are an error of the second, and the first goes on', async () => {
    const { registry, runs } = setUp();
    const first = returnToBaseline((run) => runs.set(run, {}), { registry });
    await expect(drainWithin(registry, '5m')).rejects.toMatchObject({
      ...oneAtATime,
      message: expect.stringMatching(/^drainWithin: returnToBaseline still runs on the same registry/),
    });
    await expect(returnToBaseline(() => {}, { registry })).rejects.toMatchObject(oneAtATime);
    expect(await first).toMatchObject({ held: true });
    expect(await drainWithin(registry, '5m')).toMatchObject({ drained: true });
  });

  it('are an error too where the second asks about a map of it, or takes no time', async () => {
    const { registry, runs } = setUp();
    const first = drainWithin(registry, '1h');
    await expect(drainWithin(runs, '5m')).rejects.toMatchObject(oneAtATime);
    for (const check of [assertDrained, assertEndedEveryRunOnce]) {
      expect(() => check(registry)).toThrow(/drainWithin still runs on the same registry/);
    }
    await first;
    assertDrained(registry);
  });

  it('are none where the first was given up, which ends soon', async () => {
    const { registry, runs } = setUp();
    let current: RunningCheck | undefined;
    const scenario = (run: number) => {
      runs.set(run, {});
      return new Promise(() => {});
    };
    const first = baselineWithFallback(
      'toReturnToBaseline',
      scenario,
      { registry },
      {
        fakeTimers: undefined,
        began: (begun) => {
          current = begun;
        },
      },
    );
    current?.abandon();
    const second = returnToBaseline((run) => runs.set(run, {}), { registry });
    await expect(drainWithin(registry, '5m')).rejects.toMatchObject({
      message: expect.stringMatching(/^drainWithin: returnToBaseline still runs/),
    });
    await expect(first).rejects.toMatchObject(oneAtATime);
    expect(await second).toMatchObject({ held: true });
    assertDrained(registry);
  });

  it('are none on two registries', async () => {
    const [one, other] = [setUp(), setUp()];
    const both = [drainWithin(one.registry, '5m'), drainWithin(other.registry, '5m')];
    expect(await Promise.all(both)).toMatchObject([{ drained: true }, { drained: true }]);
  });

  it('are none where one is part of the scenario of the other', async () => {
    const { registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      registry.end(run);
      assertEndedEveryRunOnce(registry);
      expect(await drainWithin(registry, '5m')).toMatchObject({ drained: true });
    };
    expect(await returnToBaseline(scenario, { registry, times: 5 })).toMatchObject({ held: true });
  });
});

describe('close() while a check runs that nobody waits for', () => {
  it('closes and rejects, and so does the check', async () => {
    const { registry, runs } = setUp();
    const check = returnToBaseline((run) => runs.set(run, {}), { registry });
    const outcome = expect(check).rejects.toMatchObject({
      ...oneAtATime,
      message: expect.stringMatching(/^returnToBaseline was not awaited: .* Write await before it;/),
    });
    await expect(registry.close()).rejects.toMatchObject(oneAtATime);
    await outcome;
    expect(Object.hasOwn(runs, 'set')).toBe(false);
    expect(Object.hasOwn(registry, 'close')).toBe(false);
  });

  it.each<[string, (set: ReturnType<typeof setUp>) => Promise<unknown>]>([
    ['returnToBaseline', ({ registry, runs }) => returnToBaseline((run) => runs.set(run, {}), { registry })],
    ['drainWithin', ({ registry }) => drainWithin(registry, '1h')],
    ['a scenario that fails then', ({ registry }) => returnToBaseline(failsLater, { registry })],
  ])('says so once, and the check is no unhandled rejection as well: %s', async (_name, begin) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    const set = setUp();
    const check = begin(set);
    await expect(set.registry.close()).rejects.toMatchObject(oneAtATime);
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    await expect(check).rejects.toThrow();
  });

  it('names the place where the check was begun', async () => {
    const { registry } = setUp();
    const check = drainWithin(registry, '1h').catch((error: Error) => error.stack);
    await registry.close().catch(() => {});
    expect(await check).toMatch(/running-check\.test\.ts:\d+/);
  });

  it('is as ever once the check is over', async () => {
    const { registry } = setUp();
    await drainWithin(registry, '1h');
    expect(await registry.close()).toEqual({ undelivered: 0, undisposed: 0 });
  });

  it('that the scenario itself calls leaves nothing to prove', async () => {
    const { registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      if (run === 20) await registry.close();
    };
    await expect(returnToBaseline(scenario, { registry })).rejects.toMatchObject({
      code: 'ERR_CLOSED',
      message: expect.stringContaining('the registry is closed and has given its maps back'),
    });
  });
});

describe('a closed registry', () => {
  it('can be asked nothing, since its maps are not its any more', async () => {
    const { registry, runs } = setUp();
    runs.set(1, {});
    await registry.close();
    const closed = expect.objectContaining({ code: 'ERR_CLOSED' });
    expect(() => assertDrained(registry)).toThrow('closed and has given its maps back');
    await expect(drainWithin(registry, '5m')).rejects.toEqual(closed);
    await expect(returnToBaseline(() => {}, { registry })).rejects.toEqual(closed);
  });
});
