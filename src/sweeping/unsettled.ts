import { isThenable } from '../events/unawaited.js';
import { detached } from '../time/async-context.js';

/**
 * How many promises that callbacks of the owner's have answered are pending. They are counted and not kept: one that never
 * settles is garbage once its owner has dropped it.
 */
export class Unsettled {
  #count = 0;
  #allSettled: (() => void) | undefined;

  get count(): number {
    return this.#count;
  }

  /** Counts what a callback has answered until it settles, if it is a promise. Its rejection is told, and not unhandled. */
  add(answer: unknown, onRejected: (error: unknown) => void): void {
    if (isThenable(answer)) void detached(() => this.#follow(answer, onRejected));
  }

  /** Resolves when none of those that are pending is so any more. One waits for it at most. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#allSettled = resolve;
    });
  }

  async #follow(answer: PromiseLike<unknown>, onRejected: (error: unknown) => void): Promise<void> {
    this.#count += 1;
    try {
      await answer;
    } catch (error) {
      onRejected(error);
    }
    this.#count -= 1;
    if (this.#count === 0) this.#allSettled?.();
  }
}
