import { constants, type PerformanceEntry, PerformanceObserver, performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { isMainThread, resourceLimits } from 'node:worker_threads';

/** A limit beyond that of any machine: what a cgroup without one says. */
const noLimitBytes = 2 ** 50;

/** What a process takes of what it may take. */
export interface Taken {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

/** How full the memory of the process is. None of these throws: a look may be in the midst of somebody's `set`. */
export interface MemoryReadings {
  /** How many major collections there have been since it was started. */
  readonly collections: number;
  /** What the last one left of the heap, of what V8 lets it grow to; `undefined` before the first. Costs nothing. */
  heap(): Taken | undefined;
  /** The resident set, of what the cgroup allows; `undefined` where it allows all, or nobody can say. Takes some 10 µs. */
  resident(): Taken | undefined;
  /** Looks again for what is allowed: a container's limit may be changed while it runs. */
  readLimits(): void;
  /** Measures from now on, and calls `collected` after each major collection, in a turn of its own, so many ms later. */
  start(collected: (delayMs: number) => void): void;
  /** Measures no more. */
  stop(): void;
}

/**
 * The readings of this process, or of this worker.
 *
 * `heapUsed` counts garbage, and cries when a third of the heap is full. So the heap is looked at when V8 has told of a major
 * collection, which it does a turn of the event loop later: what is in the old spaces then is what it has left. The young
 * ones are left out: they hold mostly garbage, and have a limit of their own.
 */
export class ProcessReadings implements MemoryReadings {
  #observer: PerformanceObserver | undefined;
  #collections = 0;
  #leftBytes: number | undefined;
  #heapLimitBytes = 0;
  #residentLimitBytes = Number.POSITIVE_INFINITY;

  constructor() {
    this.readLimits();
  }

  get collections(): number {
    return this.#collections;
  }

  heap(): Taken | undefined {
    if (this.#leftBytes === undefined) return undefined;
    return { usedBytes: this.#leftBytes, limitBytes: this.#heapLimitBytes };
  }

  resident(): Taken | undefined {
    if (this.#residentLimitBytes === Number.POSITIVE_INFINITY) return undefined;
    try {
      return { usedBytes: process.memoryUsage.rss(), limitBytes: this.#residentLimitBytes };
    } catch {
      // Node reads it from a file, and a process may have as many open as it may.
      return undefined;
    }
  }

  readLimits(): void {
    this.#heapLimitBytes = Math.min(oldSpaceLimitBytes(), getHeapStatistics().heap_size_limit);
    const bytes = process.constrainedMemory();
    this.#residentLimitBytes = bytes > 0 && bytes < noLimitBytes ? bytes : Number.POSITIVE_INFINITY;
  }

  start(collected: (delayMs: number) => void): void {
    this.#observer ??= new PerformanceObserver((list) => {
      const isMajor = (entry: PerformanceEntry) =>
        (entry as { detail?: { kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
      const majors = list.getEntries().filter(isMajor);
      const last = majors.at(-1);
      if (last === undefined) return;
      this.#collections += majors.length;
      this.#leftBytes = oldSpacesBytes();
      collected(performance.now() - last.startTime - last.duration);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  stop(): void {
    this.#observer?.disconnect();
    this.#observer = undefined;
  }
}

/** What is in the spaces of the heap that a major collection clears. */
function oldSpacesBytes(): number {
  let bytes = 0;
  for (const { space_name, space_used_size } of getHeapSpaceStatistics()) {
    if (!space_name.startsWith('new')) bytes += space_used_size;
  }
  return bytes;
}

/**
 * Returns what the old spaces may grow to, if this process was told: `heap_size_limit` has room for the young ones besides,
 * up to 192 MB of it, which is twice a heap of 96 MB and 5 % of one of 4 GB.
 */
function oldSpaceLimitBytes(): number {
  const megabytes = isMainThread ? toldMegabytes() : resourceLimits.maxOldGenerationSizeMb;
  return megabytes === undefined || megabytes <= 0 ? Number.POSITIVE_INFINITY : megabytes * 2 ** 20;
}

function toldMegabytes(): number | undefined {
  const options = `${process.env.NODE_OPTIONS ?? ''} ${process.execArgv.join(' ')}`;
  // The last one counts.
  const told = [...options.matchAll(/--max[-_]old[-_]space[-_]size[= ]+(\d+)/g)].at(-1)?.[1];
  return told === undefined ? undefined : Number(told);
}
