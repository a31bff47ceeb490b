import { endingsOf } from '../endings/endings.js';
import type { EndedEvent } from '../events/ended-event.js';
import { RECORDED } from '../stamps/stamp-store.js';
import type { EntryRecorder } from '../sweeping/entry-recorder.js';
import type { Tracker } from '../sweeping/tracker.js';
import { ActivityNotes } from './activity-notes.js';
import type { JournalWriter } from './journal-writer.js';
import type { PastEntry } from './left.js';
import type { RecordEncoder } from './record-encoder.js';
import { entriesRecord } from './records.js';

/** What the records of one map go through. */
export interface MapRecorderHost {
  readonly writer: JournalWriter;
  readonly encoder: RecordEncoder;
  /** Writes down a claimed ending, unless that was done before. */
  conclude(event: EndedEvent): void;
  /** Counts the intervals: activity is written at most once in each. From 1. */
  interval(): number;
  /** The present, as records carry it. */
  now(): number;
}

/** What an utterance about an entry says besides its generation: a slot that is set, or one of these. */
const left = -1;
const changedBelow = -2;

/** Writes down what happens to the entries of one map. */
export class MapRecorder implements EntryRecorder {
  readonly tracker: Tracker;
  /** What the map is called in records. */
  readonly index: number;
  readonly #host: MapRecorderHost;
  readonly #activity: ActivityNotes;
  /** How often the ages had been counted when they were written last. */
  #writtenCounts: number;
  // As of the last interval.
  #seenTotal = 0;
  #seenSize = 0;

  constructor(tracker: Tracker, index: number, host: MapRecorderHost) {
    this.tracker = tracker;
    this.index = index;
    this.#host = host;
    this.#activity = new ActivityNotes(tracker, index, host);
    this.#writtenCounts = tracker.ages.counts;
  }

  registered(slot: number): void {
    this.#activity.isWritten(slot);
    this.#sayWhole(slot);
  }

  overwritten(slot: number): void {
    if (this.tracker.policy.persist?.encode === undefined) return;
    this.#host.writer.say(this, changedBelow - slot, this.tracker.stamps.generation[slot]);
  }

  active(slot: number): void {
    this.#activity.tell('active', slot);
  }

  used(slot: number): void {
    this.#activity.tell('used', slot);
  }

  restamped(slot: number): void {
    this.#activity.isUnknown(slot);
  }

  /** The slots that have been active since the last time, whose values may be others now. */
  takeActive(): readonly number[] {
    return this.#activity.takeActive();
  }

  /**
   * Writes down how many entries reached each age, if that was counted since the last time. While no entry comes or goes it
   * can wait, and nothing is written.
   */
  counted(): void {
    const { ages, registeredTotal, stamps } = this.tracker;
    const isChanged = registeredTotal !== this.#seenTotal || stamps.size !== this.#seenSize;
    this.#seenTotal = registeredTotal;
    this.#seenSize = stamps.size;
    if (!isChanged || ages.counts === this.#writtenCounts) return;
    this.#writtenCounts = ages.counts;
    this.sayAges();
  }

  /** Writes down how many entries reached each age. */
  sayAges(): void {
    const { writer, encoder } = this.#host;
    const record = encoder.ages(this.tracker, this.index);
    if (record !== undefined) writer.say(record);
  }

  left(slot: number): void {
    const event = endingsOf(this.tracker)?.tentativeAt(slot);
    // Before the entry: if the journal ended between the two, a run would have left and nobody be told.
    if (event !== undefined) this.#host.conclude(event);
    const { stamps } = this.tracker;
    // One that has not been written yet never will be.
    if (stamps.hasFlag(slot, RECORDED)) this.#sayLeft(slot, stamps.generation[slot] as number);
  }

  /**
   * An entry of an earlier life was set again.
   *
   * @param before the generation that it was given here at first
   * @param entry what it was there
   * @param json its value, if `decode` may have changed that since
   * @returns whether the journal has its claim, if there is one
   */
  cameBack(slot: number, before: number, { key, value, isUnrecorded }: PastEntry, json?: string): boolean {
    const { writer } = this.#host;
    const { stamps } = this.tracker;
    const generation = stamps.generation[slot] as number;
    if (stamps.hasFlag(slot, RECORDED) && before !== generation) this.#sayLeft(slot, before);
    // Whatever key the journal has it under, and whether or not its value can be written.
    if (!isUnrecorded) {
      stamps.setFlag(slot, RECORDED, true);
      writer.say(entriesRecord('back', this.index, [generation]));
    }
    // A checkpoint under way may have passed over it, as one that was awaited or as one that was there.
    const isSame = !isUnrecorded && Object.is(key, stamps.keyOf(slot));
    // Without `encode` nobody says that it has another value than it had in a life with one.
    const isStale = value !== undefined && this.tracker.policy.persist?.encode === undefined;
    const isBrief = isSame && !isStale && !writer.isCheckpointing;
    if (isBrief) {
      this.#host.encoder.wasWritten(this.tracker, slot, json ?? JSON.stringify(value));
      // The owner may have another one by now, and `encode` may be another one.
      this.overwritten(slot);
    } else this.#sayWhole(slot);
    return isBrief;
  }

  /** An entry has another generation now. */
  renumbered(slot: number, before: number): void {
    if (this.tracker.stamps.hasFlag(slot, RECORDED)) this.#sayLeft(slot, before);
    this.#sayWhole(slot);
  }

  /** All entries have left the registry, though not the map. */
  released(): void {
    const { stamps } = this.tracker;
    for (const [, slot] of stamps.entries()) {
      if (stamps.hasFlag(slot, RECORDED)) this.#sayLeft(slot, stamps.generation[slot] as number);
    }
  }

  /** The record of an utterance of this map, if it still holds. */
  encode(slot: number, generation: number): string | undefined {
    if (slot === left) return entriesRecord('left', this.index, [generation]);
    const at = slot >= 0 ? slot : changedBelow - slot;
    if (!this.tracker.stamps.holds(at, generation)) return undefined;
    const { encoder } = this.#host;
    return slot >= 0
      ? encoder.entry(this.tracker, this.index, at, true)
      : encoder.changedValue(this.tracker, this.index, at);
  }

  #sayWhole(slot: number): void {
    this.#host.writer.say(this, slot, this.tracker.stamps.generation[slot]);
  }

  #sayLeft(slot: number, generation: number): void {
    this.#host.encoder.forget(this.tracker, slot);
    this.#host.writer.say(this, left, generation);
  }
}
