import type { Mutant } from './mutant.js';

/** Bugs in what is written into a journal, when, and what is done before it is there. */
export const journalMutants: readonly Mutant[] = [
  {
    name: 'an ending is delivered before the journal has its claim',
    file: 'restart/restart.ts',
    find: 'push(event, this.recorder !== undefined);',
    replace: 'push(event, false);',
  },
  {
    name: 'an ending waits for its claim for ever',
    file: 'restart/delivery-gate.ts',
    find: 'if (this.#ticket !== undefined || this.#head === undefined) return;',
    replace: 'if (this.#now !== undefined) return;',
  },
  {
    name: 'an owner who has lost the journal goes on delivering',
    file: 'restart/recorder.ts',
    find: 'if (isFinal) this.#lose();',
    replace: '',
    rareSeed: 229,
  },
  {
    name: 'activity is not written',
    file: 'restart/map-recorder.ts',
    find: "this.#activity.tell('active', slot);",
    replace: '',
  },
  {
    name: 'activity of companions is not written',
    file: 'restart/map-recorder.ts',
    find: "this.#activity.tell('used', slot);",
    replace: '',
  },
  {
    name: 'activity of an entry that has come back is not written at once',
    file: 'restart/map-recorder.ts',
    find: 'this.#activity.isUnknown(slot);',
    replace: 'this.#activity.isWritten(slot);',
  },
  {
    name: 'another value is not written',
    file: 'restart/map-recorder.ts',
    find: 'this.#host.writer.say(this, changedBelow - slot, this.tracker.stamps.generation[slot]);',
    replace: '',
  },
  {
    name: 'that an entry has left is not written',
    file: 'restart/map-recorder.ts',
    find: 'this.#host.writer.say(this, left, generation);',
    replace: '',
  },
  {
    name: 'dead letters are taken over in the order of their records',
    file: 'restart/inheritance.ts',
    find: 'state.deadLetters.sort((a, b) => a.diedAt - b.diedAt);',
    replace: '',
  },
  {
    name: 'that an entry has come back is not written',
    file: 'restart/map-recorder.ts',
    find: "writer.say(entriesRecord('back', this.index, [generation]));",
    replace: '',
  },
  {
    name: 'a claim of which nobody is told is not written',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.quietRecord(generation));',
    replace: '',
  },
  {
    name: 'a delivery is not written',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.doneRecord(id, recipient));',
    replace: '',
  },
  {
    name: 'a failed attempt is not written',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.failedRecord(id, recipient, attempts, since, at));',
    replace: '',
  },
  {
    name: 'a dead letter is not written',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.deadRecord(letter, this.#host.encoder.instant(diedAt)));',
    replace: '',
  },
  {
    name: 'a dead letter whose attempt fails late is written as the youngest',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.lateRecord(letter));',
    replace: 'this.dead(letter, this.#host.engine.timeline.now());',
  },
  {
    name: 'that a timed-out attempt has failed after all is not written',
    file: 'restart/ending-recorder.ts',
    find: 'this.#writer.say(records.lateRecord(letter));',
    replace: '',
  },
  {
    name: 'a jump of the wall clock is not written',
    file: 'restart/recorder.ts',
    find: `      this.#jumpedMs += byMs;
      this.writer.say(this.#clockText());`,
    replace: '      void byMs;',
  },
  {
    name: 'how long somebody is awaited is not written',
    file: 'restart/recorder.ts',
    find: 'this.writer.say(records.windowRecord(Math.floor(windowMs)));',
    replace: '',
  },
  {
    name: 'a checkpoint forgets what is pending',
    file: 'restart/live-records.ts',
    find: 'of notifier.obligations()) {',
    replace: 'of [...notifier.obligations()].slice(1)) {',
  },
  {
    name: 'a checkpoint forgets dead letters',
    file: 'restart/live-records.ts',
    find: 'of notifier.letters()) {',
    replace: 'of [...notifier.letters()].slice(1)) {',
  },
  {
    name: 'a checkpoint forgets what has not come back',
    file: 'restart/live-records.ts',
    find: 'of parts.absent.entries())\n    yield',
    replace: 'of [...parts.absent.entries()].slice(1))\n    yield',
  },
  {
    name: 'a checkpoint forgets what is left open',
    file: 'restart/live-records.ts',
    find: 'of carried) yield*',
    replace: 'of carried.slice(1)) yield*',
  },
  {
    name: 'what was dropped is never written anew',
    file: 'restart/journal-writer.ts',
    find: `    this.#live = undefined;
    this.#wantsCheckpoint = true;`,
    replace: `    this.#live = undefined;
    this.#isBehind = false;`,
  },
  {
    name: 'a failed append is not tried again',
    file: 'restart/journal-writer.ts',
    find: 'if (!isDone) continue;',
    replace: 'if (!isDone) return true;',
  },
  {
    name: 'that an entry has left is written before that its run has ended',
    file: 'restart/map-recorder.ts',
    find: 'if (event !== undefined) this.#host.conclude(event);',
    replace: '',
    rareSeed: 213,
  },
  {
    name: 'the journal is not given back',
    file: 'restart/recorder.ts',
    find: '    this.writer.release();',
    replace: '',
  },
];
