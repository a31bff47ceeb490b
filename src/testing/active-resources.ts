/** What goes on in this process, such as timers and sockets: how many of each, by the names that Node has for them. */
export type ActiveResources = ReadonlyMap<string, number>;

/** What goes on now. */
export function activeResources(): ActiveResources {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/**
 * Returns of which kinds more goes on than before.
 *
 * @param ownTimers timers that whoever asks has set since, and that do not count
 */
export function moreGoingOn(before: ActiveResources, ownTimers = 0): string[] {
  return [...activeResources()]
    .filter(([kind, count]) => count - (kind === 'Timeout' ? ownTimers : 0) > (before.get(kind) ?? 0))
    .map(([kind]) => kind);
}
