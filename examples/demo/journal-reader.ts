/** What a killed gateway's journal says: read by a registry that only observes, which leaves everything as it is. */

/** The runs whose end a journal has mapsweep announce: those that are open, and those whose recipient has not heard yet. */
export async function heldRuns(folder: string): Promise<Set<string>> {
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
  return new Set([...open, ...owed].map(([, , key]) => String(key)));
}

const isClaimed = (more: unknown): boolean => (more as { c?: 1 } | undefined)?.c === 1;
