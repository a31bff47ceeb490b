import type { RegistryInternals } from '../registry/internals.js';
import { eachMap, type PulledMetric, type Sample } from './pulled.js';

const labelNames = ['map'];

/** What is in each map, and how it came and went. */
export const metricsOfMaps: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'entries',
    help: 'Entries in the map.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.native.size()),
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
    help: 'Entries that were due at the last look and are still there: guarded, observed, waiting for their beforeSweep, or refused by delete.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.due.overdueCount),
  },
  {
    type: 'gauge',
    name: 'guarded_entries',
    help: 'Overdue entries that keepWhile holds.',
    labelNames,
    read: (parts) => eachMap(parts, (tracker) => tracker.due.guardedCount),
  },
  {
    type: 'gauge',
    name: 'estimated_bytes',
    help: 'Mean weight of a sample of entries, times their number; for maps that have a weigh.',
    labelNames,
    read: (parts) =>
      eachMap(
        parts,
        (tracker) => parts.weights.estimatedBytes(tracker) ?? 0,
        (tracker) => tracker.policy.weigh !== undefined,
      ),
  },
  {
    type: 'gauge',
    name: 'leak_suspected',
    help: '1 while the size of the map looks like a leak, else 0.',
    labelNames,
    aggregator: 'max',
    read: (parts) => eachMap(parts, (tracker) => (parts.leaks.verdictOf(tracker).suspected ? 1 : 0)),
  },
];

function oldestAges(parts: RegistryInternals): Sample[] {
  const now = parts.engine.timeline.now();
  return eachMap(parts, (tracker) => {
    const oldest = tracker.stamps.oldestRegisteredAt();
    return oldest === undefined ? 0 : Math.max(0, now - oldest) / 1_000;
  });
}

function removals({ engine }: RegistryInternals): Sample[] {
  return [...engine.trackers.values()].flatMap((tracker) =>
    Object.entries(tracker.removedTotal).map(([reason, value]) => ({
      labels: { map: tracker.name, reason },
      value,
    })),
  );
}
