import type { Tracker } from '../sweeping/tracker.js';
import { passUntil, sweepNow } from './drain-within.js';
import { pendingOf } from './drained.js';
import type { Subject } from './subject.js';
import type { TestTime } from './test-time.js';

/** More than that and whoever waits for a lifetime has given up. Entries that live longer count as left. */
const longestDrainMs = 7 * 24 * 60 * 60_000;
/** For what has no deadline and still may come with time: guards, retries of `beforeSweep`, of deliveries. */
const patienceMs = 60 * 60_000;
const patienceStepMs = 60_000;

/** Which entries were there at one moment. */
export class Baseline {
  readonly #generations = new Map<Tracker, Map<unknown, number | undefined>>();
  readonly pending: number;

  constructor(subject: Subject | undefined) {
    for (const tracker of subject?.trackers() ?? []) {
      const known = new Map<unknown, number | undefined>();
      for (const key of tracker.native.keys()) known.set(key, generationOf(tracker, key));
      this.#generations.set(tracker, known);
    }
    this.pending = subject === undefined ? 0 : pendingOf(subject);
  }

  sizeOf(tracker: Tracker): number {
    return this.#generations.get(tracker)?.size ?? 0;
  }

  /** Whether an entry has come since. */
  isNew(tracker: Tracker, key: unknown): boolean {
    const known = this.#generations.get(tracker);
    return known === undefined || !known.has(key) || known.get(key) !== generationOf(tracker, key);
  }

  /** Whether no map is larger than it was, and nothing more is pending. */
  isBack(subject: Subject): boolean {
    return (
      pendingOf(subject) <= this.pending &&
      subject.trackers().every((tracker) => tracker.native.size() <= this.sizeOf(tracker))
    );
  }
}

function generationOf({ stamps }: Tracker, key: unknown): number | undefined {
  const slot = stamps.slotOf(key);
  return slot === undefined ? undefined : stamps.generation[slot];
}

/** How draining goes about it. */
export interface Draining {
  /** `true`: as long as it takes; a number: at most so many ms; `false`: not at all. */
  readonly drain: boolean | number;
  readonly time: TestTime | undefined;
  readonly baseline: Baseline;
}

/**
 * Lets what has come since a baseline leave.
 *
 * @returns false where it would take time, and there is none
 */
export async function drainTo(subject: Subject, { drain, time, baseline }: Draining): Promise<boolean> {
  if (drain === false) return true;
  const isBack = (): boolean => baseline.isBack(subject);
  if (time === undefined) {
    await sweepNow(subject);
    return isBack() || lastDeadline(subject, baseline) === undefined;
  }
  if (typeof drain === 'number') {
    await passUntil(subject, time, drain, isBack);
    return true;
  }
  // An eviction waits for the next macrotask, and that for the clock to move at all.
  if (subject.trackers().some(({ native, policy }) => native.size() > policy.maxEntries)) await time.pass(1);
  let patience = patienceMs;
  for (let elapsed = 0; elapsed < longestDrainMs; ) {
    await sweepNow(subject);
    if (isBack()) break;
    const ahead = (lastDeadline(subject, baseline) ?? 0) - subject.engine.timeline.now();
    let ms = Math.min(Math.ceil(ahead), longestDrainMs - elapsed);
    if (ms <= 0) {
      if (patience <= 0 || !mayComeWithTime(subject)) break;
      ms = Math.max(patienceStepMs, subject.engine.sweepEveryMs);
      patience -= ms;
    }
    await time.pass(ms);
    elapsed += ms;
  }
  return true;
}

/** When the last of the entries that have come since becomes due, monotonic ms; `undefined` where none will. */
function lastDeadline(subject: Subject, baseline: Baseline): number | undefined {
  const now = subject.engine.timeline.now();
  let last: number | undefined;
  for (const tracker of subject.trackers()) {
    if (tracker.observing) continue;
    for (const [key, slot] of tracker.stamps.entries()) {
      if (!baseline.isNew(tracker, key) || !tracker.native.has(key)) continue;
      const at = removableAt(tracker, slot, now);
      if (at > now && at < Number.POSITIVE_INFINITY) last = Math.max(last ?? at, at);
    }
  }
  return last;
}

/** When the sweeper may remove an entry, as far as is known, monotonic ms. */
function removableAt(tracker: Tracker, slot: number, now: number): number {
  const state = tracker.due.judgeAt(slot, now);
  const { deadline, lifetimes } = tracker.due.judge;
  if (state !== 'guarded') return deadline.at;
  return (tracker.stamps.registeredAt[slot] as number) + lifetimes.maxAgeMs;
}

/** Whether something may leave at a time that nobody can say: a guard lets go, a retry succeeds. */
function mayComeWithTime(subject: Subject): boolean {
  return (
    pendingOf(subject) > 0 ||
    subject
      .trackers()
      .some((tracker) => tracker.due.guardedCount > 0 || subject.engine.hooks.countOf(tracker) > 0)
  );
}
