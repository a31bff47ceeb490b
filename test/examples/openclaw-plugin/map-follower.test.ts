import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../examples/openclaw-plugin/config.js';
import type { Logger } from '../../../examples/openclaw-plugin/gateway-api.js';
import { knownMapsOf } from '../../../examples/openclaw-plugin/known-maps.js';
import { MapFollower } from '../../../examples/openclaw-plugin/map-follower.js';

const CONTEXTS = 'openclaw.agentEvents.state/runContextById';
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const MINUTE = 60_000;
/** The two maps of agent events alone: nobody lists the lanes here. */
const BUILT_IN = knownMapsOf('2026.4.8')?.filter(({ match }) => match.startsWith('openclaw.agentEvents.'));

describe('MapFollower', () => {
  let clock: ManualClock;
  let lines: string[];
  let log: Logger;
  let root: Record<symbol, unknown>;
  let state: { seqByRun: Map<string, number>; runContextById: Map<string, object> };
  let lanes: Map<string, object>;
  let listeners: Set<unknown>;
  let follower: MapFollower;

  const follow = (config?: object): MapFollower => {
    follower = new MapFollower(readConfig(config, BUILT_IN), log, { root, clock });
    return follower;
  };
  const mapOf = (path: string) => follower.registry.report().maps.find(({ name }) => name === path);
  const tracesOf = (map: object) => Object.getOwnPropertyNames(map);

  beforeEach(() => {
    clock = createManualClock();
    lines = [];
    const write = (message: string) => void lines.push(message);
    log = { info: write, warn: write, error: write };
    state = { seqByRun: new Map(), runContextById: new Map() };
    lanes = new Map();
    listeners = new Set();
    root = {
      [Symbol.for('openclaw.agentEvents.state')]: { ...state, listeners },
      [Symbol.for('openclaw.commandQueueState')]: { lanes },
      [Symbol.for('another.program')]: { map: new Map() },
    };
  });

  afterEach(async () => {
    await follower?.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('sweeps a run context that was idle for 30 min, and its sequence counter with it', async () => {
    follow();
    state.runContextById.set('run-1', {});
    state.seqByRun.set('run-1', 1);
    await clock.advance(29 * MINUTE);
    expect([state.runContextById.size, state.seqByRun.size]).toEqual([1, 1]);
    await clock.advance(2 * MINUTE);
    expect([state.runContextById.size, state.seqByRun.size]).toEqual([0, 0]);
  });

  it('keeps the context and the counter of a run whose counter ticks for 24 hours', async () => {
    follow();
    state.runContextById.set('run-1', {});
    for (let tick = 1; tick <= 72; tick += 1) {
      state.seqByRun.set('run-1', tick);
      await clock.advance(20 * MINUTE);
    }
    expect([state.runContextById.size, state.seqByRun.get('run-1')]).toEqual([1, 72]);
  });

  it('lets the counter leave with its context, which the gateway deletes', () => {
    follow();
    state.runContextById.set('run-1', {});
    state.seqByRun.set('run-1', 7);
    state.runContextById.delete('run-1');
    expect(state.seqByRun.size).toBe(0);
  });

  it('sweeps a counter without a context after 30 min', async () => {
    follow();
    state.seqByRun.set('run-1', 1);
    await clock.advance(31 * MINUTE);
    expect(state.seqByRun.size).toBe(0);
  });

  it('never removes anything from a map that nobody lists, a Set included', async () => {
    follow();
    lanes.set('session:1', {});
    listeners.add(() => {});
    await clock.advance(48 * 60 * MINUTE);
    expect([lanes.size, listeners.size]).toEqual([1, 1]);
    expect(mapOf('openclaw.commandQueueState/lanes')).toMatchObject({ size: 1, mode: 'observe', overdue: 0 });
    expect(mapOf('openclaw.agentEvents.state/listeners')).toMatchObject({ size: 1, mode: 'observe' });
  });

  it('leaves a map alone that is listed as false, and what does not match openclaw.*', () => {
    follow({ maps: { 'openclaw.commandQueueState/lanes': false } });
    expect(tracesOf(lanes)).toEqual([]);
    expect(mapOf('openclaw.commandQueueState/lanes')).toBeUndefined();
    expect(follower.registry.report().maps).toHaveLength(3);
  });

  it('sweeps by a pattern', async () => {
    follow({ maps: { 'openclaw.*/lanes': { maxIdle: '1m' } } });
    lanes.set('session:1', {});
    await clock.advance(3 * MINUTE);
    expect(lanes.size).toBe(0);
  });

  it('says of what the operator lists that nothing is there yet, and nothing of the built-in list', async () => {
    follow({
      maps: {
        'openclaw.agentEvents.state/seqByRuns': { ttl: '1h' },
        'openclaw.command*/lane?': false,
        'openclaw.*/lanes': { maxIdle: '1h' },
      },
    });
    expect(lines.at(-1)).toBe(
      'no map is there yet for openclaw.agentEvents.state/seqByRuns, openclaw.command*/lane?',
    );
    await follower.close();
    lines.length = 0;
    root[Symbol.for('openclaw.agentEvents.state')] = {};
    follow();
    expect(lines.join()).not.toContain('no map is there yet');
  });

  it('removes nothing in observe mode, and says once what it would have swept', async () => {
    follow({ mode: 'observe' });
    for (const run of ['1', '2', '3']) state.runContextById.set(run, {});
    await clock.advance(40 * MINUTE);
    expect(state.runContextById.size).toBe(3);
    expect(mapOf(CONTEXTS)).toMatchObject({ overdue: 3 });
    expect(lines.filter((line) => line.startsWith('would have swept'))).toEqual([
      `would have swept 3 of 3 entries of ${CONTEXTS} by now`,
    ]);
  });

  it('names a map that leaks, though nobody lists it, and how fast it grows', async () => {
    follow();
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      lanes.set(`session:${minute}`, {});
      await clock.advance(MINUTE);
    }
    expect(mapOf('openclaw.commandQueueState/lanes')).toMatchObject({ leak: { state: 'leaking' } });
    expect(lines.filter((line) => line.includes('leak'))).toEqual([
      expect.stringMatching(
        /^openclaw\.commandQueueState\/lanes leaks: \d+ entries, 60\.0 more an hour; it has grown for 12h or more, nothing leaves, and no bound is known$/,
      ),
    ]);
  });

  it('finds a leak within minutes with a leakCycle of 10 min', async () => {
    follow({ leakCycle: '10m', sweepEvery: '1s' });
    for (let second = 0; second < 330; second += 1) {
      lanes.set(`session:${second}`, {});
      await clock.advance(1_000);
    }
    expect(mapOf('openclaw.commandQueueState/lanes')?.leak.state).toBe('leaking');
  });

  it('tracks a map that is created later from the next sweep on, and says so', async () => {
    follow();
    const later = new Map([['a', 1]]);
    root[Symbol.for('openclaw.later')] = { later };
    await clock.advance(MINUTE);
    expect(mapOf('openclaw.later/later')).toMatchObject({ size: 1, mode: 'observe' });
    expect(lines.at(-1)).toBe('now tracks: openclaw.later/later');
  });

  it('tracks and sweeps a private map that its module puts into the registries later', async () => {
    const runs = new Map<string, object>();
    follow({ maps: { 'mapsweep.registries/subagents.runs': { ttl: '5m', since: 'endedAt' } } });
    await clock.advance(MINUTE);
    root[Symbol.for('mapsweep.registries')] = new Map([['subagents.runs', runs]]);
    await clock.advance(MINUTE);
    expect(lines.at(-1)).toBe('now tracks: mapsweep.registries/subagents.runs');
    runs.set('run-1', { endedAt: clock.now() });
    runs.set('run-2', {});
    await clock.advance(7 * MINUTE);
    expect([...runs.keys()]).toEqual(['run-2']);
  });

  it('tracks 100 maps in the registries, which are no dictionary: each was named on purpose', () => {
    const named = Array.from({ length: 100 }, (_, index) => [`module-${index}`, new Map()] as const);
    root[Symbol.for('mapsweep.registries')] = new Map(named);
    follow();
    expect(follower.registry.report().maps).toHaveLength(104);
  });

  it('follows a map that is replaced by a new object, and leaves no trace on the old one', async () => {
    follow();
    const old = state.runContextById;
    const renewed = new Map<string, object>([['run-1', {}]]);
    root[Symbol.for('openclaw.agentEvents.state')] = { seqByRun: state.seqByRun, runContextById: renewed };
    await clock.advance(MINUTE);
    expect(tracesOf(old)).toEqual([]);
    expect(lines.at(-1)).toBe(
      `follows to a new object: ${CONTEXTS}; no longer there: openclaw.agentEvents.state/listeners`,
    );
    state.seqByRun.set('run-1', 1);
    await clock.advance(32 * MINUTE);
    expect([renewed.size, state.seqByRun.size]).toEqual([0, 0]);
  });

  it('lets go of a map whose property is gone', async () => {
    follow();
    delete root[Symbol.for('openclaw.commandQueueState')];
    await clock.advance(MINUTE);
    expect(tracesOf(lanes)).toEqual([]);
    expect(mapOf('openclaw.commandQueueState/lanes')).toBeUndefined();
  });

  it('only observes counters in a gateway that keeps its contexts elsewhere: a queued run may live', async () => {
    root[Symbol.for('openclaw.agentEvents.state')] = { seqByRun: state.seqByRun };
    follow();
    expect(lines).toContain(
      `only observes ${COUNTERS} (0 entries), until ${CONTEXTS} is tracked, which it follows`,
    );
    state.seqByRun.set('run-1', 1);
    await clock.advance(24 * 60 * MINUTE);
    expect([...state.seqByRun]).toEqual([['run-1', 1]]);
  });

  it('sweeps counters once their contexts have come', async () => {
    root[Symbol.for('openclaw.agentEvents.state')] = { seqByRun: state.seqByRun };
    follow();
    root[Symbol.for('openclaw.agentEvents.state')] = { ...state };
    await clock.advance(2 * MINUTE);
    expect(mapOf(COUNTERS)?.follows).toBe(CONTEXTS);
    state.runContextById.set('run-2', {});
    state.seqByRun.set('run-2', 1);
    state.runContextById.delete('run-2');
    expect(state.seqByRun.size).toBe(0);
  });

  it('only observes a companion whose leader is left alone', async () => {
    follow({ maps: { [CONTEXTS]: false } });
    state.seqByRun.set('run-1', 1);
    await clock.advance(60 * MINUTE);
    expect(state.seqByRun.size).toBe(1);
    expect(lines).toContain(
      `only observes ${COUNTERS} (0 entries), until ${CONTEXTS} is tracked, which it follows`,
    );
  });

  describe('a dictionary of maps by session', () => {
    const HOLDER = 'openclaw.x.state/bySession';
    const start = (sessions: number, config?: object) => {
      const bySession: Record<string, Map<string, number>> = {};
      const add = (count: number): void => {
        for (let n = 0; n < count; n += 1) bySession[`s/${Object.keys(bySession).length}`] = new Map();
      };
      add(sessions);
      root[Symbol.for('openclaw.x.state')] = { bySession };
      follow(config);
      return { bySession, add };
    };
    const trackedBelow = () =>
      follower.registry.report().maps.filter(({ name }) => name.startsWith(`${HOLDER}/`)).length;

    it('is tracked as long as it has 32, and not from 33 on, which is told once', async () => {
      const { bySession, add } = start(32);
      expect(trackedBelow()).toBe(32);
      add(1);
      await clock.advance(MINUTE);
      expect(trackedBelow()).toBe(0);
      expect(tracesOf(bySession['s/0'] as object)).toEqual([]);
      const told = `${HOLDER}/s holds maps by session, user or the like: of these only what you list is tracked`;
      expect(lines.filter((line) => line.includes('by session'))).toEqual([told]);
      for (const name of Object.keys(bySession).slice(5)) delete bySession[name];
      await clock.advance(5 * MINUTE);
      expect(trackedBelow()).toBe(0);
      expect(lines.filter((line) => line.includes('by session'))).toEqual([told]);
    });

    it('is tracked where somebody lists it', () => {
      start(100, { maps: { [`${HOLDER}/s/*`]: { maxIdle: '1h' } } });
      expect(trackedBelow()).toBe(100);
    });
  });

  describe('an object that has become too wide to be looked into', () => {
    const widen = (object: Record<number, unknown>) => {
      for (let index = 0; index < 25_000; index += 1) object[index] = index;
    };

    it('keeps its maps for ten looks, since the next may see them again, and then lets go of them', async () => {
      follow();
      const queue = root[Symbol.for('openclaw.commandQueueState')] as Record<number, unknown>;
      widen(queue);
      for (let look = 1; look <= 10; look += 1) await clock.advance(MINUTE);
      expect(mapOf('openclaw.commandQueueState/lanes')).toBeDefined();
      expect(lines.at(-1)).toBe(
        'there is more than it looks at: openclaw.commandQueueState; maps in there are not tracked',
      );
      await clock.advance(MINUTE);
      expect(mapOf('openclaw.commandQueueState/lanes')).toBeUndefined();
      expect(tracesOf(lanes)).toEqual([]);
    });

    it('lets go of what is gone elsewhere at once', async () => {
      const wide = {};
      widen(wide);
      root[Symbol.for('openclaw.wide')] = wide;
      follow();
      delete root[Symbol.for('openclaw.commandQueueState')];
      await clock.advance(MINUTE);
      expect(mapOf('openclaw.commandQueueState/lanes')).toBeUndefined();
    });
  });

  it('says once why a map cannot be tracked, and tracks the others', async () => {
    root[Symbol.for('openclaw.frozen')] = Object.freeze(new Map());
    follow();
    await clock.advance(5 * MINUTE);
    expect(lines.filter((line) => line.startsWith('openclaw.frozen cannot be tracked'))).toHaveLength(1);
    expect(mapOf(CONTEXTS)).toBeDefined();
  });

  it('takes over the maps of a copy of itself that lets go late', async () => {
    const first = new MapFollower(readConfig({}, BUILT_IN), log, { root, clock });
    follow();
    expect(follower.registry.report().maps).toEqual([]);
    await first.close();
    await clock.advance(MINUTE);
    expect(follower.registry.report().maps).toHaveLength(4);
  });

  it('tells once, at its start, what it tracks', async () => {
    state.seqByRun.set('run-1', 1);
    follow();
    const told = [
      'tracks 4 maps, every 60s, mode sweep: 2 by a policy, 2 observed',
      `sweeps ${CONTEXTS} (0 entries): maxIdle 30m, activeAt lastActiveAt, kept while openclaw.commandQueueState/lanes has work for its session`,
      `sweeps ${COUNTERS} (1 entry): follows ${CONTEXTS}, orphanAfter 30m`,
      'only observes, largest first: openclaw.agentEvents.state/listeners (0), openclaw.commandQueueState/lanes (0)',
    ];
    expect(lines).toEqual(told);
    await clock.advance(10 * MINUTE);
    expect(lines).toEqual(told);
  });

  it('leaves no trace on any map after close', async () => {
    const before = Reflect.ownKeys(root);
    follow();
    expect(tracesOf(state.seqByRun)).toEqual(expect.arrayContaining(['set', 'delete', 'clear']));
    await follower.close();
    for (const map of [state.seqByRun, state.runContextById, lanes, listeners])
      expect(tracesOf(map)).toEqual([]);
    expect(Reflect.ownKeys(root)).toEqual(before);
    state.seqByRun.set('run-1', 1);
    await clock.advance(60 * MINUTE);
    expect(state.seqByRun.size).toBe(1);
  });
});
