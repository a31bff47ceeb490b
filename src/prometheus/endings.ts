import { endedReasons, zeroFor } from '../events/reasons.js';
import { eachOf, only, type PulledMetric } from './pulled.js';

const noneDelivered = { delivered: 0, failed: 0, dead: 0 };

/** How the endings are doing. A registry without `ended` has these too, all of them zero. */
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
    help: 'Endings that were delivered, attempts that failed, and endings that became dead letters.',
    labelNames: ['outcome'],
    read: ({ deliveries }) => eachOf('outcome', { ...(deliveries?.outcomes ?? noneDelivered) }),
  },
  {
    type: 'gauge',
    name: 'ended_pending',
    help: 'Endings that are queued, being delivered, or waiting for a retry.',
    read: ({ deliveries }) => only(deliveries?.notifier.pendingCount ?? 0),
  },
  {
    type: 'gauge',
    name: 'dead_letters',
    help: 'Endings that will not be delivered by themselves any more.',
    read: ({ deliveries }) => only(deliveries?.notifier.deadLetterCount ?? 0),
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
