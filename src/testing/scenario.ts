import { span } from '../diagnosis/explain.js';
import { MapsweepError } from '../errors.js';
import { isThenable } from '../events/unawaited.js';
import type { Engine } from '../sweeping/engine.js';
import { yieldToEventLoop } from '../time/clock.js';
import { realClearTimeout, realSetTimeout } from '../time/real-timers.js';
import { type ActiveResources, activeResources, moreGoingOn } from './active-resources.js';
import type { RunningCheck } from './running-check.js';
import { type Advancer, isAdvancer } from './test-time.js';

/** A run that has not settled for this long while nothing goes on waits for a fake clock. Real ms. */
const patienceMs = 500;
/** The same where real timers ran before, such as the test runner's: one that is over by now hides one of the run's. */
const patienceBesideTimersMs = 1_200;
/** The same where connections were there before: over one of these an answer may come, and nothing shows that. */
const patienceBesideConnectionsMs = 4_000;
const lookEveryMs = 100;
/** What may answer, by the names that Node has for them. */
const connections = ['TCPSocketWrap', 'UDPWrap', 'ProcessWrap', 'Worker'];

/** What a scenario needs besides itself. */
export interface ScenarioOptions {
  readonly run: (run: number) => unknown;
  /** How long a run may take, in real ms. */
  readonly runTimeoutMs: number;
  readonly check: RunningCheck;
  readonly engine: Engine;
  readonly advancer: Advancer | undefined;
  /** How many attempts to deliver have failed, and how many deliveries wait: perhaps for a time to try again. */
  readonly deliveries: () => { readonly failed: number; readonly pending: number };
}

/**
 * Runs a scenario, one run after the other.
 *
 * One that waits for a timer of a fake clock would wait for ever, since nobody moves that clock meanwhile. This is seen
 * by what is going on in the process: nothing more than before the check, but a timer more on the fake clock. Whatever
 * else a run waits for, it waits for no longer than `runTimeoutMs`, since not every test runner has a limit of its own, and
 * no longer than its check goes on.
 */
export class Scenario {
  readonly #options: ScenarioOptions;
  readonly #resources: ActiveResources;
  readonly #stuck: Promise<never>;
  #reject: (error: unknown) => void = () => {};
  #look: ReturnType<typeof setTimeout> | undefined;
  #run = 0;
  #tookMs = 0;
  #waitedMs = 0;
  #timersBefore: number | undefined;
  #deliveriesBefore = { failed: 0, pending: 0 };
  #movedTo = 0;

  constructor(options: ScenarioOptions) {
    this.#options = options;
    this.#resources = activeResources();
    this.#stuck = new Promise((_resolve, reject) => {
      this.#reject = reject;
    });
    this.#stuck.catch(() => {});
  }

  /** Runs it once. Rejects with what it throws. */
  async once(run: number): Promise<void> {
    const { check, engine } = this.#options;
    check.assertGoingOn();
    this.#run = run;
    this.#timersBefore = this.#fakeTimers();
    this.#deliveriesBefore = this.#options.deliveries();
    this.#movedTo = engine.timeline.now();
    this.#tookMs = 0;
    this.#waitedMs = 0;
    const scenario = this.#options.run;
    const result: unknown = check.inside(() => scenario(run));
    if (!isThenable(result)) {
      // A turn for promises that it has begun, as a scenario that awaits gives them.
      await undefined;
      return;
    }
    this.#watch();
    try {
      await Promise.race([result, this.#stuck]);
    } finally {
      if (this.#look !== undefined) realClearTimeout(this.#look);
      this.#look = undefined;
    }
  }

  #watch(): void {
    this.#look = realSetTimeout(() => void this.#lookAgain(), lookEveryMs);
  }

  async #lookAgain(): Promise<void> {
    const run = this.#run;
    this.#watch();
    // Out of the timer, so that what is counted is the one that has just been set.
    await yieldToEventLoop();
    if (this.#look === undefined || run !== this.#run) return;
    const { check, runTimeoutMs } = this.#options;
    try {
      check.assertGoingOn();
    } catch (error) {
      this.#reject(error);
    }
    // By looks and not by a clock: while a debugger holds the process, nothing could settle.
    this.#tookMs += lookEveryMs;
    const busyWith = this.#busyWith()?.join();
    if (busyWith === '') this.#waitedMs += lookEveryMs;
    // A timer that comes and goes, such as a test runner has, may be nothing of the run's: while it is there, nothing is known.
    else if (busyWith !== 'Timeout') this.#waitedMs = 0;
    const called = `${check.check}: run ${run} of the scenario`;
    if (this.#waitedMs >= this.#patienceMs) {
      this.#reject(
        new MapsweepError(
          'ERR_NO_CLOCK',
          `${called} waits, and all that is going on are timers of a clock that stands still: nobody advances it ` +
            'while the scenario is awaited. Advance it in the scenario, before what it waits for is awaited, or do ' +
            'not await what needs time',
        ),
      );
    } else if (this.#tookMs >= runTimeoutMs) {
      this.#reject(
        new MapsweepError(
          'ERR_CALLBACK_TIMEOUT',
          `${called} has not settled within ${span(runTimeoutMs)} of real time. If it takes longer, say so by the ` +
            'option runTimeout; if it waits for a fake clock, advance that in the scenario',
        ),
      );
    }
  }

  get #patienceMs(): number {
    if (connections.some((kind) => this.#resources.has(kind))) return patienceBesideConnectionsMs;
    return this.#resources.has('Timeout') ? patienceBesideTimersMs : patienceMs;
  }

  /** What else goes on where the run may wait for a clock that stands still; `undefined` if it does not. */
  #busyWith(): string[] | undefined {
    const now = this.#options.engine.timeline.now();
    const hasMoved = now !== this.#movedTo;
    this.#movedTo = now;
    if (hasMoved) return undefined;
    const timers = this.#fakeTimers();
    if (timers === undefined || this.#timersBefore === undefined) return undefined;
    if (timers <= this.#timersBefore && !this.#waitsForRetry()) return undefined;
    // The look itself is a timer.
    return moreGoingOn(this.#resources, 1);
  }

  #waitsForRetry(): boolean {
    const { failed, pending } = this.#options.deliveries();
    return failed > this.#deliveriesBefore.failed && pending > this.#deliveriesBefore.pending;
  }

  /** How many timers wait for the fake clock; `undefined` if time is real, or nobody can say. */
  #fakeTimers(): number | undefined {
    const { advancer, engine } = this.#options;
    const clocks: unknown[] = [advancer, engine.timeline.clock];
    const manual = clocks.find((clock): clock is { pendingTimers: number } => {
      return isAdvancer(clock) && typeof (clock as { pendingTimers?: unknown }).pendingTimers === 'number';
    });
    const faked = fakedGlobals();
    if (manual === undefined && faked === undefined) return undefined;
    return (manual?.pendingTimers ?? 0) + (faked?.countTimers() ?? 0);
  }
}

/** The clock of @sinonjs/fake-timers, which vitest and Jest put in the place of the global timers. */
function fakedGlobals(): { countTimers(): number } | undefined {
  const { clock } = globalThis.setTimeout as { clock?: { countTimers?: () => number } };
  return typeof clock?.countTimers === 'function' ? (clock as { countTimers(): number }) : undefined;
}
