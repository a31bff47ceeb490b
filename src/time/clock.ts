import { readFileSync } from 'node:fs';
import { performance as loadedPerformance } from 'node:perf_hooks';
import { realSetImmediate } from './real-timers.js';

/**
 * Time as an interface, so that a whole registry runs on a manual or simulated clock.
 *
 * Two clocks, never mixed: `now()` is the wall clock (epoch ms, may jump), `monotonic()` only moves forward and has
 * an arbitrary origin. Ages and deadlines use the monotonic one.
 */
export interface Clock {
  /** Returns the wall time in epoch milliseconds. It may jump in either direction. */
  now(): number;
  /** Returns the milliseconds since an arbitrary origin. It never goes back, and may have a fraction. */
  monotonic(): number;
  /** Calls `fn` once, `ms` from now. The handle is opaque; if it has `ref()` and `unref()`, these are called. */
  setTimeout(fn: () => void, ms: number): unknown;
  /** Cancels a timer. Unknown and fired handles are ignored. */
  clearTimeout(handle: unknown): void;
  /**
   * What compares with another process of the same boot of the machine: which boot it is, and a monotonic clock of that
   * boot, ms. Ages go on by it over a restart. `undefined`, and the default: nobody knows, and the wall clock decides.
   */
  boot?():
    | {
        /** The same for all of one boot. */
        readonly id: string;
        /** The time of that boot, ms. */
        readonly at: number;
      }
    | undefined;
  /** Resolves after the event loop had a turn. Default: two real `setImmediate`, between which all its phases lie. */
  yield?(): Promise<void>;
  /** Returns a number in [0, 1) for the jitter of retries. Default: `Math.random`. */
  random?(): number;
}

/** Resolves after the event loop had a turn, whatever fake timers are installed. */
export const yieldToEventLoop = (): Promise<void> => new Promise((resolve) => realSetImmediate(resolve));

/**
 * Resolves after the event loop has been through all its phases, so that timers that are due have their turn too: of a
 * pass that a timer began, the first `setImmediate` comes before any other timer.
 */
const yieldWholeTurn = async (): Promise<void> => {
  await yieldToEventLoop();
  await yieldToEventLoop();
};

/** Yields as the clock has it. A clock whose `yield` fails must not end a sweep for good: the default takes its place. */
export async function giveWay(clock: Clock): Promise<void> {
  try {
    await (clock.yield?.() ?? yieldWholeTurn());
  } catch {
    await yieldWholeTurn();
  }
}

let bootId: string | undefined;

/** Linux alone has a name for each boot. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** The clock of the running process. It reads the globals at call time, so that fake timers of test runners work. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
  yield: yieldWholeTurn,
  random: () => Math.random(),
  boot: () => {
    bootId ??= readBootId();
    return bootId === '' ? undefined : { id: bootId, at: Number(process.hrtime.bigint() / 1_000n) / 1_000 };
  },
};

// Not the global, which may be a fake one already.
const realPerformance = loadedPerformance;
const realPerformanceNow = realPerformance.now;

/** Returns whether a clock shows the real time of this process. A clock of somebody's own does not, nor do fake timers. */
export const isRealTime = (clock: Clock): boolean =>
  clock === systemClock && performance === realPerformance && performance.now === realPerformanceNow;

/** Returns what `systemClock.monotonic()` shows while it shows real time. */
export const realMonotonic = (): number => realPerformanceNow.call(realPerformance);
