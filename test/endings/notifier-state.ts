import type { Notifier, NotifierState } from '../../src/endings/notifier.js';

/** All that a notifier owes, for another one to take over. */
export function stateOf<K, V>(notifier: Notifier<K, V>): NotifierState<K, V> {
  const pending = [...notifier.obligations()].map(({ event, attempts, triedAt }) => ({
    event,
    attempts,
    triedAt,
  }));
  const deadLetters = [...notifier.letters()].map(({ letter, diedAt }) => ({
    letter: { ...letter },
    diedAt,
  }));
  return { pending, deadLetters };
}
