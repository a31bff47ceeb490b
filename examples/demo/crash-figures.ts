/**
 * What the kills left behind, and what the context engine heard of it all.
 *
 * Counted from files: mapsweep's journal, the gateway's own store, and the log of what the context engine heard. No process
 * that was killed is asked.
 */
import type { Batch, Run } from './batch.ts';
import { type EntryCounts, isSubagent } from './figures.ts';
import { MAP_NAMES } from './gateway.ts';
import type { HeldAs } from './journal-reader.ts';
import type { StoredRuns } from './run-store.ts';
import { counted } from './units.ts';

/** One line of the context engine's log. */
export interface Delivery {
  runId: string;
  id: string;
  reason: string;
  /** The life of the gateway that told it; 1 is the first. */
  life: number;
}

/** What one kill left behind. */
export interface Crash {
  /** By the gateway clock, since the start of the batch. */
  killedAtMs: number;
  /** Requests that the gateway had answered. */
  answered: number;
  /** Runs whose end nobody has heard of yet, by who knows of them when the gateway starts again. */
  open: { inBoth: number; inStoreAlone: number; inJournalAlone: number; inNeither: number };
  /** Runs whose end was heard of, which the journal does not know yet. */
  heardUnwritten: number;
}

/** How many runs were heard of how often. */
export interface Times {
  never: number;
  once: number;
  twice: number;
  moreOften: number;
}

/** What the act came to. */
export interface CrashFigures {
  tickets: number;
  crashes: Crash[];
  /** Deliveries that the context engine took, and how many of them bear an id that it had seen. */
  deliveries: { all: number; repeats: number };
  /** Ended runs by how often they were heard of. A restarted run is one run. */
  heard: Times;
  /** The same, for a recipient that drops what bears an id that it has seen. */
  heardById: Times;
  /** Runs in no journal that the gateway's store lost as well; not counted in the two above. */
  knownToNobody: number;
  /** Runs that did not come back, and ended as `lost`. */
  endedAsLost: number;
  entries: EntryCounts;
  /** What did not hold, a sentence each. */
  broken: string[];
}

/** What is on disk after a kill, and where the batch was. */
export interface Remains {
  batch: Batch;
  /** The runs whose end the journal has mapsweep announce. */
  held: ReadonlyMap<string, HeldAs>;
  store: StoredRuns;
  deliveries: readonly Delivery[];
  /** When the gateway was killed, by the gateway clock. */
  killedAtMs: number;
  /** Requests that had been answered. */
  answered: number;
}

/** What the remains say of each run. */
export interface Autopsy {
  /** Runs whose end nobody has heard of. */
  open: ReadonlySet<string>;
  heard: ReadonlySet<string>;
  /** Runs whose end mapsweep is going to announce unless it learns better. */
  held: ReadonlyMap<string, HeldAs>;
}

/** Lays the three files side by side. */
export function examine({ held, store, deliveries }: Remains): Autopsy {
  const heard = new Set(deliveries.map(({ runId }) => runId));
  const open = [...new Set([...store.runs.keys(), ...held.keys()])].filter(
    (runId) => !heard.has(runId) && !store.restarts.has(runId),
  );
  return { open: new Set(open), heard, held };
}

/** The figures of one kill, when the store has lost `lost`. */
export function countCrash(
  { store, killedAtMs, answered }: Remains,
  { open, heard, held }: Autopsy,
  lost: ReadonlySet<string>,
): Crash {
  const openWhere = (isStored: boolean, isHeld: boolean) =>
    [...open].filter(
      (runId) => (store.runs.has(runId) && !lost.has(runId)) === isStored && held.has(runId) === isHeld,
    ).length;
  return {
    killedAtMs,
    answered,
    open: {
      inBoth: openWhere(true, true),
      inStoreAlone: openWhere(true, false),
      inJournalAlone: openWhere(false, true),
      inNeither: openWhere(false, false),
    },
    heardUnwritten: [...held.keys()].filter((runId) => heard.has(runId)).length,
  };
}

/** What was left of the runs that the store lost. */
export interface LostRuns {
  /** The journal held them as open, so they have to end as `lost`. */
  held: ReadonlySet<string>;
  /** No journal held them, and nobody had heard of them. */
  knownToNobody: ReadonlySet<string>;
}

/** Counts what was heard, and says what did not hold. */
export function countCrashes(
  batch: Batch,
  crashes: Crash[],
  deliveries: readonly Delivery[],
  lost: LostRuns,
  entries: EntryCounts,
): CrashFigures {
  const ofRun = deliveriesByRun(deliveries);
  const idsOf = (all: readonly Delivery[]) => new Set(all.map(({ id }) => id)).size;
  const ended = batch.runs.filter((run) => isSubagent(run) && !run.active);
  const heard = ended
    .filter((run) => !run.ids.some((id) => lost.knownToNobody.has(id)))
    .map((run) => run.ids.flatMap((id) => ofRun.get(id) ?? []));
  const figures = {
    tickets: batch.tickets,
    crashes,
    deliveries: { all: deliveries.length, repeats: deliveries.length - idsOf(deliveries) },
    heard: timesOf(heard.map((all) => all.length)),
    heardById: timesOf(heard.map(idsOf)),
    knownToNobody: lost.knownToNobody.size,
    endedAsLost: [...lost.held].filter((id) => ofRun.get(id)?.some(({ reason }) => reason === 'lost')).length,
    entries,
  };
  const active = batch.runs.filter((run) => isSubagent(run) && run.active);
  return { ...figures, broken: brokenBy(figures, deliveries, lost, active) };
}

const timesOf = (counts: readonly number[]): Times => ({
  never: counts.filter((times) => times === 0).length,
  once: counts.filter((times) => times === 1).length,
  twice: counts.filter((times) => times === 2).length,
  moreOften: counts.filter((times) => times > 2).length,
});

function brokenBy(
  { heardById, endedAsLost, entries }: Omit<CrashFigures, 'broken'>,
  deliveries: readonly Delivery[],
  lost: LostRuns,
  active: readonly Run[],
): string[] {
  const broken: string[] = [];
  const say = (count: number, sentence: (runs: string) => string) => {
    if (count > 0) broken.push(sentence(counted(count, 'run')));
  };
  say(heardById.never, (runs) => `The context engine never heard of the end of ${runs}.`);
  say(
    heardById.twice + heardById.moreOften,
    (runs) => `The context engine heard of the end of ${runs} under more than one id.`,
  );
  // At most once a life is at most once more for each crash.
  const told = new Set(deliveries.map(({ id, life }) => `${id} ${life}`));
  say(
    deliveries.length - told.size,
    (runs) => `One life of the gateway told the end of ${runs} more than once.`,
  );
  say(lost.held.size - endedAsLost, (runs) => `${runs} did not come back and did not end as lost.`);
  const ofRun = deliveriesByRun(deliveries);
  say(
    active.filter((run) => run.ids.some((id) => ofRun.has(id))).length,
    (runs) => `${runs} ended that still worked.`,
  );
  const { left, over, working } = entries.subagentRuns;
  say(working - (left - over), (runs) => `${runs} that still worked did not come back.`);
  for (const name of MAP_NAMES) {
    if (entries[name].over > 0)
      broken.push(
        `${name} still holds ${counted(entries[name].over, 'entry', 'entries')} of runs that are over.`,
      );
  }
  return broken;
}

function deliveriesByRun(deliveries: readonly Delivery[]): Map<string, Delivery[]> {
  const ofRun = new Map<string, Delivery[]>();
  for (const delivery of deliveries) {
    const all = ofRun.get(delivery.runId);
    if (all === undefined) ofRun.set(delivery.runId, [delivery]);
    else all.push(delivery);
  }
  return ofRun;
}
