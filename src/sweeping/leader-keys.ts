import { FAILED } from '../policy/ask.js';
import { mapKey } from '../stamps/map-key.js';
import { setAt } from '../stamps/set-at.js';
import { AskedAtSet, type AskedMap } from './asked-at-set.js';

/** Stands for the key of the leader of an entry that names none. No map has it. */
export const noLeader = Symbol('no leader');

/**
 * Under which key the leader of each entry is, where the value says so, and which entries name a key: those are found
 * without a scan.
 */
export class LeaderKeys {
  readonly #question: AskedAtSet;
  #bySlot: unknown[] = [];
  // Most leaders have one companion in a map, or a few: a set only from the second on.
  readonly #byKey = new Map<unknown, number | Set<number>>();
  /** The slots of entries that have no leader, because nobody could say which it is. */
  readonly failed = new Set<number>();
  /** What the function has thrown last for one of those. */
  lastError: unknown;

  /** @param key the `follows.key` of a policy */
  constructor(map: AskedMap, key: (value: unknown, key: unknown) => unknown) {
    this.#question = new AskedAtSet(map, 'follows.key', key, 'the key of the leader, or undefined');
  }

  /** Asks under which key the leader of an entry is. One about which nobody can say keeps the one that it had. */
  ask(slot: number, key: unknown): void {
    const answer = this.#question.ask(slot, key, (error) => {
      if (this.of(slot) !== noLeader) return;
      this.failed.add(slot);
      this.lastError = error;
    });
    if (answer === FAILED) return;
    this.failed.delete(slot);
    this.#follow(slot, answer === undefined ? noLeader : answer);
  }

  /** Returns the key of the leader of an entry; `noLeader` if it names none. */
  of(slot: number): unknown {
    const leaderKey = this.#bySlot[slot];
    return leaderKey === undefined ? noLeader : leaderKey;
  }

  /**
   * Returns the slots of the entries that name a key, in the order in which they came to. Whoever changes something on the way
   * along them takes a copy: there may be as many as entries.
   */
  naming(leaderKey: unknown): Iterable<number> {
    const slots = this.#byKey.get(leaderKey) ?? [];
    return typeof slots === 'number' ? [slots] : slots;
  }

  /** The entry has left. */
  forget(slot: number): void {
    this.failed.delete(slot);
    const leaderKey = this.#bySlot[slot];
    if (leaderKey === undefined) return;
    this.#bySlot[slot] = undefined;
    const slots = this.#byKey.get(leaderKey);
    if (typeof slots !== 'object') this.#byKey.delete(leaderKey);
    else {
      slots.delete(slot);
      if (slots.size === 0) this.#byKey.delete(leaderKey);
    }
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#bySlot.length > capacity) this.#bySlot = this.#bySlot.slice(0, capacity);
  }

  /** All entries have left. */
  clear(): void {
    this.#bySlot = [];
    this.#byKey.clear();
    this.failed.clear();
  }

  #follow(slot: number, answer: unknown): void {
    const leaderKey = mapKey(answer);
    if (Object.is(this.of(slot), leaderKey)) return;
    this.forget(slot);
    if (leaderKey === noLeader) return;
    setAt(this.#bySlot, slot, leaderKey, undefined);
    const slots = this.#byKey.get(leaderKey);
    if (slots === undefined) this.#byKey.set(leaderKey, slot);
    else if (typeof slots === 'object') slots.add(slot);
    else this.#byKey.set(leaderKey, new Set([slots, slot]));
  }
}
