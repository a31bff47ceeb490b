import type { Tracker } from './tracker.js';

/** Smaller maps have their entries removed one by one, as all others have: that takes less than a slice. */
export const worthwhileSize = 1_000;

/** What is measured of each entry that leaves, as of the look at it, ms. */
export interface MeasuredRemovals {
  /** Its age. */
  readonly ageMs: Float64Array;
  /** How long it was due. */
  readonly lateMs: Float64Array;
}

/**
 * Finds out whether a map may be emptied at once: whether each of its entries is due. To be asked of a map that is
 * ruled by durations alone and about whose entries nobody has to be told. What `clear()` does to it is then what as
 * many deletes would do, also for somebody who iterates over it meanwhile, and takes a fraction of their time.
 *
 * Looks at one entry a step and changes nothing, so that a pass can pause in between. Two things could go wrong while it
 * does, and either ends the attempt, as does an entry that leaves by a ceiling where another one leaves by its TTL: they count
 * together.
 *
 * - An entry is registered, set, touched or gets other stamps: its activity counts these.
 * - Something is written past the wrapper, which the sizes do not show if as much is added as removed. Both the map
 *   and the stamps list their keys in the order of insertion, and an iterator that has not come to its end sees what is
 *   added later: so a key without a stamp stands in the place of another, or after the last.
 */
export class WholeSweep {
  readonly #tracker: Tracker;
  #keys: Iterator<unknown> | undefined;
  #stamped: Iterator<[key: unknown, slot: number]> | undefined;
  #writes = 0;
  #left = 0;
  #measured: MeasuredRemovals | undefined;
  #isByCeiling: boolean | undefined;

  // Each map has one, which is used again: with the last of them the compiled code would be thrown away between sweeps.
  constructor(tracker: Tracker) {
    this.#tracker = tracker;
  }

  /** An attempt is being made. */
  get isUnderway(): boolean {
    return this.#keys !== undefined;
  }

  /** What is to be told of the entries; `undefined` if nobody wants to know. */
  get measured(): MeasuredRemovals | undefined {
    return this.#measured;
  }

  /** All entries that were looked at have reached a ceiling; else none has. */
  get isByCeiling(): boolean {
    return this.#isByCeiling === true;
  }

  /** Begins an attempt. */
  begin(): void {
    const { native, stamps, activity, shared } = this.#tracker;
    this.#keys = native.keys();
    this.#stamped = stamps.entries();
    this.#writes = activity.writes;
    this.#left = stamps.size;
    this.#isByCeiling = undefined;
    this.#measured =
      shared.measurements.size > 0
        ? { ageMs: new Float64Array(stamps.size), lateMs: new Float64Array(stamps.size) }
        : undefined;
  }

  /** Lets go of everything: an iterator would keep alive what has left the map since. */
  end(): void {
    this.#keys = undefined;
    this.#stamped = undefined;
    this.#measured = undefined;
  }

  /** Looks at one more entry. `false` ends the attempt; `true` means that the map may be emptied now, in this turn. */
  step(now: number): boolean | undefined {
    if (this.#keys === undefined || this.#stamped === undefined) return false;
    const { value: key } = this.#keys.next();
    const { value: stamped } = this.#stamped.next() as { value: [unknown, number] | undefined };
    if (stamped === undefined || !Object.is(stamped[0], key)) return false;
    const { due } = this.#tracker;
    const deadline = due.deadlineByStamps(stamped[1]);
    const lateMs = now - deadline;
    if (lateMs < 0) return false;
    const isByCeiling = due.isCeiling(stamped[1], deadline);
    this.#isByCeiling ??= isByCeiling;
    if (this.#isByCeiling !== isByCeiling) return false;
    this.#left -= 1;
    if (this.#measured !== undefined) {
      this.#measured.lateMs[this.#left] = lateMs;
      this.#measured.ageMs[this.#left] = now - this.#tracker.stamps.registeredAt(stamped[1]);
    }
    return this.#left > 0 ? undefined : this.#isAsItWas(this.#keys);
  }

  #isAsItWas(keys: Iterator<unknown>): boolean {
    const { native, stamps, activity } = this.#tracker;
    return activity.writes === this.#writes && native.size() === stamps.size && keys.next().done === true;
  }
}
