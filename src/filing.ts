import { Answers, asksFunctions } from './answers.js';
import { type EntryView, Judge, type JudgedState } from './judge.js';
import type { NativeCollection } from './native-collection.js';
import type { CompiledPolicy } from './policy.js';
import { COMPLAINED, GUARDED, LEAVING, OVERDUE, type StampStore } from './stamp-store.js';
import { TickBuckets } from './tick-buckets.js';
import type { Timeline } from './timeline.js';

/** What filing needs to know of the rest of a map's bookkeeping. */
export interface FilingHost extends EntryView<unknown> {
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
export class Filing {
  readonly buckets = new TickBuckets();
  readonly judge: Judge<unknown, unknown>;
  readonly #host: FilingHost;
  readonly #answers: Answers<unknown, unknown>;
  readonly #asksFunctions: boolean;
  readonly #shortestMs: number;
  #overdue = 0;
  #guarded = 0;

  constructor(host: FilingHost) {
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
    this.#shortestMs = Math.min(own.ttlMs, own.maxIdleMs, own.maxAgeMs);
  }

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
    const orphanMs = this.#host.isOrphan(key) ? this.#host.policy.orphanAfterMs : Number.POSITIVE_INFINITY;
    const deadline = at + Math.min(this.#shortestMs, orphanMs);
    if (deadline < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#host.tickOf(deadline));
  }

  /** Files an entry that was set or touched. By stamps alone its deadline has only moved away, which its bucket finds. */
  fileActive(slot: number, key: unknown): void {
    if (this.#asksFunctions) this.refile(slot, key);
  }

  /** Files an entry by what its policy says now. */
  refile(slot: number, key: unknown): void {
    const { stamps, timeline } = this.#host;
    const generation = stamps.generation[slot] as number;
    const state = this.judgeAt(slot, key, timeline.now());
    // A policy function may have removed the entry.
    if (stamps.holds(slot, generation)) this.file(slot, state);
  }

  /** Files an entry by the judgement that has just been made. */
  file(slot: number, state: JudgedState): void {
    const { deadline, unanswered } = this.judge;
    if (state === 'guarded' || state === 'failed' || unanswered) this.buckets.watch(slot);
    else if (deadline.at < Number.POSITIVE_INFINITY) this.buckets.file(slot, this.#host.tickOf(deadline.at));
    else this.buckets.remove(slot);
  }

  /** Judges an entry as of `now`; the particulars stand in `judge`. */
  judgeAt(slot: number, key: unknown, now: number): JudgedState {
    const { native, stamps } = this.#host;
    if (stamps.hasFlag(slot, LEAVING)) {
      if (this.#host.isOrphan(key)) return 'due';
      stamps.setFlag(slot, LEAVING, false);
    }
    return this.judge.judge(slot, key, this.judge.needsValue ? native.get(key) : undefined, now);
  }

  /** Remembers that a look found an entry due, or not. */
  mark(slot: number, state: JudgedState): void {
    const { stamps } = this.#host;
    const isOverdue = state === 'due' || state === 'guarded';
    if (stamps.setFlag(slot, OVERDUE, isOverdue)) this.#overdue += isOverdue ? 1 : -1;
    const isGuarded = state === 'guarded';
    if (stamps.setFlag(slot, GUARDED, isGuarded)) this.#guarded += isGuarded ? 1 : -1;
  }

  /** The entry is gone. */
  forget(slot: number): void {
    this.mark(slot, 'live');
    this.buckets.remove(slot);
    this.#answers.forget(slot);
  }
}
