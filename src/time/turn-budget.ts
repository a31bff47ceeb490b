import { yieldToEventLoop } from './clock.js';

/**
 * Time that work may take of one turn of the event loop, however many microtasks it comes in. Work that settles
 * without I/O chains from microtask to microtask and would otherwise block the loop until it is done.
 */
export class TurnBudget {
  readonly #budgetMs: number;
  readonly #nextTurn: () => void;
  #turnStartedAt: number | undefined;

  /** `nextTurn` is called in a new turn after each turn that asked for time, and must not throw. */
  constructor(budgetMs: number, nextTurn: () => void) {
    this.#budgetMs = budgetMs;
    this.#nextTurn = nextTurn;
  }

  /** Whether there is time left in this turn. `now` is monotonic, ms. The first question starts the turn's time. */
  hasTimeAt(now: number): boolean {
    if (this.#turnStartedAt === undefined) {
      this.#turnStartedAt = now;
      // Nothing else tells one turn from the next. The clock's own `yield` is not asked: a user's may never resolve.
      void yieldToEventLoop().then(() => {
        this.#turnStartedAt = undefined;
        this.#nextTurn();
      });
    }
    return now - this.#turnStartedAt < this.#budgetMs;
  }
}
