/**
 * What an entry costs in bytes, besides its key and its value.
 */
import type { ContenderKind } from './contenders.js';
import { liveBytes } from './heap.js';
import type { Figures } from './operations.js';
import { createWorkload } from './workload.js';

/** With fewer entries than this, what the process allocates by the way would show. */
const fewestEntries = 200_000;

/** Measures the bytes an entry of one contender takes at one size. */
export async function measureMemory(kind: ContenderKind, size: number): Promise<Figures> {
  const make = await kind.load();
  const { keys, values } = createWorkload(size);
  const fill = () => {
    const contender = make({ ttlMs: 5 * 60_000, capacity: size });
    for (let index = 0; index < size; index += 1) contender.subject.set(keys[index] as string, values[index]);
    return contender;
  };
  // Once for what only the first one allocates: code, hidden classes, strings turned into property names.
  fill().close();
  const copies = Math.max(1, Math.ceil(fewestEntries / size));
  const before = await liveBytes();
  const filled = Array.from({ length: copies }, fill);
  const after = await liveBytes();
  for (const contender of filled) contender.close();
  return { bytesPerEntry: (after - before) / (copies * size) };
}
