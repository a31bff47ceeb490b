import { type Clock, giveWay } from './clock.js';

/** What work is sliced by. */
export interface SlicesOptions {
  /** Is read to find out whether a slice is over, and is asked for the turn between two slices. */
  readonly clock: Clock;
  /** The time after which a slice is over, in ms. */
  readonly budgetMs: number;
  /** Says whether whoever began the work has stopped meanwhile. Default: never. */
  readonly isStopped?: () => boolean;
  /** At most so many steps come between two looks at the clock, from 1: fewer while they take long. Default 1. */
  readonly stepsPerReading?: number;
  /** Is told of each slice, right after it, how long it took in ms. Must not throw. */
  readonly sliceFinished?: (durationMs: number) => void;
}

/** Steps are quick while those between two looks at the clock take no more than one part in so many of a slice. */
const quickPart = 128;

/**
 * Cuts work whose length depends on a number of entries into slices, between which the event loop has a turn:
 *
 *     const slices = new Slices({ clock, budgetMs, isStopped });
 *     for (const entry of entries) {
 *       work(entry);
 *       if (slices.isOver() && !(await slices.giveWay())) break;
 *     }
 *     slices.end();
 *
 * The first slice begins with the object, or with `begin`. What was true before `giveWay` may be false after it.
 *
 * The clock is read after each step at first, and again once some have taken long, since the next may too; while steps are
 * quick, twice as rarely each time.
 */
export class Slices {
  readonly #stepsPerReading: number;
  readonly #clock: Clock;
  readonly #budgetMs: number;
  readonly #isStopped: () => boolean;
  readonly #sliceFinished: (durationMs: number) => void;
  #steps = 0;
  #stepsToReading = 1;
  #beganAt: number;
  #now: number;
  /** When the first slice would have begun if there had been no turns between them. */
  #startedAt: number;

  constructor({
    clock,
    budgetMs,
    isStopped = () => false,
    stepsPerReading = 1,
    sliceFinished = () => {},
  }: SlicesOptions) {
    this.#stepsPerReading = stepsPerReading;
    this.#clock = clock;
    this.#budgetMs = budgetMs;
    this.#isStopped = isStopped;
    this.#sliceFinished = sliceFinished;
    this.#beganAt = clock.monotonic();
    this.#now = this.#beganAt;
    this.#startedAt = this.#beganAt;
  }

  /** Begins the first slice of other work. */
  begin(): void {
    this.#beginSlice();
    this.#startedAt = this.#beganAt;
  }

  /** The clock as it was last read, monotonic ms. */
  get now(): number {
    return this.#now;
  }

  /** The time that all slices have taken so far, by the clock as it was last read, in ms. */
  get spentMs(): number {
    return this.#now - this.#startedAt;
  }

  /** Counts a step, and returns whether the slice has used up its time: from then on, until the next slice. To be called after each step. */
  isOver(): boolean {
    this.#steps += 1;
    if (this.#steps < this.#stepsToReading) return false;
    this.#steps = 0;
    const before = this.#now;
    this.#now = this.#clock.monotonic();
    const areQuick = (this.#now - before) * quickPart <= this.#budgetMs;
    const isOver = this.#now - this.#beganAt >= this.#budgetMs;
    // Whoever asks again after that is told the same.
    this.#stepsToReading =
      areQuick && !isOver ? Math.min(2 * this.#stepsToReading, this.#stepsPerReading) : 1;
    return isOver;
  }

  /**
   * Ends the slice, gives the event loop a turn, and begins the next slice. Resolves to `false` if the work was stopped
   * meanwhile: it must not go on then.
   */
  async giveWay(): Promise<boolean> {
    this.end();
    const { spentMs } = this;
    await giveWay(this.#clock);
    this.#beginSlice();
    this.#startedAt = this.#beganAt - spentMs;
    return !this.#isStopped();
  }

  /** Ends the last slice. */
  end(): void {
    this.#now = this.#clock.monotonic();
    this.#sliceFinished(this.#now - this.#beganAt);
  }

  #beginSlice(): void {
    this.#steps = 0;
    this.#stepsToReading = 1;
    this.#beganAt = this.#clock.monotonic();
    this.#now = this.#beganAt;
  }
}
