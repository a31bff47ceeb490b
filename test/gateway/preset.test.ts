import {
  createGatewayRegistry,
  createRegistry,
  type EndedEvent,
  type GatewayOptions,
  type PendingLifecycleErrorFields,
  type RunContextFields,
  type SubagentRunFields,
} from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';

interface Run extends SubagentRunFields {
  mode?: 'session' | 'run';
}
interface Context extends RunContextFields {
  prompt?: string;
}
type Pending = PendingLifecycleErrorFields;

const minutes = 60_000;
const hours = 60 * minutes;

function gateway(options: Omit<GatewayOptions<Run, Context, Pending>, 'clock'> = {}) {
  const clock = createManualClock();
  const delivered: EndedEvent<string, Run>[] = [];
  const registry = createGatewayRegistry<Run, Context, Pending>({
    onSubagentEnded: (event) => void delivered.push(event),
    ...options,
    clock,
  });
  const told: string[] = [];
  registry.on('subagent-ended', ({ key, reason }) => told.push(`${String(key)} ${reason}`));
  const { subagentRuns, runContextById, seqByRun, pendingLifecycleErrors } = registry.maps;
  const start = (runId: string, run: Run = {}): Run => {
    subagentRuns.set(runId, run);
    runContextById.set(runId, { lastActiveAt: clock.now() });
    seqByRun.set(runId, 1);
    return run;
  };
  const sizes = () => [subagentRuns.size, runContextById.size, seqByRun.size, pendingLifecycleErrors.size];
  /** The one entry of a map stays until the last ms before this, and leaves at it. */
  const leavesIn = async (ms: number, map: { readonly size: number }): Promise<void> => {
    await clock.advance(ms - 1);
    await registry.sweep();
    expect(map.size).toBe(1);
    await clock.advance(1);
    await registry.sweep();
    expect(map.size).toBe(0);
  };
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, delivered, told, start, sizes, leavesIn, end, ...registry.maps };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('row 1: session-mode runs leave', () => {
  it('5 minutes after cleanupCompletedAt, though they have no archiveAtMs (openclaw#52731)', async () => {
    const { clock, start, subagentRuns, leavesIn, end } = gateway();
    const run = start('r', { mode: 'session' });
    await clock.advance(20 * minutes);
    run.endedAt = clock.now();
    run.cleanupCompletedAt = clock.now();
    await leavesIn(5 * minutes, subagentRuns);
    end();
  });

  it('at archiveAtMs where that is set, not before and not by any other limit', async () => {
    const { clock, start, subagentRuns, leavesIn, end } = gateway();
    const archiveAtMs = clock.now() + 48 * hours;
    start('r', { archiveAtMs, endedAt: clock.now(), cleanupCompletedAt: clock.now() });
    await leavesIn(48 * hours, subagentRuns);
    end();
  });

  it('1,400 x 2 of them leave nothing behind in any of the four maps (openclaw#52731)', async () => {
    const { clock, delivered, start, sizes, pendingLifecycleErrors, end } = gateway();
    for (let n = 0; n < 2_800; n += 1) {
      const run = start(`run-${n}`, { mode: 'session' });
      if (n % 10 === 0) pendingLifecycleErrors.set(`run-${n}`, { endedAt: clock.now() });
      run.endedAt = clock.now();
      run.cleanupCompletedAt = clock.now();
    }
    await clock.advance(7 * minutes);
    expect(sizes()).toEqual([0, 0, 0, 0]);
    expect(new Set(delivered.map(({ key }) => key)).size).toBe(2_800);
    expect(delivered.length).toBe(2_800);
    end();
  });
});

describe('row 2: a deferred clean-up is not interrupted', () => {
  it('a run that has ended stays while its clean-up goes on, and 5 minutes from its completion', async () => {
    const { clock, registry, start, subagentRuns, end } = gateway();
    const run = start('r');
    run.endedAt = clock.now();
    await clock.advance(40 * minutes);
    expect(subagentRuns.size).toBe(1);
    run.cleanupCompletedAt = clock.now();
    await clock.advance(5 * minutes - 1);
    await registry.sweep();
    expect(subagentRuns.size).toBe(1);
    await clock.advance(2 * minutes);
    expect(subagentRuns.size).toBe(0);
    end();
  });

  it('one that never completes leaves 1 hour after endedAt', async () => {
    const { clock, start, subagentRuns, told, leavesIn, end } = gateway();
    start('r', { endedAt: clock.now() });
    await leavesIn(hours, subagentRuns);
    expect(told).toEqual(['r swept']);
    end();
  });

  it('one whose clean-up completes late in that hour still has its 5 minutes', async () => {
    const { clock, start, subagentRuns, leavesIn, end } = gateway();
    const run = start('r', { endedAt: clock.now() });
    await clock.advance(hours - 1);
    run.cleanupCompletedAt = clock.now();
    await leavesIn(5 * minutes, subagentRuns);
    end();
  });
});

describe('row 3: a long, active run keeps its context', () => {
  it('for days, while its events tick', async () => {
    const { clock, start, seqByRun, sizes, end } = gateway();
    start('r');
    for (let hour = 0; hour < 50; hour += 1) {
      await clock.advance(hours);
      seqByRun.set('r', hour);
    }
    expect(sizes()).toEqual([1, 1, 1, 0]);
    end();
  });

  it('also in silence, until the run itself is 24 h idle and takes all along', async () => {
    const { clock, registry, start, sizes, end } = gateway();
    start('r');
    await clock.advance(24 * hours - 1);
    await registry.sweep();
    expect(sizes()).toEqual([1, 1, 1, 0]);
    await clock.advance(1);
    await registry.sweep();
    expect(sizes()).toEqual([0, 0, 0, 0]);
    end();
  });

  it('a context without a run (main, cron) goes after 30 idle minutes, counted from what it records itself', async () => {
    const { clock, registry, runContextById, seqByRun, end } = gateway();
    const context: Context = { lastActiveAt: clock.now() };
    runContextById.set('main', context);
    seqByRun.set('main', 1);
    await clock.advance(20 * minutes);
    context.lastActiveAt = clock.now();
    await clock.advance(30 * minutes - 1);
    await registry.sweep();
    expect(runContextById.size).toBe(1);
    await clock.advance(1);
    await registry.sweep();
    expect([runContextById.size, seqByRun.size]).toEqual([0, 0]);
    end();
  });
});

describe('row 4: no sequence counter is left behind', () => {
  it.each<[string, (registry: ReturnType<typeof gateway>) => unknown]>([
    ['its run is deleted', ({ subagentRuns }) => subagentRuns.delete('r')],
    ['all runs are cleared', ({ subagentRuns }) => subagentRuns.clear()],
    ['its context is deleted', ({ runContextById }) => runContextById.delete('r')],
    ['all contexts are cleared', ({ runContextById }) => runContextById.clear()],
  ])('when %s', (_, act) => {
    const setting = gateway();
    setting.start('r');
    act(setting);
    expect(setting.seqByRun.size).toBe(0);
    expect(setting.runContextById.size).toBe(0);
    setting.end();
  });

  it('when its run is swept', async () => {
    const { clock, start, sizes, end } = gateway();
    start('r', { cleanupCompletedAt: clock.now() });
    await clock.advance(6 * minutes);
    expect(sizes()).toEqual([0, 0, 0, 0]);
    end();
  });

  it('when its run leaves, and not before, where the contexts of the gateway are not adopted', async () => {
    const setting = gateway({ adopt: { subagentRuns: new Map(), seqByRun: new Map() } });
    const { clock, subagentRuns, seqByRun, end } = setting;
    subagentRuns.set('r', {});
    seqByRun.set('r', 1);
    for (let minute = 0; minute < 40; minute += 1) {
      await clock.advance(minutes);
      subagentRuns.set('r', {});
    }
    expect(seqByRun.size).toBe(1);
    subagentRuns.delete('r');
    expect(seqByRun.size).toBe(0);
    end();
  });

  it.each<[string, GatewayOptions<Run, Context, Pending>['adopt']]>([
    ['counters alone are adopted', { seqByRun: new Map() }],
    ['counters and contexts are', { seqByRun: new Map(), runContextById: new Map() }],
  ])('when its context leaves, and not before, where %s', async (_, adopt) => {
    const { clock, runContextById, seqByRun, end } = gateway({ adopt });
    runContextById.set('r', {});
    seqByRun.set('r', 1);
    for (let minute = 0; minute < 40; minute += 1) {
      await clock.advance(minutes);
      runContextById.set('r', {});
    }
    expect(seqByRun.size).toBe(1);
    runContextById.delete('r');
    expect(seqByRun.size).toBe(0);
    end();
  });

  it('nor one whose context never was: 30 minutes idle', async () => {
    const { clock, seqByRun, end } = gateway();
    seqByRun.set('stray', 1);
    await clock.advance(29 * minutes);
    expect(seqByRun.size).toBe(1);
    await clock.advance(2 * minutes);
    expect(seqByRun.size).toBe(0);
    end();
  });
});

describe('row 5: pending lifecycle errors end, and their timers with them', () => {
  it('5 minutes after endedAt, and the real timer is cleared', async () => {
    vi.useFakeTimers();
    const { clock, pendingLifecycleErrors, leavesIn, end } = gateway();
    const fired = vi.fn();
    pendingLifecycleErrors.set('r', { endedAt: clock.now(), timer: setTimeout(fired, 15_000_000).unref?.() });
    expect(vi.getTimerCount()).toBe(1);
    await leavesIn(5 * minutes, pendingLifecycleErrors);
    expect(vi.getTimerCount()).toBe(0);
    end();
  });

  it('the timer is cleared on every way out: deleted, cleared, replaced, with its run', () => {
    for (const way of ['delete', 'clear', 'replace', 'run'] as const) {
      vi.useFakeTimers();
      const { clock, start, subagentRuns, pendingLifecycleErrors, end } = gateway();
      start('r');
      pendingLifecycleErrors.set('r', { endedAt: clock.now(), timer: setTimeout(() => {}, 15_000) });
      if (way === 'delete') pendingLifecycleErrors.delete('r');
      else if (way === 'clear') pendingLifecycleErrors.clear();
      else if (way === 'replace') pendingLifecycleErrors.set('r', { endedAt: clock.now() });
      else subagentRuns.delete('r');
      expect([way, vi.getTimerCount()]).toEqual([way, 0]);
      end();
      vi.useRealTimers();
    }
  });

  it('the timer stays where the replacement still holds it', () => {
    vi.useFakeTimers();
    const { clock, pendingLifecycleErrors, end } = gateway();
    const timer = setTimeout(() => {}, 15_000);
    pendingLifecycleErrors.set('r', { endedAt: clock.now(), timer });
    pendingLifecycleErrors.set('r', { endedAt: clock.now() + 1, timer });
    expect(vi.getTimerCount()).toBe(1);
    pendingLifecycleErrors.delete('r');
    expect(vi.getTimerCount()).toBe(0);
    end();
  });

  it('a timer of the registry’s own clock is cleared too', () => {
    const { clock, pendingLifecycleErrors, end } = gateway();
    pendingLifecycleErrors.set('r', { timer: clock.setTimeout(() => {}, 15_000) });
    expect(clock.pendingTimers).toBe(2);
    pendingLifecycleErrors.delete('r');
    expect(clock.pendingTimers).toBe(1);
    end();
  });
});

describe('row 6: "subagent ended" is told once a run (openclaw#52731)', () => {
  it('the sweep 5 minutes after a normal completion says nothing', async () => {
    const { clock, registry, delivered, told, start, end } = gateway();
    const run = start('r');
    run.endedAt = clock.now();
    expect(registry.end('r', { reason: 'completed' })).toBe('claimed');
    run.cleanupCompletedAt = clock.now();
    await clock.advance(10 * minutes);
    expect(told).toEqual(['r completed']);
    expect(delivered.map(({ reason }) => reason)).toEqual(['completed']);
    expect(registry.end('r')).toBe('duplicate');
    end();
  });

  it('a run whose end was lost is told by the sweep, with the run itself', async () => {
    const { clock, delivered, start, end } = gateway();
    const run = start('r');
    run.endedAt = clock.now();
    await clock.advance(2 * hours);
    expect(delivered).toMatchObject([{ key: 'r', reason: 'swept' }]);
    expect(delivered[0]?.value).toBe(run);
    end();
  });

  it('runs that were cleaned up before the registry came are settled: nobody is told again', async () => {
    const clock = createManualClock();
    const subagentRuns = new Map<string, Run>([
      ['done', { endedAt: clock.now(), cleanupCompletedAt: clock.now() }],
      ['open', { endedAt: clock.now() }],
    ]);
    const told: string[] = [];
    const registry = createGatewayRegistry<Run>({
      adopt: { subagentRuns },
      onSubagentEnded: ({ key }) => void told.push(key),
      clock,
    });
    await clock.advance(2 * hours);
    expect(subagentRuns.size).toBe(0);
    expect(told).toEqual(['open']);
    registry.stop();
  });
});

describe('rows 7 and 8: the one sweeper runs, whatever is in the maps', () => {
  it('from the creation on: no archiveAtMs and no event has to start it', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry({
      adopt: { subagentRuns: new Map([['restored', { cleanupCompletedAt: clock.now() }]]) },
      clock,
    });
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(6 * minutes);
    expect(registry.maps.subagentRuns.size).toBe(0);
    registry.stop();
  });

  it('and does not stop while any map is empty, nor while all are', async () => {
    const { clock, pendingLifecycleErrors, subagentRuns, start, end } = gateway();
    await clock.advance(3 * hours);
    pendingLifecycleErrors.set('r', { endedAt: clock.now() });
    await clock.advance(6 * minutes);
    expect(pendingLifecycleErrors.size).toBe(0);
    await clock.advance(3 * hours);
    start('late', { cleanupCompletedAt: clock.now() });
    await clock.advance(6 * minutes);
    expect(subagentRuns.size).toBe(0);
    expect(clock.pendingTimers).toBe(1);
    end();
  });
});

describe('row 9: an error in one place leaves the others working', () => {
  it('a ReferenceError for one run, one map or one listener is counted, every minute, and all else is swept', async () => {
    const { clock, registry, subagentRuns, start, runContextById, end } = gateway({
      overrides: {
        runContextById: {
          dispose: () => {
            throw new ReferenceError('runId is not defined');
          },
        },
      },
      onSubagentEnded: () => {
        throw new ReferenceError('engine is not defined');
      },
    });
    registry.on('subagent-ended', () => {
      throw new ReferenceError('listener is not defined');
    });
    subagentRuns.set('broken', {
      get endedAt(): number {
        throw new ReferenceError('endedAt is not defined');
      },
    });
    for (const key of ['a', 'b']) start(key, { endedAt: clock.now(), cleanupCompletedAt: clock.now() });
    await clock.advance(10 * minutes);
    expect([...subagentRuns.keys()]).toEqual(['broken']);
    expect(runContextById.size).toBe(0);
    expect(registry.report().callbackErrors.map(({ map, callback }) => `${map}.${callback}`)).toEqual(
      expect.arrayContaining(['runContextById.dispose', '.listener', 'subagentRuns.deliver']),
    );
    expect(registry.report().lastSweepAt).toBe(clock.now());
    end();
  });
});

describe('row 10: entries from before the deploy', () => {
  const oldContexts = () =>
    new Map<string, Context>([
      ['old', {}],
      ['older', {}],
    ]);

  it('are as old as the registry by default: nothing live is cut off by a deploy', async () => {
    const clock = createManualClock();
    const runContextById = oldContexts();
    const registry = createGatewayRegistry<Run, Context>({ adopt: { runContextById }, clock });
    await clock.advance(29 * minutes);
    expect(runContextById.size).toBe(2);
    await clock.advance(2 * minutes);
    expect(runContextById.size).toBe(0);
    registry.stop();
  });

  it('are infinitely old where `unstamped` is `expired`, and go with the first sweep', async () => {
    const clock = createManualClock();
    const runContextById = oldContexts();
    const registry = createGatewayRegistry<Run, Context>({
      adopt: { runContextById },
      overrides: { runContextById: { unstamped: 'expired' } },
      clock,
    });
    runContextById.set('new', {});
    await clock.advance(minutes);
    expect([...runContextById.keys()]).toEqual(['new']);
    registry.stop();
  });
});

describe('row 15: a row is deleted first, then the run', () => {
  it('where sessions.delete fails the run stays and is tried again with backoff; nobody is told before', async () => {
    let isDown = true;
    const attempts: number[] = [];
    const { clock, start, subagentRuns, told, end } = gateway({
      overrides: {
        subagentRuns: {
          beforeSweep: async (_run, _key, { attempt }) => {
            attempts.push(attempt);
            if (isDown) throw new Error('sessions.delete failed');
          },
        },
      },
    });
    start('r', { cleanupCompletedAt: clock.now() });
    await clock.advance(20 * minutes);
    expect(attempts.length).toBeGreaterThan(2);
    expect(attempts.length).toBeLessThan(8);
    expect(subagentRuns.size).toBe(1);
    expect(told).toEqual([]);
    isDown = false;
    await clock.advance(hours);
    expect(subagentRuns.size).toBe(0);
    expect(told).toEqual(['r swept']);
    end();
  });
});

describe('createGatewayRegistry', () => {
  const throwing = (name: string) =>
    Object.defineProperty({}, name, {
      get() {
        throw new Error('a getter ran');
      },
      enumerable: true,
    });

  it('adopts what it is given and makes the rest', () => {
    const subagentRuns = new Map<string, Run>();
    const registry = createGatewayRegistry<Run>({ adopt: { subagentRuns }, clock: createManualClock() });
    expect(registry.maps.subagentRuns).toBe(subagentRuns);
    expect(Object.keys(registry.maps)).toEqual([
      'subagentRuns',
      'runContextById',
      'seqByRun',
      'pendingLifecycleErrors',
    ]);
    expect(registry.maps.seqByRun).toBeInstanceOf(Map);
    registry.stop();
  });

  it('works without any option, on the clock of the process', () => {
    const registry = createGatewayRegistry();
    registry.maps.subagentRuns.set('r', {});
    expect(registry.end('r')).toBe('claimed');
    registry.stop();
  });

  it('merges overrides into the policy of a map: the rest of the preset stays', async () => {
    const { clock, start, subagentRuns, end } = gateway({
      overrides: { subagentRuns: { ttl: '1m' }, seqByRun: { orphanAfter: '1m' } },
    });
    const run = start('r');
    await clock.advance(10 * minutes);
    run.cleanupCompletedAt = clock.now();
    await clock.advance(2 * minutes);
    expect(subagentRuns.size).toBe(0);
    end();
  });

  it('takes an override of undefined for none', async () => {
    const { clock, start, subagentRuns, end } = gateway({
      overrides: { subagentRuns: { ttl: undefined, maxIdle: undefined }, seqByRun: undefined },
    });
    start('r', { cleanupCompletedAt: clock.now() });
    await clock.advance(6 * minutes);
    expect(subagentRuns.size).toBe(0);
    end();
  });

  it('keeps to mode observe, intervals and limits of delivery that it is given', async () => {
    const clock = createManualClock();
    const registry = createGatewayRegistry<Run>({
      mode: 'observe',
      sweepEvery: '10s',
      ended: { attempts: 1, tombstones: { max: 3 } },
      onSubagentEnded: () => {
        throw new Error('down');
      },
      clock,
    });
    registry.maps.subagentRuns.set('r', { cleanupCompletedAt: clock.now() });
    await clock.advance(10 * minutes);
    expect(registry.maps.subagentRuns.size).toBe(1);
    expect(registry.report()).toMatchObject({ mode: 'observe', sweepEveryMs: 10_000 });
    registry.end('r');
    await clock.advance(0);
    expect(registry.deadLetters().length).toBe(1);
    registry.stop();
  });

  it.each<[string, unknown, string[]]>([
    ['a misspelt option', { onSubagentEnd: () => {} }, ["Did you mean 'onSubagentEnded'"]],
    [
      'a map that it does not have',
      { adopt: { subAgentRuns: new Map() } },
      ['adopt.subAgentRuns', "'subagentRuns'"],
    ],
    ['an override for one', { overrides: { seqByRuns: {} } }, ['overrides.seqByRuns', "'seqByRun'"]],
    [
      'a wrong override',
      { overrides: { seqByRun: { orphanAfter: 'x' } } },
      ['overrides.seqByRun.orphanAfter', '"x"'],
    ],
    [
      'a misspelt one',
      { overrides: { seqByRun: { orphanAftr: 1 } } },
      ['overrides.seqByRun.orphanAftr', "'orphanAfter'"],
    ],
    ['an override that is no object', { overrides: { seqByRun: 5 } }, ['overrides.seqByRun', '5']],
    [
      'an override that adopts',
      { overrides: { seqByRun: { adopt: new Map() } } },
      ['overrides.seqByRun.adopt'],
    ],
    [
      'an override whose getter throws',
      { overrides: { seqByRun: throwing('orphanAfter') } },
      ['overrides.seqByRun.orphanAfter', 'its getter threw'],
    ],
    [
      'a getter of overrides that throws',
      { overrides: throwing('seqByRun') },
      ['overrides.seqByRun cannot be read'],
    ],
    ['something to adopt that is no Map', { adopt: { seqByRun: {} } }, ['adopt.seqByRun', 'a Map or a Set']],
    ['a deliver that is no function', { onSubagentEnded: 7 }, ['onSubagentEnded', 'function', '7']],
    ['a wrong clock', { clock: {} }, ['clock']],
    ['no clock at all', { clock: 5 }, ['clock']],
    ['a wrong limit', { ended: { attempts: 0 } }, ['ended.attempts', '0']],
    ['a map for the endings', { ended: { map: 'seqByRun' } }, ['ended.map']],
  ])('refuses %s, by its name, and adopts nothing', (_, options, parts) => {
    const live = new Map();
    const adopt = { pendingLifecycleErrors: live, ...(options as { adopt?: object }).adopt };
    const call = () =>
      createGatewayRegistry({ clock: createManualClock(), ...(options as object), adopt } as never);
    expect(call).toThrow();
    try {
      call();
    } catch (error) {
      for (const part of parts) expect((error as Error).message).toContain(part);
      expect((error as Error).message).not.toMatch(/\bmaps\./);
    }
    expect(Reflect.ownKeys(live)).toEqual([]);
    createRegistry({ maps: { free: { adopt: live } }, clock: createManualClock() }).stop();
  });
});
