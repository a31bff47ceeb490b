import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { describe, expect, it } from 'vitest';

const setUp = (adopt?: Map<string, { announced?: boolean }>) => {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, { announced?: boolean }> }>({
    maps: { runs: { ttl: '5m', adopt } },
    ended: { map: 'runs', deliver: () => {}, settled: (run) => run.announced === true },
    clock,
  });
  return { clock, registry, runs: registry.maps.runs };
};

describe('expect(registry).toHaveEndedEveryRunOnce()', () => {
  it('takes a registry whose runs have all ended, each in its own way', async () => {
    const { clock, registry, runs } = setUp();
    for (const key of ['ended', 'deleted', 'swept', 'again']) runs.set(key, {});
    registry.end('ended');
    runs.delete('deleted');
    runs.delete('again');
    runs.set('again', {});
    await clock.advance(6 * 60_000);
    expect(registry).toHaveEndedEveryRunOnce();
  });

  it('names the runs that have not, with their counts', async () => {
    const { clock, registry, runs } = setUp();
    for (let run = 0; run < 10; run += 1) runs.set(`run-${run}`, {});
    for (let run = 0; run < 3; run += 1) registry.end(`run-${run}`);
    await clock.advance(0);
    const message = (() => {
      try {
        expect(registry).toHaveEndedEveryRunOnce();
      } catch (error) {
        return (error as Error).message;
      }
      return 'passed';
    })();
    expect(message.split('\n')[0]).toBe(
      'expected every run to have ended exactly once, but 7 of 10 have not:',
    );
    expect(message.split('\n')[1]).toBe(
      "  'run-3' (registration 4): 0 announcements, 0 deliveries; it has not ended: due by ttl in 5m; age 0ms, idle 0ms",
    );
    expect(message.split('\n').slice(6)).toEqual(['  and 2 more']);
  });

  it('leaves out runs that were announced before, and those that go on under another key', async () => {
    const { clock, registry, runs } = setUp(new Map([['old', { announced: true }]]));
    runs.set('run-1', {});
    runs.set('run-1, restarted', {});
    registry.transfer('run-1', 'run-1, restarted');
    runs.delete('run-1');
    registry.end('run-1, restarted');
    await clock.advance(0);
    expect(registry).toHaveEndedEveryRunOnce();
  });

  it('fails for a restored run until it has come back and ended, or is lost', async () => {
    const before = setUp();
    before.runs.set('run-1', {});
    const { clock, registry } = setUp();
    registry.restore(before.registry.snapshot());
    expect(() => expect(registry).toHaveEndedEveryRunOnce()).toThrow('it has not come back after a restart');
    await clock.advance(11 * 60_000);
    expect(registry).toHaveEndedEveryRunOnce();
  });

  it('fails where no run was registered, since that proves nothing', () => {
    const { registry } = setUp();
    expect(() => expect(registry).toHaveEndedEveryRunOnce()).toThrow(
      "expected every run to have ended exactly once, but no run was ever registered in 'runs': the check would prove nothing",
    );
  });

  it('refuses a wrong receiver', () => {
    expect(() => expect('registry').toHaveEndedEveryRunOnce()).toThrow(
      'toHaveEndedEveryRunOnce takes a registry; received "registry"',
    );
    expect(() =>
      expect(createRegistry({ clock: createManualClock() })).not.toHaveEndedEveryRunOnce(),
    ).toThrow('this registry announces no endings');
  });

  it('says under .not that all have', async () => {
    const { clock, registry, runs } = setUp();
    runs.set('run-1', {});
    runs.delete('run-1');
    await clock.advance(0);
    expect(() => expect(registry).not.toHaveEndedEveryRunOnce()).toThrow(
      'expected some run not to have ended exactly once, but all of them have',
    );
  });
});
