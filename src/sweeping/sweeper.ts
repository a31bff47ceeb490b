import { traceSweep } from '../events/diagnostics-channels.js';
import type { MapSweepReport, SweepReport } from '../events/sweep-report.js';
import { detached } from '../time/async-context.js';
import type { Slices } from '../time/slices.js';
import type { TickGrid } from '../time/tick-grid.js';
import { MapPass, type PassTally } from './map-pass.js';
import { Rhythm } from './rhythm.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

/** At most so many entries are looked at between two looks at the clock, which takes as long as to ask a policy function. */
const stepsPerReading = 8;

/** The maps to sweep, and whom to tell. */
export interface SweeperHost extends Shared {
  readonly trackers: ReadonlyMap<string, Tracker>;
  readonly hooks: {
    /** A sweep begins: what is due may have its `beforeSweep` again; at once, if somebody has asked for it. */
    open(isHurried: boolean): void;
  };
  readonly capacity: {
    /** Has a map brought down to its caps after the current macrotask, unless it is within them. */
    request(tracker: Tracker): void;
  };
  /** What is to be done after the maps: each call is a step, and answers whether there is more. */
  readonly chores: ReadonlySet<() => boolean>;
  /** Called when a pass is through, with state settled. */
  passFinished(report: SweepReport): void;
}

/** The maps that have one interval of their own, and are swept in between. */
interface OwnRhythm {
  readonly rhythm: Rhythm;
  readonly trackers: Set<Tracker>;
}

/**
 * Sweeps all maps, one pass at a time, in slices, in the rhythm of the registry; and those that have a `sweepEvery` of their
 * own in between, by a ticket for each such interval.
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
  readonly #slices: Slices;
  #totals = newTotals();
  readonly #rhythm: Rhythm;
  // By interval.
  readonly #own = new Map<number, OwnRhythm>();
  #inFlight: Promise<SweepReport> | undefined;
  /** A pass over maps with an interval of their own; one over all of them waits for its end. */
  #between: Promise<void> | undefined;
  #lastFinishedAt: number | undefined;
  #lastTickAt = Number.NEGATIVE_INFINITY;
  #skippedTotal = 0;
  #isStopped = true;
  #interrupted = false;
  #beganAt = 0;

  constructor(host: SweeperHost) {
    this.#host = host;
    const { measurements } = host;
    this.#slices = host.newSlices({
      stepsPerReading,
      sliceFinished: (durationMs) => {
        this.#totals.slices += 1;
        this.#totals.longestSliceMs = Math.max(this.#totals.longestSliceMs, durationMs);
        measurements.tell((listener) => listener.sliceFinished?.(durationMs));
      },
    });
    this.#rhythm = new Rhythm(host.grid, {
      timers: host.timers,
      timeline: host.timeline,
      ticked: (scheduledAt) => {
        this.#lastTickAt = host.timeline.now();
        void this.#pass(scheduledAt);
      },
      skipped: () => {
        this.#lastTickAt = host.timeline.now();
        this.#skip();
      },
    });
  }

  /** When the last pass that went through ended, epoch ms; `undefined` before the first. */
  get lastFinishedAt(): number | undefined {
    return this.#lastFinishedAt;
  }

  /** When it ticked last, or was started; monotonic ms. */
  get lastTickAt(): number {
    return this.#lastTickAt;
  }

  /** When the pass that is under way last got on, monotonic ms; `undefined` while none is. */
  get gotOnAt(): number | undefined {
    if (this.#inFlight === undefined && this.#between === undefined) return undefined;
    // Until its first slice those are of the pass before.
    return Math.max(this.#slices.now, this.#beganAt);
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
    return this.#rhythm.isNextLate;
  }

  /** Begins ticking. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#lastTickAt = this.#host.timeline.now();
    this.#rhythm.start();
    for (const tracker of this.#host.trackers.values()) this.watch(tracker);
  }

  /** Ends ticking; a pass that is under way ends at its next pause. */
  stop(): void {
    this.#isStopped = true;
    this.#interrupted = this.#inFlight !== undefined || this.#between !== undefined;
    this.#rhythm.stop();
    for (const { rhythm } of this.#own.values()) rhythm.stop();
    this.#own.clear();
  }

  /** A map was added: it is swept in between, if it has an interval of its own. */
  watch(tracker: Tracker): void {
    // Made with the map, so that an unused map has all the shapes of a used one (`maps/kept-shapes`).
    this.#passOf(tracker);
    const { sweepEveryMs: everyMs } = tracker.policy;
    if (everyMs === undefined || this.#isStopped) return;
    let own = this.#own.get(everyMs);
    if (own === undefined) {
      own = this.#newRhythm(tracker.grid);
      this.#own.set(everyMs, own);
      own.rhythm.start();
    }
    own.trackers.add(tracker);
  }

  /** A map was removed. */
  unwatch(tracker: Tracker): void {
    const everyMs = tracker.policy.sweepEveryMs;
    const own = everyMs === undefined ? undefined : this.#own.get(everyMs);
    if (own === undefined || !own.trackers.delete(tracker) || own.trackers.size > 0) return;
    own.rhythm.stop();
    this.#own.delete(everyMs as number);
  }

  /**
   * Removes everything that is due now, to the millisecond. While a pass is under way, gives that pass; one that was stopped in
   * its midst is followed by another one.
   */
  sweep(): Promise<SweepReport> {
    if (this.#inFlight !== undefined && this.#interrupted)
      return this.#inFlight.then(() => this.#pass(undefined));
    return this.#pass(undefined);
  }

  #newRhythm(grid: TickGrid): OwnRhythm {
    const { timers, timeline } = this.#host;
    const trackers = new Set<Tracker>();
    const rhythm = new Rhythm(grid, {
      timers,
      timeline,
      ticked: (scheduledAt) => this.#passBetween([...trackers], scheduledAt),
      skipped: () => timeline.compareClocks(),
    });
    return { rhythm, trackers };
  }

  /** Sweeps maps that have an interval of their own, unless a pass is under way: the next tick is not far. */
  #passBetween(trackers: readonly Tracker[], scheduledAt: number): void {
    if (this.#inFlight !== undefined || this.#between !== undefined) return;
    this.#interrupted = false;
    this.#host.hooks.open(false);
    const run = async (): Promise<void> => {
      this.#host.timeline.compareClocks();
      this.#totals = newTotals();
      const slices = this.#beginSlices();
      for (const tracker of trackers) {
        const pass = this.#beginPass(tracker, tracker.grid.lastTickBy(scheduledAt));
        while (this.#stepThrough(pass, slices, newTotals())) await slices.giveWay();
        pass.end();
      }
      slices.end();
      over();
    };
    let finish: () => void = () => {};
    this.#between = new Promise((resolve) => {
      finish = resolve;
    });
    this.#beganAt = this.#host.timeline.now();
    const over = (): void => {
      this.#between = undefined;
      finish();
      // Guards may have let go meanwhile.
      for (const tracker of trackers) this.#host.capacity.request(tracker);
    };
    void detached(() =>
      run().catch((error) => {
        this.#failed('', error);
        over();
      }),
    );
  }

  #skip(): void {
    this.#skippedTotal += 1;
    const startedAt = this.#host.timeline.clock.now();
    this.#host.timeline.compareClocks();
    const report: SweepReport = { ...nothingDone(), startedAt, skipped: 'late-tick' };
    this.#host.passFinished(report);
    void traceSweep(this.#host.name, async () => report);
  }

  /** @param scheduledAt the instant of the tick that it is made for, monotonic ms; `undefined` if somebody asks for it */
  #pass(scheduledAt: number | undefined): Promise<SweepReport> {
    if (this.#inFlight !== undefined) return this.#inFlight;
    const startedAt = this.#host.timeline.clock.now();
    // It is made before the first slice runs, so that a callback that asks for a sweep gets this one.
    let finish: (report: SweepReport) => void = () => {};
    const promise = new Promise<SweepReport>((resolve) => {
      finish = resolve;
    });
    this.#inFlight = promise;
    this.#beganAt = this.#host.timeline.now();
    const between = this.#between;
    const run = (): Promise<SweepReport> =>
      between === undefined ? this.#run(scheduledAt) : between.then(() => this.#run(scheduledAt));
    const over = (report: SweepReport): void => {
      // Only then is it over: who answers each finished sweep with another one gets this one, and no recursion.
      this.#inFlight = undefined;
      finish(report);
    };
    // A request that asks for a sweep must not live as long as what the sweep sets off.
    void detached(() =>
      traceSweep(this.#host.name, run).then(over, (error) => {
        this.#failed('', error);
        over({ ...nothingDone(), startedAt, skipped: 'stopped' });
      }),
    );
    return promise;
  }

  async #run(scheduledAt: number | undefined): Promise<SweepReport> {
    const { timeline, trackers } = this.#host;
    // It may have been stopped while this waited for the end of a pass in between; whoever asks for a sweep gets it even so.
    this.#interrupted = scheduledAt !== undefined && this.#isStopped;
    if (!this.#interrupted) this.#host.hooks.open(scheduledAt === undefined);
    timeline.compareClocks();
    const began = timeline.now();
    const startedAt = timeline.clock.now();
    const totals = newTotals();
    this.#totals = totals;
    const maps: Array<[name: string, report: MapSweepReport]> = [];
    const slices = this.#beginSlices();

    for (const tracker of [...trackers.values()]) {
      // What becomes due between this tick and now waits for the next one: its bucket holds later deadlines too.
      const { grid } = tracker;
      const tick = scheduledAt === undefined ? grid.tickOf(began) : grid.lastTickBy(scheduledAt);
      const tally: PassTally = { examined: 0, swept: 0 };
      // Somebody who asks for a sweep gets it.
      if (scheduledAt === undefined || !this.#isOutOfStep(tracker)) {
        const pass = this.#beginPass(tracker, tick);
        while (this.#stepThrough(pass, slices, tally)) await slices.giveWay();
        pass.end();
      }
      totals.examined += tally.examined;
      totals.swept += tally.swept;
      maps.push([tracker.name, { swept: tally.swept, overdue: tracker.due.overdueCount }]);
    }
    const skipped = this.#interrupted ? 'stopped' : undefined;
    for (const chore of this.#host.chores) {
      while (!this.#interrupted && chore()) if (slices.isOver()) await slices.giveWay();
    }
    slices.end();
    const durationMs = timeline.now() - began;
    // Defined and not assigned, since a map may be called `__proto__`.
    const byName = Object.fromEntries(maps);
    const report: SweepReport = { startedAt, durationMs, ...totals, maps: byName, skipped };
    if (skipped === undefined) this.#lastFinishedAt = timeline.clock.now();
    this.#host.passFinished(report);
    return report;
  }

  /** Returns whether a tick of the map's own came late, so that another one is to make up for it. */
  #isOutOfStep({ policy: { sweepEveryMs } }: Tracker): boolean {
    return sweepEveryMs !== undefined && this.#own.get(sweepEveryMs)?.rhythm.isOutOfStep === true;
  }

  /**
   * Steps through a pass up to the end of a slice. Returns whether there is more of it. A function of its own: V8 keeps
   * what it compiles for the loop in this one, and throws it away from sweep to sweep in one that is asynchronous.
   */
  #stepThrough(pass: MapPass, slices: Slices, tally: PassTally): boolean {
    try {
      // The wall clock may have been set since the slice before.
      this.#host.timeline.notice();
      while (!this.#interrupted && pass.step(slices.now, tally)) {
        if (slices.isOver() || pass.takeWarning()) return true;
      }
    } catch (error) {
      this.#failed(pass.map, error);
    }
    return false;
  }

  /** What should not throw has thrown: that is told, and ends no more than it has to. */
  #failed(map: string, error: unknown): void {
    this.#host.failures.report(map, 'sweep', undefined, error);
  }

  #beginSlices(): Slices {
    this.#slices.begin();
    return this.#slices;
  }

  #beginPass(tracker: Tracker, tick: number): MapPass {
    const pass = this.#passOf(tracker);
    pass.begin(tick);
    return pass;
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

const nothingDone = () => ({ ...newTotals(), durationMs: 0, maps: {} });

const newTotals = () => ({ examined: 0, swept: 0, slices: 0, longestSliceMs: 0 });
