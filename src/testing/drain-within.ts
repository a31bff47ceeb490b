import { span } from '../diagnosis/explain.js';
import { MapsweepError } from '../errors.js';
import { counted } from '../events/shown.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { readOptions } from '../policy/read-options.js';
import { assertDrainable, isDrained, notDrainable, remainderLines } from './drained.js';
import { passableMs } from './hook-starts.js';
import { type Leavings, LeavingWatch, leavingsText } from './leaving.js';
import { LostEndings } from './lost-endings.js';
import { type RunningCheck, toldOnce, whileChecking } from './running-check.js';
import { type Subject, subjectOf } from './subject.js';
import {
  type Advancer,
  goneBackLines,
  readAdvancer,
  settle,
  type TestTime,
  testTimeOf,
  withTestTime,
} from './test-time.js';

/** The options of {@link drainWithin}. */
export interface DrainWithinOptions {
  /**
   * What lets time pass. Default: the manual clock that the maps were made with. For the fake timers of a test runner:
   * `{ advance: (ms) => jest.advanceTimersByTimeAsync(ms) }`; for real time, with `setTimeout` of `node:timers/promises`:
   * `{ advance: (ms) => setTimeout(ms) }`.
   */
  clock?: Advancer;
}

/** What came of {@link drainWithin}. */
export interface DrainResult {
  /** Whether it was drained at the end of the duration. */
  readonly drained: boolean;
  /**
   * After how much time it was drained for good, ms, to a sweep interval or a 2,000th of the duration, whichever is
   * longer; the whole duration if it was not.
   */
  readonly elapsedMs: number;
  /** By map: by which rules entries left meanwhile, and how many. */
  readonly left: Readonly<Record<string, Leavings>>;
  /** What is left and why, or that nothing is. */
  readonly message: string;
}

/** However long the time, sweeping on the way is done in about this many steps. */
const mostSteps = 2_000;

/** As long as everything is drained, it is looked at this often. */
const looksWhileDrained = 50;

/**
 * Lets a time pass, sweeping on the way, and sees whether a registry or a map is drained at the end of it: what comes
 * back meanwhile, such as a job that was queued, counts. The last sweep is at the very end, so that what is due after
 * exactly `duration` is swept.
 *
 * @param duration from 0 to 100 years, such as `'5m'`
 * @throws MapsweepTypeError if the value is neither a registry nor a map that something tracks, or an option is wrong
 * @throws MapsweepError `ERR_NO_CLOCK` if nothing can make time pass; `ERR_CLOSED` if the registry is closed;
 *   `ERR_NOTHING_PROVED` if it has no map that could drain; `ERR_NOT_AWAITED` if another check of it runs
 */
export function drainWithin(
  mapOrRegistry: unknown,
  duration: Duration,
  options: DrainWithinOptions = {},
): Promise<DrainResult> {
  return toldOnce(drainWithFallback('drainWithin', { mapOrRegistry, duration, options }));
}

/** As {@link drainWithin}, for a check of another name and with the fake timers of its test runner. */
export async function drainWithFallback(
  check: string,
  given: { mapOrRegistry: unknown; duration: unknown; options: unknown },
  fallback?: {
    readonly fakeTimers: Advancer | undefined;
    readonly hint: string;
    /** Is told of the check when it has begun. */
    readonly began?: (current: RunningCheck) => void;
  },
): Promise<DrainResult> {
  const subject = subjectOf(given.mapOrRegistry);
  if (subject === undefined) throw notDrainable(check, given.mapOrRegistry);
  const withinMs = durationMs(given.duration, 'duration');
  const { clock } = readOptions('', given.options, { clock: readAdvancer });
  const time = testTimeOf(subject.engine, clock, fallback?.fakeTimers);
  assertDrainable(check, subject);
  if (time === undefined) {
    throw new MapsweepError(
      'ERR_NO_CLOCK',
      `${check} makes time pass, and here nothing can: ${subject.called} has no manual clock, and ` +
        `no ${fallback === undefined ? 'clock is given' : 'fake timers are in force'}. Make it ${withTestTime}` +
        `${fallback === undefined ? '' : `, or ${fallback.hint}`}`,
    );
  }
  return whileChecking(check, subject, (current) => {
    fallback?.began?.(current);
    return drained(subject, time, withinMs, current);
  });
}

async function drained(
  subject: Subject,
  time: TestTime,
  withinMs: number,
  current: RunningCheck,
): Promise<DrainResult> {
  const watch = new LeavingWatch(subject);
  const lost = new LostEndings(subject.engine);
  const trackers = subject.trackers();
  const stepMs = Math.max(subject.engine.sweepEveryMs, Math.ceil(withinMs / mostSteps));
  const goneBack = goneBackLines(subject.engine);
  let elapsedMs = 0;
  // When it was found drained and has been ever since; and whether it was and has not.
  let since: number | undefined;
  let cameBack = false;
  try {
    for (;;) {
      await sweepNow(subject, current);
      if (!isDrained(subject)) {
        cameBack ||= since !== undefined;
        since = undefined;
      } else since ??= elapsedMs;
      if (elapsedMs >= withinMs) break;
      const rest = withinMs - elapsedMs;
      const nextMs = since === undefined ? stepMs : Math.max(stepMs, Math.ceil(rest / looksWhileDrained));
      const ms = passableMs(subject, Math.min(nextMs, rest));
      await time.pass(ms);
      elapsedMs += ms;
    }
  } finally {
    watch.stop();
    lost.stop();
  }
  const left = Object.fromEntries(trackers.map((tracker) => [tracker.name, watch.of(tracker)]));
  const leaving = Object.entries(left)
    .filter(([, rules]) => Object.keys(rules).length > 0)
    .map(([map, rules]) => `${map} ${leavingsText(rules)}`);
  const how = [
    ...(leaving.length === 0 ? [] : [`; entries left: ${leaving.join('; ')}`]),
    ...(lost.size === 0
      ? []
      : [`; ${counted(lost.size, 'dead letter')}, so that nobody heard of what ended`]),
  ].join('');
  if (since !== undefined) {
    const rest = since < withinMs ? ` and stays so until ${span(withinMs)} are over` : '';
    const message = `${subject.called} is drained after ${span(since)}${rest}${how}`;
    return { drained: true, elapsedMs: since, left, message };
  }
  const message = [
    `${subject.called} is not drained after ${span(withinMs)}; it holds:`,
    ...remainderLines(subject),
    ...lost.lines,
    ...goneBack,
    `  ${span(withinMs)} passed${how}${cameBack ? '; it had been drained meanwhile' : ''}`,
  ].join('\n');
  return { drained: false, elapsedMs: withinMs, left, message };
}

/** Sweeps what is due now, and lets the callbacks of that settle, `beforeSweep` and the attempts to deliver included. */
export async function sweepNow({ engine }: Subject, current: RunningCheck): Promise<void> {
  await engine.sweeper.sweep();
  await settleAttempts(current);
}

/** Lets callbacks settle, `beforeSweep` and the attempts to deliver included: they need no time to be let pass, only their turn. */
export async function settleAttempts(current: RunningCheck): Promise<void> {
  await settle();
  await current.attempts.settle();
  current.assertGoingOn();
}
