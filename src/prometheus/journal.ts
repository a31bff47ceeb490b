import { only, type PulledMetric } from './pulled.js';

/** How the journal is doing. A registry without one has none of these. */
export const metricsOfJournal: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'journal_bytes',
    help: 'What the journal takes on disk.',
    read: ({ restart }) => only(restart.recorder?.journalBytes ?? 0),
  },
  {
    type: 'counter',
    name: 'journal_errors_total',
    help: 'Appends to the journal, checkpoints and time-outs of the disk that failed; each is tried again.',
    read: ({ restart }) => only(restart.recorder?.writer.failuresTotal ?? 0),
  },
];
