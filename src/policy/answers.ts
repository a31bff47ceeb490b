import type { Timeline } from '../time/timeline.js';
import { ask, askWhether, FAILED } from './ask.js';
import type { CompiledPolicy } from './policy.js';
import { describe } from './read-options.js';

/** Epoch ms of 2001 and later are above it; while they are, anything below `earliestInstant` is in another unit. */
const modernEpoch = 1e12;
/** 1973 in epoch ms, and in epoch seconds the year 5138: between the units nothing real lies on the wrong side. */
const earliestInstant = 1e11;

/** The policy functions that answer with an instant. */
export type InstantName = 'since' | 'expiresAt' | 'activeAt';

interface Remembered {
  epoch: number;
  at: number;
}

/**
 * Asks policy functions about an entry, and turns the epoch ms that they answer into monotonic instants.
 *
 * An instant is translated when it is first seen and remembered while it stays the same, so that a jump of the wall
 * clock does not move a deadline that is already known.
 */
export class Answers<K, V> {
  readonly #timeline: Timeline;
  readonly #failed: (callback: string, key: K, slot: number, error: unknown) => void;
  readonly #remembered = new Map<number, Partial<Record<InstantName, Remembered>>>();
  readonly #objection = (answer: unknown): string | undefined => {
    if (answer === undefined) return undefined;
    const problem = invalidInstant(answer, this.#timeline.clock.now());
    return problem === undefined
      ? undefined
      : `epoch milliseconds or undefined, got ${describe(answer)}${problem}`;
  };

  constructor(timeline: Timeline, failed: (callback: string, key: K, slot: number, error: unknown) => void) {
    this.#timeline = timeline;
    this.#failed = failed;
  }

  /** Returns the monotonic instant that `instantOf` answers with, `undefined` if it has none. */
  instant(
    name: InstantName,
    instantOf: (value: V, key: K) => number | undefined,
    slot: number,
    value: V,
    key: K,
  ): number | undefined | typeof FAILED {
    const answer = ask(name, instantOf, value, key, this.#objection, (error) =>
      this.#failed(name, key, slot, error),
    );
    return answer === FAILED || answer === undefined ? answer : this.#translate(name, slot, answer);
  }

  /** Returns what a yes-or-no function answers. */
  decide(
    name: 'keepWhile' | 'match',
    question: (value: V, key: K) => boolean,
    slot: number,
    value: V,
    key: K,
  ): boolean | typeof FAILED {
    return askWhether(name, question, value, key, (error) => this.#failed(name, key, slot, error));
  }

  /** Forgets what was remembered of a slot, which is free for another entry. */
  forget(slot: number): void {
    if (this.#remembered.size > 0) this.#remembered.delete(slot);
  }

  /** Forgets everything: all entries have left. */
  clear(): void {
    this.#remembered.clear();
  }

  #translate(name: InstantName, slot: number, epoch: number): number {
    let ofSlot = this.#remembered.get(slot);
    if (ofSlot === undefined) {
      ofSlot = {};
      this.#remembered.set(slot, ofSlot);
    }
    const known = ofSlot[name];
    if (known !== undefined && known.epoch === epoch) return known.at;
    this.#timeline.observe();
    const translated = this.#timeline.instantOf(epoch);
    // Activity that lies ahead was written by a clock that was wrong; it must not keep an entry longer than activity now.
    const at = name === 'activeAt' ? Math.min(translated, this.#timeline.now()) : translated;
    ofSlot[name] = { epoch, at };
    return at;
  }
}

/** Returns what is wrong with an answer that should be epoch ms, `undefined` if nothing is. `Infinity`, never, is fine. */
export function invalidInstant(answer: unknown, now: number): string | undefined {
  if (typeof answer !== 'number') return '';
  if (Number.isNaN(answer)) return '';
  if (now >= modernEpoch && answer < earliestInstant) return ', which looks like seconds or a duration';
  if (answer === Number.NEGATIVE_INFINITY) return '';
  return undefined;
}

/** Returns whether a policy asks functions of the owner when an entry is judged. */
export function asksFunctions<K, V>(policy: CompiledPolicy<K, V>): boolean {
  if (policy.rules.length > 0) return true;
  const { since, expiresAt } = policy.own;
  return typeof since === 'function' || expiresAt !== undefined || policy.activeAt !== undefined;
}
