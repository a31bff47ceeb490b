import type { EndedEvent } from '../events/ended-event.js';

/** One claimed ending that has not been announced: until it is confirmed it can be withdrawn. */
export interface Claim {
  readonly slot: number;
  readonly generation: number;
}

/** Exactly-once endings, as the map that they are kept for sees them. */
export interface ClaimKeeper {
  /** An entry was registered: it opens an obligation, unless its run is known already. */
  registered(slot: number, key: unknown, value: unknown): void;
  /** Claims the end of an entry that is about to be removed; `undefined` if it is claimed already. */
  claim(slot: number, key: unknown, value: unknown, reason: string): Claim | undefined;
  /** The entry did not leave after all. Returns what has to be told if its run has ended all the same. */
  withdraw(claim: Claim): EndedEvent | undefined;
  /** The entry has left: the obligation is the notifier's now. */
  confirm(claim: Claim): EndedEvent;
  /** A slot is free for another entry. */
  forget(slot: number): void;
  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void;
  /** The map is tracked no more. */
  forgetAll(): void;
  isClaimed(slot: number): boolean;
  /**
   * Returns what is owed of the run of an entry, or without a slot of the last one of a key: to each recipient that has not been told,
   * whether that is `pending` or was `given up`. `undefined` if it has not ended, or nobody remembers.
   */
  owedOf(
    slot: number | undefined,
    key: unknown,
  ): readonly (readonly [recipient: string, state: string])[] | undefined;
  /** Returns the slots whose entries are claimed, the first claimed first; as they are, not a copy. */
  endedSlots(): Iterable<number>;
}
