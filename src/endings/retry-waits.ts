import type { Clock } from '../time/clock.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';
import { type BackoffLimits, retryDelayMs } from './backoff.js';

/** What waits for its next attempt, each until its own instant or until all are released. */
export class RetryWaits<T> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #limits: BackoffLimits;
  readonly #due: (item: T) => void;
  readonly #waiting = new Map<T, TimerTicket | undefined>();
  #isPaused = false;

  /** `due` is called when the wait of an item is over; it must not throw. */
  constructor(clock: Clock, timers: TimerQueue, limits: BackoffLimits, due: (item: T) => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#limits = limits;
    this.#due = due;
  }

  /** True while items wait without an end in sight. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Lets an item wait after its failed attempt number `attempt`. Returns for how many ms; paused, `undefined`. */
  add(item: T, attempt: number): number | undefined {
    if (this.#isPaused) {
      this.#waiting.set(item, undefined);
      return undefined;
    }
    const delayMs = retryDelayMs(attempt, this.#limits, () => this.#clock.random?.() ?? Math.random());
    const ticket = this.#timers.schedule(this.#clock.monotonic() + delayMs, () => {
      this.#waiting.delete(item);
      this.#due(item);
    });
    this.#waiting.set(item, ticket);
    return delayMs;
  }

  /** Gives every ticket back; items wait until {@link RetryWaits.releaseAll}. */
  pause(): void {
    this.#isPaused = true;
    for (const [item, ticket] of this.#waiting) {
      this.#timers.cancel(ticket);
      this.#waiting.set(item, undefined);
    }
  }

  /** Ends every wait now, and the pause. */
  releaseAll(): void {
    this.#isPaused = false;
    const items = [...this.#waiting.keys()];
    for (const ticket of this.#waiting.values()) this.#timers.cancel(ticket);
    this.#waiting.clear();
    for (const item of items) this.#due(item);
  }
}
