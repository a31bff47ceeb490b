import { createRegistry } from 'mapsweep';
import { createManualClock, returnToBaseline } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import {
  type MatcherContext,
  type MatcherResult,
  type TestRunner,
  toBecomeCollectable,
  toDrainWithin,
  toReturnToBaseline,
} from '../../src/testing/matchers.js';

interface Context extends MatcherContext {
  readonly ends: ((isOutOfTime: boolean) => void)[];
}

// A runner whose tests end when told: what vitest does is tried in test/runners.
const runner: TestRunner<Context> = {
  fakeTimers: { inForce: () => undefined, hint: '' },
  atTestEnd: ({ ends }, call) => void ends.push(call),
};

const setUp = () => {
  const runs = new Map<number, object>();
  const registry = createRegistry({ maps: { runs: { adopt: runs } }, clock: createManualClock() });
  const context: Context = { ends: [], isNot: false };
  return { registry, runs, context };
};

const begin: Record<string, (set: ReturnType<typeof setUp>) => Promise<MatcherResult>> = {
  toDrainWithin: ({ context, runs }) => toDrainWithin(runner).call(context, runs, '5m'),
  toReturnToBaseline: ({ context, registry, runs }) =>
    toReturnToBaseline(runner).call(context, (run: number) => runs.set(run, {}), { registry }),
  toBecomeCollectable: ({ context }) => toBecomeCollectable(runner).call(context, new WeakRef({})),
};

describe.each(Object.keys(begin))('%s that is not awaited', (name) => {
  it('fails the test that is over before it is, and says nothing more', async () => {
    const set = setUp();
    const result = begin[name]!(set);
    expect(set.context.ends).toHaveLength(1);
    expect(() => set.context.ends[0]!(false)).toThrow(
      `${name} was not awaited: it still ran when its test was over or its registry was ended`,
    );
    // A rejection would be unhandled and be reported again.
    expect(await result).toMatchObject({ pass: true });
  });

  it('fails a test that runs out of time by saying so', async () => {
    const set = setUp();
    const result = begin[name]!(set);
    expect(() => set.context.ends[0]!(true)).toThrow(`${name} still ran when its test ran out of time`);
    expect(await result).toMatchObject({ pass: true });
  });

  it('says nothing at the end of a test that has awaited it', async () => {
    const set = setUp();
    await begin[name]!(set);
    set.context.ends[0]!(false);
  });
});

describe('a scenario that is not awaited', () => {
  it('runs no further once its test is over', async () => {
    const { registry, runs, context } = setUp();
    const scenario = async (run: number) => {
      await Promise.resolve();
      runs.set(run, {});
    };
    const result = toReturnToBaseline(runner).call(context, scenario, { registry });
    await Promise.resolve();
    expect(() => context.ends[0]!(false)).toThrow('was not awaited');
    await result;
    expect(runs.size).toBeLessThan(3);
  });

  it('is told once, by close() or by the end of the test, whichever comes first', async () => {
    const { registry, runs, context } = setUp();
    const result = toReturnToBaseline(runner).call(context, (run: number) => runs.set(run, {}), { registry });
    await expect(registry.close()).rejects.toThrow('toReturnToBaseline was not awaited');
    context.ends[0]!(false);
    expect(await result).toMatchObject({ pass: true });
  });

  it('ends with its test though a run never settles, and lets its registry be closed in peace', async () => {
    const { registry, context } = setUp();
    const result = toReturnToBaseline(runner).call(context, () => new Promise(() => {}), { registry });
    expect(() => context.ends[0]!(true)).toThrow('ran out of time');
    await registry.close();
    expect(await result).toMatchObject({ pass: true });
  });

  it('ends with its registry though a run never settles', async () => {
    const { registry } = setUp();
    const result = returnToBaseline(() => new Promise(() => {}), { registry });
    const rejects = expect(result).rejects.toThrow('returnToBaseline was not awaited');
    await expect(registry.close()).rejects.toThrow('if there is one, the check was not over in time');
    await registry.close();
    await rejects;
  });
});
