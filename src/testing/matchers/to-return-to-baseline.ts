import { MapsweepError } from '../../errors.js';
import { type BaselineOptions, baselineWithFallback } from '../return-to-baseline.js';
import type { FakeTimers } from './fake-timers.js';
import type { MatcherContext, MatcherResult } from './matcher.js';

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
