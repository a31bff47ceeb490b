/**
 * A day of 2,000 cron runs on either store, after a day that filled it: what it holds the event loop for, what it writes, and
 * what is left. Takes one to three minutes, nearly all of it the old store's.
 *
 *     npx tsx examples/session-store/measure.ts [runs a day]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { createManualClock } from 'mapsweep/testing';
import { type DayFigures, playDay } from './day.ts';
import type { SessionStore } from './entry.ts';
import { openJsonStore } from './json-store.ts';
import { openTrackedStore } from './tracked-store.ts';

const runs = Number(process.argv[2] ?? 2_000);

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

interface Figures extends DayFigures {
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

const json = await measure((folder) => openJsonStore(folder));
const tracked = await measure((folder, clock) => openTrackedStore(folder, { clock, removeTranscript }));

const rows: Array<[string, (figures: Figures) => string]> = [
  ['saves held the loop, s a day', ({ heldMs }) => (heldMs / 1_000).toFixed(2)],
  ['longest turn of the loop, ms', ({ longestMs }) => longestMs.toFixed(1)],
  ['written, MB a day', ({ written }) => (written / 1e6).toFixed(0)],
  ['entries left', ({ entries }) => String(entries)],
  ['transcripts left', ({ transcripts }) => String(transcripts)],
  ['people whose session was gone', ({ lost }) => String(lost)],
  ['opened again, ms', ({ reopenedMs }) => reopenedMs.toFixed(0)],
  ['longest turn meanwhile, ms', ({ reopeningMs }) => reopeningMs.toFixed(1)],
];
const table = new Table({
  head: [`${runs} runs a day`, 'sessions.json', 'TrackedMap'],
  style: { head: [], border: [] },
});
for (const [name, cell] of rows) table.push([name, cell(json), cell(tracked)]);
console.log(table.toString());
