import { MapsweepError } from '../errors.js';
import { describe } from '../events/shown.js';
import { playFirstEdition, type Read } from './first-edition.js';
import type { JournalRecord } from './journal.js';
import { type LiveParts, liveRecords } from './live-records.js';
import { Past } from './past.js';
import { list } from './record-fields.js';

/** What `registry.snapshot()` returns: plain JSON, the records that a journal would hold. */
export interface RegistrySnapshot {
  /** What it is. */
  format: 'mapsweep-snapshot';
  /** Of the format; snapshots of version 1 can be restored too. */
  version: 2;
  /** What was there, as a journal has it. */
  records: JournalRecord[];
}

/** Writes down at once what must survive a restart. @param preamble the records that stand before all others */
export function takeSnapshot(preamble: readonly string[], parts: LiveParts): RegistrySnapshot {
  const records: JournalRecord[] = preamble.map((text) => JSON.parse(text) as JournalRecord);
  for (const text of liveRecords(parts))
    if (text !== undefined) records.push(JSON.parse(text) as JournalRecord);
  return { format: 'mapsweep-snapshot', version: 2, records };
}

/**
 * Plays a snapshot, of this version or the first, before anything is done with it.
 *
 * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged
 */
export function pastOf(snapshot: unknown): Past {
  const { format, version, records } = (snapshot ?? {}) as Partial<RegistrySnapshot>;
  if (format !== 'mapsweep-snapshot') throw invalid('snapshot.format', "'mapsweep-snapshot'", format);
  const past = new Past();
  if ((version as number) === 1) playFirstEdition(snapshot as Record<string, unknown>, past, read);
  else if (version !== 2) throw invalid('snapshot.version', '1 or 2', version);
  else {
    for (const [index, record] of read('records', () => list(records)).entries())
      read(`records[${index}]`, () => past.play(list(record)));
  }
  return past;
}

const read: Read = (place, of) => {
  try {
    return of();
  } catch (cause) {
    const { message } = cause as Error;
    throw new MapsweepError('ERR_INVALID_SNAPSHOT', `snapshot.${place}: ${message}. Nothing was restored`, {
      cause,
    });
  }
};

function invalid(path: string, expected: string, received: unknown): MapsweepError {
  return new MapsweepError(
    'ERR_INVALID_SNAPSHOT',
    `${path}: expected ${expected}, received ${describe(received)}. Nothing was restored`,
  );
}
