import { isThenable } from '../events/unawaited.js';
import { ask, FAILED } from '../policy/ask.js';
import type { StampedMap } from '../stamps/entry-stamps.js';

/** A map whose owner is asked about entries that are set. */
export interface AskedMap extends StampedMap {
  readonly name: string;
  readonly shared: {
    readonly failures: { reportOnce(map: string, callback: string, key: unknown, error: unknown): void };
  };
}

/**
 * A question to the owner about what an entry belongs to, asked when it is registered or set. Whoever is asked may set the
 * same key, which asks nothing then, or remove the entry.
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

  /** Returns the answer; `FAILED` if there is none, or nobody needs it any more. What goes wrong is counted, and said once. */
  ask(slot: number, key: unknown, value: unknown): unknown {
    const { name, stamps, shared } = this.#map;
    const generation = stamps.generation[slot] as number;
    if (this.#asked.has(generation)) return FAILED;
    this.#asked.add(generation);
    const objection = (answer: unknown): string | undefined =>
      isThenable(answer) ? `${this.#expected}; got a promise` : undefined;
    const answer = ask(this.#name, this.#question, value, key, objection, (error) =>
      shared.failures.reportOnce(name, this.#name, key, error),
    );
    this.#asked.delete(generation);
    return stamps.holds(slot, generation) ? answer : FAILED;
  }
}
