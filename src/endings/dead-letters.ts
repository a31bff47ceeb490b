import type { LRUCache } from 'lru-cache';
import type { DeadLetter } from '../events/dead-letter.js';
import type { DeadLetterEvent } from '../events/event-bus.js';
import type { TimerTicket } from '../time/timer-queue.js';
import { boundedCache } from './bounded-cache.js';
import { Fifo } from './fifo.js';
import type { NotifierOptions, NotifierSink, ObligationLog } from './notifier-options.js';
import type { LetterRecord, Obligation } from './obligation.js';

/** So many are dropped in one turn of the loop because their time is over. */
const mostExpiredAtOnce = 500;

/**
 * Dead letters by id, oldest first, at most `maxDeadLetters` (0 keeps none), each for `deadLetterTtlMs`, and what has
 * yet to be told of them.
 *
 * lru-cache gives the bound. Its order is that of the inserts, since nothing here reads with `get` or sets a present
 * key, both of which would make a letter young again. It drops nothing by itself, so that what goes can be told.
 */
export class DeadLetters<K, V> {
  readonly #max: number;
  readonly #ttlMs: number;
  readonly #sink: NotifierSink;
  readonly #log: ObligationLog | undefined;
  readonly #clock: NotifierOptions<K, V>['clock'];
  readonly #timers: NotifierOptions<K, V>['timers'];
  readonly #records: LRUCache<string, LetterRecord<K, V>>;
  readonly #untold = new Fifo<DeadLetterEvent>();
  #ticket: TimerTicket | undefined;
  #isCounting = false;
  #countedLosses = 0;
  #added = 0;

  constructor({ limits, sink, log, clock, timers }: NotifierOptions<K, V>) {
    this.#max = limits.maxDeadLetters;
    this.#ttlMs = limits.deadLetterTtlMs;
    this.#sink = sink;
    this.#log = log;
    this.#clock = clock;
    this.#timers = timers;
    // 0 is an error to lru-cache.
    this.#records = boundedCache(Math.max(this.#max, 1));
  }

  get size(): number {
    return this.#records.size;
  }

  /** Letters made since {@link DeadLetters.countLosses} and not withdrawn since, dropped ones included. */
  get countedLosses(): number {
    return this.#countedLosses;
  }

  /** The letter that was added last of those that are kept. */
  get youngest(): DeadLetter<K, V> | undefined {
    // From the last insert on.
    for (const { letter } of this.#records.values()) return letter;
    return undefined;
  }

  has(id: string): boolean {
    return this.get(id) !== undefined;
  }

  get(id: string): LetterRecord<K, V> | undefined {
    // Mostly there are none, and to look an id up it has to be hashed.
    return this.#records.size > 0 ? this.#records.peek(id) : undefined;
  }

  /** Adds a new letter, whose id is not there, to be told. If there are too many, the oldest is dropped for it. */
  add(letter: DeadLetter<K, V>, obligation: Obligation<K, V>): LetterRecord<K, V> {
    const diedAt = this.#clock.monotonic();
    this.#log?.dead(letter as DeadLetter, diedAt);
    this.#untold.push({ letter, dropped: false });
    return this.#keep(letter, diedAt, obligation);
  }

  /** Adds a copy of a letter that was told before, whose id is not there. If there are too many, the oldest is dropped. */
  restore(letter: DeadLetter<K, V>, diedAt: number): void {
    // The event stays the same object: what is known of it is known by that.
    this.#keep({ ...letter }, diedAt, undefined);
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

  /**
   * Takes a letter back, because it was delivered or is tried again. One that was dropped before may come too.
   *
   * @returns whether it was kept
   */
  withdraw(record: LetterRecord<K, V>): boolean {
    const { isKept } = record;
    if (isKept) this.#forget(record);
    if (record.isCounted) this.#countedLosses -= 1;
    record.isCounted = false;
    if (this.#records.size === 0) this.rest();
    return isKept;
  }

  /** A letter that is kept is that of a later run of its id from now on. May be called in the midst of a removal. */
  handOver(record: LetterRecord<K, V>, event: DeadLetter<K, V>['event']): void {
    record.letter = { ...record.letter, event };
    this.#log?.dead(record.letter as DeadLetter, record.diedAt);
  }

  /** Counts from now on the letters that are made. */
  countLosses(): void {
    this.#isCounting = true;
  }

  /** Gives the ticket back: from here on no letter's time is over. */
  rest(): void {
    this.#timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }

  /**
   * Yields those that there are now as they are kept, oldest first; whatever is done between two of them, all that stay come
   * up.
   */
  *all(): Generator<LetterRecord<K, V>> {
    const end = this.#added;
    let passed = -1;
    // A walk of lru-cache is over as soon as the entry at which it stands has been removed.
    for (let isLost = true; isLost; ) {
      isLost = false;
      for (const record of this.#records.rvalues()) {
        if (record === undefined || record.order <= passed) continue;
        if (record.order >= end) return;
        passed = record.order;
        yield record;
        isLost = !record.isKept;
        if (isLost) break;
      }
    }
  }

  /** Returns copies, oldest first. */
  list(): DeadLetter<K, V>[] {
    return [...this.all()].map(({ letter }) => copyOf(letter));
  }

  #keep(
    letter: DeadLetter<K, V>,
    diedAt: number,
    obligation: Obligation<K, V> | undefined,
  ): LetterRecord<K, V> {
    const order = this.#added++;
    const isKept = this.#max > 0;
    const isCounted = this.#isCounting;
    const record = { letter, diedAt, obligation, order, isKept, isCounted, isRedelivered: false };
    if (isCounted) this.#countedLosses += 1;
    const oldest = isKept && this.#records.size >= this.#max ? this.#records.pop() : undefined;
    if (oldest !== undefined) oldest.isKept = false;
    if (isKept) this.#records.set(letter.id, record);
    const dropped = isKept ? oldest?.letter : letter;
    if (dropped !== undefined) this.#drop(dropped);
    this.#watch();
    return record;
  }

  #forget(record: LetterRecord<K, V>): void {
    record.isKept = false;
    this.#records.delete(record.letter.id);
  }

  #drop(letter: DeadLetter<K, V>): void {
    this.#log?.done(letter.id, letter.recipient);
    this.#untold.push({ letter, dropped: true });
  }

  /** Sets the ticket for the oldest; when that goes before its time, the ticket comes early and is set again. */
  #watch(): void {
    if (this.#ticket !== undefined || this.#ttlMs === Number.POSITIVE_INFINITY) return;
    for (const { diedAt } of this.all()) {
      this.#ticket = this.#timers.schedule(diedAt + this.#ttlMs, () => this.#expire());
      return;
    }
  }

  #expire(): void {
    this.#ticket = undefined;
    const bornBy = this.#clock.monotonic() - this.#ttlMs;
    for (let left = mostExpiredAtOnce; left > 0; left -= 1) {
      const { value: oldest } = this.all().next();
      if (oldest === undefined || oldest.diedAt > bornBy) break;
      this.#forget(oldest);
      this.#drop(oldest.letter);
    }
    this.#watch();
    this.tell();
  }
}

/** Returns a copy to hand out, so that nobody changes what is kept. The key, the value and the detail are the originals. */
function copyOf<K, V>(letter: DeadLetter<K, V>): DeadLetter<K, V> {
  return { ...letter, event: { ...letter.event } };
}
