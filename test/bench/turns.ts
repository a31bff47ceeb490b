import { PerformanceObserver } from 'node:perf_hooks';
import { BusyTime } from './busy-time.js';
import { sleep } from './event-loop.js';
import { stopwatch } from './shifted-time.js';

/** How long the turns of the event loop were while something ran, ms. */
export interface Turns {
  readonly longestMs: number;
  /** The same, less what the garbage collector took of each. */
  readonly longestWithoutGcMs: number;
  /** 99.9 % of the turns of a `setImmediate` that spins were no longer, less garbage collection. */
  readonly p999Ms: number;
}

/** A turn, or a garbage collection. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

interface Turn extends Stretch {
  /** What this process was busy of it, ms. */
  readonly busyMs: number;
}

/** Turns that are shorter are only counted: a loop that spins has a hundred thousand of them in a second. */
const noticedMs = 0.25;

/** Times each turn of the event loop, and tells apart what the garbage collector took of it. */
export async function watchTurns(run: () => Promise<void>): Promise<Turns> {
  const collections: Stretch[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      collections.push({ from: startTime, to: startTime + duration });
  });
  observer.observe({ entryTypes: ['gc'] });
  const noticed: Turn[] = [];
  const busy = new BusyTime();
  let turns = 0;
  let isOver = false;
  let last = stopwatch();
  const spin = (): void => {
    const now = stopwatch();
    turns += 1;
    if (now - last > noticedMs) noticed.push({ from: last, to: now, busyMs: busy.busyMs });
    busy.restart();
    last = now;
    if (!isOver) setImmediate(spin);
  };
  setImmediate(spin);
  await run();
  isOver = true;
  // The observer is told a little later.
  await sleep(50);
  observer.disconnect();
  const without = noticed
    .map((turn) => turn.busyMs - collectedIn(turn, collections))
    .sort((one, other) => other - one);
  return {
    longestMs: noticed.reduce((most, { busyMs }) => Math.max(most, busyMs), 0),
    longestWithoutGcMs: without[0] ?? 0,
    p999Ms: without[Math.floor(turns / 1_000)] ?? noticedMs,
  };
}

function collectedIn(turn: Stretch, collections: readonly Stretch[]): number {
  let ms = 0;
  for (const { from, to } of collections)
    ms += Math.max(0, Math.min(turn.to, to) - Math.max(turn.from, from));
  return ms;
}
