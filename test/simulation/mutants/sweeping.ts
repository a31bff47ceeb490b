import type { Mutant } from './mutant.js';

/** Bugs in which entries leave, and when. */
export const sweepingMutants: readonly Mutant[] = [
  {
    name: 'a deadline is compared with >',
    file: 'policy/judge.ts',
    find: "if (now < this.deadline.at) return 'live';",
    replace: "if (now <= this.deadline.at) return 'live';",
  },
  {
    name: 'a companion leaves with the next tick',
    file: 'sweeping/removals.ts',
    find: `  tracker.removedTotal[reason] += 1;
  for (const follower of`,
    replace: `  tracker.removedTotal[reason] += 1;
  for (const follower of tracker.companions.followers) follower.refileAll();
  if (reason === ('never' as string)) for (const follower of`,
  },
  {
    name: 'a guard is asked only once',
    file: 'policy/judge.ts',
    find: "return this.isGuarded(slot, key, value) ? 'guarded' : 'due';",
    replace: `const asked = ((this as { asked?: Map<unknown, boolean> }).asked ??= new Map<unknown, boolean>());
    if (!asked.has(value ?? key)) asked.set(value ?? key, this.isGuarded(slot, key, value));
    return asked.get(value ?? key) ? 'guarded' : 'due';`,
  },
  {
    name: 'a tick that comes late sweeps',
    file: 'sweeping/sweeper.ts',
    find: 'if (isLate) this.#skip();',
    replace: 'if (isLate && now < 0) this.#skip();',
  },
  {
    name: 'a touch does not abort a beforeSweep',
    file: 'maps/owner-writes.ts',
    find: 'if (policy.beforeSweep !== undefined && tracker.stamps.hasFlag(slot, HOOKED)) {',
    replace: 'if (slot < 0) {',
  },
  {
    name: 'after its beforeSweep an entry is removed without another look',
    file: 'sweeping/look.ts',
    find: "if (state !== 'due' || tracker.observing) {",
    replace: "if ((state !== 'due' && !isHookDone) || tracker.observing) {",
  },
  {
    name: 'replacing does not dispose',
    file: 'maps/owner-writes.ts',
    find: 'if (dispose === undefined || Object.is(previous, value)) {',
    replace: 'if (dispose === undefined || previous !== value) {',
  },
  {
    name: 'a companion does not keep its leader alive',
    file: 'maps/owner-writes.ts',
    find: 'leader.companionActive(key, at, true);',
    replace: '',
  },
  {
    name: 'a jump of the wall clock moves deadlines',
    file: 'policy/answers.ts',
    find: 'if (known !== undefined && known.epoch === epoch) return known.at;',
    replace: '',
  },
  {
    name: 'a policy that throws ends the pass',
    file: 'policy/ask.ts',
    find: `    failed(error);
    return FAILED;`,
    replace: '    throw error;',
  },
  {
    name: 'an eviction takes a guarded entry',
    file: 'sweeping/capacity.ts',
    find: 'if (!due.isGuarded(slot) && stamps.holds(slot, generation))',
    replace: 'if (stamps.holds(slot, generation))',
  },
  {
    name: 'a touch leaves an entry among the longest idle',
    file: 'stamps/activity.ts',
    find: `this.#stamps.activity.refresh(slot);
    this.#order?.touch(slot);`,
    replace: 'this.#stamps.activity.refresh(slot);',
  },
  {
    name: 'a restored entry begins anew',
    file: 'restart/restoration.ts',
    find: 'tracker.restamp(slot, entry.registeredAt, late(entry.lastActiveAt), late(entry.usedAt));',
    replace: '',
  },
  {
    name: 'a value is disposed twice',
    file: 'sweeping/removal-callbacks.ts',
    find: 'for (const value of removal.left) callDispose(value, failures);',
    replace: 'for (const value of removal.left.concat(removal.left)) callDispose(value, failures);',
  },
  {
    name: 'stop() leaves its timer',
    file: 'sweeping/engine.ts',
    find: '    this.timers.pause();',
    replace: '',
  },
];
