/**
 * The batch that killed a gateway: 1,400 tickets of two runs each, four maps with an entry a run, and nothing that
 * deletes by itself.
 */
import { BusyTime } from './busy-time.js';
import type { Contender, ContenderKind, Subject } from './contenders.js';
import { sleep, turn } from './event-loop.js';
import { liveBytes } from './heap.js';
import { leastGateway } from './least-gateway.js';
import type { Effort, Figures } from './operations.js';
import { installShiftedTime, passTime, stopwatch } from './shifted-time.js';

const tickets = 1_400;
const runsPerTicket = 2;
const eventsPerRun = 20;
const ttlMs = 5 * 60_000;
const realTtlMs = 50;
/** Beyond every lifetime of the gateway but the one of runs that never end. */
const afterwardsMs = 2 * 60 * 60_000;

/** The maps of a gateway, kept by one contender. */
interface Gateway {
  readonly runs: Subject;
  readonly contexts: Subject;
  readonly sequences: Subject;
  readonly errors: Subject;
  end(runId: string): unknown;
  sweep(): unknown;
  size(): number;
  close(): void;
}

interface BatchRun {
  readonly task: string;
  endedAt: number | undefined;
  cleanupCompletedAt: number | undefined;
  lastActiveAt: number;
}

/** Plays the batch, lets two hours pass, sweeps, and sees what is left of it. */
export async function measureBatch(kind: ContenderKind, effort: Effort): Promise<Figures> {
  installShiftedTime();
  const make = await loadGateway(kind);
  const kept = make();
  await play(kept, tickets / 10);
  const began = stopwatch();
  do {
    const warmUp = make();
    await play(warmUp, tickets / 10);
    warmUp.close();
  } while (stopwatch() - began < effort.warmUpMs);

  const gateway = make();
  const before = await liveBytes();
  const time = new BusyTime();
  await play(gateway, tickets);
  const playedMs = time.busyMs;
  const grown = await liveBytes();
  passTime(afterwardsMs);
  if (kind.hasTimerPerEntry) await sleep(4 * realTtlMs);
  else await sleep(5);
  await gateway.sweep();
  const after = await liveBytes();
  const figures = {
    batchMs: playedMs,
    batchPeakKb: (grown - before) / 1_024,
    batchLeftKb: (after - before) / 1_024,
    batchLeftEntries: gateway.size(),
  };
  gateway.close();
  // Not earlier: V8 keeps what it has compiled for a shape as long as one of it is alive, as that of a service is.
  kept.close();
  return figures;
}

async function play(gateway: Gateway, count: number): Promise<void> {
  const { runs, contexts, sequences, errors } = gateway;
  for (let ticket = 0; ticket < count; ticket += 1) {
    for (let session = 0; session < runsPerTicket; session += 1) {
      const runId = `agent:main:subagent:ticket-${ticket}:session-${session}`;
      const now = Date.now();
      const run: BatchRun = {
        task: runId,
        endedAt: undefined,
        cleanupCompletedAt: undefined,
        lastActiveAt: now,
      };
      runs.set(runId, run);
      contexts.set(runId, { prompt: Buffer.alloc(4_096, 97).toString('latin1'), lastActiveAt: now });
      for (let event = 1; event <= eventsPerRun; event += 1) {
        sequences.set(runId, event);
        contexts.has(runId);
        runs.get(runId);
      }
      if (ticket % 10 === 0)
        errors.set(runId, { endedAt: now, error: 'connection reset', lastActiveAt: now });
      run.endedAt = Date.now();
      run.cleanupCompletedAt = run.endedAt;
      runs.set(runId, run);
      gateway.end(runId);
    }
    passTime(1_000);
    if (ticket % 10 === 9) await turn();
  }
}

async function loadGateway(kind: ContenderKind): Promise<() => Gateway> {
  if (kind.name === 'tracked' || kind.name === 'adopted') return loadOurs(kind.name === 'adopted');
  if (kind.name === 'map-least') return () => leastGateway<BatchRun>() as Gateway;
  const make = await kind.load();
  const options = { ttlMs: kind.hasTimerPerEntry ? realTtlMs : ttlMs, capacity: 2 * tickets * runsPerTicket };
  return () => {
    const maps = Array.from({ length: 4 }, () => make(options)) as [
      Contender,
      Contender,
      Contender,
      Contender,
    ];
    const [runs, contexts, sequences, errors] = maps;
    return {
      runs: runs.subject,
      contexts: contexts.subject,
      // A number has no room for a stamp: those who keep it in the value need an object for it.
      sequences: kind.name === 'map-scan' ? boxing(sequences.subject) : sequences.subject,
      errors: errors.subject,
      end: () => undefined,
      // Nobody empties a plain Map: that is the leak.
      sweep: () => {
        if (kind.name !== 'map') for (const map of maps) map.sweep?.();
      },
      size: () => maps.reduce((sum, map) => sum + map.size(), 0),
      close: () => {
        for (const map of maps) map.close();
      },
    };
  };
}

function boxing(subject: Subject): Subject {
  return { ...subject, set: (key, sequence) => subject.set(key, { sequence, lastActiveAt: Date.now() }) };
}

async function loadOurs(isAdopting: boolean): Promise<() => Gateway> {
  const { createGatewayRegistry } = await import('mapsweep');
  return () => {
    const live = {
      subagentRuns: new Map<string, BatchRun>(),
      runContextById: new Map<string, { lastActiveAt: number }>(),
      seqByRun: new Map<string, number>(),
      pendingLifecycleErrors: new Map<string, { endedAt: number }>(),
    };
    const registry = createGatewayRegistry<BatchRun, { lastActiveAt: number }, { endedAt: number }>({
      ...(isAdopting && { adopt: live }),
      onSubagentEnded: async () => {},
    });
    const { subagentRuns, runContextById, seqByRun, pendingLifecycleErrors } = registry.maps;
    const maps = [subagentRuns, runContextById, seqByRun, pendingLifecycleErrors];
    return {
      runs: subagentRuns as Subject,
      contexts: runContextById as Subject,
      sequences: seqByRun as Subject,
      errors: pendingLifecycleErrors as Subject,
      end: (runId) => registry.end(runId),
      sweep: () => registry.sweep(),
      size: () => maps.reduce((sum, map) => sum + map.size, 0),
      close: () => registry.stop(),
    };
  };
}
