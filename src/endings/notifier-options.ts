import type { DeadLetter } from '../events/dead-letter.js';
import type { Deliver, EndedEvent } from '../events/ended-event.js';
import type { DeadLetterEvent, DeliveryFailedEvent } from '../events/event-bus.js';
import type { Clock } from '../time/clock.js';
import type { TimerQueue } from '../time/timer-queue.js';

/** Bounds of a notifier, checked by whoever makes one. The defaults are those of the registry's options. */
export interface NotifierLimits {
  /** Attempts in a round, at least 1; `Infinity` for any number. Default `Infinity`. */
  attempts: number;
  /** How long a round may take, ms since its first attempt, over lives. Default 86,400,000, a day. */
  giveUpAfterMs: number;
  /** Whether the recipient ignores an id that it knows, so that an attempt that timed out is tried again. Default false. */
  isIdempotent: boolean;
  /** Shortest pause before a retry, ms. Default 1,000. */
  minDelayMs: number;
  /** Longest pause before a retry, ms. Default 60,000. */
  maxDelayMs: number;
  /** How long an attempt may run, ms. Default 10,000. */
  attemptTimeoutMs: number;
  /** Attempts that run at once, at least 1. Default 32. */
  concurrency: number;
  /** Endings that are queued, in flight or waiting for a retry. Default 1,000,000. */
  maxPending: number;
  /** Dead letters that are kept. Default 10,000. */
  maxDeadLetters: number;
  /** How long each of them is kept, ms. Default 604,800,000, a week. */
  deadLetterTtlMs: number;
}

/**
 * Whom a notifier tells what comes of the endings. Each method is called synchronously, after the state has
 * changed, and may call back in. None may throw.
 */
export interface NotifierSink {
  /** Told once of each delivered event; `startedAt` is that of the attempt that succeeded, late or not, monotonic ms. */
  delivered(event: EndedEvent, startedAt: number, attempt: number): void;
  /** `retryInMs` is also `undefined` while retries are paused. */
  attemptFailed(failure: DeliveryFailedEvent): void;
  /** `redeliver` takes a new letter at once, unless its timed-out attempt is still running. The letter is a copy. */
  deadLetter(event: DeadLetterEvent): void;
  /** An attempt that had timed out rejected after all. */
  failedLate(error: unknown): void;
}

/**
 * Whoever writes down what is owed, so that the next life of the process knows: to which recipient, by the id of the
 * ending. Instants are monotonic ms. None of its methods may throw.
 */
export interface ObligationLog {
  /** So many attempts of the round, which began at `triedAt`, have failed, and another one is to come. */
  attempted(id: string, recipient: string, attempts: number, triedAt: number): void;
  /** Nothing is owed any more: it was delivered, or its dead letter was dropped. */
  done(id: string, recipient: string): void;
  dead(letter: DeadLetter, diedAt: number): void;
  /** The attempt after whose time-out a letter was made has failed: its outcome is known. */
  failedLate(letter: DeadLetter): void;
  /** The ending of a later run has taken the place of a dead letter. May be called in the midst of a removal. */
  replaced(id: string, recipient: string): void;
  /** A dead letter has a new round of attempts. */
  retried(event: EndedEvent, recipient: string): void;
}

/** What a notifier is made of. */
export interface NotifierOptions<K, V> {
  clock: Clock;
  /** Carries retries, time-outs, the end of dead letters and the deadline of `finish`; none of them comes while it is paused. */
  timers: TimerQueue;
  /** The name of the one that it tells. */
  recipient: string;
  deliver: Deliver<K, V>;
  limits: NotifierLimits;
  sink: NotifierSink;
  /** Default: nothing is written down. */
  log?: ObligationLog | undefined;
}
