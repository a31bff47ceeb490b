import { policyFromJson } from 'mapsweep/discover';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../examples/openclaw-plugin/config.js';
import { forValuesWith, knownMapsOf } from '../../../examples/openclaw-plugin/known-maps.js';
import { MapFollower } from '../../../examples/openclaw-plugin/map-follower.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';

describe('knownMapsOf', () => {
  it.each([['2026.4.8'], ['2026.4.29'], ['v2026.4.8'], ['2026.4.8-1']])('knows %s', (release) => {
    expect(knownMapsOf(release)?.map(({ match }) => match)).toEqual([
      'openclaw.agentEvents.state/runContextById',
      COUNTERS,
      'openclaw.commandQueueState/lanes',
    ]);
  });

  it.each([['2026.9.1'], ['2026.9.6'], ['2026.9.6-beta.1']])('knows %s, which leads elsewhere', (release) => {
    const counters = knownMapsOf(release)?.find(({ match }) => match === COUNTERS);
    expect(counters?.policy).toMatchObject({ follows: 'openclaw.agentRunRegistry.state/contexts' });
  });

  it.each([[undefined], ['2026.40.1'], ['2026.8.2'], ['12026.4.8'], ['2026.4'], ['next'], ['']])(
    'knows nothing of %s',
    (release) => {
      expect(knownMapsOf(release)).toBeUndefined();
    },
  );

  it.each([['2026.4.8'], ['2026.9.6']])('has a list for %s that is a config of JSON', (release) => {
    const list = knownMapsOf(release) ?? [];
    expect(JSON.parse(JSON.stringify(list))).toEqual(list);
    expect(readConfig({}, list).maps).toEqual(list);
  });
});

describe('a gateway of', () => {
  let clock: ManualClock;
  let lines: string[];
  let follower: MapFollower;

  const follow = (release: string, root: object, config?: object): MapFollower => {
    const write = (message: string) => void lines.push(message);
    const log = { info: write, warn: write, error: write };
    follower = new MapFollower(readConfig(config, knownMapsOf(release)), log, { root, clock });
    return follower;
  };

  beforeEach(() => {
    clock = createManualClock();
    lines = [];
  });

  afterEach(async () => {
    await follower.close();
    expect(clock.pendingTimers).toBe(0);
  });

  describe('2026.4', () => {
    const lane = (...queue: number[]) => ({ queue, activeTaskIds: new Set<number>(), draining: false });

    it('loses the lanes of sessions that were idle for 30 min, and no other', async () => {
      const lanes = new Map<string, object>([
        ['main', { ...lane(), maxConcurrent: 4 }],
        ['session:idle', lane()],
        ['session:queued', lane(1)],
        ['session:active', { ...lane(), activeTaskIds: new Set([1]) }],
        ['session:draining', { ...lane(), draining: true }],
        ['auth-probe:openai', lane()],
      ]);
      follow('2026.4.8', { [Symbol.for('openclaw.commandQueueState')]: { lanes } });
      await clock.advance(29 * MINUTE);
      expect(lanes.size).toBe(6);
      await clock.advance(24 * HOUR);
      expect([...lanes.keys()]).toEqual(['main', 'session:queued', 'session:active', 'session:draining']);
    });

    it('keeps a context for 30 min from the activity that it records, in either shape', async () => {
      const runContextById = new Map<string, { lastActiveAt?: number }>();
      follow('2026.4.29', { [Symbol.for('openclaw.agentEvents.state')]: { runContextById } });
      const recording = { lastActiveAt: clock.now() };
      runContextById.set('recording', recording).set('silent', {});
      await clock.advance(25 * MINUTE);
      recording.lastActiveAt = clock.now();
      await clock.advance(28 * MINUTE);
      expect([...runContextById.keys()]).toEqual(['recording']);
      await clock.advance(4 * MINUTE);
      expect(runContextById.size).toBe(0);
    });

    it('keeps the context of a run that waits in the lane of its session, and its counter, for 5 hours', async () => {
      const waiting = lane(1);
      const lanes = new Map<string, object>([['session:agent:main:busy', waiting]]);
      const context = (sessionKey?: string) => (sessionKey === undefined ? {} : { sessionKey });
      const runContextById = new Map([
        ['waits', context('agent:main:busy')],
        ['left', context('agent:main:another')],
        ['nobody', context()],
      ]);
      const seqByRun = new Map([
        ['waits', 2],
        ['left', 9],
      ]);
      follow('2026.4.8', {
        [Symbol.for('openclaw.agentEvents.state')]: { runContextById, seqByRun },
        [Symbol.for('openclaw.commandQueueState')]: { lanes },
      });
      await clock.advance(5 * HOUR);
      expect([...runContextById.keys()]).toEqual(['waits']);
      expect([...seqByRun]).toEqual([['waits', 2]]);
      waiting.queue.pop();
      await clock.advance(28 * MINUTE);
      expect(runContextById.size).toBe(1);
      await clock.advance(4 * MINUTE);
      expect(runContextById.size + seqByRun.size).toBe(0);
    });

    it('keeps a context for work in lanes that the operator leaves alone, and says what keeps it', async () => {
      const lanes = new Map<string, object>([['session:1', { ...lane(), activeTaskIds: new Set([1]) }]]);
      const runContextById = new Map([['run', { sessionKey: '1' }]]);
      const root = {
        [Symbol.for('openclaw.agentEvents.state')]: { runContextById },
        [Symbol.for('openclaw.commandQueueState')]: { lanes },
      };
      const { registry } = follow('2026.4.8', root, { maps: { 'openclaw.commandQueueState/lanes': false } });
      await clock.advance(2 * HOUR);
      expect(runContextById.size).toBe(1);
      const { why } = registry.explain('openclaw.agentEvents.state/runContextById', 'run') ?? {};
      expect(why).toContain('work in openclaw.commandQueueState/lanes');
      expect(lines.join('\n')).toContain(
        'kept while openclaw.commandQueueState/lanes has work for its session',
      );
    });

    it('keeps a lane for another 30 min after its work', async () => {
      const busy = lane(1);
      const lanes = new Map([['session:1', busy]]);
      follow('2026.4.8', { [Symbol.for('openclaw.commandQueueState')]: { lanes } });
      await clock.advance(10 * HOUR);
      busy.queue.pop();
      await clock.advance(28 * MINUTE);
      expect(lanes.size).toBe(1);
      await clock.advance(4 * MINUTE);
      expect(lanes.size).toBe(0);
    });

    it('keeps lanes of another shape than the list knows', async () => {
      const lanes = new Map([['session:1', { tasks: 1, draining: false }]]);
      const { registry } = follow('2026.4.8', { [Symbol.for('openclaw.commandQueueState')]: { lanes } });
      const failed: string[] = [];
      registry.on('callback-failed', ({ callback }) => void failed.push(callback));
      await clock.advance(48 * HOUR);
      expect(lanes.size).toBe(1);
      expect(failed).toContain('keepWhile');
    });
  });

  describe('2026.9', () => {
    const gateway = () => {
      const seqByRun = new Map<string, number>();
      const contexts = new Map<string, object>();
      const closedRunIds = new Set<string>();
      const root = {
        [Symbol.for('openclaw.agentEvents.state')]: { seqByRun },
        [Symbol.for('openclaw.agentRunRegistry.state')]: { contexts },
        [Symbol.for('openclaw.pluginHostRuntimeState')]: { closedRunIds },
      };
      return { seqByRun, contexts, closedRunIds, root };
    };

    it('keeps every context, and the counter of each, for a week', async () => {
      const { seqByRun, contexts, root } = gateway();
      follow('2026.9.6', root);
      contexts.set('run-1', {});
      seqByRun.set('run-1', 5);
      await clock.advance(7 * 24 * HOUR);
      expect([contexts.size, seqByRun.get('run-1')]).toEqual([1, 5]);
    });

    it('loses a counter without a context after 30 min', async () => {
      const { seqByRun, root } = gateway();
      follow('2026.9.6', root);
      seqByRun.set('run-1', 5);
      await clock.advance(29 * MINUTE);
      expect(seqByRun.size).toBe(1);
      await clock.advance(3 * MINUTE);
      expect(seqByRun.size).toBe(0);
    });

    it('loses nothing where its leader is not found', async () => {
      const { seqByRun, root } = gateway();
      Reflect.deleteProperty(root, Symbol.for('openclaw.agentRunRegistry.state'));
      follow('2026.9.6', root);
      seqByRun.set('run-1', 5);
      await clock.advance(24 * HOUR);
      expect(seqByRun.size).toBe(1);
    });

    it('has a bound for what it bounds itself, and loses nothing of it', async () => {
      const { closedRunIds, root } = gateway();
      follow('2026.9.6', root);
      for (let run = 0; run < 600; run += 1) closedRunIds.add(`run-${run}`);
      await clock.advance(24 * HOUR);
      expect(closedRunIds.size).toBe(600);
      expect(lines).toContain(
        'only observes openclaw.pluginHostRuntimeState/closedRunIds (0 entries): expectedMax 512',
      );
    });

    it('calls what grows towards its bound filling, and no leak', async () => {
      const { closedRunIds, root } = gateway();
      follow('2026.9.6', root);
      for (let minute = 0; minute < 13 * 60; minute += 2) {
        closedRunIds.add(`run-${minute}`);
        await clock.advance(2 * MINUTE);
      }
      const map = follower.registry.report().maps.find(({ name }) => name.endsWith('closedRunIds'));
      expect(map?.leak.state).toBe('filling');
    });
  });
});

describe('forValuesWith', () => {
  it('says which property a value has not', () => {
    const { keepWhile } = forValuesWith(['queue'], policyFromJson({ keepWhile: 'queue.length' }));
    expect(keepWhile?.({ queue: [] }, 'key')).toBe(false);
    expect(keepWhile?.({ queue: [1] }, 'key')).toBe(true);
    expect(() => keepWhile?.({}, 'key')).toThrow("a value without 'queue'");
    expect(() => keepWhile?.(undefined, 'key')).toThrow("a value without 'queue'");
    expect(keepWhile?.name).toBe('queue.length');
  });
});
