import type { Answers } from '../policy/answers.js';
import { FAILED } from '../policy/ask.js';
import type { CompiledLifetimes, CompiledPolicy } from '../policy/policy.js';
import type { StampStore } from '../stamps/stamp-store.js';
import { capacityFor, resized } from '../stamps/typed-arrays.js';

const initialCapacity = 16;
/** No rule has been chosen for a slot, because one could not say whether it matches. */
const unknown = 0;
/** The lifetimes of the map itself; the first rule comes right after them. */
const ofTheMap = 1;

/**
 * Which lifetimes each entry has: those of the first rule that matches its key, or the map's own. Asked once, at the
 * registration, since a key does not change; only a rule that fails is asked again.
 */
export class RuleChoices {
  readonly #policy: CompiledPolicy<unknown, unknown>;
  readonly #stamps: StampStore<unknown>;
  readonly #answers: Answers<unknown, unknown>;
  #choices: Int32Array;

  constructor(
    policy: CompiledPolicy<unknown, unknown>,
    stamps: StampStore<unknown>,
    answers: Answers<unknown, unknown>,
  ) {
    this.#policy = policy;
    this.#stamps = stamps;
    this.#answers = answers;
    this.#choices = new Int32Array(policy.rules.length === 0 ? 0 : initialCapacity);
  }

  /** A slot has a new entry, for which no rule has been chosen. */
  register(slot: number): void {
    if (this.#policy.rules.length === 0) return;
    if (slot >= this.#choices.length) this.#grow(slot);
    this.#choices[slot] = unknown;
  }

  /** Returns the lifetimes of an entry; `FAILED` while a rule cannot say whether they are its own. */
  of(slot: number): CompiledLifetimes<unknown, unknown> | typeof FAILED {
    const { rules } = this.#policy;
    if (rules.length === 0) return this.#policy.own;
    const known = this.#choices[slot] as number;
    const choice = known === unknown ? this.#choose(slot) : known;
    if (choice === unknown) return FAILED;
    return choice === ofTheMap
      ? this.#policy.own
      : (rules[choice - ofTheMap - 1] as (typeof rules)[0]).lifetimes;
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#choices.length > capacity) this.#choices = resized(this.#choices, capacity);
  }

  /** All entries have left: gives the memory back. */
  clear(): void {
    if (this.#policy.rules.length > 0) this.#choices = new Int32Array(initialCapacity);
  }

  #choose(slot: number): number {
    const key = this.#stamps.keyOf(slot);
    const generation = this.#stamps.generation[slot] as number;
    const choice = this.#firstMatch(slot, key);
    // A rule that calls back may have removed the entry; and whoever only reads leaves nothing behind.
    if (!this.#answers.isReading && this.#stamps.holds(slot, generation)) this.#choices[slot] = choice;
    return choice;
  }

  #firstMatch(slot: number, key: unknown): number {
    for (const [index, { match }] of this.#policy.rules.entries()) {
      const matches = this.#answers.decide('match', () => match(key), slot, undefined, key);
      if (matches === FAILED) return unknown;
      if (matches) return ofTheMap + 1 + index;
    }
    return ofTheMap;
  }

  #grow(slot: number): void {
    this.#choices = resized(this.#choices, capacityFor(slot, this.#choices.length));
  }
}
