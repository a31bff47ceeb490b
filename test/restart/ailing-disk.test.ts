import { createRegistry, type EndedEvent, type Registry } from 'mapsweep';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { type Life, type LifeOptions, Machine, minutes } from './lives.js';
import { MemoryVolume } from './memory-journal.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

/** Makes the volume answer nothing until the returned function is called, then all. */
function hang(): () => void {
  let answer!: () => void;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  machine.volume.beforeWrite = () => answered;
  return () => {
    machine.volume.beforeWrite = () => {};
    answer();
  };
}

function fail(message = 'ENOSPC: no space left on device'): () => void {
  machine.volume.beforeWrite = () => {
    throw new Error(message);
  };
  return () => {
    machine.volume.beforeWrite = () => {};
  };
}

const settled = () => machine.clock.advance(0);

const writerOf = (registry: unknown) => internalsOf(registry)?.restart.recorder?.writer;

describe('an ending', () => {
  it('is not delivered before its claim is in the journal', async () => {
    const life = start();
    life.runs.set('a', {});
    await settled();
    const answer = hang();
    life.registry.end('a');
    await machine.clock.advance(4_999);
    // The bus is of this process, and was told at once.
    expect(life.ended).toEqual([['a', 'completed']]);
    expect(life.told).toEqual([]);
    answer();
    await settled();
    expect(life.told).toMatchObject([{ key: 'a' }]);
    expect(machine.volume.records.some((record) => record.startsWith('["end"'))).toBe(true);
  });

  it('is delivered after maxWait all the same, once and with its id, by a disk that hangs', async () => {
    const life = start();
    life.runs.set('a', {});
    life.runs.set('b', {});
    await settled();
    const answer = hang();
    life.registry.end('a');
    await machine.clock.advance(5_000);
    expect(life.told).toMatchObject([{ key: 'a' }]);
    life.registry.end('b');
    await machine.clock.advance(4_999);
    expect(life.told).toHaveLength(1);
    await machine.clock.advance(1);
    expect(life.told).toHaveLength(2);
    answer();
    await settled();
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toEqual([]);
    expect(life.told).toHaveLength(2);
  });

  it('waits for half the deadline of a close() at most, so that there is time to deliver it', async () => {
    const life = start();
    life.runs.set('a', {}).set('b', {});
    await settled();
    const free = fail();
    life.registry.end('a');
    await machine.clock.advance(1_000);
    const closing = life.registry.close({ deadline: '3s' });
    life.registry.end('b');
    await machine.clock.advance(499);
    expect(life.told).toEqual([]);
    await machine.clock.advance(1);
    expect(life.told).toMatchObject([{ key: 'a' }]);
    await machine.clock.advance(1_000);
    expect(life.told).toMatchObject([{ key: 'a' }, { key: 'b' }]);
    await machine.clock.advance(1_500);
    expect(await closing).toEqual({ undelivered: 0, undisposed: 0 });
    free();
  });

  it('is delivered after maxWait by a disk that is full, and by one that is full from the beginning', async () => {
    const free = fail();
    const life = start({ maxWaitMs: 1_000 });
    life.runs.set('a', {});
    life.registry.end('a');
    await machine.clock.advance(999);
    expect(life.told).toEqual([]);
    await machine.clock.advance(1);
    expect(life.told).toMatchObject([{ key: 'a' }]);
    free();
    await machine.clock.advance(minutes(1));
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toEqual([]);
  });

  it('that was delivered without being written has the same id when the next life says that it was lost', async () => {
    const life = start();
    life.runs.set('a', {});
    await settled();
    hang();
    life.registry.end('a');
    await machine.clock.advance(5_000);
    expect(life.told).toHaveLength(1);
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost', id: life.told[0]?.id }]);
  });

  it('waits for no claim but its own', async () => {
    const life = start();
    for (const key of ['a', 'b', 'c']) life.runs.set(key, {});
    await settled();
    life.registry.end('a');
    const answer = hang();
    life.registry.end('b');
    await settled();
    expect(life.told).toEqual([]);
    answer();
    await settled();
    hang();
    life.registry.end('c');
    await settled();
    expect(life.told.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  it('is let go of in turns, not all at once, when 10,000 have waited', async () => {
    const life = start({ ended: { concurrency: 10_000 } });
    const answer = hang();
    for (let n = 0; n < 10_000; n += 1) {
      life.runs.set(n, {});
      life.registry.end(n);
    }
    await machine.clock.advance(1_000);
    answer();
    await machine.clock.advance(0);
    await machine.clock.advance(0);
    expect(life.told).toHaveLength(10_000);
    expect(life.told.map(({ key }) => key)).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
  });
});

describe('a disk that fails', () => {
  it('is told, throws nothing into the owner, and is caught up with by itself', async () => {
    const life = start();
    life.runs.set('before', {});
    await settled();
    const free = fail();
    for (let n = 0; n < 100; n += 1) life.runs.set(n, {});
    life.runs.delete('before');
    await machine.clock.advance(10_000);
    expect(life.journalFailures.length).toBeGreaterThan(1);
    expect(life.journalFailures[0]).toMatchObject({ isFinal: false, error: { message: /ENOSPC/ } });
    await expect(life.registry.flushed()).rejects.toThrow('ENOSPC');
    free();
    await machine.clock.advance(minutes(1));
    await life.registry.flushed();
    const { length } = life.journalFailures;
    await machine.clock.advance(minutes(5));
    expect(life.journalFailures).toHaveLength(length);
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toHaveLength(100);
    expect([...life.told].map(({ key }) => key)).toEqual(['before']);
  });

  it('is asked again after pauses that grow from 1 s to 30 s', async () => {
    const life = start();
    let asked = 0;
    machine.volume.beforeWrite = () => {
      asked += 1;
      throw new Error('EIO');
    };
    life.runs.set('a', {});
    await machine.clock.advance(minutes(10));
    expect(asked).toBeGreaterThan(15);
    expect(asked).toBeLessThan(30);
  });

  it('that is slow keeps the order', async () => {
    const life = start();
    machine.volume.beforeWrite = () =>
      new Promise((resolve) => {
        machine.clock.setTimeout(resolve, 300);
      });
    for (let round = 0; round < 20; round += 1) {
      life.runs.set('a', {});
      if (round < 19) life.runs.delete('a');
      await machine.clock.advance(70);
    }
    await machine.clock.advance(10_000);
    expect(life.journalFailures).toEqual([]);
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
    expect(life.told).toHaveLength(19);
  });

  it.each(['hangs', 'is full'])(
    'that %s has what waits dropped beyond 16 MB, and gets what is live when it is back',
    async (how) => {
      const life = start({ ended: { id: (_run: unknown, key: unknown) => `${key}${'-'.repeat(240)}` } });
      life.runs.set('old', {}).set('older', {});
      await settled();
      const back = how === 'hangs' ? hang() : fail();
      life.registry.end('older');
      for (let n = 0; n < 60_000; n += 1) {
        life.runs.set(n, {});
        if (n >= 100) life.runs.delete(n);
        if (n % 10_000 === 0) await machine.clock.advance(2_000);
      }
      await machine.clock.advance(10_000);
      // One more thing is said when so much waits.
      life.runs.set('last', {});
      await settled();
      expect(writerOf(life.registry)?.state).toMatchObject({ isBehind: true });
      await machine.clock.advance(10_000);
      const delivered = life.told.length;
      expect(delivered).toBe(59_901);
      back();
      await machine.clock.advance(minutes(1));
      await life.registry.flushed();
      expect(writerOf(life.registry)?.state).toMatchObject({ isBehind: false });
      // It is written as things happen again.
      life.runs.set('new', {});
      life.runs.delete('last');
      await settled();
      life.kill();
      const next = start({ ended: { id: (_run: unknown, key: unknown) => `${key}${'-'.repeat(240)}` } });
      next.runs.set('old', {});
      expect(next.registry.end('old')).toBe('claimed');
      await machine.clock.advance(minutes(11));
      const lost = next.told.filter(({ reason }) => reason === 'lost').map(({ key }) => key);
      expect(lost).toEqual([...Array.from({ length: 100 }, (_, n) => n), 'new']);
      expect(next.told).toHaveLength(102);
    },
    120_000,
  );

  describe('that is caught up with, and dies in the midst of that,', () => {
    const ended = { id: (_run: unknown, key: unknown) => `${key}${'-'.repeat(240)}` };
    /** Some batches of records. */
    const count = 3_000;
    /** Of the third one. */
    const late = 2_000;

    /** A life whose journal has fallen behind, and takes one batch of what is live each time the returned function is called. */
    async function catchingUp(before: (life: Life) => void, deliver?: LifeOptions['deliver']) {
      const life = start({ ended: { ...ended, attempts: 1 }, deliver, mostUnwrittenBytes: 2_000 });
      for (let n = 0; n < count; n += 1) life.runs.set(n, {});
      before(life);
      await machine.clock.advance(2_000);
      const back = fail();
      for (let n = 0; n < 200; n += 1) life.contexts.set(n, {});
      await machine.clock.advance(2_000);
      expect(writerOf(life.registry)?.state).toMatchObject({ isBehind: true });
      const waiting: (() => void)[] = [];
      back();
      machine.volume.beforeWrite = () => new Promise((resolve) => void waiting.push(resolve));
      await machine.clock.advance(30_000);
      const takeOne = async (): Promise<void> => {
        waiting.shift()?.();
        await settled();
      };
      await takeOne();
      return { life, takeOne };
    }

    /** What the next life tells of, if this one has told nobody. */
    async function toldNext(life: Life): Promise<unknown[]> {
      const told = life.told.map(({ key }) => key);
      machine.volume.beforeWrite = () => {};
      life.kill();
      const next = start({ ended });
      await machine.clock.advance(minutes(11));
      return [...told, ...next.told.map(({ key }) => key)];
    }

    it.each([1, 2, 3])('has a run told that ended meanwhile, after %i more batches', async (batches) => {
      const { life, takeOne } = await catchingUp(() => {});
      expect(life.registry.end(late)).toBe('claimed');
      for (let batch = 0; batch < batches; batch += 1) await takeOne();
      expect(await toldNext(life)).toContain(late);
    });

    it.each([1, 2])(
      'has a run told that went on under a new key meanwhile, after %i more batches',
      async (batches) => {
        const { life, takeOne } = await catchingUp(() => {});
        life.runs.set('to', {});
        expect(life.registry.transfer(late, 'to')).toBe('transferred');
        for (let batch = 0; batch < batches; batch += 1) await takeOne();
        const told = await toldNext(life);
        expect(told.includes('to') || told.includes(late)).toBe(true);
      },
    );

    it.each([4, 5, 6, 7, 8])(
      'has a run told once that ended while dead letters were written, after %i more batches',
      async (batches) => {
        const deaths = 1_800;
        const deliver = ({ key }: EndedEvent) => {
          if (Number(key) < deaths) throw new Error('down');
        };
        const { life, takeOne } = await catchingUp(({ registry }) => {
          for (let n = 0; n < deaths; n += 1) registry.end(n);
        }, deliver);
        expect(life.registry.deadLetters()).toHaveLength(deaths);
        expect(life.registry.end(late)).toBe('claimed');
        for (let batch = 0; batch < batches; batch += 1) await takeOne();
        expect((await toldNext(life)).filter((key) => key === late)).toHaveLength(1);
      },
    );

    it('has each run told once that had ended before, though its entry stays', async () => {
      const { life, takeOne } = await catchingUp(({ registry }) => registry.end(late));
      for (let batch = 0; batch < 2; batch += 1) await takeOne();
      const told = await toldNext(life);
      expect(told.filter((key) => key === late)).toHaveLength(1);
      expect(told).toHaveLength(count);
    });
  });

  it('never comes between two lives while it hangs, however much was said: what was acknowledged is known', async () => {
    const life = start();
    for (let n = 0; n < 10; n += 1) life.runs.set(n, {});
    await life.registry.flushed();
    hang();
    for (let n = 10; n < 20; n += 1) life.runs.set(n, {});
    await machine.clock.advance(minutes(1));
    life.kill();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told.map(({ key }) => key)).toEqual(Array.from({ length: 10 }, (_, n) => n));
  });

  it('that hangs is told once an append', async () => {
    const life = start();
    hang();
    life.runs.set('a', {});
    await machine.clock.advance(minutes(10));
    expect(life.journalFailures).toMatchObject([{ isFinal: false, error: { code: 'ERR_JOURNAL_IO' } }]);
    expect(String(life.journalFailures[0]?.error)).toContain('has not answered for 5000 ms');
  });
});

describe('close()', () => {
  it('comes back at its deadline if the disk hangs', async () => {
    const life = start({ maxWaitMs: 60_000 });
    life.runs.set('a', {});
    await settled();
    hang();
    life.registry.end('a');
    await machine.clock.advance(1_000);
    let closed: unknown;
    void life.registry.close({ deadline: '2s' }).then((result) => {
      closed = result;
    });
    await machine.clock.advance(1_999);
    expect(closed).toBeUndefined();
    await machine.clock.advance(1);
    expect(closed).toEqual({ undelivered: 0, undisposed: 0 });
    expect(life.told).toMatchObject([{ key: 'a' }]);
  });

  it('comes back at once if the disk is full', async () => {
    const life = start({ maxWaitMs: 1 });
    fail();
    life.runs.set('a', {});
    await machine.clock.advance(10);
    const before = machine.clock.monotonic();
    await life.registry.close();
    expect(machine.clock.monotonic()).toBe(before);
  });

  it('asks a disk that was full once more, however long its pause still is', async () => {
    const life = start();
    const free = fail();
    life.runs.set('a', {});
    await machine.clock.advance(20_000);
    free();
    await life.registry.close();
    const { length } = life.journalFailures;
    await machine.clock.advance(minutes(1));
    expect(life.journalFailures).toHaveLength(length);
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
  });

  it('asks it at once, though a delivery takes all the time that there is', async () => {
    const life = start({ deliver: () => new Promise(() => {}) });
    life.runs.set('a', {});
    await settled();
    life.registry.end('a');
    await settled();
    const free = fail();
    life.runs.set('b', {});
    await machine.clock.advance(1_500);
    free();
    // Takes longer than one turn, as a real disk does.
    machine.volume.beforeWrite = () => new Promise((resolve) => machine.clock.setTimeout(resolve, 20));
    const closing = life.registry.close({ deadline: '1s' });
    await machine.clock.advance(100);
    expect(machine.volume.records.some((record) => record.includes('"b"'))).toBe(true);
    await machine.clock.advance(900);
    expect(await closing).toMatchObject({ undelivered: 1 });
    expect(life.journalFailures.filter(({ isFinal }) => isFinal)).toEqual([]);
    machine.volume.beforeWrite = () => {};
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toMatchObject([{ key: 'b', reason: 'lost' }]);
  });

  it('says once what is lost where detach() comes meanwhile', async () => {
    const onWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const life = start({ deliver: () => new Promise(() => {}) });
    life.runs.set('a', {});
    await settled();
    fail();
    life.registry.end('a');
    await machine.clock.advance(1_500);
    const closing = life.registry.close();
    await machine.clock.advance(100);
    life.registry.detach();
    await machine.clock.advance(20_000);
    await closing;
    expect(life.journalFailures.filter(({ isFinal }) => isFinal)).toHaveLength(1);
    expect(onWarning).toHaveBeenCalledTimes(1);
    onWarning.mockRestore();
  });

  it('catches up with a disk that has room again, where what waited was dropped', async () => {
    const life = start({ mostUnwrittenBytes: 1_000 });
    const free = fail();
    for (let n = 0; n < 100; n += 1) life.runs.set(n, {});
    await machine.clock.advance(20_000);
    expect(writerOf(life.registry)?.state.isBehind).toBe(true);
    free();
    await life.registry.close();
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toHaveLength(100);
  });

  it('writes what was said last, and frees the journal', async () => {
    const life = start();
    life.runs.set('a', {});
    await machine.clock.advance(minutes(3));
    life.registry.touch('runs', 'a');
    life.runs.set('b', {});
    await life.registry.close();
    const next = start();
    next.runs.set('a', {}).set('b', {});
    expect(next.registry.stamps('runs', 'a')?.lastActiveAt).toBe(machine.clock.now());
    expect(next.registry.stamps('runs', 'b')?.generation).toBe(2);
  });

  it('writes what a slow disk has not taken by a deadline that is short', async () => {
    const life = start();
    machine.volume.beforeWrite = () =>
      new Promise((resolve) => {
        machine.clock.setTimeout(resolve, 100);
      });
    life.runs.set('a', {});
    await settled();
    for (let n = 0; n < 1_000; n += 1) life.runs.set(n, {});
    const closing = life.registry.close({ deadline: 50 });
    await machine.clock.advance(50);
    await closing;
    machine.volume.beforeWrite = () => {};
    const next = start();
    await machine.clock.advance(minutes(11));
    expect(next.told).toHaveLength(1_001);
  });

  it('keeps a quarter of its time for a journal whose last words go another way, though the usual one hangs', async () => {
    const journal = machine.volume.open();
    const patience: unknown[] = [];
    const appendNow = journal.appendNow.bind(journal);
    const life = start({
      maxWaitMs: 60_000,
      journal: Object.assign(journal, {
        hasOtherWay: true,
        appendNow: (records: readonly string[], patienceMs?: number) => {
          patience.push(patienceMs);
          appendNow(records);
        },
      }),
    });
    life.runs.set('a', {});
    await settled();
    hang();
    life.runs.set('b', {});
    await machine.clock.advance(1_000);
    let isClosed = false;
    void life.registry.close({ deadline: '8s' }).then(() => {
      isClosed = true;
    });
    await machine.clock.advance(5_999);
    expect(isClosed).toBe(false);
    await machine.clock.advance(1);
    expect(isClosed).toBe(true);
    expect(patience).toEqual([2_000]);
    expect(machine.volume.records.some((record) => record.includes('"b"'))).toBe(true);
    expect(life.journalFailures).toEqual([]);
  });

  it('leaves no timer', async () => {
    const life = start();
    life.runs.set('a', {});
    life.registry.touch('runs', 'a');
    await machine.clock.advance(minutes(1));
    life.registry.end('a');
    await life.registry.close();
    expect(machine.clock.pendingTimers).toBe(0);
    // What happens to the maps afterwards is nobody's business.
    life.runs.set('b', {});
    life.registry.end('b');
    expect(machine.clock.pendingTimers).toBe(0);
  });
});

describe.each(['close', 'detach'] as const)('%s() of a disk that stays full', (how) => {
  it('says that what waited is lost to the next life, once and for good', async () => {
    const life = start();
    life.runs.set('a', {});
    await settled();
    fail();
    life.runs.set('b', {});
    await machine.clock.advance(500);
    await life.registry[how]();
    expect(life.journalFailures.at(-1)).toMatchObject({
      isFinal: true,
      error: { code: 'ERR_JOURNAL_IO', message: expect.stringContaining('last 500 ms') },
    });
    expect(life.journalFailures.filter(({ isFinal }) => isFinal)).toHaveLength(1);
  });

  it('warns of endings that are neither delivered nor written', async () => {
    const warnings: string[] = [];
    const onWarning = vi.spyOn(process, 'emitWarning').mockImplementation((message) => {
      warnings.push(String(message));
    });
    const life = start();
    life.runs.set('a', {}).set('b', {});
    await settled();
    fail();
    life.registry.end('a');
    if (how === 'close') {
      const closing = life.registry.close({ deadline: 0 });
      await machine.clock.advance(0);
      expect(await closing).toMatchObject({ undelivered: 1 });
    } else expect(life.registry.detach()).toEqual({ undelivered: 1 });
    onWarning.mockRestore();
    expect(warnings).toEqual([expect.stringMatching(/1 ending was not delivered .* journal/)]);
  });

  it('says nothing where all was written, nor of endings that are in the journal', async () => {
    const onWarning = vi.spyOn(process, 'emitWarning');
    const life = start({ ended: { deliver: () => new Promise<void>(() => {}) } });
    life.runs.set('a', {});
    life.registry.end('a');
    await settled();
    const leaving = life.registry[how]({ deadline: 1 });
    await machine.clock.advance(1);
    expect(await leaving).toMatchObject({ undelivered: 1 });
    expect(onWarning).not.toHaveBeenCalled();
    onWarning.mockRestore();
    expect(life.journalFailures).toEqual([]);
  });
});

it.each(['close', 'detach'] as const)('a journal that %s() gave back is not ill', async (how) => {
  const life = start();
  life.runs.set('a', {});
  await machine.clock.advance(1_000);
  await life.registry[how]();
  await machine.clock.advance(minutes(5));
  expect(life.registry.health()).toMatchObject({ status: 'warning', reasons: ['the registry is closed'] });
});

describe('flushed()', () => {
  it('resolves when all that was said is written, and not before', async () => {
    const life = start();
    const answer = hang();
    life.runs.set('a', {});
    let isFlushed = false;
    const flushed = life.registry.flushed().then(() => {
      isFlushed = true;
    });
    await machine.clock.advance(1_000);
    expect(isFlushed).toBe(false);
    answer();
    await flushed;
    expect(machine.volume.records.some((record) => record.includes('"a"'))).toBe(true);
  });

  it('has activity written, too, which is in no hurry', async () => {
    const life = start();
    life.runs.set('a', {});
    await machine.clock.advance(minutes(3));
    life.registry.touch('runs', 'a');
    await life.registry.flushed();
    expect(machine.volume.records.at(-1)).toContain('["active"');
  });

  it('resolves at once without a journal, and without anything to write', async () => {
    const registry = createRegistry({ clock: machine.clock, maps: { runs: {} } });
    await registry.flushed();
    registry.stop();
    const life = start();
    await life.registry.flushed();
    expect(machine.volume.records).toEqual([]);
  });

  it('rejects with the error of the disk, for those who wait and those who come', async () => {
    const life = start();
    fail('EIO');
    life.runs.set('a', {});
    await expect(life.registry.flushed()).rejects.toThrow('EIO');
    await expect(life.registry.flushed()).rejects.toThrow('EIO');
  });

  it('rejects after close() for what was said since, and comes back in any case', async () => {
    const life = start();
    life.runs.set('a', {});
    await life.registry.close();
    await life.registry.flushed();
    const other = start();
    hang();
    other.runs.set('b', {});
    const waiting = other.registry.flushed();
    const closing = other.registry.close({ deadline: '1s' });
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' }),
      machine.clock.advance(1_000),
      closing,
    ]);
    await expect(other.registry.flushed()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

describe('stop()', () => {
  it('keeps the journal going', async () => {
    const life = start();
    life.runs.set('a', {}).set('b', {});
    await settled();
    life.registry.stop();
    life.runs.set('c', {});
    life.registry.end('a');
    await machine.clock.advance(minutes(5));
    life.registry.touch('runs', 'b');
    await machine.clock.advance(minutes(1));
    expect(life.told).toMatchObject([{ key: 'a' }]);
    life.kill();
    const next = start();
    next.runs.set('a', {}).set('b', {}).set('c', {});
    expect(next.registry.end('a')).toBe('duplicate');
    expect(next.registry.stamps('runs', 'c')?.registeredAt).toBe(machine.clock.now() - minutes(6));
    expect(next.registry.stamps('runs', 'b')?.lastActiveAt).toBeGreaterThanOrEqual(
      machine.clock.now() - minutes(1),
    );
  });
});

it('that is lost while it is caught up with keeps nothing of the endings that come after', async () => {
  const life = start({ mostUnwrittenBytes: 2_000 });
  for (let n = 0; n < 200; n += 1) life.runs.set(n, {});
  await settled();
  const back = fail();
  for (let n = 0; n < 200; n += 1) life.contexts.set(n, {});
  await machine.clock.advance(2_000);
  back();
  machine.volume.beforeWrite = () => machine.volume.takeAway();
  await machine.clock.advance(30_000);
  expect(writerOf(life.registry)?.state).toMatchObject({ isLost: true });
  expect(writerOf(life.registry)?.isCatchingUp).toBe(false);
});

describe('a journal that was lost', () => {
  /** Somebody else has the folder now; what was in it is theirs. */
  const lose = () => {
    const { records } = machine.volume;
    machine.volume.takeAway();
    machine.volume = new MemoryVolume(records);
  };

  it('ends all deliveries, and that is said once', async () => {
    let isDown = true;
    const life = start({
      ended: { concurrency: 1, minDelay: 1_000, maxDelay: 1_000 },
      deliver: () => {
        if (isDown) throw new Error('down');
      },
    });
    for (const key of ['waiting', 'queued', 'more']) {
      life.runs.set(key, {});
      life.registry.end(key);
    }
    life.runs.set('open', {});
    await settled();
    lose();
    isDown = false;
    life.runs.set('now', {});
    await settled();
    expect(life.journalFailures.at(-1)).toMatchObject({ isFinal: true, error: { code: 'ERR_JOURNAL_LOST' } });
    const { length } = life.journalFailures;
    const { length: told } = life.told;
    life.registry.end('open');
    life.registry.end('now');
    await machine.clock.advance(minutes(20));
    expect(life.told).toHaveLength(told);
    expect(life.journalFailures).toHaveLength(length);
    await expect(life.registry.flushed()).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
    // Its rival delivers what was in it.
    const rival = start();
    await machine.clock.advance(minutes(11));
    expect(new Set(rival.told.map(({ key }) => key))).toEqual(new Set(['waiting', 'queued', 'more', 'open']));
  });

  it('delivers none of what an earlier life had left and that has not been tried yet', async () => {
    const first = start({ deliver: () => Promise.reject(new Error('down')) });
    for (let n = 0; n < 100; n += 1) first.runs.set(n, {});
    first.runs.clear();
    await settled();
    first.kill();
    const running: (() => void)[] = [];
    const next = start({
      ended: { concurrency: 2 },
      deliver: () => new Promise<void>((resolve) => running.push(resolve)),
    });
    await settled();
    expect(running).toHaveLength(2);
    lose();
    next.runs.set('a', {});
    await settled();
    // What runs may come to its end; nothing else starts.
    for (const finish of running) finish();
    await machine.clock.advance(minutes(5));
    expect(next.told).toHaveLength(2);
    expect(running).toHaveLength(2);
  });

  it('does not keep close() waiting', async () => {
    const life = start({ deliver: () => Promise.reject(new Error('down')) });
    life.runs.set('a', {});
    life.registry.end('a');
    await settled();
    lose();
    life.runs.set('b', {});
    await settled();
    const before = machine.clock.monotonic();
    expect(await life.registry.close()).toEqual({ undelivered: 1, undisposed: 0 });
    expect(machine.clock.monotonic()).toBe(before);
  });
});

describe('nothing is written', () => {
  const appends = (): { count: number } => {
    const counter = { count: 0 };
    machine.volume.beforeWrite = () => {
      counter.count += 1;
    };
    return counter;
  };

  it('when nothing changes, however long', async () => {
    const life = start();
    life.runs.set('a', {});
    life.contexts.set('a', {});
    await settled();
    const counter = appends();
    await machine.clock.advance(minutes(120));
    expect(counter.count).toBe(0);
  });

  it('by a life that does nothing', async () => {
    const counter = appends();
    const life = start();
    await machine.clock.advance(minutes(30));
    await life.registry.close();
    expect(counter.count).toBe(0);
    expect(machine.volume.records).toEqual([]);
  });

  it('of an entry that is touched but once an interval', async () => {
    const life = start();
    life.runs.set('a', {});
    await machine.clock.advance(minutes(2));
    const counter = appends();
    for (let second = 0; second < 600; second += 1) {
      life.registry.touch('runs', 'a');
      life.runs.set('a', {});
      life.runs.get('a');
      await machine.clock.advance(1_000);
    }
    expect(counter.count).toBeLessThanOrEqual(11);
  });

  it('of what is awaited but how long it was, once an interval, and only in its window', async () => {
    const first = start();
    first.runs.set('a', {});
    await settled();
    first.kill();
    const next = start();
    const counter = appends();
    await machine.clock.advance(minutes(9));
    expect(counter.count).toBeLessThanOrEqual(9);
    await machine.clock.advance(minutes(2));
    expect(next.told).toHaveLength(1);
    const { count } = counter;
    await machine.clock.advance(minutes(60));
    expect(counter.count).toBe(count);
  });
});

describe('a registry without a journal', () => {
  it('says nothing of one', async () => {
    const registry: Registry = createRegistry({
      clock: machine.clock,
      maps: { runs: {} },
      ended: { map: 'runs' },
    });
    expect(internalsOf(registry)?.restart.recorder).toBeUndefined();
    await registry.close();
  });
});
