import { Answers, asksFunctions } from '../policy/answers.js';
import { type EntryView, Judge, type JudgedState } from '../policy/judge.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import { COMPLAINED, GUARDED, LEAVING, OVERDUE, type StampStore } from '../stamps/stamp-store.js';
import type { Timeline } from '../time/timeline.js';
import { TickBuckets } from './tick-buckets.js';

/** What filing needs to know of the rest of a map's bookkeeping. */
export interface DueQueueHost extends EntryView<unknown> {
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly native: NativeCollection<unknown, unknown>;
  readonly stamps: StampStore<unknown>;
  readonly timeline: Timeline;
  /** The first sweep tick at which something due at this instant is removed. */
  tickOf(deadline: number): number;
  /** A policy function failed; `isFirst` for the first time that one fails for this entry. */
  policyFailed(callback: string, key: unknown, error: unknown, isFirst: boolean): void;
}

/**
 * Which entry is looked at when: judges entries and files them in the bucket of their deadline. Counts those that are
 * due and still there.
 */
export class DueQueue {
  readonly buckets = new TickBuckets();
  readonly judge: Judge<unknown, unknown>;
  readonly #host: DueQueueHost;
  readonly #answers: Answers<unknown, unknown>;
  readonly #asksFunctions: boolean;
  readonly #fromRegistrationMs: number;
  readonly #fromActivityMs: number;
  #overdue = 0;
  #guarded = 0;
  #judging = 0;
  #writesWhileJudging = 0;

  constructor(host: DueQueueHost) {
    const { policy, stamps, timeline } = host;
    this.#host = host;
    this.#answers = new Answers(timeline, (callback, key, slot, error) => {
      const isFirst = !stamps.hasFlag(slot, COMPLAINED);
      stamps.setFlag(slot, COMPLAINED, true);
      host.policyFailed(callback, key, error, isFirst);
    });
    this.judge = new Judge(policy, this.#answers, host);
    this.#asksFunctions = asksFunctions(policy);
    const { own } = policy;
    const sinceActive = own.since === 'lastActiveAt';
    this.#fromRegistrationMs = Math.min(own.maxAgeMs, sinceActive ? Number.POSITIVE_INFINITY : own.ttlMs);
    this.#fromActivityMs = Math.min(own.maxIdleMs, sinceActive ? own.ttlMs : Number.POSITIVE_INFINITY);
    this.isByStampsAlone = !this.#asksFunctions && policy.keepWhile === undefined;
  }

  /** Nothing but durations decides when an entry of this map leaves: no function of the owner's has to be asked. */
  readonly isByStampsAlone: boolean;

  /** How many entries a sweep found due that are still there. */
  get overdueCount(): number {
    return this.#overdue;
  }

  /** How many of those `keepWhile` holds. */
  get guardedCount(): number {
    return this.#guarded;
  }

  /** Files an entry that has just been registered. */
  fileNew(slot: number, key: unknown, at: number): void {
    if (this.#asksFunctions) {
      this.refile(slot, key);
      return;
    }
    const deadline = at + Math.min(this.#fromRegistrationMs, this.#fromActivityMs, this.#orphanMs(key));
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#host.tickOf(deadline));
  }

  /** The deadline of an entry where nothing but durations decides, as the judge would find it. Monotonic ms. */
  deadlineByStamps(slot: number, key: unknown): number {
    return Math.min(
      (this.#host.stamps.registeredAt[slot] as number) + this.#fromRegistrationMs,
      this.#host.activeAt(slot) + Math.min(this.#fromActivityMs, this.#orphanMs(key)),
    );
  }

  /** Files an entry in the bucket of a deadline, monotonic ms; `Infinity` in none. */
  fileAt(slot: number, deadline: number): void {
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#host.tickOf(deadline));
    else this.buckets.remove(slot);
  }

  #orphanMs(key: unknown): number {
    const { orphanAfterMs } = this.#host.policy;
    return orphanAfterMs < Number.POSITIVE_INFINITY && this.#host.isOrphan(key)
      ? orphanAfterMs
      : Number.POSITIVE_INFINITY;
  }

  /** Files an entry that was set or touched. By stamps alone its deadline has only moved away, which its bucket finds. */
  fileActive(slot: number, key: unknown): void {
    // While a policy function runs too: the judgement that it is part of must not go by what was before the touch.
    if (this.#asksFunctions || this.#judging > 0) this.refile(slot, key);
  }

  /** Files an entry by what its policy says now. */
  refile(slot: number, key: unknown): void {
    const { stamps, timeline } = this.#host;
    if (this.#judging > 0) {
      // A policy function writes to the map. To ask it about that at once could go on for ever; the next sweep does.
      this.#writesWhileJudging += 1;
      this.buckets.watch(slot);
      return;
    }
    const generation = stamps.generation[slot] as number;
    const writes = this.#writesWhileJudging;
    const state = this.judgeAt(slot, key, timeline.now());
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

  /** Judges an entry as of `now`; the particulars stand in `judge`. */
  judgeAt(slot: number, key: unknown, now: number): JudgedState {
    const { native, stamps } = this.#host;
    if (stamps.hasFlag(slot, LEAVING)) {
      if (this.#host.isOrphan(key)) return 'due';
      stamps.setFlag(slot, LEAVING, false);
    }
    this.#judging += 1;
    try {
      return this.judge.judge(slot, key, this.judge.needsValue ? native.get(key) : undefined, now);
    } finally {
      this.#judging -= 1;
    }
  }

  /** Remembers that a look found an entry due, or not. */
  mark(slot: number, state: JudgedState): void {
    const { stamps } = this.#host;
    const isOverdue = state === 'due' || state === 'guarded';
    if (stamps.setFlag(slot, OVERDUE, isOverdue)) this.#overdue += isOverdue ? 1 : -1;
    const isGuarded = state === 'guarded';
    if (stamps.setFlag(slot, GUARDED, isGuarded)) this.#guarded += isGuarded ? 1 : -1;
  }

  /** All entries are gone, and no answer of theirs is remembered. */
  clear(): void {
    this.#overdue = 0;
    this.#guarded = 0;
    this.buckets.clear();
  }

  /** The entry is gone. */
  forget(slot: number): void {
    this.mark(slot, 'live');
    this.buckets.remove(slot);
    this.#answers.forget(slot);
  }
}
