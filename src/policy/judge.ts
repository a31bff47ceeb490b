import { type Answers, asksInstants } from './answers.js';
import { FAILED } from './ask.js';
import { type Deadline, earliestDeadline } from './deadline.js';
import type { CompiledLifetimes, CompiledPolicy } from './policy.js';

/**
 * - `live`: not due yet, or never
 * - `due`: its deadline has passed
 * - `failed`: a policy function failed, so that nobody can say; stays
 */
export type LifetimeState = 'live' | 'due' | 'failed';

/** Nobody means an entry to stay for longer: a year, and a day for a leap. */
const oneYearMs = 366 * 24 * 60 * 60_000;

/**
 * Decides about one entry at one instant. Everything it finds stands in its fields until the next call, because a sweep
 * judges a million entries and an object for each would be most of the cost.
 */
export class Judge<K, V> {
  readonly #policy: CompiledPolicy<K, V>;
  readonly #answers: Answers<K, V>;
  readonly #needsValue: boolean;

  /** Monotonic instant of the deadline, `Infinity` for never, and the lifetime it comes from. */
  readonly deadline: Deadline = { at: Number.POSITIVE_INFINITY, by: undefined };
  /**
   * The lifetimes that depend on a function which has not answered, for people; empty if all have. An entry with any
   * has to be looked at by every sweep.
   */
  unanswered = '';
  /** The lifetimes that apply: the map's own, or those of the first matching rule. */
  lifetimes: CompiledLifetimes<K, V>;
  /** `maxAge` is over, which no guard outlasts. */
  isBeyondMaxAge = false;
  /** How far ahead `expiresAt` has ever been, ms: by the values, that is how long entries stay. Beyond a year it is a mistake. */
  longestAheadMs = 0;

  constructor(policy: CompiledPolicy<K, V>, answers: Answers<K, V>) {
    this.#policy = policy;
    this.#answers = answers;
    this.lifetimes = policy.own;
    this.#needsValue = policy.keepWhile !== undefined || asksInstants(policy);
  }

  /** True if the value of an entry has to be read to judge it. */
  get needsValue(): boolean {
    return this.#needsValue;
  }

  /** The lifetime behind the deadline as an explanation names it, such as `rules[0].ttl`. */
  get rule(): string {
    const by = this.deadline.by ?? 'none';
    return by === 'orphanAfter' ? by : this.lifetimes.label + by;
  }

  /**
   * Judges an entry as of `now`, guards apart. All instants are monotonic ms.
   *
   * @param lifetimes those that apply to its key; `FAILED` if a rule could not say whether it does
   * @param lastActiveAt the last `set` or `touch` of the entry or of a companion of it
   * @param orphanAfterMs how long it may be idle, if its map follows another that has no such key; else `Infinity`
   */
  judge(
    lifetimes: CompiledLifetimes<K, V> | typeof FAILED,
    slot: number,
    key: K,
    value: V,
    now: number,
    registeredAt: number,
    lastActiveAt: number,
    orphanAfterMs: number,
  ): LifetimeState {
    if (lifetimes === FAILED) return this.#onlyCeiling(this.#policy.own, now, Number.POSITIVE_INFINITY);
    const activeAt = this.activity(slot, key, value, lastActiveAt, now);
    const ttlStartedAt = this.#ttlStart(lifetimes, slot, key, value, now, registeredAt, activeAt);
    const expiresAt =
      lifetimes.expiresAt && this.#answers.instant('expiresAt', lifetimes.expiresAt, slot, value, key, now);
    if (typeof expiresAt === 'number') this.#noteAhead(expiresAt - now);
    if (activeAt === FAILED || ttlStartedAt === FAILED || expiresAt === FAILED) {
      return this.#onlyCeiling(lifetimes, now, registeredAt + lifetimes.maxAgeMs);
    }
    earliestDeadline(
      lifetimes,
      { registeredAt, activeAt, ttlStartedAt, expiresAt, orphanAfterMs },
      this.deadline,
    );
    this.lifetimes = lifetimes;
    this.isBeyondMaxAge = now >= registeredAt + lifetimes.maxAgeMs;
    this.unanswered = namesOfUnanswered(
      ttlStartedAt === undefined && lifetimes.ttlMs < Number.POSITIVE_INFINITY,
      expiresAt === undefined && lifetimes.expiresAt !== undefined,
    );
    return now < this.deadline.at ? 'live' : 'due';
  }

  /** Returns whether `keepWhile` holds an entry. One that fails holds it too: nothing is removed on a doubt. */
  isGuarded(slot: number, key: K, value: V): boolean {
    const { keepWhile } = this.#policy;
    if (keepWhile === undefined) return false;
    const answer = this.#answers.decide('keepWhile', keepWhile, slot, value, key);
    return answer !== false;
  }

  /** Returns what `ask` does, which may have other entries judged: the fields still say what they said before. */
  undisturbed<Answer>(ask: () => Answer): Answer {
    const { at, by } = this.deadline;
    const { lifetimes, unanswered, isBeyondMaxAge } = this;
    const answer = ask();
    this.deadline.at = at;
    this.deadline.by = by;
    this.lifetimes = lifetimes;
    this.unanswered = unanswered;
    this.isBeyondMaxAge = isBeyondMaxAge;
    return answer;
  }

  /** Returns the activity that counts: what is stamped, or what the value records if that is later. Monotonic ms. */
  activity(slot: number, key: K, value: V, stamped: number, now: number): number | typeof FAILED {
    const { activeAt } = this.#policy;
    if (activeAt === undefined) return stamped;
    const own = this.#answers.instant('activeAt', activeAt, slot, value, key, now);
    if (own === FAILED) return FAILED;
    return own === undefined ? stamped : Math.max(stamped, own);
  }

  #ttlStart(
    lifetimes: CompiledLifetimes<K, V>,
    slot: number,
    key: K,
    value: V,
    now: number,
    registeredAt: number,
    activeAt: number | typeof FAILED,
  ): number | undefined | typeof FAILED {
    if (lifetimes.since === 'registeredAt') return registeredAt;
    if (lifetimes.since === 'lastActiveAt') return activeAt;
    return this.#answers.instant('since', lifetimes.since, slot, value, key, now);
  }

  #noteAhead(aheadMs: number): void {
    if (aheadMs > this.longestAheadMs && aheadMs <= oneYearMs) this.longestAheadMs = aheadMs;
  }

  #onlyCeiling(lifetimes: CompiledLifetimes<K, V>, now: number, ceilingAt: number): LifetimeState {
    this.lifetimes = lifetimes;
    this.unanswered = 'policy';
    this.deadline.at = ceilingAt;
    this.deadline.by = ceilingAt < Number.POSITIVE_INFINITY ? 'maxAge' : undefined;
    this.isBeyondMaxAge = now >= ceilingAt;
    return this.isBeyondMaxAge ? 'due' : 'failed';
  }
}

function namesOfUnanswered(ttl: boolean, expiresAt: boolean): string {
  if (ttl && expiresAt) return 'ttl and expiresAt';
  if (ttl) return 'ttl';
  return expiresAt ? 'expiresAt' : '';
}
