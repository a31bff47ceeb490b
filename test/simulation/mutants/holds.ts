import type { Mutant } from './mutant.js';

/** Bugs in what somebody uses. */
export const holdMutants: readonly Mutant[] = [
  {
    name: 'a sweep takes an entry that is held',
    file: 'sweeping/keepers.ts',
    find: 'return this.#holderOf(slot, key, now);',
    replace: 'return undefined;',
  },
  {
    name: 'a hold of a companion does not hold its leader',
    file: 'sweeping/keepers.ts',
    find: 'keepers.#holderOf(companion, companionKey, now),',
    replace: 'keepers.#holderOf(companion, companionKey, now) && undefined,',
  },
  {
    name: 'an eviction takes an entry that is held',
    file: 'sweeping/look.ts',
    find: 'return keeper === undefined;',
    replace: "return keeper?.keeping !== 'guarded';",
  },
  {
    name: 'the release of a hold is no activity',
    file: 'sweeping/tracker.ts',
    find: 'this.usedUntilNow(slot);',
    replace: '',
  },
  {
    name: 'an eviction does not look again at what a hold has kept',
    file: 'sweeping/tracker.ts',
    find: 'map.due.fileAt(at, map.shared.timeline.now());',
    replace: '{}',
    rareSeed: 4_000_000_003_201,
  },
  {
    name: 'a companion that leaves while it is held is no activity of its leader',
    file: 'sweeping/tracker.ts',
    find: 'this.leaderActive(slot, this.shared.timeline.stamp(), true, (other) => aborts.push(other));',
    replace: '',
  },
  {
    name: 'a hold does not abort a beforeSweep',
    file: 'sweeping/tracker.ts',
    find: `if (this.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(this, slot);
    const leading`,
    replace: 'const leading',
  },
  {
    name: 'a hold of an entry that has left holds what comes after it',
    file: 'sweeping/tracker.ts',
    find: 'this.holds?.forget(slot);',
    replace: '',
  },
  {
    name: 'isDue forgets what keeps an entry',
    file: 'maps/by-key.ts',
    find: "return state === 'due' && stamps",
    replace: "return state !== 'live' && stamps",
  },
  {
    name: 'two holds of an entry are one',
    file: 'sweeping/holds.ts',
    find: 'if (ofEntry?.size === 0) this.#bySlot.delete(hold.slot);',
    replace: 'this.#bySlot.delete(hold.slot);',
  },
];
