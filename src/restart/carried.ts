import type { PastEnding } from './left.js';

/**
 * Endings that are owed to recipients whom this life does not have: it tells nobody of them, and writes them anew with each
 * checkpoint, for a life that has them.
 */
export class Carried implements Iterable<PastEnding> {
  readonly #byShare = new Map<string, PastEnding>();

  /** Takes over one that is owed. */
  add(ending: PastEnding): void {
    this.#byShare.set(shareOf(ending.id, ending.recipient), ending);
  }

  /** Another process owes it now. Returns `false` if it was not owed here. */
  forfeit(id: string, recipient: string): boolean {
    return this.#byShare.delete(shareOf(id, recipient));
  }

  /** Goes through all. One that is added or forfeited meanwhile comes up or does not. */
  [Symbol.iterator](): Iterator<PastEnding> {
    return this.#byShare.values();
  }
}

const shareOf = (id: string, recipient: string): string => JSON.stringify([id, recipient]);
