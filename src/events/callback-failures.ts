import type { CallbackFailedEvent } from './event-bus.js';

/** Counts what user callbacks throw, and tells of it on the bus, so that nothing else has to. */
export class CallbackFailures {
  // By map; what belongs to none has an empty name.
  readonly #counts = new Map<string, Map<string, number>>([['', new Map()]]);
  // By map, the callbacks of which one failure has been emitted for all.
  readonly #said = new Map<string, Set<string>>([['', new Set()]]);
  readonly #tell: (event: CallbackFailedEvent) => void;
  #telling = 0;

  constructor(tell: (event: CallbackFailedEvent) => void) {
    this.#tell = tell;
  }

  /** Counts the failures of a map from now on. */
  add(map: string): void {
    this.#counts.set(map, new Map());
    this.#said.set(map, new Set());
  }

  /** Counts a failure and says nothing: it has been said before. That of a map that is gone counts no more. */
  count(map: string, callback: string): void {
    const counts = this.#counts.get(map);
    counts?.set(callback, (counts.get(callback) ?? 0) + 1);
  }

  /** Counts a failure and emits `callback-failed`, also of a map that is gone. */
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

  /** Counts a failure, and emits the first of each callback alone: what goes wrong for one entry does so for many. */
  reportOnce(map: string, callback: string, key: unknown, error: unknown): void {
    const said = this.#said.get(map);
    if (said?.has(callback)) {
      this.count(map, callback);
      return;
    }
    said?.add(callback);
    this.report(map, callback, key, error);
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
    this.#said.delete(map);
  }
}
