import type { Mutant } from './mutant.js';

/** Bugs in what a restart brings back, by hand or from a journal; the simulator found some of them in the library. */
export const restartMutants: readonly Mutant[] = [
  {
    name: 'entries set before a restore keep generations of the earlier life',
    file: 'restart/restoration.ts',
    find: 'if (this.#unnumbered.delete(tracker.name)) this.#renumber(tracker);',
    replace: '',
  },
  {
    name: 'generations begin anew after a restart',
    file: 'restart/restoration.ts',
    find: 'tracker.stamps.raiseGeneration(this.lastGenerationOf(tracker.name));',
    replace: '',
  },
  {
    name: 'between two lives of one boot the wall clock counts',
    file: 'restart/past-timeline.ts',
    find: "const isSameBoot = bootId !== '' && bootId === now.bootId;",
    replace: 'const isSameBoot = bootId === now.boot;',
  },
  {
    name: 'between two lives time may go back',
    file: 'restart/past-timeline.ts',
    find: 'return this.#latest + Math.max(0, elapsed - lived);',
    replace: 'return this.#latest + elapsed - lived;',
  },
  {
    name: 'a second snapshot is restored',
    file: 'restart/restart.ts',
    find: 'if (this.#restored !== undefined) {',
    replace: 'if (this.#restored === sum) {',
  },
  {
    name: 'a record is played whatever is in it',
    file: 'restart/record-fields.ts',
    find: 'if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;',
    replace: 'if (value !== undefined) return value as number;',
  },
  {
    name: 'what has not come back is awaited anew in each life',
    file: 'restart/past.ts',
    find: 'if (entry.life < this.lives) entry.absentMs += this.#windowMs;',
    replace: '',
  },
  {
    name: 'the window counts the time in which the process was stopped',
    file: 'restart/restore-window.ts',
    find: 'Math.min(now - this.#seenAt, this.#engine.sweepEveryMs)',
    replace: '(now - this.#seenAt)',
  },
  {
    name: 'a run is open in an entry that it had left before it ended',
    file: 'restart/restoration.ts',
    find: 'if (end !== undefined && entry.registeredAt < end.at) {',
    replace: 'if (end === null) {',
    rareSeed: 9000000119906,
  },
  {
    name: "what is another entry's run is written as open",
    file: 'restart/record-encoder.ts',
    find: '? endings?.isDuplicate(slot)',
    replace: '? false',
    rareSeed: 9000000119612,
  },
  {
    name: 'activity counts as of when it was written',
    file: 'restart/restoration.ts',
    find: 'Math.min(at + entry.lateMs, now)',
    replace: 'Math.min(at, now)',
  },
  {
    name: 'a life that only observes gives up those who have not come back',
    file: 'restart/restart.ts',
    find: 'if (endings === undefined || endings.tracker.observing) return false;',
    replace: 'if (endings === undefined) return false;',
  },
  {
    name: 'two registrations of one run are two runs',
    file: 'endings/endings.ts',
    find: 'if ((open !== undefined && open !== slot) || this.#host.tombstones.hasRun(id))',
    replace: 'if (this.#host.tombstones.hasRun(id))',
  },
  {
    name: 'a registration under the id of an open run ends that run',
    file: 'endings/endings.ts',
    find: 'const endsRun = this.ids.areOwn && this.ids.openSlotOf(id) === undefined;',
    replace: 'const endsRun = this.ids.areOwn;',
  },
  {
    name: 'an id that comes a second time is delivered beside itself',
    file: 'endings/notifier.ts',
    find: 'if (!obligation?.awaitsStart) return;',
    replace: 'if (obligation === undefined) return;',
    rareSeed: 334,
  },
  {
    name: 'a tombstone whose time is over counts as forgotten early',
    file: 'endings/expiring-cache.ts',
    find: 'if (this.#isOver(oldest[1])) return undefined;',
    replace: '',
  },
  {
    name: 'an overflow is told in the midst of a removal',
    file: 'endings/notifier.ts',
    find: 'if (this.#letters.hasUntold) detached(() => resolved.then(() => this.#letters.tell()));',
    replace: 'this.#letters.tell();',
  },
  {
    name: 'what is written anew says to each recipient by itself that a run has ended',
    file: 'restart/live-records.ts',
    find: 'return owing.length > 1 ?',
    replace: 'return owing.length > 9 ?',
    rareSeed: 1072,
  },
  {
    name: 'an orphan that comes back waits for the next sweep',
    file: 'sweeping/tracker.ts',
    find: 'if (isBack) this.due.refile(slot);',
    replace: 'if (isBack) this.due.watch(slot);',
    rareSeed: 1795766216553,
  },
];
