import type { Timeline } from '../time/timeline.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';

/** The longest pause between a tick that came late and the one that makes up for it, ms. */
const longestPauseMs = 5_000;

/** What a rhythm needs, and whom it calls. */
export interface RhythmHost {
  readonly timers: TimerQueue;
  readonly timeline: Timeline;
  /** A tick has come in time, or makes up for one that has not. The next one is scheduled. */
  ticked(scheduledAt: number): void;
  /** A tick has come late. The one that makes up for it is scheduled. */
  skipped(): void;
}

/**
 * Ticks once an interval, by one ticket of the timers.
 *
 * A tick that comes more than one interval late is skipped: the process was stopped, the machine slept, or the loop was
 * blocked, and runs look idle whose events are queued. It is followed by another one after a pause in which those are
 * handled, and that one counts however late it comes, since a loop that is always late has to be swept too.
 */
export class Rhythm {
  readonly #everyMs: number;
  readonly #host: RhythmHost;
  #ticket: TimerTicket | undefined;
  #nextAt: number | undefined;
  #hasSkipped = false;

  /** @param everyMs the interval, ms */
  constructor(everyMs: number, host: RhythmHost) {
    this.#everyMs = everyMs;
    this.#host = host;
  }

  /** The tick that comes next is so late that it is skipped. */
  get isNextLate(): boolean {
    return this.#nextAt !== undefined && this.#isLate(this.#nextAt, this.#host.timeline.now());
  }

  /** A tick was skipped or is about to be, and has not been made up for. */
  get isOutOfStep(): boolean {
    return this.#hasSkipped || this.isNextLate;
  }

  /** Begins ticking, at this instant for the first time; monotonic ms. */
  start(at: number): void {
    this.stop();
    this.#hasSkipped = false;
    this.#schedule(at);
  }

  /** Ends ticking. */
  stop(): void {
    this.#host.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    this.#nextAt = undefined;
  }

  #schedule(at: number): void {
    this.#nextAt = at;
    this.#ticket = this.#host.timers.schedule(at, () => this.#tick(at));
  }

  #isLate(scheduledAt: number, now: number): boolean {
    return !this.#hasSkipped && now - scheduledAt > this.#everyMs;
  }

  #tick(scheduledAt: number): void {
    const now = this.#host.timeline.now();
    const isLate = this.#isLate(scheduledAt, now);
    this.#hasSkipped = isLate;
    const next = scheduledAt + this.#everyMs;
    if (isLate) this.#schedule(now + Math.min(longestPauseMs, this.#everyMs));
    else this.#schedule(next <= now ? now + this.#everyMs : next);
    if (isLate) this.#host.skipped();
    else this.#host.ticked(scheduledAt);
  }
}
