import type { DeliveryContext } from '../events/ended-event.js';

/** Aborts the signal of an attempt, read or not. For the notifier alone; later calls do nothing. */
export let abortAttempt: (context: AttemptContext, reason: unknown) => void;

/** What the signal of an attempt was aborted with. For the notifier alone. */
export let abortReasonOf: (context: AttemptContext) => unknown;

/**
 * What a handler gets as its second argument. The AbortController comes into being when `signal` is first read:
 * most handlers never do, and a million controllers cost more than a million deliveries.
 */
export class AttemptContext implements DeliveryContext {
  readonly attempt: number;
  #controller: AbortController | undefined;
  #abortion: { readonly reason: unknown } | undefined;

  constructor(attempt: number) {
    this.attempt = attempt;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortion !== undefined) this.#controller.abort(this.#abortion.reason);
    }
    return this.#controller.signal;
  }

  static {
    // Not a method, or a handler could abort its own attempt.
    abortAttempt = (context, reason) => {
      context.#abortion ??= { reason };
      context.#controller?.abort(context.#abortion.reason);
    };
    abortReasonOf = (context) => context.#abortion?.reason;
  }
}
