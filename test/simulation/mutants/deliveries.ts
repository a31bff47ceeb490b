import type { Mutant } from './mutant.js';

/** Bugs in how an ending is delivered, retried and given up. */
export const deliveryMutants: readonly Mutant[] = [
  {
    name: 'an attempt is counted after it was dispatched',
    file: 'endings/notifier.ts',
    find: `    obligation.attempts += 1;
    const context = new AttemptContext(obligation.attempts);`,
    replace: `    const context = new AttemptContext(obligation.attempts + 1);
    void resolved.then(() => (obligation.attempts += 1));`,
  },
  {
    name: 'a late success does not stop what follows a time-out',
    file: 'endings/notifier.ts',
    find: 'else if (record !== undefined) isOwed = this.#letters.withdraw(record);',
    replace: '',
  },
  {
    name: 'an attempt that timed out is tried again',
    file: 'endings/notifier.ts',
    find: "const record = this.#bury(attempt.obligation, 'timed-out', error, true);",
    replace: `if (attempt.obligation.attempts < this.#limits.attempts) return this.#fail(attempt.obligation, error);
    const record = this.#bury(attempt.obligation, 'timed-out', error, true);`,
  },
  {
    name: 'redeliver starts beside an attempt that runs',
    file: 'endings/notifier.ts',
    find: 'if (record === undefined || record.isRunning) return false;',
    replace: 'if (record === undefined) return false;',
  },
  {
    name: 'retries go one beyond their limit',
    file: 'endings/notifier.ts',
    find: 'if (attempts < this.#limits.attempts) {',
    replace: 'if (attempts <= this.#limits.attempts) {',
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
    find: 'this.#accept(event, attempts, false);',
    replace: 'this.#accept(event, 0, false);',
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
    find: 'this.#timers.schedule(this.#clock.monotonic() + delayMs,',
    replace: 'this.#timers.schedule(this.#clock.monotonic(),',
  },
];
