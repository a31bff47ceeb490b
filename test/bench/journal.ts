/**
 * What a journal costs: the turns of the event loop beside the same load without one, the bytes of a run's life, the
 * time of a record, and what it takes to load what an earlier process left.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { turn } from './event-loop.js';
import { collect, liveBytes } from './heap.js';
import type { Figures } from './operations.js';
import { stopwatch } from './shifted-time.js';
import { watchTurns } from './turns.js';
import { createWorkload, type Workload } from './workload.js';

type Mapsweep = typeof import('mapsweep');
type Service = ReturnType<typeof start>;

/** Runs that begin, and runs that end, in a second. */
const ratePerSecond = 2_000;
/** So often, ms. */
const stepMs = 5;
/** Runs that begin in one macrotask while what was there before is made. */
const chunk = 1_000;
/** Runs whose whole life is timed. */
const timedLives = 100_000;
/** A run's life is a `set`, a claimed end, a delivery, and an entry that has left. */
const recordsOfLife = 4;

/** How much is measured. */
export interface JournalEffort {
  /** How long the load is watched, ms. */
  readonly watchMs: number;
}

function start({ createRegistry }: Mapsweep, persistTo: string | undefined) {
  let delivered = 0;
  const registry = createRegistry<{ runs: Map<string, unknown> }>({
    maps: { runs: { maxIdle: '24h' } },
    ended: {
      map: 'runs',
      deliver: async () => {
        delivered += 1;
      },
    },
    ...(persistTo !== undefined && { persistTo }),
  });
  const { runs } = registry.maps;
  return {
    registry,
    runs,
    /** Ends a run, as its owner does. */
    end: (key: string): void => {
      registry.end(key);
      runs.delete(key);
    },
    deliveredAll: async (count: number): Promise<void> => {
      while (delivered < count) await turn();
      await registry.flushed();
    },
  };
}

/** Measures with `size` live runs, with a journal or without one. */
export async function measureJournal(
  packageName: string,
  size: number,
  hasJournal: boolean,
  { watchMs }: JournalEffort,
): Promise<Figures> {
  const mapsweep = (await import(packageName)) as Mapsweep;
  const scratch = mkdtempSync(join(tmpdir(), 'mapsweep-bench-'));
  const folder = hasJournal ? join(scratch, 'journal') : undefined;
  try {
    const began = Math.round((watchMs / 1_000) * ratePerSecond);
    const workload = createWorkload(size + began + timedLives);
    const service = start(mapsweep, folder);
    const lives = await timeLives(service, workload, size + began, folder);
    await fill(service, workload, size);
    const watched = await watchLoad(service, workload, size, began);
    await service.registry.close();
    if (folder === undefined) return { ...lives, ...watched };
    return { ...lives, ...watched, ...(await measureLoading(mapsweep, folder, size)) };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Whole lives in one go: what a run costs, and what it leaves in the folder. */
async function timeLives(
  { runs, end, deliveredAll }: Service,
  { keys, values }: Workload,
  from: number,
  folder: string | undefined,
): Promise<Figures> {
  const liveThrough = async (first: number, count: number): Promise<void> => {
    for (let index = first; index < first + count; index += 1) {
      runs.set(keys[index] as string, values[index]);
      if (index % chunk === 0) await turn();
    }
    for (let index = first; index < first + count; index += 1) {
      end(keys[index] as string);
      if (index % chunk === 0) await turn();
    }
  };
  const warm = timedLives / 5;
  await liveThrough(from, warm);
  await deliveredAll(warm);
  const bytesBefore = folder === undefined ? 0 : bytesIn(folder);
  collect();
  const cpu = process.cpuUsage();
  const timed = timedLives - warm;
  await liveThrough(from + warm, timed);
  await deliveredAll(timedLives);
  const { user, system } = process.cpuUsage(cpu);
  const bytes = folder === undefined ? 0 : bytesIn(folder) - bytesBefore;
  return {
    journalRecordUs: (user + system) / timed / recordsOfLife,
    ...(folder !== undefined && { journalLifeBytes: bytes / timed }),
  };
}

async function fill({ runs, registry }: Service, { keys, values }: Workload, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    runs.set(keys[index] as string, values[index]);
    if (index % chunk === 0) await turn();
  }
  await registry.flushed();
  await liveBytes();
}

/** As many runs begin as end, and the journal is written anew beside it, while the turns are watched. */
async function watchLoad(
  service: Service,
  { keys, values }: Workload,
  size: number,
  count: number,
): Promise<Figures> {
  const { registry, runs, end } = service;
  let ended = 0;
  // An empty one changes nothing, but has the journal written anew from the next turn on, since it may hold what that does not. To
  // take over a snapshot is no part of that, and in one piece.
  registry.restore({ format: 'mapsweep-snapshot', version: 2, records: [] });
  const { longestMs, longestWithoutGcMs, p999Ms } = await watchTurns(async () => {
    const startedAt = stopwatch();
    for (let begun = 0; begun < count; ) {
      const due = Math.min(count, Math.ceil(((stopwatch() - startedAt) / 1_000) * ratePerSecond));
      for (; begun < due; begun += 1) {
        const index = size + begun;
        runs.set(keys[index] as string, values[index]);
        end(keys[ended] as string);
        ended += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, stepMs));
    }
  });
  return { journalTurnMs: longestMs, journalTurnWithoutGcMs: longestWithoutGcMs, journalTurnP999Ms: p999Ms };
}

/** What the next process pays for what this one has left. */
async function measureLoading(
  { openJournal, createRegistry }: Mapsweep,
  folder: string,
  runs: number,
): Promise<Figures> {
  const before = await liveBytes();
  const began = stopwatch();
  let opened: Awaited<ReturnType<typeof openJournal>> | undefined;
  const { longestWithoutGcMs } = await watchTurns(async () => {
    opened = await openJournal(folder);
  });
  const create = stopwatch();
  const registry = createRegistry({
    maps: { runs: {} },
    ended: { map: 'runs' },
    persistTo: opened as NonNullable<typeof opened>,
  });
  const loadedMs = stopwatch() - began;
  const createMs = stopwatch() - create;
  const after = await liveBytes();
  registry.stop();
  return {
    journalLoadMs: loadedMs,
    journalCreateMs: createMs,
    journalLoadTurnMs: longestWithoutGcMs,
    journalLoadBytes: (after - before) / runs,
  };
}

const bytesIn = (folder: string): number =>
  readdirSync(folder).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
