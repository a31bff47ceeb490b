import type { Tracker } from './tracker.js';

/** What is done with an entry of a walk. */
export type Visit<Answer> = (
  tracker: Tracker,
  slot: number,
  key: unknown,
  value: unknown,
  now: number,
) => Answer;

/**
 * A walk along every entry of a map that is asked, one a step. The map and the stamps list their keys in the same order, so
 * that both are walked in step and neither has to be searched; after a write past the wrapper it is.
 *
 * It ends also if callbacks add keys for ever: it takes no more steps than there were entries at its start.
 */
export class AskedWalk<Answer> {
  readonly #tracker: Tracker;
  readonly #visit: Visit<Answer>;
  #entries: Iterator<[key: unknown, value: unknown]> | undefined;
  #stamped: Iterator<[key: unknown, slot: number]> | undefined;
  #left = 0;
  answer: Answer | undefined;

  constructor(tracker: Tracker, visit: Visit<Answer>) {
    this.#tracker = tracker;
    this.#visit = visit;
  }

  /** It has begun and not been ended. */
  get isUnderway(): boolean {
    return this.#entries !== undefined;
  }

  /** Begins at the first entry. */
  begin(): void {
    const { native, stamps } = this.#tracker;
    this.#entries = native.entries();
    this.#stamped = stamps.entries();
    this.#left = native.size();
  }

  /** Lets go of everything: an iterator would keep alive what has left the map since. */
  end(): void {
    this.#entries = undefined;
    this.#stamped = undefined;
  }

  /** Visits the next entry. Returns `false` at the end; what the visit answered stands in `answer`. */
  step(now: number): boolean {
    this.answer = undefined;
    if (this.#entries === undefined || this.#left === 0) return false;
    this.#left -= 1;
    const { value: entry } = this.#entries.next() as { value: [key: unknown, value: unknown] | undefined };
    if (entry === undefined) return false;
    const [key, value] = entry;
    const slot = this.#slotOf(key);
    // Written past the wrapper, with as much removed: the sizes differ once it is stamped, and the next pass finds out.
    if (slot === undefined) this.#tracker.register(key, value, false);
    else this.answer = this.#visit(this.#tracker, slot, key, value, now);
    return true;
  }

  #slotOf(key: unknown): number | undefined {
    const { value: stamped } = (this.#stamped?.next() ?? {}) as { value?: [key: unknown, slot: number] };
    if (stamped !== undefined && Object.is(stamped[0], key)) return stamped[1];
    return this.#tracker.stamps.slotOf(key);
  }
}
