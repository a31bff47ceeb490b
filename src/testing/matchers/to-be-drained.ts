import { isDrained, notDrainable, undrainedMessage } from '../drained.js';
import { subjectOf } from '../subject.js';
import type { MatcherResult } from './matcher.js';

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
