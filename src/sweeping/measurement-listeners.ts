import type { CallbackFailures } from '../events/callback-failures.js';
import type { Measurements } from '../events/measurements.js';

/** Whoever collects measurements. */
export class MeasurementListeners {
  readonly #failures: CallbackFailures;
  readonly #listeners = new Set<Measurements>();

  constructor(failures: CallbackFailures) {
    this.#failures = failures;
  }

  /** How many there are: what nobody wants to know need not be measured. */
  get size(): number {
    return this.#listeners.size;
  }

  add(listener: Measurements): void {
    this.#listeners.add(listener);
  }

  delete(listener: Measurements): void {
    this.#listeners.delete(listener);
  }

  /** Tells every listener. One that throws is counted and harms nobody. */
  tell(tell: (listener: Measurements) => void): void {
    for (const listener of this.#listeners) {
      try {
        tell(listener);
      } catch (error) {
        this.#failures.report('', 'observer', undefined, error);
      }
    }
  }
}
