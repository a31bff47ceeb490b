import { getHeapStatistics } from 'node:v8';
import type { CompiledPolicy } from '../policy/policy.js';
import type { MapFigures } from '../registry/figures.js';

/**
 * Returns the hours until a map that leaks has reached its cap or filled the heap, whichever is first, as it grows now.
 * The verdict says so itself of one that is growing or filling.
 *
 * @returns `undefined` if nobody knows: without a cap and a `weigh`, and for a map that does not leak
 */
export function hoursToLimit(
  { maxEntries, expectedMax }: CompiledPolicy<unknown, unknown>,
  { leak, size, estimatedBytes = 0 }: MapFigures,
): number | undefined {
  if (leak.state !== 'leaking') return leak.hoursToLimit;
  if (leak.perHour <= 0) return undefined;
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  const entriesPerHour = leak.by === 'entries' ? leak.perHour : Number.NaN;
  const bytesPerHour = leak.by === 'weight' ? leak.perHour : (leak.perHour * estimatedBytes) / size;
  const toCap = Math.min(maxEntries, expectedMax) - size;
  const rooms = [toCap / entriesPerHour, (limit - used) / bytesPerHour];
  const hours = Math.min(...rooms.filter((room) => room >= 0));
  return Number.isFinite(hours) ? hours : undefined;
}
