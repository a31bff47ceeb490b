import type { KeptBy } from '../events/reasons.js';
import type { Answers } from '../policy/answers.js';
import type { Judge } from '../policy/judge.js';
import type { CompiledPolicy } from '../policy/policy.js';
import { isMissing } from '../stamps/native-collection.js';
import { GUARDED, OVERDUE } from '../stamps/stamp-store.js';
import type { Companions, LeadingMap } from './companions.js';
import type { Holds } from './holds.js';

/** A map whose entries may be kept. */
export interface KeptMap extends LeadingMap {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly companions: Companions<KeptMap>;
  readonly due: { readonly keepers: Keepers; isBeyondMaxAge(slot: number, now: number): boolean };
  /** Made with the first hold of one of its entries. */
  readonly holds: Holds | undefined;
  /** An entry was in use until now: that counts as activity, also of what it follows. */
  usedUntilNow(slot: number): void;
}

/** What keeps an entry that would else leave: a guard or, if there is none, a hold; its own or that of a companion. */
export type Keeping = 'guarded' | 'held';

/** Whose guard or hold it is: the entry's own or, in the map of a follower, that of a companion. */
export interface Keeper {
  readonly keeping: Keeping;
  readonly map: KeptMap;
  readonly slot: number;
}

/**
 * Who keeps an entry that would else leave: its guard and its holds, and those of its companions, which are in use together
 * with it. A companion that is beyond its own `maxAge` keeps nothing.
 */
export class Keepers {
  readonly #map: KeptMap;
  readonly #judge: Judge<unknown, unknown>;
  readonly #answers: Answers<unknown, unknown>;

  constructor(map: KeptMap, judge: Judge<unknown, unknown>, answers: Answers<unknown, unknown>) {
    this.#map = map;
    this.#judge = judge;
    this.#answers = answers;
  }

  /** Returns who keeps an entry; `undefined` if nobody does. What is asked may remove it, or have others judged. */
  of(slot: number, key: unknown, now: number, isReading: boolean): Keeper | undefined {
    if (!this.#mayKeep) return undefined;
    return this.#judge.undisturbed(() => {
      const { stamps } = this.#map;
      const generation = stamps.generation[slot] as number;
      // The guards are asked though there is a hold: an entry is idle from the end of its guard, which every sweep looks for.
      const guard = this.#guardOf(slot, key, now, isReading);
      if (guard !== undefined || !stamps.holds(slot, generation)) return guard;
      return this.#holderOf(slot, key, now);
    });
  }

  /**
   * Returns what kept an entry until its `maxAge`, which is over. No guard is asked any more, and a hold counts if the entry was
   * due before: what counts is what the last look has found.
   */
  outlastedBy(slot: number, key: unknown, now: number, flags: number): KeptBy | undefined {
    if ((flags & GUARDED) !== 0) return 'keepWhile';
    if ((flags & OVERDUE) === 0 || !this.#mayKeep) return undefined;
    return this.#judge.undisturbed(() => this.#holderOf(slot, key, now)) && 'hold';
  }

  /** Whether this map or any that follows it has guards or holds. */
  get #mayKeep(): boolean {
    const { policy, holds, companions } = this.#map;
    if (policy.keepWhile !== undefined || (holds !== undefined && holds.size > 0)) return true;
    for (const { due } of companions.followers) if (due.keepers.#mayKeep) return true;
    return false;
  }

  #guardOf(slot: number, key: unknown, now: number, isReading: boolean): Keeper | undefined {
    const { native, policy, stamps } = this.#map;
    if (policy.keepWhile !== undefined) {
      const generation = stamps.generation[slot] as number;
      const isGuarded = this.#isGuarded(slot, key, native.get(key), isReading);
      // One that has removed its entry keeps nothing, whatever it says.
      if (!stamps.holds(slot, generation)) return undefined;
      if (isGuarded) return { keeping: 'guarded', map: this.#map, slot };
    }
    return this.#amongCompanions(key, now, (keepers, companion, companionKey) =>
      keepers.#guardOf(companion, companionKey, now, isReading),
    );
  }

  #holderOf(slot: number, key: unknown, now: number): Keeper | undefined {
    if (this.#map.holds?.has(slot)) return { keeping: 'held', map: this.#map, slot };
    return this.#amongCompanions(key, now, (keepers, companion, companionKey) =>
      keepers.#holderOf(companion, companionKey, now),
    );
  }

  #amongCompanions(
    key: unknown,
    now: number,
    keeperOf: (keepers: Keepers, companion: number, companionKey: unknown) => Keeper | undefined,
  ): Keeper | undefined {
    for (const { companions, stamps, due } of this.#map.companions.followers) {
      for (const companion of [...companions.accompanying(key)]) {
        const companionKey = stamps.keyOf(companion);
        // A guard that was asked before may have removed it.
        if (stamps.slotOf(companionKey) !== companion || due.isBeyondMaxAge(companion, now)) continue;
        const keeper = keeperOf(due.keepers, companion, companionKey);
        if (keeper !== undefined) return keeper;
      }
    }
    return undefined;
  }

  #isGuarded(slot: number, key: unknown, value: unknown, isReading: boolean): boolean {
    if (isMissing(this.#map.native, key, value)) return false;
    const wasReading = this.#answers.isReading;
    this.#answers.isReading = isReading;
    if (isReading) this.#answers.failureRead = undefined;
    try {
      return this.#judge.isGuarded(slot, key, value);
    } finally {
      this.#answers.isReading = wasReading;
    }
  }
}
