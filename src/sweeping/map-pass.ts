import { AskedWalk } from './asked-walk.js';
import { isSweptByStamps, look, lookAt } from './look.js';
import { reconcile } from './reconcile.js';
import { sweepWhole, tellLateness } from './removals.js';
import type { Tracker } from './tracker.js';
import { type MeasuredRemovals, WholeSweep, worthwhileSize } from './whole-sweep.js';

/** What a pass has done so far. */
export interface PassTally {
  /** Entries looked at. */
  examined: number;
  /** Entries removed because they were due. */
  swept: number;
}

/**
 * The passes of the sweeper over one map, in steps so small that the sweeper can pause between any two. Each entry is
 * judged right before it is removed.
 */
export class MapPass {
  readonly #tracker: Tracker;
  readonly #wholeSweep: WholeSweep;
  readonly #askedWalk: AskedWalk<boolean>;
  #reconciliation: Iterator<void> | undefined;
  // What was measured of the entries of an emptied map, until that has been told of all.
  #untold: MeasuredRemovals | undefined;
  #toldCount = 0;
  // The size at which it was last said that the next step may be long.
  #longAt = 0;

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
    this.#wholeSweep = new WholeSweep(tracker);
    this.#askedWalk = new AskedWalk(tracker, lookAt);
  }

  /** The name of the map. */
  get map(): string {
    return this.#tracker.name;
  }

  /** Begins a pass over what may be due by `tick`. */
  begin(tick: number): void {
    if (this.#tracker.isReleased) return;
    this.#longAt = 0;
    const { stamps, due } = this.#tracker;
    if (this.#tracker.isBypassed) this.#reconciliation = reconcile(this.#tracker);
    if (due.isAsked) return;
    due.buckets.take(tick);
    const mayBeAllDue = stamps.size >= worthwhileSize && due.buckets.isAllTaken && this.#isEmptiable;
    if (mayBeAllDue && this.#reconciliation === undefined) this.#wholeSweep.begin();
  }

  /** Takes one small step: looks at one entry. Returns `false` when the pass is through. */
  step(now: number, tally: PassTally): boolean {
    if (this.#tracker.isReleased) return false;
    if (this.#reconciliation !== undefined) {
      if (this.#reconciliation.next().done) this.#reconciliation = undefined;
      tally.examined += 1;
      return true;
    }
    if (this.#tracker.due.isAsked) return this.#stepAsked(now, tally);
    if (this.#wholeSweep.isUnderway) {
      this.#stepWhole(now, tally);
      return true;
    }
    if (this.#untold !== undefined && this.#tellNext(this.#untold)) return true;
    const slot = this.#tracker.due.buckets.takeNext();
    if (slot < 0) return false;
    tally.examined += 1;
    if (look(this.#tracker, slot, now)) tally.swept += 1;
    return true;
  }

  /**
   * Whether the next step may take long by itself, since a large table is rebuilt in it: it should have a slice of its own.
   * Said once a size in a pass, for the step may be none that removes anything.
   */
  takeWarning(): boolean {
    const { stamps } = this.#tracker;
    if (!stamps.isAboutToShrink || stamps.size === this.#longAt) return false;
    this.#longAt = stamps.size;
    return true;
  }

  /** The pass is through, or was broken off: lets go of its iterators, which would keep alive what has left since. */
  end(): void {
    this.#reconciliation = undefined;
    this.#wholeSweep.end();
    this.#askedWalk.end();
    this.#tracker.due.isLookedAt = false;
    this.#tracker.due.passes += 1;
    this.#tracker.shrink();
  }

  #stepAsked(now: number, tally: PassTally): boolean {
    if (!this.#askedWalk.isUnderway) this.#askedWalk.begin();
    if (!this.#askedWalk.step(now)) return false;
    tally.examined += 1;
    if (this.#askedWalk.answer === true) tally.swept += 1;
    return true;
  }

  #stepWhole(now: number, tally: PassTally): void {
    const isAllDue = this.#wholeSweep.step(now);
    if (isAllDue === undefined) return;
    const { measured, isByCeiling } = this.#wholeSweep;
    this.#wholeSweep.end();
    if (!isAllDue || !this.#isEmptiable) return;
    const count = sweepWhole(this.#tracker, isByCeiling);
    // They are counted now: after an attempt that failed, each entry is looked at again.
    tally.examined += count;
    tally.swept += count;
    this.#untold = measured;
    this.#toldCount = 0;
  }

  #tellNext({ ageMs, lateMs }: MeasuredRemovals): boolean {
    const isOver = this.#toldCount === ageMs.length;
    if (isOver) this.#untold = undefined;
    else {
      this.#tracker.tellAge(ageMs[this.#toldCount] as number);
      tellLateness(this.#tracker, lateMs[this.#toldCount] as number);
      this.#toldCount += 1;
    }
    return !isOver;
  }

  // Nothing has to be told or written of any entry, and none hangs on what another map does.
  get #isEmptiable(): boolean {
    const { policy, recorder } = this.#tracker;
    const isTold = policy.dispose !== undefined || recorder !== undefined;
    return !isTold && policy.follows === undefined && isSweptByStamps(this.#tracker);
  }
}
