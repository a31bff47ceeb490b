import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { CompiledEnded } from './ended-policy.js';
import { Notifier } from './notifier.js';

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

  constructor(engine: Engine, ended: CompiledEnded, deliver: NonNullable<CompiledEnded['deliver']>) {
    const { bus, failures, timers, timeline } = engine;
    const { outcomes } = this;
    const failed = (event: EndedEvent | undefined, error: unknown): void =>
      failures.report(ended.map, 'deliver', event?.key, error);
    this.notifier = new Notifier({
      clock: timeline.clock,
      timers,
      deliver,
      limits: ended.limits,
      hooks: {
        delivered: (event, durationMs) => {
          outcomes.delivered += 1;
          engine.observe((observer) => observer.delivered?.(durationMs, event));
        },
        attemptFailed: (event, attempt, error, willRetry, retryInMs) => {
          outcomes.failed += 1;
          failed(event, error);
          bus.emit('delivery-failed', { event, attempt, error, willRetry, retryInMs });
        },
        deadLetter: (letter) => {
          outcomes.dead += 1;
          bus.emit('dead-letter', { letter, dropped: false });
        },
        deadLetterDropped: (letter) => bus.emit('dead-letter', { letter, dropped: true }),
        handlerFailed: (error) => failed(undefined, error),
      },
    });
  }
}
