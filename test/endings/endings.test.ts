import {
  createRegistry,
  type DeliveryContext,
  type EndedEvent,
  type EndedPolicy,
  type PolicyOf,
} from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { StubbornMap } from '../maps/owner-maps.js';
import { slowClock } from '../time/slow-clock.js';

interface Run {
  announced?: boolean;
  endedAt?: number;
}
type Runs = Map<string, Run>;
type Ended = Omit<EndedPolicy<string, Run, 'runs'>, 'map'>;

/** A registry of runs whose endings are written down, on the bus and as they are delivered. */
function runsRegistry(policy: PolicyOf<Runs> = {}, ended: Ended = {}, options: object = {}) {
  const clock = createManualClock();
  const told: string[] = [];
  const events: EndedEvent[] = [];
  const delivered: EndedEvent<string, Run>[] = [];
  const registry = createRegistry<{ runs: Runs }>({
    maps: { runs: policy },
    ended: { map: 'runs', deliver: (event) => void delivered.push(event), ...ended },
    clock,
    ...options,
  });
  registry.on('subagent-ended', (event) => {
    events.push(event);
    told.push(`${String(event.key)} ${event.reason}`);
  });
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  const endings = () => registry.report().endings;
  return { clock, registry, runs: registry.maps.runs, told, events, delivered, end, endings };
}

describe('end()', () => {
  it('claims once, then is a duplicate, and is unknown for a key that was never registered', async () => {
    const { clock, registry, runs, told, delivered, endings, end } = runsRegistry();
    runs.set('a', {});
    expect(registry.end('a')).toBe('claimed');
    expect(registry.end('a', { reason: 'failed' })).toBe('duplicate');
    expect(registry.end('nobody')).toBe('unknown');
    expect(told).toEqual(['a completed']);
    await clock.advance(0);
    expect(delivered.map(({ key }) => key)).toEqual(['a']);
    expect(endings()).toMatchObject({ duplicates: 1, delivered: 1, pending: 0, tombstones: 1 });
    end();
  });

  it('leaves the entry, whose later removal by any path tells nobody a second time (openclaw#52731)', async () => {
    for (const leave of ['delete', 'clear', 'sweep'] as const) {
      const { clock, registry, runs, told, delivered, end } = runsRegistry({ ttl: '5m' });
      runs.set('a', {});
      registry.end('a');
      expect(runs.has('a')).toBe(true);
      if (leave === 'sweep') await clock.advance(300_000);
      else runs[leave]('a');
      await clock.advance(0);
      expect(runs.size).toBe(0);
      expect(told).toEqual(['a completed']);
      expect(delivered.length).toBe(1);
      expect(registry.end('a')).toBe('duplicate');
      end();
    }
  });

  it('tells of everything: id, key, generation, reason, instants, value and detail', async () => {
    const { clock, registry, runs, events, delivered, end } = runsRegistry();
    const value: Run = { endedAt: 1 };
    const registeredAt = clock.now();
    runs.set('a', value);
    await clock.advance(1_000);
    registry.touch('runs', 'a');
    await clock.advance(500);
    const detail = { outcome: 'ok' };
    registry.end('a', { reason: 'aborted by user', detail });
    expect(events).toEqual([
      {
        id: expect.stringMatching(/^.{8,}$/),
        key: 'a',
        generation: registry.stamps('runs', 'a')?.generation,
        reason: 'aborted by user',
        registeredAt,
        lastActiveAt: registeredAt + 1_000,
        endedAt: registeredAt + 1_500,
        value,
        detail,
      },
    ]);
    expect(events[0]?.value).toBe(value);
    await clock.advance(0);
    expect(delivered[0]).toEqual(events[0]);
    end();
  });

  it('gives ids that no two registrations share, also across registries and generations', () => {
    const ids = new Set<string>();
    for (let n = 0; n < 3; n += 1) {
      const { registry, runs, events, end } = runsRegistry();
      for (let round = 0; round < 3; round += 1) {
        runs.set('a', {}).set('b', {});
        registry.end('a');
        runs.clear();
      }
      for (const { id } of events) ids.add(id);
      expect(events.length).toBe(6);
      end();
    }
    expect(ids.size).toBe(18);
  });

  it('with a generation means that registration: late news of an earlier one does not end the present one', () => {
    const { registry, runs, told, end } = runsRegistry();
    runs.set('a', {});
    const first = registry.stamps('runs', 'a')?.generation as number;
    runs.delete('a');
    runs.set('a', {});
    const second = registry.stamps('runs', 'a')?.generation as number;
    expect(second).toBeGreaterThan(first);
    expect(registry.end('a', { generation: first })).toBe('duplicate');
    expect(told).toEqual(['a deleted']);
    expect(registry.end('a', { generation: second + 1 })).toBe('unknown');
    expect(registry.end('a', { generation: second })).toBe('claimed');
    expect(registry.end('a', { generation: second })).toBe('duplicate');
    runs.delete('a');
    expect(registry.end('a', { generation: first })).toBe('duplicate');
    expect(registry.end('a', { generation: second })).toBe('duplicate');
    expect(registry.end('a', { generation: second + 1 })).toBe('unknown');
    expect(told).toEqual(['a deleted', 'a completed']);
    end();
  });

  it('ends an entry that was written past the wrapper', () => {
    const { registry, runs, told, end } = runsRegistry();
    Map.prototype.set.call(runs, 'a', {});
    expect(registry.end('a')).toBe('claimed');
    expect(told).toEqual(['a completed']);
    end();
  });

  it('gives unknown in a registry that announces no endings', () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Runs }>({ maps: { runs: {} }, clock });
    registry.maps.runs.set('a', {});
    expect(registry.end('a')).toBe('unknown');
    expect(registry.transfer('a', 'b')).toBe('unknown');
    registry.stop();
  });

  it.each<[string, unknown, string]>([
    ['options that are null', null, 'options must be an object of options; received null'],
    ['options that are 0', 0, 'options must be an object of options; received 0'],
    ['an empty reason', { reason: '' }, 'reason'],
    ['a reason that is no text', { reason: 7 }, 'reason'],
    ['a generation of 0', { generation: 0 }, 'generation'],
    ['a misspelt option', { reson: 'x' }, "Did you mean 'reason'"],
  ])('refuses %s, and claims nothing', (_, options, part) => {
    const { registry, runs, told, end } = runsRegistry();
    runs.set('a', {});
    expect(() => registry.end('a', options as object)).toThrow(part);
    expect(told).toEqual([]);
    expect(registry.end('a')).toBe('claimed');
    end();
  });

  it.each([Number.NaN, -0, null, undefined, Symbol('run'), { run: 1 }, () => {}, 1n])(
    'works for the key %o, and after it has left',
    (key) => {
      const clock = createManualClock();
      const registry = createRegistry<{ runs: Map<unknown, number> }>({
        maps: { runs: {} },
        ended: { map: 'runs' },
        clock,
      });
      registry.maps.runs.set(key, 1);
      expect(registry.end(key)).toBe('claimed');
      registry.maps.runs.delete(key);
      expect(registry.end(key)).toBe('duplicate');
      registry.stop();
    },
  );
});

describe('each registration ends exactly once, by the first path that comes', () => {
  it('deleted or cleared by the owner', () => {
    const { runs, told, end, endings } = runsRegistry();
    runs.set('a', {}).set('b', {}).set('c', {});
    runs.delete('a');
    runs.clear();
    expect(told).toEqual(['a deleted', 'b deleted', 'c deleted']);
    expect(endings()?.ended).toMatchObject({ deleted: 3, completed: 0 });
    end();
  });

  it('swept, evicted', async () => {
    const { clock, runs, told, end, endings } = runsRegistry({ ttl: '5m', maxEntries: 1 });
    runs.set('a', {});
    await clock.advance(1);
    runs.set('b', {});
    await clock.advance(1);
    expect(told).toEqual(['a evicted']);
    await clock.advance(360_000);
    expect(told).toEqual(['a evicted', 'b swept']);
    expect(endings()?.ended).toMatchObject({ evicted: 1, swept: 1 });
    end();
  });

  it('vanished past the wrapper: deleted, at the next sweep, without a value', async () => {
    const { registry, runs, events, end } = runsRegistry();
    runs.set('a', {});
    Map.prototype.delete.call(runs, 'a');
    await registry.sweep();
    expect(events).toMatchObject([{ key: 'a', reason: 'deleted', value: undefined }]);
    end();
  });

  it('not by being replaced or touched', () => {
    const { registry, runs, told, end } = runsRegistry();
    runs.set('a', {}).set('a', {});
    registry.touch('runs', 'a');
    expect(told).toEqual([]);
    expect(registry.end('a')).toBe('claimed');
    end();
  });

  it('again for each later registration of its key', () => {
    const { registry, runs, told, events, end } = runsRegistry();
    for (let n = 0; n < 3; n += 1) {
      runs.set('a', {});
      registry.end('a', { reason: `r${n}` });
      registry.end('a');
      runs.delete('a');
    }
    expect(told).toEqual(['a r0', 'a r1', 'a r2']);
    expect(new Set(events.map(({ generation }) => generation)).size).toBe(3);
    end();
  });

  it('free-form reasons are counted as other', () => {
    const { registry, runs, endings, end } = runsRegistry();
    runs.set('a', {}).set('b', {}).set('c', {});
    registry.end('a', { reason: 'aborted' });
    registry.end('b', { reason: 'toString' });
    registry.end('c', { reason: 'lost' });
    expect(endings()?.ended).toEqual({ completed: 0, swept: 0, evicted: 0, deleted: 0, lost: 1, other: 2 });
    end();
  });
});

describe('settled', () => {
  const live = () =>
    new Map<string, Run>([
      ['old', { announced: true }],
      ['open', {}],
    ]);

  it('says which adopted entries were announced before: those are never announced again', async () => {
    const { clock, registry, runs, told, end } = runsRegistry(
      { adopt: live(), ttl: '5m' },
      { settled: (run) => run.announced === true },
    );
    expect(registry.end('old')).toBe('duplicate');
    await clock.advance(300_000);
    expect(runs.size).toBe(0);
    expect(told).toEqual(['open swept']);
    end();
  });

  it('without it every adopted entry has its end still to come', () => {
    const { registry, runs, told, end } = runsRegistry({ adopt: live() });
    expect(registry.end('old')).toBe('claimed');
    runs.delete('open');
    expect(told).toEqual(['old completed', 'open deleted']);
    end();
  });

  it('is asked once an entry, with value and key, and not about later registrations', () => {
    const asked: unknown[] = [];
    const { runs, told, end } = runsRegistry(
      { adopt: live() },
      {
        settled: (run, key) => {
          asked.push([run, key]);
          return true;
        },
      },
    );
    runs.set('new', { announced: true });
    runs.delete('old');
    runs.set('old', { announced: true });
    runs.delete('old');
    runs.delete('new');
    expect(asked).toEqual([
      [{ announced: true }, 'old'],
      [{}, 'open'],
    ]);
    expect(told).toEqual(['old deleted', 'new deleted']);
    end();
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw null;
      },
    ],
    ['answers a promise', async () => true],
    ['answers a promise that rejects', async () => Promise.reject(new Error('late'))],
  ])('counts as no where it %s, which is counted: the end is told rather twice than never', (_, settled) => {
    const { registry, told, end } = runsRegistry({ adopt: live() }, { settled: settled as never });
    expect(registry.report().callbackErrors).toEqual([{ map: 'runs', callback: 'settled', count: 2 }]);
    expect(registry.end('old')).toBe('claimed');
    expect(told).toEqual(['old completed']);
    end();
  });

  it('may change the map that it is asked about', async () => {
    const adopted = live();
    const asked: string[] = [];
    const { clock, runs, delivered, end } = runsRegistry(
      { adopt: adopted },
      {
        settled: (_run, key) => {
          asked.push(key);
          if (key === 'old') {
            adopted.delete('open');
            adopted.set('new', {});
          }
          return true;
        },
      },
    );
    expect([...runs.keys()]).toEqual(['old', 'new']);
    expect(asked).toEqual(['old']);
    runs.clear();
    await clock.advance(0);
    expect(delivered.map(({ key }) => key)).toEqual(['open', 'new']);
    end();
  });
});

describe('transfer()', () => {
  it('to a run that has ended is a duplicate, and the run goes on under its own key', () => {
    const { registry, runs, told, endings, end } = runsRegistry();
    runs.set('to', {});
    registry.end('to');
    runs.set('from', {});
    expect(registry.transfer('from', 'to')).toBe('duplicate');
    expect(endings()?.duplicates).toBe(1);
    runs.delete('from');
    expect(told).toEqual(['to completed', 'from deleted']);
    end();
  });

  it('ends the old key without telling anybody; the end of the new one is the end of both', async () => {
    const { clock, registry, runs, told, delivered, events, end } = runsRegistry();
    runs.set('from', {});
    await clock.advance(5_000);
    runs.set('to', {});
    const stamps = registry.stamps('runs', 'to');
    expect(registry.transfer('from', 'to')).toBe('transferred');
    expect(runs.has('from')).toBe(true);
    expect(registry.stamps('runs', 'to')).toEqual(stamps);
    runs.delete('from');
    await clock.advance(0);
    expect(told).toEqual([]);
    expect(registry.end('from')).toBe('duplicate');
    expect(registry.end('to')).toBe('claimed');
    await clock.advance(0);
    expect(told).toEqual(['to completed']);
    expect(delivered.length).toBe(1);
    expect(events[0]?.registeredAt).toBe(stamps?.registeredAt);
    end();
  });

  it('is a duplicate where the old run has ended, and unknown where either key is', () => {
    const { registry, runs, told, end } = runsRegistry();
    runs.set('from', {}).set('to', {});
    expect(registry.transfer('nobody', 'to')).toBe('unknown');
    expect(registry.transfer('from', 'nobody')).toBe('unknown');
    expect(registry.transfer('from', 'from')).toBe('transferred');
    registry.end('from');
    expect(registry.transfer('from', 'to')).toBe('duplicate');
    runs.delete('from');
    expect(registry.transfer('from', 'to')).toBe('duplicate');
    expect(told).toEqual(['from completed']);
    expect(registry.end('to')).toBe('claimed');
    end();
  });

  it('twice is a duplicate; along a chain of restarts the last key ends', () => {
    const { registry, runs, told, end } = runsRegistry();
    runs.set('a', {}).set('b', {});
    expect(registry.transfer('a', 'b')).toBe('transferred');
    expect(registry.transfer('a', 'b')).toBe('duplicate');
    runs.delete('a');
    runs.set('c', {});
    expect(registry.transfer('b', 'c')).toBe('transferred');
    runs.delete('b');
    runs.delete('c');
    expect(told).toEqual(['c deleted']);
    end();
  });

  it('works for entries that were written past the wrapper', () => {
    const { registry, runs, told, end } = runsRegistry();
    Map.prototype.set.call(runs, 'from', {});
    Map.prototype.set.call(runs, 'to', {});
    expect(registry.transfer('from', 'to')).toBe('transferred');
    runs.clear();
    expect(told).toEqual(['to deleted']);
    end();
  });
});

describe('transfer() to a second registration of the same run, from inside of the delete of that one', () => {
  it.each(['delete', 'sweep', 'clear'] as const)('by %s: the run ends once, and is told', async (how) => {
    const results: string[] = [];
    class Transferring extends Map<string, Run> {
      override delete(key: string): boolean {
        if (key === 'second') results.push(registry.transfer('first', 'second'));
        return super.delete(key);
      }
      override clear(): void {
        results.push(registry.transfer('first', 'second'));
        super.clear();
      }
    }
    const adopted = new Transferring();
    const { clock, registry, told, delivered, endings, end } = runsRegistry(
      { adopt: adopted, maxIdle: '5m' },
      { id: () => 'run' },
    );
    adopted.set('first', {}).set('second', {});
    await clock.advance(200_000);
    registry.touch('runs', 'first');
    if (how === 'sweep') await clock.advance(100_000);
    else adopted[how]('second');
    // A clear ends the run where it is, before anything of the owner's runs.
    expect([results, told]).toEqual(
      how === 'clear'
        ? [['duplicate'], ['first deleted']]
        : [['transferred'], [how === 'sweep' ? 'second swept' : 'second deleted']],
    );
    expect(registry.end('first')).toBe('duplicate');
    adopted.clear();
    await clock.advance(0);
    expect(delivered.map(({ id }) => id)).toEqual(['run']);
    expect([told.length, endings()?.pending]).toEqual([1, 0]);
    end();
  });
});

describe('a claim that is withdrawn', () => {
  function stubborn(policy: PolicyOf<Runs> = {}) {
    const adopted = new StubbornMap<string, Run>();
    const registry = runsRegistry({ adopt: adopted, ...policy });
    adopted.set('a', {});
    return { ...registry, adopted };
  }

  it.each([true, { before: new Error('locked') }])(
    'where a sweep meets a delete that refuses (%o): nothing is said until it lets the entry go',
    async (obstacle) => {
      const { clock, registry, adopted, told, delivered, endings, end } = stubborn({ ttl: '5m' });
      adopted.obstacle = obstacle;
      await clock.advance(360_000);
      expect(adopted.attempts).toBe(2);
      expect(told).toEqual([]);
      expect(endings()).toMatchObject({ ended: { swept: 0 }, tombstones: 0, duplicates: 0, pending: 0 });
      adopted.obstacle = false;
      await clock.advance(60_000);
      expect(told).toEqual(['a swept']);
      expect(delivered.length).toBe(1);
      expect(registry.end('a')).toBe('duplicate');
      end();
    },
  );

  it('where the owner’s own delete or clear refuses', () => {
    const { registry, adopted, runs, told, end } = stubborn();
    adopted.obstacle = true;
    expect(runs.delete('a')).toBe(false);
    runs.clear();
    adopted.obstacle = { before: 'no' };
    expect(() => runs.delete('a')).toThrow('no');
    expect(told).toEqual([]);
    expect(registry.end('a')).toBe('claimed');
    expect(told).toEqual(['a completed']);
    end();
  });

  it('where a clear removes some and then throws: those that left have ended, the others not', () => {
    const { registry, adopted, runs, told, end } = stubborn();
    adopted.set('b', {}).set('c', {});
    let calls = 0;
    Object.defineProperty(adopted, 'obstacle', {
      get: () => {
        calls += 1;
        return calls > 2 ? { before: 'stuck' } : false;
      },
    });
    expect(() => runs.clear()).toThrow('stuck');
    expect(told).toEqual(['a deleted', 'b deleted']);
    expect(registry.end('c')).toBe('claimed');
    end();
  });

  it('where the delete throws after it has removed the entry, the claim stands', async () => {
    const { clock, adopted, told, end } = stubborn({ ttl: '5m' });
    adopted.obstacle = { after: new Error('late') };
    await clock.advance(300_000);
    expect(told).toEqual(['a swept']);
    end();
  });

  it('gives the tombstone back that it had covered: an earlier registration stays a duplicate', async () => {
    const { clock, registry, adopted, runs, told, end } = stubborn({ ttl: '5m' });
    const first = registry.stamps('runs', 'a')?.generation as number;
    runs.delete('a');
    runs.set('a', {});
    adopted.obstacle = true;
    await clock.advance(300_000);
    expect(told).toEqual(['a deleted']);
    expect(registry.end('a', { generation: first })).toBe('duplicate');
    expect(registry.end('a')).toBe('claimed');
    end();
  });

  it.each([
    ['refuses', () => false],
    ['throws', () => expect.fail('no')],
    ['then lets it go', undefined],
  ])('is claimed by whoever ends the run inside of a delete that %s, and told of once', async (_, refuse) => {
    const inside: string[] = [];
    class Announcing extends Map<string, Run> {
      override delete(key: string): boolean {
        inside.push(registry.end(key, { reason: 'closing' }));
        return refuse?.() ?? super.delete(key);
      }
    }
    const adopted = new Announcing([['a', {}]]);
    const { clock, registry, told, delivered, endings, end } = runsRegistry({ adopt: adopted, ttl: '5m' });
    await clock.advance(300_000);
    expect([inside, told]).toEqual([['claimed'], ['a closing']]);
    refuse = undefined;
    await clock.advance(60_000);
    expect([inside.at(-1), adopted.size, told]).toEqual([
      inside.length > 1 ? 'duplicate' : 'claimed',
      0,
      ['a closing'],
    ]);
    expect(delivered).toMatchObject([{ key: 'a', reason: 'closing' }]);
    expect(endings()).toMatchObject({ ended: { other: 1, swept: 0 }, pending: 0, tombstones: 1 });
    end();
  });

  it('is a duplicate to whoever ends the run inside of the delete once that has let the entry go', async () => {
    const inside: string[] = [];
    class Late extends Map<string, Run> {
      override delete(key: string): boolean {
        const wasThere = super.delete(key);
        inside.push(registry.end(key));
        return wasThere;
      }
    }
    const { clock, registry, told, end } = runsRegistry({ adopt: new Late([['a', {}]]), ttl: '5m' });
    await clock.advance(300_000);
    expect([inside, told]).toEqual([['duplicate'], ['a swept']]);
    end();
  });
});

describe('an ending whose entry has left', () => {
  it.each([false, true])(
    'is known until it is handed over; the map is released meanwhile: %s',
    (isReleased) => {
      const seen: unknown[] = [];
      class Clearing extends Map<string, Run> {
        override clear(): void {
          this.delete('a');
          seen.push(endingNow());
          super.clear();
          if (isReleased) internalsOf(registry)?.endings?.tracker.release();
          seen.push(endingNow());
        }
      }
      class Following extends Map<string, Run> {
        override delete(key: string): boolean {
          seen.push(endingNow());
          return super.delete(key);
        }
      }
      const runs = new Clearing(['a', 'b', 'c', 'd'].map((key) => [key, {}]));
      const contexts = new Following([['d', {}]]);
      const registry = createRegistry<{ runs: Runs; contexts: Runs }>({
        maps: { runs: { adopt: runs }, contexts: { adopt: contexts, follows: 'runs' } },
        ended: { map: 'runs' },
        clock: createManualClock(),
      });
      const endingNow = () =>
        internalsOf(registry)
          ?.endings?.endingNow()
          .map(({ key }) => key);
      runs.delete('d');
      runs.clear();
      seen.push(endingNow());
      expect(seen).toEqual([['d'], ['a'], isReleased ? ['a', 'b', 'c'] : ['a'], []]);
      expect(registry.report().endings?.ended.deleted).toBe(4);
      registry.stop();
    },
  );
});

describe('calls out', () => {
  it('come after the state has changed: the key is gone, the claim made, the tombstone written', async () => {
    const seen: unknown[] = [];
    const { clock, registry, runs, end } = runsRegistry({
      ttl: '5m',
      dispose: (_value, key) => seen.push(['dispose', runs.has(key), registry.end(key), runs.delete(key)]),
    });
    registry.on('subagent-ended', ({ key }) =>
      seen.push(['ended', runs.has(key as string), registry.end(key), runs.delete(key as string)]),
    );
    runs.set('a', {});
    await clock.advance(300_000);
    expect(seen).toEqual([
      ['dispose', false, 'duplicate', false],
      ['ended', false, 'duplicate', false],
    ]);
    end();
  });

  it('deliver starts in a microtask, after the caller of end() has gone on', async () => {
    const order: string[] = [];
    const { registry, runs, end } = runsRegistry({}, { deliver: () => void order.push('deliver') });
    runs.set('a', {});
    registry.on('subagent-ended', () => order.push('bus'));
    registry.end('a');
    order.push('returned');
    await Promise.resolve();
    await Promise.resolve();
    expect(order).toEqual(['bus', 'returned', 'deliver']);
    end();
  });

  it('may re-register: a run that is added in dispose or on the bus is another one, not in this pass', async () => {
    const { clock, registry, runs, told, end } = runsRegistry({
      ttl: 0,
      dispose: (_value, key, reason) => {
        if (reason === 'swept' && told.length < 3) runs.set(key, {});
      },
    });
    registry.on('subagent-ended', ({ key }) => runs.set(`${String(key).slice(0, 1)}!`, {}));
    runs.set('a', {});
    const report = await registry.sweep();
    expect(report.swept).toBe(1);
    expect([...runs.keys()].sort()).toEqual(['a', 'a!']);
    await clock.advance(60_000);
    expect(told.slice(0, 3)).toEqual(['a swept', 'a swept', 'a! swept']);
    end();
  });

  it('a handler of the bus that throws null silences nobody, and is counted', async () => {
    const { clock, registry, runs, told, delivered, end } = runsRegistry();
    registry.on('subagent-ended', () => {
      throw null;
    });
    const later: unknown[] = [];
    registry.on('subagent-ended', ({ key }) => later.push(key));
    runs.set('a', {});
    registry.end('a');
    await clock.advance(0);
    expect([told, later, delivered.length]).toEqual([['a completed'], ['a'], 1]);
    expect(registry.report().callbackErrors).toEqual([{ map: '', callback: 'listener', count: 1 }]);
    end();
  });
});

describe('inside callbacks', () => {
  it('end() in keepWhile claims, and the entry is then swept without a second word', async () => {
    const { clock, registry, runs, told, end } = runsRegistry({
      ttl: '5m',
      keepWhile: (_value, key) => registry.end(key, { reason: 'seen due' }) === 'claimed',
    });
    runs.set('a', {});
    await clock.advance(360_000);
    expect(runs.size).toBe(0);
    expect(told).toEqual(['a seen due']);
    end();
  });

  it('end() of others in dispose, delete of others on the bus: each ends once', async () => {
    const { clock, registry, runs, told, delivered, end } = runsRegistry({
      ttl: '5m',
      dispose: () => {
        registry.end('b', { reason: 'in dispose' });
      },
    });
    registry.on('subagent-ended', () => runs.delete('c'));
    runs.set('a', {}).set('b', {}).set('c', {});
    await clock.advance(300_000);
    expect(told.sort()).toEqual(['a swept', 'b in dispose', 'c deleted']);
    expect(delivered.length).toBe(3);
    expect(runs.size).toBe(0);
    end();
  });
});

describe('an id that removes the entry it is asked about', () => {
  it('has that told, and every later run asked for an id of its own and told too', () => {
    const asked: string[] = [];
    const { runs, told, end } = runsRegistry(
      {},
      {
        id: (_, key) => {
          asked.push(key);
          if (key.startsWith('gone')) runs.delete(key);
          return `run ${key}`;
        },
      },
    );
    for (const key of ['gone', 'a', 'gone again', 'b']) runs.set(key, {});
    expect(asked).toEqual(['gone', 'a', 'gone again', 'b']);
    runs.clear();
    expect(told.length).toBe(4);
    end();
  });
});

describe('transfer() to a run from inside of the question which one it is', () => {
  it('finds nothing there yet: the run is the one that was open, and ends once', async () => {
    const results: string[] = [];
    const { clock, registry, runs, told, delivered, end } = runsRegistry(
      {},
      {
        id: (_, key) => {
          if (key === 'new') results.push(registry.transfer('old', 'new'));
          return 'run';
        },
      },
    );
    runs.set('old', {}).set('new', {});
    runs.clear();
    await clock.advance(0);
    expect([results, told]).toEqual([['unknown'], ['old deleted']]);
    expect(delivered.map(({ id }) => id)).toEqual(['run']);
    end();
  });
});

describe('end() of a run from inside of the question which one it is', () => {
  it('finds nothing there yet, since nobody could be told whose end it is', async () => {
    const results: string[] = [];
    const { clock, registry, runs, delivered, end } = runsRegistry(
      {},
      {
        id: (_, key) => {
          results.push(registry.end(key));
          return 'run';
        },
      },
    );
    runs.set('a', {});
    runs.delete('a');
    runs.set('b', {});
    expect([results, registry.end('b')]).toEqual([['unknown', 'unknown'], 'duplicate']);
    await clock.advance(0);
    expect(delivered.map(({ id, key }) => [id, key])).toEqual([['run', 'a']]);
    end();
  });
});

describe('end() of a run from callback-failed, whose id could not be asked', () => {
  it('claims it, with the id that it has in place of that', async () => {
    const results: string[] = [];
    const { clock, registry, runs, delivered, end } = runsRegistry(
      {},
      {
        id: () => {
          throw new Error('no idea');
        },
      },
    );
    registry.on('callback-failed', ({ key }) => results.push(registry.end(key)));
    runs.set('a', {});
    runs.delete('a');
    await clock.advance(0);
    expect([results, delivered.length]).toEqual([['claimed'], 1]);
    end();
  });
});

describe('the delete of a key that was set past the wrapper, and is asked about therefore', () => {
  it.each(['match', 'id', 'owner'])(
    'of which %s removes it: it is told of once, and its place is free',
    (asked) => {
      const adopted = new Map<string, Run>();
      let isArmed = false;
      const remove = (by: string, key: string): false => {
        if (by === asked && isArmed && key === 'past') {
          isArmed = false;
          adopted.delete(key);
        }
        return false;
      };
      const { registry, told, end } = runsRegistry(
        {
          adopt: adopted,
          rules: [{ match: (key) => remove('match', key), ttl: '5m' }],
          maxPerOwner: { owner: (_, key) => remove('owner', key) || undefined, max: 5 },
        },
        { id: (_, key) => remove('id', key) || `run ${key}` },
      );
      adopted.set('a', {}).set('b', {});
      // The sizes agree, so that nobody has noticed.
      Map.prototype.set.call(adopted, 'past', {});
      Map.prototype.delete.call(adopted, 'a');
      isArmed = true;
      expect(adopted.delete('past')).toBe(false);
      adopted.set('c', {});
      expect(told).toEqual(['past deleted']);
      expect(registry.stamps('runs', 'c')?.generation).toBe(4);
      end();
    },
  );
});

describe('a rule that removes the entry whose key it is asked about', () => {
  it('has that told with the id of its owner, which is no news of a later registration', async () => {
    const { clock, registry, runs, told, delivered, end } = runsRegistry(
      { rules: [{ match: (key) => key === 'gone' && !runs.delete(key), ttl: '5m' }] },
      { id: () => 'run' },
    );
    runs.set('gone', {}).set('again', {});
    await clock.advance(0);
    expect(registry.end('again')).toBe('duplicate');
    expect(told).toEqual(['gone deleted']);
    expect(delivered.map(({ id }) => id)).toEqual(['run']);
    end();
  });
});

describe('a run whose id is that of an earlier one whose ending is still owed', () => {
  const gone = { tombstones: { ttl: '1m' }, id: () => 'run' } as const;

  it('takes the place of its dead letter, with a new round', async () => {
    let isAway = true;
    const told: unknown[] = [];
    const deliver = ({ reason }: EndedEvent, { attempt }: DeliveryContext) => {
      if (isAway) throw new Error('away');
      told.push([reason, attempt]);
    };
    const { clock, registry, runs, endings, end } = runsRegistry({}, { ...gone, attempts: 1, deliver });
    runs.set('a', {});
    expect(registry.end('a', { reason: 'first' })).toBe('claimed');
    runs.delete('a');
    await clock.advance(3_600_000);
    expect(endings()).toMatchObject({ deadLetters: 1 });
    isAway = false;
    runs.set('a', {});
    expect(registry.end('a', { reason: 'second' })).toBe('claimed');
    await clock.advance(0);
    expect(told).toEqual([['second', 1]]);
    expect(endings()).toMatchObject({ deadLetters: 0, pending: 0 });
    end();
  });

  it('leaves the dead letter alone while its attempt, which has timed out, still runs', async () => {
    const fails: ((error: Error) => void)[] = [];
    const deliver = () => new Promise<void>((_, reject) => void fails.push(reject));
    const { clock, registry, runs, end } = runsRegistry({}, { ...gone, deliver });
    runs.set('a', {});
    registry.end('a', { reason: 'first' });
    runs.delete('a');
    await clock.advance(3_600_000);
    runs.set('a', {});
    registry.end('a', { reason: 'second' });
    await clock.advance(0);
    expect(fails).toHaveLength(1);
    expect(registry.deadLetters()).toMatchObject([{ event: { reason: 'first' }, ambiguous: true }]);
    end();
  });

  it('is told as the earlier one to whom that is still pending', async () => {
    const told: string[] = [];
    let isAway = true;
    const deliver = {
      first: ({ reason }: EndedEvent) => void told.push(`first ${reason}`),
      second: ({ reason }: EndedEvent) => {
        if (isAway) throw new Error('away');
        told.push(`second ${reason}`);
      },
    };
    const { clock, registry, runs, end } = runsRegistry({}, { ...gone, deliver });
    runs.set('a', {});
    registry.end('a', { reason: 'early' });
    runs.delete('a');
    await clock.advance(3_600_000);
    runs.set('a', {});
    registry.end('a', { reason: 'late' });
    isAway = false;
    await clock.advance(3_600_000);
    expect(told).toEqual(['first early', 'first late', 'second early']);
    end();
  });
});

describe('observe', () => {
  it('claims nothing by itself, while the owner’s end, delete and clear work as usual', async () => {
    for (const observing of [{ mode: 'observe' }, {}]) {
      const policy = 'mode' in observing ? {} : { mode: 'observe' as const };
      const { clock, registry, runs, told, endings, end } = runsRegistry(
        { ttl: '5m', maxEntries: 1, ...policy },
        {},
        observing,
      );
      runs.set('a', {}).set('b', {}).set('c', {});
      await clock.advance(600_000);
      expect(runs.size).toBe(3);
      expect(told).toEqual([]);
      expect(endings()).toMatchObject({ tombstones: 0, pending: 0 });
      expect(registry.report().maps[0]).toMatchObject({ overdue: 3, mode: 'observe' });
      expect(registry.end('a')).toBe('claimed');
      runs.delete('b');
      runs.clear();
      expect(told).toEqual(['a completed', 'b deleted', 'c deleted']);
      end();
    }
  });
});

describe('tombstones', () => {
  it('beyond their limit the oldest is forgotten early, which is counted: its key is unknown then', () => {
    const { registry, runs, endings, end } = runsRegistry({}, { tombstones: { max: 2 } });
    for (const key of ['a', 'b', 'c']) {
      runs.set(key, {});
      runs.delete(key);
    }
    expect(['a', 'b', 'c'].map((key) => registry.end(key))).toEqual(['unknown', 'duplicate', 'duplicate']);
    expect(endings()).toMatchObject({ tombstones: 2, tombstonesEvicted: 1, duplicates: 2 });
    end();
  });

  it('live to the ms for their ttl, and are purged by sweeps', async () => {
    const { clock, registry, runs, endings, end } = runsRegistry({}, { tombstones: { ttl: '1h' } });
    runs.set('a', {});
    runs.delete('a');
    await clock.advance(3_599_999);
    expect(registry.end('a')).toBe('duplicate');
    await clock.advance(1);
    expect(registry.end('a')).toBe('unknown');
    await registry.sweep();
    expect(endings()).toMatchObject({ tombstones: 0, tombstonesEvicted: 0 });
    end();
  });

  it('are purged in the slices of a sweep, however many end at once, which counts as done when its maps are', async () => {
    const manual = createManualClock();
    let registry: ReturnType<typeof start> | undefined;
    const start = () =>
      createRegistry({
        clock: slowClock(manual, 1, (pause) => pause === 100 && registry?.stop()),
        sweepEvery: '24h',
        maps: { runs: {} },
        ended: { map: 'runs', tombstones: { ttl: '1h' } },
      });
    registry = start();
    const { runs } = registry.maps;
    for (let run = 0; run < 20_000; run += 1) {
      runs.set(run, {});
      runs.delete(run);
    }
    expect(registry.report().endings?.tombstones).toBe(20_000);
    await manual.advance(3_700_000);
    // A step forgets 32 of them, and no slice has more than a few.
    expect(await registry.sweep()).toMatchObject({ skipped: undefined, slices: 101 });
    const left = registry.report().endings?.tombstones ?? 0;
    expect(left).toBeGreaterThan(0);
    await registry.sweep();
    expect(registry.report().endings?.tombstones).toBe(0);
  });

  it('are not needed for an entry that is still there: its claim outlives them', async () => {
    const { clock, registry, runs, told, end } = runsRegistry({}, { tombstones: { ttl: '1s', max: 1 } });
    runs.set('a', {}).set('b', {});
    registry.end('a');
    registry.end('b');
    await clock.advance(10_000);
    expect(registry.end('a')).toBe('duplicate');
    runs.clear();
    expect(told).toEqual(['a completed', 'b completed']);
    end();
  });
});

describe('delivery', () => {
  it('is retried until it succeeds, with the same event and id, and is then over', async () => {
    const attempts: Array<[string, number]> = [];
    const { clock, registry, runs, endings, end } = runsRegistry(
      {},
      {
        deliver: ({ id }, { attempt }) => {
          attempts.push([id, attempt]);
          if (attempt < 3) throw new Error('down');
        },
      },
    );
    runs.set('a', {});
    registry.end('a');
    await clock.advance(600_000);
    expect(attempts.map(([, attempt]) => attempt)).toEqual([1, 2, 3]);
    expect(new Set(attempts.map(([id]) => id)).size).toBe(1);
    expect(endings()).toMatchObject({ delivered: 1, failedAttempts: 2, pending: 0, deadLetters: 0 });
    end();
  });

  it('ends after `attempts` with one dead letter, which redeliver() takes up again', async () => {
    let isDown = true;
    const { clock, registry, runs, endings, end } = runsRegistry(
      {},
      {
        attempts: 2,
        deliver: () => {
          if (isDown) throw null;
        },
      },
    );
    const letters: unknown[] = [];
    registry.on('dead-letter', ({ letter, dropped }) => letters.push([letter.event.key, dropped]));
    runs.set('a', {});
    registry.end('a');
    await clock.advance(600_000);
    expect(letters).toEqual([['a', false]]);
    const [letter] = registry.deadLetters();
    expect(letter).toMatchObject({ attempts: 2, ambiguous: false });
    isDown = false;
    expect(registry.redeliver('unknown id')).toBe(false);
    expect(registry.redeliver(letter?.id as string)).toBe(true);
    expect(registry.redeliver(letter?.id as string)).toBe(false);
    await clock.advance(0);
    expect(endings()).toMatchObject({ delivered: 1, deadLetters: 0 });
    end();
  });

  it('beyond maxPending goes straight to the dead letters, and beyond maxDeadLetters the oldest is dropped', async () => {
    const { clock, registry, runs, endings, end } = runsRegistry(
      {},
      { deliver: () => new Promise(() => {}), maxPending: 1, maxDeadLetters: 2 },
    );
    const dropped: unknown[] = [];
    registry.on('dead-letter', (event) => event.dropped && dropped.push(event.letter.event.key));
    for (const key of ['a', 'b', 'c', 'd']) {
      runs.set(key, {});
      registry.end(key);
    }
    expect(endings()).toMatchObject({ pending: 1, deadLetters: 2 });
    await clock.advance(0);
    expect(dropped).toEqual(['b']);
    expect(registry.deadLetters().map(({ event }) => event.key)).toEqual(['c', 'd']);
    end();
  });

  it('that times out is ambiguous, never tried again by itself, and settles the letter late', async () => {
    let succeed = (): void => {};
    const signals: boolean[] = [];
    const { clock, registry, runs, endings, end } = runsRegistry(
      {},
      {
        deliver: (_event, { signal }) => {
          signal.addEventListener('abort', () => signals.push(signal.aborted));
          return new Promise<void>((resolve) => {
            succeed = resolve;
          });
        },
      },
    );
    runs.set('a', {});
    registry.end('a');
    await clock.advance(9_999);
    expect(endings()).toMatchObject({ pending: 1 });
    await clock.advance(1);
    expect(signals).toEqual([true]);
    expect(registry.deadLetters()).toMatchObject([{ ambiguous: true, attempts: 1 }]);
    expect(registry.redeliver(registry.deadLetters()[0]?.id as string)).toBe(false);
    await clock.advance(3_600_000);
    succeed();
    await clock.advance(0);
    expect(endings()).toMatchObject({ delivered: 1, deadLetters: 0 });
    end();
  });
});
