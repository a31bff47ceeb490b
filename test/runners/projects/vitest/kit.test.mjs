import { createRegistry } from 'mapsweep';
import 'mapsweep/vitest';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.useRealTimers();
});

const start = (options = {}) => {
  const clock = createManualClock();
  const registry = createRegistry({
    maps: { runs: { ttl: '5m' }, contexts: {} },
    ended: { map: 'runs', deliver: () => {} },
    clock,
    ...options,
  });
  return { clock, registry, ...registry.maps };
};

describe('the kit', () => {
  it('holds for what leaves', async () => {
    const { registry, runs } = start();
    await expect((run) => runs.set(run, {})).toReturnToBaseline({ registry, nets: 'fail' });
    expect(registry).toBeDrained();
    expect(registry).toHaveEndedEveryRunOnce();
    expect(registry).toHaveEndedExactlyOnce(3);
  });

  it('finds what stays', async () => {
    const { registry, contexts } = start();
    const check = expect((run) => contexts.set(run, {})).toReturnToBaseline({ registry });
    await expect(check).rejects.toThrow(
      /contexts: 10 -> 110 entries, \+1 per run\n[\s\S]*registered at .*kit\.test\.mjs/,
    );
    await expect((run) => contexts.set(`${run}`, {})).not.toReturnToBaseline({ registry, times: 5 });
  });

  it('advances fake timers', async () => {
    vi.useFakeTimers();
    const { registry, runs } = start({ clock: undefined });
    runs.set('run', {});
    await expect(registry).not.toDrainWithin('4m');
    await expect(registry).toDrainWithin('1m');
    registry.stop();
  });

  it('sees that nothing holds a value', async () => {
    const held = { is: 'held' };
    await expect(new WeakRef({})).toBecomeCollectable();
    await expect(new WeakRef(held)).not.toBecomeCollectable();
    expect(held.is).toBe('held');
  });

  it('is awaited in many ways, none of which is forgotten', async () => {
    const one = start();
    const other = start();
    await Promise.all([
      expect(one.registry).toDrainWithin('1h'),
      expect((run) => other.runs.set(run, {})).toReturnToBaseline({ registry: other.registry }),
    ]);
    await expect.soft(one.registry).toDrainWithin('1h');
    return expect(other.registry).toDrainWithin('1h');
  });
});

describe.concurrent('tests that run at once', () => {
  it.for([1, 2, 3])('each check its own registry: %i', async (_number, context) => {
    const { registry, runs } = start();
    await context.expect((run) => runs.set(run, {})).toReturnToBaseline({ registry, times: 20 });
  });
});
