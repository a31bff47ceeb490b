import type { Engine } from '../sweeping/engine.js';
import type { TimerTicket } from '../time/timer-queue.js';
import type { Absences } from './absences.js';

/**
 * How long entries of earlier lives are awaited, in running time over all lives: of a stretch in which the process was
 * stopped, or slept, one interval counts, since nobody could come back then.
 */
export class RestoreWindow {
  readonly #engine: Engine;
  readonly #windowMs: number;
  readonly #absences: Absences;
  #ticket: TimerTicket | undefined;
  #isOpen = false;
  #isStopped = false;
  #elapsedMs = 0;
  #seenAt = 0;
  /** The running time of this life at which the next entry's window closes. */
  #nextAtMs = Number.POSITIVE_INFINITY;

  constructor(engine: Engine, windowMs: number, absences: Absences) {
    this.#engine = engine;
    this.#windowMs = windowMs;
    this.#absences = absences;
  }

  /** How long it has been open in this life, ms of running time; `undefined` while it is closed. */
  get elapsedMs(): number | undefined {
    return this.#isOpen ? this.#elapsedMs : undefined;
  }

  /** How long it has been open in this life, open or not at present, ms of running time. */
  get runningMs(): number {
    return this.#elapsedMs;
  }

  /** Begins to wait for what is awaited by now. */
  open(): void {
    this.#isStopped = false;
    this.#nextAtMs = this.#earliest();
    this.#isOpen = this.#nextAtMs < Number.POSITIVE_INFINITY;
    this.#seenAt = this.#engine.timeline.now();
    this.#schedule();
  }

  /** Waits no longer, and closes nothing. What has passed since the last tick counts: many lives are shorter than an interval. */
  stop(): void {
    if (this.#isOpen && !this.#isStopped && !this.#engine.isStopped) this.#count();
    this.#isStopped = true;
    this.#engine.timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }

  #earliest(): number {
    let longestAwaited = Number.NEGATIVE_INFINITY;
    for (const [, { absentMs }] of this.#absences.entries())
      if (absentMs > longestAwaited) longestAwaited = absentMs;
    return Math.max(0, this.#windowMs - longestAwaited);
  }

  #schedule(): void {
    this.#engine.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    if (!this.#isOpen || this.#isStopped) return;
    const { sweepEveryMs, timeline, timers } = this.#engine;
    const waitMs = Math.min(sweepEveryMs, this.#nextAtMs - this.#elapsedMs);
    this.#ticket = timers.schedule(timeline.now() + waitMs, () => {
      this.#ticket = undefined;
      this.#tick();
    });
  }

  #count(): void {
    const { sweepEveryMs, timeline } = this.#engine;
    const now = timeline.now();
    this.#elapsedMs += Math.min(now - this.#seenAt, sweepEveryMs);
    this.#seenAt = now;
  }

  #tick(): void {
    this.#count();
    if (this.#elapsedMs >= this.#nextAtMs) void this.#close();
    else this.#schedule();
  }

  async #close(): Promise<void> {
    const isStopped = () => this.#isStopped || this.#engine.isStopped;
    const slices = this.#engine.newSlices({ isStopped });
    let next = Number.POSITIVE_INFINITY;
    for (const [map, entry] of this.#absences.entries()) {
      const closesAt = this.#windowMs - entry.absentMs;
      if (closesAt <= this.#elapsedMs) this.#absences.lose(map, entry);
      else if (closesAt < next) next = closesAt;
      if (slices.isOver() && !(await slices.giveWay())) return;
    }
    this.#nextAtMs = next;
    this.#isOpen = next < Number.POSITIVE_INFINITY;
    this.#schedule();
  }
}
