/**
 * The figures of one side, and whether they are those of a sweep that held.
 *
 * What is over and what is still at work is known from the batch, not from the maps that are being judged.
 */
import type { Batch, Run } from './batch.ts';
import type { ContextEngine } from './context-engine.ts';
import { MAP_NAMES, type MapName, type Registries } from './gateway.ts';
import { counted, grouped } from './units.ts';

/** The entries `left` in one map. */
export interface EntryCount {
  left: number;
  /** Entries of runs that are over: the leak. */
  over: number;
  /** Runs that still work and should have an entry here; known from the batch. */
  working: number;
}

export type EntryCounts = Record<MapName, EntryCount>;

/** What one side came to. All of it is measured or counted in the run. */
export interface Figures {
  requests: number;
  /** Entries in each map when all lifetimes are over. */
  entries: EntryCounts;
  /** Heap in use after a garbage collection, before the first request and after everything. */
  heapBytes: { before: number; after: number };
  /** Ended subagent runs by how often the context engine was successfully told. A restarted run is one run. */
  notified: { none: number; once: number; moreThanOnce: number };
  /** Second ends of runs that had ended: how many the batch has, and how many of them nobody was told of. */
  secondEnds: { reported: number; turnedAway: number };
  /** Runs that were lost, restarted from nothing or announced as ended while they worked. */
  killed: number;
  /** The longest delay of the event loop, by monitorEventLoopDelay at a resolution of 1 ms, which it contains. */
  longestBlockMs: number;
  wallMs: number;
  /** Passes over all Maps; 0 where nothing sweeps them. */
  sweeps: number;
}

/** Counts the entries that are left, by what the batch knows. */
export function countEntries(batch: Batch, registries: Registries): EntryCounts {
  const active = batch.runs.filter((run) => run.active);
  const activeIds = new Set(active.flatMap((run) => run.ids));
  const entriesOf = (name: MapName, working: number): EntryCount => {
    const keys = [...registries[name].keys()];
    return { left: keys.length, over: keys.filter((key) => !activeIds.has(key)).length, working };
  };
  return {
    subagentRuns: entriesOf('subagentRuns', active.filter(isSubagent).length),
    runContextById: entriesOf('runContextById', active.length),
    seqByRun: entriesOf('seqByRun', active.length),
    pendingLifecycleErrors: entriesOf('pendingLifecycleErrors', 0),
  };
}

/** Counts what is left. `lost` are the runs that the gateway did not know when they said something. */
export function count(
  batch: Batch,
  registries: Registries,
  engine: ContextEngine,
  lost: ReadonlySet<number>,
): Pick<Figures, 'entries' | 'notified' | 'killed'> {
  const notified = { none: 0, once: 0, moreThanOnce: 0 };
  let killed = 0;
  for (const [index, run] of batch.runs.entries()) {
    const times = run.ids.reduce((sum, id) => sum + engine.teardownsOf(id), 0);
    const survived = !lost.has(index) && (!run.active || (times === 0 && isWhole(run, registries)));
    if (!survived) killed++;
    if (run.active || !isSubagent(run)) continue;
    notified[times === 0 ? 'none' : times === 1 ? 'once' : 'moreThanOnce']++;
  }
  return { entries: countEntries(batch, registries), notified, killed };
}

/** Counts the ends that the batch reports of runs that have ended by then. */
export function countSecondEnds({ operations }: Batch): number {
  const completed = operations.filter(({ action }) => action.kind === 'cleanup').map(({ runId }) => runId);
  return completed.length - new Set(completed).size;
}

/** Whether the gateway registers it in `subagentRuns`, and announces its end. */
export const isSubagent = (run: Run): boolean => run.kind === 'session' || run.kind === 'run';

/** Everything the gateway holds for an active run is there, and its sequence never started again. */
function isWhole(run: Run, registries: Registries): boolean {
  const id = run.ids.at(-1)!;
  return (
    (!isSubagent(run) || registries.subagentRuns.has(id)) &&
    registries.runContextById.has(id) &&
    registries.seqByRun.get(id) === run.events
  );
}

/** Says what did not hold, one sentence each; empty if the sweep held. */
export function brokenPromises(figures: Figures): string[] {
  const broken: string[] = [];
  for (const name of MAP_NAMES) {
    const { over } = figures.entries[name];
    if (over > 0)
      broken.push(`${name} still holds ${counted(over, 'entry', 'entries')} of runs that are over.`);
  }
  const { none, moreThanOnce } = figures.notified;
  if (none > 0) broken.push(`The context engine never heard of ${counted(none, 'ended run')}.`);
  if (moreThanOnce > 0)
    broken.push(`The context engine heard more than once of ${counted(moreThanOnce, 'ended run')}.`);
  const { reported, turnedAway } = figures.secondEnds;
  if (turnedAway !== reported)
    broken.push(`${counted(turnedAway, 'second end')} of ${grouped(reported)} were turned away.`);
  if (figures.killed > 0)
    broken.push(`${counted(figures.killed, 'run')} lost what they had while they worked.`);
  return broken;
}
