// Every test in here forgets an await, and has to fail.
import { createRegistry } from 'mapsweep';
import 'mapsweep/vitest';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it } from 'vitest';

const start = () => {
  const runs = new Map();
  const registry = createRegistry({ maps: { runs: { adopt: runs } }, clock: createManualClock() });
  return { registry, runs };
};

it('of toReturnToBaseline, on a leak', () => {
  const { registry, runs } = start();
  void expect((run) => runs.set(run, {})).toReturnToBaseline({ registry });
});

it('of toReturnToBaseline, on none', () => {
  const { registry, runs } = start();
  void expect((run) => runs.delete(run)).toReturnToBaseline({ registry });
});

it('of toDrainWithin', async () => {
  const { runs } = start();
  void expect(runs).toDrainWithin('24h');
  await Promise.resolve();
});

it('of toBecomeCollectable', () => {
  void expect(new WeakRef({})).toBecomeCollectable();
});

it('of a soft one', () => {
  const { registry, runs } = start();
  void expect.soft((run) => runs.set(run, {})).toReturnToBaseline({ registry });
});

it('of one under .not', () => {
  const { registry, runs } = start();
  void expect((run) => runs.set(run, {})).not.toReturnToBaseline({ registry });
});

describe.concurrent('at once with others, by the expect of its own context', () => {
  it.for([1, 2])('%i', (_number, context) => {
    const { registry, runs } = start();
    void context.expect((run) => runs.set(run, {})).toReturnToBaseline({ registry });
  });
});

describe('with the usual afterEach', () => {
  let registry;
  afterEach(() => registry.close({ deadline: 0 }));

  it('that closes the registry, on a leak', () => {
    const started = start();
    registry = started.registry;
    const scenario = async (run) => {
      await new Promise((resolve) => setImmediate(resolve));
      started.runs.set(run, {});
    };
    void expect(scenario).toReturnToBaseline({ registry });
  });
});
