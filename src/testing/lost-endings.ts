import { defaultRecipient } from '../endings/ended-policy.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { DeliveryFailedEvent } from '../events/event-bus.js';
import { shownError, shownKey } from '../events/shown.js';
import type { Engine } from '../sweeping/engine.js';

/** Counts the endings that are given up and that nobody hears of later. Until it is stopped it listens. */
export class LostEndings {
  readonly #lost = new Set<string>();
  readonly #undo: readonly (() => void)[];
  // The last attempt to deliver that has failed.
  #lastFailure: DeliveryFailedEvent | undefined;

  constructor({ bus, measurements }: Engine) {
    const observer = {
      delivered: (_durationMs: number, { id }: EndedEvent, recipient: string): void => {
        this.#lost.delete(`${recipient} ${id}`);
      },
    };
    measurements.add(observer);
    this.#undo = [
      bus.on('dead-letter', ({ letter, dropped }) => {
        if (!dropped) this.#lost.add(`${letter.recipient} ${letter.id}`);
      }),
      bus.on('delivery-failed', (failure) => {
        this.#lastFailure = failure;
      }),
      () => measurements.delete(observer),
    ];
  }

  /** For a person: who was not told of what, and why; empty if no attempt has failed. */
  get lines(): string[] {
    if (this.#lastFailure === undefined) return [];
    const { event, recipient, attempt, error } = this.#lastFailure;
    const to = recipient === defaultRecipient ? '' : ` to ${shownKey(recipient)}`;
    return [
      `  the last attempt that failed: no. ${attempt}${to} for ${shownKey(event.key)}: ${shownError(error)}`,
    ];
  }

  get size(): number {
    return this.#lost.size;
  }

  /** Those so far do not count. */
  clear(): void {
    this.#lost.clear();
    this.#lastFailure = undefined;
  }

  /** Counts no more. */
  stop(): void {
    for (const undo of this.#undo) undo();
  }
}
