import { LRUCache } from 'lru-cache';
import type { DeadLetter } from '../events/dead-letter.js';

/** A dead letter as it is kept. */
export interface LetterRecord<K, V> {
  readonly letter: DeadLetter<K, V>;
  /** True while its last attempt, which timed out, still runs. Another one would overlap with it. */
  isRunning: boolean;
  /** True if {@link DeadLetters.countedLosses} counts it. */
  readonly isCounted: boolean;
}

/**
 * Dead letters by id, oldest first, at most `max` (0 keeps none).
 *
 * lru-cache gives the bound. Its order is that of the inserts, since nothing here reads with `get` or sets a present
 * key, both of which would make a letter young again. It drops nothing by itself: what goes is returned to be told.
 */
export class DeadLetters<K, V> {
  readonly #max: number;
  readonly #records: LRUCache<string, LetterRecord<K, V>>;
  #isCounting = false;
  #countedLosses = 0;

  constructor(max: number) {
    this.#max = max;
    // 0 is an error to lru-cache.
    this.#records = new LRUCache({ max: Math.max(max, 1) });
  }

  get size(): number {
    return this.#records.size;
  }

  /** Letters made since {@link DeadLetters.countLosses} and not withdrawn since, dropped ones included. */
  get countedLosses(): number {
    return this.#countedLosses;
  }

  has(id: string): boolean {
    // Mostly there are none, and to look an id up it has to be hashed.
    return this.#records.size > 0 && this.#records.has(id);
  }

  get(id: string): LetterRecord<K, V> | undefined {
    return this.#records.peek(id);
  }

  /** Adds a letter whose id is not there, and returns with it the one dropped for it: the oldest, if it is full. */
  add(letter: DeadLetter<K, V>): { record: LetterRecord<K, V>; dropped: DeadLetter<K, V> | undefined } {
    const record = { letter, isRunning: false, isCounted: this.#isCounting };
    if (record.isCounted) this.#countedLosses += 1;
    if (this.#max === 0) return { record, dropped: letter };
    const dropped = this.#records.size >= this.#max ? this.#records.pop() : undefined;
    this.#records.set(letter.id, record);
    return { record, dropped: dropped?.letter };
  }

  /** Takes a letter back, because it was delivered or is tried again. One that was dropped before may come too. */
  withdraw(record: LetterRecord<K, V>): void {
    this.#records.delete(record.letter.id);
    if (record.isCounted) this.#countedLosses -= 1;
  }

  countLosses(): void {
    this.#isCounting = true;
  }

  /** Copies, oldest first. */
  list(): DeadLetter<K, V>[] {
    const letters: DeadLetter<K, V>[] = [];
    for (const record of this.#records.rvalues()) {
      if (record !== undefined) letters.push(copyOf(record.letter));
    }
    return letters;
  }
}

/** A copy to hand out, so that nobody changes what is kept. The key, the value and the detail are the originals. */
export function copyOf<K, V>(letter: DeadLetter<K, V>): DeadLetter<K, V> {
  return { ...letter, event: { ...letter.event } };
}
