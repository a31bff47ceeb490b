import { getHeapSpaceStatistics } from 'node:v8';

/** Bytes of what is too large for a page, as the tables of large Maps are. */
const largeBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'large_object_space')?.space_used_size ??
  0;

/** Runs a call, and returns whether V8 has made a table for at least so many keys in it. */
export function makesTable(keys: number, call: () => void): boolean {
  // Or a collection within the call could free as much.
  globalThis.gc?.();
  const before = largeBytes();
  call();
  // Key, value and place in the chain of each, 8 bytes each.
  return largeBytes() - before > keys * 20;
}
