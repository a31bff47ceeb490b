const kept = new Map<string, unknown>();

/**
 * Keeps one map of a kind, empty and unused, from the time when the first is made. V8 throws away the code that it has
 * compiled for a shape of objects when the last object of that shape is collected. A process that drops its maps and makes
 * new ones, as tests do and services that have one for each tenant, would begin cold each time, at 2 to 5 times the CPU for
 * the first 10,000 entries (`test/bench/README.md`). It costs 16 kB a kind.
 *
 * Does nothing where one cannot be made, since nothing but time depends on it.
 */
export function keepShapes(kind: string, make: () => unknown): void {
  if (kept.has(kind)) return;
  // What is made asks for one too.
  kept.set(kind, undefined);
  try {
    kept.set(kind, make());
  } catch {
    // It goes by the clock of the process, which some tests forbid to be read.
  }
}
