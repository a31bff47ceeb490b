import type { LeakVerdict } from '../diagnosis/leak-verdict.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import { eachMap, eachWatched, isShown, mapLabel, type PulledMetric, type Sample } from './pulled.js';

const labelNames = ['map'];

const isLeaking = ({ state }: LeakVerdict): number => (state === 'leaking' ? 1 : 0);

/** What is served where nobody knows a limit: in JSON, by which workers reach the primary of a cluster, `Infinity` is `null`. */
const unknownHours = 1e9;

/** Returns them while something fills or grows. */
function hoursToLimit({ state, hoursToLimit: hours }: LeakVerdict): number | undefined {
  if (state !== 'filling' && state !== 'growing') return undefined;
  return hours ?? unknownHours;
}

/** What is in each map, and how it came and went. */
export const metricsOfMaps: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'entries',
    help: 'Entries in the map, or a watched size as of the last sweep.',
    labelNames,
    read: (parts) => [
      ...eachMap(parts, (tracker) => tracker.native.size()),
      ...eachWatched(parts, ({ size }) => size),
    ],
  },
  {
    type: 'gauge',
    name: 'oldest_entry_age_seconds',
    help: 'Age of the entry that has been in the map longest; 0 for an empty map.',
    labelNames,
    aggregator: 'max',
    read: oldestAges,
  },
  {
    type: 'counter',
    name: 'registered_total',
    help: 'Keys that were set and had no entry.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.registeredTotal),
  },
  {
    type: 'counter',
    name: 'removed_total',
    help: 'Entries that left the map, by reason. A value that was replaced leaves its entry behind.',
    labelNames: ['map', 'reason'],
    read: removals,
  },
  {
    type: 'gauge',
    name: 'overdue_entries',
    help: 'Entries that were due at the last look and are still there: guarded, held, observed, waiting for their beforeSweep, or refused by delete.',
    labelNames,
    read: (parts) =>
      eachMap(
        parts,
        (tracker) => tracker.due.overdueCount,
        (tracker) => parts.named.has(tracker) || tracker.isManaged,
      ),
  },
  {
    type: 'gauge',
    name: 'leak_suspected',
    help: '1 while the map leaks: what has survived its youth never leaves, or nothing has left in 12 hours of growth; else 0.',
    labelNames,
    aggregator: 'max',
    read: (parts) => [
      ...eachMap(
        parts,
        (tracker) => isLeaking(parts.leaks.verdictOf(tracker)),
        (tracker) => !isOnlyObserved(parts, tracker) || isLeaking(parts.leaks.verdictOf(tracker)) > 0,
      ),
      ...eachWatched(parts, ({ verdict }) => isLeaking(verdict)),
    ],
  },
  {
    type: 'gauge',
    name: 'hours_to_limit',
    help: 'Hours until the bound of the map, or the heap limit, is reached, for maps that fill or grow; 1e9 if nobody knows.',
    labelNames,
    aggregator: 'min',
    read: (parts) => [
      ...eachMap(
        parts,
        (tracker) => hoursToLimit(parts.leaks.verdictOf(tracker)) as number,
        (tracker) => hoursToLimit(parts.leaks.verdictOf(tracker)) !== undefined,
      ),
      ...eachWatched(parts, ({ verdict }) => hoursToLimit(verdict)),
    ],
  },
];

/** What maps have with `follows`. */
export const metricsOfCompanions: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'orphaned_entries',
    help: 'Entries whose leader is tracked and has no such key, nor awaits it: they leave after orphanAfter of idle time.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.companions.orphanCount, hasLeader),
  },
];

/** What maps have with `keepWhile`. */
export const metricsOfGuards: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'guarded_entries',
    help: 'Overdue entries that keepWhile holds.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.due.guardedCount, hasGuard),
  },
];

/** What maps have that were named at the start; one that was adopted later has it once an entry of its was held. */
export const metricsOfHolds: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'held_entries',
    help: 'Entries that somebody uses, due or not: they have a hold that is not released.',
    labelNames,
    read: (parts) =>
      eachMap(
        parts,
        (tracker) => tracker.holds?.size ?? 0,
        (tracker) => countsHolds(tracker, parts),
      ),
  },
];

/** What maps have with `beforeSweep`. */
export const metricsOfHooks: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'waiting_entries',
    help: 'Entries that are due, or that a cap is to evict, and whose beforeSweep runs, is queued, or has failed and waits.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => parts.engine.hooks.countOf(tracker), hasHook),
  },
  {
    type: 'gauge',
    name: 'before_sweep_failing_entries',
    help: 'Entries that are due, or that a cap is to evict, and whose beforeSweep has failed more than once in a row, and is tried again.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => parts.engine.hooks.failingCountOf(tracker), hasHook),
  },
  {
    type: 'counter',
    name: 'before_sweep_total',
    help: 'Entries for which beforeSweep was called, by what came of it; aborted are those that were touched or have left meanwhile.',
    labelNames: ['map', 'outcome'],
    read: (parts) => eachMapAnd('outcome', parts, (tracker) => tracker.beforeSweepTotal, hasHook),
  },
];

/** What maps have with `weigh`. */
export const metricsOfWeights: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'estimated_weight',
    help: 'Mean weight of a sample of entries, by weigh, times their number.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => parts.weights.estimatedBytes(tracker) ?? 0, hasWeigh),
  },
];

/** What maps have with `maxEntries`, unless they are only observed. */
export const metricsOfLimits: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'entry_limit',
    help: 'The maxEntries of the map, unless it is only observed.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.policy.maxEntries, hasLimit),
  },
];

export const hasLeader = ({ policy }: Tracker): boolean => policy.follows !== undefined;
export const hasGuard = ({ policy }: Tracker): boolean => policy.keepWhile !== undefined;
export const countsHolds = (tracker: Tracker, { named }: RegistryInternals): boolean =>
  named.has(tracker) || tracker.holds !== undefined;
export const hasHook = ({ policy }: Tracker): boolean => policy.beforeSweep !== undefined;
export const hasWeigh = ({ policy }: Tracker): boolean => policy.weigh !== undefined;
// Of a map that is only observed nothing is evicted: to be beyond it is no fault there.
export const hasLimit = ({ policy, observing }: Tracker): boolean =>
  Number.isFinite(policy.maxEntries) && !observing;

function oldestAges(parts: RegistryInternals): Sample[] {
  const now = parts.engine.timeline.now();
  return eachMap(
    parts,
    (tracker) => {
      const oldest = tracker.stamps.oldestRegisteredAt();
      return oldest === undefined ? 0 : Math.max(0, now - oldest) / 1_000;
    },
    (tracker) => !isOnlyObserved(parts, tracker) || tracker.stamps.size > 0,
  );
}

function removals(parts: RegistryInternals): Sample[] {
  return eachMapAnd('reason', parts, (tracker) => {
    // With what a closed registry has disposed of, its series have left.
    const { closed: _, ...removed } = tracker.removedTotal;
    if (parts.named.has(tracker)) return removed;
    const counts = Object.entries(removed);
    return Object.fromEntries(counts.filter(([reason, count]) => count > 0 || mayLeave(tracker, reason)));
  });
}

/** Was adopted later, and nothing is removed from it. There may be hundreds, which have the series that tell something. */
const isOnlyObserved = ({ named }: RegistryInternals, tracker: Tracker): boolean =>
  tracker.observing && !named.has(tracker);

/** Returns whether an entry of a map can leave for that reason. */
function mayLeave(tracker: Tracker, reason: string): boolean {
  const { policy, observing } = tracker;
  // Every map can be cleared, and hardly one is. Of one that is only observed, a series comes with the first that leaves.
  if (observing) return false;
  if (reason === 'deleted') return true;
  if (reason === 'swept') return tracker.isManaged;
  if (reason === 'evicted') return hasLimit(tracker) || tracker.owners !== undefined;
  return reason === 'companion' && policy.follows !== undefined;
}

/** Returns one series for each map and each of the names that something is counted by. */
function eachMapAnd(
  label: string,
  parts: RegistryInternals,
  countsOf: (tracker: Tracker) => Readonly<Record<string, number>>,
  includes: (tracker: Tracker) => boolean = () => true,
): Sample[] {
  return [...parts.engine.trackers.values()]
    .filter((tracker) => isShown(parts, tracker) && includes(tracker))
    .flatMap((tracker) => {
      const map = mapLabel(tracker);
      return Object.entries(countsOf(tracker)).map(([name, value]) => ({
        labels: { map, [label]: name },
        value,
      }));
    });
}
