import { type Clock, yieldToEventLoop } from './clock.js';
import { Slices } from './slices.js';

/**
 * A slice for work that is no loop but comes in many microtasks, each started by what the one before settled: such work
 * would otherwise block the event loop until all of it is done.
 */
export class TurnBudget {
  readonly #clock: Clock;
  readonly #budgetMs: number;
  readonly #nextTurn: () => void;
  #slice: Slices | undefined;

  /** `nextTurn` is called in a new turn after each turn that asked for time, and must not throw. */
  constructor(clock: Clock, budgetMs: number, nextTurn: () => void) {
    this.#clock = clock;
    this.#budgetMs = budgetMs;
    this.#nextTurn = nextTurn;
  }

  /** Returns whether there is time left in this turn: once there is none, not before the next. The first question begins the slice. */
  hasTime(): boolean {
    if (this.#slice !== undefined) return !this.#slice.isOver();
    this.#slice = new Slices({ clock: this.#clock, budgetMs: this.#budgetMs, stepsPerReading: 8 });
    // Nothing else tells one turn from the next. The clock's own `yield` is not asked: a user's may never resolve.
    void yieldToEventLoop().then(() => {
      this.#slice = undefined;
      this.#nextTurn();
    });
    return true;
  }
}
