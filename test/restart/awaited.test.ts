import type { Logger } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const persist = { encode: (run: Run) => run, decode: (json: unknown) => json as Run };

/** What a deploy changed: the values that are in the journal are none that it knows. */
const broken = {
  ...persist,
  decode: (): Run => {
    throw new Error('shape changed');
  },
};

const withContexts = (of: object, more: LifeOptions = {}): LifeOptions => ({
  ...more,
  maps: { runs: { persist }, contexts: { persist: of } },
});

/** A life that called the map of contexts by another name. */
const renamed: LifeOptions = {
  registry: { maps: { runs: { persist }, clients: { persist } } as never },
};

async function left(...keys: string[]): Promise<Life> {
  const life = machine.start(withContexts(persist));
  for (const key of keys) life.contexts.set(key, { text: key });
  await machine.clock.advance(0);
  return life;
}

const restart = (life: Life, options?: LifeOptions): Promise<Life> => machine.restart(life, options);
const reasons = ({ registry }: Life): readonly string[] => registry.health().reasons;
const awaitedLines = ({ registry }: Life): string[] =>
  String(registry.report())
    .split('\n')
    .filter((line) => line.includes('of an earlier life'));

/** A logger that keeps warnings. */
function warnings(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  return { logger: { info: () => {}, warn: (_, line) => lines.push(line), error: () => {} }, lines };
}

describe('entries of an earlier life that cannot come back', () => {
  it('have the time of those that are there still, once others that were awaited for longer are dropped', async () => {
    const kept = withContexts(true as never);
    const first = machine.start(kept);
    first.contexts.set('old', { text: 'old' });
    await machine.clock.advance(0);
    const second = await restart(first, kept);
    second.contexts.set('new', { text: 'new' });
    await machine.clock.advance(minutes(9));
    const third = await restart(second, renamed);
    expect(reasons(third)).toEqual([expect.stringMatching(/^2 entries .* dropped in [12]m /)]);
    await machine.clock.advance(minutes(3));
    expect(reasons(third)).toEqual([expect.stringMatching(/^1 entry .* dropped in [67]m /)]);
    third.registry.stop();
  });

  it('are a warning while decode fails for them, with its error and the time that is left', async () => {
    const next = await restart(await left('a', 'b', 'c'), withContexts(broken));
    expect(next.registry.health()).toEqual({
      status: 'warning',
      reasons: [
        "3 entries of 'contexts' of an earlier life awaited, dropped in 10m unless set again: decode fails: Error: shape changed",
      ],
    });
    await machine.clock.advance(90_000);
    next.contexts.set('a', {});
    next.contexts.set('b', {});
    expect(reasons(next)).toEqual([
      "1 entry of 'contexts' of an earlier life awaited, dropped in 9m unless set again: decode fails: Error: shape changed",
    ]);
    await machine.clock.advance(minutes(8.5));
    expect(next.registry.health()).toEqual({ status: 'ok', reasons: [] });
  });

  it('are a warning in a registry that has no map of their name, until it is adopted', async () => {
    const next = await restart(await left('a', 'b'), renamed);
    expect(reasons(next)).toEqual([
      "2 entries of 'contexts' of an earlier life awaited, dropped in 10m unless set again: there is no map of that name",
    ]);
    const late = new Map<string, Run>();
    next.registry.adopt('contexts', late, { persist: true });
    expect(next.registry.health().status).toBe('ok');
  });

  it('have the time that is left of their own map, over lives', async () => {
    const second = await restart(await left('a'), withContexts(broken));
    second.runs.set('run', {});
    await machine.clock.advance(minutes(4));
    const third = await restart(second, { maps: { runs: {}, contexts: { persist: broken } } });
    expect(awaitedLines(third)).toEqual([
      expect.stringMatching(/runs.*dropped in 10m unless set again$/),
      expect.stringMatching(/contexts.*dropped in 6m.*: decode fails/),
    ]);
  });

  it('are told of once for each map when they are dropped: how many, and why', async () => {
    const { logger, lines } = warnings();
    const first = await left('a', 'b', 'c');
    first.runs.set('x', { text: 'gone' }).set('y', {});
    const maps = { runs: { persist: { ...persist, decode: broken.decode } } } as never;
    const next = await restart(first, { registry: { maps, logger } });
    next.runs.set('y', {});
    lines.length = 0;
    await machine.clock.advance(minutes(10) - 1);
    expect(lines).toEqual([]);
    await machine.clock.advance(1);
    expect(lines.toSorted()).toEqual([
      "mapsweep: persist failed: MapsweepError: 1 entry of 'runs' of an earlier life dropped: decode fails: Error: shape changed",
      "mapsweep: persist failed: MapsweepError: 3 entries of 'contexts' of an earlier life dropped: there is no map of that name",
    ]);
    expect(next.told).toMatchObject([{ key: 'x', reason: 'lost' }]);
    await machine.clock.advance(minutes(30));
    expect(lines).toHaveLength(2);
  });

  it('come back when the deploy is rolled back within the window, however broken the life between', async () => {
    const first = await left('a', 'b');
    first.runs.set('x', { text: 'run' });
    let broke = first;
    // So many lives that the journal is written anew among them.
    for (let lives = 1; lives <= 10; lives += 1) {
      broke = await restart(broke, { maps: { runs: { persist: broken }, contexts: { persist: broken } } });
      expect([broke.contexts.size, broke.runs.size]).toEqual([0, 0]);
      await machine.clock.advance(30_000);
      await broke.registry.close();
    }
    const away = await restart(broke, renamed);
    expect(reasons(away)).toEqual([expect.stringContaining('dropped in 5m')]);
    await machine.clock.advance(minutes(4.5));
    await away.registry.close();
    const back = machine.start(withContexts(persist));
    expect([...back.contexts]).toEqual([
      ['a', { text: 'a' }],
      ['b', { text: 'b' }],
    ]);
    expect([...back.runs]).toEqual([['x', { text: 'run' }]]);
    expect(back.registry.health().status).toBe('ok');
    await machine.clock.advance(minutes(30));
    expect([back.contexts.size, back.told]).toEqual([2, []]);
  });
});

describe('entries of an earlier life that are not set again yet', () => {
  it('are no warning, and in the text of the report: how many, of which map, and until when', async () => {
    const first = await left();
    for (const key of ['a', 'b', 'c']) first.runs.set(key, {});
    // The time between two ticks of it counts too.
    const next = await restart(first, { registry: { sweepEvery: '1h' } });
    next.runs.set('a', {});
    expect(next.registry.health()).toEqual({ status: 'ok', reasons: [] });
    await machine.clock.advance(minutes(3.25));
    expect(awaitedLines(next)).toEqual([
      "2 entries of 'runs' of an earlier life awaited, dropped in 7m unless set again",
    ]);
    await machine.clock.advance(minutes(7));
    expect(awaitedLines(next)).toEqual([]);
    expect(next.told).toHaveLength(2);
  });

  it('are in neither while they are left to a later life, and nothing is dropped', async () => {
    const first = await left();
    first.runs.set('a', {});
    const observing = await restart(first, { registry: { mode: 'observe' } });
    expect([reasons(observing), awaitedLines(observing)]).toEqual([[], []]);
    await observing.registry.close();
    const next = machine.start({ maps: { runs: { persist: broken } } });
    expect(reasons(next)).toHaveLength(1);
    await next.registry.close();
    expect(reasons(next)).toEqual(['the registry is closed']);
  });
});
