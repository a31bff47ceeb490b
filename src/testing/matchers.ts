import { MapsweepError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import type { Duration } from '../policy/duration.js';
import { collected, derefOf } from './collectable.js';
import { type DrainWithinOptions, drainWithFallback } from './drain-within.js';
import { isDrained, notDrainable, undrainedMessage } from './drained.js';
import { endedOnceSummary, notAllEndedOnce, notEndedOnce } from './ended-runs.js';
import { type BaselineOptions, baselineWithFallback } from './return-to-baseline.js';
import { subjectOf } from './subject.js';
import type { Advancer } from './test-time.js';

/** What the matchers read of the context that a test runner calls them in. */
export interface MatcherContext {
  readonly isNot?: boolean;
}

/** What a matcher answers. The message is for the outcome that was not asked for: with `pass`, for that of `.not`. */
export interface MatcherResult {
  readonly pass: boolean;
  message(): string;
}

/** The fake timers of a test runner. */
export interface FakeTimers {
  /** What lets time pass, while they are in force. */
  inForce(): Advancer | undefined;
  /** How to put them in force, for messages: a clause that follows "or". */
  readonly hint: string;
}

/** `expect(mapOrRegistry).toBeDrained()` */
export function toBeDrained(received: unknown): MatcherResult {
  const subject = subjectOf(received);
  if (subject === undefined) throw notDrainable('toBeDrained', received);
  const pass = isDrained(subject);
  const nothing =
    subject.registry === undefined
      ? 'it is empty'
      : 'every map of it that has a lifetime or a leader is empty, and nothing is pending';
  return {
    pass,
    message: () =>
      pass ? `expected ${subject.called} not to be drained, but ${nothing}` : undrainedMessage(subject),
  };
}

/** `await expect(mapOrRegistry).toDrainWithin('5m')`, with the fake timers of a test runner at hand. */
export function toDrainWithin(fakeTimers: FakeTimers) {
  return async (
    received: unknown,
    duration: Duration,
    options: DrainWithinOptions = {},
  ): Promise<MatcherResult> => {
    const given = { mapOrRegistry: received, duration, options };
    const { drained, message } = await drainWithFallback('toDrainWithin', given, {
      fakeTimers: fakeTimers.inForce(),
      hint: fakeTimers.hint,
    });
    const expected = `expected it ${drained ? 'not ' : ''}to drain within ${shown(duration)}, but `;
    return { pass: drained, message: () => expected + message };
  };
}

/** `await expect(scenario).toReturnToBaseline({ registry })`, with the fake timers of a test runner at hand. */
export function toReturnToBaseline(fakeTimers: FakeTimers) {
  return async function (
    this: MatcherContext,
    received: unknown,
    options: BaselineOptions,
  ): Promise<MatcherResult> {
    const result = await baselineWithFallback('toReturnToBaseline', received, options, fakeTimers.inForce());
    const { held, decided, message } = result;
    // Entries that only had no time to leave are no leak: whoever asserts one must not be told that there is.
    if (this.isNot && !held && !decided) throw new MapsweepError('ERR_NO_CLOCK', message);
    return {
      pass: held,
      message: () => (held ? `expected the scenario to leave something behind, but ${message}` : message),
    };
  };
}

/** `expect(registry).toHaveEndedExactlyOnce(key)` */
export function toHaveEndedExactlyOnce(received: unknown, key: unknown): MatcherResult {
  const problem = notEndedOnce('toHaveEndedExactlyOnce', received, key);
  return {
    pass: problem === undefined,
    message: () =>
      problem ??
      `expected the run ${shownKey(key)} not to have ended exactly once, but it has:\n${endedOnceSummary(received, key)}`,
  };
}

/** `expect(registry).toHaveEndedEveryRunOnce()` */
export function toHaveEndedEveryRunOnce(received: unknown): MatcherResult {
  const problem = notAllEndedOnce('toHaveEndedEveryRunOnce', received);
  return {
    pass: problem === undefined,
    message: () => problem ?? 'expected some run not to have ended exactly once, but all of them have',
  };
}

/** `await expect(weakRef).toBecomeCollectable()` */
export async function toBecomeCollectable(received: unknown): Promise<MatcherResult> {
  const pass = await collected(derefOf('toBecomeCollectable', received));
  return {
    pass,
    message: () =>
      pass
        ? 'expected the value behind the WeakRef to be held by something, but it was collected'
        : 'expected the value behind the WeakRef to become collectable, but something still holds it. It may be the ' +
          'test itself: a variable that is still used, a closure, what a mock was called with, or a failed assertion',
  };
}

function shown(duration: Duration): string {
  return typeof duration === 'number' ? `${duration} ms` : duration;
}
