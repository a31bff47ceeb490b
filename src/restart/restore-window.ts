import { MapsweepError } from '../errors.js';
import type { Engine } from '../sweeping/engine.js';
import type { TimerTicket } from '../time/timer-queue.js';
import type { Absences } from './absences.js';
import type { Awaited } from './awaited.js';
import { pastEntries, whyStuck } from './awaited-words.js';
import type { PastEntry } from './left.js';

/**
 * How long entries of earlier lives are awaited, in running time over all lives: of a stretch in which the process was
 * stopped, or slept, one interval counts, since nobody could come back then.
 */
export class RestoreWindow {
  readonly #engine: Engine;
  readonly #windowMs: number;
  readonly #absences: Absences;
  #ticket: TimerTicket | undefined;
  #isStopped = false;
  #elapsedMs = 0;
  #seenAt = 0;
  /** The running time of this life at which the next entry's window closes; `Infinity` while it is closed. */
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

  /** How long it is until the first of what is awaited in a map is lost, ms of running time. */
  leftMs({ absentMs }: Awaited): number {
    return Math.max(0, this.#windowMs - absentMs - this.#elapsedAt(this.#engine.timeline.now()));
  }

  /** Whether an entry is awaited no more in this life, though it may be left to a later one. */
  isOverFor({ absentMs }: PastEntry): boolean {
    return this.#windowMs - absentMs <= this.#elapsedMs;
  }

  /** Begins to wait for what is awaited by now. */
  open(): void {
    this.#isStopped = false;
    for (const { absentMs } of this.#absences.byMap.values())
      this.#nextAtMs = Math.max(0, Math.min(this.#nextAtMs, this.#windowMs - absentMs));
    this.#seenAt = this.#engine.timeline.now();
    this.#schedule();
  }

  /** Waits no longer, and closes nothing. What has passed since the last tick counts: many lives are shorter than an interval. */
  stop(): void {
    if (this.#isOpen && !this.#isStopped && !this.#engine.isStopped) this.#count();
    this.#isStopped = true;
    this.#schedule();
  }

  get #isOpen(): boolean {
    return this.#nextAtMs < Number.POSITIVE_INFINITY;
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

  #elapsedAt(now: number): number {
    return this.#elapsedMs + Math.min(now - this.#seenAt, this.#engine.sweepEveryMs);
  }

  #count(): void {
    const now = this.#engine.timeline.now();
    this.#elapsedMs = this.#elapsedAt(now);
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
    for (const [map, awaited] of this.#absences.byMap) {
      let dropped = 0;
      let longestMs = Number.NEGATIVE_INFINITY;
      for (const entry of awaited) {
        if (!this.isOverFor(entry)) longestMs = Math.max(longestMs, entry.absentMs);
        else if (this.#absences.lose(map, entry)) dropped += 1;
        if (slices.isOver() && !(await slices.giveWay())) return;
      }
      awaited.absentMs = longestMs;
      next = Math.min(next, this.#windowMs - longestMs);
      if (dropped === 0) continue;
      const words = pastEntries(map, dropped, 'dropped') + whyStuck(awaited.decodeError);
      const error = new MapsweepError('ERR_ENTRIES_DROPPED', words);
      this.#engine.failures.report(map, 'persist', undefined, error);
    }
    this.#nextAtMs = next;
    this.#schedule();
  }
}
