import { afterEach, describe, expect, it } from 'vitest';
import { MapsweepError } from '../../src/errors.js';
import { internalsOf } from '../../src/registry/internals.js';
import type { Journal, JournalRecord, Portion, Successor } from '../../src/restart/journal.js';
import { hours, type Life, type LifeOptions, Machine, minutes } from './lives.js';
import { MemoryVolume } from './memory-journal.js';

const machines: Machine[] = [];

afterEach(() => {
  for (const machine of machines.splice(0)) machine.powerOff();
});

/** A machine whose journal is one that has peers: what its registry does for them. */
class Peer {
  readonly machine = new Machine();
  life!: Life;
  successor!: Successor;
  journal!: Journal;

  constructor(options: LifeOptions = {}) {
    machines.push(this.machine);
    this.start(options);
  }

  start(options: LifeOptions = {}): void {
    this.journal = Object.assign(this.machine.volume.open(), {
      join: (successor: Successor) => {
        this.successor = successor;
      },
    });
    this.life = this.machine.start({ ...options, journal: this.journal });
  }

  /** What is written, as another peer reads it. */
  get past(): JournalRecord[][] {
    return [this.machine.volume.records.map((record) => JSON.parse(record) as JournalRecord)];
  }

  async settle(): Promise<void> {
    await this.machine.clock.advance(0);
  }

  /** Dies for good. */
  async die(): Promise<void> {
    await this.settle();
    this.life.kill();
  }

  async restart(options: LifeOptions = {}): Promise<void> {
    await this.die();
    this.start(options);
  }

  /** Writes records as a journal does that shares them. */
  write(records: readonly string[]): void {
    this.machine.volume = new MemoryVolume([...this.machine.volume.records, ...records]);
  }
}

const dying = async (fill: (life: Life) => unknown, options: LifeOptions = {}): Promise<Peer> => {
  const peer = new Peer(options);
  fill(peer.life);
  await peer.die();
  return peer;
};

/** All that a dead one owed, in portions. */
async function portionsOf(heir: Peer, dead: Peer): Promise<Portion[]> {
  const portions: Portion[] = [];
  for await (const portion of (await heir.successor.examine(dead.past)) ?? []) portions.push(portion);
  return portions;
}

/** Takes over all that is owed, or at most so many portions of it, and returns how large the portions were. */
async function takeOver(heir: Peer, dead: Peer, most?: number): Promise<number[]> {
  const portions = (await portionsOf(heir, dead)).slice(0, most);
  for (const portion of portions) {
    await heir.successor.between(async () => {
      await heir.journal.append(portion.taken);
      portion.accept();
    });
    dead.write(portion.settled);
  }
  await heir.settle();
  return portions.map(({ taken }) => taken.length);
}

describe('what a dead owner owed', () => {
  it('is told as lost under its ids, and touches no key, claim or tombstone of the one who takes over', async () => {
    const dead = await dying(({ runs }) => runs.set('a', { text: 'of the dead' }).set('b', {}), {
      maps: { runs: { persist: { encode: (run: object) => run } } },
    });
    const heir = new Peer();
    heir.life.runs.set('a', {});
    const own = heir.life.registry.stamps('runs', 'a');
    await heir.machine.clock.advance(minutes(1));
    await takeOver(heir, dead);
    expect(heir.life.told.map(({ key, reason, value }) => [key, reason, value])).toEqual([
      ['a', 'lost', { text: 'of the dead' }],
      ['b', 'lost', {}],
    ]);
    expect(heir.life.ended).toEqual([]);
    expect(heir.life.registry.stamps('runs', 'a')).toMatchObject({ generation: own?.generation });
    expect(heir.life.registry.end('b')).toBe('unknown');
    expect(heir.life.registry.end('a')).toBe('claimed');
  });

  it('is taken over once: what is settled is not owed any more', async () => {
    const dead = await dying(({ runs }) => runs.set('a', {}));
    const heirs = [new Peer(), new Peer()] as const;
    for (const heir of heirs) await takeOver(heir, dead);
    expect(heirs.map(({ life }) => life.told.length)).toEqual([1, 0]);
  });

  it('comes in portions of 256', async () => {
    const dead = await dying(({ runs }) => {
      for (let run = 0; run < 600; run += 1) runs.set(run, {});
    });
    const heir = new Peer();
    expect(await takeOver(heir, dead)).toEqual([256, 256, 88]);
    await heir.machine.clock.advance(minutes(1));
    expect(heir.life.told.length).toBe(600);
  });

  it('is gone through in slices, though nearly all of its runs have ended', async () => {
    const dead = await dying(({ registry, runs }) => {
      for (let run = 0; run < 1_000; run += 1) {
        runs.set(run, {});
        if (run > 0) registry.end(run);
      }
    });
    let readings = 0;
    let turns = 0;
    const heir = new Peer({
      // Each look at it takes 1 ms.
      clock: (clock) => ({
        ...clock,
        monotonic: () => clock.monotonic() + ++readings,
        yield: async () => {
          turns += 1;
        },
      }),
    });
    const owed = await heir.successor.examine(dead.past);
    turns = 0;
    const portions: Portion[] = [];
    for await (const portion of owed ?? []) portions.push(portion);
    expect(portions.map(({ settled }) => settled.length)).toEqual([2]);
    expect(turns).toBeGreaterThan(100);
  });

  it('is told to every recipient of a run, though who takes over dies between any two portions', async () => {
    const names = ['a', 'b', 'c'];
    const runs = 100;
    const dead = await dying(({ runs: map }) => {
      for (let run = 0; run < runs; run += 1) map.set(run, {});
    });
    const told: string[] = [];
    const deliver = Object.fromEntries(
      names.map((name) => [name, ({ key }: { key: unknown }) => void told.push(`${name} ${key}`)]),
    );
    for (const portions of [1, undefined]) {
      const heir = new Peer({ ended: { deliver } });
      await takeOver(heir, dead, portions);
      await heir.machine.clock.advance(minutes(1));
      heir.life.kill();
    }
    expect(told.length).toBe(names.length * runs);
    expect(new Set(told).size).toBe(told.length);
  });

  it('is said to be owed to somebody whom this life does not have once, however many portions that takes', async () => {
    const away = (): never => {
      throw new Error('away');
    };
    const dead = await dying(
      ({ registry, runs }) => {
        for (let run = 0; run < 600; run += 1) runs.set(run, {});
        for (let run = 0; run < 600; run += 1) registry.end(run);
      },
      { ended: { deliver: { engine: away, audit: away } } },
    );
    const heir = new Peer({ ended: { deliver: { engine: () => {} } } });
    const messages: string[] = [];
    heir.life.registry.on('callback-failed', ({ error }) => messages.push((error as Error).message));
    await takeOver(heir, dead);
    await heir.machine.clock.advance(minutes(1));
    const counts = messages.map((message) => Number.parseInt(message, 10));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(600);
  });

  it('is told as it was claimed if it was, and a dead letter stays one', async () => {
    const deliver = async (): Promise<never> => {
      throw new Error('away');
    };
    const dead = await dying(
      ({ registry, runs }) => {
        runs.set('a', {}).set('b', {});
        registry.end('a', { reason: 'failed', detail: { exit: 1 } });
      },
      { deliver, ended: { attempts: 1 } },
    );
    const waiting = await dying(
      ({ registry, runs }) => {
        runs.set('c', {});
        registry.end('c');
      },
      { deliver },
    );
    const heir = new Peer();
    await takeOver(heir, dead);
    await takeOver(heir, waiting);
    await heir.machine.clock.advance(minutes(2));
    expect(heir.life.told.map(({ key, reason }) => [key, reason])).toEqual([
      ['b', 'lost'],
      ['c', 'completed'],
    ]);
    const [letter] = heir.life.registry.deadLetters();
    expect(letter).toMatchObject({ event: { key: 'a', reason: 'failed', detail: { exit: 1 } } });
  });

  it('is tried for all of giveUpAfter in running time, however long nobody was there to try it', async () => {
    const options: LifeOptions = { deliver: () => Promise.reject(new Error('down')) };
    const dead = await dying(async ({ runs, registry }) => {
      runs.set('a', {});
      registry.end('a');
    }, options);
    const tried = new Peer(options);
    await takeOver(tried, dead);
    await tried.machine.clock.advance(minutes(5));
    await tried.die();
    const heir = new Peer(options);
    await heir.machine.clock.advance(hours(72));
    await takeOver(heir, tried);
    await heir.machine.clock.advance(minutes(5));
    expect(heir.life.registry.deadLetters()).toEqual([]);
    await heir.machine.clock.advance(hours(24));
    expect(heir.life.registry.deadLetters()).toMatchObject([{ cause: 'given-up' }]);
  });

  it('is told once of runs that the owner names, though they were registered twice', async () => {
    const ended = { id: (run: { id?: unknown }) => run.id };
    const dead = await dying(
      ({ registry, runs }) => {
        runs.set('c', { id: 'two' }).set('a', { id: 'one' }).set('b', { id: 'one' });
        registry.end('c');
      },
      { ended },
    );
    const heir = new Peer({ ended });
    // Killed between the record of a registration and the one that says that another one has its run.
    dead.machine.volume = new MemoryVolume(
      dead.machine.volume.records.filter((record) => !record.startsWith('["quiet"')),
    );
    expect(await takeOver(heir, dead)).toEqual([1]);
    expect(heir.life.told.map(({ id, reason }) => [id, reason])).toEqual([['one', 'lost']]);
    heir.life.runs.set('x', { id: 'one' });
    expect(heir.life.registry.end('x')).toBe('claimed');
  });

  describe('under an id that was used before', () => {
    const ended = { id: (run: { id?: unknown }) => run.id, attempts: 1, tombstones: { ttl: '1h' } };
    let isDown = false;
    const deliver = (): void => {
      if (isDown) throw new Error('down');
    };

    afterEach(() => {
      isDown = false;
    });

    const end = async ({ life, machine }: Peer, id = 'one'): Promise<void> => {
      life.runs.set('a', { id });
      expect(life.registry.end('a')).toBe('claimed');
      await machine.clock.advance(0);
      life.runs.delete('a');
    };
    /** It begins once more, and its owner is killed before it is written that this is no run, if it is none. */
    const beginAndDie = async (dead: Peer): Promise<void> => {
      dead.life.runs.set('a', { id: 'one' });
      await dead.die();
      const { records } = dead.machine.volume;
      const last = records.findIndex((record) => record.startsWith('["quiet"'));
      dead.machine.volume = new MemoryVolume(records.slice(0, last < 0 ? undefined : last));
    };
    const toldOf = async (dead: Peer): Promise<unknown[]> => {
      const heir = new Peer({ ended });
      await heir.machine.clock.advance(dead.machine.clock.now() - heir.machine.clock.now());
      await takeOver(heir, dead);
      await heir.machine.clock.advance(minutes(2));
      await takeOver(heir, dead);
      return heir.life.told.map(({ id, reason }) => [id, reason]);
    };

    it('is told once of a run that began when the one before was forgotten', async () => {
      const dead = new Peer({ ended });
      await end(dead);
      await dead.machine.clock.advance(hours(1));
      await beginAndDie(dead);
      expect(await toldOf(dead)).toEqual([['one', 'lost']]);
    });

    it('is told of a run that began when the one before was forgotten, in the place of its dead letter', async () => {
      const dead = new Peer({ ended, deliver });
      isDown = true;
      await end(dead);
      await dead.machine.clock.advance(hours(1));
      await beginAndDie(dead);
      isDown = false;
      expect(await toldOf(dead)).toEqual([['one', 'lost']]);
    });

    it('is told of it where the ending of the one before is owed to others alone', async () => {
      const told: unknown[] = [];
      const to =
        (name: string, away = false) =>
        (event: { reason: string }) => {
          if (away) throw new Error('away');
          told.push([name, event.reason]);
        };
      const both = (isAway: boolean) => ({
        ended: { ...ended, attempts: 9_999, deliver: { a: to('a', isAway), b: to('b') } },
      });
      const dead = new Peer(both(true));
      await end(dead);
      await dead.machine.clock.advance(hours(1));
      await beginAndDie(dead);
      expect(told.splice(0)).toEqual([['b', 'completed']]);
      const heir = new Peer(both(false));
      await heir.machine.clock.advance(dead.machine.clock.now() - heir.machine.clock.now());
      await takeOver(heir, dead);
      await heir.machine.clock.advance(minutes(2));
      expect(told).toEqual([
        ['a', 'completed'],
        ['b', 'lost'],
      ]);
    });

    it('is not told of a registration that came before that', async () => {
      const dead = new Peer({ ended });
      await end(dead);
      await dead.machine.clock.advance(hours(1) - 1_000);
      await beginAndDie(dead);
      expect(await toldOf(dead)).toEqual([]);
    });

    it('goes by the latest of several ends, though an older one was told of later', async () => {
      const dead = new Peer({ ended, deliver });
      isDown = true;
      await end(dead);
      isDown = false;
      await dead.machine.clock.advance(hours(2));
      await end(dead, 'two');
      internalsOf(dead.life.registry)?.restart.recorder?.writer.checkpoint();
      await dead.settle();
      expect(dead.life.registry.redeliver('one')).toBe(true);
      await dead.settle();
      await beginAndDie(dead);
      // A life of an earlier version took an id that it still owed for that of another run.
      const records = dead.machine.volume.records.map((record) => record.replaceAll('"two"', '"one"'));
      dead.machine.volume = new MemoryVolume(records);
      expect(await toldOf(dead)).toEqual([]);
    });
  });

  it('is not for a registry whose runs are of another map, that only observes, or that has nobody to tell', async () => {
    const dead = await dying(({ runs }) => runs.set('a', {}));
    const other = new Peer({
      ended: { map: 'contexts' },
      maps: { contexts: { follows: undefined, orphanAfter: undefined } },
    });
    expect(await other.successor.examine(dead.past)).toBeUndefined();
    expect(new Peer({ maps: { runs: { mode: 'observe' } } }).successor.mayTakeOver).toBe(false);
    expect(new Peer({ deliver: 'none' }).successor.mayTakeOver).toBe(false);
    expect(new Peer().successor.mayTakeOver).toBe(true);
  });

  it('is as old as it was, by the clock of the one who takes over, though the other one was an hour ahead', async () => {
    const dead = new Peer({ clock: (clock) => ({ ...clock, now: () => clock.now() + hours(1) }) });
    dead.life.runs.set('a', {});
    await dead.die();
    const heir = new Peer();
    await heir.machine.clock.advance(minutes(5));
    const [portion] = (await portionsOf(heir, dead)) as [Portion];
    const [, , , , endedAt, age, idle] = JSON.parse(portion.taken[0] as string) as [...unknown[]] as number[];
    expect(endedAt).toBe(heir.machine.clock.now());
    expect([age, idle].every((ms) => (ms as number) >= 0)).toBe(true);
  });

  it.each(['open', 'claimed'])(
    'is delivered in the next life if this one dies before, and claims nothing there, %s as it was',
    async (state) => {
      const never = { deliver: () => new Promise(() => {}) };
      const dead = await dying(({ registry, runs }) => {
        runs.set('theirs', {});
        if (state === 'claimed') registry.end('theirs');
      }, never);
      const heir = new Peer(never);
      heir.life.runs.set('own', {});
      await heir.settle();
      await takeOver(heir, dead);
      await heir.restart();
      heir.life.runs.set('own', {});
      await heir.settle();
      expect(heir.life.told.map(({ key }) => key)).toEqual(['theirs']);
      expect(heir.life.registry.end('own')).toBe('claimed');
    },
  );

  it('survives a checkpoint of the one who has taken it over, whatever ids its own runs have', async () => {
    const dead = await dying(({ runs }) => runs.set('theirs', { id: 'x' }), {
      ended: { id: (run: { id?: unknown }) => run.id },
    });
    const options: LifeOptions = {
      deliver: () => new Promise(() => {}),
      ended: { id: (run: { id?: unknown }) => run.id },
    };
    const heir = new Peer(options);
    heir.life.runs.set('own', { id: 'own' });
    await takeOver(heir, dead);
    // So many lives that say something are written anew.
    for (let life = 0; life < 9; life += 1) {
      await heir.restart(options);
      heir.life.runs.set('own', { id: 'own' });
    }
    await heir.restart({ ended: options.ended as object });
    await heir.settle();
    expect(heir.life.told.map(({ key }) => key)).toEqual(['theirs']);
    heir.life.runs.set('own', { id: 'own' }).set('another', { id: 'x' });
    expect(heir.life.registry.end('own')).toBe('claimed');
    expect(heir.life.registry.end('another')).toBe('claimed');
  });
});

describe('an owner from whom peers have taken over', () => {
  const settledBy = async (heir: Peer, from: Peer): Promise<JournalRecord[]> => {
    return (await portionsOf(heir, from)).flatMap(({ settled }) =>
      settled.map((record) => JSON.parse(record) as JournalRecord),
    );
  };

  it('counts those runs as ended, drops what it has not delivered of them, says so, and goes on with the rest', async () => {
    let isAway = true;
    const owner = new Peer({
      deliver: async () => {
        if (isAway) throw new Error('away');
      },
    });
    const { registry, runs } = owner.life;
    runs.set('a', {}).set('b', {}).set('c', {});
    registry.end('a');
    await owner.settle();
    const settled = await settledBy(new Peer(), owner);
    // While it was cut off.
    registry.end('b');
    runs.set('d', {});
    await owner.successor.forfeit(settled);
    isAway = false;
    await owner.machine.clock.advance(minutes(5));
    expect(owner.life.told).toEqual([]);
    expect(['a', 'b', 'c', 'd'].map((key) => registry.end(key))).toEqual([
      'duplicate',
      'duplicate',
      'duplicate',
      'claimed',
    ]);
    await owner.settle();
    expect(owner.life.told.map(({ key }) => key)).toEqual(['d']);
    expect(owner.life.journalFailures).toMatchObject([
      { isFinal: false, error: { code: 'ERR_JOURNAL_TAKEN_OVER' } },
    ]);
    // Nor does its next life tell of them.
    await owner.restart();
    await owner.machine.clock.advance(minutes(30));
    expect(owner.life.told).toEqual([]);
  });

  it('does not end what has not come back since its last life', async () => {
    const owner = new Peer();
    owner.life.runs.set('a', {}).set('b', {});
    await owner.restart();
    const settled = await settledBy(new Peer(), owner);
    await owner.successor.forfeit(settled.filter(([kind, what]) => kind !== 'quiet' || what === 1));
    expect(owner.life.registry.end('a')).toBe('duplicate');
    await owner.machine.clock.advance(minutes(20));
    expect(owner.life.told.map(({ key, reason }) => [key, reason])).toEqual([['b', 'lost']]);
  });

  it('keeps nothing of them for recipients whom only another life has', async () => {
    const told: string[] = [];
    const tell = (name: string) => (event: { readonly key: unknown }) =>
      void told.push(`${name}: ${event.key}`);
    const away = (): never => {
      throw new Error('away');
    };
    const both = { ended: { deliver: { engine: away, audit: away } } };
    const owner = new Peer(both);
    owner.life.runs.set('a', {}).set('b', {});
    owner.life.registry.end('a');
    await owner.restart({ ended: { deliver: { engine: away } } });
    await owner.settle();
    const settled = await settledBy(new Peer(both), owner);
    owner.life.runs.set('c', {});
    await owner.successor.forfeit(settled);
    owner.life.registry.end('c');
    await owner.restart({ ended: { deliver: { engine: tell('engine'), audit: tell('audit') } } });
    await owner.machine.clock.advance(minutes(30));
    expect(told).toEqual(['engine: c']);
  });

  it('makes no dead letter of an attempt that was under way, however that ends', async () => {
    for (const end of ['rejects', 'times out'] as const) {
      let reject: (error: Error) => void = () => {};
      const owner = new Peer({
        deliver: () =>
          new Promise((_, rejectPromise) => {
            reject = rejectPromise;
          }),
        ended: { attempts: 1, attemptTimeout: '10s' },
      });
      owner.life.runs.set('a', {});
      owner.life.registry.end('a');
      await owner.settle();
      await owner.successor.forfeit(await settledBy(new Peer(), owner));
      if (end === 'rejects') reject(new Error('too late'));
      await owner.machine.clock.advance(minutes(1));
      expect(owner.life.registry.deadLetters()).toEqual([]);
      expect(owner.life.registry.report().endings?.pending).toBe(0);
    }
  });
});

describe('work between two calls of the journal', () => {
  it('waits for the append before it, and lets the next one wait', async () => {
    const peer = new Peer();
    const order: string[] = [];
    const writes: (() => void)[] = [];
    peer.machine.volume.beforeWrite = () =>
      new Promise((resolve) => {
        writes.push(() => {
          order.push('append');
          resolve();
        });
      });
    peer.life.runs.set('a', {});
    await peer.settle();
    let finish: () => void = () => {};
    const between = peer.successor.between(
      () =>
        new Promise((resolve) => {
          order.push('begins');
          finish = () => {
            order.push('ends');
            resolve();
          };
        }),
    );
    peer.life.runs.set('b', {});
    await peer.settle();
    expect(order).toEqual([]);
    writes.shift()?.();
    await peer.settle();
    expect(order).toEqual(['append', 'begins']);
    finish();
    await between;
    await peer.settle();
    writes.shift()?.();
    await peer.settle();
    expect(order).toEqual(['append', 'begins', 'ends', 'append']);
  });

  it('rejects as the work does, and once the journal was given back', async () => {
    const peer = new Peer();
    await expect(
      peer.successor.between(async () => {
        throw new Error('refused');
      }),
    ).rejects.toThrow('refused');
    peer.machine.volume.beforeWrite = () => new Promise(() => {});
    peer.life.runs.set('a', {});
    await peer.settle();
    const waiting = peer.successor.between(async () => {});
    const closed = peer.life.registry.close();
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' }),
      peer.machine.clock.advance(minutes(1)),
      closed,
    ]);
    await expect(peer.successor.between(async () => {})).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

describe('a loss that a peer finds out between its writes', () => {
  const loss = new MapsweepError('ERR_JOURNAL_LOST', "the journal is no longer this process's");

  it('is final at once, though a write is under way or waits after a failure, and is told once', async () => {
    for (const state of ['at rest', 'fails late', 'comes late', 'failing'] as const) {
      const peer = new Peer({ deliver: () => Promise.reject(new Error('down')) });
      const { life, machine, successor } = peer;
      life.runs.set('a', {}).set('b', {});
      life.registry.end('a');
      await peer.settle();
      let answer: (error?: Error) => void = () => {};
      machine.volume.beforeWrite = () => {
        if (state === 'failing') return Promise.reject(new Error('full'));
        return new Promise((resolve, reject) => {
          answer = (error) => (error === undefined ? resolve() : reject(error));
        });
      };
      if (state !== 'at rest') life.registry.end('b');
      await peer.settle();
      life.journalFailures.splice(0);
      const isHanging = state.endsWith('late');
      const between = isHanging ? successor.between(async () => {}) : Promise.reject(loss);
      const flushed = isHanging ? life.registry.flushed() : Promise.reject(loss);
      const told = life.told.length;
      successor.lost(loss);
      await Promise.all([
        expect(between).rejects.toBeInstanceOf(MapsweepError),
        expect(flushed).rejects.toBe(loss),
        expect(life.registry.flushed()).rejects.toBe(loss),
      ]);
      answer(state === 'fails late' ? new Error('too late') : undefined);
      life.runs.set('c', {});
      life.registry.end('c');
      await machine.clock.advance(hours(1));
      expect(life.journalFailures).toMatchObject([{ error: loss, isFinal: true }]);
      expect(life.told.length).toBe(told);
      expect(life.registry.health().reasons[0]).toContain("is no longer this process's");
      await expect(life.registry.flushed()).rejects.toBe(loss);
    }
  });
});
