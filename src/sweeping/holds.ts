import { MapsweepTypeError } from '../errors.js';
import { isThenable } from '../events/unawaited.js';
import type { StampedMap } from '../stamps/entry-stamps.js';
import { take } from '../stamps/take.js';

/**
 * Says that somebody is using an entry. Until it is released the entry is neither swept nor evicted, nor is that of a
 * leader which it accompanies, up to their `maxAge`; the owner's own `delete`, `clear` and `end` go on. An entry may have
 * any number of them.
 *
 * It holds one registration: an entry that has left and come back is not held by it. No journal knows of it.
 */
export interface Hold {
  /** It was taken of an entry that was there, which has not left since, and it was not released. */
  readonly isHeld: boolean;
  /** Ends the use, which counts as activity: the entry is idle from now on. Does nothing a second time. */
  release(): void;
  /**
   * Releases it when the promise is settled; of several, when the last is. A `using` then ends without releasing it.
   *
   * @returns the promise, whose rejection is not heard of here: await it, or what is made of it
   * @throws MapsweepTypeError if it is no promise
   */
  until<P extends PromiseLike<unknown>>(promise: P): P;
  /** What the end of a `using` calls: releases it, unless `until` has been given a promise that is not settled yet. */
  [Symbol.dispose](): void;
}

/** A map whose entries can be held. */
export interface HeldMap extends StampedMap {
  /** An entry is held from now on: whatever is on its way to remove it or those that it accompanies is to stop. */
  heldFromNow(slot: number): void;
  /** A hold of an entry is over: it was active until now, and if nothing else keeps it, it may be evicted. */
  heldUntilNow(slot: number): void;
}

/** A hold as an explanation shows it. */
export interface ShownHold {
  readonly key: unknown;
  /** Monotonic ms. */
  readonly takenAt: number;
  /** Where it was taken, if that was sampled. */
  readonly site: string | undefined;
}

/** A hold of what is not there: of a key without an entry. */
export const holdOfNothing = (): Hold => new TakenHold(undefined, -1, 0, undefined);

/**
 * The holds of one map, made with the first of them. Whatever leaves the map takes its holds along, so that they are no
 * more than what is in use, and one that is kept by its taker keeps nothing of the map.
 */
export class Holds {
  // Undefined when the map is tracked no more.
  #map: HeldMap | undefined;
  // In the order in which they were taken.
  readonly #all = new Set<TakenHold>();
  readonly #bySlot = new Map<number, Set<TakenHold>>();

  constructor(map: HeldMap) {
    this.#map = map;
  }

  /** How many entries are held. */
  get size(): number {
    return this.#bySlot.size;
  }

  /** Returns whether an entry is held. */
  has(slot: number): boolean {
    return this.#bySlot.has(slot);
  }

  /**
   * Takes a hold of an entry.
   *
   * @param at now, monotonic ms
   * @param site where that is called from, if it was sampled
   */
  take(slot: number, at: number, site: string | undefined): Hold {
    const hold = new TakenHold(this, slot, at, site);
    this.#all.add(hold);
    const ofEntry = this.#bySlot.get(slot);
    if (ofEntry === undefined) this.#bySlot.set(slot, new Set([hold]));
    else ofEntry.add(hold);
    this.#map?.heldFromNow(slot);
    return hold;
  }

  /** Returns whether a hold was neither released nor has its entry left. */
  isTaken(hold: TakenHold): boolean {
    return this.#all.has(hold);
  }

  /** Gives a hold back, unless its entry has left. */
  release(hold: TakenHold): void {
    if (!this.#all.delete(hold)) return;
    const ofEntry = this.#bySlot.get(hold.slot);
    ofEntry?.delete(hold);
    if (ofEntry?.size === 0) this.#bySlot.delete(hold.slot);
    this.#map?.heldUntilNow(hold.slot);
  }

  /** Returns the hold of an entry that was taken first; `undefined` if there is none. */
  longestOf(slot: number): ShownHold | undefined {
    const [first] = this.#bySlot.get(slot) ?? [];
    return first && this.#shown(first);
  }

  /** Returns so many of the holds that were taken first. Looks at no others. */
  longest(count: number): ShownHold[] {
    return [...take(this.#all, count)].map((hold) => this.#shown(hold));
  }

  /** The entry has left. */
  forget(slot: number): void {
    const ofEntry = this.#bySlot.get(slot);
    if (ofEntry === undefined) return;
    this.#bySlot.delete(slot);
    for (const hold of ofEntry) this.#all.delete(hold);
  }

  /** All entries have left. */
  clear(): void {
    this.#all.clear();
    this.#bySlot.clear();
  }

  /** The map is tracked no more: lets go of it, and of all holds. */
  end(): void {
    this.clear();
    this.#map = undefined;
  }

  #shown({ slot, takenAt, site }: TakenHold): ShownHold {
    return { key: this.#map?.stamps.keyOf(slot), takenAt, site };
  }
}

class TakenHold implements Hold {
  readonly slot: number;
  readonly takenAt: number;
  readonly site: string | undefined;
  readonly #holds: Holds | undefined;
  #awaited = 0;

  constructor(holds: Holds | undefined, slot: number, takenAt: number, site: string | undefined) {
    this.#holds = holds;
    this.slot = slot;
    this.takenAt = takenAt;
    this.site = site;
  }

  get isHeld(): boolean {
    return this.#holds?.isTaken(this) ?? false;
  }

  release(): void {
    this.#holds?.release(this);
  }

  until<P extends PromiseLike<unknown>>(promise: P): P {
    if (!isThenable(promise)) {
      const received = promise === null ? 'null' : typeof promise;
      throw new MapsweepTypeError('ERR_INVALID_OPTION', `promise: expected a promise, received ${received}`);
    }
    this.#awaited += 1;
    const settled = (): void => {
      this.#awaited -= 1;
      if (this.#awaited === 0) this.release();
    };
    Promise.resolve(promise).then(settled, settled);
    return promise;
  }

  [Symbol.dispose](): void {
    if (this.#awaited === 0) this.release();
  }
}
