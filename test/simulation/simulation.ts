import { takeAttempts } from '../../src/endings/left-attempts.js';
import type { Registry } from '../../src/registry/registry.js';
import type { PresentClocks } from '../../src/restart/past-timeline.js';
import { pastOf } from '../../src/restart/snapshot.js';
import type { Hold } from '../../src/sweeping/holds.js';
import { smallOperations } from './acts.js';
import { Audit } from './audit.js';
import { checkNothingLost, compareWithJournal, compareWithSnapshot } from './checks.js';
import { SimulatedDisk } from './disk.js';
import { Findings } from './findings.js';
import { checkLateness } from './lateness.js';
import type { Legacy } from './legacy.js';
import { Model } from './model.js';
import { operate } from './operations.js';
import { Owner } from './owner.js';
import { type Library, type ProcessSetup, type SimulatedMaps, startRegistry } from './process.js';
import { Random } from './random.js';
import { Recipient } from './recipient.js';
import type { Registration } from './registration.js';
import { restart } from './restart.js';
import {
  drawScenario,
  firstSeedWithOwners,
  type Item,
  type MapName,
  type MapPlan,
  type OperationName,
  owners,
  type Scenario,
} from './scenario.js';
import { SimulatedClock, SimulatedTime } from './simulated-time.js';
import { type SimulatedJournal, SimulatedVolume } from './simulated-volume.js';
import { Trace } from './trace.js';

/** What came of a run. */
export interface Outcome {
  readonly seed: number;
  /** What was wrong; nothing in a run that passed. */
  readonly findings: readonly string[];
  /** Of everything that happened: the same for the same seed. */
  readonly hash: string;
  /** The last lines of what happened. */
  readonly tail: readonly string[];
  readonly events: number;
  readonly kills: number;
  readonly deliveries: number;
}

/** A process of the simulated service, from its start to its end. */
export interface SimulatedProcess {
  readonly clock: SimulatedClock;
  readonly model: Model;
  readonly registry: Registry<SimulatedMaps>;
  readonly plans: readonly MapPlan[];
  readonly startedAt: number;
  readonly journal: SimulatedJournal | undefined;
  /** By how much what it has inherited looks younger than it is. */
  readonly errorMs: number;
  /** It only observes, or has nobody to deliver to. */
  readonly isOdd: boolean;
  /** Somebody has taken its journal away. */
  wasRobbed: boolean;
  /** It has heard of that. */
  knowsOfRobbery: boolean;
  /** Failures of the journal that it has heard of. */
  journalFailures: number;
  /** The registry is being made. */
  isStarting: boolean;
  isDead: boolean;
  diedAt: number;
  isStopped: boolean;
  /** `close()` is over. */
  isClosed: boolean;
  /** Sweeps that were asked for and are not over. */
  readonly sweeps: Set<Promise<unknown>>;
  finishedPasses: number;
  /** The act in which the last of them ended; -1 before the first. */
  passFinishedIn: number;
  /** Calls of `sweep()` that have not returned. */
  startingSweeps: number;
  /** Holds that are not released, in the order in which they were taken. */
  readonly holds: { readonly hold: Hold; readonly registration: Registration }[];
  /** Keys that the owner's `delete` refuses, as `map/key`, and how. */
  readonly refused: Map<string, 'throws' | 'refuses'>;
}

/** A turn of the real event loop. The library's own turns come in the same order every time. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Longer than any lifetime, pause and backoff of a scenario, in intervals. */
const patience = 400;

/** How likely a process is to be of a kind, where there are several. */
const lives = { usual: 6, observing: 1, withoutRecipient: 1 };

/**
 * One run: a service that uses the real library in a simulated world, in which nothing happens by chance but by the
 * seed. After every event, what can be seen of the library is compared with the model.
 */
export class Simulation {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly trace: Trace;
  readonly time = new SimulatedTime();
  readonly findings = new Findings();
  readonly disk = new SimulatedDisk();
  readonly volume: SimulatedVolume;
  readonly library: Library;
  readonly recipient: Recipient;
  readonly owner: Owner;
  readonly audit: Audit;
  /** What the owner had in its maps, for a process that starts anew. */
  readonly remembered = new Map<string, Item>();
  /** Names whose run is another one than the one that was told of, if any was, and how many such are to be told. */
  readonly newRuns = new Map<string, number>();
  process!: SimulatedProcess;
  isFaulty = true;
  kills = 0;
  deliveries = 0;
  act = 0;
  eventBeganWith = 0;
  /** By how much what the next process inherits looks younger than it is. */
  errorMs = 0;
  hasPaused = false;
  /** Whether a callback is calling back in. */
  isReentrant = false;
  #events = 0;
  readonly #seed: number;
  readonly #betweenSlices: Random;
  /** Times that each ending was acted upon, over all processes. */
  readonly #actions = new Map<string, number>();

  constructor(library: Library, seed: number, print?: (line: string) => void) {
    this.library = library;
    this.#seed = seed;
    this.trace = new Trace(print);
    const root = new Random(seed);
    this.scenario = drawScenario(root.fork(), seed >= firstSeedWithOwners);
    this.random = root.fork();
    this.#betweenSlices = root.fork();
    this.owner = new Owner(this, root.fork());
    this.audit = new Audit(this);
    this.recipient = new Recipient(this.owner.recipientHost(), root.fork());
    this.volume = new SimulatedVolume({
      time: this.time,
      findings: this.findings,
      random: root.fork(),
      scale: this.scenario.volumeScale,
      log: (line) => this.log(`journal: ${line}`),
      startedAt: () => this.process.startedAt,
    });
  }

  get hasJournal(): boolean {
    return this.scenario.keeps === 'journal';
  }

  /** The clocks as they stand now, as a process sees them. */
  clocks(): PresentClocks {
    const bootId = this.scenario.hasBootClock ? `boot ${this.time.boots}` : '';
    return { wall: this.time.wall(), bootId, boot: this.scenario.hasBootClock ? this.time.now : 0 };
  }

  async run(): Promise<Outcome> {
    const onUnhandled = (error: unknown): void =>
      this.findings.add(13, `unhandled rejection: ${String(error)}`);
    process.on('unhandledRejection', onUnhandled);
    try {
      await this.#live();
    } catch (error) {
      this.findings.add(
        'the run broke off',
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
    } finally {
      process.off('unhandledRejection', onUnhandled);
      this.process.clock.die();
      this.process.isDead = true;
    }
    return {
      seed: this.#seed,
      findings: this.findings.lines,
      hash: this.trace.hash(),
      tail: this.trace.tail(),
      events: this.#events,
      kills: this.kills,
      deliveries: this.deliveries,
    };
  }

  /** From when on the library may have given up those who have not come back. Until that has settled, nobody acts. */
  get isWindowClosing(): boolean {
    return this.process.model.awaited.isClosing;
  }

  plan(name: MapName): MapPlan {
    return this.process.plans.find((plan) => plan.name === name) as MapPlan;
  }

  log(line: string): void {
    this.trace.add(`${this.time.now} ${line}`);
  }

  /** Ends the process as `kill -9` does: in the midst of whatever it is doing. */
  kill(): void {
    if (this.process.isDead) return;
    this.log('kill -9');
    this.kills += 1;
    // What has left a quiet map may be written already.
    this.process.model.notice();
    this.process.isDead = true;
    this.process.diedAt = this.time.now;
    this.process.model.awaited.stop();
    this.process.clock.die();
    this.volume.crash();
  }

  /** The recipient has acted on an ending. */
  acted(id: string): void {
    const count = (this.#actions.get(id) ?? 0) + 1;
    this.#actions.set(id, count);
    this.deliveries += 1;
    this.findings.check(
      this.scenario.isIdempotent || count <= 1 + this.kills,
      9,
      () => `acted on ${count} times, with ${this.kills} crashes`,
    );
  }

  /** To the library the run of this id is another one than before. */
  isAnother(id: string): void {
    this.#actions.delete(id);
  }

  /** Takes a snapshot and keeps it, at whatever moment. */
  persist(): void {
    const { registry, model } = this.process;
    const snapshot = registry.snapshot();
    checkNothingLost({ model, past: pastOf(snapshot), findings: this.findings });
    this.disk.write(snapshot);
  }

  /** The process takes over what earlier ones left, by hand: first in the model. */
  inherit(legacy: Legacy, restore: () => void): void {
    this.process.isStarting = true;
    this.process.model.restore(legacy);
    this.audit.restore(legacy.ofAudit);
    this.owner.prepareReturns();
    restore();
    this.process.isStarting = false;
  }

  /** One thing happens; then everything settles and is checked. */
  async event(happen: () => void): Promise<void> {
    if (this.findings.lines.length > 0) return;
    this.#events += 1;
    this.eventBeganWith = this.act + 1;
    this.hasPaused = false;
    happen();
    await this.#settle();
    if (!this.process.isDead) this.#check();
    if (this.process.isDead) await restart(this);
  }

  /** Lets time pass, and everything that comes due by then happen. */
  async advance(ms: number): Promise<void> {
    const until = this.time.now + ms;
    while (this.findings.lines.length === 0) {
      const { clock } = this.process;
      const nextAt = Math.min(clock.nextAt, this.time.nextAt);
      if (nextAt > Math.max(until, this.time.now)) break;
      const isOfWorld = this.time.nextAt <= clock.nextAt;
      this.time.now = Math.max(this.time.now, nextAt);
      await this.event(() => {
        this.log(isOfWorld ? 'world' : 'timer');
        if (isOfWorld) this.time.fire();
        else clock.fire();
      });
    }
    this.time.now = Math.max(this.time.now, until);
    // Nobody acts before it is certain who can still come back.
    if (this.isWindowClosing && this.findings.lines.length === 0) await this.advance(2);
  }

  /** Starts a process, with nothing in its maps but what the owner, or the registry, puts there first. */
  start(legacy?: Legacy): void {
    const { scenario, random, library } = this;
    // What a process finds when it starts is no jump to it.
    this.time.unseenJumpAt = Number.POSITIVE_INFINITY;
    const clock = new SimulatedClock(this.time, random.fork(), scenario.hasBootClock);
    const kind = this.hasJournal && scenario.hasOddLives && this.isFaulty ? random.weighted(lives) : 'usual';
    const isObserving = kind === 'observing';
    const isWithoutRecipient = kind === 'withoutRecipient';
    const plans = isObserving
      ? scenario.plans.map((plan) => ({ ...plan, isObserved: true }))
      : scenario.plans;
    if (kind !== 'usual') this.log(kind);
    const state = {
      clock,
      plans,
      startedAt: this.time.now,
      journal: this.hasJournal ? this.volume.open() : undefined,
      errorMs: this.errorMs,
      isOdd: kind !== 'usual',
      wasRobbed: false,
      knowsOfRobbery: false,
      journalFailures: 0,
      isStarting: true,
      isDead: false,
      diedAt: Number.POSITIVE_INFINITY,
      isStopped: false,
      isClosed: false,
      sweeps: new Set(),
      startingSweeps: 0,
      finishedPasses: 0,
      passFinishedIn: -1,
      holds: [],
      refused: new Map(),
    };
    const started = state as Omit<SimulatedProcess, 'registry' | 'model'> as SimulatedProcess;
    this.process = started;
    const host = this.owner.modelHost(started, { isWithoutRecipient, leavesOpen: kind !== 'usual' });
    Object.assign(started, { model: new Model(host) });
    if (legacy !== undefined) started.model.restore(legacy);
    if (legacy !== undefined && kind === 'usual') this.audit.restore(legacy.ofAudit);
    const found = random.chance(0.3) ? this.owner.findAgain() : new Map();
    if (legacy !== undefined) this.owner.prepareReturns();
    const { maxWaitMs, mostUnwrittenBytes } = scenario;
    // Attempts of an earlier process do not run on in the next one.
    if (state.journal !== undefined) takeAttempts(state.journal.name);
    const journal = state.journal && library.openNow(state.journal, { maxWaitMs, mostUnwrittenBytes });
    const setup: ProcessSetup = { plans, isObserving, isWithoutRecipient, journal, found };
    const registry = startRegistry(library, scenario, clock, this.owner.callbacksFor(started), setup);
    Object.assign(started, { registry });
    started.model.settleAnnounced();
    started.isStarting = false;
  }

  async #live(): Promise<void> {
    const { random, scenario } = this;
    this.start();
    for (let step = 0; step < scenario.steps && this.findings.lines.length === 0; step += 1) {
      const pause = random.weighted({ none: 6, short: 6, long: 5, timer: 2, ticks: 1 });
      const toTimer = Math.min(this.process.clock.nextAt - this.time.now, 5_000);
      const ms = {
        none: 0,
        short: random.between(1, 50),
        long: random.between(50, 600),
        timer: toTimer,
        ticks: 2_000,
      };
      await this.advance(ms[pause]);
      await operate(this, random.weighted<OperationName>(scenario.operations));
      // Nobody works on for long without a journal that everything was to be in.
      if (this.process.knowsOfRobbery && random.chance(0.3)) await operate(this, 'kill');
    }
    await this.#calmDown();
  }

  /** Faults stop: now everything that is due goes, and everybody who has to be told is. */
  async #calmDown(): Promise<void> {
    this.log('faults stop');
    this.isFaulty = false;
    this.volume.heals();
    if (this.process.isOdd || this.process.wasRobbed) await operate(this, 'kill');
    if (this.process.isStopped) await this.#sweepStopped();
    if (this.process.isStopped) {
      await operate(this, 'close');
      if (this.process.isClosed) return;
    }
    this.owner.calm();
    const { sweepEveryMs } = this.scenario;
    const until = this.time.now + patience * sweepEveryMs;
    while (!this.#isDrained() && this.time.now < until && this.findings.lines.length === 0) {
      await this.advance(sweepEveryMs);
    }
    if (this.findings.lines.length > 0) return;
    const { clock, model } = this.process;
    const sizes = [...model.maps].map(([name, entries]) => `${name} ${entries.size}`).join(', ');
    const pending = model.endings.deliveries.pending.size;
    this.findings.check(this.#isDrained(), 'liveness', () => `there remain ${sizes}, and ${pending} pending`);
    const ofJournal = this.hasJournal ? 1 : 0;
    this.findings.check(
      clock.pendingTimers === 1 + ofJournal,
      8,
      () => `${clock.pendingTimers} timers at rest`,
    );
    const isSettled = this.process.journal?.isSettled !== false;
    this.findings.check(isSettled, 'liveness', () => 'the journal has not caught up');
    const end = this.random.pick(['stop', 'close'] as const);
    await operate(this, end);
    const left = end === 'stop' ? ofJournal : 0;
    this.findings.check(clock.pendingTimers === left, 8, () => 'a timer is left at the end');
  }

  /** A registry that was stopped still sweeps when it is asked to. */
  async #sweepStopped(): Promise<void> {
    this.owner.calm();
    await this.advance(12 * this.scenario.sweepEveryMs);
    await operate(this, 'sweep');
  }

  #isDrained(): boolean {
    const { model } = this.process;
    const { endings } = model;
    const isEmpty = [...model.maps].every(
      ([name, entries]) => entries.size === 0 || this.plan(name).isObserved,
    );
    return (
      isEmpty &&
      endings.deliveries.pending.size === 0 &&
      [...model.awaited.all()].length === 0 &&
      this.process.journal?.isSettled !== false
    );
  }

  /** Lets promises settle, giving the passes that pause their turns; others may act meanwhile. */
  async #settle(): Promise<void> {
    const random = this.#betweenSlices;
    for (let quiet = 0; quiet < 2; quiet += 1) {
      const { length } = this.trace;
      await turn();
      // Deliveries go on in further turns when their time in one is over.
      if (this.trace.length > length) quiet = -1;
      const { clock, isDead } = this.process;
      if (isDead || clock.pendingYields === 0) continue;
      quiet = -1;
      this.hasPaused = true;
      if (this.isFaulty && !this.isWindowClosing && random.chance(0.4)) {
        this.log('between slices');
        smallOperations(this, random);
        await turn();
      }
      clock.resume();
    }
  }

  #check(): void {
    const { model, clock, isStopped, journal, journalFailures } = this.process;
    const { findings, time } = this;
    // A timers that has just run sets its next timer 1 ms ahead, whatever is due.
    const isQuiet = clock.nextAt > time.now + 1;
    if (isQuiet && !isStopped) model.closeWindow();
    model.checkAtRest(isQuiet);
    if (this.scenario.hasAudit) this.audit.checkAtRest();
    // Where a timer is due, the library may or may not have given up those who have not come back.
    if (!this.isWindowClosing) this.#compare();
    const timers = clock.pendingTimers;
    const right = (isStopped ? 0 : 1) + (journal === undefined ? 0 : 1);
    // A sweep by hand starts hooks after a stop too, and those that still run have their time-outs again: they have a timer.
    const isRight = timers === right || (model.hooksByHand > 0 && timers === right + 1);
    findings.check(isRight, 8, () => `${timers} timers, ${isStopped ? 'after stop()' : ''}`);
    const failures = journal?.failures ?? 0;
    findings.check(journalFailures >= failures, 'journal', () => 'a failure of the journal was not told');
    checkLateness(this, isQuiet);
    if (findings.lines.length > 0) for (const line of findings.lines) this.log(`FAILED ${line}`);
  }

  #compare(): void {
    const { model, registry, journal } = this.process;
    const { findings, time } = this;
    const { now } = time;
    if (journal?.isSettled !== false) {
      this.#compareWithJournal();
      model.isAllCertain();
      this.audit.isAllWritten();
    }
    const snapshot = pastOf(registry.snapshot());
    const keysOf = (plan: MapPlan): string[] => [...registry.maps[plan.name].keys()];
    compareWithSnapshot({ model, past: snapshot, worldAt: (at) => now + at, now, findings }, keysOf);
    for (const plan of model.host.plans) {
      for (const owner of [undefined, ...owners]) {
        const hasRoom =
          model.of(plan.name).size < plan.maxEntries && model.countOf(plan, owner) < plan.maxPerOwner;
        const told = registry.hasRoom(plan.name, owner);
        findings.check(
          told === hasRoom,
          'hasRoom',
          () => `${plan.name} has ${told ? '' : 'no '}room for ${owner}`,
        );
      }
    }
  }

  #compareWithJournal(): void {
    const { model, journal, startedAt } = this.process;
    const { findings, time, volume } = this;
    const { past } = volume;
    // One that has said nothing yet has left everything as it was.
    if (journal?.hasWritten !== true) return;
    const worldAt = (at: number): number => startedAt + at - past.timeline.origin;
    compareWithJournal({ model, past, worldAt, now: time.now, findings }, this.scenario.sweepEveryMs);
    const { jumpedMs } = volume.lastLife;
    findings.check(
      jumpedMs === model.jumpedMs,
      14,
      () => `the wall clock has jumped by ${model.jumpedMs}, and the journal says ${jumpedMs}`,
    );
  }
}
