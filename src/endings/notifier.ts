import { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { Deliver, EndedEvent } from '../events/ended-event.js';
import { detached } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import type { TimerQueue } from '../time/timer-queue.js';
import { TurnBudget } from '../time/turn-budget.js';
import { AttemptContext, abortAttempt, abortReasonOf } from './attempt-context.js';
import { DeadLetters } from './dead-letters.js';
import { FairQueue } from './fair-queue.js';
import { Fifo } from './fifo.js';
import { InFlight, type RunningAttempt } from './in-flight.js';
import type { LeftAttempt } from './left-attempts.js';
import type { NotifierLimits, NotifierOptions, NotifierSink, ObligationLog } from './notifier-options.js';
import { type LetterRecord, newObligation, type Obligation, type OpenObligation } from './obligation.js';
import { Pending } from './pending.js';
import { RetryWaits } from './retry-waits.js';

/** What a {@link Notifier} owes, as another one takes it over. Instants are monotonic ms. */
export interface NotifierState<K, V> {
  /**
   * `attempts` counts those of the round, one that is in flight included; but not one that is `left`: it runs on in this process,
   * and settles as that attempt does.
   */
  pending: (OpenObligation<K, V> & { readonly left?: Promise<unknown> | undefined })[];
  /** Oldest first. */
  deadLetters: Pick<LetterRecord<K, V>, 'letter' | 'diedAt'>[];
}

interface Attempt<K, V> extends RunningAttempt<Attempt<K, V>> {
  readonly obligation: Obligation<K, V>;
  readonly context: AttemptContext;
  /** Whoever waits for what comes of it, though this notifier is closed. */
  left: { resolve(): void; reject(error: unknown): void } | undefined;
}

const newAttempt = <K, V>(
  obligation: Obligation<K, V>,
  context: AttemptContext,
  startedAt: number,
): Attempt<K, V> => ({
  obligation,
  context,
  startedAt,
  list: undefined,
  earlier: undefined,
  later: undefined,
  left: undefined,
});

/** How long attempts may start one another before the event loop gets a turn, ms. */
const TURN_BUDGET_MS = 5;

const resolved = Promise.resolve();

/**
 * Delivers endings to one recipient: each until it succeeds, for at most `giveUpAfterMs` and `attempts` attempts a
 * round, then as one dead letter.
 *
 * At most one delivery of an id succeeds, and its attempts never overlap: an obligation is queued, running, waiting or
 * a dead letter, never two of these; and if an attempt timed out, its id is not tried again before that attempt is over.
 * Only to a recipient that ignores an id it knows, an attempt that timed out is over: its signal is aborted, and if it
 * succeeds all the same, that counts, and what comes of the others does not. All that is per instance: a notifier that
 * imports the state of another one knows nothing of attempts running there.
 */
export class Notifier<K, V> {
  readonly #clock: Clock;
  readonly #timers: TimerQueue;
  readonly #recipient: string;
  readonly #deliver: Deliver<K, V>;
  readonly #limits: NotifierLimits;
  readonly #sink: NotifierSink;
  readonly #log: ObligationLog | undefined;

  readonly #pending = new Pending<K, V>();
  readonly #queue = new FairQueue<Obligation<K, V>>();
  readonly #inFlight: InFlight<Attempt<K, V>>;
  readonly #retries: RetryWaits<Obligation<K, V>>;
  readonly #letters: DeadLetters<K, V>;
  readonly #turn: TurnBudget;
  readonly #redelivered = new Fifo<LetterRecord<K, V>>();
  #isPumpQueued = false;
  #isPumping = false;
  #finishing: { readonly promise: Promise<number>; readonly end: () => void } | undefined;
  #isClosed = false;
  #isHalted = false;

  constructor(options: NotifierOptions<K, V>) {
    const { clock, timers, recipient, deliver, limits, sink, log } = options;
    this.#clock = clock;
    this.#turn = new TurnBudget(clock, TURN_BUDGET_MS, () => this.#pump());
    this.#timers = timers;
    this.#recipient = recipient;
    this.#deliver = deliver;
    this.#limits = limits;
    this.#sink = sink;
    this.#log = log;
    this.#letters = new DeadLetters(options);
    this.#inFlight = new InFlight(clock, timers, limits.attemptTimeoutMs, (attempt) =>
      this.#timeOut(attempt),
    );
    this.#retries = new RetryWaits(clock, timers, limits, {
      due: (obligation) => {
        this.#queue.addRetry(obligation);
        this.#queuePump();
      },
      over: (obligation) => this.#giveUp(obligation),
    });
  }

  /** Endings that are queued, in flight or waiting for a retry. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Attempts that run and have not timed out. */
  get runningCount(): number {
    return this.#inFlight.size;
  }

  get deadLetterCount(): number {
    return this.#letters.size;
  }

  /** The one that became one last. */
  get youngestDeadLetter(): DeadLetter<K, V> | undefined {
    return this.#letters.youngest;
  }

  /** The one that has been pending longest, with what its last attempt threw; `undefined` if none is. */
  get oldestPending(): Pick<Obligation<K, V>, 'since' | 'error'> | undefined {
    return this.#pending.oldest;
  }

  /** Nothing is tried any more: `finish` is over. */
  get isOver(): boolean {
    return this.#isClosed;
  }

  /** How many are pending, or have become dead letters since `finish` was called and were not delivered after all. */
  get undelivered(): number {
    return this.#pending.size + this.#letters.countedLosses;
  }

  /**
   * Takes over an ending. Its first attempt starts in a microtask, outside the async context of the caller, as soon
   * as there is a slot. Beyond `maxPending` it becomes a dead letter at once. If the ending of an earlier run of its id is
   * a dead letter, it takes the place of that, or becomes that dead letter if there is no room; unless a timed-out attempt
   * still runs that it must not overlap with. It is ignored then, and while that of an earlier run is pending. Once
   * `finish` is over, an ending is kept, and not tried.
   *
   * @param awaitsStart it is not tried before {@link Notifier.start}
   */
  push(event: EndedEvent<K, V>, awaitsStart = false): void {
    const earlier = this.#letters.get(event.id);
    if (earlier !== undefined && this.#mayRetry(earlier)) {
      this.#letters.withdraw(earlier);
      this.#log?.replaced(event.id, this.#recipient);
    } else if (earlier !== undefined && this.#isOver(earlier)) this.#letters.handOver(earlier, event);
    this.#accept({ event, attempts: 0, triedAt: undefined }, this.#clock.monotonic(), awaitsStart, false);
  }

  /** Has an ending tried that was held so far. */
  start(id: string): void {
    const obligation = this.#pending.get(id);
    // An id may come a second time while it is still being delivered.
    if (!obligation?.awaitsStart) return;
    obligation.awaitsStart = false;
    this.#queue.addFresh(obligation);
    this.#queuePump();
  }

  /**
   * What is queued, in flight or waiting for a retry, the oldest first; stays right while it changes between two steps. An attempt
   * that runs is counted, so that whoever takes it over does not repeat more than that one.
   */
  obligations(): Iterable<OpenObligation<K, V>> {
    return this.#pending.all();
  }

  /** The dead letters as they are kept, the oldest first; to be left as they are. */
  letters(): Iterable<LetterRecord<K, V>> {
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
    return record !== undefined && this.#retry(record);
  }

  /**
   * The same for all dead letters that there are now, the oldest first, in slices. Returns how many: those that `redeliver`
   * would take, as long as there is room.
   */
  redeliverAll(): number {
    if (this.#isClosed || this.#isHalted) return 0;
    const room = this.#limits.maxPending - this.#pending.size - this.#redelivered.size;
    let chosen = 0;
    for (const record of this.#letters.all()) {
      if (chosen >= room) break;
      if (record.isRedelivered || !this.#isOver(record)) continue;
      record.isRedelivered = true;
      this.#redelivered.push(record);
      chosen += 1;
    }
    this.#retryLetters();
    if (this.#redelivered.size > 0) this.#queuePump();
    return chosen;
  }

  /**
   * Somebody else tells of an ending now: it is not tried again, and an attempt that runs makes no difference any more.
   * Returns whether it was owed here.
   */
  forfeit(id: string): boolean {
    const record = this.#letters.get(id);
    if (record !== undefined) return this.#letters.withdraw(record);
    const obligation = this.#pending.get(id);
    if (obligation === undefined) return false;
    this.#pending.delete(obligation);
    this.#retries.delete(obligation);
    obligation.isSettled = true;
    this.#queuePump();
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
    if (this.#isIdle || deadlineAtMonotonic <= this.#clock.monotonic()) this.#close();
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

  /**
   * Starts nothing more, ever, and aborts the signals of the attempts that run: at once. Returns these, with what will come of
   * each: those that an earlier call has not returned.
   */
  leave(): LeftAttempt[] {
    const left: LeftAttempt[] = [];
    for (const attempt of this.#inFlight.all()) {
      if (attempt.left !== undefined) continue;
      const outcome = new Promise<void>((resolve, reject) => {
        attempt.left = { resolve, reject };
      });
      // Whoever takes it over waits for it; nobody else does.
      outcome.catch(() => {});
      const { obligation, context } = attempt;
      // It counts, whoever makes the next one.
      if (!obligation.isSettled) this.#noteAttempt(obligation);
      left.push({ recipient: this.#recipient, id: obligation.id, attempt: context.attempt, outcome });
    }
    if (this.#finishing === undefined) void this.finish(Number.NEGATIVE_INFINITY);
    this.#close();
    return left;
  }

  /**
   * Takes over the state of another notifier. What is pending there starts again, with the number of the next
   * attempt; if none is left, the outcome of the last one is unknown and it becomes an ambiguous dead letter. However
   * long ago its round began, it is tried once. Ids that are pending or dead letters here already are left as they are.
   */
  import(state: NotifierState<K, V>): void {
    for (const { letter, diedAt } of state.deadLetters) {
      if (!this.owes(letter.id)) this.#letters.restore(letter, diedAt);
    }
    this.#letters.tell();
    const now = this.#clock.monotonic();
    for (const open of state.pending) {
      const { left } = open;
      // Its age goes by the wall clock: that of an earlier life told when it began.
      const since = now - Math.max(0, this.#clock.now() - open.event.endedAt);
      this.#accept(open, since, left !== undefined, true);
      const obligation = left && this.#pending.get(open.event.id);
      if (!obligation?.awaitsStart) continue;
      // The attempt of an earlier owner in this process runs on: it counts as one of this one.
      obligation.awaitsStart = false;
      void this.#attempt(obligation, now, () => left);
    }
  }

  /** Returns whether an ending is pending here or a dead letter. */
  owes(id: string): boolean {
    return this.#pending.has(id) || this.#letters.has(id);
  }

  /** Returns whether an ending is a dead letter here. */
  hasGivenUp(id: string): boolean {
    return this.#letters.has(id);
  }

  /** Returns the same of this ending: another one of its id may be owed. */
  owesThis(event: EndedEvent<K, V>): boolean {
    return (this.#pending.get(event.id)?.event ?? this.#letters.get(event.id)?.letter.event) === event;
  }

  #accept(open: OpenObligation<K, V>, since: number, awaitsStart: boolean, isInherited: boolean): void {
    if (this.owes(open.event.id)) return;
    const obligation = newObligation(open, since, awaitsStart, isInherited);
    if (open.attempts >= this.#limits.attempts) this.#bury(obligation, 'attempts-exhausted', true);
    else if (this.#pending.size < this.#limits.maxPending) this.#enqueue(obligation);
    else this.#bury(obligation, 'overflow', false);
    // Whoever hands an ending over may be in the midst of a removal, when nobody must be called.
    if (this.#letters.hasUntold) detached(() => resolved.then(() => this.#letters.tell()));
  }

  #enqueue(obligation: Obligation<K, V>): void {
    this.#pending.add(obligation);
    if (obligation.awaitsStart) return;
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

  /** Whether nothing is left to be tried. */
  get #isIdle(): boolean {
    return this.#pending.size === 0 && this.#redelivered.size === 0;
  }

  /** Starts what there are slots for. To be called after every change that may free a slot or end the work. */
  #pump(): void {
    // A handler that throws at once is through before `#attempt` returns: the loop below goes on, and nothing recurses.
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#retryLetters();
      this.#startAttempts();
    } finally {
      this.#isPumping = false;
    }
    this.#inFlight.rest();
    if (this.#isIdle || (this.#isHalted && this.#inFlight.size === 0)) this.#close();
  }

  #startAttempts(): void {
    while (!this.#isClosed && !this.#isHalted && this.#inFlight.size < this.#limits.concurrency) {
      const withRetries = !this.#retries.isPaused;
      this.#retries.releaseNext();
      if (!this.#queue.hasNext(withRetries)) break;
      if (!this.#turn.hasTime()) break;
      const next = this.#queue.take(withRetries)!;
      if (!next.isSettled) void this.#attempt(next, this.#clock.monotonic());
    }
  }

  // `await` treats a value, a promise and the oddest thenable alike, and is over in a microtask at the earliest. Nothing but
  // the handler may throw in here.
  async #attempt(
    obligation: Obligation<K, V>,
    now: number,
    deliver: (event: EndedEvent<K, V>, context: AttemptContext) => unknown = this.#deliver,
  ): Promise<void> {
    obligation.attempts += 1;
    obligation.triedAt ??= now;
    const context = new AttemptContext(obligation.attempts);
    const attempt = newAttempt(obligation, context, now);
    this.#inFlight.add(attempt);
    if (obligation.isInherited) this.#noteAttempt(obligation);
    try {
      await detached(() => deliver(obligation.event, context));
    } catch (error) {
      attempt.left?.reject(error);
      if (this.#inFlight.delete(attempt)) this.#fail(attempt, error, false);
      else this.#failLate(attempt, error);
      return;
    }
    attempt.left?.resolve();
    if (!this.#inFlight.delete(attempt)) {
      this.#succeedLate(attempt);
      return;
    }
    // What was forfeited is pending no more, and another run may have its id.
    this.#succeed(attempt, this.#pending.delete(obligation));
  }

  #noteAttempt({ id, attempts, triedAt = 0 }: Obligation<K, V>): void {
    this.#log?.attempted(id, this.#recipient, attempts, triedAt);
  }

  #succeed({ obligation, context, startedAt }: Attempt<K, V>, isOwed: boolean): void {
    const { id, event } = obligation;
    obligation.isSettled = true;
    // What was dropped is owed no more, and another run may have its id.
    if (isOwed) this.#log?.done(id, this.#recipient);
    this.#sink.delivered(event, startedAt, context.attempt);
    this.#pump();
  }

  #succeedLate(attempt: Attempt<K, V>): void {
    const { obligation } = attempt;
    if (obligation.isSettled) return;
    const isPending = this.#pending.delete(obligation);
    if (isPending) {
      this.#retries.delete(obligation);
      this.#breakOff(obligation);
    }
    this.#succeed(
      attempt,
      isPending || (obligation.record !== undefined && this.#letters.withdraw(obligation.record)),
    );
  }

  /** An earlier attempt has succeeded: the one that runs is for nothing. */
  #breakOff(obligation: Obligation<K, V>): void {
    for (const attempt of this.#inFlight.all()) {
      if (attempt.obligation !== obligation) continue;
      this.#inFlight.delete(attempt);
      const message = 'an earlier attempt, which had timed out, has succeeded';
      abortAttempt(attempt.context, new MapsweepError('ERR_CALLBACK_OBSOLETE', message));
      return;
    }
  }

  /** An attempt has failed, or (`isTimeOut`) may have. */
  #fail({ obligation, context }: Attempt<K, V>, error: unknown, isTimeOut: boolean): void {
    const { event, attempts, triedAt = 0 } = obligation;
    if (obligation.isSettled) {
      // It was forfeited: nobody waits for what comes of it.
      if (isTimeOut) abortAttempt(context, error);
      this.#pump();
      return;
    }
    const cause = this.#causeOfDeath(obligation, isTimeOut);
    obligation.error = error;
    let retryInMs: number | undefined;
    if (cause === undefined) {
      this.#noteAttempt(obligation);
      retryInMs = this.#retries.add(obligation, attempts, triedAt + this.#limits.giveUpAfterMs);
    } else this.#bury(obligation, cause, false);
    if (isTimeOut) abortAttempt(context, error);
    const isOver = cause !== undefined || this.#isClosed || retryInMs === Number.POSITIVE_INFINITY;
    if (isOver) retryInMs = undefined;
    const recipient = this.#recipient;
    this.#sink.attemptFailed({ event, recipient, attempt: attempts, error, willRetry: !isOver, retryInMs });
    this.#letters.tell();
    this.#pump();
  }

  /** Why there is no further attempt; `undefined` if there is one. */
  #causeOfDeath(
    { attempts, triedAt = 0 }: Obligation<K, V>,
    isTimeOut: boolean,
  ): DeadLetter['cause'] | undefined {
    if (isTimeOut && !this.#limits.isIdempotent) return 'timed-out';
    if (attempts >= this.#limits.attempts) return 'attempts-exhausted';
    return this.#clock.monotonic() - triedAt >= this.#limits.giveUpAfterMs ? 'given-up' : undefined;
  }

  #timeOut(attempt: Attempt<K, V>): void {
    attempt.obligation.unsettled += 1;
    const message = `deliver did not settle within ${this.#limits.attemptTimeoutMs} ms; whether it succeeded is unknown`;
    this.#fail(attempt, new MapsweepError('ERR_CALLBACK_TIMEOUT', message), true);
  }

  #failLate({ obligation, context }: Attempt<K, V>, error: unknown): void {
    if (obligation.isSettled) return;
    obligation.unsettled -= 1;
    const { record } = obligation;
    if (record !== undefined && obligation.unsettled === 0) {
      const { letter } = record;
      letter.ambiguous = false;
      if (context.attempt === letter.attempts) letter.error = error;
      if (record.isKept) this.#log?.failedLate(letter as DeadLetter);
    }
    // A handler that heeds its signal usually throws its reason: no news.
    if (error !== abortReasonOf(context)) this.#sink.failedLate(error);
  }

  /** The wait for the next attempt was too long. */
  #giveUp(obligation: Obligation<K, V>): void {
    this.#bury(obligation, 'given-up', false);
    this.#letters.tell();
    this.#pump();
  }

  /** Turns an obligation into a dead letter, to be told when everything else has changed too. */
  #bury(obligation: Obligation<K, V>, cause: DeadLetter['cause'], isUnknown: boolean): void {
    const { id, event, attempts, error } = obligation;
    this.#pending.delete(obligation);
    const ambiguous = isUnknown || obligation.unsettled > 0;
    const recipient = this.#recipient;
    const at = this.#clock.now();
    const letter = { id, recipient, event, attempts, error, ambiguous, at, cause };
    obligation.record = this.#letters.add(letter, obligation);
  }

  /** Whether no attempt of a dead letter runs that another one would overlap with. */
  #isOver({ obligation }: LetterRecord<K, V>): boolean {
    return this.#limits.isIdempotent || obligation === undefined || obligation.unsettled === 0;
  }

  /** Whether a new round may start in the place of a dead letter. */
  #mayRetry(record: LetterRecord<K, V>): boolean {
    const hasRoom = this.#pending.size < this.#limits.maxPending;
    return hasRoom && !this.#isClosed && !this.#isHalted && this.#isOver(record);
  }

  /** Starts a new round for a dead letter that is kept, if one may start. */
  #retry(record: LetterRecord<K, V>): boolean {
    if (!this.#mayRetry(record)) return false;
    const { event } = record.letter;
    this.#letters.withdraw(record);
    this.#log?.retried(event as EndedEvent, this.#recipient);
    const since = this.#clock.monotonic();
    const again = newObligation({ event, attempts: 0, triedAt: undefined }, since, false, false);
    // The same object for its attempts that still run: the success of any of them counts.
    this.#enqueue(
      Object.assign(record.obligation ?? again, again, { unsettled: record.obligation?.unsettled ?? 0 }),
    );
    return true;
  }

  /** Starts new rounds for dead letters that wait for theirs, as far as there is time in this turn. */
  #retryLetters(): void {
    while (this.#redelivered.size > 0 && !this.#isClosed && !this.#isHalted && this.#turn.hasTime()) {
      const record = this.#redelivered.shift()!;
      record.isRedelivered = false;
      if (record.isKept) this.#retry(record);
    }
  }

  /** The end of `finish`, if that was called: nothing starts any more. */
  #close(): void {
    if (this.#finishing === undefined || this.#isClosed) return;
    this.#isClosed = true;
    this.#retries.pause();
    this.#inFlight.pause();
    this.#letters.rest();
    const reason = new MapsweepError('ERR_CLOSED', 'closed before the attempt to deliver settled');
    for (const { context } of this.#inFlight.all()) abortAttempt(context, reason);
    this.#finishing.end();
  }
}
