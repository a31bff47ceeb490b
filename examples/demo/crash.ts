/**
 * `--crash`: a smaller batch on mapsweep, killed with SIGKILL in the middle of it, twice, and started again on what
 * is on disk.
 *
 * The seed says when to kill, with a request under way. What
 * a process manages to do in its last milliseconds is up to the machine, so the figures differ a little from run to run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBatch, createRandom, TICKETS_START_WITHIN_MS } from './batch.ts';
import type { Progress } from './client.ts';
import {
  type Autopsy,
  type Crash,
  type CrashFigures,
  countCrash,
  countCrashes,
  type Delivery,
  examine,
  type Remains,
} from './crash-figures.ts';
import { readLines } from './durable-lines.ts';
import { heldRuns } from './journal-reader.ts';
import { filesIn, type LifeProcess, type LifeResult, type LifeSetup, startLife } from './life-process.ts';
import { loseRuns, readStore } from './run-store.ts';

/** When the parent begins to look for a moment to kill, as a share of the time in which tickets start. */
const KILLED_FROM: readonly (readonly [from: number, to: number])[] = [
  [0.25, 0.4],
  [0.6, 0.8],
];
/** How long the gateway is down, by the wall clock that it comes back to. */
const DOWN_MS: readonly [from: number, to: number] = [20_000, 60_000];
/** How many runs the gateway's store loses of each sort, so that every sort is there to be seen. */
const RUNS_LOST_OF_EACH_SORT = 2;
/** Of the requests from then on, so many may still be handled: some of one second are, and others are not. */
const MOST_REQUESTS_MORE = 4;

/** What is played, and who watches. */
export interface CrashAct {
  seed: number;
  tickets: number;
  /** Test only: the second life starts without the journal. */
  forgetJournal: boolean;
  onProgress(progress: Progress): void;
  /** Called with each process that is started. */
  onStart(life: LifeProcess): void;
}

/** Plays the act. Rejects where a process ends by itself before it should. */
export async function playCrashes(act: CrashAct): Promise<CrashFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-demo-'));
  const clear = () => rmSync(folder, { recursive: true, force: true });
  // Ctrl-C ends the process from elsewhere.
  process.once('exit', clear);
  try {
    return await playIn(folder, act);
  } finally {
    process.off('exit', clear);
    clear();
  }
}

async function playIn(folder: string, act: CrashAct): Promise<CrashFigures> {
  const { seed, tickets } = act;
  const files = filesIn(folder);
  const batch = createBatch({ seed, tickets });
  const random = createRandom(~seed);
  const between = ([from, to]: readonly [number, number]) => from + random() * (to - from);

  const crashes: Crash[] = [];
  const lost = { held: new Set<string>(), knownToNobody: new Set<string>() };
  // The next process is started ahead, since what it takes to load the code is not what is on show. It loads nothing
  // else until it begins, and that is when the one before is dead.
  const start = () => {
    const child = startLife();
    act.onStart(child);
    return child;
  };
  let next = start();
  let startsAtMs = 0;
  let from = 0;
  for (const share of KILLED_FROM) {
    const current = next;
    next = start();
    const life = crashes.length + 1;
    const watchFromMs = Math.round(between(share) * TICKETS_START_WITHIN_MS);
    const requestsMore = Math.floor(random() * MOST_REQUESTS_MORE);
    const setup = { life, seed, tickets, folder, startsAtMs, from, watchFromMs };
    const { sent, gatewayMs } = await liveUntilKilled(current, setup, requestsMore, act);

    const remains: Remains = {
      batch,
      held: await heldRuns(files.journal),
      store: readStore(files.store),
      deliveries: readLines<Delivery>(files.deliveries),
      killedAtMs: gatewayMs,
      answered: sent,
    };
    const autopsy = examine(remains);
    const losses = chooseLosses(remains, autopsy, random);
    crashes.push(countCrash(remains, autopsy, losses));
    for (const runId of losses) {
      const heldAs = autopsy.held.get(runId);
      if (heldAs === undefined) lost.knownToNobody.add(runId);
      // One that has ended is told again with the reason that it had.
      else if (heldAs === 'open') lost.held.add(runId);
    }
    loseRuns(files.store, losses);
    if (act.forgetJournal && life === 1) rmSync(files.journal, { recursive: true });
    startsAtMs = gatewayMs + Math.round(between(DOWN_MS));
    from = sent;
  }

  const last = { life: crashes.length + 1, seed, tickets, folder, startsAtMs, from };
  const { entries } = await liveToTheEnd(next, last, act);
  const total = batch.operations.length;
  act.onProgress({ sent: total, total, gatewayMs: batch.endMs });
  return countCrashes(batch, crashes, readLines<Delivery>(files.deliveries), lost, entries);
}

/** Resolves with how far it was, when the process is gone. */
async function liveUntilKilled(
  life: LifeProcess,
  setup: LifeSetup & { watchFromMs: number },
  requestsMore: number,
  act: CrashAct,
): Promise<Progress> {
  life.begin(setup);
  let reached: Progress | undefined;
  let requestsLeft = requestsMore;
  for await (const message of life.messages) {
    if (message.type === 'step') {
      reached = message.progress;
      act.onProgress(reached);
      continue;
    }
    if (message.type === 'result' || reached === undefined) break;
    // The gateway asks from then on, before it handles a request.
    if (requestsLeft-- > 0) life.nod();
    else life.kill();
  }
  const endedBy = await life.gone;
  if (endedBy !== 'SIGKILL' || reached === undefined)
    throw new Error(`the gateway was to be killed, and ended before that (${endedBy})`);
  return reached;
}

async function liveToTheEnd(life: LifeProcess, setup: LifeSetup, act: CrashAct): Promise<LifeResult> {
  life.begin(setup);
  let result: LifeResult | undefined;
  for await (const message of life.messages) {
    if (message.type === 'result') result = message.result;
    else if (message.type === 'step') act.onProgress(message.progress);
  }
  const endedBy = await life.gone;
  if (result === undefined)
    throw new Error(`the last life of the gateway ended before the batch (${endedBy})`);
  return result;
}

/**
 * The runs that the gateway's store loses: some at work that the journal holds, some that it does not, and some that
 * were heard of since. Runs that were restarted are left alone: half of such a run on disk is another story.
 */
function chooseLosses(
  { batch, store, answered }: Remains,
  autopsy: Autopsy,
  random: () => number,
): Set<string> {
  const { open, heard, held } = autopsy;
  const spawned = batch.operations.slice(0, answered).filter(({ action }) => action.kind === 'spawn');
  const candidates = spawned
    .filter(({ run }) => batch.runs[run]!.ids.length === 1 && !batch.runs[run]!.active)
    .map(({ runId }) => runId)
    .filter((runId) => store.runs.has(runId));
  const sorts = [
    candidates.filter((runId) => open.has(runId) && held.has(runId)),
    candidates.filter((runId) => open.has(runId) && !held.has(runId)),
    candidates.filter((runId) => heard.has(runId) && held.has(runId)),
  ];
  return new Set(sorts.flatMap((sort) => someOf(sort, RUNS_LOST_OF_EACH_SORT, random)));
}

function someOf<Item>(items: readonly Item[], count: number, random: () => number): Item[] {
  const left = [...items];
  const some: Item[] = [];
  while (some.length < count && left.length > 0)
    some.push(...left.splice(Math.floor(random() * left.length), 1));
  return some;
}
