import { MapsweepTypeError } from '../errors.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';

/** Stands for the answer of a function that threw or answered what it may not. */
export const FAILED = Symbol('failed');

/**
 * Asks a function of the owner. What it throws, and an answer that it may not give, goes to `failed` and no further.
 * A promise is not awaited, and one that is no answer never becomes an unhandled rejection.
 *
 * @param name what the function is called in the policy, for the message
 * @param objection says what is wrong with an answer, to stand after "must answer"; `undefined`: nothing is
 */
export function ask<V, K, Answer>(
  name: string,
  question: (value: V, key: K) => Answer,
  value: V,
  key: K,
  objection: (answer: unknown) => string | undefined,
  failed: (error: unknown) => void,
): Answer | typeof FAILED {
  try {
    const answer = question(value, key);
    const wrong = objection(answer);
    if (wrong === undefined) return answer;
    swallowRejection(answer, () => {});
    throw new MapsweepTypeError('ERR_INVALID_ANSWER', `${name} must answer ${wrong}`);
  } catch (error) {
    failed(error);
    return FAILED;
  }
}

/** Asks a yes-or-no function of the owner, whose answer may be anything but a promise. */
export function askWhether<V, K>(
  name: string,
  question: (value: V, key: K) => unknown,
  value: V,
  key: K,
  failed: (error: unknown) => void,
): boolean | typeof FAILED {
  const answer = ask(name, question, value, key, promiseObjection, failed);
  return answer === FAILED ? FAILED : Boolean(answer);
}

function promiseObjection(answer: unknown): string | undefined {
  return isThenable(answer) ? 'true or false, got a promise' : undefined;
}
