import { MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';

/** The longest id that is taken. */
const longestId = 256;

/** The owner's answer to which run a registration is; in place of one that is none, what tells of that. */
export type OwnIdOf = (value: unknown, key: unknown) => string | (() => void);

/** Returns how the owner is asked; what he gets wrong is counted. */
export function askingOwner(
  ask: (value: unknown, key: unknown) => unknown,
  failed: (key: unknown, error: unknown) => void,
): OwnIdOf {
  return (value, key) => {
    try {
      const answer = ask(value, key);
      if (typeof answer === 'number' && Number.isFinite(answer)) return String(answer);
      if (typeof answer === 'string' && answer.length <= longestId) return answer;
      if (isThenable(answer)) swallowRejection(answer, () => {});
      throw new MapsweepTypeError(
        'ERR_INVALID_ANSWER',
        `ended.id must answer a string or finite number of at most ${longestId} characters, got ${describe(answer)}`,
      );
    } catch (error) {
      return () => failed(key, error);
    }
  };
}
