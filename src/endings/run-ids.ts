import { MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';
import { ExpiringCache, type MemoryLimits } from './expiring-cache.js';

/** The longest id that is taken. */
const longestId = 256;

/** What is remembered of a run that has ended. */
export interface EndedId {
  readonly key: unknown;
  readonly generation: number;
  /** Monotonic ms. */
  readonly at: number;
}

/** The owner's answer to which run a registration is. */
export type AskId = (value: unknown, key: unknown) => unknown;

/**
 * Which run is which, by the owner's own identity: those that are open, and, within the limits of tombstones, those
 * that have ended.
 */
export class RunIds {
  readonly #ask: AskId;
  readonly #failed: (key: unknown, error: unknown) => void;
  readonly #slotOf = new Map<string, number>();
  readonly #ended: ExpiringCache<string, EndedId>;

  constructor(
    ask: AskId,
    limits: MemoryLimits,
    now: () => number,
    failed: (key: unknown, error: unknown) => void,
  ) {
    this.#ask = ask;
    this.#failed = failed;
    this.#ended = new ExpiringCache(limits, now);
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

  /** The slot of the open run of an id. */
  slotOf(id: string): number | undefined {
    return this.#slotOf.get(id);
  }

  /** The run of a slot is open. */
  open(id: string, slot: number): void {
    this.#slotOf.set(id, slot);
  }

  /** The slot is free for another entry, or its run has ended. */
  close(id: string, slot: number): void {
    if (this.#slotOf.get(id) === slot) this.#slotOf.delete(id);
  }

  /** The end of a run is claimed. */
  remember(id: string, ended: EndedId): void {
    this.#ended.set(id, ended);
  }

  /** The claim is taken back. */
  forget(id: string): void {
    this.#ended.delete(id);
  }

  /** Whether the run of an id has ended, as far as is remembered. */
  hasEnded(id: string): boolean {
    return this.#ended.get(id) !== undefined;
  }

  /** All that are remembered, the oldest first. */
  ended(): Iterable<readonly [id: string, ended: EndedId]> {
    return this.#ended.entries();
  }

  /** Forgets those whose time is over; looks at no more than those and one. */
  purge(): void {
    this.#ended.purge();
  }
}
