import type { EndedEvent } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.js';
import { internalsOf } from '../../src/registry/internals.js';
import { hours, type Life, type LifeOptions, Machine, minutes } from './lives.js';

let machine: Machine;
/** Who was told of what, over all lives: recipient, key, id. */
let heard: [string, unknown, string][];

beforeEach(() => {
  machine = new Machine();
  heard = [];
});

afterEach(() => machine.powerOff());

const says = (name: string) => (event: EndedEvent) => void heard.push([name, event.key, event.id]);
const down = () => Promise.reject(new Error('down'));
const silent = () => new Promise<never>(() => {});

/** A life with these recipients. */
const toldTo = (deliver: object, ended: object = {}): LifeOptions => ({
  ended: { deliver, minDelay: 1_000, maxDelay: 1_000, ...ended },
});

/** Has the journal written anew, as it is now and then. */
async function checkpoint(life: Life): Promise<void> {
  internalsOf(life.registry)?.restart.recorder?.writer.checkpoint();
  await machine.clock.advance(0);
}

function endRun(life: Life, key: unknown): void {
  life.runs.set(key, {});
  life.registry.end(key);
}

const keysHeard = () => heard.map(([name, key]) => `${name} ${key}`);

describe.each([
  ['as it was written', async () => {}],
  ['written anew', checkpoint],
] as const)('several recipients over a kill -9, with a journal %s:', (_how, prepare) => {
  it('one that has been told is not told again, and the other one is, under the same id', async () => {
    const first = machine.start(toldTo({ audit: says('audit'), queue: silent }));
    endRun(first, 'a');
    await machine.clock.advance(0);
    await prepare(first);
    const next = await machine.restart(first, toldTo({ audit: says('audit'), queue: says('queue') }));
    await machine.clock.advance(minutes(5));
    expect(keysHeard()).toEqual(['audit a', 'queue a']);
    expect(heard[0]?.[2]).toBe(heard[1]?.[2]);
    const third = await machine.restart(next, toldTo({ audit: says('audit'), queue: says('queue') }));
    await machine.clock.advance(minutes(5));
    expect([heard.length, third.registry.report().endings?.pending]).toEqual([2, 0]);
  });

  it('what is open for one that is gone stays open, is said once, and is told when it is back', async () => {
    const first = machine.start(toldTo({ audit: says('audit'), queue: down }));
    for (const key of ['a', 'b']) endRun(first, key);
    await machine.clock.advance(500);
    await prepare(first);
    const without = await machine.restart(first, toldTo({ audit: says('audit') }));
    await machine.clock.advance(0);
    expect(without.failures).toEqual(['runs deliver']);
    endRun(without, 'c');
    await machine.clock.advance(minutes(5));
    await prepare(without);
    expect([keysHeard(), without.failures.length]).toEqual([['audit a', 'audit b', 'audit c'], 1]);
    const back = await machine.restart(without, toldTo({ audit: says('audit'), queue: says('queue') }));
    await machine.clock.advance(minutes(5));
    expect(keysHeard().slice(3)).toEqual(['queue a', 'queue b']);
    expect(back.failures).toEqual([]);
  });

  it('one that is owed the later of two runs of an id hears of that, whichever another one is owed', async () => {
    const reasons: string[] = [];
    const hears = ({ reason }: EndedEvent): void => void reasons.push(reason);
    const options = (audit: unknown, queue: unknown): LifeOptions =>
      toldTo({ audit, queue }, { id: ({ id }: { id: string }) => id, tombstones: { ttl: '1m' } });
    const downSince = (event: EndedEvent) => (reasons.includes('first') ? down() : hears(event));
    const life = machine.start(options(downSince, down));
    for (const [key, reason] of [
      ['a', 'first'],
      ['b', 'second'],
    ] as const) {
      life.runs.set(key, { id: 'run' });
      life.registry.end(key, { reason });
      life.runs.delete(key);
      await machine.clock.advance(minutes(2));
    }
    expect(reasons).toEqual(['first']);
    await prepare(life);
    await machine.restart(
      life,
      options(hears, () => {}),
    );
    await machine.clock.advance(minutes(5));
    expect(reasons).toEqual(['first', 'second']);
  });

  it('one that is new hears of the endings from then on', async () => {
    const first = machine.start(toldTo({ audit: down }));
    endRun(first, 'a');
    first.runs.set('b', {});
    await machine.clock.advance(0);
    await prepare(first);
    const next = await machine.restart(first, toldTo({ audit: says('audit'), queue: says('queue') }));
    next.runs.set('b', {});
    next.registry.end('b');
    await machine.clock.advance(minutes(5));
    expect(keysHeard().sort()).toEqual(['audit a', 'audit b', 'queue b']);
  });

  it('a function is the recipient default, by whatever way that is written', async () => {
    const first = machine.start({ deliver: down });
    endRun(first, 'a');
    await machine.clock.advance(0);
    await prepare(first);
    const next = await machine.restart(first, toldTo({ default: says('default'), other: says('other') }));
    await machine.clock.advance(0);
    expect([keysHeard(), next.failures]).toEqual([['default a'], []]);
  });

  it('a dead letter is that of one recipient, and is tried again for that one alone', async () => {
    const first = machine.start(toldTo({ audit: says('audit'), queue: down }, { attempts: 1 }));
    endRun(first, 'a');
    await machine.clock.advance(0);
    await prepare(first);
    const next = await machine.restart(
      first,
      toldTo({ audit: says('audit'), queue: silent }, { attempts: 1 }),
    );
    await machine.clock.advance(0);
    const [letter] = next.registry.deadLetters();
    expect([next.registry.deadLetters().length, letter]).toMatchObject([
      1,
      { recipient: 'queue', attempts: 1 },
    ]);
    expect(next.registry.redeliver(letter?.id as string)).toBe(true);
    await machine.clock.advance(0);
    await prepare(next);
    const third = await machine.restart(next, toldTo({ audit: says('audit'), queue: says('queue') }));
    await machine.clock.advance(minutes(5));
    expect([keysHeard(), third.registry.deadLetters()]).toEqual([['audit a', 'queue a'], []]);
  });

  it('a dead letter whose late attempt failed, and one that was dropped, are those of their recipients', async () => {
    let fail = (_error: Error): void => {};
    const late = () => new Promise((_resolve, reject) => (fail = reject));
    const ended = { attempts: 1, attemptTimeout: 1_000, maxDeadLetters: 1 };
    const first = machine.start(toldTo({ audit: down, queue: late }, ended));
    endRun(first, 'a');
    await machine.clock.advance(1_000);
    await prepare(first);
    fail(new Error('in the end'));
    await machine.clock.advance(1);
    endRun(first, 'b');
    await machine.clock.advance(0);
    const letters = ({ registry }: Life) =>
      registry.deadLetters().map(({ recipient, ambiguous, event }) => [recipient, event.key, ambiguous]);
    expect(letters(first)).toEqual([
      ['queue', 'a', false],
      ['audit', 'b', false],
    ]);
    const next = await machine.restart(first, toldTo({ audit: silent, queue: silent }, ended));
    // The delivery of b to the queue was under way.
    expect(letters(next)).toEqual([
      ['queue', 'a', false],
      ['audit', 'b', false],
    ]);
  });
});

describe.each([
  ['as it was written', async () => {}],
  ['written anew', checkpoint],
] as const)('giveUpAfter, with a journal %s,', (_how, prepare) => {
  it('counts the running time of all lives, and not what lies between them, whatever the wall clock does', async () => {
    const options = toldTo(down, { giveUpAfter: '1h' });
    const first = machine.start(options);
    endRun(first, 'a');
    await machine.clock.advance(minutes(30));
    await prepare(first);
    first.kill();
    machine.clock.jumpWall(hours(48));
    machine.reboot();
    await machine.clock.advance(hours(5));
    const second = machine.start(options);
    await machine.clock.advance(minutes(15));
    await prepare(second);
    const third = await machine.restart(second, options);
    await machine.clock.advance(minutes(12));
    expect([third.registry.deadLetters().length, third.registry.report().endings?.pending]).toEqual([0, 1]);
    await machine.clock.advance(minutes(5));
    expect(third.registry.deadLetters()).toMatchObject([{ cause: 'given-up', ambiguous: false }]);
    expect(third.registry.report().endings?.pending).toBe(0);
  });

  it('lets each life try once first', async () => {
    const first = machine.start(toldTo(down, { giveUpAfter: '2h' }));
    endRun(first, 'a');
    endRun(first, 'b');
    await machine.clock.advance(hours(1));
    await prepare(first);
    const tried: unknown[] = [];
    const next = await machine.restart(
      first,
      toldTo(
        ({ key }: EndedEvent) => {
          tried.push(key);
          if (key === 'a') throw new Error('down');
        },
        { giveUpAfter: '10m' },
      ),
    );
    await machine.clock.advance(0);
    expect([tried, next.registry.deadLetters()]).toMatchObject([
      ['a', 'b'],
      [{ cause: 'given-up', event: { key: 'a' } }],
    ]);
    await machine.clock.advance(minutes(5));
    expect(tried).toEqual(['a', 'b']);
  });
});

describe.each([
  ['as it was written', async () => {}],
  ['written anew', checkpoint],
] as const)('deadLetterTtl, with a journal %s,', (_how, prepare) => {
  it('goes on over lives and the time between them, whatever the wall clock does', async () => {
    const options = { ...toldTo(down, { attempts: 1 }), registry: { sweepEvery: '1h' } } as const;
    const first = machine.start(options);
    endRun(first, 'a');
    await machine.clock.advance(hours(24));
    machine.clock.jumpWall(-hours(100));
    await machine.clock.advance(hours(24));
    await prepare(first);
    const [before] = first.registry.deadLetters();
    first.kill();
    await machine.clock.advance(hours(48));
    const second = machine.start(options);
    await machine.clock.advance(hours(24));
    await prepare(second);
    const third = await machine.restart(second, options);
    await machine.clock.advance(hours(48) - 1);
    expect(third.registry.deadLetters()).toMatchObject([{ id: before?.id, at: before?.at }]);
    await machine.clock.advance(10);
    expect(third.registry.deadLetters()).toEqual([]);
    expect(third.registry.report().endings?.deadLettersDropped).toBe(1);
  });
});

it('a snapshot carries what is owed to each recipient, and since when it has been tried', async () => {
  const clock = createManualClock();
  const make = (deliver: object) =>
    createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: { map: 'runs', deliver: deliver as never, giveUpAfter: '10m', maxDelay: '1s' },
      clock,
    });
  const first = make({ audit: says('audit'), queue: down });
  first.maps.runs.set('a', 1);
  first.end('a');
  await clock.advance(minutes(9));
  const snapshot = JSON.parse(JSON.stringify(first.snapshot()));
  first.stop();
  const next = make({ audit: says('audit'), queue: down });
  next.restore(snapshot);
  await clock.advance(minutes(1) - 1);
  expect([keysHeard(), next.deadLetters()]).toEqual([['audit a'], []]);
  await clock.advance(1);
  expect(next.deadLetters()).toMatchObject([{ recipient: 'queue', cause: 'given-up' }]);
  next.stop();
});

it('what is written anew says in the first record of an ending who is to be told, wherever the records end', async () => {
  const clock = createManualClock();
  const make = (deliver: object, attempts = Infinity) =>
    createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: { map: 'runs', deliver: deliver as never, attempts },
      clock,
    });
  const first = make({ audit: down, queue: silent, third: down }, 1);
  for (const key of ['a', 'b']) {
    first.maps.runs.set(key, 1);
    first.end(key);
  }
  await clock.advance(0);
  // Two have dead letters, and one is in the midst of an attempt.
  expect(first.deadLetters()).toHaveLength(4);
  const snapshot = first.snapshot();
  first.stop();
  const kinds = snapshot.records.map(([kind]) => kind);
  for (let length = kinds.indexOf('end') + 1; length <= kinds.lastIndexOf('end'); length += 1) {
    heard = [];
    const next = make({ audit: says('audit'), queue: says('queue'), third: says('third') });
    next.restore({ ...snapshot, records: snapshot.records.slice(0, length) });
    next.redeliver();
    await clock.advance(0);
    const told = heard.map(([name, key]) => `${key} ${name}`).sort();
    expect(told.length % 3, `${length} records: ${told}`).toBe(0);
    expect(told.length, `${length} records`).toBeGreaterThan(0);
    next.stop();
  }
});
