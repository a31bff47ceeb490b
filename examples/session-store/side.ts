/** One of the two stores in a process of its own, which `measure.ts` starts and hears of: an event loop for each, and a disk. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createManualClock } from 'mapsweep/testing';
import { type DayFigures, playDay } from './day.ts';
import type { SessionStore } from './entry.ts';
import { openJsonStore } from './json-store.ts';
import { openTrackedStore } from './tracked-store.ts';

const asked = new Set<Promise<void>>();
const removeTranscript = (path: string): Promise<void> => {
  const removed = rm(path, { force: true }).finally(() => asked.delete(removed));
  asked.add(removed);
  return removed;
};
const disk = () => Promise.all(asked);

/** What this process has given to write(2), all its threads; Linux tells. */
const bytesWritten = (): number => {
  try {
    return Number(/wchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  } catch {
    return Number.NaN;
  }
};

export interface Figures extends DayFigures {
  /** The longest turn of the event loop, ms. */
  longestMs: number;
  written: number;
  entries: number;
  transcripts: number;
  reopenedMs: number;
  /** The longest turn of the event loop meanwhile. */
  reopeningMs: number;
}

/** The longest turn of the event loop until a promise is settled. */
async function longestTurn(until: Promise<unknown>): Promise<number> {
  let isOver = false;
  let longest = 0;
  void until.finally(() => {
    isOver = true;
  });
  for (let last = performance.now(); !isOver; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}

async function measure(
  open: (folder: string, clock: ReturnType<typeof createManualClock>) => SessionStore | Promise<SessionStore>,
  runs: number,
): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-session-store-'));
  const clock = createManualClock();
  const store = await open(folder, clock);
  await playDay(store, { folder, clock, runs, disk, day: 1 });
  const before = bytesWritten();
  const playing = playDay(store, { folder, clock, runs, disk, day: 2 });
  const longestMs = await longestTurn(playing);
  const day = await playing;
  const written = bytesWritten() - before;
  const transcripts = readdirSync(join(folder, 'transcripts')).length;
  const entries = store.size;
  await store.close();
  const began = performance.now();
  const opening = (async () => {
    const store = await open(folder, clock);
    store.get('chat:ann');
    return store;
  })();
  const reopeningMs = Math.max(performance.now() - began, await longestTurn(opening));
  const again = await opening;
  const reopenedMs = performance.now() - began;
  await again.close();
  rmSync(folder, { recursive: true });
  return { ...day, longestMs, written, entries, transcripts, reopenedMs, reopeningMs };
}

const stores = {
  json: (folder) => openJsonStore(folder),
  tracked: (folder, clock) => openTrackedStore(folder, { clock, removeTranscript }),
} satisfies Record<string, Parameters<typeof measure>[0]>;

const [name, runs] = process.argv.slice(2) as [keyof typeof stores, string];
process.send?.(await measure(stores[name], Number(runs)));
process.disconnect?.();
