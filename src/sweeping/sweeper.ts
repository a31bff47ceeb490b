import { publishSkippedSweep, traceSweep } from '../events/diagnostics-channels.js';
import type { MapSweepReport, SweepReport } from '../events/sweep-report.js';
import { detached } from '../time/async-context.js';
import { Slices } from '../time/slices.js';
import type { TimerTicket } from '../time/timer-queue.js';
import { MapPass, type PassTally } from './map-pass.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

/** How many entries are looked at between two looks at the clock, if nothing of the owner's runs in between. */
const stepsPerClockReading = 8;

/** The maps to sweep, and whom to tell. */
export interface SweeperHost extends Shared {
  readonly trackers: ReadonlyMap<string, Tracker>;
  readonly hooks: {
    /** What is due may have its `beforeSweep` again, though the engine was stopped: somebody sweeps by hand. */
    open(): void;
  };
  /** Called when a pass is through, with state settled. */
  passFinished(report: SweepReport): void;
}

/** The longest pause between a tick that came late and the one that makes up for it, ms. */
const longestPauseMs = 5_000;

/**
 * Sweeps all maps, by one ticket of the timers, one pass at a time, in slices.
 *
 * A tick that comes more than one interval late removes nothing: the process was stopped, the machine slept, or the loop
 * was blocked, and runs look idle whose events are queued. It is followed by another one after a pause in which those are
 * handled, and that one sweeps however late it comes, since a loop that is always late has to be swept too.
 *
 * Ticks are counted from the creation of the engine; an entry waits in the bucket of the first tick at or after its
 * deadline, so that a pass on the tick finds only what is due.
 */
export class Sweeper {
  readonly #host: SweeperHost;
  // They are held weakly, so that a pass goes with its map.
  readonly #passes = new WeakMap<Tracker, MapPass>();
  // One for all passes: with the last object of its shape the code that was compiled for it would be thrown away, and
  // every sweep would begin cold.
  #slices: Slices | undefined;
  #totals = newTotals();
  #ticket: TimerTicket | undefined;
  #nextTickAt: number | undefined;
  #inFlight: Promise<SweepReport> | undefined;
  #lastFinishedAt: number | undefined;
  #lastTickAt = Number.NEGATIVE_INFINITY;
  #skippedTotal = 0;
  /** The last tick came late, and removed nothing. */
  #hasSkipped = false;
  #isStopped = true;
  #interrupted = false;

  constructor(host: SweeperHost) {
    this.#host = host;
  }

  /** When the last pass that went through ended, epoch ms; `undefined` before the first. */
  get lastFinishedAt(): number | undefined {
    return this.#lastFinishedAt;
  }

  /** When it ticked last, or was started; monotonic ms. */
  get lastTickAt(): number {
    return this.#lastTickAt;
  }

  /** How many ticks came so late that they removed nothing. */
  get skippedTotal(): number {
    return this.#skippedTotal;
  }

  /** It does not tick: it was stopped, or belongs to a map that is used alone. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The tick that comes next is so late that it removes nothing. */
  get isNextTickLate(): boolean {
    return this.#nextTickAt !== undefined && this.#isLate(this.#nextTickAt, this.#host.timeline.now());
  }

  /** Begins ticking. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#hasSkipped = false;
    this.#lastTickAt = this.#host.timeline.now();
    this.#schedule(this.#lastTickAt + this.#host.sweepEveryMs);
  }

  /** Ends ticking; a pass that is under way ends at its next pause. */
  stop(): void {
    this.#isStopped = true;
    this.#interrupted = this.#inFlight !== undefined;
    if (this.#ticket !== undefined) this.#host.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    this.#nextTickAt = undefined;
  }

  /** Removes everything that is due now, to the millisecond. While a pass is under way, gives that pass. */
  sweep(): Promise<SweepReport> {
    return this.#pass(this.#host.grid.tickOf(this.#host.timeline.now()));
  }

  #schedule(at: number): void {
    this.#nextTickAt = at;
    this.#ticket = this.#host.timers.schedule(at, () => this.#tick(at));
  }

  #isLate(scheduledAt: number, now: number): boolean {
    return !this.#hasSkipped && now - scheduledAt > this.#host.sweepEveryMs;
  }

  #tick(scheduledAt: number): void {
    const { timeline, grid, sweepEveryMs } = this.#host;
    const now = timeline.now();
    this.#lastTickAt = now;
    const isLate = this.#isLate(scheduledAt, now);
    this.#hasSkipped = isLate;
    if (isLate) this.#schedule(now + Math.min(longestPauseMs, sweepEveryMs));
    else this.#schedule(scheduledAt + sweepEveryMs <= now ? now + sweepEveryMs : scheduledAt + sweepEveryMs);
    if (isLate) this.#skip();
    // What becomes due between this tick and now waits for the next one: its bucket holds later deadlines too.
    else void this.#pass(grid.lastTickBy(scheduledAt));
  }

  #skip(): void {
    this.#skippedTotal += 1;
    const startedAt = this.#host.timeline.clock.now();
    this.#host.timeline.compareClocks();
    const report: SweepReport = {
      startedAt,
      durationMs: 0,
      longestSliceMs: 0,
      slices: 0,
      examined: 0,
      swept: 0,
      maps: {},
      skipped: 'late-tick',
    };
    this.#host.passFinished(report);
    publishSkippedSweep(this.#host.name, report);
  }

  #pass(tick: number): Promise<SweepReport> {
    if (this.#inFlight !== undefined) return this.#inFlight;
    this.#interrupted = false;
    this.#host.hooks.open();
    // It is made before the first slice runs, so that a callback that asks for a sweep gets this one.
    let finish: (report: SweepReport) => void = () => {};
    const promise = new Promise<SweepReport>((resolve) => {
      finish = resolve;
    });
    this.#inFlight = promise;
    // A request that asks for a sweep must not live as long as what the sweep sets off.
    void detached(() =>
      traceSweep(this.#host.name, () => this.#run(tick)).then((report) => {
        // Only then is it over: who answers each finished sweep with another one gets this one, and no recursion.
        this.#inFlight = undefined;
        finish(report);
      }),
    );
    return promise;
  }

  async #run(tick: number): Promise<SweepReport> {
    const { timeline, trackers } = this.#host;
    timeline.compareClocks();
    const began = timeline.now();
    const startedAt = timeline.clock.now();
    const totals = newTotals();
    this.#totals = totals;
    const maps: Array<[name: string, report: MapSweepReport]> = [];
    const slices = this.#beginSlices();

    for (const tracker of [...trackers.values()]) {
      const pass = this.#passOf(tracker);
      const tally = { examined: 0, swept: 0 };
      const { policy } = tracker;
      // If callbacks of the owner run for every entry, each may be slow: the clock is read after each.
      slices.stepsPerReading =
        policy.dispose !== undefined ||
        this.#host.audit !== undefined ||
        tracker.due.judge.needsValue ||
        tracker.claims !== undefined
          ? 1
          : stepsPerClockReading;
      pass.begin(tick);
      while (this.#stepThrough(pass, slices, tally)) await slices.giveWay();
      pass.end();
      totals.examined += tally.examined;
      totals.swept += tally.swept;
      maps.push([tracker.name, { swept: tally.swept, overdue: tracker.due.overdueCount }]);
    }
    slices.end();
    const skipped = this.#interrupted ? 'stopped' : undefined;
    const durationMs = timeline.now() - began;
    // Defined and not assigned, since a map may be called `__proto__`.
    const byName = Object.fromEntries(maps);
    const report: SweepReport = { startedAt, durationMs, ...totals, maps: byName, skipped };
    if (skipped === undefined) this.#lastFinishedAt = timeline.clock.now();
    this.#host.passFinished(report);
    return report;
  }

  /**
   * Steps through a pass up to the end of a slice. Returns whether there is more of it. A function of its own: V8 keeps
   * what it compiles for the loop in this one, and throws it away from sweep to sweep in one that is asynchronous.
   */
  #stepThrough(pass: MapPass, slices: Slices, tally: PassTally): boolean {
    // The wall clock may have been set since the slice before.
    this.#host.timeline.notice();
    while (!this.#interrupted && pass.step(slices.now, tally)) {
      if (slices.isOver()) return true;
    }
    return false;
  }

  #beginSlices(): Slices {
    const { timeline, sliceBudgetMs, measurements } = this.#host;
    if (this.#slices !== undefined) this.#slices.begin();
    else
      this.#slices = new Slices({
        clock: timeline.clock,
        budgetMs: sliceBudgetMs,
        sliceFinished: (durationMs) => {
          this.#totals.slices += 1;
          this.#totals.longestSliceMs = Math.max(this.#totals.longestSliceMs, durationMs);
          measurements.tell((listener) => listener.sliceFinished?.(durationMs));
        },
      });
    return this.#slices;
  }

  #passOf(tracker: Tracker): MapPass {
    let pass = this.#passes.get(tracker);
    if (pass === undefined) {
      pass = new MapPass(tracker);
      this.#passes.set(tracker, pass);
    }
    return pass;
  }
}

const newTotals = () => ({ examined: 0, swept: 0, slices: 0, longestSliceMs: 0 });
