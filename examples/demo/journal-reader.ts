/** What a killed gateway's journal says: read by a registry that only observes, which leaves everything as it is. */

/** How a journal holds a run: it is open, or has ended and its recipient is still to be told. */
export type HeldAs = 'open' | 'ended';

/** The runs whose end a journal has mapsweep announce. */
export async function heldRuns(folder: string): Promise<Map<string, HeldAs>> {
  // Only now: the demo says itself what to do if the package is not built.
  const { createRegistry } = await import('mapsweep');
  const registry = createRegistry<{ subagentRuns: Map<string, unknown> }>({
    mode: 'observe',
    maps: { subagentRuns: {} },
    ended: { map: 'subagentRuns' },
    persistTo: folder,
  });
  const { records } = registry.snapshot();
  await registry.close();
  const runs = records.find(([kind, , , isEnded]) => kind === 'map' && isEnded === 1)?.[1];
  const open = records.filter(
    ([kind, map, , , , more]) => kind === 'set' && map === runs && !isClaimed(more),
  );
  const owed = records.filter(([kind]) => kind === 'end');
  const as = (how: HeldAs, found: typeof records) =>
    found.map(([, , key]): [string, HeldAs] => [String(key), how]);
  return new Map([...as('open', open), ...as('ended', owed)]);
}

const isClaimed = (more: unknown): boolean => (more as { c?: 1 } | undefined)?.c === 1;
