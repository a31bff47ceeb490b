import type { RegistrySnapshot } from '../../src/restart/snapshot-format.js';
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
      state === 'torn' && this.#current !== undefined ? damage(JSON.parse(this.#current), random) : undefined;
    if (state !== 'new') this.#current = this.#previous;
    const whole = this.#current === undefined ? undefined : (JSON.parse(this.#current) as RegistrySnapshot);
    return { damaged, whole };
  }
}

/** What a torn or foreign file may look like once it parses: one place is not what it should be. */
function damage(snapshot: RegistrySnapshot, random: Random): unknown {
  const { maps, ended } = snapshot;
  const entries = Object.values(maps).flatMap((map) => map.entries);
  const records: object[] = [snapshot, ...Object.values(maps), ...entries];
  if (ended !== undefined) {
    const events = [...ended.pending, ...ended.deadLetters];
    records.push(ended, ...ended.tombstones, ...events, ...events.map(({ event }) => event));
  }
  const record = random.pick(records) as Record<string, unknown>;
  // `claimed`, `borrowedAt`, `error` and `detail` may be missing, `ended` too; anything may be a key.
  const optional = ['ended', 'claimed', 'borrowedAt', 'error', 'detail', 'value'];
  const names = Object.keys(record).filter((name) => name !== 'detail' && name !== 'value' && name !== 'key');
  const name = random.pick(names);
  if (!optional.includes(name) && random.chance(0.4)) delete record[name];
  else record[name] = random.pick([{ torn: true }, null]);
  return snapshot;
}
