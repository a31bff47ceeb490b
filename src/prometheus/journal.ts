import type { RegistryInternals } from '../registry/internals.js';
import { nameLabel, only, type PulledMetric, type Sample } from './pulled.js';

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
  {
    type: 'gauge',
    name: 'journal_waiting_seconds',
    help: 'For how long something has waited to be written into the journal; 0 if nothing waits, or the journal is lost.',
    aggregator: 'max',
    read: (parts) => only(waitedMs(parts) / 1_000),
  },
  {
    type: 'gauge',
    name: 'journal_lost',
    help: '1 if the journal was removed or belongs to another process now: nothing more is written or delivered; else 0.',
    aggregator: 'max',
    read: ({ restart }) => only(restart.recorder?.writer.state.isLost ? 1 : 0),
  },
  {
    type: 'gauge',
    name: 'awaited_entries',
    help: 'Entries of earlier lives that are not back, by reason, until they are dropped: not-set yet, or decode-fails or no-map, for which they cannot come back.',
    labelNames: ['map', 'reason'],
    read: awaited,
  },
];

function awaited({ restart }: RegistryInternals): Sample[] {
  const reasons = { decode: 'decode-fails', map: 'no-map' };
  return Array.from(restart.restoration.shares(), ({ map, count, stuckBy }) => ({
    labels: { map: nameLabel(map), reason: stuckBy === undefined ? 'not-set' : reasons[stuckBy] },
    value: count,
  }));
}

function waitedMs({ engine, restart }: RegistryInternals): number {
  const state = restart.recorder?.writer.state;
  // What waits for a journal that is lost waits for ever.
  if (state?.waitingSince === undefined || state.isLost) return 0;
  return engine.timeline.now() - state.waitingSince;
}
