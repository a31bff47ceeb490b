import type { Mutant } from './mutant.js';

/** Bugs that the simulator found in the library, planted again: most of them in what a restart brings back. */
export const restartMutants: readonly Mutant[] = [
  {
    name: 'entries set before a restore keep generations of the earlier life',
    file: 'restart/restoration.ts',
    find: 'if (tracker !== undefined) this.#renumber(tracker, lastGeneration, taken);',
    replace: 'tracker?.stamps.raiseGeneration(lastGeneration);',
  },
  {
    name: 'a jump of the wall clock ages what has not come back',
    file: 'restart/restoration.ts',
    find: 'const { registeredAt, lastActiveAt, borrowedAt } = this.#instants.get(entry) as HeldInstants;',
    replace: 'const { registeredAt, lastActiveAt, borrowedAt } = this.#instantsOf(entry);',
  },
  {
    name: 'a second restore brings forgotten tombstones back',
    file: 'restart/restoration.ts',
    find: 'if (this.#restoredTombstones.has(id)) return;',
    replace: '',
  },
  {
    name: 'a lost run is told with stamps of the future',
    file: 'restart/restoration.ts',
    find: 'const registeredAt = Math.min(entry.registeredAt, endedAt);',
    replace: 'const registeredAt = entry.registeredAt;',
  },
  {
    name: 'a snapshot that lacks the id of a run is restored',
    file: 'restart/snapshot-format.ts',
    find: 'text(id, `snapshot.maps',
    replace: 'void (id, `snapshot.maps',
  },
  {
    name: 'a tombstone whose time is over counts as forgotten early',
    file: 'endings/tombstones.ts',
    find: "reason === 'evict' && !this.#isOver(tombstone)",
    replace: "reason === 'evict'",
  },
  {
    name: 'an overflow is told in the midst of a removal',
    file: 'endings/notifier.ts',
    find: 'if (this.#letters.hasUntold) detached(() => resolved.then(() => this.#letters.tell()));',
    replace: 'this.#letters.tell();',
  },
];
