import { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { Deliver, EndedEvent } from '../events/ended-event.js';
import { detached } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import type { TimerQueue } from '../time/timer-queue.js';
import { TurnBudget } from '../time/turn-budget.js';
import { AttemptContext, abortAttempt } from './attempt-context.js';
import { DeadLetters, type LetterRecord } from './dead-letters.js';
import { FairQueue } from './fair-queue.js';
import { InFlight } from './in-flight.js';
import type { NotifierLimits, NotifierOptions, NotifierSink, ObligationLog } from './notifier-options.js';
import { RetryWaits } from './retry-waits.js';

/** What a {@link Notifier} owes, for a snapshot. */
export interface NotifierState<K, V> {
  /** `attempts` counts those of the round, one that is in flight included. */
  pending: Array<{ event: EndedEvent<K, V>; attempts: number }>;
  /** Oldest first. */
  deadLetters: DeadLetter<K, V>[];
}

/** An event that somebody has to hear of, from `push` to its delivery or its dead letter. */
interface Obligation<K, V> {
  /** Copied, for a handler may write to the event. */
  readonly id: string;
  readonly event: EndedEvent<K, V>;
  /** Attempts of this round, counted before they start. */
  attempts: number;
  /** It waits for {@link Notifier.start}. */
  isHeld: boolean;
}

interface Attempt<K, V> {
  readonly obligation: Obligation<K, V>;
  readonly context: AttemptContext;
  /** Monotonic. */
  readonly startedAt: number;
  /** The dead letter that its time-out made. */
  record: LetterRecord<K, V> | undefined;
}

/** How long attempts may start one another before the event loop gets a turn, ms. */
const TURN_BUDGET_MS = 5;

const resolved = Promise.resolve();

/**
 * Delivers endings: each until it succeeds, with at most `attempts` attempts a round, then as one dead letter.
 *
 * At most one delivery of an id succeeds, and its attempts never overlap: an obligation is queued, running, waiting or
 * a dead letter, never two of these; and if an attempt timed out, its id is not tried again before that attempt is over.
 * That is per instance: a notifier that imports the state of another one knows nothing of attempts running there.
 */
export class Notifier<K, V> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #deliver: Deliver<K, V>;
  readonly #limits: NotifierLimits;
  readonly #sink: NotifierSink;
  readonly #log: ObligationLog | undefined;

  readonly #pending = new Map<string, Obligation<K, V>>();
  readonly #queue = new FairQueue<Obligation<K, V>>();
  readonly #inFlight: InFlight<Attempt<K, V>>;
  readonly #retries: RetryWaits<Obligation<K, V>>;
  readonly #letters: DeadLetters<K, V>;
  readonly #turn: TurnBudget;
  #isPumpQueued = false;
  #finishing: { readonly promise: Promise<number>; readonly end: () => void } | undefined;
  #isClosed = false;
  #isHalted = false;

  constructor({ clock, timers, deliver, limits, sink, log }: NotifierOptions<K, V>) {
    this.#clock = clock;
    this.#turn = new TurnBudget(clock, TURN_BUDGET_MS, () => this.#pump());
    this.#timers = timers;
    this.#deliver = deliver;
    this.#limits = limits;
    this.#sink = sink;
    this.#log = log;
    this.#letters = new DeadLetters(limits.maxDeadLetters, sink, log);
    this.#inFlight = new InFlight(clock, timers, limits.attemptTimeoutMs, (attempt) =>
      this.#timeOut(attempt),
    );
    this.#retries = new RetryWaits(clock, timers, limits, (obligation) => {
      this.#queue.addRetry(obligation);
      this.#queuePump();
    });
  }

  /** Endings that are queued, in flight or waiting for a retry. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  get deadLetterCount(): number {
    return this.#letters.size;
  }

  /** How many are pending, or have become dead letters since `finish` was called and were not delivered after all. */
  get undelivered(): number {
    return this.#pending.size + this.#letters.countedLosses;
  }

  /**
   * Takes over an ending. Its first attempt starts in a microtask, outside the async context of the caller, as soon
   * as there is a slot. Beyond `maxPending` it becomes a dead letter at once. An id that is pending or a dead letter
   * is ignored; once `finish` is over, an ending is kept for `export` and not tried.
   *
   * @param isHeld it is not tried before {@link Notifier.start}
   */
  push(event: EndedEvent<K, V>, isHeld = false): void {
    this.#accept(event, 0, isHeld);
  }

  /** Has an ending tried that was held so far. */
  start(id: string): void {
    const obligation = this.#pending.get(id);
    // An id may come a second time while it is still being delivered.
    if (!obligation?.isHeld) return;
    obligation.isHeld = false;
    this.#queue.addFresh(obligation);
    this.#queuePump();
  }

  /** What is queued, in flight or waiting for a retry, the oldest first; stays right while it changes between two steps. */
  obligations(): Iterable<{ readonly event: EndedEvent<K, V>; readonly attempts: number }> {
    return this.#pending.values();
  }

  /** The dead letters themselves, the oldest first; to be left as they are. */
  letters(): Iterable<DeadLetter<K, V>> {
    return this.#letters.all();
  }

  /** Copies, oldest first. */
  deadLetters(): DeadLetter<K, V>[] {
    return this.#letters.list();
  }

  /**
   * Starts a new round of attempts, numbered from 1, for a dead letter. Returns false if there is none of that id, its
   * timed-out attempt still runs, `maxPending` is reached, or `finish` is over.
   */
  redeliver(id: string): boolean {
    const record = this.#letters.get(id);
    if (record === undefined || record.isRunning) return false;
    if (this.#isClosed || this.#isHalted || this.#pending.size >= this.#limits.maxPending) return false;
    this.#letters.withdraw(record);
    this.#log?.retried(record.letter.event as EndedEvent);
    this.#enqueue({ id, event: record.letter.event, attempts: 0, isHeld: false });
    return true;
  }

  /**
   * Tries what waits for a retry at once, and goes on as usual until nothing is pending or `deadlineAtMonotonic` has
   * come. Then it aborts the signals of the attempts that run, and starts nothing more, ever. Needs the timers
   * running, whose timer keeps the process alive meanwhile. Later calls return the first one's promise.
   * @returns how many of those that were pending or came in meanwhile are undelivered; earlier dead letters are not
   *   among them
   */
  finish(deadlineAtMonotonic: number): Promise<number> {
    if (this.#finishing !== undefined) return this.#finishing.promise;
    const deadline = this.#timers.schedule(deadlineAtMonotonic, () => this.#close());
    const releaseProcess = this.#timers.holdProcess();
    let resolve!: (undelivered: number) => void;
    const promise = new Promise<number>((resolvePromise) => {
      resolve = resolvePromise;
    });
    const end = () => {
      this.#timers.cancel(deadline);
      releaseProcess();
      resolve(this.undelivered);
    };
    this.#finishing = { promise, end };
    this.#letters.countLosses();
    this.#retries.releaseAll();
    this.#inFlight.resume();
    if (this.#pending.size === 0 || deadlineAtMonotonic <= this.#clock.monotonic()) this.#close();
    else this.#queuePump();
    return promise;
  }

  /**
   * From here on no timer is needed: first attempts still start, retries wait for `finish`, and attempts have no
   * time-out. Ignored once `finish` was called.
   */
  pauseRetries(): void {
    if (this.#finishing !== undefined) return;
    this.#retries.pause();
    this.#inFlight.pause();
  }

  /**
   * Starts nothing more, ever, and keeps what is owed: somebody else delivers it. An attempt that runs may come to its
   * end.
   */
  halt(): void {
    this.#isHalted = true;
    this.pauseRetries();
    this.#pump();
  }

  /** Returns all that is owed. An attempt that runs is counted, so that a restore does not repeat more than that one. */
  export(): NotifierState<K, V> {
    const pending: NotifierState<K, V>['pending'] = [];
    for (const { event, attempts } of this.#pending.values()) pending.push({ event, attempts });
    return { pending, deadLetters: this.#letters.list() };
  }

  /**
   * Takes over the state of another notifier. What is pending there starts again, with the number of the next
   * attempt; if none is left, the outcome of the last one is unknown and it becomes an ambiguous dead letter. Ids
   * that are pending or dead letters here already are left as they are.
   */
  import(state: NotifierState<K, V>): void {
    for (const letter of state.deadLetters) {
      if (!this.#isKnown(letter.id)) this.#letters.restore(letter);
    }
    this.#letters.tell();
    for (const { event, attempts } of state.pending) this.#accept(event, attempts, false);
  }

  #isKnown(id: string): boolean {
    return this.#pending.has(id) || this.#letters.has(id);
  }

  #accept(event: EndedEvent<K, V>, attempts: number, isHeld: boolean): void {
    const obligation = { id: event.id, event, attempts, isHeld };
    if (this.#isKnown(event.id)) return;
    if (attempts >= this.#limits.attempts) this.#bury(obligation, 'attempts-exhausted', undefined, true);
    else if (this.#pending.size < this.#limits.maxPending) this.#enqueue(obligation);
    else this.#bury(obligation, 'overflow', undefined, false);
    // Whoever hands an ending over may be in the midst of a removal, when nobody must be called.
    if (this.#letters.hasUntold) detached(() => resolved.then(() => this.#letters.tell()));
  }

  #enqueue(obligation: Obligation<K, V>): void {
    this.#pending.set(obligation.id, obligation);
    if (obligation.isHeld) return;
    if (obligation.attempts === 0) this.#queue.addFresh(obligation);
    else this.#queue.addRetry(obligation);
    this.#queuePump();
  }

  #queuePump(): void {
    if (this.#isPumpQueued || this.#isClosed) return;
    this.#isPumpQueued = true;
    // A promise, since fake timers may replace `queueMicrotask`.
    detached(() =>
      resolved.then(() => {
        this.#isPumpQueued = false;
        this.#pump();
      }),
    );
  }

  /** Starts what there are slots for. To be called after every change that may free a slot or end the work. */
  #pump(): void {
    while (!this.#isClosed && !this.#isHalted && this.#inFlight.size < this.#limits.concurrency) {
      const withRetries = !this.#retries.isPaused;
      if (!this.#queue.hasNext(withRetries)) break;
      if (!this.#turn.hasTime()) break;
      void this.#attempt(this.#queue.take(withRetries)!, this.#clock.monotonic());
    }
    this.#inFlight.rest();
    if (this.#pending.size === 0 || (this.#isHalted && this.#inFlight.size === 0)) this.#close();
  }

  // `await` treats a throw, a value, a promise and the oddest thenable alike, and is over in a microtask at the
  // earliest, so that a million synchronous handlers are a loop and no recursion. Nothing else in here may throw.
  async #attempt(obligation: Obligation<K, V>, now: number): Promise<void> {
    obligation.attempts += 1;
    const context = new AttemptContext(obligation.attempts);
    const attempt: Attempt<K, V> = { obligation, context, startedAt: now, record: undefined };
    this.#inFlight.add(attempt);
    const deliver = this.#deliver;
    try {
      await detached(() => deliver(obligation.event, context));
    } catch (error) {
      if (this.#inFlight.delete(attempt)) this.#fail(obligation, error);
      else this.#failLate(attempt, error);
      return;
    }
    this.#succeed(attempt);
  }

  #succeed(attempt: Attempt<K, V>): void {
    const { obligation, startedAt, record } = attempt;
    let isOwed = true;
    if (this.#inFlight.delete(attempt)) this.#pending.delete(obligation.id);
    else if (record !== undefined) isOwed = this.#letters.withdraw(record);
    // What was dropped is owed no more, and another run may have its id.
    if (isOwed) this.#log?.done(obligation.id);
    this.#sink.delivered(obligation.event, this.#clock.monotonic() - startedAt, obligation.attempts);
    this.#pump();
  }

  #fail(obligation: Obligation<K, V>, error: unknown): void {
    const { event, attempts } = obligation;
    if (attempts < this.#limits.attempts) {
      this.#log?.attempted(obligation.id, attempts);
      const retryInMs = this.#retries.add(obligation, attempts);
      this.#sink.attemptFailed({ event, attempt: attempts, error, willRetry: !this.#isClosed, retryInMs });
    } else {
      this.#bury(obligation, 'attempts-exhausted', error, false);
      this.#tellEnd(obligation, error);
    }
    this.#pump();
  }

  #timeOut(attempt: Attempt<K, V>): void {
    const error = new MapsweepError(
      'ERR_CALLBACK_TIMEOUT',
      `deliver did not settle within ${this.#limits.attemptTimeoutMs} ms; whether it succeeded is unknown`,
    );
    const record = this.#bury(attempt.obligation, 'timed-out', error, true);
    record.isRunning = true;
    attempt.record = record;
    abortAttempt(attempt.context, error);
    this.#tellEnd(attempt.obligation, error);
    this.#pump();
  }

  #failLate({ record }: Attempt<K, V>, error: unknown): void {
    if (record === undefined) return;
    // A handler that heeds its signal usually throws its reason: no news.
    const isAbortion = error === record.letter.error;
    record.isRunning = false;
    record.letter.ambiguous = false;
    record.letter.error = error;
    if (this.#letters.keeps(record)) this.#log?.failedLate(record.letter as DeadLetter);
    if (!isAbortion) this.#sink.failedLate(error);
  }

  /** Turns an obligation into a dead letter, to be told when everything else has changed too. */
  #bury(
    { id, event, attempts }: Obligation<K, V>,
    cause: DeadLetter['cause'],
    error: unknown,
    ambiguous: boolean,
  ): LetterRecord<K, V> {
    this.#pending.delete(id);
    return this.#letters.add({ id, event, attempts, error, ambiguous, at: this.#clock.now(), cause });
  }

  /** Tells of the last attempt at an obligation, and then of the dead letter that it has become. */
  #tellEnd({ event, attempts }: Obligation<K, V>, error: unknown): void {
    this.#sink.attemptFailed({ event, attempt: attempts, error, willRetry: false, retryInMs: undefined });
    this.#letters.tell();
  }

  /** The end of `finish`, if that was called: nothing starts any more. */
  #close(): void {
    if (this.#finishing === undefined || this.#isClosed) return;
    this.#isClosed = true;
    this.#retries.pause();
    this.#inFlight.pause();
    const reason = new MapsweepError('ERR_CLOSED', 'closed before the attempt to deliver settled');
    for (const { context } of this.#inFlight) abortAttempt(context, reason);
    this.#finishing.end();
  }
}
