import { endedOnceSummary, notEndedOnce } from '../ended-runs.js';
import { shownKey } from '../survivors.js';
import type { MatcherResult } from './matcher.js';

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
