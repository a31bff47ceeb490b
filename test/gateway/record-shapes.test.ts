/*
 * The preset on the records of both kinds of release: of 2026.4, which has all of a run in one object, and of 2026.9, where
 * the end is in `execution`, what nobody could be told in `delivery`, and the runs in a Map of a class of its own.
 */
import { createGatewayRegistry, type SubagentRunFields } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

const minutes = 60_000;
const hours = 60 * minutes;
const days = 24 * hours;

interface Run extends SubagentRunFields {
  childSessionKey?: string;
}

function gateway(adopted?: Map<string, Run>) {
  const clock = createManualClock();
  const told: string[] = [];
  const registry = createGatewayRegistry<Run>({
    adopt: adopted === undefined ? {} : { subagentRuns: adopted },
    onSubagentEnded: ({ id, reason }) => void told.push(`${id} ${reason}`),
    clock,
  });
  const { subagentRuns } = registry.maps;
  /** The run stays until the last ms before this, and leaves at it. */
  const leavesIn = async (ms: number): Promise<void> => {
    await clock.advance(ms - 1);
    await registry.sweep();
    expect(subagentRuns.size).toBe(1);
    await clock.advance(1);
    await registry.sweep();
    expect(subagentRuns.size).toBe(0);
    registry.stop();
  };
  return { clock, registry, subagentRuns, told, leavesIn };
}

const shapes = {
  '2026.4': (endedAt?: number, more: Run = {}): Run => ({
    cleanup: 'delete',
    spawnMode: 'run',
    endedAt,
    ...more,
  }),
  '2026.9': (endedAt?: number, more: Run = {}): Run => ({
    cleanup: 'delete',
    spawnMode: 'run',
    execution: { endedAt },
    delivery: { status: 'pending' },
    ...more,
  }),
};

describe.each(Object.entries(shapes))('a run of %s', (_, shape) => {
  it('leaves 5 min after its clean-up', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', shape(clock.now(), { cleanupCompletedAt: clock.now() }));
    await leavesIn(5 * minutes);
  });

  it('that is one of a session leaves 5 min after its clean-up, though it is kept', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    const more = { cleanup: 'keep', spawnMode: 'session', cleanupCompletedAt: clock.now() };
    subagentRuns.set('run', shape(clock.now(), more));
    await leavesIn(5 * minutes);
  });

  it.each([['run'], [undefined]])(
    'that is kept, with the spawn mode %s, leaves after 24 h without activity from its clean-up on',
    async (spawnMode) => {
      const { clock, subagentRuns, leavesIn } = gateway();
      const run = shape(clock.now(), { cleanup: 'keep', spawnMode });
      subagentRuns.set('run', run);
      await clock.advance(30 * minutes);
      run.cleanupCompletedAt = clock.now();
      await leavesIn(24 * hours);
    },
  );

  it('that is kept and looked at stays for another 24 h', async () => {
    const { clock, registry, subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', shape(clock.now(), { cleanup: 'keep', cleanupCompletedAt: clock.now() }));
    await clock.advance(20 * hours);
    registry.touch('subagentRuns', 'run');
    await leavesIn(24 * hours);
  });

  it('whose clean-up never completes leaves 1 h after its end', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    const run = shape(undefined);
    subagentRuns.set('run', run);
    await clock.advance(3 * hours);
    Object.assign(run, shape(clock.now()));
    await leavesIn(hours);
  });

  it('that is to be kept and whose clean-up never completes leaves 1 h after its end', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', shape(clock.now(), { cleanup: 'keep' }));
    await leavesIn(hours);
  });

  it('leaves at archiveAtMs where that is set, kept or cleaned up', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    const more = { cleanup: 'keep', archiveAtMs: clock.now() + 3 * hours, cleanupCompletedAt: clock.now() };
    subagentRuns.set('run', shape(clock.now(), more));
    await leavesIn(3 * hours);
  });

  it('that never ended leaves after 24 h without activity', async () => {
    const { subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', shape(undefined));
    await leavesIn(24 * hours);
  });

  it('whose end could not be told leaves 7 days after its delivery was suspended, archived or not', async () => {
    for (const archiveAtMs of [undefined, 1]) {
      const { clock, subagentRuns, leavesIn } = gateway();
      const run = shape(clock.now(), { archiveAtMs: archiveAtMs && clock.now() + hours });
      subagentRuns.set('run', run);
      await clock.advance(10 * minutes);
      run.delivery = { status: 'suspended', suspendedAt: clock.now() };
      await leavesIn(7 * days);
    }
  });

  it('whose delivery goes on after a suspension leaves by its end again', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    const run = shape(clock.now(), { delivery: { status: 'suspended', suspendedAt: clock.now() } });
    subagentRuns.set('run', run);
    await clock.advance(2 * days);
    run.delivery = { status: 'delivered', suspendedAt: clock.now() - days };
    run.cleanupCompletedAt = clock.now();
    await leavesIn(5 * minutes);
  });

  it.each<[string, (at: number) => Run, number]>([
    ['whose clean-up never completes leaves 1 h after its end', () => ({}), hours],
    ['that was cleaned up leaves 5 min later', (at) => ({ cleanupCompletedAt: at }), 5 * minutes],
    ['that is kept leaves 24 h later', (at) => ({ cleanup: 'keep', cleanupCompletedAt: at }), 24 * hours],
    [
      'whose delivery was suspended leaves 7 days later',
      (at) => ({ delivery: { status: 'suspended', suspendedAt: at } }),
      7 * days,
    ],
  ])(
    '%s, though the wall clock is set forward, or back by more than that, in between',
    async (_name, more, stayMs) => {
      for (const jumpMs of [-8 * days, 3 * minutes, 30 * minutes, 2 * hours, 8 * days]) {
        const { clock, subagentRuns, leavesIn } = gateway();
        subagentRuns.set('run', shape(clock.now(), more(clock.now())));
        await clock.advance(2 * minutes);
        clock.jumpWall(jumpMs);
        await clock.advance(minutes);
        await leavesIn(stayMs - 3 * minutes);
      }
    },
  );

  it('leaves when the wall clock reads archiveAtMs, also after it was set', async () => {
    const { clock, subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', shape(clock.now(), { archiveAtMs: clock.now() + 5 * hours }));
    await clock.advance(minutes);
    clock.jumpWall(3 * hours);
    await clock.advance(minutes);
    await leavesIn(2 * hours - 2 * minutes);
  });

  it('that was cleaned up before the registry was made is not told of again', async () => {
    const clock = createManualClock();
    const {
      registry,
      told,
      clock: time,
    } = gateway(
      new Map([
        ['settled', shape(clock.now(), { cleanupCompletedAt: clock.now() })],
        ['open', shape(clock.now())],
      ]),
    );
    await time.advance(2 * hours);
    expect(told).toEqual(['open swept']);
    registry.stop();
  });
});

it('takes an archiveAtMs of 0 and a suspension without an instant for none, as the gateway does', async () => {
  for (const more of [{ archiveAtMs: 0 }, { delivery: { status: 'suspended' } }]) {
    const { clock, subagentRuns, leavesIn } = gateway();
    subagentRuns.set('run', { endedAt: clock.now(), ...more });
    await leavesIn(hours);
  }
});

it('takes 0 and null in a record for an instant that is unset', async () => {
  const { subagentRuns, leavesIn } = gateway();
  subagentRuns.set('run', {
    archiveAtMs: null,
    endedAt: 0,
    execution: { endedAt: null },
    delivery: { status: 'suspended', suspendedAt: null },
    cleanupCompletedAt: 0,
  });
  await leavesIn(24 * hours);
});

/** A Map with an index, as newer releases have one for their runs. */
class IndexedRuns extends Map<string, Run> {
  static readonly byChild = new Map<string, string>();

  override set(runId: string, run: Run): this {
    if (run.childSessionKey !== undefined) IndexedRuns.byChild.set(run.childSessionKey, runId);
    return super.set(runId, run);
  }

  override delete(runId: string): boolean {
    const { childSessionKey } = this.get(runId) ?? {};
    if (childSessionKey !== undefined) IndexedRuns.byChild.delete(childSessionKey);
    return super.delete(runId);
  }
}

describe('a Map of a class with an index', () => {
  it('keeps its index, since the sweep calls its delete', async () => {
    const runs = new IndexedRuns();
    const { clock, registry } = gateway(runs);
    runs.set('done', { childSessionKey: 'child-1', cleanupCompletedAt: clock.now() });
    runs.set('live', { childSessionKey: 'child-2' });
    await clock.advance(7 * minutes);
    expect([...IndexedRuns.byChild]).toEqual([['child-2', 'live']]);
    registry.stop();
  });

  it('tells the end of a run once, whose host rolls a delete back and deletes it again later', async () => {
    const runs = new IndexedRuns();
    const { clock, registry, told } = gateway(runs);
    const run = { childSessionKey: 'child', execution: { endedAt: clock.now() } };
    runs.set('run', run);
    runs.delete('run');
    runs.set('run', run); // what it wrote to its disk could not be stored
    await clock.advance(30 * minutes);
    expect([runs.size, IndexedRuns.byChild.get('child')]).toEqual([1, 'run']);
    expect(registry.end('run')).toBe('duplicate');
    runs.delete('run');
    await clock.advance(2 * hours);
    expect(told).toEqual(['run deleted']);
    registry.stop();
  });

  it('tells the end of a run once, that was swept and comes back from the disk of its host', async () => {
    const runs = new IndexedRuns();
    const { clock, registry, told } = gateway(runs);
    runs.set('run', { execution: { endedAt: clock.now() } });
    await clock.advance(2 * hours);
    runs.set('run', { execution: { endedAt: clock.now() } });
    await clock.advance(2 * hours);
    expect([runs.size, told]).toEqual([0, ['run swept']]);
    registry.stop();
  });
});
