import type { EndedEvent } from './ended-event.js';

/**
 * Measurements that are distributions, for whoever collects them. Sizes and counts are not here: they can be read at
 * any time. Each is called after the state has changed, and must neither throw nor call back.
 */
export interface Measurements {
  /** A sweep went through and took this long, ms. */
  sweepFinished?(durationMs: number): void;
  /** A slice of it held the event loop for this long, ms. */
  sliceFinished?(durationMs: number): void;
  /** An entry has left a map, whoever removed it, at this age, ms. */
  removed?(map: string, ageMs: number): void;
  /** An entry was removed this long after it became due, ms. */
  sweptLate?(map: string, lateMs: number): void;
  /** A call of `beforeSweep` has settled, or was given up on, after this long, ms. */
  beforeSweepSettled?(durationMs: number): void;
  /** The journal has taken an append, which took this long, ms. */
  journalAppended?(durationMs: number): void;
  /** An ending was delivered to a recipient, by an attempt that took this long, ms. */
  delivered?(durationMs: number, event: EndedEvent, recipient: string): void;
  /** Not a measurement: there is another map, or something else of one, to be measured. */
  mapAdded?(): void;
  /** Not a measurement: a map is measured no more. */
  mapRemoved?(map: string): void;
  /** Not a measurement: the registry is closed, and nothing more will come. */
  closed?(): void;
}
