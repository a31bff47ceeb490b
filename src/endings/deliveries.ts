import type { Engine } from '../sweeping/engine.js';
import type { CompiledEnded } from './ended-policy.js';
import { Notifier } from './notifier.js';
import type { ObligationLog } from './notifier-options.js';

/** How deliveries went. */
export interface DeliveryOutcomes {
  /** Endings that were delivered. */
  delivered: number;
  /** Attempts that failed or timed out. */
  failed: number;
  /** Endings that became dead letters. */
  dead: number;
}

/** The notifier of a registry, whose failures and outcomes are counted and told on the registry's bus. */
export class Deliveries {
  readonly notifier: Notifier<unknown, unknown>;
  readonly outcomes: DeliveryOutcomes = { delivered: 0, failed: 0, dead: 0 };

  constructor(
    engine: Engine,
    ended: CompiledEnded,
    deliver: NonNullable<CompiledEnded['deliver']>,
    log?: ObligationLog,
  ) {
    const { bus, failures, timers, timeline } = engine;
    const { outcomes } = this;
    this.notifier = new Notifier({
      clock: timeline.clock,
      timers,
      deliver,
      limits: ended.limits,
      log,
      // The bus, the failures and the observers are guarded: nothing that a listener throws reaches the notifier.
      sink: {
        delivered: (event, durationMs) => {
          outcomes.delivered += 1;
          engine.measurements.tell((listener) => listener.delivered?.(durationMs, event));
        },
        attemptFailed: (failure) => {
          outcomes.failed += 1;
          failures.report(ended.map, 'deliver', failure.event.key, failure.error);
          bus.emit('delivery-failed', failure);
        },
        deadLetter: (event) => {
          if (!event.dropped) outcomes.dead += 1;
          bus.emit('dead-letter', event);
        },
        failedLate: (error) => failures.report(ended.map, 'deliver', undefined, error),
      },
    });
  }
}
