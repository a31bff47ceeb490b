import type { TickGrid } from '../time/tick-grid.js';
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
 * Ticks once an interval, on the ticks of a grid, by one ticket of the timers.
 *
 * A tick that comes more than one interval late is skipped: the process was stopped, the machine slept, or the loop was
 * blocked, and runs look idle whose events are queued. It is followed by another one after a pause in which those are
 * handled, and that one counts however late it comes, since a loop that is always late has to be swept too. After it come
 * those of the grid again: entries are filed by them, and would leave late for good by any others.
 */
export class Rhythm {
  readonly #grid: TickGrid;
  readonly #host: RhythmHost;
  #ticket: TimerTicket | undefined;
  #nextAt: number | undefined;
  #hasSkipped = false;

  constructor(grid: TickGrid, host: RhythmHost) {
    this.#grid = grid;
    this.#host = host;
  }

  /** The tick that comes next is so late that it is skipped. */
  get isNextLate(): boolean {
    return this.#nextAt !== undefined && this.#isLate(this.#nextAt, this.#host.timeline.now());
  }

  /** A tick was skipped or is about to be, and the time of the one that makes up for it has not come. */
  get isOutOfStep(): boolean {
    if (!this.#hasSkipped) return this.isNextLate;
    return this.#nextAt !== undefined && this.#host.timeline.now() < this.#nextAt;
  }

  /** Begins ticking, with the next tick of the grid. */
  start(): void {
    this.stop();
    this.#hasSkipped = false;
    this.#scheduleAfter(this.#host.timeline.now());
  }

  /** Ends ticking. */
  stop(): void {
    this.#host.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    this.#nextAt = undefined;
  }

  #scheduleAfter(now: number): void {
    this.#schedule(this.#grid.instantOf(this.#grid.lastTickBy(now) + 1));
  }

  #schedule(at: number): void {
    this.#nextAt = at;
    this.#ticket = this.#host.timers.schedule(at, () => this.#tick(at));
  }

  #isLate(scheduledAt: number, now: number): boolean {
    return !this.#hasSkipped && now - scheduledAt > this.#grid.everyMs;
  }

  #tick(scheduledAt: number): void {
    const now = this.#host.timeline.now();
    const isLate = this.#isLate(scheduledAt, now);
    this.#hasSkipped = isLate;
    if (isLate) this.#schedule(now + Math.min(longestPauseMs, this.#grid.everyMs));
    else this.#scheduleAfter(now);
    if (isLate) this.#host.skipped();
    else this.#host.ticked(scheduledAt);
  }
}
