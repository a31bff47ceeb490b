/** What goes on in this process, such as timers and sockets: how many of each, by the names that Node has for them. */
export type ActiveResources = ReadonlyMap<string, number>;

/** What goes on now. */
export function activeResources(): ActiveResources {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/**
 * Returns whether more goes on than before.
 *
 * @param ownTimers timers that whoever asks has set since, and that do not count
 */
export function isMoreGoingOn(before: ActiveResources, ownTimers = 0): boolean {
  for (const [kind, count] of activeResources()) {
    const own = kind === 'Timeout' ? ownTimers : 0;
    if (count - own > (before.get(kind) ?? 0)) return true;
  }
  return false;
}
