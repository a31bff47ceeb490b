import { Fifo } from '../endings/fifo.js';
import { realSetImmediate } from '../time/real-timers.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';

/** A claimed ending that waits for the journal. */
interface Held {
  readonly id: string;
  /** It is in the journal once so many utterances are. */
  readonly count: number;
  readonly since: number;
}

/** So many endings are let go in one turn of the loop. */
const mostAtOnce = 2_000;

/**
 * Keeps endings from being delivered before the journal has their claim, so that the next life of the process knows
 * what this one may have said. An ending waits for `maxWaitMs` at most: a disk that is full must not keep a recipient
 * waiting for ever.
 */
export class DeliveryGate {
  #held = new Fifo<Held>();
  readonly #timers: TimerQueue;
  readonly #now: () => number;
  #maxWaitMs: number;
  readonly #release: (id: string) => void;
  #head: Held | undefined;
  #written = 0;
  #ticket: TimerTicket | undefined;
  #isLettingGo = false;
  #isShut = false;
  #overdueUpTo = 0;

  /** @param release is called for each ending that may be delivered now; must not throw */
  constructor(timers: TimerQueue, now: () => number, maxWaitMs: number, release: (id: string) => void) {
    this.#timers = timers;
    this.#now = now;
    this.#maxWaitMs = maxWaitMs;
    this.#release = release;
  }

  /** Whether an ending was let go because it had waited too long, and its claim is still not written. */
  get hasOverdue(): boolean {
    return this.#overdueUpTo > this.#written;
  }

  /** Holds an ending until so many utterances are written. */
  hold(id: string, count: number): void {
    if (this.#isShut) return;
    const held = { id, count, since: this.#now() };
    if (this.#head === undefined) this.#head = held;
    else this.#held.push(held);
    this.#watch();
  }

  /** From now on an ending waits no longer than this, ms, if it would have. */
  waitAtMost(maxWaitMs: number): void {
    if (maxWaitMs >= this.#maxWaitMs) return;
    this.#maxWaitMs = maxWaitMs;
    this.#unwatch();
    this.#watch();
  }

  /** So many utterances are written. */
  written(count: number): void {
    this.#written = count;
    if (!this.#isLettingGo) this.#letGo();
  }

  /** The journal belongs to somebody else, who delivers what is in it: nothing is let go, or held, any more. */
  shut(): void {
    this.#isShut = true;
    this.#head = undefined;
    this.#held = new Fifo();
    this.#unwatch();
  }

  #letGo(): void {
    this.#isLettingGo = false;
    const overdue = this.#now() - this.#maxWaitMs;
    let left = mostAtOnce;
    while (this.#head !== undefined) {
      const { id, count, since } = this.#head;
      if (count > this.#written && since > overdue) break;
      if (left-- === 0) {
        this.#isLettingGo = true;
        realSetImmediate(() => this.#letGo());
        return;
      }
      if (count > this.#written) this.#overdueUpTo = count;
      this.#head = this.#held.shift();
      this.#release(id);
    }
    if (this.#head === undefined) this.#unwatch();
  }

  #watch(): void {
    if (this.#ticket !== undefined || this.#head === undefined) return;
    this.#ticket = this.#timers.schedule(this.#head.since + this.#maxWaitMs, () => {
      this.#ticket = undefined;
      if (!this.#isLettingGo) this.#letGo();
      this.#watch();
    });
  }

  #unwatch(): void {
    this.#timers.cancel(this.#ticket);
    this.#ticket = undefined;
  }
}
