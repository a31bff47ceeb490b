import type { Mutant } from './mutant.js';

/** Bugs in who may say that a run has ended, and how often. */
export const endingMutants: readonly Mutant[] = [
  {
    name: 'the tombstone is written after the delivery',
    file: 'endings/endings.ts',
    find: 'this.#host.tombstones.set(key, { id, generation, at: this.#host.timeline.now() });',
    replace:
      'setImmediate(() => this.#host.tombstones.set(key, { id, generation, at: this.#host.timeline.now() }));',
  },
  {
    name: 'the removal comes before the claim',
    file: 'maps/owner-removals.ts',
    find: `const claim = isOurs ? undefined : tracker.claims?.claim(slot, key, value, 'deleted');
  try {
    return run();
  } finally {`,
    replace: `let claim: Claim | undefined;
  try {
    const result = run();
    claim = isOurs ? undefined : tracker.claims?.claim(slot, key, value, 'deleted');
    return result;
  } finally {`,
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
    name: 'a withdrawn claim is kept',
    file: 'endings/endings.ts',
    find: 'stamps.setFlag(open.slot, CLAIMED, false);',
    replace: '',
  },
  {
    name: 'a claim is withdrawn and its tombstone stays',
    file: 'endings/endings.ts',
    find: 'if (open.replaced === undefined) this.#host.tombstones.delete(open.key);',
    replace: 'if (open.replaced === undefined) ;',
  },
  {
    name: 'a transferred run is told when its entry goes',
    file: 'endings/endings.ts',
    find: 'this.settleSilently(source, from);',
    replace: '',
  },
  {
    name: 'a run that was announced before the restart is announced again',
    file: 'restart/restoration.ts',
    find: `ofEnded?.restoreId(slot, announced.id);
      ofEnded?.settleSilently(slot, key);`,
    replace: 'ofEnded?.restoreId(slot, announced.id);',
  },
  {
    name: 'a lost run is announced without a tombstone',
    file: 'restart/restoration.ts',
    find: `    entry.claimed = true;
    this.#entomb(key, entry);
    const`,
    replace: `    entry.claimed = true;
    const`,
  },
  {
    name: 'an ending in the midst of its removal is in no snapshot',
    file: 'endings/endings.ts',
    find: 'const claims = [...this.#tentative].filter((claim) => !this.#isUnderway(claim));',
    replace: 'const claims: OpenClaim[] = [];',
  },
];
