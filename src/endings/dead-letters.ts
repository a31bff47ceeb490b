import type { LRUCache } from 'lru-cache';
import type { DeadLetter } from '../events/dead-letter.js';
import type { DeadLetterEvent } from '../events/event-bus.js';
import { boundedCache } from './bounded-cache.js';
import { Fifo } from './fifo.js';
import type { NotifierSink, ObligationLog } from './notifier-options.js';

/** A dead letter as it is kept. */
export interface LetterRecord<K, V> {
  readonly letter: DeadLetter<K, V>;
  /** True while its last attempt, which timed out, still runs. Another one would overlap with it. */
  isRunning: boolean;
  /** True if {@link DeadLetters.countedLosses} counts it. */
  readonly isCounted: boolean;
}

/**
 * Dead letters by id, oldest first, at most `max` (0 keeps none), and what has yet to be told of them.
 *
 * lru-cache gives the bound. Its order is that of the inserts, since nothing here reads with `get` or sets a present
 * key, both of which would make a letter young again. It drops nothing by itself, so that what goes can be told.
 */
export class DeadLetters<K, V> {
  readonly #max: number;
  readonly #sink: NotifierSink;
  readonly #log: ObligationLog | undefined;
  readonly #records: LRUCache<string, LetterRecord<K, V>>;
  readonly #untold = new Fifo<DeadLetterEvent>();
  #isCounting = false;
  #countedLosses = 0;

  constructor(max: number, sink: NotifierSink, log: ObligationLog | undefined) {
    this.#max = max;
    this.#sink = sink;
    this.#log = log;
    // 0 is an error to lru-cache.
    this.#records = boundedCache(Math.max(max, 1));
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

  /** Adds a new letter, whose id is not there, to be told. If there are `max`, the oldest is dropped for it. */
  add(letter: DeadLetter<K, V>): LetterRecord<K, V> {
    this.#log?.dead(letter as DeadLetter);
    this.#untold.push({ letter, dropped: false });
    return this.#keep(letter);
  }

  /** Adds a copy of a letter that was told before, whose id is not there. If there are `max`, the oldest is dropped. */
  restore(letter: DeadLetter<K, V>): void {
    // The event stays the same object: what is known of it is known by that.
    this.#keep({ ...letter });
  }

  /** True if {@link DeadLetters.tell} has something to tell. */
  get hasUntold(): boolean {
    return this.#untold.size > 0;
  }

  /** Tells of the letters that were made and dropped, in the order in which they were. */
  tell(): void {
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
      this.#sink.deadLetter({ letter: copyOf(next.letter), dropped: next.dropped });
    }
  }

  /** Whether a letter is kept: it may have been dropped, and its id be that of another one since. */
  keeps(record: LetterRecord<K, V>): boolean {
    return this.#records.peek(record.letter.id) === record;
  }

  /**
   * Takes a letter back, because it was delivered or is tried again. One that was dropped before may come too.
   *
   * @returns whether it was kept
   */
  withdraw(record: LetterRecord<K, V>): boolean {
    const isKept = this.keeps(record);
    if (isKept) this.#records.delete(record.letter.id);
    if (record.isCounted) this.#countedLosses -= 1;
    return isKept;
  }

  /** Counts from now on the letters that are made. */
  countLosses(): void {
    this.#isCounting = true;
  }

  /** Yields the letters themselves, oldest first. */
  *all(): Generator<DeadLetter<K, V>> {
    for (const record of this.#records.rvalues()) if (record !== undefined) yield record.letter;
  }

  /** Returns copies, oldest first. */
  list(): DeadLetter<K, V>[] {
    return [...this.all()].map(copyOf);
  }

  #keep(letter: DeadLetter<K, V>): LetterRecord<K, V> {
    const record = { letter, isRunning: false, isCounted: this.#isCounting };
    if (record.isCounted) this.#countedLosses += 1;
    const oldest = this.#max > 0 && this.#records.size >= this.#max ? this.#records.pop() : undefined;
    if (this.#max > 0) this.#records.set(letter.id, record);
    const dropped = this.#max === 0 ? letter : oldest?.letter;
    if (dropped !== undefined) {
      this.#log?.done(dropped.id);
      this.#untold.push({ letter: dropped, dropped: true });
    }
    return record;
  }
}

/** Returns a copy to hand out, so that nobody changes what is kept. The key, the value and the detail are the originals. */
function copyOf<K, V>(letter: DeadLetter<K, V>): DeadLetter<K, V> {
  return { ...letter, event: { ...letter.event } };
}
