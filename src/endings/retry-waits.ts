import type { Clock } from '../time/clock.js';
import { type DeadlineEntry, DeadlineHeap } from '../time/deadline-heap.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';
import { type BackoffLimits, retryDelayMs } from './backoff.js';

/** So many waits that are over come to an end in one turn of the loop. */
const mostOverAtOnce = 500;

/** What can wait for its next attempt. */
export interface WaitingItem {
  /** Its last wait, which may be over; `undefined` before the first. Written by {@link RetryWaits} alone. */
  wait: DeadlineEntry<unknown> | undefined;
}

/** What becomes of an item whose wait is over. None of these may throw. */
export interface RetryWaitsHost<T> {
  /** Its next attempt is due. */
  due(item: T): void;
  /** Its time was over before the next attempt would have been due. */
  over(item: T): void;
}

interface Wait<T> {
  readonly item: T;
  /** Its next attempt is due at the end; else its time is over. */
  readonly isDue: boolean;
}

/**
 * What waits for its next attempt, each until its own instant or until all are released.
 *
 * One ticket serves all, set for the first instant that comes, so that a million waits are paused and released at once: they stay
 * where they are, and are taken out as their attempts begin.
 */
export class RetryWaits<T extends WaitingItem> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #limits: BackoffLimits;
  readonly #host: RetryWaitsHost<T>;
  #waits = new DeadlineHeap<Wait<T>>();
  #released = new DeadlineHeap<Wait<T>>();
  #ticket: TimerTicket | undefined;
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
      item.wait = this.#waits.insert(Number.POSITIVE_INFINITY, { item, isDue: true });
      return undefined;
    }
    const delayMs = retryDelayMs(attempt, this.#limits, () => this.#clock.random?.() ?? Math.random());
    const dueAt = this.#clock.monotonic() + delayMs;
    const isDue = dueAt < overAt;
    item.wait = this.#waits.insert(Math.min(dueAt, overAt), { item, isDue });
    this.#watch();
    return isDue ? delayMs : Number.POSITIVE_INFINITY;
  }

  /** An item waits no more. */
  delete(item: T): void {
    const wait = item.wait as DeadlineEntry<Wait<T>> | undefined;
    if (wait === undefined) return;
    this.#waits.remove(wait);
    this.#released.remove(wait);
    if (this.#waits.size === 0) this.#rest();
  }

  /** Gives the ticket back; items wait until {@link RetryWaits.releaseAll}. */
  pause(): void {
    this.#isPaused = true;
    this.#rest();
  }

  /** Ends every wait now, and the pause: {@link RetryWaits.releaseNext} has the next attempt of one after the other due. */
  releaseAll(): void {
    this.#isPaused = false;
    this.#rest();
    this.#released = this.#waits;
    this.#waits = new DeadlineHeap();
  }

  /** Has the next attempt due of one of those that were released, the one whose wait would have ended first. */
  releaseNext(): void {
    const next = this.#released.pop();
    if (next !== undefined) this.#host.due(next.item);
  }

  /** Sets the ticket for the first wait that ends; if that is deleted, the ticket comes early and is set again. */
  #watch(): void {
    const first = this.#waits.peek();
    if (first === undefined || first.at >= (this.#ticket?.at ?? Number.POSITIVE_INFINITY)) return;
    this.#rest();
    this.#ticket = this.#timers.schedule(first.at, () => this.#end());
  }

  #rest(): void {
    this.#timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }

  #end(): void {
    this.#ticket = undefined;
    const now = this.#clock.monotonic();
    for (let left = mostOverAtOnce; left > 0; left -= 1) {
      const first = this.#waits.peek();
      if (first === undefined || first.at > now || this.#isPaused) break;
      const wait = this.#waits.pop()!;
      const { item, isDue } = wait;
      if (!isDue) this.#host.over(item);
      else if (this.#released.size === 0) this.#host.due(item);
      // Behind those that were released and have not had their turn.
      else item.wait = this.#released.insert(Number.POSITIVE_INFINITY, wait);
    }
    if (!this.#isPaused) this.#watch();
  }
}
