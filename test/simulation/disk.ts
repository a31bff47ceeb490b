import type { JournalRecord } from '../../src/restart/journal.js';
import type { RegistrySnapshot } from '../../src/restart/snapshot.js';
import type { Random } from './random.js';

/** What a crash leaves of the snapshot that was written last. */
export type CrashedDisk = 'new' | 'old' | 'torn';

/** The file that snapshots are kept in. A write replaces the one before, or, after a crash, has not done so. */
export class SimulatedDisk {
  #current: string | undefined;
  #previous: string | undefined;

  write(snapshot: RegistrySnapshot): void {
    this.#previous = this.#current;
    this.#current = JSON.stringify(snapshot);
  }

  /** What can be read after a crash: first the file that is damaged, if it is, then the one that is whole. */
  afterCrash(state: CrashedDisk, random: Random): { damaged: unknown; whole: RegistrySnapshot | undefined } {
    const damaged =
      state === 'torn' && this.#current !== undefined
        ? damagedSnapshot(JSON.parse(this.#current), random)
        : undefined;
    if (state !== 'new') this.#current = this.#previous;
    const whole = this.#current === undefined ? undefined : (JSON.parse(this.#current) as RegistrySnapshot);
    return { damaged, whole };
  }
}

/** What a torn or foreign file may look like once it parses: one place is not what it should be. */
function damagedSnapshot(snapshot: RegistrySnapshot, random: Random): unknown {
  const wrong = random.pick([{ torn: true }, null, 3]);
  switch (random.weighted({ records: 6, format: 1, version: 1, list: 1 })) {
    case 'records':
      return { ...snapshot, records: damagedRecords(snapshot.records, random) };
    case 'format':
      return { ...snapshot, format: wrong };
    case 'version':
      return { ...snapshot, version: wrong };
    case 'list':
      return { ...snapshot, records: wrong };
  }
}

/** Members of records that may be anything: keys, and whatever the owner's values and details are. */
const isAnything = (kind: unknown, index: number): boolean =>
  (kind === 'set' && index === 2) ||
  (kind === 'end' && index === 2) ||
  (kind === 'tomb' && index === 1) ||
  (kind === 'value' && index === 3);

/** Records of which one has something in it that cannot be there. */
export function damagedRecords(records: readonly JournalRecord[], random: Random): JournalRecord[] {
  const at = random.between(0, records.length - 1);
  return records.map((record, number) => {
    if (number !== at) return record;
    const places = record.map((_, index) => index).filter((index) => !isAnything(record[0], index));
    const place = random.pick(places);
    // An object may have members that only a later version knows.
    const wrong = typeof record[place] === 'object' ? null : random.pick([{ torn: true }, null]);
    return record.map((member, index) => (index === place ? wrong : member));
  });
}
