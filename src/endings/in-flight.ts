import { type Clock, yieldToEventLoop } from '../time/clock.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';

/**
 * The attempts that run, oldest first, and their time-out. All have the same time to run, so the oldest is the first
 * to time out: one ticket, set for it, serves all, and is left alone when that attempt is over and the next becomes the
 * oldest.
 *
 * A time-out is judged after the event loop has had a turn: where the loop was blocked, the answer may be there, and
 * nobody has read it yet.
 */
export class InFlight<Attempt extends { readonly startedAt: number }> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #timeoutMs: number;
  readonly #timedOut: (attempt: Attempt) => void;
  readonly #attempts = new Set<Attempt>();
  #ticket: TimerTicket | undefined;
  #isJudging = false;
  #isPaused = false;

  /** `timedOut` is called after the attempt has left; it may call back in, and must not throw. */
  constructor(clock: Clock, timers: TimerQueue, timeoutMs: number, timedOut: (attempt: Attempt) => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
    this.#timedOut = timedOut;
  }

  get size(): number {
    return this.#attempts.size;
  }

  /** `startedAt` (monotonic) must not be earlier than that of any attempt added before. */
  add(attempt: Attempt): void {
    this.#attempts.add(attempt);
    this.#arm();
  }

  /** Returns false if the attempt has timed out. The ticket stays until {@link InFlight.rest}. */
  delete(attempt: Attempt): boolean {
    return this.#attempts.delete(attempt);
  }

  /** Gives the ticket back if nothing runs. To be called when nothing is about to start either. */
  rest(): void {
    if (this.#attempts.size === 0) this.#disarm();
  }

  /** No attempt times out until {@link InFlight.resume}. */
  pause(): void {
    this.#isPaused = true;
    this.#disarm();
  }

  /** Time-outs count again, with the time that passed meanwhile. */
  resume(): void {
    this.#isPaused = false;
    this.#arm();
  }

  [Symbol.iterator](): IterableIterator<Attempt> {
    return this.#attempts.values();
  }

  #arm(): void {
    if (this.#ticket !== undefined || this.#isJudging || this.#isPaused) return;
    for (const oldest of this.#attempts) {
      this.#ticket = this.#timers.schedule(oldest.startedAt + this.#timeoutMs, () => void this.#expire());
      return;
    }
  }

  #disarm(): void {
    this.#timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }

  async #expire(): Promise<void> {
    this.#ticket = undefined;
    this.#isJudging = true;
    // Of a turn that a timer began the first `setImmediate` comes before any other timer, and sockets are read between.
    await yieldToEventLoop();
    await yieldToEventLoop();
    this.#isJudging = false;
    if (this.#isPaused) return;
    const now = this.#clock.monotonic();
    const due: Attempt[] = [];
    for (const attempt of this.#attempts) {
      if (attempt.startedAt + this.#timeoutMs > now) break;
      due.push(attempt);
    }
    // All of them leave before the first call out, which may start others.
    for (const attempt of due) this.#attempts.delete(attempt);
    this.#arm();
    for (const attempt of due) this.#timedOut(attempt);
  }
}
