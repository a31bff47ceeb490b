import { MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';

/** The longest id that is taken. */
const longestId = 256;

/** The owner's answer to which run a registration is. */
export type AskId = (value: unknown, key: unknown) => unknown;

/** Which run is which, by the owner's own identity. Knows of the open ones those whose id is not their key. */
export class RunIds {
  readonly #ask: AskId;
  readonly #failed: (key: unknown, error: unknown) => void;
  readonly #slotOf = new Map<string, number>();

  constructor(ask: AskId, failed: (key: unknown, error: unknown) => void) {
    this.#ask = ask;
    this.#failed = failed;
  }

  /** The owner's id of a registration; `undefined` for an answer that is none, which is counted. */
  ask(value: unknown, key: unknown): string | undefined {
    try {
      const answer = this.#ask(value, key);
      if (typeof answer === 'number' && Number.isFinite(answer)) return String(answer);
      if (typeof answer === 'string' && answer.length <= longestId) return answer;
      if (isThenable(answer)) swallowRejection(answer, () => {});
      throw new MapsweepTypeError(
        'ERR_INVALID_ANSWER',
        `ended.id must answer a string or finite number of at most ${longestId} characters, got ${describe(answer)}`,
      );
    } catch (error) {
      this.#failed(key, error);
      return undefined;
    }
  }

  /** The slot of the open run of an id that is not its key. */
  slotOf(id: string): number | undefined {
    return this.#slotOf.get(id);
  }

  /** The run of a slot is open, and no other of its id. */
  open(id: string, slot: number, isItsKey: boolean): void {
    if (isItsKey) this.#slotOf.delete(id);
    else this.#slotOf.set(id, slot);
  }

  /** The slot is free for another entry, or its run has ended. */
  close(id: string, slot: number): void {
    if (this.#slotOf.get(id) === slot) this.#slotOf.delete(id);
  }

  /** No run is open. */
  clear(): void {
    this.#slotOf.clear();
  }
}
