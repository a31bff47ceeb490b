import type { Clock } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { slowClock } from '../time/slow-clock.js';
import { hours, type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

const restart = (life: Life, options?: LifeOptions): Promise<Life> => machine.restart(life, options);

/** A life that has left some runs open. */
async function left(...keys: unknown[]): Promise<Life> {
  const first = start();
  for (const key of keys) first.runs.set(key, {});
  await machine.clock.advance(0);
  return first;
}

describe('the restore window', () => {
  it('ends runs as lost that have not come back, at its end and once', async () => {
    const next = await restart(await left('a', 'b'));
    next.runs.set('b', {});
    await machine.clock.advance(minutes(10) - 1);
    expect(next.told).toEqual([]);
    await machine.clock.advance(1);
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
    const third = await restart(next);
    third.runs.set('b', {});
    await machine.clock.advance(minutes(30));
    expect(third.told).toEqual([]);
    expect(next.told).toHaveLength(1);
  });

  it('is counted over lives: not anew in each', async () => {
    let life = await left('a');
    for (let times = 1; times <= 4; times += 1) {
      life = await restart(life);
      await machine.clock.advance(minutes(2));
      expect(life.told).toEqual([]);
    }
    life = await restart(life);
    await machine.clock.advance(minutes(2) - 1);
    expect(life.told).toEqual([]);
    await machine.clock.advance(1);
    expect(life.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it.each(['close', 'detach'] as const)(
    'is counted over lives shorter than an interval that %s',
    async (leave) => {
      const every: LifeOptions = { registry: { sweepEvery: '1h' } };
      let life = await left('a');
      for (let times = 1; times <= 5; times += 1) {
        life = await restart(life, every);
        await machine.clock.advance(minutes(1.8));
        expect(life.told).toEqual([]);
        await life.registry[leave]();
      }
      life = await restart(life, every);
      await machine.clock.advance(minutes(1));
      expect(life.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
    },
  );

  it('is counted over lives that the journal was written anew in between', async () => {
    let life = await left('a');
    for (let times = 1; times <= 20; times += 1) {
      life = await restart(life, { registry: { restoreWindow: '21m' } });
      await machine.clock.advance(minutes(1));
      expect(life.told).toEqual([]);
    }
    life = await restart(life, { registry: { restoreWindow: '21m' } });
    // A minute that was counted when the journal was written anew may be counted for the second time.
    await machine.clock.advance(minutes(3));
    expect(life.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('begins anew for a run that was there in between', async () => {
    const second = await restart(await left('a', 'b'));
    await machine.clock.advance(minutes(7));
    second.runs.set('a', {});
    const third = await restart(second);
    await machine.clock.advance(minutes(3));
    expect(third.told).toMatchObject([{ key: 'b' }]);
    await machine.clock.advance(minutes(7) - 1);
    expect(third.told).toHaveLength(1);
    await machine.clock.advance(1);
    expect(third.told).toMatchObject([{ key: 'b' }, { key: 'a' }]);
  });

  it('stands still while nothing runs', async () => {
    const second = await restart(await left('a'));
    await machine.clock.advance(minutes(7));
    second.kill();
    await machine.clock.advance(hours(10));
    const third = start();
    await machine.clock.advance(minutes(3) - 1);
    expect(third.told).toEqual([]);
    await machine.clock.advance(1);
    expect(third.told).toHaveLength(1);
  });

  it('counts one interval of an hour in which the process was stopped', async () => {
    const first = await left('a');
    await machine.clock.advance(0);
    first.kill();
    let skew = 0;
    const base = machine.clock;
    const clock: Clock = { ...base, now: () => base.now() + skew, monotonic: () => base.monotonic() + skew };
    const next = start({ clock: () => clock });
    await base.advance(30_000);
    skew = hours(1);
    await base.advance(minutes(9));
    // 30 s, one interval for the hour, and nine minutes less what was left of that interval.
    expect(next.told).toEqual([]);
    await base.advance(minutes(1));
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('can be none at all: what is not there when the first timer fires is lost', async () => {
    const next = await restart(await left('a', 'b'), { registry: { restoreWindow: 0 } });
    next.runs.set('b', {});
    await machine.clock.advance(1);
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('forgets companions that have not come back, and does not tell of them', async () => {
    const first = await left('a');
    first.contexts.set('a', {});
    first.contexts.set('b', {});
    const next = await restart(first);
    next.runs.set('a', {});
    await machine.clock.advance(minutes(11));
    expect(next.ended).toEqual([]);
    next.contexts.set('b', {});
    expect(next.registry.stamps('contexts', 'b')?.registeredAt).toBe(machine.clock.now());
    const third = await restart(next);
    third.contexts.set('a', {});
    expect(third.registry.stamps('contexts', 'a')?.registeredAt).toBe(machine.clock.now());
  });

  describe('of the leader of a companion that has been idle for longer than orphanAfter', () => {
    const decoded = { encode: (run: Run) => run, decode: (run: unknown) => run };
    const orphanAfter = '30m';
    const idle = async (options: LifeOptions): Promise<Life> => {
      const first = start(options);
      first.runs.set('a', { text: 'run' });
      first.contexts.set('a', { text: 'context', id: 'a' });
      await machine.clock.advance(hours(5));
      return await restart(first, options);
    };
    const orphans = ({ registry }: Life) =>
      registry.report().maps.find(({ name }) => name === 'contexts')?.orphaned;

    it.each<[what: string, contexts: object]>([
      ['that decode brings back', { orphanAfter, persist: decoded }],
      [
        'that names its leader',
        { orphanAfter, persist: decoded, follows: { map: 'runs', key: ({ id }: Run) => id } },
      ],
      ['that is set before its leader', { orphanAfter }],
    ])('keeps one %s until its leader is back', async (_what, contexts) => {
      const next = await idle({ maps: { contexts } });
      if (next.contexts.size === 0) next.contexts.set('a', { text: 'context', id: 'a' });
      expect(next.registry.explain('contexts', 'a')).toMatchObject({
        state: 'live',
        why: expect.stringMatching(/^its leader, of an earlier life, is awaited in 'runs';/),
      });
      await machine.clock.advance(minutes(9));
      expect(orphans(next)).toBe(0);
      next.runs.set('a', { text: 'run' });
      await machine.clock.advance(minutes(5));
      expect(next.contexts.get('a')).toMatchObject({ text: 'context' });
      next.runs.delete('a');
      expect(next.contexts.size).toBe(0);
    });

    it('makes it an orphan at its end, if the leader is not back', async () => {
      const next = await idle({ maps: { contexts: { orphanAfter, persist: decoded } } });
      await machine.clock.advance(minutes(10) - 1);
      expect([next.contexts.size, orphans(next)]).toEqual([1, 0]);
      await machine.clock.advance(1);
      expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
      expect(orphans(next)).toBe(next.contexts.size);
      await machine.clock.advance(minutes(1));
      expect(next.contexts.size).toBe(0);
    });

    it('makes it an orphan at its end where nobody is told of ends, so that the leader is left to a later life', async () => {
      const next = await idle({ deliver: 'none', maps: { contexts: { orphanAfter, persist: decoded } } });
      await machine.clock.advance(minutes(10) - 1);
      expect([next.contexts.size, orphans(next)]).toEqual([1, 0]);
      await machine.clock.advance(1);
      expect(orphans(next)).toBe(next.contexts.size);
      await machine.clock.advance(minutes(1));
      expect([next.contexts.size, next.ended]).toEqual([0, []]);
      const third = await restart(next);
      await machine.clock.advance(minutes(10));
      expect(third.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
    });

    it('makes it an orphan where the leader is back under another key', async () => {
      const ended = { id: ({ text }: Run) => text };
      const next = await idle({ ended, maps: { contexts: { orphanAfter, persist: decoded } } });
      next.runs.set('b', { text: 'run' });
      expect(orphans(next)).toBe(1);
      await machine.clock.advance(minutes(1));
      expect(next.contexts.size).toBe(0);
    });

    it('is open from a restore on: what was an orphan is none', async () => {
      const { runs, contexts, registry } = start();
      runs.set('a', {});
      contexts.set('a', {});
      const next = new Machine().start({ maps: { contexts: { orphanAfter } } });
      next.contexts.set('a', {});
      expect(orphans(next)).toBe(1);
      next.registry.restore(registry.snapshot());
      expect(orphans(next)).toBe(0);
      next.kill();
    });
  });

  it('ends with stop(): what is awaited is for the next life', async () => {
    const second = await restart(await left('a'));
    await machine.clock.advance(minutes(5));
    second.registry.stop();
    await machine.clock.advance(hours(1));
    expect(second.ended).toEqual([]);
    const third = await restart(second);
    await machine.clock.advance(minutes(6));
    expect(third.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('ends with close(): what is awaited is for the next life', async () => {
    const second = await restart(await left('a'));
    await machine.clock.advance(minutes(5));
    await second.registry.close();
    const third = start();
    await machine.clock.advance(minutes(6));
    expect([...second.told, ...third.told]).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });
});

describe('at the end of the window over 100,000 runs', () => {
  it('loses them in slices, and each once, though the process dies in their midst', async () => {
    const count = 100_000;
    const first = start();
    for (let n = 0; n < count; n += 1) first.runs.set(n, {});
    await first.registry.flushed();
    first.kill();

    const slices: number[] = [];
    let before = 0;
    const clock = () =>
      slowClock(machine.clock, 0.001, () => {
        const { length } = dying.ended;
        if (length > before) slices.push(length - before);
        before = length;
        if (length > count / 2) dying.kill();
      });
    const dying: Life = start({ clock });
    await machine.clock.advance(minutes(10));
    expect(dying.ended.length).toBeGreaterThan(count / 2);
    expect(dying.ended.length).toBeLessThan(count);
    // Each takes three readings of a microsecond, and 5 ms are a slice.
    expect(Math.max(...slices)).toBeLessThan(5_000);
    expect(slices.length).toBeGreaterThan(10);

    const told = new Map<unknown, number>();
    const next = start({ deliver: ({ key }) => void told.set(key, (told.get(key) ?? 0) + 1) });
    await machine.clock.advance(minutes(20));
    await next.registry.flushed();
    const ofFirst = new Set(dying.told.map(({ key }) => key));
    let never = 0;
    for (let n = 0; n < count; n += 1) if (!told.has(n) && !ofFirst.has(n)) never += 1;
    expect(never).toBe(0);
    expect(Math.max(...told.values())).toBe(1);
  }, 120_000);
});

describe('a life that only observes', () => {
  const observes: LifeOptions = { registry: { mode: 'observe' } };

  it('leaves open what is open, and the next one has the whole window for it', async () => {
    const second = await restart(await left('a'), observes);
    await machine.clock.advance(minutes(30));
    expect([...second.ended, ...second.told]).toEqual([]);
    const third = await restart(second);
    await machine.clock.advance(minutes(10) - 1);
    expect(third.told).toEqual([]);
    await machine.clock.advance(1);
    expect(third.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('lets the owner end, delete and set as usual, over lives', async () => {
    const second = await restart(await left('a', 'b', 'c'), observes);
    second.runs.set('a', {}).set('b', {});
    second.registry.end('a');
    second.runs.delete('b');
    await machine.clock.advance(minutes(30));
    expect(second.told.map(({ key, reason }) => [key, reason])).toEqual([
      ['a', 'completed'],
      ['b', 'deleted'],
    ]);
    const third = await restart(second);
    await machine.clock.advance(minutes(11));
    expect(third.told).toMatchObject([{ key: 'c', reason: 'lost' }]);
  });

  it('hands on what was not delivered, and delivers none of it', async () => {
    const first = start({ ended: { attempts: 2 }, deliver: () => Promise.reject(new Error('down')) });
    first.runs.set('dead', {});
    first.registry.end('dead', { detail: { code: 7 } });
    await machine.clock.advance(minutes(5));
    first.runs.set('pending', {});
    first.registry.end('pending');
    let life = await restart(first, observes);
    for (let times = 0; times < 10; times += 1) {
      await machine.clock.advance(minutes(1));
      life = await restart(life, observes);
      expect(life.told).toEqual([]);
    }
    const last = await restart(life);
    await machine.clock.advance(minutes(1));
    expect(last.told).toMatchObject([{ key: 'pending' }]);
    expect(last.registry.deadLetters()).toMatchObject([
      { event: { key: 'dead', detail: { code: 7 } }, attempts: 2, cause: 'attempts-exhausted' },
    ]);
  });
});

describe('a life without deliver', () => {
  const silent: LifeOptions = { deliver: 'none' };

  it('leaves open what is open, and hands on what was not delivered', async () => {
    const first = start({ deliver: () => Promise.reject(new Error('down')) });
    first.runs.set('open', {});
    first.runs.set('pending', {});
    first.registry.end('pending');
    await machine.clock.advance(0);
    let life = await restart(first, silent);
    for (let times = 0; times < 10; times += 1) {
      await machine.clock.advance(minutes(11));
      life = await restart(life, silent);
    }
    const last = await restart(life);
    await machine.clock.advance(minutes(11));
    expect(last.told.map(({ key, reason }) => [key, reason])).toEqual([
      ['pending', 'completed'],
      ['open', 'lost'],
    ]);
  });

  it('owes nobody what ends in it: the bus was told', async () => {
    const first = start(silent);
    first.runs.set('a', {}).set('b', {}).set('c', {});
    first.registry.end('a');
    first.runs.delete('b');
    await machine.clock.advance(0);
    expect(first.ended).toHaveLength(2);
    const next = await restart(first);
    next.runs.set('a', {});
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'c', reason: 'lost' }]);
    expect(next.registry.end('a')).toBe('duplicate');
  });
});

describe('a life without ended', () => {
  it('leaves open what is open, and hands on what was not delivered', async () => {
    const first = start({ deliver: () => Promise.reject(new Error('down')) });
    first.runs.set('open', {}).set('pending', {}).set('gone', {});
    first.registry.end('pending');
    await machine.clock.advance(0);
    let life = await restart(first, { ended: false });
    for (let times = 0; times < 10; times += 1) {
      life.runs.set('open', {});
      await machine.clock.advance(minutes(11));
      life = await restart(life, { ended: false });
    }
    const last = await restart(life);
    last.runs.set('open', {});
    expect(last.registry.end('open')).toBe('claimed');
    await machine.clock.advance(minutes(11));
    expect(last.told.map(({ key, reason }) => [key, reason])).toEqual([
      ['pending', 'completed'],
      ['open', 'completed'],
      ['gone', 'lost'],
    ]);
  });

  it('takes over what is in the map, and keeps one of each', async () => {
    const persist = { encode: (run: unknown) => run, decode: (run: unknown) => run };
    const options: LifeOptions = { maps: { runs: { maxAge: '24h', persist } } };
    const first = start(options);
    first.runs.set('kept', { text: 'v1' }).set('over', {}).set('gone', {});
    first.registry.end('over');
    await machine.clock.advance(minutes(1));
    expect(first.told).toMatchObject([{ key: 'over' }]);
    const registeredAt = first.registry.stamps('runs', 'kept')?.registeredAt;
    let life = first;
    for (let times = 1; times <= 5; times += 1) {
      life = await restart(life, { ...options, ended: false });
      expect([...life.runs.keys()]).toEqual(times === 1 ? ['kept', 'over', 'gone'] : ['kept', 'over']);
      life.runs.delete('gone');
      await machine.clock.advance(minutes(11));
    }
    const last = await restart(life, options);
    expect([...last.runs.keys()]).toEqual(['kept', 'over']);
    expect(last.registry.stamps('runs', 'kept')?.registeredAt).toBe(registeredAt);
    expect(last.registry.end('over')).toBe('duplicate');
    await machine.clock.advance(minutes(30));
    expect(last.told).toEqual([]);
  });
});

describe('a life in which less is kept of a map than before', () => {
  const full = { maxAge: '24h', persist: { encode: (run: unknown) => run, decode: (run: unknown) => run } };

  it.each([
    ['nothing', { maxAge: '24h' }, []],
    ['the stamps', { maxAge: '24h', persist: true }, ['changed']],
  ])('(%s) leaves no value behind that was changed or deleted in it', async (_, less, awaited) => {
    const first = start({ ended: false, maps: { runs: full } });
    first.runs.set('deleted', { text: 'v1' }).set('changed', { text: 'v1' });
    await machine.clock.advance(minutes(1));
    const second = await restart(first, { ended: false, maps: { runs: less } });
    second.runs.set('deleted', { text: 'v1' }).set('changed', { text: 'v2' });
    second.runs.delete('deleted');
    await machine.clock.advance(minutes(1));
    const third = await restart(second, { ended: false, maps: { runs: full } });
    expect([...third.runs]).toEqual([]);
    third.runs.set('deleted', {}).set('changed', {});
    const older = ['deleted', 'changed'].filter(
      (key) => (third.registry.stamps('runs', key)?.registeredAt ?? 0) < machine.clock.now(),
    );
    expect(older).toEqual(awaited);
  });
});

describe('a life whose owner says for the first time which run is which', () => {
  it('goes on with the runs of before under the ids that they had', async () => {
    const first = start();
    first.runs.set('live', { id: 'job-1' }).set('over', { id: 'job-2' });
    first.registry.end('over');
    await machine.clock.advance(minutes(1));
    const id = first.told[0]?.id as string;
    let life = first;
    for (let times = 1; times <= 3; times += 1) {
      life = await restart(life, { ended: { id: (run: { id: string }) => run.id } });
      life.runs.set('live', { id: 'job-1' }).set('over', { id: 'job-2' });
      expect(life.registry.end('over')).toBe('duplicate');
      await machine.clock.advance(minutes(11));
      expect(life.told).toEqual([]);
    }
    life.registry.end('live');
    await machine.clock.advance(0);
    expect(life.told).toMatchObject([{ key: 'live', id: id.replace(/\d+$/, '1') }]);
  });
});
