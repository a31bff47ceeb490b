import type { CallbackFailedEvent } from './event-bus.js';

/** Counts what user callbacks throw, and tells of it on the bus, so that nothing else has to. */
export class CallbackFailures {
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #tell: (event: CallbackFailedEvent) => void;
  #telling = 0;

  constructor(tell: (event: CallbackFailedEvent) => void) {
    this.#tell = tell;
  }

  /** Counts a failure and says nothing: it has been said before. */
  count(map: string, callback: string): void {
    let counts = this.#counts.get(map);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(map, counts);
    }
    counts.set(callback, (counts.get(callback) ?? 0) + 1);
  }

  /** Counts a failure and emits `callback-failed`. */
  report(map: string, callback: string, key: unknown, error: unknown): void {
    this.count(map, callback);
    // A listener of `callback-failed` that fails itself is counted; to tell it about that would never end.
    if (this.#telling > 0 && callback === 'listener') return;
    this.#telling += 1;
    try {
      this.#tell({ map, callback, key, error });
    } finally {
      this.#telling -= 1;
    }
  }

  /** Yields how often each callback failed: map, callback, count. */
  *entries(): Generator<readonly [map: string, callback: string, count: number]> {
    for (const [map, counts] of this.#counts) {
      for (const [callback, count] of counts) yield [map, callback, count];
    }
  }

  /** Forgets the counts of a map that is gone. */
  forget(map: string): void {
    this.#counts.delete(map);
  }
}
