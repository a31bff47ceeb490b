import type { Mutant } from './mutant.js';

/** Bugs in which entries leave, and when. */
export const sweepingMutants: readonly Mutant[] = [
  {
    name: 'what leaves natively is taken for a refusal',
    file: 'sweeping/removals.ts',
    find: 'if (isThere && (isPlain ? native.remove(key) : !native.has(key)))',
    replace: 'if (isThere && (isPlain ? !native.remove(key) : !native.has(key)))',
  },
  {
    name: 'a delete that disposes is told of before the entry has left',
    file: 'maps/owner-removals.ts',
    find: `    leave(tracker, slot, key, value, 'deleted', removal);
    announce(removal, tracker.shared);
  }`,
    replace: `    announce(removal, tracker.shared);
    leave(tracker, slot, key, value, 'deleted', removal);
  }`,
  },
  {
    name: 'a deadline is compared with >',
    file: 'policy/judge.ts',
    find: "return now < this.deadline.at ? 'live' : 'due';",
    replace: "return now <= this.deadline.at ? 'live' : 'due';",
  },
  {
    name: 'a companion leaves with the next tick',
    file: 'sweeping/removals.ts',
    find: 'else if (slot !== undefined) leaveWithLeader(follower, slot, removal);',
    replace: 'else follower.refileAll();',
  },
  {
    name: 'a guard is asked only once',
    file: 'policy/judge.ts',
    find: 'return answer !== false;',
    replace: `const asked = ((this as { asked?: Map<unknown, boolean> }).asked ??= new Map<unknown, boolean>());
    if (!asked.has(value ?? key)) asked.set(value ?? key, answer !== false);
    return asked.get(value ?? key) as boolean;`,
  },
  {
    name: 'a guard that holds is no activity',
    file: 'sweeping/look.ts',
    find: "if (keeper.keeping === 'guarded') keeper.map.usedUntilNow(keeper.slot);",
    replace: '',
  },
  {
    name: 'a guard of a companion does not hold its leader',
    file: 'sweeping/keepers.ts',
    find: 'keepers.#guardOf(companion, companionKey, now, isReading),',
    replace: 'keepers.#guardOf(companion, companionKey, now, isReading) && undefined,',
  },
  {
    name: 'a map that is asked is filed by what its values said first',
    file: 'sweeping/asked-walk.ts',
    find: 'else this.answer = this.#visit(this.#tracker, slot, key, value, now);',
    replace: `else {
      const known = ((this.#tracker as { saw?: Map<number, number> }).saw ??= new Map<number, number>());
      const generation = this.#tracker.stamps.generation[slot] as number;
      if (now < (known.get(generation) ?? 0)) return true;
      this.answer = this.#visit(this.#tracker, slot, key, value, now);
      known.set(generation, this.#tracker.due.judge.deadline.at);
    }`,
  },
  {
    name: 'a beforeSweep that never succeeds outlasts maxAge',
    file: 'sweeping/before-sweep.ts',
    find: 'const isLast = tracker.due.isBeyondMaxAge(slot, this.#shared.timeline.now());',
    replace: 'const isLast = false;',
    rareSeed: 970,
  },
  {
    name: 'a tick that comes late sweeps',
    file: 'sweeping/rhythm.ts',
    find: 'if (isLate) this.#host.skipped();',
    replace: 'if (isLate && now < 0) this.#host.skipped();',
  },
  {
    name: 'the ticks after one that came late stay as late',
    file: 'sweeping/rhythm.ts',
    find: 'else this.#scheduleAfter(now);',
    replace: 'else this.#schedule(now + this.#grid.everyMs);',
  },
  {
    name: 'a map that is to be swept more often is swept with the others',
    file: 'sweeping/sweeper.ts',
    find: 'if (everyMs === undefined || this.#isStopped) return;',
    replace: 'if (everyMs === undefined || everyMs > 0) return;',
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
    rareSeed: 205,
  },
  {
    name: 'nobody is told of a value that is overwritten',
    file: 'maps/owner-writes.ts',
    find: 'if (replaced === undefined || Object.is(previous, value)) return;',
    replace: 'if (replaced === undefined || previous !== value) return;',
  },
  {
    name: 'a companion does not keep its leader alive',
    file: 'maps/owner-writes.ts',
    find: 'tracker.leaderActive(slot, at, true);',
    replace: '',
  },
  {
    name: 'expiresAt goes by the wall clock as it was',
    file: 'policy/answers.ts',
    find: "if (name === 'expiresAt') return this.#timeline.instantAt(epoch, now);",
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
    file: 'sweeping/look.ts',
    find: 'const keeper = due.keepers.of(slot, stamps.keyOf(slot), shared.timeline.now(), false);',
    replace: 'const keeper = due.keepers.of(-1, undefined, shared.timeline.now(), false) && undefined;',
  },
  {
    name: 'an eviction takes whom it has known as the longest idle',
    file: 'sweeping/capacity.ts',
    find: 'if (order.isUpToDate(slot, activeAt, turn)) return true;',
    // It may be before 0, the start of the process: an answer that is no stays no, and the pass finds no end.
    replace: 'if (activeAt < Number.POSITIVE_INFINITY) return true;',
  },
  {
    name: 'an eviction does not look for what is due',
    file: 'sweeping/capacity.ts',
    find: 'if (done) break;',
    replace: 'if (done || slot !== undefined) break;',
    rareSeed: 326,
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
    find: 'for (const value of removal.left) callDispose(',
    replace: 'for (const value of removal.left.concat(removal.left)) callDispose(',
  },
  {
    name: 'stop() leaves its timer',
    file: 'sweeping/engine.ts',
    find: '    this.timers.pause();',
    replace: '',
  },
  {
    name: 'the short way of a sweep forgets an entry and leaves it in its map',
    file: 'sweeping/removals.ts',
    find: '  if (!native.remove(key)) {\n    leftPastWrapper',
    replace: '  if (!native.has(key)) {\n    leftPastWrapper',
  },
  {
    name: 'a companion is active for whoever has the slot that its leader had',
    file: 'sweeping/companions.ts',
    find: 'leaderKey !== undefined && stamps.keyOf(known) === leaderKey',
    replace: 'known >= 0',
  },
  {
    name: 'a leader that comes lets its orphans be cleaned up',
    file: 'sweeping/tracker.ts',
    find: 'if (slots.length === 0) continue;',
    replace: 'if (slots.length >= 0) continue;',
  },
];
