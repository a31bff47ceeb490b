import type { Clock } from '../time/clock.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';
import { type BackoffLimits, retryDelayMs } from './backoff.js';

/** What becomes of an item whose wait is over. None of these may throw. */
export interface RetryWaitsHost<T> {
  /** Its next attempt is due. */
  due(item: T): void;
  /** Its time was over before the next attempt would have been due. */
  over(item: T): void;
}

/** What waits for its next attempt, each until its own instant or until all are released. */
export class RetryWaits<T> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #limits: BackoffLimits;
  readonly #host: RetryWaitsHost<T>;
  readonly #waiting = new Map<T, TimerTicket | undefined>();
  #isPaused = false;

  constructor(clock: Clock, timers: TimerQueue, limits: BackoffLimits, host: RetryWaitsHost<T>) {
    this.#clock = clock;
    this.#timers = timers;
    this.#limits = limits;
    this.#host = host;
  }

  /** True while items wait without an end in sight. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Lets an item wait after its failed attempt number `attempt`, at most until `overAt` (monotonic ms).
   *
   * @returns for how many ms; `Infinity` if its time is over before the next attempt; paused, `undefined`
   */
  add(item: T, attempt: number, overAt: number): number | undefined {
    if (this.#isPaused) {
      this.#waiting.set(item, undefined);
      return undefined;
    }
    const delayMs = retryDelayMs(attempt, this.#limits, () => this.#clock.random?.() ?? Math.random());
    const dueAt = this.#clock.monotonic() + delayMs;
    const isDue = dueAt < overAt;
    const ticket = this.#timers.schedule(Math.min(dueAt, overAt), () => {
      this.#waiting.delete(item);
      if (isDue) this.#host.due(item);
      else this.#host.over(item);
    });
    this.#waiting.set(item, ticket);
    return isDue ? delayMs : Number.POSITIVE_INFINITY;
  }

  /** An item waits no more. */
  delete(item: T): void {
    this.#timers.cancel(this.#waiting.get(item));
    this.#waiting.delete(item);
  }

  /** Gives every ticket back; items wait until {@link RetryWaits.releaseAll}. */
  pause(): void {
    this.#isPaused = true;
    for (const [item, ticket] of this.#waiting) {
      this.#timers.cancel(ticket);
      this.#waiting.set(item, undefined);
    }
  }

  /** Ends every wait now, and the pause: the next attempt of each is due. */
  releaseAll(): void {
    this.#isPaused = false;
    const items = [...this.#waiting.keys()];
    for (const ticket of this.#waiting.values()) this.#timers.cancel(ticket);
    this.#waiting.clear();
    for (const item of items) this.#host.due(item);
  }
}
