import { resized } from '../stamps/typed-arrays.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { JournalWriter } from './journal-writer.js';
import { activityRecord } from './records.js';

/** So many entries stand in one record of activity. */
const mostInRecord = 4_096;

/** What notes of activity go through. */
export interface ActivityHost {
  readonly writer: JournalWriter;
  /** Counts the intervals: activity is written at most once in each. From 1. */
  interval(): number;
  /** The present, as records carry it. */
  now(): number;
}

/**
 * Entries that were active in one interval, until the note is written: one record. All count as active with the last of
 * them, which is at most an interval later than they were.
 */
export class ActivityNote {
  readonly #kind: 'active' | 'used';
  readonly #index: number;
  readonly #interval: number;
  /** The queue that it stands in: what waits may be dropped. */
  readonly #queue: number;
  readonly #generations: number[] = [];
  #at = 0;
  #isOpen = true;

  constructor(kind: 'active' | 'used', index: number, interval: number, queue: number) {
    this.#kind = kind;
    this.#index = index;
    this.#interval = interval;
    this.#queue = queue;
  }

  /** Returns whether one more can be added, and will be written. */
  isOpenIn(interval: number, queue: number): boolean {
    const isOfNow = this.#interval === interval && this.#queue === queue;
    return this.#isOpen && isOfNow && this.#generations.length < mostInRecord;
  }

  add(generation: number, at: number): void {
    this.#generations.push(generation);
    this.#at = at;
  }

  /** Ends it, and returns its record. */
  encode(): string {
    this.#isOpen = false;
    return activityRecord(this.#kind, this.#index, this.#at, this.#generations);
  }
}

/**
 * Writes down when the entries of one map were active: at once, and only the first time in each interval. An entry
 * counts as active one interval later than written in its next life, and whatever it did in that interval was not later.
 * What one timer wrote down for all would be lost of an entry that had been idle for long and was touched right before
 * the end.
 */
export class ActivityNotes {
  readonly #tracker: Tracker;
  readonly #index: number;
  readonly #host: ActivityHost;
  // The interval in which an entry's activity was last told, by slot.
  #told = new Uint32Array(16);
  readonly #open: { active: ActivityNote | undefined; used: ActivityNote | undefined } = {
    active: undefined,
    used: undefined,
  };
  // Slots that were active since the last look at their values, if these have to be looked at; and before which look each was.
  #active: number[] = [];
  #look = 1;
  #activeBefore = new Uint32Array(16);

  constructor(tracker: Tracker, index: number, host: ActivityHost) {
    this.#tracker = tracker;
    this.#index = index;
    this.#host = host;
  }

  /** An entry is written as active now: nothing more need be told of it in this interval. */
  isWritten(slot: number): void {
    this.#mark(slot, this.#host.interval());
  }

  /** What an entry does next has to be told. */
  isUnknown(slot: number): void {
    this.#mark(slot, 0);
  }

  /** The entry itself (`active`), or a companion of it (`used`), was set or touched now. */
  tell(kind: 'active' | 'used', slot: number): void {
    const interval = this.#host.interval();
    const { policy, stamps } = this.#tracker;
    // That of one that was registered in this interval too: it was written as it was then.
    if (policy.persist?.encode !== undefined) this.#hasBeenActive(slot);
    if (this.#told[slot] === interval) return;
    this.#mark(slot, interval);
    const { writer } = this.#host;
    let note = this.#open[kind];
    if (!note?.isOpenIn(interval, writer.queueNumber)) {
      note = new ActivityNote(kind, this.#index, interval, writer.queueNumber);
      this.#open[kind] = note;
      writer.say(note);
    }
    note.add(stamps.generation[slot] as number, this.#host.now());
  }

  /**
   * The slots that have been active since the last time, whose values may be others now. What is active from here on is
   * looked at the next time, in whichever interval that is: a look at many maps lasts for longer than a turn.
   */
  takeActive(): readonly number[] {
    const active = this.#active;
    this.#active = [];
    this.#look += 1;
    this.#giveBack();
    return active;
  }

  /** Gives the memory of a burst back whose entries have left. */
  #giveBack(): void {
    const { capacity } = this.#tracker.stamps;
    if (this.#told.length > capacity) this.#told = this.#told.slice(0, capacity);
    if (this.#activeBefore.length > capacity) this.#activeBefore = this.#activeBefore.slice(0, capacity);
  }

  #hasBeenActive(slot: number): void {
    if (this.#activeBefore[slot] === this.#look) return;
    this.#activeBefore = this.#longEnough(this.#activeBefore, slot);
    this.#activeBefore[slot] = this.#look;
    this.#active.push(slot);
  }

  #mark(slot: number, interval: number): void {
    this.#told = this.#longEnough(this.#told, slot);
    this.#told[slot] = interval;
  }

  #longEnough(bySlot: Uint32Array<ArrayBuffer>, slot: number): Uint32Array<ArrayBuffer> {
    if (slot < bySlot.length) return bySlot;
    return resized(bySlot, this.#tracker.stamps.capacity);
  }
}
