import { BusyTime } from './busy-time.js';
import { percentile } from './statistics.js';

/** Resolves after the event loop had a turn. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Resolves after real milliseconds. */
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What other work in the process would have noticed while something ran. */
export interface Disturbance {
  /** The longest time between two turns of the event loop that this process was busy, ms. */
  readonly longestBlockMs: number;
  /** How late a timer of 1 ms fired that is set again and again, as far as this process was busy meanwhile; ms. */
  readonly latenessP99Ms: number;
}

/**
 * Watches the event loop while `run` runs: a `setImmediate` that spins sees every gap, and keeps the longest; a mean or
 * a sampled histogram would hide it. `run` begins in this turn.
 */
export async function watch(run: () => unknown): Promise<Disturbance> {
  let longestBlockMs = 0;
  let isOver = false;
  const gap = new BusyTime();
  const spin = (): void => {
    longestBlockMs = Math.max(longestBlockMs, gap.busyMs);
    gap.restart();
    if (!isOver) setImmediate(spin);
  };
  const lateness: number[] = [];
  const armed = new BusyTime();
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    armed.restart();
    timer = setTimeout(() => {
      lateness.push(Math.max(0, Math.min(armed.wallMs - 1, armed.busyMs)));
      arm();
    }, 1);
  };
  gap.restart();
  setImmediate(spin);
  arm();
  await run();
  // What came right before the end is still to be seen by both.
  await sleep(3);
  isOver = true;
  clearTimeout(timer);
  await turn();
  return { longestBlockMs, latenessP99Ms: percentile(lateness, 0.99) };
}
