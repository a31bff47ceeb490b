import type { Mutant } from './mutant.js';

/** Bugs in who may say that a run has ended, and how often. */
export const endingMutants: readonly Mutant[] = [
  {
    name: 'the tombstone is written after the delivery',
    file: 'endings/endings.ts',
    find: '    return tombstones.set(key, { id, generation, at: timeline.now(), endsRun });',
    replace: '    setImmediate(() => tombstones.set(key, { id, generation, at: timeline.now(), endsRun }));',
  },
  {
    name: 'an end for an earlier generation claims the present one',
    file: 'endings/endings.ts',
    find: '(generation === undefined || stamps.holds(slot, generation))',
    replace: 'true',
  },
  {
    name: 'a claimed run can be claimed again',
    file: 'endings/endings.ts',
    find: `    if (this.isClaimed(slot)) return undefined;
    const claim`,
    replace: '    const claim',
  },
  {
    name: 'an end inside of a delete is a duplicate of the claim that is then withdrawn',
    file: 'endings/endings.ts',
    find: 'if (this.isClaimed(slot) && !isOpen) return this.#duplicate();',
    replace: 'if (this.isClaimed(slot)) return this.#duplicate();',
  },
  {
    name: 'the claim of a run that was ended inside of a refused delete is withdrawn',
    file: 'endings/endings.ts',
    find: 'if (open.isOwners) {',
    replace: 'if (open.slot < 0) {',
  },
  {
    name: 'a withdrawn claim is kept',
    file: 'endings/endings.ts',
    find: 'this.#unmark(open.slot);',
    replace: '',
  },
  {
    name: 'a transferred run is told when its entry goes',
    file: 'endings/endings.ts',
    find: 'this.settleSilently(source, from);',
    replace: '',
  },
  {
    name: 'a run that goes on as one that has ended is forgotten',
    file: 'endings/endings.ts',
    find: 'if (this.isClaimed(target)) return this.#duplicate();',
    replace: '',
  },
  {
    name: 'a run that came back claimed is announced again',
    file: 'restart/restoration.ts',
    find: 'if (entry.claimed) ofEnded.settleAgain(slot, key, isClaimWritten);',
    replace: 'if (entry.claimed) void isClaimWritten;',
  },
  {
    name: 'a lost run is announced without a tombstone',
    file: 'restart/absences.ts',
    find: `    endings.remember(run);
    const endedAt`,
    replace: '    const endedAt',
  },
  {
    name: 'an ending in the midst of its removal is in no snapshot',
    file: 'endings/endings.ts',
    find: 'return this.#leaving.filter(({ isConfirmed }) => !isConfirmed).map(({ event }) => event);',
    replace: 'return [];',
  },
];
