import type { Recipient } from '../endings/deliveries.js';
import { endedReasons, zeroFor } from '../events/reasons.js';
import type { RegistryInternals } from '../registry/internals.js';
import { eachOf, nameLabel, only, type PulledMetric, type Sample } from './pulled.js';

/** Returns the series of each recipient; its name may hold what that of a map may. */
function eachRecipient(
  { deliveries }: RegistryInternals,
  samples: (recipient: Recipient) => readonly Sample[],
): Sample[] {
  return (deliveries?.recipients ?? []).flatMap((recipient) => {
    const name = nameLabel(recipient.name);
    return samples(recipient).map(({ labels, value }) => ({ labels: { recipient: name, ...labels }, value }));
  });
}

/** How the endings are doing. A registry without `ended` has none of these. */
export const metricsOfEndings: readonly PulledMetric[] = [
  {
    type: 'counter',
    name: 'ended_total',
    help: 'Runs that ended, by reason; reasons of your own count as other.',
    labelNames: ['reason'],
    read: ({ endings }) => eachOf('reason', endings?.endedTotal ?? zeroFor(endedReasons)),
  },
  {
    type: 'counter',
    name: 'ended_duplicates_total',
    help: 'Endings of runs that had ended before, which nobody was told of.',
    read: ({ endings }) => only(endings?.duplicatesTotal ?? 0),
  },
  {
    type: 'counter',
    name: 'ended_deliveries_total',
    help: 'Endings that were delivered, attempts that failed, endings that became dead letters, and of these the dropped.',
    labelNames: ['recipient', 'outcome'],
    read: (parts) => eachRecipient(parts, ({ outcomes }) => eachOf('outcome', { ...outcomes })),
  },
  {
    type: 'gauge',
    name: 'ended_pending',
    help: 'Endings that are queued, being delivered, or waiting for a retry.',
    labelNames: ['recipient'],
    read: (parts) => eachRecipient(parts, ({ notifier }) => only(notifier.pendingCount)),
  },
  {
    type: 'gauge',
    name: 'ended_oldest_pending_seconds',
    help: 'For how long the ending has been pending that has been so for longest; 0 if none is.',
    aggregator: 'max',
    read: ({ deliveries, engine }) => {
      const since = deliveries?.oldestPendingAt;
      return only(since === undefined ? 0 : Math.max(0, engine.timeline.now() - since) / 1_000);
    },
  },
  {
    type: 'gauge',
    name: 'dead_letters',
    help: 'Endings that will not be delivered by themselves any more.',
    labelNames: ['recipient'],
    read: (parts) => eachRecipient(parts, ({ notifier }) => only(notifier.deadLetterCount)),
  },
  {
    type: 'gauge',
    name: 'tombstones',
    help: 'Endings that are remembered, so that a second one is known for what it is.',
    read: ({ tombstones }) => only(tombstones?.size ?? 0),
  },
  {
    type: 'counter',
    name: 'tombstones_evicted_total',
    help: 'Endings that were forgotten before their time because there were too many.',
    read: ({ tombstones }) => only(tombstones?.evictedTotal ?? 0),
  },
];
