import type { RegistrySnapshot } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { Past } from '../../src/restart/past.js';
import { type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

const settled = () => machine.clock.advance(0);

/** So many entries take more than one append to be written anew. */
const many = 6_000;

function fill(life: Life): void {
  for (let n = 0; n < many; n += 1) life.runs.set(`agent:main:subagent:${String(n).padStart(36, '0')}`, {});
}

/** Has the journal written anew, as it is when it has grown enough, and stops in the midst of that. */
async function inTheMidst(life: Life): Promise<{ end(): Promise<void> }> {
  let writes = 0;
  let goOn!: () => void;
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  machine.volume.beforeWrite = () => {
    writes += 1;
    return writes < 2 ? undefined : gate;
  };
  const writer = internalsOf(life.registry)?.restart.recorder?.writer;
  writer?.checkpoint();
  await settled();
  expect(writes).toBe(2);
  return {
    end: async () => {
      machine.volume.beforeWrite = () => {};
      goOn();
      await settled();
      await settled();
      expect(writer?.isCheckpointing).toBe(false);
    },
  };
}

const restart = (life: Life, options?: LifeOptions): Promise<Life> => machine.restart(life, options);

const lostIn = async (life: Life): Promise<unknown[]> => {
  await machine.clock.advance(minutes(11));
  return life.told
    .filter(({ reason }) => reason === 'lost')
    .map(({ key }) => key)
    .filter((key) => !String(key).startsWith('agent:'));
};

describe('what happens while the journal is written anew', () => {
  it('is known to the next life: what comes back', async () => {
    const first = start();
    for (const key of ['open 1', 'claimed 1']) first.runs.set(key, {});
    fill(first);
    for (const key of ['open 2', 'claimed 2']) first.runs.set(key, {});
    for (const key of ['claimed 1', 'claimed 2']) first.registry.end(key);
    const second = await restart(first);
    const midst = await inTheMidst(second);
    // Some of them are written already, and some are not.
    for (const key of ['open 1', 'claimed 1', 'open 2', 'claimed 2']) second.runs.set(key, {});
    await midst.end();
    const third = await restart(second);
    for (const key of ['claimed 1', 'claimed 2']) {
      third.runs.set(key, {});
      expect(third.registry.end(key)).toBe('duplicate');
    }
    expect(await lostIn(third)).toEqual(['open 1', 'open 2']);
  });

  it('is known to the next life: what is registered, ends and leaves', async () => {
    const first = start({ deliver: () => Promise.reject(new Error('down')) });
    for (const key of ['ends', 'leaves', 'stays']) first.runs.set(key, {});
    fill(first);
    first.runs.set('late', {});
    await settled();
    const midst = await inTheMidst(first);
    first.registry.end('ends');
    first.runs.delete('leaves');
    first.runs.delete('late');
    first.runs.set('new', {});
    await midst.end();
    const next = await restart(first);
    next.runs.set('ends', {});
    expect(next.registry.end('ends')).toBe('duplicate');
    expect(await lostIn(next)).toEqual(['stays', 'new']);
    const told = next.told.filter(({ reason }) => reason !== 'lost').map(({ key, reason }) => [key, reason]);
    expect(told.sort()).toEqual([
      ['ends', 'completed'],
      ['late', 'deleted'],
      ['leaves', 'deleted'],
    ]);
  });

  it('is known to the next life: a map that is released before it has begun', async () => {
    const first = start();
    const handle = first.registry.adopt('late', new Map([['a', 1]]), { persist: true });
    await settled();
    internalsOf(first.registry)?.restart.recorder?.writer.checkpoint();
    handle.release();
    await settled();
    const next = await restart(first);
    const again = next.registry.adopt('late', new Map<string, number>(), { persist: true });
    await machine.clock.advance(minutes(1));
    again.map.set('a', 1);
    expect(machine.clock.now() - (again.stamps('a')?.registeredAt as number)).toBe(0);
  });

  it('is known to the next life: what is awaited in a map that was released', async () => {
    const first = start();
    first.registry.adopt('late', new Map([['a', 1]]), { persist: true });
    await machine.clock.advance(minutes(1));
    const second = await restart(first);
    second.registry.adopt('late', new Map<string, number>(), { persist: true }).release();
    fill(second);
    await settled();
    await (await inTheMidst(second)).end();
    const third = await restart(second);
    const again = third.registry.adopt('late', new Map<string, number>(), { persist: true });
    again.map.set('a', 1);
    expect(machine.clock.now() - (again.stamps('a')?.registeredAt as number)).toBe(minutes(1));
  });

  it('is known to the next life: a dead letter that is tried again', async () => {
    let isDown = true;
    const options: LifeOptions = {
      ended: { attempts: 2, minDelay: 60_000, maxDelay: 60_000, attemptTimeout: '24h' },
      deliver: ({ key }) => {
        if (key !== 'a') return new Promise(() => {});
        if (isDown) throw new Error('down');
      },
    };
    const first = start(options);
    first.runs.set('a', {});
    first.registry.end('a');
    await machine.clock.advance(minutes(3));
    const [letter] = first.registry.deadLetters();
    expect(letter).toBeDefined();
    // What is pending is written before dead letters, and takes more than one append.
    fill(first);
    first.runs.clear();
    await settled();
    const midst = await inTheMidst(first);
    first.registry.redeliver(letter?.id as string);
    await midst.end();
    isDown = false;
    const next = await restart(first, { ...options, ended: { ...options.ended, concurrency: 10_000 } });
    await machine.clock.advance(minutes(2));
    expect(next.told).toMatchObject([{ key: 'a', id: letter?.id }]);
  });

  it('is known to the next life: a dead letter behind those that are tried again', async () => {
    let isDown = true;
    const options: LifeOptions = {
      ended: { attempts: 1, attemptTimeout: '24h' },
      deliver: () => (isDown ? Promise.reject(new Error('down')) : new Promise(() => {})),
    };
    const first = start(options);
    fill(first);
    first.runs.set('last', {});
    first.runs.clear();
    await machine.clock.advance(minutes(1));
    const letters = first.registry.deadLetters();
    expect(letters).toHaveLength(many + 1);
    isDown = false;
    const midst = await inTheMidst(first);
    for (const { id, event } of letters) if (event.key !== 'last') first.registry.redeliver(id);
    await midst.end();
    expect(first.registry.deadLetters()).toMatchObject([{ event: { key: 'last' } }]);
    const next = await restart(first, options);
    expect(next.registry.deadLetters()).toMatchObject([{ event: { key: 'last' } }]);
  });

  it('is known to the next life: a value that is replaced', async () => {
    const persist = {
      encode: ({ text }: Run) => text,
      decode: (json: unknown) => ({ text: json as string }),
    };
    const options: LifeOptions = { maps: { runs: { persist } } };
    const first = start(options);
    first.runs.set('early', { text: 'old' });
    for (let n = 0; n < many; n += 1) first.runs.set(n, { text: 'x'.repeat(50) });
    first.runs.set('late', { text: 'old' });
    await settled();
    const midst = await inTheMidst(first);
    first.runs.set('early', { text: 'new' }).set('late', { text: 'new' });
    await midst.end();
    const next = await restart(first, options);
    expect(next.runs.get('early')).toEqual({ text: 'new' });
    expect(next.runs.get('late')).toEqual({ text: 'new' });
    expect(next.runs.size).toBe(many + 2);
  });

  it('is known to the next life though it died in the midst: all of it, and all there was', async () => {
    const first = start();
    first.runs.set('a', {});
    fill(first);
    await settled();
    const midst = await inTheMidst(first);
    first.runs.set('b', {});
    first.kill();
    void midst;
    const next = start();
    expect(await lostIn(next)).toEqual(['a']);
    expect(next.told).toHaveLength(many + 1);
  });

  it('knows of what comes back meanwhile with a value that cannot be written', async () => {
    const encode = ({ text }: Run): unknown => {
      if (text === 'bad') throw new Error('cannot');
      return { text };
    };
    const maps = { runs: { persist: { encode } } };
    const first = start({ maps });
    first.runs.set('a', { text: 'fine' });
    fill(first);
    await settled();
    const second = await restart(first, { maps });
    const checkpoint = await inTheMidst(second);
    second.runs.set('a', { text: 'bad' });
    await checkpoint.end();
    const past = new Past();
    for (const record of machine.volume.records) past.play(JSON.parse(record));
    const lifeOf = (generation: number) => past.maps.get('runs')?.entries.get(generation)?.life;
    expect([lifeOf(1), lifeOf(2)]).toEqual([past.lives, past.lives - 1]);
  });

  it('supersedes a checkpoint that an earlier life had begun', async () => {
    const first = start();
    first.runs.set('a', {});
    fill(first);
    await settled();
    await inTheMidst(first);
    first.kill();
    const second = start();
    second.runs.set('a', {});
    const entries = () => machine.volume.records.filter((record) => record.startsWith('["set"')).length;
    expect(entries()).toBeGreaterThan(many + 1);
    internalsOf(second.registry)?.restart.recorder?.writer.checkpoint();
    await settled();
    await settled();
    expect(entries()).toBe(many + 1);
    second.runs.delete('a');
    const third = await restart(second);
    expect(await lostIn(third)).toEqual([]);
    expect(third.told).toHaveLength(many);
  });
});

describe('a journal that is written anew', () => {
  it('names the maps of earlier lives that this one has not', async () => {
    const first = start();
    for (let n = 0; n < many; n += 1) first.contexts.set(`context ${String(n).padStart(36, '0')}`, {});
    await settled();
    const second = await restart(first, { registry: { maps: { runs: {} } } as never });
    // They are written first, and take more than one append.
    fill(second);
    await settled();
    internalsOf(second.registry)?.restart.recorder?.writer.checkpoint();
    await settled();
    await settled();
    const third = await restart(second);
    third.contexts.set(`context ${'0'.repeat(36)}`, {});
    expect(third.registry.stamps('contexts', `context ${'0'.repeat(36)}`)?.generation).toBe(1);
  });

  it('is small again', async () => {
    const life = start();
    for (let round = 0; round < 10; round += 1) {
      fill(life);
      life.runs.clear();
      await settled();
    }
    life.runs.set('a', {});
    await settled();
    const before = machine.volume.size;
    internalsOf(life.registry)?.restart.recorder?.writer.checkpoint();
    await settled();
    await settled();
    expect(machine.volume.size).toBeLessThan(before / 100);
  });

  it('is so by itself once it has had eight lives, however small they were', async () => {
    let life = start();
    life.runs.set('a', {});
    const sizes: number[] = [];
    for (let times = 0; times < 40; times += 1) {
      life = await restart(life);
      life.runs.set('a', {});
      await settled();
      sizes.push(machine.volume.records.length);
    }
    expect(Math.max(...sizes)).toBeLessThan(60);
    expect(life.registry.stamps('runs', 'a')?.generation).toBe(1);
  });

  it('keeps tombstones of runs with ids of their own, dead letters, and what an observer left alone', async () => {
    const ended = { id: (run: Run) => run.id, attempts: 1, tombstones: { max: 3 } };
    const first = start({ ended, deliver: ({ key }) => key === 'dead' && Promise.reject(new Error('down')) });
    for (const key of [1, 2, 3, 4, 'dead']) {
      first.runs.set(key, { id: key });
      first.runs.delete(key);
    }
    first.runs.set('open', { id: 'open' });
    await settled();
    const second = await restart(first, { ended, registry: { mode: 'observe' } });
    internalsOf(second.registry)?.restart.recorder?.writer.checkpoint();
    await settled();
    const third = await restart(second, { ended });
    expect(third.registry.deadLetters()).toMatchObject([{ event: { key: 'dead' } }]);
    third.runs.set('three', { id: 3 }).set('one', { id: 1 });
    expect(third.registry.end('three')).toBe('duplicate');
    // Forgotten: there were more than three.
    expect(third.registry.end('one')).toBe('claimed');
    expect(await lostIn(third)).toEqual(['open']);
  });
});

describe('a snapshot that is restored beside a journal', () => {
  /** One run that is open, one whose end could not be told, and one whose end is pending. */
  const owing = async (): Promise<RegistrySnapshot> => {
    const other = new Machine();
    const donor = other.start({
      ended: { attempts: 2, minDelay: 60_000, maxDelay: 60_000 },
      deliver: () => Promise.reject(new Error('down')),
    });
    donor.runs.set('open', {}).set('dead', {}).set('pending', {});
    donor.registry.end('dead');
    await other.clock.advance(minutes(3));
    donor.registry.end('pending');
    await other.clock.advance(0);
    const snapshot = JSON.parse(JSON.stringify(donor.registry.snapshot()));
    other.powerOff();
    return snapshot;
  };
  const down = () => new Promise<never>(() => {});
  const knowsAll = async (next: Life): Promise<void> => {
    expect(next.registry.deadLetters()).toMatchObject([{ event: { key: 'dead' } }]);
    await settled();
    expect(next.told).toMatchObject([{ key: 'pending', reason: 'completed' }]);
    expect(await lostIn(next)).toEqual(['open']);
  };

  it('is there once flushed() says so, though the journal was being written anew', async () => {
    const snapshot = await owing();
    const first = start({ deliver: down });
    fill(first);
    await settled();
    const midst = await inTheMidst(first);
    first.registry.restore(snapshot);
    const killed = first.registry.flushed().then(() => first.kill());
    await midst.end();
    await killed;
    await knowsAll(start());
  });

  it('is there once flushed() says so, and nothing else was said', async () => {
    const first = start({ deliver: down });
    await settled();
    first.registry.restore(await owing());
    const killed = first.registry.flushed().then(() => first.kill());
    await settled();
    await killed;
    await knowsAll(start());
  });

  it.each(['at once', 'while the journal was being written anew'])(
    'is there after a detach() that follows %s',
    async (when) => {
      const snapshot = await owing();
      const first = start({ deliver: down });
      if (when !== 'at once') {
        fill(first);
        await settled();
        await inTheMidst(first);
      }
      first.registry.restore(snapshot);
      first.registry.detach();
      first.kill();
      machine.volume.beforeWrite = () => {};
      await knowsAll(start());
    },
  );

  it('is in the journal from then on, with ids and generations of its own', async () => {
    const other = new Machine();
    const donor = other.start();
    for (const key of ['x', 'y', 'both']) donor.runs.set(key, {});
    donor.registry.end('y');
    await other.clock.advance(0);
    const snapshot = JSON.parse(JSON.stringify(donor.registry.snapshot()));
    donor.kill();

    const first = start();
    for (const key of ['a', 'b', 'both']) first.runs.set(key, {});
    const second = await restart(first);
    second.runs.set('a', {});
    second.registry.restore(snapshot);
    second.runs.set('x', {});
    second.runs.set('y', {});
    expect(second.registry.end('y')).toBe('duplicate');
    const generations = ['a', 'x', 'y'].map((key) => second.registry.stamps('runs', key)?.generation);
    expect(new Set(generations).size).toBe(3);
    const third = await restart(second);
    for (const key of ['a', 'x', 'y']) third.runs.set(key, {});
    expect(['a', 'x', 'y'].map((key) => third.registry.stamps('runs', key)?.generation)).toEqual(generations);
    expect(third.registry.end('y')).toBe('duplicate');
    // Of both machines there was one `both`.
    expect((await lostIn(third)).sort()).toEqual(['b', 'both', 'both']);
    expect(new Set(third.told.map(({ id }) => id)).size).toBe(third.told.length);
  });

  it('takes nothing from what the journal holds already', async () => {
    const first = start();
    first.runs.set('a', {});
    first.runs.set('b', {});
    await settled();
    const snapshot = JSON.parse(JSON.stringify(first.registry.snapshot()));
    first.registry.end('b');
    const second = await restart(first);
    second.runs.set('a', {});
    second.registry.restore(snapshot);
    await machine.clock.advance(minutes(11));
    expect(second.told).toEqual([]);
    expect(second.registry.end('a')).toBe('claimed');
    await settled();
    expect(second.told).toMatchObject([{ key: 'a' }]);
    expect(second.registry.stamps('runs', 'a')?.generation).toBe(1);
  });

  it('has as long to come back as if nothing had been awaited before', async () => {
    const other = new Machine();
    const donor = other.start();
    donor.runs.set('x', {});
    const snapshot = JSON.parse(JSON.stringify(donor.registry.snapshot()));
    donor.kill();
    const first = start();
    first.runs.set('a', {});
    const second = await restart(first);
    await machine.clock.advance(minutes(7));
    second.registry.restore(snapshot);
    await machine.clock.advance(minutes(3));
    expect(second.told).toMatchObject([{ key: 'a' }]);
    await machine.clock.advance(minutes(7) - 1);
    expect(second.told).toHaveLength(1);
    await machine.clock.advance(1);
    expect(second.told).toMatchObject([{ key: 'a' }, { key: 'x' }]);
  });

  it('gives entries that were written before it other generations, and the journal knows', async () => {
    const other = new Machine();
    const donor = other.start();
    for (const key of ['x', 'y']) donor.runs.set(key, {});
    const snapshot = JSON.parse(JSON.stringify(donor.registry.snapshot()));
    donor.kill();
    const first = start();
    first.runs.set('a', {}).set('ended', {});
    first.registry.end('ended');
    await settled();
    first.registry.restore(snapshot);
    first.runs.set('x', {});
    expect(first.registry.stamps('runs', 'x')?.generation).toBe(1);
    const generation = first.registry.stamps('runs', 'a')?.generation;
    const next = await restart(first);
    for (const key of ['a', 'x', 'ended']) next.runs.set(key, {});
    expect(next.registry.stamps('runs', 'a')?.generation).toBe(generation);
    expect(next.registry.stamps('runs', 'x')?.generation).toBe(1);
    expect(next.registry.end('ended')).toBe('duplicate');
    expect(await lostIn(next)).toEqual(['y']);
    expect(first.told).toHaveLength(1);
  });
});
