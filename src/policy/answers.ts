import { types } from 'node:util';
import { describe } from '../events/shown.js';
import type { Timeline } from '../time/timeline.js';
import { ask, askWhether, FAILED } from './ask.js';
import type { CompiledPolicy, Instant } from './policy.js';

/** Epoch ms of 2001 and later are above it; while they are, anything below `earliestInstant` is in another unit. */
const modernEpoch = 1e12;
/** 1973 in epoch ms, and in epoch seconds the year 5138: between the units nothing real lies on the wrong side. */
const earliestInstant = 1e11;

/** Of the same instant a clock of whole ms says so much more at most than a look that read its own a few entries before. */
const readingsDifferMs = 2;

/** The policy functions that answer with an instant. */
export type InstantName = 'since' | 'expiresAt' | 'activeAt';

/** What came of asking a policy function that threw, or answered what it may not. */
export interface PolicyFailure {
  /** What it is called in the policy. */
  readonly callback: string;
  readonly error: unknown;
}

/**
 * Asks policy functions about an entry, and turns the epoch ms that they answer into monotonic instants. Whatever the
 * value says at a look counts; nothing is remembered but activity that lies ahead.
 */
export class Answers<K, V> {
  readonly #timeline: Timeline;
  readonly #failed: (callback: string, key: K, slot: number, error: unknown) => void;
  /** Activity that lies ahead, by slot: when it was first seen. */
  readonly #ahead = new Map<number, { readonly epoch: number; readonly at: number }>();
  readonly #objection = (answer: unknown): string | undefined => {
    if (answer === undefined || answer === null) return undefined;
    // Right by any clock: the usual answer does not need the clock to be read.
    if (typeof answer === 'number' && answer >= earliestInstant) return undefined;
    const problem = invalidInstant(answer, this.#timeline.clock.now());
    return problem === undefined
      ? undefined
      : `epoch milliseconds, a Date, null or undefined, got ${describe(answer)}${problem}`;
  };

  /** While somebody only reads, no failure is told. */
  isReading = false;
  /** The last function that has failed for somebody who only reads. */
  failureRead: PolicyFailure | undefined;

  constructor(timeline: Timeline, failed: (callback: string, key: K, slot: number, error: unknown) => void) {
    this.#timeline = timeline;
    this.#failed = (callback, key, slot, error) => {
      if (this.isReading) this.failureRead = { callback, error };
      else failed(callback, key, slot, error);
    };
  }

  /**
   * Returns the monotonic instant that `instantOf` answers with, `undefined` if it has none. `expiresAt` goes by the wall
   * clock as it is now; of what was, `since` and `activeAt`, a jump of the wall clock since then moves nothing.
   *
   * @param now the present, monotonic ms
   */
  instant(
    name: InstantName,
    instantOf: (value: V, key: K) => Instant,
    slot: number,
    value: V,
    key: K,
    now: number,
  ): number | undefined | typeof FAILED {
    const answer = ask(name, instantOf, value, key, this.#objection, (error) =>
      this.#failed(name, key, slot, error),
    );
    if (answer === FAILED) return FAILED;
    if (answer === undefined || answer === null) return undefined;
    const epoch = epochOf(answer);
    if (name === 'expiresAt') return this.#timeline.instantAt(epoch, now);
    const at = this.#timeline.instantRead(epoch, now);
    // As it is, though a little ahead: `now` would be another one at each look, as if the entry had been active in between.
    return name === 'activeAt' && at - now >= readingsDifferMs ? this.#seenAt(slot, epoch, now) : at;
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
    if (this.#ahead.size > 0) this.#ahead.delete(slot);
  }

  /** Forgets everything: all entries have left. */
  clear(): void {
    this.#ahead.clear();
  }

  // It was written by a clock that was wrong. It is activity of when it was first seen, and keeps an entry no longer.
  #seenAt(slot: number, epoch: number, now: number): number {
    const known = this.#ahead.get(slot);
    if (known?.epoch === epoch) return known.at;
    if (!this.isReading) this.#ahead.set(slot, { epoch, at: now });
    return now;
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

/** Returns whether a policy has lifetimes that are functions: then whatever the values say at a look counts. */
export function asksInstants<K, V>({ own, rules, activeAt }: CompiledPolicy<K, V>): boolean {
  if (activeAt !== undefined) return true;
  return [own, ...rules.map(({ lifetimes }) => lifetimes)].some(
    ({ since, expiresAt }) => typeof since === 'function' || expiresAt !== undefined,
  );
}
