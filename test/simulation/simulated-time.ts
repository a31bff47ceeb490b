import type { Clock } from '../../src/time/clock.js';
import type { Random } from './random.js';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fn: () => void;
}

/** Takes the timer that comes first; of equal instants the one set first. */
function earliest(timers: ReadonlySet<Timer>): Timer | undefined {
  let first: Timer | undefined;
  for (const timer of timers) {
    if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) {
      first = timer;
    }
  }
  return first;
}

/** Any instant from 2001 on serves: policies refuse answers that look like seconds. */
const firstWallMs = 1_700_000_000_000;

/**
 * The time of the simulated world, in whole ms. It passes when the simulation says so and outlives every process; the
 * wall clock is this plus an offset that jumps.
 */
export class SimulatedTime {
  now = 0;
  /** Ms that callbacks took so far. */
  spent = 0;
  /** How often the wall clock jumped. */
  jumps = 0;
  /** How often it jumped back. */
  setBacks = 0;
  /** When it last did, if nothing has made the library look at both clocks since. */
  unseenJumpAt = Number.POSITIVE_INFINITY;
  /** How often the machine has booted. */
  boots = 1;
  /** What the wall clock has differed by, one after the other. */
  readonly wallOffsets = [firstWallMs];
  #order = 0;
  readonly #agenda = new Set<Timer>();

  /** Epoch ms. */
  wall(): number {
    return this.now + this.wallOffset;
  }

  get wallOffset(): number {
    return this.wallOffsets.at(-1) as number;
  }

  jumpWall(byMs: number): void {
    this.wallOffsets.push(this.wallOffset + byMs);
    this.jumps += 1;
    if (byMs < 0) this.setBacks += 1;
    this.unseenJumpAt = Math.min(this.unseenJumpAt, this.now);
  }

  /** A callback takes this long. */
  spend(ms: number): void {
    this.now += ms;
    this.spent += ms;
  }

  /** Has something happen in the world, outside the process under test: a handler that settles. */
  later(afterMs: number, fn: () => void): void {
    this.#order += 1;
    this.#agenda.add({ at: this.now + afterMs, order: this.#order, fn });
  }

  get nextAt(): number {
    return earliest(this.#agenda)?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Lets the first thing on the agenda happen. */
  fire(): void {
    const first = earliest(this.#agenda);
    if (first === undefined) return;
    this.#agenda.delete(first);
    first.fn();
  }
}

/** The clock of one process: its monotonic clock has an origin of its own, and its timers and yields die with it. */
export class SimulatedClock implements Clock {
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #origin: number;
  readonly #timers = new Set<Timer>();
  #order = 0;
  #yields: (() => void)[] = [];
  #isDead = false;
  readonly boot: (() => { readonly id: string; readonly at: number }) | undefined;

  constructor(time: SimulatedTime, random: Random, hasBootClock: boolean) {
    this.#time = time;
    this.#random = random;
    this.boot = hasBootClock ? () => ({ id: `boot ${time.boots}`, at: time.now }) : undefined;
    // A fraction, since `performance.now()` has one, and one that a double holds exactly beside epoch ms.
    this.#origin = time.now - random.between(1, 100_000) - 0.25;
  }

  now = (): number => this.#time.wall();

  monotonic = (): number => this.#time.now - this.#origin;

  random = (): number => this.#random.next();

  setTimeout = (fn: () => void, ms: number): unknown => {
    this.#order += 1;
    const timer = { at: this.#time.now + ms, order: this.#order, fn };
    if (!this.#isDead) this.#timers.add(timer);
    return timer;
  };

  clearTimeout = (handle: unknown): void => {
    this.#timers.delete(handle as Timer);
  };

  yield = (): Promise<void> =>
    new Promise((resolve) => {
      if (!this.#isDead) this.#yields.push(resolve);
    });

  get pendingTimers(): number {
    return this.#timers.size;
  }

  get nextAt(): number {
    return earliest(this.#timers)?.at ?? Number.POSITIVE_INFINITY;
  }

  /** How many passes wait for a turn of the event loop. */
  get pendingYields(): number {
    return this.#yields.length;
  }

  /** Fires the first timer. */
  fire(): void {
    const first = earliest(this.#timers);
    if (first === undefined) return;
    this.#timers.delete(first);
    first.fn();
  }

  /** Gives the pass that waits longest its turn. */
  resume(): void {
    this.#yields.shift()?.();
  }

  /** The process is gone: nothing of it runs any more. */
  die(): void {
    this.#isDead = true;
    this.#timers.clear();
    this.#yields = [];
  }
}
