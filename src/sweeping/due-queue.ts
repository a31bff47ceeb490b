import type { KeptBy } from '../events/reasons.js';
import { Answers, asksInstants, type PolicyFailure } from '../policy/answers.js';
import { FAILED } from '../policy/ask.js';
import { Judge, type LifetimeState } from '../policy/judge.js';
import type { Activity } from '../stamps/activity.js';
import { isMissing } from '../stamps/native-collection.js';
import { COMPLAINED, GUARDED, LEAVING, OVERDUE } from '../stamps/stamp-store.js';
import type { TickGrid } from '../time/tick-grid.js';
import type { Timeline } from '../time/timeline.js';
import { type Keeper, Keepers, type Keeping, type KeptMap } from './keepers.js';
import { RuleChoices } from './rule-choices.js';
import type { Shared } from './shared.js';
import { TickBuckets } from './tick-buckets.js';

/** A map as its due queue knows it. */
export interface QueuedMap extends KeptMap {
  /** The ticks of its sweeps. */
  readonly grid: TickGrid;
  readonly activity: Activity;
}

/** What keeps it, if it is due; else what its lifetimes say. */
export type JudgedState = LifetimeState | Keeping;

/**
 * Which entry is looked at when: judges entries and files them in the bucket of their deadline. Counts those that are
 * due and still there.
 *
 * A map that has lifetimes which are functions is *asked*: nothing is filed there, since what its values say may change
 * at any time, and every sweep looks at all of it.
 */
export class DueQueue {
  readonly buckets = new TickBuckets();
  readonly judge: Judge<unknown, unknown>;
  readonly keepers: Keepers;
  /** Lifetimes of this map are functions of the owner's. */
  readonly isAsked: boolean;
  /** Nothing but durations decides when an entry of this map leaves: no function of the owner's has to be asked. */
  readonly isByStampsAlone: boolean;
  readonly #map: QueuedMap;
  readonly #timeline: Timeline;
  readonly #grid: TickGrid;
  readonly #answers: Answers<unknown, unknown>;
  readonly #rules: RuleChoices;
  readonly #fromRegistrationMs: number;
  readonly #fromActivityMs: number;
  /** How long an entry stays at least that is no orphan, ms. */
  readonly #soonestMs: number;
  /** Who kept the entry that was judged last; `undefined` if nobody did. */
  keeper: Keeper | undefined;
  /** What kept the entry that a look has judged last until its `maxAge`, which is over; `undefined` if nothing did. */
  outlasted: KeptBy | undefined;
  /** An eviction has looked at all that only a look can find due, since the last sweep. */
  isLookedAt = false;
  /** How many passes of the sweeper are through. */
  passes = 0;
  /** The last policy function that has failed, but for whoever only reads, and when, monotonic ms. */
  lastFailure: (PolicyFailure & { readonly at: number }) | undefined;
  #overdue = 0;
  #guarded = 0;
  #judging = 0;

  constructor(map: QueuedMap, { timeline, failures }: Shared) {
    const { name, policy, stamps } = map;
    this.#map = map;
    this.#timeline = timeline;
    this.#grid = map.grid;
    this.#answers = new Answers(timeline, (callback, key, slot, error) => {
      this.lastFailure = { callback, error, at: timeline.now() };
      const isFirst = stamps.setFlag(slot, COMPLAINED, true);
      if (isFirst) failures.report(name, callback, key, error);
      else failures.count(name, callback);
    });
    this.judge = new Judge(policy, this.#answers);
    this.keepers = new Keepers(map, this.judge, this.#answers);
    this.#rules = new RuleChoices(policy, stamps, this.#answers);
    this.isAsked = asksInstants(policy);
    this.isByStampsAlone = !this.isAsked && policy.rules.length === 0 && policy.keepWhile === undefined;
    const { own } = policy;
    const sinceActive = own.since === 'lastActiveAt';
    this.#fromRegistrationMs = Math.min(own.maxAgeMs, sinceActive ? Number.POSITIVE_INFINITY : own.ttlMs);
    this.#fromActivityMs = Math.min(own.maxIdleMs, sinceActive ? own.ttlMs : Number.POSITIVE_INFINITY);
    this.#soonestMs = Math.min(this.#fromRegistrationMs, this.#fromActivityMs);
  }

  /** How many entries a sweep found due that are still there. */
  get overdueCount(): number {
    return this.#overdue;
  }

  /** How many a guard holds, as far as the last looks found. */
  get guardedCount(): number {
    return this.#guarded;
  }

  /** The lifetime by which the entry leaves that a look has judged last and found due. */
  get rule(): string {
    return this.outlasted === undefined ? this.judge.rule : `${this.judge.lifetimes.label}maxAge`;
  }

  /** The last policy function that has failed for `judgeToRead`. */
  get failureRead(): PolicyFailure | undefined {
    return this.#answers.failureRead;
  }

  /** A slot has a new entry, about which nobody has been asked. */
  register(slot: number): void {
    this.#rules.register(slot);
  }

  /** Has the rules choose the lifetimes of an entry that is registered. What they are asked may remove it. */
  choose(slot: number): void {
    // To ask from inside of what is being asked could go on for ever.
    if (this.#judging === 0) this.#rules.of(slot);
  }

  /** Files an entry that was registered at this instant, which is now. */
  fileNew(slot: number, at: number): void {
    if (this.isAsked) return;
    if (this.#map.policy.rules.length > 0) {
      this.refile(slot);
      return;
    }
    let stayMs = this.#soonestMs;
    if (this.#map.policy.orphanAfterMs < stayMs) stayMs = Math.min(stayMs, this.#orphanMs(slot));
    const deadline = at + stayMs;
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#grid.tickOf(deadline));
  }

  /** Returns the deadline of an entry that nothing but durations decides about, as the judge does. Monotonic ms. */
  deadlineByStamps(slot: number): number {
    return Math.min(
      this.#map.stamps.registeredAt(slot) + this.#fromRegistrationMs,
      this.#map.activity.latest(slot) + Math.min(this.#fromActivityMs, this.#orphanMs(slot)),
    );
  }

  /**
   * Returns whether the deadline of an entry that nothing but durations decides about is that of a ceiling, and not the end
   * of its TTL.
   *
   * @param deadline what `deadlineByStamps` returns
   */
  isCeiling(slot: number, deadline: number): boolean {
    const { ttlMs, since } = this.#map.policy.own;
    if (ttlMs === Number.POSITIVE_INFINITY) return true;
    const { stamps, activity } = this.#map;
    const startedAt = since === 'registeredAt' ? stamps.registeredAt(slot) : activity.latest(slot);
    return deadline < startedAt + ttlMs;
  }

  /** Returns an instant before which an entry is not due by durations, monotonic ms. */
  earliestDeadline(slot: number): number {
    // What functions say is asked for after each sweep.
    if (this.isAsked) return Number.POSITIVE_INFINITY;
    if (this.#map.policy.rules.length === 0) return this.deadlineByStamps(slot);
    if (this.#judging > 0) return Number.NEGATIVE_INFINITY;
    const { stamps } = this.#map;
    const state = this.#byLifetimes(slot, stamps.keyOf(slot), undefined, this.#timeline.now());
    return state === 'failed' ? Number.POSITIVE_INFINITY : this.judge.deadline.at;
  }

  /**
   * Files an entry in the bucket of a deadline, monotonic ms; `Infinity` in none. It is not filed anew when it is active:
   * its deadline has only moved away, which its bucket finds.
   */
  fileAt(slot: number, deadline: number): void {
    if (this.isAsked) return;
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#grid.tickOf(deadline));
    else this.buckets.remove(slot);
  }

  /** Has every sweep look at an entry until it is filed elsewhere. */
  watch(slot: number): void {
    if (!this.isAsked) this.buckets.watch(slot);
  }

  /** Files an entry whose stamps have changed. */
  refile(slot: number): void {
    if (this.isAsked) return;
    if (this.#judging > 0) {
      this.watch(slot);
      return;
    }
    const generation = this.#map.stamps.generation[slot] as number;
    const state = this.#byLifetimes(slot, this.#map.stamps.keyOf(slot), undefined, this.#timeline.now());
    // A rule may have removed the entry.
    if (this.#map.stamps.holds(slot, generation)) this.file(slot, state);
  }

  /** Files an entry by the judgement that has just been made. */
  file(slot: number, state: JudgedState): void {
    if (state === 'guarded' || state === 'held' || state === 'failed') this.watch(slot);
    else this.fileAt(slot, this.judge.deadline.at);
  }

  /**
   * Judges an entry as of `now` and leaves it where it is; the particulars stand in `judge`.
   *
   * @param value what the map holds; anything if the judge needs no value
   */
  judgeAt(slot: number, value: unknown, now: number): JudgedState {
    return this.#judged(slot, value, now, false);
  }

  /** Judges an entry for somebody who only reads: what its policy functions get wrong counts at the next look. */
  judgeToRead(slot: number, now: number): JudgedState {
    this.#answers.failureRead = undefined;
    return this.#judged(slot, this.#map.native.get(this.#map.stamps.keyOf(slot)), now, true);
  }

  #judged(slot: number, value: unknown, now: number, isReading: boolean): JudgedState {
    const { stamps, companions } = this.#map;
    const key = stamps.keyOf(slot);
    const flags = stamps.flags[slot] as number;
    const generation = stamps.generation[slot] as number;
    this.keeper = undefined;
    this.outlasted = undefined;
    // Whoever removes it will notice.
    if (this.judge.needsValue && isMissing(this.#map.native, key, value)) return 'due';
    if ((flags & LEAVING) !== 0) {
      // By now it may name another leader, or none.
      if (companions.isLeaderless(slot)) return 'due';
      if (!isReading) stamps.setFlag(slot, LEAVING, false);
    }
    // A policy function may ask for an explanation in the midst of a look, and for a sweep in that of an explanation.
    const wasReading = this.#answers.isReading;
    this.#answers.isReading = isReading;
    this.#judging += 1;
    try {
      const state = this.#byLifetimes(slot, key, value, now);
      if (state === 'failed') return state;
      if (this.judge.isBeyondMaxAge) {
        if (!isReading) this.outlasted = this.keepers.outlastedBy(slot, key, now, flags);
        return state;
      }
      if (state === 'live' && (flags & GUARDED) === 0) return state;
      // What was asked about its lifetimes may have removed it: a guard is asked about what is there.
      if (!stamps.holds(slot, generation)) return state;
      this.keeper = this.keepers.of(slot, key, now, isReading);
      const keeping = this.keeper?.keeping;
      return keeping === 'held' && state === 'live' ? state : (keeping ?? state);
    } finally {
      this.#judging -= 1;
      this.#answers.isReading = wasReading;
    }
  }

  /** Returns the activity of an entry that counts, monotonic ms; of one that cannot be asked, now. */
  activeAt(slot: number, now: number): number {
    const { native, stamps, activity, policy } = this.#map;
    const stamped = activity.latest(slot);
    if (policy.activeAt === undefined) return stamped;
    const key = stamps.keyOf(slot);
    const value = native.get(key);
    if (isMissing(native, key, value)) return stamped;
    this.#judging += 1;
    try {
      const answer = this.judge.activity(slot, key, value, stamped, now);
      return answer === FAILED ? now : answer;
    } finally {
      this.#judging -= 1;
    }
  }

  #byLifetimes(slot: number, key: unknown, value: unknown, now: number): LifetimeState {
    const registeredAt = this.#map.stamps.registeredAt(slot);
    const activeAt = this.#map.activity.latest(slot);
    const lifetimes = this.#rules.of(slot);
    return this.judge.judge(lifetimes, slot, key, value, now, registeredAt, activeAt, this.#orphanMs(slot));
  }

  /**
   * Remembers that a look found an entry due, guarded or held, or not.
   *
   * @param dueAt by the judgement that has just been made; `Infinity` where only its guards were asked
   */
  mark(slot: number, state: JudgedState, dueAt = this.judge.deadline.at): void {
    const { stamps } = this.#map;
    const isGuarded = state === 'guarded';
    // What is guarded counts as active; so it stays overdue until its guard lets go, or it is not due after all.
    const wasDue = isGuarded && (stamps.hasFlag(slot, OVERDUE) || dueAt <= this.#timeline.now());
    const isOverdue = state === 'due' || state === 'held' || wasDue;
    if (stamps.setFlag(slot, OVERDUE, isOverdue)) this.#overdue += isOverdue ? 1 : -1;
    if (stamps.setFlag(slot, GUARDED, isGuarded)) this.#guarded += isGuarded ? 1 : -1;
  }

  /** The entry has left, and its flags are about to be dropped. */
  forget(slot: number): void {
    const flags = this.#map.stamps.flags[slot] as number;
    if ((flags & OVERDUE) !== 0) this.#overdue -= 1;
    if ((flags & GUARDED) !== 0) this.#guarded -= 1;
    this.buckets.remove(slot);
    this.#answers.forget(slot);
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    this.buckets.shrink(capacity);
    this.#rules.shrink(capacity);
  }

  /** All entries have left. */
  clear(): void {
    this.#overdue = 0;
    this.#guarded = 0;
    this.buckets.clear();
    this.#rules.clear();
    this.#answers.clear();
  }

  /** Returns whether the `maxAge` of an entry is over. */
  isBeyondMaxAge(slot: number, now: number): boolean {
    const lifetimes = this.#rules.of(slot);
    return lifetimes !== FAILED && now >= this.#map.stamps.registeredAt(slot) + lifetimes.maxAgeMs;
  }

  #orphanMs(slot: number): number {
    const { orphanAfterMs } = this.#map.policy;
    if (orphanAfterMs === Number.POSITIVE_INFINITY) return orphanAfterMs;
    return this.#map.companions.isOrphan(slot) ? orphanAfterMs : Number.POSITIVE_INFINITY;
  }
}
