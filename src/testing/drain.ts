import type { Tracker } from '../sweeping/tracker.js';
import { settleAttempts, sweepNow } from './drain-within.js';
import { pendingOf } from './drained.js';
import { passableMs } from './hook-starts.js';
import { leavesAt } from './leaves-at.js';
import type { RunningCheck } from './running-check.js';
import type { Subject } from './subject.js';
import type { TestTime } from './test-time.js';

/** More than that and whoever waits for a lifetime has given up. */
const longestDrainMs = 7 * 24 * 60 * 60_000;
/** For what has no deadline and still may come with time: guards, retries of `beforeSweep`, of deliveries. */
const patienceMs = 60 * 60_000;
const patienceStepMs = 60_000;
/** However long it takes that entries with a given time leave, it is let pass in about this many steps. */
const mostSteps = 2_000;

/** How draining goes about it. */
export interface Draining {
  /** `true`: as long as it takes; a number: at most so many ms; `false`: not at all. */
  readonly drain: boolean | number;
  readonly time: TestTime | undefined;
  /** Which entries have to leave. */
  readonly counts: (tracker: Tracker, key: unknown) => boolean;
  /** How many notifications may stay pending. */
  readonly pending: number;
  /** The check that it is done for. */
  readonly current: RunningCheck;
}

/** Lets entries leave that need nothing but time, as far as there is any. */
export async function drainTo(subject: Subject, draining: Draining): Promise<void> {
  const { drain, time, current } = draining;
  if (drain === false) return await settleAttempts(current);
  await sweepNow(subject, current);
  if (time === undefined) return;
  // An eviction waits for the next macrotask, and that for the clock to move at all.
  if (subject.trackers().some(({ isOverCaps }) => isOverCaps)) {
    await time.pass(1);
    await settleAttempts(current);
  }
  if (drain === true) await drainAsNeeded(subject, time, draining);
  else await drainFor(subject, time, drain, draining);
}

async function drainFor(
  subject: Subject,
  time: TestTime,
  withinMs: number,
  draining: Draining,
): Promise<void> {
  const stepMs = Math.max(subject.engine.sweepEveryMs, Math.ceil(withinMs / mostSteps));
  for (let elapsed = 0; elapsed < withinMs && !isBack(subject, draining); ) {
    const ms = passableMs(subject, Math.min(stepMs, withinMs - elapsed));
    await time.pass(ms);
    elapsed += ms;
    await sweepNow(subject, draining.current);
  }
}

async function drainAsNeeded(subject: Subject, time: TestTime, draining: Draining): Promise<void> {
  let patience = patienceMs;
  for (let elapsed = 0; elapsed < longestDrainMs && !isBack(subject, draining); ) {
    const ahead = (lastDeadline(subject, draining) ?? 0) - subject.engine.timeline.now();
    let ms = Math.min(Math.ceil(ahead), longestDrainMs - elapsed);
    const isDueAlready = ms <= 0;
    if (isDueAlready) {
      if (patience <= 0 || !mayComeWithTime(subject, draining)) return;
      // In ever longer steps, since after each all that is left is asked again.
      ms = Math.max(patienceStepMs, subject.engine.sweepEveryMs, (patienceMs - patience) / 2);
    }
    ms = passableMs(subject, ms);
    if (isDueAlready) patience -= ms;
    await time.pass(ms);
    elapsed += ms;
    await sweepNow(subject, draining.current);
  }
}

/** Returns whether everything has left that has to. */
function isBack(subject: Subject, draining: Draining): boolean {
  if (pendingOf(subject) > draining.pending) return false;
  return subject.trackers().every((tracker) => remaining(tracker, draining).next().done === true);
}

function* remaining(tracker: Tracker, { counts }: Draining): Generator<unknown> {
  for (const key of tracker.native.keys()) if (counts(tracker, key)) yield key;
}

/** When the last of the entries that have to leave becomes due, monotonic ms; `undefined` if none will. */
function lastDeadline(subject: Subject, draining: Draining): number | undefined {
  subject.engine.timeline.notice();
  const now = subject.engine.timeline.now();
  let last: number | undefined;
  for (const tracker of subject.trackers()) {
    // A policy function that is asked may change the map.
    for (const key of [...remaining(tracker, draining)]) {
      const at = leavesAt(tracker, key, now);
      if (at > now && at < Number.POSITIVE_INFINITY) last = Math.max(last ?? at, at);
    }
  }
  return last;
}

/** Returns whether something may leave at a time that nobody can say: a guard lets go, a hold ends, a retry succeeds. */
function mayComeWithTime(subject: Subject, { pending }: Draining): boolean {
  if (pendingOf(subject) > pending) return true;
  return subject
    .trackers()
    .some(
      (tracker) =>
        tracker.due.guardedCount > 0 ||
        (tracker.holds?.size ?? 0) > 0 ||
        subject.engine.hooks.countOf(tracker) > 0,
    );
}
