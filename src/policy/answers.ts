import { types } from 'node:util';
import { describe } from '../events/shown.js';
import type { Timeline } from '../time/timeline.js';
import { ask, askWhether, FAILED } from './ask.js';
import type { CompiledPolicy, Instant } from './policy.js';

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
    if (answer === undefined || answer === null) return undefined;
    const problem = invalidInstant(answer, this.#timeline.clock.now());
    return problem === undefined
      ? undefined
      : `epoch milliseconds, a Date, null or undefined, got ${describe(answer)}${problem}`;
  };

  /** While somebody only reads: no failure is told, and no answer is remembered that a look has not heard yet. */
  isReading = false;

  constructor(timeline: Timeline, failed: (callback: string, key: K, slot: number, error: unknown) => void) {
    this.#timeline = timeline;
    this.#failed = (callback, key, slot, error) => {
      if (!this.isReading) failed(callback, key, slot, error);
    };
  }

  /** Returns the monotonic instant that `instantOf` answers with, `undefined` if it has none. */
  instant(
    name: InstantName,
    instantOf: (value: V, key: K) => Instant,
    slot: number,
    value: V,
    key: K,
  ): number | undefined | typeof FAILED {
    const answer = ask(name, instantOf, value, key, this.#objection, (error) =>
      this.#failed(name, key, slot, error),
    );
    if (answer === FAILED) return FAILED;
    if (answer === undefined || answer === null) return undefined;
    return this.#translate(name, slot, epochOf(answer));
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
    const known = this.#remembered.get(slot)?.[name];
    if (known !== undefined && known.epoch === epoch) return known.at;
    if (!this.isReading) this.#timeline.compareClocks();
    const translated = this.#timeline.instantOf(epoch);
    // Activity that lies ahead was written by a clock that was wrong; it must not keep an entry longer than activity now.
    const at = name === 'activeAt' ? Math.min(translated, this.#timeline.now()) : translated;
    if (!this.isReading) this.#remember(name, slot, { epoch, at });
    return at;
  }

  #remember(name: InstantName, slot: number, remembered: Remembered): void {
    const ofSlot = this.#remembered.get(slot);
    if (ofSlot === undefined) this.#remembered.set(slot, { [name]: remembered });
    else ofSlot[name] = remembered;
  }
}

/**
 * Returns what is wrong with an answer that should be epoch ms or a `Date`, `undefined` if nothing is. `Infinity`, never,
 * is fine, and so are 0 and what is below it, long ago.
 */
export function invalidInstant(answer: unknown, now: number): string | undefined {
  if (typeof answer !== 'number' && !types.isDate(answer)) return '';
  const epoch = epochOf(answer);
  if (Number.isNaN(epoch)) return '';
  const isOfAnotherUnit = now >= modernEpoch && epoch > 0 && epoch < earliestInstant;
  return isOfAnotherUnit ? ', which looks like seconds or a duration' : undefined;
}

/** Returns the epoch ms of an instant, none of which is before the epoch. */
const epochOf = (instant: number | Date): number =>
  Math.max(0, typeof instant === 'number' ? instant : Date.prototype.getTime.call(instant));

/** Returns whether a policy asks functions of the owner when an entry is judged. */
export function asksFunctions<K, V>(policy: CompiledPolicy<K, V>): boolean {
  if (policy.rules.length > 0) return true;
  const { since, expiresAt } = policy.own;
  return typeof since === 'function' || expiresAt !== undefined || policy.activeAt !== undefined;
}
