import type { CompiledPolicy } from '../policy/policy.js';
import { LEAVING } from '../stamps/stamp-store.js';
import type { RemovalHost, Removals } from './removals.js';
import { type EmptiableMap, WholeSweep, worthwhileSize } from './whole-sweep.js';

/** A map as seen by a pass of the sweeper. */
export interface SweptMap extends EmptiableMap {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly removals: Removals;
  readonly observing: boolean;
  /** Brings the stamps in step with what was written past the wrapper, one entry a step. */
  reconcile(): Iterator<void>;
  /** Starts the `beforeSweep` of an entry, or leaves the one alone that runs or waits. */
  runHook(slot: number): void;
}

/** Whom a pass tells. */
export interface MapPassHost extends Pick<RemovalHost, 'sweptLate'> {
  /** Whether anybody wants to know how late entries are removed. */
  readonly isObserved: boolean;
}

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
  readonly #map: SweptMap;
  readonly #host: MapPassHost;
  readonly #wholeSweep: WholeSweep;
  #reconciliation: Iterator<void> | undefined;
  // How late the entries of an emptied map were, as long as that has not been told of all.
  #untoldLateMs: Iterator<number> | undefined;
  #isAbandoned = false;

  constructor(map: SweptMap, host: MapPassHost) {
    this.#map = map;
    this.#host = host;
    this.#wholeSweep = new WholeSweep(map);
  }

  /** Begins a pass over what may be due by `tick`. */
  begin(tick: number): void {
    if (this.#isAbandoned) return;
    const { native, stamps, filing } = this.#map;
    if (native.size() !== stamps.size) this.#reconciliation = this.#map.reconcile();
    filing.buckets.take(tick);
    const mayBeAllDue = stamps.size >= worthwhileSize && filing.buckets.isAllTaken && this.#isEmptiable;
    if (mayBeAllDue && this.#reconciliation === undefined) this.#wholeSweep.begin(this.#host.isObserved);
  }

  /** One small step: looks at one entry. False when the pass is through. */
  step(now: number, tally: PassTally): boolean {
    if (this.#reconciliation !== undefined) {
      if (this.#reconciliation.next().done) this.#reconciliation = undefined;
      tally.examined += 1;
      return true;
    }
    if (this.#wholeSweep.isUnderway) {
      this.#stepWhole(now, tally);
      return true;
    }
    if (this.#untoldLateMs !== undefined && this.#tellLateness(this.#untoldLateMs)) return true;
    const slot = this.#map.filing.buckets.takeNext();
    if (slot < 0) return false;
    tally.examined += 1;
    if (this.#look(slot, now)) tally.swept += 1;
    return true;
  }

  /** The pass is through, or was broken off: lets go of its iterators, which would keep alive what has left since. */
  end(): void {
    this.#reconciliation = undefined;
    this.#wholeSweep.end();
  }

  /** The map is tracked no more. */
  abandon(): void {
    this.end();
    this.#untoldLateMs = undefined;
    this.#isAbandoned = true;
  }

  /** The `beforeSweep` of an entry has succeeded: judges it again, and removes it if it is still due. */
  lookAfterHook(slot: number, now: number): void {
    const { native, stamps, filing, removals, observing } = this.#map;
    const key = stamps.keyOf(slot);
    const generation = stamps.generation[slot] as number;
    if (!native.has(key)) {
      removals.vanished(slot, key);
      return;
    }
    filing.buckets.remove(slot);
    const state = filing.judgeAt(slot, key, now);
    // As after any look: a policy function may have touched, replaced or removed the entry.
    if (!stamps.holds(slot, generation) || filing.buckets.has(slot)) return;
    if (state === 'due' && !observing) removals.sweepOut(slot, key, now);
    else {
      filing.mark(slot, state);
      filing.file(slot, state);
    }
  }

  // Judges an entry that is in no bucket, and removes it or files it again. Whether it was swept.
  #look(slot: number, now: number): boolean {
    const { native, stamps, filing, removals, observing } = this.#map;
    const key = stamps.keyOf(slot);
    if (this.#isSweptUntold) return this.#lookUntold(slot, key, now);
    const generation = stamps.generation[slot] as number;
    if (filing.judge.needsValue && !native.has(key)) {
      removals.vanished(slot, key);
      return false;
    }
    const state = filing.judgeAt(slot, key, now);
    // A policy function may have touched, replaced or removed the entry: then it has been filed or forgotten already.
    if (!stamps.holds(slot, generation) || filing.buckets.has(slot)) return false;
    if (state === 'due' && !observing) {
      if (this.#map.policy.beforeSweep !== undefined && !stamps.hasFlag(slot, LEAVING)) {
        filing.mark(slot, state);
        filing.buckets.watch(slot);
        this.#map.runHook(slot);
        return false;
      }
      if (native.has(key)) return removals.sweepOut(slot, key, now);
      removals.vanished(slot, key);
      return false;
    }
    filing.mark(slot, state);
    filing.file(slot, state);
    return false;
  }

  // What `#look` does for a map with nothing but durations, where nobody has to be told: most of a sweep's entries.
  #lookUntold(slot: number, key: unknown, now: number): boolean {
    const { filing, removals } = this.#map;
    const deadline = filing.deadlineByStamps(slot, key);
    if (now >= deadline) return removals.sweepUntold(slot, key, now - deadline);
    filing.mark(slot, 'live');
    filing.fileAt(slot, deadline);
    return false;
  }

  #stepWhole(now: number, tally: PassTally): void {
    const isAllDue = this.#wholeSweep.step(now);
    if (isAllDue === undefined) return;
    const { lateMs } = this.#wholeSweep;
    this.#wholeSweep.end();
    if (!isAllDue || !this.#isEmptiable) return;
    const count = this.#map.removals.sweepWhole();
    // Counted now: after an attempt that failed, each entry is looked at again.
    tally.examined += count;
    tally.swept += count;
    this.#untoldLateMs = lateMs?.values();
  }

  #tellLateness(untold: Iterator<number>): boolean {
    const { done, value } = untold.next();
    if (done) this.#untoldLateMs = undefined;
    else this.#host.sweptLate(this.#map.name, value);
    return !done;
  }

  // Entries of this map leave by durations alone, and nobody has to be told of any.
  get #isSweptUntold(): boolean {
    const { filing, removals, observing } = this.#map;
    return filing.isByStampsAlone && removals.isUntold && !observing;
  }

  // And none of it hangs on what another map does.
  get #isEmptiable(): boolean {
    return this.#map.policy.follows === undefined && this.#isSweptUntold;
  }
}
