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
    find: 'const obligation = newObligation(open, since, awaitsStart, isInherited);',
    replace: 'const obligation = newObligation({ ...open, attempts: 0 }, since, awaitsStart, isInherited);',
  },
  {
    name: 'ids are made anew by a restore',
    file: 'restart/restoration.ts',
    find: 'if (entry.id !== undefined) ofEnded?.ids.restore(slot, entry.id);',
    replace: '',
  },
  {
    name: 'a retry does not wait',
    file: 'endings/retry-waits.ts',
    find: 'this.#waits.insert(Math.min(dueAt, overAt),',
    replace: 'this.#waits.insert(this.#clock.monotonic(),',
  },
  {
    name: 'nothing is given up, however long it is tried',
    file: 'endings/notifier.ts',
    find: "return this.#clock.monotonic() - triedAt >= this.#limits.giveUpAfterMs ? 'given-up' : undefined;",
    replace: 'return triedAt < 0 ? undefined : undefined;',
  },
  {
    name: 'a last attempt is made when the time for it is over',
    file: 'endings/retry-waits.ts',
    find: 'const isDue = dueAt < overAt;',
    replace: 'const isDue = dueAt > 0;',
  },
  {
    name: 'a restart forgets since when a delivery has been tried',
    file: 'restart/inheritance.ts',
    find: 'state.pending.push({ event, attempts: before, triedAt: ending.triedAt,',
    replace: 'state.pending.push({ event, attempts: before,',
  },
  {
    name: 'the time between two lives counts as time in which a delivery was tried',
    file: 'restart/past.ts',
    find: 'if (ending.triedAt !== undefined) ending.triedAt += gapMs;',
    replace: 'void gapMs;',
  },
  {
    name: 'an idempotent recipient is not tried again after a time-out',
    file: 'endings/notifier.ts',
    find: "if (isTimeOut && !this.#limits.isIdempotent) return 'timed-out';",
    replace: "if (isTimeOut) return 'timed-out';",
  },
  {
    name: 'a late success does not end the wait for the next attempt',
    file: 'endings/notifier.ts',
    find: `const isPending = this.#pending.delete(obligation);
    if (isPending) {`,
    replace: `const isPending = obligation.attempts < 0;
    if (isPending) {`,
  },
  {
    name: 'the late success of a delivery that has succeeded counts as another one',
    file: 'endings/notifier.ts',
    find: `    if (obligation.isSettled) return;
    const isPending`,
    replace: '    const isPending',
  },
  {
    name: 'an attempt that still runs leaves its dead letter unambiguous',
    file: 'endings/notifier.ts',
    find: 'const ambiguous = isUnknown || obligation.unsettled > 0;',
    replace: 'const ambiguous = isUnknown;',
  },
  {
    name: 'redeliver() takes letters back and does not try them',
    file: 'endings/notifier.ts',
    find: 'if (record.isKept) this.#retry(record);',
    replace: 'if (record.isKept) this.#letters.withdraw(record);',
  },
  {
    name: 'a walk of dead letters is over where the one at which it stands is removed',
    file: 'endings/dead-letters.ts',
    find: 'isLost = !record.isKept;',
    replace: 'if (!record.isKept) return;',
    rareSeed: 9_000_000_242_343,
  },
  {
    name: 'a later run of an id is dropped for the dead letter of an earlier one',
    file: 'endings/notifier.ts',
    find: 'if (earlier !== undefined && this.#mayRetry(earlier)) {',
    replace:
      'if (earlier === undefined) {} else if (this.#mayRetry(earlier)) return; else if (this.#isClosed) {',
  },
  {
    name: 'a dead letter is dropped with an older one',
    file: 'endings/dead-letters.ts',
    find: 'if (oldest === undefined || oldest.diedAt > bornBy) break;',
    replace: 'if (oldest === undefined || bornBy < 0) break;',
  },
  {
    name: 'a dead letter is as young as the life that has it',
    file: 'restart/inheritance.ts',
    find: 'push(letterOf(ending, ending.letter, event));',
    replace:
      'push({ ...letterOf(ending, ending.letter, event), diedAt: this.#context.engine.timeline.now() });',
  },
  {
    name: 'only the first recipient is told',
    file: 'endings/deliveries.ts',
    find: 'for (const { notifier } of this.recipients) notifier.push(event, awaitsStart);',
    replace: 'for (const { notifier } of this.recipients.slice(0, 1)) notifier.push(event, awaitsStart);',
  },
  {
    name: 'what one recipient has been told of nobody is told of after a restart',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.doneRecord(id, recipient));',
    replace: "this.#writer.say(records.doneRecord(id, recipient && 'default'));",
  },
  {
    name: 'a checkpoint owes an ending to all recipients that it owes to one',
    file: 'restart/live-records.ts',
    find: 'const recipients = [name];',
    replace: "const recipients = name === '' ? [] : deliveries.recipients.map((each) => each.name);",
  },
  {
    name: 'a dead letter that is tried again is written as owed to all recipients',
    file: 'restart/ending-recorder.ts',
    find: 'this.#host.encoder.ending(endings.tracker, event, { recipients });',
    replace: 'this.#host.encoder.ending(endings.tracker, event, {}); void recipients;',
  },
];
