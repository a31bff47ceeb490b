import { MapsweepRangeError } from '../errors.js';
import { detached } from './async-context.js';
import type { Clock } from './clock.js';
import { type DeadlineEntry, DeadlineHeap } from './deadline-heap.js';

/** A scheduled call. Opaque; good for {@link TimerQueue.cancel} alone. */
export type TimerTicket = DeadlineEntry<unknown>;

interface Call {
  /** The instant asked for, which the entry in the heap may be later than. */
  readonly at: number;
  readonly fn: (scheduledAt: number) => void;
}

interface ReferencedHandle {
  ref?: () => unknown;
  unref?: () => unknown;
}

/** The longest delay a timer takes; Node turns a longer one into 1 ms. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Subtracting two instants of 2^53 ns leaves errors below this; without it, they would cost a timer 1 ms more. */
const ROUNDING_MS = 1e-6;

/**
 * Keeps all deadlines of a registry on one timer, as the Pacer of Caffeine does: the timer is set for the earliest
 * ticket, left alone when a later one is added or an earlier one cancelled, and does not keep the process alive.
 *
 * Tickets run in the order of their instants, never early by `clock.monotonic()`, outside any request's async
 * context. What a ticket schedules, however early, runs on a later timer. Tickets may call every method.
 */
export class TimerQueue {
  readonly #clock: Clock;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #calls = new DeadlineHeap<Call>();
  /** `isSetFor` is the instant of the ticket it was set for, before rounding; no ticket before that needs another. */
  #timer: { readonly handle: unknown; readonly isSetFor: number } | undefined;
  #isPaused = false;
  /** The instant whose tickets are running. */
  #runningAt: number | undefined;
  #holds = 0;

  /** `onError` gets what tickets throw, and must not throw itself; by default that is ignored. */
  constructor(clock: Clock, options: { onError?: (error: unknown) => void } = {}) {
    this.#clock = clock;
    this.#onError = options.onError;
  }

  /** How many tickets wait. */
  get size(): number {
    return this.#calls.size;
  }

  /**
   * Calls `fn(atMonotonic)` once, at the first timer at or after that instant of `clock.monotonic()`; an instant in
   * the past means the next timer.
   * @throws MapsweepRangeError if `atMonotonic` is NaN
   */
  schedule(atMonotonic: number, fn: (scheduledAt: number) => void): TimerTicket {
    if (Number.isNaN(atMonotonic)) {
      throw new MapsweepRangeError('ERR_INVALID_OPTION', 'atMonotonic: received NaN, expected milliseconds');
    }
    // While tickets run, a new one sorts behind all of them, so that none of these waits behind those they schedule.
    const at = this.#runningAt === undefined ? atMonotonic : Math.max(atMonotonic, this.#runningAt);
    const ticket = this.#calls.insert(at, { at: atMonotonic, fn });
    this.#arm(0);
    return ticket;
  }

  /** Takes a ticket back, in O(log n). Tickets that ran or were cancelled before, and `undefined`, are ignored. */
  cancel(ticket: TimerTicket | undefined): void {
    if (ticket === undefined) return;
    this.#calls.remove(ticket as DeadlineEntry<Call>);
    if (this.#calls.size === 0) this.#disarm();
  }

  /** Clears the timer and keeps the tickets. Inside a ticket, the ones behind it wait too. */
  pause(): void {
    this.#isPaused = true;
    this.#disarm();
  }

  /** Goes on after {@link TimerQueue.pause}; what became due meanwhile runs on the next timer. */
  resume(): void {
    this.#isPaused = false;
    this.#arm(0);
  }

  /** Drops every ticket, and with them the timer. */
  clear(): void {
    this.#calls.clear();
    this.#disarm();
  }

  /**
   * Lets the timer keep the process alive until the returned function is called: somebody awaits a ticket, and Node
   * would otherwise exit under them. Calling that again is harmless.
   */
  holdProcess(): () => void {
    let isHeld = true;
    this.#holds += 1;
    this.#reference();
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      this.#reference();
    };
  }

  #run(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    const already = this.#calls.inserted;
    this.#runningAt = now;
    for (let next = this.#calls.peek(); next !== undefined && !this.#isPaused; next = this.#calls.peek()) {
      if (next.at > now || !this.#calls.isBefore(next, already)) break;
      const call = this.#calls.pop()!;
      try {
        call.fn(call.at);
      } catch (error) {
        this.#report(error);
      }
    }
    this.#runningAt = undefined;
    // At least 1 ms: a ticket that schedules itself for now must let time pass, on clocks that take 0 too.
    this.#arm(1);
  }

  #report(error: unknown): void {
    try {
      this.#onError?.(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  #arm(leastDelayMs: number): void {
    const earliest = this.#calls.peek();
    if (earliest === undefined || this.#isPaused || this.#runningAt !== undefined) return;
    // A timer that comes too soon finds nothing due and sets the next one: cheaper than moving it at every change.
    if (this.#timer !== undefined && this.#timer.isSetFor <= earliest.at) return;
    this.#disarm();
    const now = this.#clock.monotonic();
    const delayMs = Math.min(
      Math.max(Math.ceil(earliest.at - now - ROUNDING_MS), leastDelayMs),
      LONGEST_DELAY_MS,
    );
    this.#timer = {
      handle: detached(() => this.#clock.setTimeout(() => this.#run(), delayMs)),
      // One that fires as soon as any can is right for every ticket, however long ago that was due.
      isSetFor: earliest.at <= now ? -Infinity : Math.min(earliest.at, now + delayMs),
    };
    this.#reference();
  }

  #disarm(): void {
    if (this.#timer === undefined) return;
    const { handle } = this.#timer;
    this.#timer = undefined;
    this.#clock.clearTimeout(handle);
  }

  #reference(): void {
    const handle = this.#timer?.handle as ReferencedHandle | null | undefined;
    if (this.#holds > 0) handle?.ref?.();
    else handle?.unref?.();
  }
}
