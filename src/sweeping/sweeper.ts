import type { MapSweepReport, SweepReport } from '../events/sweep-report.js';
import { Slices } from '../time/slices.js';
import type { Timeline } from '../time/timeline.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';
import type { Tracker } from './tracker.js';

/** How many entries are looked at between two looks at the clock, where nothing of the owner's runs in between. */
const stepsPerClockReading = 8;

/** What a sweeper works on, and whom it tells. */
export interface SweeperHost {
  readonly timeline: Timeline;
  readonly timers: TimerQueue;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  /** The maps to sweep, as they are now. */
  trackers(): Iterable<Tracker>;
  /** Called with each slice's duration in ms. */
  sliceFinished(durationMs: number): void;
  /** Called when a pass is through, with state settled. */
  passFinished(report: SweepReport): void;
}

/**
 * One sweeper for all maps: one ticket of the timers, one pass at a time, in slices.
 *
 * Ticks are counted from the creation of the sweeper; an entry waits in the bucket of the first tick at or after its
 * deadline, so that a pass on the tick finds only what is due.
 */
export class Sweeper {
  readonly #host: SweeperHost;
  readonly #origin: number;
  #ticket: TimerTicket | undefined;
  #inFlight: Promise<SweepReport> | undefined;
  #lastFinishedAt: number | undefined;
  #isStopped = true;
  #interrupted = false;

  constructor(host: SweeperHost) {
    this.#host = host;
    this.#origin = host.timeline.now();
  }

  /** When the last pass that went through ended, epoch ms; `undefined` before the first. */
  get lastFinishedAt(): number | undefined {
    return this.#lastFinishedAt;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The first tick at or after an instant, monotonic ms. */
  tickOf(at: number): number {
    return Math.ceil((at - this.#origin) / this.#host.sweepEveryMs);
  }

  /** Begins ticking. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#schedule(this.#host.timeline.now() + this.#host.sweepEveryMs);
  }

  /** Ends ticking; a pass that is under way ends at its next pause. */
  stop(): void {
    this.#isStopped = true;
    this.#interrupted = this.#inFlight !== undefined;
    if (this.#ticket !== undefined) this.#host.timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }

  /** Removes everything that is due now, to the millisecond. While a pass is under way, gives that pass. */
  sweep(): Promise<SweepReport> {
    return this.#pass(this.tickOf(this.#host.timeline.now()));
  }

  #schedule(at: number): void {
    this.#ticket = this.#host.timers.schedule(at, () => this.#tick(at));
  }

  #tick(scheduledAt: number): void {
    const { timeline, sweepEveryMs } = this.#host;
    const now = timeline.now();
    const isLate = now - scheduledAt > sweepEveryMs;
    this.#schedule(
      isLate || scheduledAt + sweepEveryMs <= now ? now + sweepEveryMs : scheduledAt + sweepEveryMs,
    );
    if (isLate) this.#skip();
    // What becomes due between this tick and now waits for the next one: its bucket holds later deadlines too.
    else void this.#pass(Math.floor((scheduledAt - this.#origin) / sweepEveryMs + 1e-9));
  }

  // The process was stopped, the machine slept, or the loop was blocked: runs look idle whose events are queued.
  #skip(): void {
    const startedAt = this.#host.timeline.clock.now();
    this.#host.timeline.observe();
    this.#host.passFinished({
      startedAt,
      durationMs: 0,
      longestSliceMs: 0,
      slices: 0,
      examined: 0,
      swept: 0,
      maps: {},
      skipped: 'late-tick',
    });
  }

  #pass(tick: number): Promise<SweepReport> {
    if (this.#inFlight !== undefined) return this.#inFlight;
    this.#interrupted = false;
    // Made before the first slice runs, so that a callback that asks for a sweep gets this one.
    let finish: (report: SweepReport) => void = () => {};
    const promise = new Promise<SweepReport>((resolve) => {
      finish = resolve;
    });
    this.#inFlight = promise;
    void this.#run(tick).then(finish);
    return promise;
  }

  async #run(tick: number): Promise<SweepReport> {
    const { timeline } = this.#host;
    timeline.observe();
    const began = timeline.now();
    const startedAt = timeline.clock.now();
    const totals = { examined: 0, swept: 0, slices: 0, longestSliceMs: 0 };
    const maps: Record<string, MapSweepReport> = {};
    const slices = new Slices({
      clock: timeline.clock,
      budgetMs: this.#host.sliceBudgetMs,
      sliceFinished: (durationMs) => {
        totals.slices += 1;
        totals.longestSliceMs = Math.max(totals.longestSliceMs, durationMs);
        this.#host.sliceFinished(durationMs);
      },
    });

    for (const tracker of [...this.#host.trackers()]) {
      const tally = { examined: 0, swept: 0 };
      const { policy } = tracker;
      // Where callbacks of the owner run for every entry, each may be slow: look at the clock after each.
      slices.stepsPerReading =
        policy.dispose !== undefined || tracker.filing.judge.needsValue || tracker.claims !== undefined
          ? 1
          : stepsPerClockReading;
      tracker.pass.begin(tick);
      while (!this.#interrupted && tracker.pass.step(slices.now, tally)) {
        if (slices.isOver()) await slices.giveWay();
      }
      tracker.pass.end();
      totals.examined += tally.examined;
      totals.swept += tally.swept;
      maps[tracker.name] = { swept: tally.swept, overdue: tracker.overdueCount };
    }
    slices.end();
    const skipped = this.#interrupted ? 'stopped' : undefined;
    const durationMs = timeline.now() - began;
    const report: SweepReport = { startedAt, durationMs, ...totals, maps, skipped };
    this.#inFlight = undefined;
    if (skipped === undefined) this.#lastFinishedAt = timeline.clock.now();
    this.#host.passFinished(report);
    return report;
  }
}
