import { Answers, asksFunctions } from '../policy/answers.js';
import { Judge, type JudgedState } from '../policy/judge.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { Activity } from '../stamps/activity.js';
import type { StampedMap } from '../stamps/entry-stamps.js';
import { COMPLAINED, GUARDED, LEAVING, OVERDUE } from '../stamps/stamp-store.js';
import type { TickGrid } from '../time/tick-grid.js';
import type { Timeline } from '../time/timeline.js';
import type { Companions } from './companions.js';
import type { Shared } from './shared.js';
import { TickBuckets } from './tick-buckets.js';

/** A map as its due queue knows it. */
export interface QueuedMap extends StampedMap {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly activity: Activity;
  readonly companions: Companions<StampedMap>;
}

/**
 * Which entry is looked at when: judges entries and files them in the bucket of their deadline. Counts those that are
 * due and still there.
 */
export class DueQueue {
  readonly buckets = new TickBuckets();
  readonly judge: Judge<unknown, unknown>;
  /** Nothing but durations decides when an entry of this map leaves: no function of the owner's has to be asked. */
  readonly isByStampsAlone: boolean;
  readonly #map: QueuedMap;
  readonly #timeline: Timeline;
  readonly #grid: TickGrid;
  readonly #answers: Answers<unknown, unknown>;
  readonly #asksFunctions: boolean;
  readonly #fromRegistrationMs: number;
  readonly #fromActivityMs: number;
  #overdue = 0;
  #guarded = 0;
  #judging = 0;
  #writesWhileJudging = 0;

  constructor(map: QueuedMap, { timeline, grid, failures }: Shared) {
    const { name, policy, stamps } = map;
    this.#map = map;
    this.#timeline = timeline;
    this.#grid = grid;
    this.#answers = new Answers(timeline, (callback, key, slot, error) => {
      const isFirst = stamps.setFlag(slot, COMPLAINED, true);
      if (isFirst) failures.report(name, callback, key, error);
      else failures.count(name, callback);
    });
    this.judge = new Judge(policy, this.#answers);
    this.#asksFunctions = asksFunctions(policy);
    this.isByStampsAlone = !this.#asksFunctions && policy.keepWhile === undefined;
    const { own } = policy;
    const sinceActive = own.since === 'lastActiveAt';
    this.#fromRegistrationMs = Math.min(own.maxAgeMs, sinceActive ? Number.POSITIVE_INFINITY : own.ttlMs);
    this.#fromActivityMs = Math.min(own.maxIdleMs, sinceActive ? own.ttlMs : Number.POSITIVE_INFINITY);
  }

  /** How many entries a sweep found due that are still there. */
  get overdueCount(): number {
    return this.#overdue;
  }

  /** How many of those `keepWhile` holds. */
  get guardedCount(): number {
    return this.#guarded;
  }

  /** Files an entry that was registered at this instant, which is now. */
  fileNew(slot: number, at: number): void {
    if (this.#asksFunctions) {
      this.refile(slot);
      return;
    }
    const deadline = at + Math.min(this.#fromRegistrationMs, this.#fromActivityMs, this.#orphanMs(slot));
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#grid.tickOf(deadline));
  }

  /** Returns the deadline of an entry that nothing but durations decides about, as the judge does. Monotonic ms. */
  deadlineByStamps(slot: number): number {
    return Math.min(
      (this.#map.stamps.registeredAt[slot] as number) + this.#fromRegistrationMs,
      this.#map.activity.latest(slot) + Math.min(this.#fromActivityMs, this.#orphanMs(slot)),
    );
  }

  /** Files an entry in the bucket of a deadline, monotonic ms; `Infinity` in none. */
  fileAt(slot: number, deadline: number): void {
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#grid.tickOf(deadline));
    else this.buckets.remove(slot);
  }

  /** Files an entry that was set or touched. By stamps alone its deadline has only moved away, which its bucket finds. */
  fileActive(slot: number): void {
    // While a policy function runs, the judgement that it is part of must not go by what was before the touch either.
    if (this.#asksFunctions || this.#judging > 0) this.refile(slot);
  }

  /** Files an entry by what its policy says now. */
  refile(slot: number): void {
    const { stamps } = this.#map;
    if (this.#judging > 0) {
      // A policy function writes to the map. To ask it about that at once could go on for ever; the next sweep does.
      this.#writesWhileJudging += 1;
      this.buckets.watch(slot);
      return;
    }
    const generation = stamps.generation[slot] as number;
    const writes = this.#writesWhileJudging;
    const state = this.judgeAt(slot, this.#timeline.now());
    // A policy function may have removed the entry.
    if (!stamps.holds(slot, generation)) return;
    if (writes === this.#writesWhileJudging) this.file(slot, state);
    else this.buckets.watch(slot);
  }

  /** Files an entry by the judgement that has just been made. */
  file(slot: number, state: JudgedState): void {
    const { deadline, unanswered } = this.judge;
    if (state === 'guarded' || state === 'failed' || unanswered !== '') this.buckets.watch(slot);
    else this.fileAt(slot, deadline.at);
  }

  /** Judges an entry as of `now` and leaves it where it is; the particulars stand in `judge`. */
  judgeAt(slot: number, now: number): JudgedState {
    return this.#judged(slot, now, false);
  }

  /** Judges an entry for somebody who only reads: what its policy functions get wrong counts at the next look. */
  judgeToRead(slot: number, now: number): JudgedState {
    return this.#judged(slot, now, true);
  }

  #judged(slot: number, now: number, isReading: boolean): JudgedState {
    const { native, stamps, activity, companions } = this.#map;
    const key = stamps.keyOf(slot);
    if (stamps.hasFlag(slot, LEAVING)) {
      if (!companions.hasLeader(key)) return 'due';
      if (!isReading) stamps.setFlag(slot, LEAVING, false);
    }
    const value = this.judge.needsValue ? native.get(key) : undefined;
    const registeredAt = stamps.registeredAt[slot] as number;
    // A policy function may ask for an explanation in the midst of a look, and for a sweep in that of an explanation.
    const wasReading = this.#answers.isReading;
    this.#answers.isReading = isReading;
    this.#judging += 1;
    try {
      return this.judge.judge(
        slot,
        key,
        value,
        now,
        registeredAt,
        activity.latest(slot),
        this.#orphanMs(slot),
      );
    } finally {
      this.#judging -= 1;
      this.#answers.isReading = wasReading;
    }
  }

  /** Returns whether `keepWhile` holds an entry. */
  isGuarded(slot: number): boolean {
    const key = this.#map.stamps.keyOf(slot);
    return this.judge.isGuarded(slot, key, this.#map.native.get(key));
  }

  /** Remembers that a look found an entry due, or not. */
  mark(slot: number, state: JudgedState): void {
    const { stamps } = this.#map;
    const isOverdue = state === 'due' || state === 'guarded';
    if (stamps.setFlag(slot, OVERDUE, isOverdue)) this.#overdue += isOverdue ? 1 : -1;
    const isGuarded = state === 'guarded';
    if (stamps.setFlag(slot, GUARDED, isGuarded)) this.#guarded += isGuarded ? 1 : -1;
  }

  /** The entry has left, and its flags are about to be dropped. */
  forget(slot: number): void {
    const flags = this.#map.stamps.flags[slot] as number;
    if ((flags & OVERDUE) !== 0) this.#overdue -= 1;
    if ((flags & GUARDED) !== 0) this.#guarded -= 1;
    this.buckets.remove(slot);
    if (this.#asksFunctions) this.#answers.forget(slot);
  }

  /** All entries have left. */
  clear(): void {
    this.#overdue = 0;
    this.#guarded = 0;
    this.buckets.clear();
    this.#answers.clear();
  }

  #orphanMs(slot: number): number {
    const { orphanAfterMs } = this.#map.policy;
    if (orphanAfterMs === Number.POSITIVE_INFINITY) return orphanAfterMs;
    return this.#map.companions.isOrphan(this.#map.stamps.keyOf(slot))
      ? orphanAfterMs
      : Number.POSITIVE_INFINITY;
  }
}
