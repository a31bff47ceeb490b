import type { Registry } from '../../src/registry/registry.js';
import { smallOperations } from './acts.js';
import { checkNothingLost, compareWithSnapshot } from './checks.js';
import { SimulatedDisk } from './disk.js';
import { Findings } from './findings.js';
import { checkLateness } from './lateness.js';
import { Model } from './model.js';
import { operate } from './operations.js';
import { Owner } from './owner.js';
import { type Library, type SimulatedMaps, startRegistry } from './process.js';
import { Random } from './random.js';
import { Recipient } from './recipient.js';
import { restart } from './restart.js';
import {
  drawScenario,
  type Item,
  type MapName,
  type MapPlan,
  type OperationName,
  type Scenario,
} from './scenario.js';
import { SimulatedClock, SimulatedTime } from './simulated-time.js';
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
  isDead: boolean;
  isStopped: boolean;
  /** `close()` is over. */
  isClosed: boolean;
  /** Sweeps that were asked for and are not over. */
  readonly sweeps: Set<Promise<unknown>>;
  finishedPasses: number;
  /** Calls of `sweep()` that have not returned. */
  startingSweeps: number;
  /** Keys that the owner's `delete` refuses, as `map/key`, and how. */
  readonly refused: Map<string, 'throws' | 'refuses'>;
}

/** A turn of the real event loop. The library's own turns come in the same order every time. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Longer than any lifetime, pause and backoff of a scenario, in intervals. */
const patience = 400;

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
  readonly recipient: Recipient;
  readonly owner: Owner;
  /** What the owner had in its maps, for a process that starts anew. */
  readonly remembered = new Map<string, Item>();
  process!: SimulatedProcess;
  isFaulty = true;
  kills = 0;
  deliveries = 0;
  act = 0;
  eventBeganWith = 0;
  hasPaused = false;
  /** Whether a callback is calling back in. */
  isReentrant = false;
  #events = 0;
  readonly #library: Library;
  readonly #seed: number;
  readonly #betweenSlices: Random;
  /** Times that each ending was acted upon, over all processes. */
  readonly #actions = new Map<string, number>();

  constructor(library: Library, seed: number, print?: (line: string) => void) {
    this.#library = library;
    this.#seed = seed;
    this.trace = new Trace(print);
    const root = new Random(seed);
    this.scenario = drawScenario(root.fork());
    this.random = root.fork();
    this.#betweenSlices = root.fork();
    this.owner = new Owner(this, root.fork());
    this.recipient = new Recipient(this.owner.recipientHost(), root.fork());
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
    return this.time.now >= this.process.model.endings.windowEndsAt;
  }

  plan(name: MapName): MapPlan {
    return this.scenario.plans.find((plan) => plan.name === name) as MapPlan;
  }

  log(line: string): void {
    this.trace.add(`${this.time.now} ${line}`);
  }

  /** Ends the process as `kill -9` does: in the midst of whatever it is doing. */
  kill(): void {
    if (this.process.isDead) return;
    this.log('kill -9');
    this.kills += 1;
    this.process.isDead = true;
    this.process.clock.die();
  }

  /** The recipient has acted on an ending. */
  acted(id: string): void {
    const count = (this.#actions.get(id) ?? 0) + 1;
    this.#actions.set(id, count);
    this.deliveries += 1;
    this.findings.check(
      count <= 1 + this.kills,
      9,
      () => `acted on ${count} times, with ${this.kills} crashes`,
    );
  }

  /** Takes a snapshot and keeps it, at whatever moment. */
  persist(): void {
    const { registry, model } = this.process;
    const snapshot = registry.snapshot();
    checkNothingLost({ model, snapshot, time: this.time, findings: this.findings });
    this.disk.write(snapshot);
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

  /** Starts a process, with nothing in its maps. */
  start(): void {
    // What a process finds when it starts is no jump to it.
    this.time.unseenJumpAt = Number.POSITIVE_INFINITY;
    const clock = new SimulatedClock(this.time, this.random.fork());
    const model = new Model(this.owner.modelHost());
    const state = {
      clock,
      model,
      isDead: false,
      isStopped: false,
      isClosed: false,
      sweeps: new Set(),
      startingSweeps: 0,
      finishedPasses: 0,
      refused: new Map(),
    };
    const started = state as Omit<SimulatedProcess, 'registry'> as SimulatedProcess;
    this.process = started;
    const registry = startRegistry(this.#library, this.scenario, clock, this.owner.callbacksFor(started));
    Object.assign(started, { registry });
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
    }
    await this.#calmDown();
  }

  /** Faults stop: now everything that is due goes, and everybody who has to be told is. */
  async #calmDown(): Promise<void> {
    this.log('faults stop');
    this.isFaulty = false;
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
    this.findings.check(clock.pendingTimers === 1, 8, () => `${clock.pendingTimers} timers at rest`);
    await operate(this, this.random.chance(0.5) ? 'stop' : 'close');
    this.findings.check(clock.pendingTimers === 0, 8, () => 'a timer is left at the end');
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
      isEmpty && endings.deliveries.pending.size === 0 && endings.windowEndsAt === Number.POSITIVE_INFINITY
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
    const { model, registry, clock, isStopped } = this.process;
    const { findings, time } = this;
    // A timers that has just run sets its next timer 1 ms ahead, whatever is due.
    const isQuiet = clock.nextAt > time.now + 1;
    if (isQuiet && time.now >= model.endings.windowEndsAt && !isStopped) {
      const lost = [...model.endings.held.values()].filter(({ claimed }) => !claimed).length;
      findings.check(lost === 0, 'endings', () => `${lost} that did not come back did not end as lost`);
      model.closeWindow();
    }
    model.checkAtRest(isQuiet);
    const keysOf = (plan: MapPlan): string[] => [...registry.maps[plan.name].keys()];
    // Where a timer is due, the library may or may not have given up those who have not come back.
    if (isQuiet || !this.isWindowClosing)
      compareWithSnapshot({ model, snapshot: registry.snapshot(), time, findings, keysOf });
    const timers = clock.pendingTimers;
    findings.check(
      timers === (isStopped ? 0 : 1),
      8,
      () => `${timers} timers, ${isStopped ? 'after stop()' : ''}`,
    );
    checkLateness(this, isQuiet);
    if (findings.lines.length > 0) for (const line of findings.lines) this.log(`FAILED ${line}`);
  }
}
