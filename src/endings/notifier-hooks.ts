import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';
import { copyOf } from './dead-letters.js';

/**
 * Whom a notifier tells. Each is called synchronously, after the state has changed, and may call back in. What one
 * throws goes to `handlerFailed`, and what that throws goes nowhere.
 */
export interface NotifierHooks<K, V> {
  /** Once for each delivered event; `durationMs` is that of the attempt that succeeded, late or not. */
  delivered(event: EndedEvent<K, V>, durationMs: number, attempt: number): void;
  /** `delayMs` is the pause before the retry; `undefined` without one, or while retries are paused. */
  attemptFailed(
    event: EndedEvent<K, V>,
    attempt: number,
    error: unknown,
    willRetry: boolean,
    delayMs: number | undefined,
  ): void;
  /** A new dead letter, a copy. `redeliver` takes it at once, unless its timed-out attempt is still running. */
  deadLetter(letter: DeadLetter<K, V>): void;
  /** A letter was dropped for a newer one, a copy. */
  deadLetterDropped(letter: DeadLetter<K, V>): void;
  /** A hook threw, or an attempt that had timed out rejected after all. */
  handlerFailed(error: unknown): void;
}

/** Hooks that can be called anywhere: nothing they throw comes out. */
export class GuardedHooks<K, V> implements NotifierHooks<K, V> {
  readonly #hooks: NotifierHooks<K, V>;

  constructor(hooks: NotifierHooks<K, V>) {
    this.#hooks = hooks;
  }

  delivered(event: EndedEvent<K, V>, durationMs: number, attempt: number): void {
    this.#call(() => this.#hooks.delivered(event, durationMs, attempt));
  }

  attemptFailed(
    event: EndedEvent<K, V>,
    attempt: number,
    error: unknown,
    willRetry: boolean,
    delayMs: number | undefined,
  ): void {
    this.#call(() => this.#hooks.attemptFailed(event, attempt, error, willRetry, delayMs));
  }

  deadLetter(letter: DeadLetter<K, V>): void {
    this.#call(() => this.#hooks.deadLetter(copyOf(letter)));
  }

  deadLetterDropped(letter: DeadLetter<K, V>): void {
    this.#call(() => this.#hooks.deadLetterDropped(copyOf(letter)));
  }

  handlerFailed(error: unknown): void {
    try {
      this.#hooks.handlerFailed(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  #call(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.handlerFailed(error);
    }
  }
}
