import { Fifo } from './fifo.js';

/**
 * First attempts and due retries, which take turns: neither an endless stream of new endings nor one of failing ones
 * keeps the other kind from being tried. Each kind for itself is first in, first out.
 */
export class FairQueue<T> {
  readonly #fresh = new Fifo<T>();
  readonly #retries = new Fifo<T>();
  #lastWasRetry = false;

  addFresh(value: T): void {
    this.#fresh.push(value);
  }

  addRetry(value: T): void {
    this.#retries.push(value);
  }

  /** Returns whether {@link FairQueue.take} has something to give. */
  hasNext(withRetries: boolean): boolean {
    return this.#fresh.size > 0 || (withRetries && this.#retries.size > 0);
  }

  /** Takes the next one out; without `withRetries`, retries stay in the queue. */
  take(withRetries: boolean): T | undefined {
    const isRetry = withRetries && this.#retries.size > 0 && !(this.#lastWasRetry && this.#fresh.size > 0);
    this.#lastWasRetry = isRetry;
    return isRetry ? this.#retries.shift() : this.#fresh.shift();
  }
}
