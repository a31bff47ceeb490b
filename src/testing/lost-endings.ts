import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';

/** Counts the endings that are given up and that nobody hears of later. Until it is stopped it listens. */
export class LostEndings {
  readonly #lost = new Set<string>();
  readonly #undo: readonly (() => void)[];

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
      () => measurements.delete(observer),
    ];
  }

  get size(): number {
    return this.#lost.size;
  }

  /** Those so far do not count. */
  clear(): void {
    this.#lost.clear();
  }

  /** Counts no more. */
  stop(): void {
    for (const undo of this.#undo) undo();
  }
}
