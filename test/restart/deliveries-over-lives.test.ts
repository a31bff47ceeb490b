import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { type Life, type LifeOptions, Machine, minutes } from './lives.js';
import { LoggedJournal } from './logged-journal.js';
import { MemoryVolume } from './memory-journal.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

const restart = (life: Life, options?: LifeOptions): Promise<Life> => machine.restart(life, options);

const down: LifeOptions['deliver'] = () => Promise.reject(new Error('the recipient is down'));
const silence: LifeOptions['deliver'] = () => new Promise(() => {});

/** A delivery that is under way until it is told to succeed. */
function slowDelivery(): { deliver: () => Promise<void>; succeed: () => void } {
  let succeed = (): void => {};
  const deliver = () =>
    new Promise<void>((resolve) => {
      succeed = resolve;
    });
  return { deliver, succeed: () => succeed() };
}

/** Has the journal written anew, as it is now and then. */
async function checkpoint(life: Life): Promise<void> {
  internalsOf(life.registry)?.restart.recorder?.writer.checkpoint();
  await machine.clock.advance(0);
}

describe.each([
  ['as it was written', async () => {}],
  ['written anew', checkpoint],
] as const)('over a kill -9, with a journal %s,', (_how, prepare) => {
  it('a delivery goes on with the attempts that it has had', async () => {
    const first = start({ ended: { minDelay: 1_000, maxDelay: 1_000 }, deliver: down });
    first.runs.set('a', {});
    first.registry.end('a', { reason: 'error', detail: { code: 7 } });
    await machine.clock.advance(1_500);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(0);
    expect(next.told).toMatchObject([{ key: 'a', reason: 'error', detail: { code: 7 } }]);
    expect(next.told[0]?.attempt).toBeGreaterThanOrEqual(3);
    expect(next.told[0]?.attempt).toBeLessThanOrEqual(4);
  });

  it('one that was delivered is not delivered again', async () => {
    const first = start();
    first.runs.set('a', {}).set('b', {});
    first.registry.end('a');
    first.runs.delete('b');
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(minutes(30));
    expect(next.told).toEqual([]);
  });

  it('one that was under way is delivered once more, with the same id', async () => {
    const ids: string[] = [];
    const first = start({
      deliver: ({ id }) => {
        ids.push(id);
        return new Promise(() => {});
      },
    });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(0);
    expect(next.told.map(({ id }) => id)).toEqual(ids);
  });

  it('a dead letter is still one, with its error, and can be tried again', async () => {
    const first = start({ ended: { attempts: 2, minDelay: 1 }, deliver: down });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(minutes(5));
    await prepare(first);
    const [before] = first.registry.deadLetters();
    const next = await restart(first);
    await machine.clock.advance(minutes(5));
    expect(next.told).toEqual([]);
    const [letter] = next.registry.deadLetters();
    expect(letter).toMatchObject({
      id: before?.id,
      at: before?.at,
      attempts: 2,
      ambiguous: false,
      cause: 'attempts-exhausted',
    });
    expect(String(letter?.error)).toContain('the recipient is down');
    expect(next.registry.redeliver(letter?.id as string)).toBe(true);
    await machine.clock.advance(0);
    expect(next.told).toMatchObject([{ key: 'a', attempt: 1 }]);
    const third = await restart(next);
    await machine.clock.advance(minutes(5));
    expect([third.told, third.registry.deadLetters()]).toEqual([[], []]);
  });

  it('one that was tried again is pending, not dead', async () => {
    const first = start({ ended: { attempts: 1 }, deliver: down });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(0);
    const [letter] = first.registry.deadLetters();
    let life = await restart(first, { ended: { attempts: 5, minDelay: '10m' }, deliver: down });
    life.registry.redeliver(letter?.id as string);
    await machine.clock.advance(0);
    await prepare(life);
    life = await restart(life);
    await machine.clock.advance(0);
    expect(life.told).toMatchObject([{ key: 'a', attempt: 2, id: letter?.id }]);
    expect(life.registry.deadLetters()).toEqual([]);
  });

  it('one that timed out is an ambiguous dead letter', async () => {
    const first = start({ deliver: silence });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(10_000);
    await prepare(first);
    const next = await restart(first);
    expect(next.registry.deadLetters()).toMatchObject([{ ambiguous: true, cause: 'timed-out', attempts: 1 }]);
    await machine.clock.advance(minutes(5));
    expect(next.told).toEqual([]);
  });

  it('one that timed out and failed after all is not ambiguous any more', async () => {
    let failNow: (() => void) | undefined;
    const first = start({
      deliver: () =>
        new Promise((_resolve, reject) => {
          failNow = () => reject(new Error('late'));
        }),
    });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(10_000);
    failNow?.();
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    expect(next.registry.deadLetters()).toMatchObject([{ ambiguous: false }]);
    expect(String(next.registry.deadLetters()[0]?.error)).toContain('late');
  });

  it('one that timed out and failed after all is as old a dead letter as it was', async () => {
    let failNow: (() => void) | undefined;
    const first = start({
      ended: { attempts: 1 },
      deliver: ({ key }) =>
        new Promise((_resolve, reject) => {
          if (key === 'a') failNow = () => reject(new Error('late'));
          else reject(new Error('at once'));
        }),
    });
    for (const key of ['a', 'b']) first.runs.set(key, {});
    first.registry.end('a');
    await machine.clock.advance(10_000);
    first.registry.end('b');
    await machine.clock.advance(0);
    failNow?.();
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    const keys = (life: Life) => life.registry.deadLetters().map(({ event }) => event.key);
    expect([keys(first), keys(next)]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  it('one that succeeds after all, while close() waits for the disk, is delivered', async () => {
    const { deliver, succeed } = slowDelivery();
    const first = start({ deliver });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(0);
    const closed = first.registry.close({ deadline: '20s' });
    const { volume } = machine;
    let writeNow: (() => void) | undefined;
    volume.beforeWrite = () =>
      new Promise((resolve) => {
        writeNow = resolve;
      });
    await machine.clock.advance(10_000);
    succeed();
    await machine.clock.advance(0);
    volume.beforeWrite = () => {};
    writeNow?.();
    expect(await closed).toEqual({ undelivered: 0, undisposed: 0 });
    const next = await restart(first);
    await machine.clock.advance(minutes(5));
    expect([next.told, next.registry.deadLetters()]).toEqual([[], []]);
  });

  it('one that timed out and succeeded after all is done', async () => {
    const { deliver, succeed } = slowDelivery();
    const first = start({ deliver });
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(10_000);
    succeed();
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(minutes(5));
    expect([next.told, next.registry.deadLetters()]).toEqual([[], []]);
  });

  it('what was more than maxPending is a dead letter', async () => {
    const first = start({ ended: { maxPending: 1 }, deliver: silence });
    first.runs.set('a', {}).set('b', {});
    first.runs.clear();
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(0);
    expect(next.told).toMatchObject([{ key: 'a' }]);
    expect(next.registry.deadLetters()).toMatchObject([
      { event: { key: 'b' }, cause: 'overflow', attempts: 0, ambiguous: false },
    ]);
  });

  it('a dead letter that was dropped for another one is gone', async () => {
    const options: LifeOptions = { ended: { attempts: 1, maxDeadLetters: 2 }, deliver: down };
    const first = start(options);
    for (const key of ['a', 'b', 'c']) first.runs.set(key, {});
    first.runs.clear();
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first, options);
    expect(next.registry.deadLetters().map(({ event }) => event.key)).toEqual(['b', 'c']);
    // And a life that keeps fewer drops the oldest.
    const third = await restart(next, { ended: { maxDeadLetters: 1 } });
    expect(third.registry.deadLetters().map(({ event }) => event.key)).toEqual(['c']);
    await prepare(third);
    const fourth = await restart(third);
    expect(fourth.registry.deadLetters().map(({ event }) => event.key)).toEqual(['c']);
  });

  it('10,000 endings are delivered in their order, each once', async () => {
    const first = start({ ended: { concurrency: 1 }, deliver: silence });
    for (let n = 0; n < 10_000; n += 1) {
      first.runs.set(n, {});
      first.registry.end(n);
      first.runs.delete(n);
    }
    await machine.clock.advance(0);
    await prepare(first);
    const next = await restart(first);
    await machine.clock.advance(1_000);
    expect(next.told.map(({ key }) => key)).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
  });
});

describe('in a crash loop', () => {
  it('an ending is delivered at most once more per crash, always with its id, until that was written', async () => {
    const seen: string[] = [];
    let life = start({
      deliver: ({ id }) => {
        seen.push(id);
        return new Promise(() => {});
      },
    });
    life.runs.set('a', {});
    life.registry.end('a');
    for (let crash = 0; crash < 12; crash += 1) {
      life = await restart(life, {
        deliver: ({ id }) => {
          seen.push(id);
          return new Promise(() => {});
        },
      });
      await machine.clock.advance(10);
    }
    expect(seen.length).toBeLessThanOrEqual(13);
    expect(new Set(seen).size).toBe(1);
    const last = await restart(life);
    await machine.clock.advance(0);
    expect(last.told).toMatchObject([{ id: seen[0] }]);
  });

  it('an entry that had been refused by its owner is still open', async () => {
    class Keeper extends Map {
      override delete(): boolean {
        return false;
      }
    }
    const first = start({ maps: { runs: { adopt: new Keeper(), maxIdle: 1_000 } } });
    first.runs.set('a', {});
    await machine.clock.advance(minutes(3));
    expect(first.ended).toEqual([]);
    const next = await restart(first);
    next.runs.set('a', {});
    expect(next.registry.end('a')).toBe('claimed');
  });
});

describe('an ending whose attempts no life survives', () => {
  const hangs = { ended: { attempts: 3 }, deliver: () => new Promise<void>(() => {}) };

  it('counts those of killed lives from the second one on', async () => {
    let life = start(hangs);
    life.runs.set('a', {});
    life.registry.end('a');
    for (let attempt = 0; attempt <= 3; attempt += 1) {
      expect(life.registry.deadLetters()).toEqual([]);
      await machine.clock.advance(1_000);
      life = await restart(life, hangs);
    }
    expect(life.registry.deadLetters()).toMatchObject([{ attempts: 3, ambiguous: true }]);
  });
});

it('dead letters stand in the order of their deaths, though a checkpoint that was broken off has written an old one again', async () => {
  const first = start({ ended: { attempts: 1 }, deliver: down });
  for (const key of ['a', 'b']) {
    first.runs.set(key, {});
    first.registry.end(key);
    await machine.clock.advance(1_000);
  }
  const { records } = machine.volume;
  const ofA = records.filter((record) => record.includes(first.registry.deadLetters()[0]?.id as string));
  expect(ofA.length).toBeGreaterThan(0);
  first.kill();
  const options = { ended: { maxDeadLetters: 1 }, journal: new LoggedJournal([...records, ...ofA]) };
  const next = start(options);
  expect(next.registry.deadLetters().map(({ event }) => event.key)).toEqual(['b']);
});

it.each([
  ['as it was written', async () => {}],
  ['written anew', checkpoint],
] as const)(
  'a later run of an id whose ending is a dead letter is told, with a journal %s',
  async (_how, prepare) => {
    const ended = { id: () => 'run', attempts: 1, tombstones: { ttl: '1m' } };
    const first = start({ ended, deliver: down });
    first.runs.set('a', {});
    first.runs.delete('a');
    await machine.clock.advance(minutes(60));
    expect(first.registry.deadLetters()).toHaveLength(1);
    const next = await restart(first, { ended, deliver: silence });
    next.runs.set('b', {});
    expect(next.registry.end('b', { reason: 'later' })).toBe('claimed');
    await machine.clock.advance(0);
    await prepare(next);
    const third = await restart(next, { ended: { ...ended, attempts: 2 } });
    await machine.clock.advance(0);
    expect(third.registry.deadLetters()).toEqual([]);
    expect(third.told).toMatchObject([{ id: 'run', key: 'b', reason: 'later' }]);
  },
);

it('a later run of an id whose ending is a dead letter is told, wherever the records end behind its claim', async () => {
  const ended = { id: () => 'run', attempts: 1, tombstones: { ttl: '1m' } };
  const first = start({ ended, deliver: down });
  first.runs.set('a', {});
  first.runs.delete('a');
  await machine.clock.advance(minutes(60));
  const next = await restart(first, { ended, deliver: silence });
  next.runs.set('b', {});
  await machine.clock.advance(0);
  const before = machine.volume.records.length;
  next.registry.end('b', { reason: 'later' });
  await machine.clock.advance(0);
  next.kill();
  const { records } = machine.volume;
  expect(records.length).toBeGreaterThan(before);
  for (let count = before + 1; count <= records.length; count += 1) {
    machine.volume = new MemoryVolume(records.slice(0, count));
    const last = start({ ended });
    await machine.clock.advance(0);
    expect(last.registry.deadLetters()).toEqual([]);
    expect(last.told).toMatchObject([{ id: 'run', reason: 'later' }]);
    last.kill();
  }
});

it('nothing of the owner’s is called in the midst of a removal, though the ending takes the place of a dead letter', async () => {
  const ended = { id: (run: { id?: unknown }) => run.id, attempts: 1, tombstones: { ttl: '1m' } };
  let isClearing = false;
  const encoded: unknown[] = [];
  const encode = (run: object) => {
    if (isClearing) encoded.push(run);
    return run;
  };
  const life = start({ ended, deliver: down, maps: { runs: { persist: { encode } } } });
  life.runs.set('a', { id: 'run' });
  life.runs.delete('a');
  await machine.clock.advance(minutes(60));
  expect(life.registry.deadLetters()).toHaveLength(1);
  life.runs.set('a', { id: 'run' }).set('b', { id: 'other' });
  await machine.clock.advance(0);
  isClearing = true;
  life.runs.clear();
  expect(encoded).toEqual([]);
  isClearing = false;
  await machine.clock.advance(minutes(60));
});
