import { MapsweepError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import type { Duration } from '../policy/duration.js';
import { collected, derefOf } from './collectable.js';
import { type DrainWithinOptions, drainWithFallback } from './drain-within.js';
import { assertDrainable, isDrained, notDrainable, undrainedMessage } from './drained.js';
import { endedOnceSummary, notAllEndedOnce, notEndedOnce } from './ended-runs.js';
import { type BaselineOptions, baselineWithFallback } from './return-to-baseline.js';
import { notAwaited, outOfTime, type RunningCheck } from './running-check.js';
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
interface FakeTimers {
  /** What lets time pass, while they are in force. */
  inForce(): Advancer | undefined;
  /** How to put them in force, for messages: a clause that follows "or". */
  readonly hint: string;
}

/** What the matchers ask of the test runner. */
export interface TestRunner<Context extends MatcherContext = MatcherContext> {
  readonly fakeTimers: FakeTimers;
  /**
   * Has `call` called when the test is over that a matcher is used in, if it is known which one that is; what it throws
   * fails that test.
   */
  atTestEnd(context: Context, call: (isOutOfTime: boolean) => void): void;
}

/** `expect(mapOrRegistry).toBeDrained()` */
export function toBeDrained(received: unknown): MatcherResult {
  const subject = subjectOf(received);
  if (subject === undefined) throw notDrainable('toBeDrained', received);
  assertDrainable('toBeDrained', subject);
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

/** `await expect(mapOrRegistry).toDrainWithin('5m')` */
export function toDrainWithin<Context extends MatcherContext>(runner: TestRunner<Context>) {
  return function (
    this: Context,
    received: unknown,
    duration: Duration,
    options: DrainWithinOptions = {},
  ): Promise<MatcherResult> {
    return toBeAwaited(runner, this, 'toDrainWithin', async (began) => {
      const given = { mapOrRegistry: received, duration, options };
      const { drained, message } = await drainWithFallback('toDrainWithin', given, {
        fakeTimers: runner.fakeTimers.inForce(),
        hint: runner.fakeTimers.hint,
        began,
      });
      const expected = `expected it ${drained ? 'not ' : ''}to drain within ${shown(duration)}, but `;
      return { pass: drained, message: () => expected + message };
    });
  };
}

/** `await expect(scenario).toReturnToBaseline({ registry })` */
export function toReturnToBaseline<Context extends MatcherContext>(runner: TestRunner<Context>) {
  return function (this: Context, received: unknown, options: BaselineOptions): Promise<MatcherResult> {
    return toBeAwaited(runner, this, 'toReturnToBaseline', async (began) => {
      const fakeTimers = runner.fakeTimers.inForce();
      const result = await baselineWithFallback('toReturnToBaseline', received, options, {
        fakeTimers,
        began,
      });
      const { held, decided, message } = result;
      // What could not be decided is no leak: whoever asserts one must not be told that there is.
      if (this.isNot && !held && !decided) throw new MapsweepError('ERR_NOTHING_PROVED', message);
      return {
        pass: held,
        message: () => (held ? `expected the scenario to leave something behind, but ${message}` : message),
      };
    });
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
export function toBecomeCollectable<Context extends MatcherContext>(runner: TestRunner<Context>) {
  return function (this: Context, received: unknown): Promise<MatcherResult> {
    return toBeAwaited(runner, this, 'toBecomeCollectable', async () => {
      const pass = await collected(derefOf('toBecomeCollectable', received));
      return {
        pass,
        message: () =>
          pass
            ? 'expected the value behind the WeakRef to be held by something, but it was collected'
            : 'expected the value behind the WeakRef to become collectable, but something still holds it. It may be the ' +
              'test itself: a variable that is still used, a closure, what a mock was called with, or a failed assertion',
      };
    });
  };
}

/** Fails the test that is over before a matcher is: nobody would hear of what that finds. */
async function toBeAwaited<Context extends MatcherContext>(
  runner: TestRunner<Context>,
  context: Context,
  check: string,
  run: (began: (current: RunningCheck) => void) => Promise<MatcherResult>,
): Promise<MatcherResult> {
  const forgotten = notAwaited(check);
  const late = outOfTime(check);
  let current: RunningCheck | undefined;
  let isOver = false;
  let isTold = false;
  runner.atTestEnd(context, (isOutOfTime) => {
    if (isOver || current?.isAbandoned) return;
    isTold = true;
    current?.abandon();
    throw isOutOfTime ? late : forgotten;
  });
  const answered: MatcherResult = { pass: !context.isNot, message: () => '' };
  try {
    const result = await run((begun) => {
      current = begun;
    });
    return isTold ? answered : result;
  } catch (error) {
    // It was said why; an unhandled rejection would say it again.
    if (isTold || current?.isAbandoned) return answered;
    throw error;
  } finally {
    isOver = true;
  }
}

function shown(duration: Duration): string {
  return typeof duration === 'number' ? `${duration} ms` : duration;
}
