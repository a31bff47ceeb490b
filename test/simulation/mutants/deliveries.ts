import type { Mutant } from './mutant.js';

/** Bugs in how an ending is delivered, retried and given up. */
export const deliveryMutants: readonly Mutant[] = [
  {
    name: 'an attempt is counted after it was dispatched',
    file: 'endings/notifier.ts',
    find: `    obligation.attempts += 1;
    obligation.triedAt ??= now;
    const context = new AttemptContext(obligation.attempts);`,
    replace: `    obligation.triedAt ??= now;
    const context = new AttemptContext(obligation.attempts + 1);
    void resolved.then(() => (obligation.attempts += 1));`,
  },
  {
    name: 'a late success does not stop what follows a time-out',
    file: 'endings/notifier.ts',
    find: '(obligation.record !== undefined && this.#letters.withdraw(obligation.record))',
    replace: 'obligation.record !== undefined',
  },
  {
    name: 'an attempt that timed out is tried again',
    file: 'endings/notifier.ts',
    find: "if (isTimeOut && !this.#limits.isIdempotent) return 'timed-out';",
    replace: "if (isTimeOut && attempts >= this.#limits.attempts) return 'timed-out';",
  },
  {
    name: 'redeliver starts beside an attempt that runs',
    file: 'endings/notifier.ts',
    find: 'return this.#limits.isIdempotent || obligation === undefined || obligation.unsettled === 0;',
    replace: 'return obligation === undefined || obligation.unsettled >= 0;',
  },
  {
    name: 'retries go one beyond their limit',
    file: 'endings/notifier.ts',
    find: "if (attempts >= this.#limits.attempts) return 'attempts-exhausted';",
    replace: "if (attempts > this.#limits.attempts) return 'attempts-exhausted';",
  },
  {
    name: 'a dead letter is told twice',
    file: 'endings/dead-letters.ts',
    find: 'this.#untold.push({ letter, dropped: false });',
    replace: 'this.#untold.push({ letter, dropped: false }); this.#untold.push({ letter, dropped: false });',
  },
  {
    name: 'more is pending than maxPending',
    file: 'endings/notifier.ts',
    find: 'else if (this.#pending.size < this.#limits.maxPending) this.#enqueue(obligation);',
    replace: 'else if (this.#pending.size <= this.#limits.maxPending) this.#enqueue(obligation);',
  },
  {
    name: 'a restart loses the attempts',
    file: 'endings/notifier.ts',
    find: 'const obligation = newObligation(open, since, isHeld);',
    replace: 'const obligation = newObligation({ ...open, attempts: 0 }, since, isHeld);',
  },
  {
    name: 'ids are made anew by a restore',
    file: 'restart/restoration.ts',
    find: 'if (entry.id !== undefined) ofEnded?.restoreId(slot, entry.id);',
    replace: '',
  },
  {
    name: 'a retry does not wait',
    file: 'endings/retry-waits.ts',
    find: 'this.#timers.schedule(Math.min(dueAt, overAt),',
    replace: 'this.#timers.schedule(this.#clock.monotonic(),',
  },
];
