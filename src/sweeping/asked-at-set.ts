import { isThenable } from '../events/unawaited.js';
import { ask, FAILED } from '../policy/ask.js';
import type { StampedMap } from '../stamps/entry-stamps.js';
import { mapKey } from '../stamps/map-key.js';
import { isMissing } from '../stamps/native-collection.js';

/** A map whose owner is asked about entries that are set. */
export interface AskedMap extends StampedMap {
  readonly name: string;
  readonly shared: {
    readonly failures: { reportOnce(map: string, callback: string, key: unknown, error: unknown): void };
  };
}

/** Whoever sets another value each time he is asked about one would never be through. */
const mostQuestions = 8;

/**
 * A question to the owner about what an entry belongs to, asked when it is registered or set. Whoever is asked may remove the
 * entry, or set the same key, which asks nothing then: the question is asked again about the value that is there.
 */
export class AskedAtSet {
  readonly #map: AskedMap;
  readonly #name: string;
  readonly #question: (value: unknown, key: unknown) => unknown;
  readonly #expected: string;
  // Generations.
  readonly #asked = new Set<number>();

  /**
   * @param name what the function is called in the policy
   * @param expected what it must answer, for the message
   */
  constructor(
    map: AskedMap,
    name: string,
    question: (value: unknown, key: unknown) => unknown,
    expected: string,
  ) {
    this.#map = map;
    this.#name = name;
    this.#question = question;
    this.#expected = expected;
  }

  /**
   * Returns the answer; `FAILED` if there is none, or nobody needs it any more. What goes wrong is counted, and said once.
   *
   * @param failed is told of it before that, if the entry is still there
   * @param left how often the question may be asked
   */
  ask(slot: number, given: unknown, failed?: (error: unknown) => void, left = mostQuestions): unknown {
    const { name, native, stamps, shared } = this.#map;
    const key = mapKey(given);
    const generation = stamps.generation[slot] as number;
    if (this.#asked.has(generation)) return FAILED;
    const value = native.get(key);
    if (isMissing(native, key, value)) return FAILED;
    this.#asked.add(generation);
    const objection = (answer: unknown): string | undefined =>
      isThenable(answer) ? `${this.#expected}; got a promise` : undefined;
    const answer = ask(this.#name, this.#question, value, key, objection, (error) => {
      if (stamps.holds(slot, generation)) failed?.(error);
      shared.failures.reportOnce(name, this.#name, key, error);
    });
    this.#asked.delete(generation);
    if (!stamps.holds(slot, generation)) return FAILED;
    const isOvertaken = left > 1 && !Object.is(native.get(key), value);
    return isOvertaken ? this.ask(slot, key, failed, left - 1) : answer;
  }
}
