import { turn } from './event-loop.js';

/** Collects what can be collected. Needs `--expose-gc`. */
export function collect(): void {
  if (globalThis.gc === undefined) throw new Error('this process was started without --expose-gc');
  globalThis.gc();
}

/** The bytes that are live now, on the heap and in array buffers. */
export async function liveBytes(): Promise<number> {
  // More than once, with turns between: what a first collection finalises, a later one frees.
  for (let pass = 0; pass < 4; pass += 1) {
    await turn();
    collect();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
