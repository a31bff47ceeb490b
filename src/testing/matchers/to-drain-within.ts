import type { Duration } from '../../policy/duration.js';
import { type DrainWithinOptions, drainWithFallback } from '../drain-within.js';
import type { FakeTimers } from './fake-timers.js';
import type { MatcherResult } from './matcher.js';

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

function shown(duration: Duration): string {
  return typeof duration === 'number' ? `${duration} ms` : duration;
}
