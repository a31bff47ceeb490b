import { createGatewayRegistry, createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  attachGateway,
  countingTo,
  EVENTS,
  type Gateway,
  playTicket,
  RUNS,
  type Run,
  runsOf,
  runsOfTicket,
  TICKETS,
  type Timers,
} from './openclaw-batch.ts';
import {
  type AgentEventState,
  type AgentEvents,
  fetchAgentEvents,
  loadAgentEvents,
  OPENCLAW,
  readState,
} from './openclaw-package.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const published = await fetchAgentEvents();
const unreachable = 'unreachable' in published ? published.unreachable : undefined;
if (unreachable) console.warn(`SKIPPED: the package registry cannot be reached (${unreachable})`);
const suite = unreachable ? describe.skip : describe;

let events: AgentEvents;
let state: AgentEventState;

beforeEach(async () => {
  if ('unreachable' in published) return;
  events = await loadAgentEvents(published);
  state = events.state;
});

const sizes = () => ({ contexts: state.runContextById.size, seqs: state.seqByRun.size });
const DRAINED = { contexts: 0, seqs: 0 };

/** What the batch leaves as published: exact, from how each kind of run ends. */
const LEAKED = {
  contexts: runsOf('failed, then late', 'aborted', 'rejected', 'completed, then revived'),
  seqs: RUNS - runsOf('rejected'), // every run that ever emitted
};

/** What it leaves at its last event once both maps are adopted: a cleared run has taken its number along. */
const LEFT_TO_SWEEP = {
  contexts: LEAKED.contexts,
  seqs: runsOf(
    'failed, then late',
    'aborted',
    'completed, then late',
    'completed, then revived',
    'without session',
  ),
};

const playBatch = (gateway: Gateway): Run[] =>
  Array.from({ length: TICKETS }, (_, ticket) => playTicket(events, gateway, ticket)).flat();

const plannedRuns = (): Run[] => Array.from({ length: TICKETS }, (_, ticket) => runsOfTicket(ticket)).flat();

/**
 * Everything by which a wrapper could be seen on the state and its maps. Compared by `Object.is`, value by value, since
 * deep equality looks through a wrapped function and at the entries of a map.
 */
const appearance = (): unknown[] =>
  [readState(), readState().runContextById, readState().seqByRun].flatMap((object) => [
    object,
    Object.getPrototypeOf(object),
    Object.isExtensible(object),
    ...Reflect.ownKeys(object).flatMap((key) => [
      key,
      ...Object.values(Object.getOwnPropertyDescriptor(object, key)!),
    ]),
  ]);

const expectSameAppearance = (before: unknown[]): void => {
  const after = appearance();
  expect(after.map((part, index) => [index, Object.is(part, before[index])])).toEqual(
    before.map((_, index) => [index, true]),
  );
};

suite(`agent events of ${OPENCLAW.name}@${OPENCLAW.version}, as published`, () => {
  const globalTimers: Timers = {
    setTimeout: (fn, ms) => setTimeout(fn, ms),
    clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
  };

  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    if (vi.isFakeTimers()) expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('still hold 700 contexts and 2,660 sequence numbers when all of 2,800 runs have ended', async () => {
    const gateway = attachGateway(events, globalTimers);
    playBatch(gateway);
    await vi.advanceTimersByTimeAsync(MINUTE); // the grace of the failed ones
    expect(LEAKED).toEqual({ contexts: 700, seqs: 2_660 });
    expect(sizes()).toEqual(LEAKED);
  });

  it('lose no event of the batch and number those of each run from 1 without a gap', async () => {
    const gateway = attachGateway(events, globalTimers);
    const runs = playBatch(gateway);
    await vi.advanceTimersByTimeAsync(MINUTE);
    const seqs = gateway.seqs();
    for (const run of runs) expect(seqs.get(run.id) ?? [], run.id).toEqual(countingTo(EVENTS[run.kind]));
  });

  it('give nothing back within 48 h, by no timer and by none of their ten functions', async () => {
    const gateway = attachGateway(events, globalTimers);
    const runs = playBatch(gateway);
    await vi.advanceTimersByTimeAsync(48 * HOUR);
    expect(sizes()).toEqual(LEAKED);

    const other = { runId: 'another run', data: {} };
    events.registerAgentRunContext(other.runId, { sessionKey: 'agent:main:main' });
    events.registerAgentRunContext(other.runId, { sessionKey: 'agent:main:main', verboseLevel: 'full' });
    events.emitAgentItemEvent(other);
    events.emitAgentPlanEvent(other);
    events.emitAgentApprovalEvent(other);
    events.emitAgentCommandOutputEvent(other);
    events.emitAgentPatchSummaryEvent(other);
    events.emitAgentEvent({ ...other, stream: 'lifecycle', data: { phase: 'end' } });
    for (const run of runs) events.getAgentRunContext(run.id);
    gateway.unsubscribe();
    expect(sizes()).toEqual({ contexts: LEAKED.contexts, seqs: LEAKED.seqs + 1 });

    // The one way out of the contexts, which the lost paths do not take, leaves every number where it is.
    for (const run of runs) events.clearAgentRunContext(run.id);
    expect(sizes()).toEqual({ contexts: 0, seqs: LEAKED.seqs + 1 });
  });

  it('have a single removal in their whole text, of a context on request', () => {
    if ('unreachable' in published) throw new Error('unreachable');
    expect(published.source.match(/\S+\.(?:delete|clear)\([^)]*\)/g)).toEqual([
      'getAgentEventState().runContextById.delete(runId)',
    ]);
  });
});

suite(`agent events of ${OPENCLAW.name}@${OPENCLAW.version}, adopted by createRegistry`, () => {
  const adoptBoth = (clock: ReturnType<typeof createManualClock>, unstamped: 'now' | 'expired' = 'now') =>
    createRegistry({
      clock,
      maps: {
        runContextById: { adopt: state.runContextById, maxIdle: '30m', unstamped },
        seqByRun: { adopt: state.seqByRun, follows: 'runContextById', orphanAfter: '30m', unstamped },
      },
    });

  it('drain after a leak: all 3,360 entries 30 min after the adoption, none 1 ms before', async () => {
    const clock = createManualClock();
    playBatch(attachGateway(events, clock));
    await clock.advance(MINUTE);
    const before = { ...state };
    const registry = adoptBoth(clock);
    expect(sizes()).toEqual(LEAKED);

    await clock.advance(30 * MINUTE - 1);
    await registry.sweep();
    expect(sizes()).toEqual(LEAKED);
    await clock.advance(1);
    await registry.sweep();
    expect(sizes()).toEqual(DRAINED);

    expect(readState().runContextById).toBe(before.runContextById);
    expect(readState().seqByRun).toBe(before.seqByRun);
    expect(registry.maps.runContextById).toBe(before.runContextById);
    expect(registry.maps.seqByRun).toBe(before.seqByRun);
    await registry.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it("drain after a leak at the first sweep with unstamped: 'expired'", async () => {
    const clock = createManualClock();
    playBatch(attachGateway(events, clock));
    await clock.advance(MINUTE);
    const registry = adoptBoth(clock, 'expired');
    expect(sizes()).toEqual(LEAKED);
    await clock.advance(MINUTE);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });

  it('drain without a call of the owner, at most 2 min after 30 min without an event', async () => {
    const clock = createManualClock();
    const registry = adoptBoth(clock);
    playBatch(attachGateway(events, clock));
    expect(LEFT_TO_SWEEP).toEqual({ contexts: 700, seqs: 1_120 });
    await clock.advance(MINUTE);
    expect(sizes()).toEqual(LEFT_TO_SWEEP);
    await clock.advance(29 * MINUTE - 1);
    expect(sizes()).toEqual(LEFT_TO_SWEEP);
    await clock.advance(2 * MINUTE + 1);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('hold at most what 32 min of tickets leave, over a batch of 11 h 40 min', async () => {
    const clock = createManualClock();
    const registry = adoptBoth(clock);
    const gateway = attachGateway(events, clock);
    const peak = { contexts: 0, seqs: 0 };
    for (let ticket = 0; ticket < TICKETS; ticket += 1) {
      playTicket(events, gateway, ticket);
      peak.contexts = Math.max(peak.contexts, state.runContextById.size);
      peak.seqs = Math.max(peak.seqs, state.seqByRun.size);
      await clock.advance(30_000);
    }
    // 64 tickets, rounded up to whole tens, of which each leaves the same; two more runs are just being played.
    expect(peak.contexts).toBeLessThanOrEqual(7 * (LEFT_TO_SWEEP.contexts / (TICKETS / 10)) + 2);
    expect(peak.seqs).toBeLessThanOrEqual(7 * (LEFT_TO_SWEEP.seqs / (TICKETS / 10)) + 2);
    await clock.advance(32 * MINUTE);
    expect(sizes()).toEqual(DRAINED);
    expect(readState()).toEqual(state);
    await registry.close();
  });

  it('take the number along with the context that their own clear removes, so that a late event starts at 1', async () => {
    const clock = createManualClock();
    const registry = adoptBoth(clock);
    const gateway = attachGateway(events, clock);
    events.registerAgentRunContext('run', { sessionKey: 'agent:main:main' });
    events.emitAgentEvent({ runId: 'run', stream: 'lifecycle', data: { phase: 'start' } });
    events.emitAgentEvent({ runId: 'run', stream: 'lifecycle', data: { phase: 'end' } });
    expect(sizes()).toEqual(DRAINED);
    events.emitAgentEvent({ runId: 'run', stream: 'tool', data: { phase: 'result' } });
    expect(gateway.received.map((event) => event.seq)).toEqual([1, 2, 1]);
    expect(sizes()).toEqual({ contexts: 0, seqs: 1 });
    await clock.advance(32 * MINUTE);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });

  it('keep 20 runs that emit every 25 min for 5 h, their numbers uninterrupted, while 2,800 dead ones go', async () => {
    const clock = createManualClock();
    const registry = adoptBoth(clock);
    const gateway = attachGateway(events, clock);
    const withContext = Array.from({ length: 10 }, (_, index) => `long-${index}`);
    const withoutSession = Array.from({ length: 10 }, (_, index) => `cli-${index}`);
    for (const runId of withContext)
      events.registerAgentRunContext(runId, { sessionKey: `agent:main:${runId}` });
    const contexts = withContext.map((runId) => events.getAgentRunContext(runId));
    const tick = () => {
      for (const runId of [...withContext, ...withoutSession]) {
        events.emitAgentEvent({ runId, stream: 'assistant', data: { text: 'Still at it.' } });
      }
    };
    tick();
    playBatch(gateway);
    for (let beat = 0; beat < 12; beat += 1) {
      await clock.advance(25 * MINUTE);
      tick();
    }
    expect(sizes()).toEqual({ contexts: 10, seqs: 20 });
    const seqs = gateway.seqs();
    for (const runId of [...withContext, ...withoutSession]) {
      expect(seqs.get(runId), runId).toEqual(countingTo(13));
      expect(state.seqByRun.get(runId), runId).toBe(13);
    }
    expect(withContext.map((runId) => events.getAgentRunContext(runId))).toEqual(contexts);
    for (const [index, runId] of withContext.entries()) {
      expect(events.getAgentRunContext(runId)).toBe(contexts[index]);
    }

    for (const runId of withContext) {
      events.emitAgentEvent({ runId, stream: 'lifecycle', data: { phase: 'end' } });
    }
    expect(sizes()).toEqual({ contexts: 0, seqs: 10 });
    await clock.advance(32 * MINUTE);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });

  it('keep a run of 3 h inside one silent tool call when activeAt knows of it from elsewhere', async () => {
    const clock = createManualClock();
    const supervised = new Map<string, number>();
    const registry = createRegistry({
      clock,
      maps: {
        runContextById: {
          adopt: state.runContextById,
          maxIdle: '30m',
          activeAt: (_context, runId) => supervised.get(runId),
        },
        seqByRun: { adopt: state.seqByRun, follows: 'runContextById', orphanAfter: '30m' },
      },
    });
    const gateway = attachGateway(events, clock);
    for (const runId of ['supervised', 'forgotten']) {
      events.registerAgentRunContext(runId, { sessionKey: `agent:main:${runId}` });
      events.emitAgentEvent({ runId, stream: 'tool', data: { phase: 'start', name: 'exec' } });
    }
    for (let heartbeat = 0; heartbeat < 18; heartbeat += 1) {
      await clock.advance(10 * MINUTE);
      supervised.set('supervised', clock.now());
    }
    expect([...state.runContextById.keys()]).toEqual(['supervised']);
    expect([...state.seqByRun]).toEqual([['supervised', 1]]);
    events.emitAgentEvent({ runId: 'supervised', stream: 'tool', data: { phase: 'result', name: 'exec' } });
    expect(gateway.seqs().get('supervised')).toEqual([1, 2]);

    await clock.advance(32 * MINUTE);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });

  it('work as before once drained: a run of a swept id counts from 1 and every listener gets every event in order', async () => {
    const clock = createManualClock();
    const registry = adoptBoth(clock);
    playBatch(attachGateway(events, clock));
    await clock.advance(32 * MINUTE);
    expect(sizes()).toEqual(DRAINED);

    const heard: Array<[listener: string, stream: string, seq: number]> = [];
    events.onAgentEvent((event) => heard.push(['first', event.stream, event.seq]));
    events.onAgentEvent(() => {
      throw new Error('a listener of somebody else');
    });
    events.onAgentEvent((event) => heard.push(['last', event.stream, event.seq]));
    const aborted = plannedRuns().find((run) => run.kind === 'aborted')!;
    events.registerAgentRunContext(aborted.id, { sessionKey: 'agent:main:again' });
    expect(events.getAgentRunContext(aborted.id)).toEqual({ sessionKey: 'agent:main:again' });
    const run = { runId: aborted.id, data: {} };
    events.emitAgentEvent({ ...run, stream: 'lifecycle', data: { phase: 'start' } });
    events.emitAgentPlanEvent(run);
    events.emitAgentCommandOutputEvent(run);
    events.emitAgentEvent({ ...run, stream: 'lifecycle', data: { phase: 'end' } });
    const expected = ['lifecycle', 'plan', 'command_output', 'lifecycle'].map((stream, index) => [
      stream,
      index + 1,
    ]);
    for (const listener of ['first', 'last']) {
      expect(heard.filter(([name]) => name === listener).map(([, ...event]) => event)).toEqual(expected);
    }
    expect(heard.map(([listener]) => listener)).toEqual(expected.flatMap(() => ['first', 'last']));
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });

  it('look as before after close(): maps, state and entries, and nothing is swept or followed any more', async () => {
    const clock = createManualClock();
    const gateway = attachGateway(events, clock);
    const before = appearance();
    const registry = adoptBoth(clock);
    playBatch(gateway);
    await clock.advance(MINUTE);
    const contents = [[...state.runContextById], [...state.seqByRun]];
    await registry.close();
    expectSameAppearance(before);
    expect([[...state.runContextById], [...state.seqByRun]]).toEqual(contents);
    expect(clock.pendingTimers).toBe(0);

    await clock.advance(48 * HOUR);
    expect(sizes()).toEqual(LEFT_TO_SWEEP);
    events.registerAgentRunContext('after', { sessionKey: 'agent:main:main' });
    events.emitAgentEvent({ runId: 'after', stream: 'lifecycle', data: { phase: 'end' } });
    expect(sizes()).toEqual({ contexts: LEFT_TO_SWEEP.contexts, seqs: LEFT_TO_SWEEP.seqs + 1 });
  });

  it('look as before after release() of each, and can be adopted once more', async () => {
    const clock = createManualClock();
    const before = appearance();
    const registry = createRegistry({ clock });
    for (let round = 0; round < 2; round += 1) {
      const contexts = registry.adopt('runContextById', state.runContextById, { maxIdle: '30m' });
      const seqs = registry.adopt('seqByRun', state.seqByRun, {
        follows: 'runContextById',
        orphanAfter: '30m',
      });
      playBatch(attachGateway(events, clock));
      await clock.advance(32 * MINUTE);
      expect(sizes()).toEqual(DRAINED);
      seqs.release();
      contexts.release();
      expectSameAppearance(before);
    }
    await registry.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

suite(`agent events of ${OPENCLAW.name}@${OPENCLAW.version}, adopted by createGatewayRegistry`, () => {
  /** Of a subagent's record, the fields that say when it may go; `session` runs have no `archiveAtMs`. */
  interface SubagentRun {
    runId: string;
    childSessionKey: string;
    spawnMode: 'run' | 'session';
    cleanup: 'keep' | 'delete';
    createdAt: number;
    startedAt: number;
    endedAt?: number;
    cleanupCompletedAt?: number;
    archiveAtMs?: number;
  }

  const sessionRun = (runId: string, now: number): SubagentRun => ({
    runId,
    childSessionKey: `agent:main:subagent:${runId}`,
    spawnMode: 'session',
    cleanup: 'keep',
    createdAt: now,
    startedAt: now,
  });

  it('drain with the records of 2,800 session-mode runs, and each run is said to have ended once', async () => {
    const clock = createManualClock();
    const ended: string[] = [];
    const subagentRuns = new Map<string, SubagentRun>();
    const registry = createGatewayRegistry({
      clock,
      adopt: { subagentRuns, runContextById: state.runContextById, seqByRun: state.seqByRun },
      onSubagentEnded: async (event) => {
        ended.push(event.key);
      },
    });
    const gateway = attachGateway(events, clock);
    events.onAgentEvent(({ runId, stream, data }) => {
      const record = subagentRuns.get(runId);
      if (record && stream === 'lifecycle' && data.phase !== 'start') record.endedAt = clock.now();
    });
    for (let ticket = 0; ticket < TICKETS; ticket += 1) {
      for (const run of runsOfTicket(ticket)) subagentRuns.set(run.id, sessionRun(run.id, clock.now()));
      playTicket(events, gateway, ticket);
    }
    await clock.advance(MINUTE);
    expect(subagentRuns.size).toBe(RUNS);
    expect(sizes()).toEqual(LEFT_TO_SWEEP);

    // Those that completed are announced and cleaned up; a failed one's clean-up never completes.
    const cleanedUp = plannedRuns().filter(
      (run) => run.kind.startsWith('completed') || run.kind === 'without session',
    );
    for (const run of cleanedUp) {
      subagentRuns.get(run.id)!.cleanupCompletedAt = clock.now();
      expect(registry.end(run.id, { reason: 'completed' })).toBe('claimed');
    }
    await clock.advance(7 * MINUTE);
    const failed = runsOf('failed', 'failed, then late');
    const neverEnded = runsOf('aborted', 'rejected');
    expect(subagentRuns.size).toBe(failed + neverEnded);
    // A context goes with its run's record and takes its number along; a number without a context is an orphan.
    const orphans = runsOf('completed, then late', 'without session');
    expect(sizes()).toEqual({
      contexts: runsOf('failed, then late', 'aborted', 'rejected'),
      seqs: runsOf('failed, then late', 'aborted') + orphans,
    });
    await clock.advance(25 * MINUTE);
    expect(sizes()).toEqual({
      contexts: runsOf('failed, then late', 'aborted', 'rejected'),
      seqs: runsOf('failed, then late', 'aborted'),
    });

    await clock.advance(30 * MINUTE);
    expect(subagentRuns.size).toBe(neverEnded);
    expect(sizes()).toEqual({ contexts: neverEnded, seqs: runsOf('aborted') });
    await clock.advance(23 * HOUR);
    expect(subagentRuns.size).toBe(0);
    expect(sizes()).toEqual(DRAINED);

    expect(ended).toHaveLength(RUNS);
    expect(new Set(ended)).toEqual(new Set(plannedRuns().map((run) => run.id)));
    expect(readState().runContextById).toBe(state.runContextById);
    expect(readState().seqByRun).toBe(state.seqByRun);
    expect(await registry.close()).toMatchObject({ undelivered: 0 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('drain as main and cron runs, which have no record: 30 min after their last event', async () => {
    const clock = createManualClock();
    const before = appearance();
    const onSubagentEnded = vi.fn();
    const registry = createGatewayRegistry({
      clock,
      adopt: { runContextById: state.runContextById, seqByRun: state.seqByRun },
      onSubagentEnded,
    });
    const gateway = attachGateway(events, clock);
    playBatch(gateway);
    events.registerAgentRunContext('long', { sessionKey: 'agent:main:main' });
    const emit = () => events.emitAgentEvent({ runId: 'long', stream: 'assistant', data: {} });
    emit();
    await clock.advance(30 * MINUTE - 1);
    expect(sizes()).toEqual({ contexts: LEFT_TO_SWEEP.contexts + 1, seqs: LEFT_TO_SWEEP.seqs + 1 });
    emit();
    await clock.advance(2 * MINUTE + 1);
    expect(sizes()).toEqual({ contexts: 1, seqs: 1 });
    for (let beat = 0; beat < 6; beat += 1) {
      await clock.advance(25 * MINUTE);
      emit();
    }
    expect(gateway.seqs().get('long')).toEqual(countingTo(8));
    expect(onSubagentEnded).not.toHaveBeenCalled(); // none of them is a subagent
    await registry.close();
    expectSameAppearance(before);
  });

  it('keep a subagent that emits once in 23 h with its context and number, on the record of its run', async () => {
    const clock = createManualClock();
    const subagentRuns = new Map<string, SubagentRun>();
    const registry = createGatewayRegistry({
      clock,
      adopt: { subagentRuns, runContextById: state.runContextById, seqByRun: state.seqByRun },
      onSubagentEnded: async () => {},
    });
    const gateway = attachGateway(events, clock);
    subagentRuns.set('slow', sessionRun('slow', clock.now()));
    events.registerAgentRunContext('slow', { sessionKey: 'agent:main:subagent:slow' });
    for (let beat = 0; beat < 3; beat += 1) {
      events.emitAgentEvent({ runId: 'slow', stream: 'assistant', data: {} });
      await clock.advance(23 * HOUR);
    }
    expect(subagentRuns.has('slow')).toBe(true);
    expect(sizes()).toEqual({ contexts: 1, seqs: 1 });
    expect(gateway.seqs().get('slow')).toEqual([1, 2, 3]);
    await clock.advance(HOUR + 2 * MINUTE);
    expect(subagentRuns.size).toBe(0);
    expect(sizes()).toEqual(DRAINED);
    await registry.close();
  });
});
