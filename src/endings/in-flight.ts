import { type Linked, LinkedList } from '../stamps/linked-list.js';
import { type Clock, yieldToEventLoop } from '../time/clock.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';

/** An attempt, as a link of the list of those that run. */
export interface RunningAttempt<Attempt> extends Linked<Attempt> {
  /** Monotonic. */
  readonly startedAt: number;
}

/**
 * The attempts that run, oldest first, and their time-out. All have the same time to run, so the oldest is the first
 * to time out: one ticket, set for it, serves all, and is left alone when that attempt is over and the next becomes the
 * oldest.
 *
 * A time-out is judged after the event loop has had a turn: where the loop was blocked, the answer may be there, and
 * nobody has read it yet.
 */
export class InFlight<Attempt extends RunningAttempt<Attempt>> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #timeoutMs: number;
  readonly #timedOut: (attempt: Attempt) => void;
  readonly #attempts = new LinkedList<Attempt>();
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
    if (this.size === 0) this.#disarm();
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

  /** Returns those that run now, the oldest first. */
  all(): Attempt[] {
    const all: Attempt[] = [];
    for (let attempt = this.#attempts.first; attempt !== undefined; attempt = attempt.later)
      all.push(attempt);
    return all;
  }

  #arm(): void {
    const oldest = this.#attempts.first;
    if (this.#ticket !== undefined || this.#isJudging || this.#isPaused || oldest === undefined) return;
    this.#ticket = this.#timers.schedule(oldest.startedAt + this.#timeoutMs, () => void this.#expire());
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
    // All of them leave before the first call out, which may start others.
    for (let { first } = this.#attempts; first !== undefined; first = this.#attempts.first) {
      if (first.startedAt + this.#timeoutMs > now) break;
      due.push(first);
      this.delete(first);
    }
    this.#arm();
    for (const attempt of due) this.#timedOut(attempt);
  }
}
