import { firstSeedWithOwners } from '../scenario.js';
import type { Mutant } from './mutant.js';

const firstSeed = firstSeedWithOwners + 1;

/** Planted bugs in how owners are brought down to what they may have. */
export const ownerMutants: readonly Mutant[] = [
  {
    name: 'an owner who has too many is not noticed',
    file: 'sweeping/owners.ts',
    find: 'if (owned.slots.size > this.max) this.over.add(owned);',
    replace: 'if (owned.slots.size > this.max + 1) this.over.add(owned);',
    firstSeed,
  },
  {
    name: 'a set that gives an entry to another owner leaves it with the first',
    file: 'sweeping/owners.ts',
    find: 'if (before !== undefined && before.owner === owner) return;',
    replace: 'if (before !== undefined) return;',
    firstSeed,
  },
  {
    name: 'an owner’s eviction takes whom it has known as the longest idle',
    file: 'sweeping/owner-evictions.ts',
    find: '!wasActiveSince(tracker, next, isFresh)',
    replace: 'due.activeAt(slot, shared.timeline.now()) >= next.activeAt',
    rareSeed: 4_000_000_001_670,
    firstSeed,
  },
  {
    name: 'an owner’s eviction asks a guard that holds, which is no activity',
    file: 'sweeping/owner-evictions.ts',
    find: "if (state === 'guarded' && isHis()) keep(tracker, slot);",
    replace: '',
    rareSeed: 4_000_000_002_135,
    firstSeed,
  },
];
