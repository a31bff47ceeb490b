/**
 * What a run costs in the gateway's four maps, step by step: it is registered in three of them, says something five times,
 * and ends, by `end()` or by a sweep, and its end is delivered.
 */
import { comparedPackage } from './contenders.js';
import { sleep, turn } from './event-loop.js';
import { collect } from './heap.js';
import { leastGateway, runsATurn } from './least-gateway.js';
import type { Effort, Figures } from './operations.js';
import { installShiftedTime, passTime, stopwatch } from './shifted-time.js';
import { median } from './statistics.js';

const day = 24 * 60 * 60_000;
const eventsPerRun = 5;

interface Run {
  readonly runId: string;
  endedAt: number | undefined;
  cleanupCompletedAt: number | undefined;
}

/** The gateway's maps, as one contender keeps them. */
interface Gateway {
  register(id: string, run: Run): void;
  said(id: string, sequence: number): void;
  end(id: string): void;
  /** Removes all runs, and has the ends of those delivered that have not ended. */
  sweep(): unknown;
  /** How many ends have been delivered, to a handler that is asynchronous and does nothing. */
  delivered(): number;
  size(): number;
  close(): void;
}

/** Measures CPU time of this process, us a run. */
export async function measureGateway(contender: string, size: number, effort: Effort): Promise<Figures> {
  installShiftedTime();
  const make = contender === 'map-least' ? theLeast : await ours(contender);
  const ids = Array.from({ length: size }, (_, index) => `agent:main:subagent:${index.toString(36)}`);
  const few = ids.slice(0, 2_000);
  // V8 keeps what it has compiled for a shape as long as one of it is alive, as that of a service is.
  const kept = make();
  await live(kept, few);
  const began = stopwatch();
  do await live(make(), few);
  while (stopwatch() - began < effort.warmUpMs);

  const all: Figures[] = [];
  for (let life = 0; life < Math.min(5, Math.max(1, Math.ceil(effort.entries / size))); life += 1) {
    collect();
    await sleep(5);
    all.push(await live(make(), ids));
  }
  kept.close();
  const names = Object.keys(all[0] as Figures);
  return Object.fromEntries(
    names.map((name) => [name, median(all.map((figures) => figures[name] as number))]),
  );
}

async function live(gateway: Gateway, ids: readonly string[]): Promise<Figures> {
  const half = ids.length / 2;
  const runs = ids.map((runId): Run => ({ runId, endedAt: undefined, cleanupCompletedAt: undefined }));
  const id = (index: number): string => ids[index] as string;
  const gatewayRegisterUs = await cpuOf(ids.length, () =>
    each(0, ids.length, (index) => gateway.register(id(index), runs[index] as Run)),
  );
  const gatewaySaidUs = await cpuOf(ids.length * eventsPerRun, async () => {
    for (let event = 1; event <= eventsPerRun; event += 1) {
      await each(0, ids.length, (index) => gateway.said(id(index), event));
    }
  });
  const gatewayEndUs = await cpuOf(half, async () => {
    await each(0, half, (index) => gateway.end(id(index)));
    while (gateway.delivered() < half) await turn();
  });
  for (const run of runs) {
    run.endedAt = Date.now();
    run.cleanupCompletedAt = run.endedAt;
  }
  passTime(2 * day);
  const gatewaySweepUs = await cpuOf(ids.length, async () => {
    await gateway.sweep();
    while (gateway.delivered() < ids.length) await turn();
  });
  if (gateway.size() !== 0) throw new Error(`${gateway.size()} runs are left`);
  gateway.close();
  return { gatewayRegisterUs, gatewaySaidUs, gatewayEndUs, gatewaySweepUs };
}

async function cpuOf(count: number, work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function each(from: number, to: number, call: (index: number) => void): Promise<void> {
  for (let index = from; index < to; index += 1) {
    call(index);
    if (index % runsATurn === runsATurn - 1) await turn();
  }
}

async function ours(contender: string): Promise<() => Gateway> {
  const packageName = contender.endsWith('-compared') ? comparedPackage : 'mapsweep';
  const { createGatewayRegistry } = (await import(packageName)) as typeof import('mapsweep');
  return () => {
    let delivered = 0;
    const registry = createGatewayRegistry<Run, object, object>({
      onSubagentEnded: async () => {
        delivered += 1;
      },
    });
    const { subagentRuns, runContextById, seqByRun } = registry.maps;
    return {
      register: (id, run) => {
        subagentRuns.set(id, run);
        runContextById.set(id, {});
        seqByRun.set(id, 0);
      },
      said: (id, sequence) => void seqByRun.set(id, sequence),
      end: (id) => void registry.end(id),
      sweep: () => registry.sweep(),
      delivered: () => delivered,
      size: () => subagentRuns.size + runContextById.size + seqByRun.size,
      close: () => registry.stop(),
    };
  };
}

function theLeast(): Gateway {
  const { runs, contexts, sequences, ...gateway } = leastGateway<Run>();
  return {
    ...gateway,
    register: (id, run) => {
      runs.set(id, run);
      contexts.set(id, {});
      sequences.set(id, 0);
    },
    said: (id, sequence) => void sequences.set(id, sequence),
  };
}
