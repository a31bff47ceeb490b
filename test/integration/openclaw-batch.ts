/**
 * A batch of agent runs through the published agent-event module, with what its gateway does around it.
 *
 * The module only keeps and removes what it is told to; which run leaves what behind is decided by its callers. Three
 * rules of the published gateway's event handler do that, and are followed here:
 *
 * - a lifecycle `end` clears the run's context;
 * - a lifecycle `error` clears it after a grace of 15 s, which any other event of the run calls off;
 * - an event of a run without a context looks for a session whose id is the run's, as main and cron runs have, and
 *   registers the context again when there is one.
 */
import type { AgentEvent, AgentEvents } from './openclaw-package.ts';

const ERROR_GRACE_MS = 15_000;

/** How a run goes. Each of them is over when its steps are; nothing of it is needed any more. */
export type RunKind =
  | 'completed' // lifecycle end: cleared
  | 'failed' // lifecycle error: cleared 15 s later
  | 'failed, then late' // a tool reports inside the grace, so that nothing clears any more
  | 'aborted' // stops without a last lifecycle event
  | 'rejected' // registered, refused before its first event
  | 'completed, then late' // a tool reports after the clear
  | 'completed, then revived' // the same, and the gateway finds its session
  | 'without session'; // never registered: a context needs a session key

export interface Run {
  id: string;
  kind: RunKind;
  steps: ReadonlyArray<(events: AgentEvents) => void>;
}

/** One of twenty runs each: the shares of the batch. 9 + 2 + 1 + 2 + 1 + 2 + 1 + 2. */
const SHARES: ReadonlyArray<RunKind> = [
  'completed',
  'completed, then late',
  'completed',
  'aborted',
  'completed',
  'failed',
  'completed',
  'without session',
  'completed',
  'completed, then revived',
  'completed',
  'failed, then late',
  'completed',
  'rejected',
  'completed',
  'aborted',
  'completed',
  'failed',
  'completed, then late',
  'without session',
];

/** 1,400 tickets, 2 session-mode runs each. */
export const TICKETS = 1_400;
/** The runs of the whole batch: 2,800. */
export const RUNS = TICKETS * 2;

/** How many of the batch's runs are of a kind. */
export const runsOf = (...kinds: RunKind[]): number =>
  SHARES.filter((kind) => kinds.includes(kind)).length * (RUNS / SHARES.length);

/** How many events a run of each kind emits. */
export const EVENTS: Readonly<Record<RunKind, number>> = {
  completed: 7,
  failed: 3,
  'failed, then late': 4,
  aborted: 3,
  rejected: 0,
  'completed, then late': 8,
  'completed, then revived': 8,
  'without session': 3,
};

/** The two runs of a ticket. */
export function runsOfTicket(ticket: number): [Run, Run] {
  return [planRun(ticket, 0), planRun(ticket, 1)];
}

function planRun(ticket: number, session: 0 | 1): Run {
  const id = `run-${ticket}-${session}`;
  const sessionKey = `agent:main:subagent:${ticket}-${session}`;
  const kind = SHARES[(ticket * 2 + session) % SHARES.length]!;
  const register = (events: AgentEvents) =>
    events.registerAgentRunContext(id, { sessionKey, verboseLevel: 'off', isControlUiVisible: true });
  const emit = (stream: string, data: Record<string, unknown>) => (events: AgentEvents) =>
    events.emitAgentEvent({ runId: id, stream, data });
  const start = emit('lifecycle', { phase: 'start', startedAt: 1 });
  const say = emit('assistant', { text: 'Looking at the ticket.', delta: 'ticket.' });
  const end = emit('lifecycle', { phase: 'end', endedAt: 2 });
  const error = emit('lifecycle', { phase: 'error', error: 'model overloaded', endedAt: 2 });
  const toolReport = emit('tool', { phase: 'result', name: 'read', toolCallId: 'late' });
  const whole = [
    register,
    start,
    say,
    emit('tool', { phase: 'start', name: 'read', toolCallId: 'call' }),
    (events: AgentEvents) =>
      events.emitAgentItemEvent({
        runId: id,
        data: { itemId: 'call', phase: 'end', kind: 'tool', status: 'completed' },
      }),
    emit('tool', { phase: 'result', name: 'read', toolCallId: 'call' }),
    say,
    end,
  ];
  const steps: Record<RunKind, Run['steps']> = {
    completed: whole,
    failed: [register, start, say, error],
    'failed, then late': [register, start, say, error, toolReport],
    aborted: [register, start, say, say],
    rejected: [register],
    'completed, then late': [...whole, toolReport],
    'completed, then revived': [...whole, toolReport],
    'without session': [start, say, end],
  };
  return { id, kind, steps: steps[kind] };
}

/** Where the gateway's grace timers run: the globals, or a manual clock. */
export interface Timers {
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The gateway's listener on the module. `received` has every event in the order of arrival. */
export function attachGateway(events: AgentEvents, timers: Timers) {
  const received: AgentEvent[] = [];
  const graces = new Map<string, unknown>();
  const sessionsById = new Map<string, string>();

  const callOffGrace = (runId: string) => {
    timers.clearTimeout(graces.get(runId));
    graces.delete(runId);
  };
  const unsubscribe = events.onAgentEvent((event) => {
    received.push(event);
    const { runId } = event;
    const phase = event.stream === 'lifecycle' ? event.data.phase : undefined;
    callOffGrace(runId);
    if (events.getAgentRunContext(runId) === undefined) {
      const sessionKey = sessionsById.get(runId);
      if (sessionKey !== undefined) events.registerAgentRunContext(runId, { sessionKey });
    }
    if (phase === 'end') events.clearAgentRunContext(runId);
    if (phase === 'error') {
      const clear = () => {
        graces.delete(runId);
        events.clearAgentRunContext(runId);
      };
      graces.set(runId, timers.setTimeout(clear, ERROR_GRACE_MS));
    }
  });

  return {
    received,
    unsubscribe,
    /** A session whose id is the run's own, so that an event without a context finds it. */
    addSession: (runId: string, sessionKey: string) => sessionsById.set(runId, sessionKey),
    /** The numbers that the listener got for each run, in the order of arrival. */
    seqs: () => {
      const byRun = new Map<string, number[]>();
      for (const { runId, seq } of received) {
        const seqs = byRun.get(runId);
        if (seqs) seqs.push(seq);
        else byRun.set(runId, [seq]);
      }
      return byRun;
    },
  };
}

export type Gateway = ReturnType<typeof attachGateway>;

/** Plays one ticket: both runs in turn, step by step, as two sessions of one process interleave. */
export function playTicket(events: AgentEvents, gateway: Gateway, ticket: number): [Run, Run] {
  const runs = runsOfTicket(ticket);
  for (const run of runs) {
    if (run.kind === 'completed, then revived') gateway.addSession(run.id, `cron:${run.id}`);
  }
  const steps = Math.max(...runs.map((run) => run.steps.length));
  for (let step = 0; step < steps; step += 1) {
    for (const run of runs) run.steps[step]?.(events);
  }
  return runs;
}

/** 1, 2, … `length`. */
export const countingTo = (length: number): number[] => Array.from({ length }, (_, index) => index + 1);
