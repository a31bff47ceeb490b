import { notAllEndedOnce } from '../ended-runs.js';
import type { MatcherResult } from './matcher.js';

/** `expect(registry).toHaveEndedEveryRunOnce()` */
export function toHaveEndedEveryRunOnce(received: unknown): MatcherResult {
  const problem = notAllEndedOnce('toHaveEndedEveryRunOnce', received);
  return {
    pass: problem === undefined,
    message: () => problem ?? 'expected some run not to have ended exactly once, but all of them have',
  };
}
