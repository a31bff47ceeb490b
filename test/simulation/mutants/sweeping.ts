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
    find: `    this.total[reason] += 1;
    for (const follower of`,
    replace: `    this.total[reason] += 1;
    for (const follower of this.#map.followers) follower.refileAll();
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
    file: 'sweeping/tracker.ts',
    find: 'if (this.policy.beforeSweep !== undefined && this.stamps.hasFlag(slot, HOOKED)) {',
    replace: 'if (slot < 0) {',
  },
  {
    name: 'after its beforeSweep an entry is removed without another look',
    file: 'sweeping/map-pass.ts',
    find: "if (state === 'due' && !observing) removals.sweepOut(slot, key, now);",
    replace: 'if (!observing) removals.sweepOut(slot, key, now);',
  },
  {
    name: 'replacing does not dispose',
    file: 'sweeping/tracker.ts',
    find: 'if (policy.dispose === undefined || Object.is(previous, value)) {',
    replace: 'if (policy.dispose === undefined || previous !== value) {',
  },
  {
    name: 'a companion does not keep its leader alive',
    file: 'sweeping/tracker.ts',
    find: `      this.#activity.refreshAt(slot, at);
      this.leader.borrow(key, at);`,
    replace: '      this.#activity.refreshAt(slot, at);',
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
    find: 'if (!tracker.isGuarded(slot) && stamps.holds(slot, generation))',
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
    find: 'tracker.restamp(slot, registeredAt, lastActiveAt, borrowedAt);',
    replace: '',
  },
  {
    name: 'a value is disposed twice',
    file: 'sweeping/removal-callbacks.ts',
    find: 'for (const departure of removal.departures) callDispose(departure, failures);',
    replace:
      'for (const departure of removal.departures.concat(removal.departures)) callDispose(departure, failures);',
  },
  {
    name: 'stop() leaves its timer',
    file: 'sweeping/engine.ts',
    find: '    this.timers.pause();',
    replace: '',
  },
];
