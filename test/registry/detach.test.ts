import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, type EndedEvent, type RemovalReason } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';

let folder: string;
const ended: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapsweep-detach-'));
});
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

type Deliver = (event: EndedEvent, context: { signal: AbortSignal; attempt: number }) => unknown;

/** A registry of the real clock, whose journal is in the folder. */
function life(deliver: Deliver, ended_: object = {}, options: object = { persistTo: folder }) {
  const runs = new Map<string, number>();
  const registry = createRegistry<{ runs: Map<string, number> }>({
    maps: { runs: { adopt: runs } },
    ended: { map: 'runs', deliver: deliver as never, ...ended_ },
    ...options,
  });
  ended.push(() => registry.close({ deadline: 0 }));
  return { registry, runs };
}

/** An attempt that settles when the test says so. */
function hanging() {
  const attempts: { signal: AbortSignal; succeed: () => void; fail: () => void }[] = [];
  const deliver: Deliver = (_event, { signal }) =>
    new Promise<void>((succeed, reject) => {
      attempts.push({ signal, succeed, fail: () => reject(new Error('broken off')) });
    });
  return { attempts, deliver };
}

const turns = async (count = 5): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Ends a run, and lets its attempt begin. */
async function endRun({ registry, runs }: Pick<ReturnType<typeof life>, 'registry' | 'runs'>): Promise<void> {
  runs.set('a', 1);
  registry.end('a');
  await registry.flushed();
  await turns();
}

describe('detach()', () => {
  it('is over when it returns: the journal and the adopted maps are free, attempts are aborted, no timer is left', async () => {
    const { attempts, deliver } = hanging();
    const first = life(deliver);
    await endRun(first);
    expect(attempts.map(({ signal }) => signal.aborted)).toEqual([false]);
    expect(first.registry.detach()).toEqual({ undelivered: 1 });
    expect(attempts.map(({ signal }) => signal.aborted)).toEqual([true]);
    expect(Object.keys(first.runs)).toEqual([]);
    const next = createRegistry({ maps: { runs: { adopt: first.runs } }, persistTo: folder });
    ended.push(() => next.close({ deadline: 0 }));
    expect(next.maps.runs).toBe(first.runs);
  });

  it('is over once, though what it aborts calls it again', async () => {
    const { attempts, deliver } = hanging();
    const { registry, runs } = life(deliver);
    await endRun({ registry, runs });
    const parted: string[] = [];
    internalsOf(registry)?.engine.measurements.add({ closed: () => parted.push('closed') });
    let again: unknown;
    attempts[0]?.signal.addEventListener('abort', () => {
      again = registry.detach();
    });
    const result = registry.detach();
    expect(again).toBe(result);
    expect([result, parted]).toEqual([{ undelivered: 1 }, ['closed']]);
  });

  it.each<[what: string, leave: (registry: ReturnType<typeof life>['registry']) => unknown]>([
    ['it', (registry) => registry.detach()],
    ['close()', (registry) => registry.close({ deadline: 0 })],
  ])('without a journal an attempt that fails after %s is nobody’s unhandled rejection', async (_, leave) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    const { attempts, deliver } = hanging();
    const { registry, runs } = life(deliver, {}, {});
    runs.set('a', 1);
    registry.end('a');
    await turns();
    await leave(registry);
    attempts[0]?.fail();
    await turns();
    process.off('unhandledRejection', note);
    expect([attempts.length, unhandled]).toEqual([1, []]);
  });

  it('writes what is unwritten: an ending claimed in the same turn is told by the next life, once', async () => {
    const first = life(() => expect.fail('too early'));
    first.runs.set('a', 1);
    first.registry.end('a', { reason: 'done' });
    first.registry.detach();
    const heard: string[] = [];
    const next = life(({ key, reason }) => void heard.push(`${key} ${reason}`));
    await next.registry.close();
    expect(heard).toEqual(['a done']);
    const third = life(() => expect.fail('told twice'));
    await third.registry.close();
  });

  it.each<[what: string, leave: (registry: ReturnType<typeof life>['registry']) => unknown]>([
    ['leaves', (registry) => registry.detach()],
    ['as close() does, too, leaves', (registry) => registry.close({ deadline: 0 })],
    [
      'breaks off a close(), and leaves',
      (registry) => {
        const closed = registry.close({ deadline: 60_000 });
        registry.detach();
        return closed;
      },
    ],
  ])(
    '%s an attempt that runs to the next registry of this process, which takes its success and tells nobody again',
    async (_, leave) => {
      const { attempts, deliver } = hanging();
      const first = life(deliver);
      await endRun(first);
      await leave(first.registry);
      const again = vi.fn();
      const next = life(again);
      await turns();
      expect([next.registry.report().endings?.pending, again.mock.calls.length]).toEqual([1, 0]);
      attempts[0]?.succeed();
      await turns();
      expect(next.registry.report().endings).toMatchObject({ pending: 0, delivered: 1 });
      await next.registry.close();
      const third = life(again);
      await third.registry.close();
      expect(again).not.toHaveBeenCalled();
    },
  );

  it('takes also what such an attempt came to before the journal was opened again', async () => {
    const { attempts, deliver } = hanging();
    const first = life(deliver);
    await endRun(first);
    first.registry.detach();
    attempts[0]?.succeed();
    await turns();
    const again = vi.fn();
    const next = life(again);
    await turns();
    expect(again).not.toHaveBeenCalled();
    expect(next.registry.report().endings).toMatchObject({ pending: 0, delivered: 1 });
  });

  it('has it tried again if that attempt fails', async () => {
    const { attempts, deliver } = hanging();
    const first = life(deliver);
    await endRun(first);
    first.registry.detach();
    const heard: number[] = [];
    const next = life((_event, { attempt }) => void heard.push(attempt), { minDelay: 1, maxDelay: 1 });
    attempts[0]?.fail();
    await vi.waitFor(() => expect(heard).toEqual([2]));
    expect(next.registry.report().endings).toMatchObject({ pending: 0, delivered: 1, failedAttempts: 1 });
  });

  it('and close() leave an attempt that counts once, though the journal has counted it while it ran', async () => {
    const { attempts, deliver } = hanging();
    const first = life(deliver, { attempts: 1 });
    await endRun(first);
    // What is restored has the journal written anew.
    const other = createRegistry({ maps: { runs: {} }, ended: { map: 'runs', deliver: () => {} } });
    first.registry.restore(other.snapshot());
    await first.registry.flushed();
    first.registry.detach();
    const next = life(deliver, { attempts: 1 });
    attempts[0]?.succeed();
    await turns();
    expect(next.registry.report().endings).toMatchObject({ pending: 0, delivered: 1, deadLetters: 0 });
    await other.close();
  });

  it('and close() leave an attempt that counts once, though it fails while the journal is given back', async () => {
    const first = life(
      (_event, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => setImmediate(() => reject(signal.reason)));
        }),
      { attempts: 2 },
    );
    await endRun(first);
    await first.registry.close({ deadline: 10 });
    const heard: number[] = [];
    const next = life((_event, { attempt }) => void heard.push(attempt), {
      attempts: 2,
      minDelay: 1,
      maxDelay: 1,
    });
    await vi.waitFor(() => expect(heard).toEqual([2]));
    expect(next.registry.deadLetters()).toEqual([]);
  });

  it('leaves no attempt to a journal that was removed and has begun anew', async () => {
    const { attempts, deliver } = hanging();
    const options = { id: () => 'run' };
    const first = life(deliver, options);
    await endRun(first);
    first.registry.detach();
    rmSync(folder, { recursive: true });
    const anew = life(() => Promise.reject(new Error('down')), options);
    await endRun(anew);
    anew.registry.detach();
    attempts[0]?.succeed();
    const heard = vi.fn();
    await life(heard, options).registry.close();
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it('takes what the latest attempt comes to, however often it is detached', async () => {
    const { attempts, deliver } = hanging();
    const first = life(deliver, { minDelay: 1, maxDelay: 1 });
    await endRun(first);
    first.registry.detach();
    const second = life(deliver, { minDelay: 1, maxDelay: 1 });
    attempts[0]?.fail();
    await vi.waitFor(() => expect(attempts.length).toBe(2));
    second.registry.detach();
    const again = vi.fn();
    const third = life(again);
    await turns();
    expect(third.registry.report().endings?.pending).toBe(1);
    attempts[1]?.succeed();
    await turns();
    expect(third.registry.report().endings).toMatchObject({ pending: 0, delivered: 1 });
    expect(again).not.toHaveBeenCalled();
  });

  it('writes a value that has changed in place since it was written, of an entry that was touched', async () => {
    interface Session {
      turns: number;
    }
    const persist = {
      encode: ({ turns }: Session) => turns,
      decode: (turns: unknown) => ({ turns }) as Session,
    };
    const make = () => {
      const registry = createRegistry<{ map: Map<string, Session> }>({
        maps: { map: { persist } },
        persistTo: folder,
      });
      ended.push(() => registry.close({ deadline: 0 }));
      return registry;
    };
    const first = make();
    first.maps.map.set('a', { turns: 1 });
    await first.flushed();
    (first.maps.map.get('a') as Session).turns = 7;
    first.touch('map', 'a');
    await first.flushed();
    (first.maps.map.get('a') as Session).turns = 8;
    first.touch('map', 'a');
    first.detach();
    expect([...make().maps.map]).toEqual([['a', { turns: 8 }]]);
  });

  it('is idempotent, and close() then gives what it gave; what needs an open registry says so', async () => {
    const { registry, runs } = life(() => {});
    runs.set('a', 1);
    registry.end('a');
    const result = registry.detach();
    expect(registry.detach()).toBe(result);
    expect(await registry.close()).toEqual({ ...result, undisposed: 0 });
    expect(() => registry.adopt('later', new Map())).toThrow('the registry is closed');
    runs.set('b', 2);
    expect(registry.end('b')).toBe('unknown');
  });

  it('breaks off a close() that waits, which ends with what is undelivered', async () => {
    const { attempts, deliver } = hanging();
    const { registry, runs } = life(deliver);
    await endRun({ registry, runs });
    const closed = registry.close();
    registry.detach();
    expect(attempts[0]?.signal.aborted).toBe(true);
    expect(await closed).toMatchObject({ undelivered: 1 });
  });

  it('without a journal warns of what nobody will hear of', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const { registry, runs } = life(() => {}, {}, { name: 'gateway' });
    for (const key of ['a', 'b']) {
      runs.set(key, 1);
      registry.end(key);
    }
    expect(registry.detach()).toEqual({ undelivered: 2 });
    expect(warn.mock.calls).toEqual([
      [
        expect.stringContaining("2 endings were not delivered when the registry 'gateway' was detached"),
        { code: 'MAPSWEEP_UNDELIVERED' },
      ],
    ]);
    warn.mockRestore();
  });

  it.each(['close', 'detach'] as const)(
    'and %s() are followed by one warning of runs that end later',
    async (method) => {
      const told: unknown[] = [];
      const registry = createRegistry<{ runs: Map<string, number> }>({
        name: 'gateway',
        maps: { runs: {} },
        ended: { map: 'runs', deliver: ({ key }) => void told.push(key) },
      });
      for (const key of ['a', 'b', 'c']) registry.maps.runs.set(key, 1);
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const closed = registry[method]();
      registry.end('a');
      await closed;
      registry.end('b');
      registry.maps.runs.delete('c');
      await turns();
      // Nothing was pending, so that nothing is waited for either.
      expect(told).toEqual([]);
      expect(warn.mock.calls).toEqual([
        [
          expect.stringContaining("a run has ended after the registry 'gateway' was closed"),
          { code: 'MAPSWEEP_UNDELIVERED' },
        ],
      ]);
      expect(() => registry.touch('other' as never, 'a')).toThrow('since the registry is closed');
      warn.mockRestore();
    },
  );

  it('may be called from inside of every callback', async () => {
    const clock = createManualClock();
    for (const where of ['dispose', 'deliver', 'keepWhile', 'swept'] as const) {
      const act = (at: string): void => {
        if (at === where) registry.detach();
      };
      const registry = createRegistry<{ runs: Map<string, number> }>({
        maps: {
          runs: {
            ttl: '1m',
            keepWhile: () => {
              act('keepWhile');
              return false;
            },
            dispose: () => act('dispose'),
          },
        },
        ended: { map: 'runs', deliver: () => act('deliver') },
        clock,
      });
      registry.on('swept', () => act('swept'));
      for (const key of ['a', 'b', 'c']) registry.maps.runs.set(key, 1);
      await clock.advance(120_000);
      registry.detach();
      expect(clock.pendingTimers, where).toBe(0);
    }
  });

  it('is what a using does at its end, and await using closes', async () => {
    const clock = createManualClock();
    const heard: unknown[] = [];
    const make = () =>
      createRegistry<{ runs: Map<string, number> }>({
        maps: { runs: {} },
        ended: { map: 'runs', deliver: ({ key }) => void heard.push(key) },
        clock,
      });
    {
      using registry = make();
      registry.maps.runs.set('a', 1);
    }
    expect(clock.pendingTimers).toBe(0);
    {
      await using registry = make();
      registry.maps.runs.set('b', 1);
      registry.end('b');
    }
    expect([heard, clock.pendingTimers]).toEqual([['b'], 0]);
  });
});

describe('what dispose and replaced have answered before a close()', () => {
  function setup(given?: () => unknown) {
    const clock = createManualClock();
    const answers: (() => void)[] = [];
    const answer = given ?? (() => new Promise<void>((resolve) => answers.push(resolve)));
    const registry = createRegistry<{ leaders: Map<string, number>; sockets: Map<string, number> }>({
      clock,
      maps: {
        leaders: {},
        sockets: {
          follows: 'leaders',
          maxIdle: '1m',
          maxEntries: 2,
          dispose: () => answer() as undefined,
          replaced: () => answer() as undefined,
        },
      },
    });
    registry.maps.sockets.set('a', 1);
    return { clock, registry, ...registry.maps, answers };
  }
  type Setup = ReturnType<typeof setup>;
  const acts: [what: string, act: (setup: Setup) => unknown][] = [
    ['deleted', ({ sockets }) => sockets.delete('a')],
    ['cleared', ({ sockets }) => sockets.clear()],
    ['replaced', ({ sockets }) => sockets.set('a', 2)],
    ['swept', ({ clock }) => clock.advance('2m')],
    [
      'evicted',
      ({ sockets, clock }) => {
        sockets.set('b', 1).set('c', 1);
        return clock.advance(1);
      },
    ],
    [
      'left with its leader',
      ({ leaders }) => {
        leaders.set('a', 1);
        leaders.delete('a');
      },
    ],
  ];

  it.each(acts)('is awaited, and counted at its deadline: %s', async (_what, act) => {
    for (const isSettled of [true, false]) {
      const made = setup();
      const { clock, registry, answers } = made;
      await act(made);
      expect(answers).toHaveLength(1);
      let result: unknown;
      void registry.close({ deadline: '5s' }).then((closed) => {
        result = closed;
      });
      await clock.advance(4_000);
      expect(result).toBeUndefined();
      if (isSettled) answers[0]?.();
      await clock.advance(isSettled ? 0 : 1_000);
      expect(result).toEqual({ undelivered: 0, undisposed: isSettled ? 0 : 1 });
      expect(clock.pendingTimers).toBe(0);
    }
  });

  it('is awaited together with what close({ dispose: true }) removes', async () => {
    const { clock, registry, sockets, answers } = setup();
    sockets.set('a', 2);
    const closed = registry.close({ dispose: true, deadline: '5s' });
    await clock.advance(1_000);
    answers[1]?.();
    await clock.advance(4_000);
    expect(await closed).toEqual({ undelivered: 0, undisposed: 1 });
  });

  it('holds nobody up once it has settled, and a rejection is counted before', async () => {
    const { registry, sockets } = setup(async () => {
      await undefined;
      throw new Error('cannot close');
    });
    registry.on('callback-failed', () => {});
    sockets.set('a', 2);
    sockets.delete('a');
    expect(await registry.close()).toEqual({ undelivered: 0, undisposed: 0 });
    expect(registry.report().callbackErrors).toEqual([
      { map: 'sockets', callback: 'replaced', count: 1 },
      { map: 'sockets', callback: 'dispose', count: 1 },
    ]);
  });

  it('is waited for until its deadline where it waits for the close() itself', async () => {
    const made: Setup = setup(() => made.registry.close({ deadline: '5s' }));
    made.sockets.delete('a');
    const closed = made.registry.close();
    await made.clock.advance(5_000);
    expect(await closed).toEqual({ undelivered: 0, undisposed: 1 });
  });

  it('is not waited for by detach()', async () => {
    const { clock, registry, sockets } = setup();
    sockets.delete('a');
    expect(registry.detach()).toEqual({ undelivered: 0 });
    expect(await registry.close()).toEqual({ undelivered: 0, undisposed: 0 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('is not kept: a promise that never settles is collected', async () => {
    const refs: WeakRef<Promise<void>>[] = [];
    const { registry, sockets } = setup(() => {
      const never = new Promise<void>(() => {});
      refs.push(new WeakRef(never));
      return never;
    });
    for (let times = 0; times < 100; times += 1) sockets.set('a', times + 2);
    // A WeakRef holds what it was made for until the end of its job.
    await new Promise((resolve) => setImmediate(resolve));
    (globalThis.gc as () => void)();
    expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([]);
    registry.detach();
  });
});

describe('close({ dispose: true })', () => {
  it('removes nothing more once a dispose detaches, and counts what is left', async () => {
    const disposed: unknown[] = [];
    const dispose = (_value: unknown, key: unknown): void => {
      disposed.push(key);
      if (key === 'b') registry.detach();
    };
    const adopted = new Map([...'abc'].map((key) => [key, 1]));
    const registry = createRegistry({
      maps: { adopted: { adopt: adopted, dispose }, others: { dispose } },
      clock: createManualClock(),
    });
    registry.maps.others.set('d', 1);
    expect(await registry.close({ dispose: true })).toEqual({ undelivered: 0, undisposed: 2 });
    expect(disposed).toEqual(['a', 'b']);
    expect([...adopted.keys(), ...registry.maps.others.keys()]).toEqual(['c', 'd']);
  });

  interface Session {
    id: string;
  }
  function setup(policy: object = {}) {
    const clock = createManualClock();
    const gone: string[] = [];
    const told = vi.fn();
    const answers: (() => void)[] = [];
    let isAsynchronous = false;
    const dispose = (value: Session, key: string, reason: RemovalReason) => {
      gone.push(`${value.id}/${key} ${reason}`);
      return isAsynchronous ? new Promise<void>((resolve) => answers.push(resolve)) : undefined;
    };
    const registry = createRegistry<{ requests: Map<string, Session>; sessions: Map<string, Session> }>({
      maps: {
        requests: { follows: 'sessions', dispose },
        sessions: { dispose, keepWhile: () => true, beforeSweep: () => told('beforeSweep'), ...policy },
      },
      ended: { map: 'sessions', deliver: told },
      clock,
    });
    for (const event of ['ended', 'swept', 'evicted'] as const) registry.on(event, told);
    const { sessions, requests } = registry.maps;
    const asynchronously = (): void => {
      isAsynchronous = true;
    };
    return { clock, registry, sessions, requests, gone, told, answers, asynchronously };
  }

  it('has what is live leave, leaders first, with the reason closed, held and guarded or not, and announces nobody', async () => {
    const { clock, registry, sessions, requests, gone, told } = setup();
    sessions.set('a', { id: 's' }).set('b', { id: 's' });
    requests.set('a', { id: 'r' }).set('orphan', { id: 'r' });
    registry.hold('sessions', 'b');
    expect(await registry.close({ dispose: true })).toEqual({ undelivered: 0, undisposed: 0 });
    expect(gone).toEqual(['s/a closed', 'r/a closed', 's/b closed', 'r/orphan closed']);
    expect([told.mock.calls, sessions.size, requests.size]).toEqual([[], 0, 0]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('comes after what is pending, and is not done without the option', async () => {
    const { registry, sessions, gone, told } = setup();
    sessions.set('a', { id: 's' }).set('b', { id: 's' });
    registry.end('a');
    told.mockImplementation(() => void gone.push('told'));
    expect(await registry.close()).toEqual({ undelivered: 0, undisposed: 0 });
    expect([gone, sessions.size]).toEqual([['told'], 2]);
  });

  it.each([
    ['fails', () => Promise.reject(new Error('500'))],
    ['hangs', () => new Promise<void>(() => {})],
  ])('disposes in the last quarter of its time where a recipient %s', async (_, deliver) => {
    const clock = createManualClock();
    const disposedAt: number[] = [];
    const dispose = (): unknown => disposedAt.push(clock.monotonic());
    const registry = createRegistry({
      maps: { runs: {}, sockets: { dispose } },
      ended: { map: 'runs', deliver },
      clock,
    });
    registry.maps.runs.set('r', 1);
    registry.maps.sockets.set('s', 1);
    registry.end('r');
    let result: unknown;
    const began = clock.monotonic();
    void registry.close({ dispose: true, deadline: '8s' }).then((closed) => {
      result = closed;
    });
    await clock.advance(8_000);
    expect(result).toEqual({ undelivered: 1, undisposed: 0 });
    expect(disposedAt.map((at) => at - began)).toEqual([6_000]);
  });

  it('awaits what dispose answers, and counts what has not settled by the deadline', async () => {
    const { clock, registry, sessions, answers, asynchronously } = setup();
    sessions.set('a', { id: 's' }).set('b', { id: 's' });
    asynchronously();
    let result: unknown;
    void registry.close({ dispose: true, deadline: '5s' }).then((closed) => {
      result = closed;
    });
    await clock.advance(4_000);
    expect([answers.length, result]).toEqual([2, undefined]);
    answers[0]?.();
    await clock.advance(1_000);
    expect(result).toEqual({ undelivered: 0, undisposed: 1 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends as soon as all have settled, a rejection is counted and holds nobody up', async () => {
    const failed = vi.fn();
    const { registry, sessions } = setup({ dispose: async () => Promise.reject(new Error('cannot close')) });
    registry.on('callback-failed', failed);
    sessions.set('a', { id: 's' });
    expect(await registry.close({ dispose: true })).toEqual({ undelivered: 0, undisposed: 0 });
    expect(failed).toHaveBeenCalledTimes(1);
  });

  it('leaves observed maps alone, and counts what refuses to leave', async () => {
    class Stubborn extends Map<string, Session> {
      override delete(): boolean {
        return false;
      }
    }
    const sessions = new Stubborn();
    const observed = new Map([['o', { id: 'o' }]]);
    const registry = createRegistry({
      maps: { sessions: { adopt: sessions }, observed: { adopt: observed, mode: 'observe' } },
      clock: createManualClock(),
    });
    registry.on('callback-failed', () => {});
    sessions.set('a', { id: 's' });
    expect(await registry.close({ dispose: true })).toEqual({ undelivered: 0, undisposed: 1 });
    expect([sessions.size, observed.size]).toEqual([1, 1]);
  });

  it('leaves what is set meanwhile, and ends', async () => {
    const { registry, sessions } = setup({
      dispose: ({ id }: Session) => void sessions.set(`after ${id}`, { id: `after ${id}` }),
    });
    sessions.set('a', { id: 's' });
    expect(await registry.close({ dispose: true })).toMatchObject({ undisposed: 0 });
    expect([...sessions.keys()]).toEqual(['after s']);
  });

  it('changes nothing in the journal: with decode the sessions are back in the next life, else they are lost', async () => {
    const persist = { encode: (value: Session) => value, decode: (json: unknown) => json as Session };
    const lives = (options: object) => {
      const told: string[] = [];
      const registry = createRegistry<{ sessions: Map<string, Session> }>({
        maps: { sessions: { persist, ...options } },
        ended: { map: 'sessions', deliver: ({ key, reason }) => void told.push(`${key} ${reason}`) },
        persistTo: folder,
        restoreWindow: 1,
        sweepEvery: 10,
      });
      ended.push(() => registry.close({ deadline: 0 }));
      return { registry, told, sessions: registry.maps.sessions };
    };
    const first = lives({});
    first.sessions.set('a', { id: 's' });
    await first.registry.close({ dispose: true });
    expect(first.sessions.size).toBe(0);
    const second = lives({});
    expect([...second.sessions]).toEqual([['a', { id: 's' }]]);
    await second.registry.close({ dispose: true });
    const third = lives({ persist: false });
    await vi.waitFor(() => expect(third.told).toEqual(['a lost']));
    expect(second.told).toEqual([]);
  });
});
