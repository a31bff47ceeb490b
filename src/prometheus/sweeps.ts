import { only, type PulledMetric } from './pulled.js';

/** Whether the sweeper runs. */
export const metricsOfSweeps: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'last_sweep_timestamp_seconds',
    help: 'When the last sweep went through, Unix time; 0 before the first.',
    labelNames: [],
    // Of several processes the one that has stalled is the one to hear of.
    aggregator: 'min',
    read: ({ engine }) => only((engine.sweeper.lastFinishedAt ?? 0) / 1_000),
  },
];
