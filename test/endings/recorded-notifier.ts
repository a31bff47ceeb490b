import { Notifier } from '../../src/endings/notifier.js';
import type { NotifierLimits, NotifierSink } from '../../src/endings/notifier-options.js';
import type { Deliver, DeliveryContext, EndedEvent } from '../../src/events/ended-event.js';
import { createManualClock } from '../../src/testing/manual-clock.js';
import type { Clock } from '../../src/time/clock.js';
import { TimerQueue } from '../../src/time/timer-queue.js';

export type Event = EndedEvent<string, unknown>;

/** A call of the handler, which settles when the test says so. */
export interface Call {
  readonly id: string;
  readonly attempt: number;
  readonly context: DeliveryContext;
  /** Milliseconds since the notifier was made. */
  readonly at: number;
  readonly succeed: () => void;
  readonly fail: (error: unknown) => void;
}

export const endedEvent = (id: string): Event => ({
  id,
  key: `key of ${id}`,
  generation: 1,
  reason: 'completed',
  registeredAt: 1,
  lastActiveAt: 2,
  endedAt: 3,
  value: undefined,
  detail: undefined,
});

/** A notifier on a manual clock that writes down what it tells. By default its handler waits for the test. */
export function recordedNotifier(
  options: {
    deliver?: Deliver<string, unknown>;
    limits?: Partial<NotifierLimits>;
    sink?: Partial<NotifierSink>;
    clock?: (clock: Clock) => Clock;
  } = {},
) {
  const clock = createManualClock();
  const startedAt = clock.monotonic();
  const timers = new TimerQueue(clock);
  const calls: Call[] = [];
  const told: string[] = [];
  const delivered: string[] = [];
  const errors: unknown[] = [];
  /** What a journal would be told. */
  const logged: string[] = [];
  const recorded: NotifierSink = {
    delivered(event, attemptedAt, attempt) {
      delivered.push(event.id);
      told.push(`${event.id} delivered by attempt ${attempt} in ${clock.monotonic() - attemptedAt} ms`);
    },
    attemptFailed({ event, attempt, error, willRetry, retryInMs }) {
      told.push(
        `${event.id} attempt ${attempt} failed: ${String(error)}; ${willRetry ? `retry in ${retryInMs}` : 'over'}`,
      );
    },
    deadLetter({ letter, dropped }) {
      const { id, cause, ambiguous } = letter;
      told.push(dropped ? `${id} dropped` : `${id} dead: ${cause}${ambiguous ? ', ambiguous' : ''}`);
    },
    failedLate: (error) => errors.push(error),
  };
  const sink = { ...recorded };
  for (const [name, method] of Object.entries(options.sink ?? {})) {
    const both = (...parameters: never[]): void => {
      (recorded[name as keyof NotifierSink] as (...parameters: never[]) => void)(...parameters);
      (method as (...parameters: never[]) => void)(...parameters);
    };
    Object.assign(sink, { [name]: both });
  }
  const waitForTest: Deliver<string, unknown> = (event, context) =>
    new Promise<void>((succeed, fail) => {
      const at = clock.monotonic() - startedAt;
      calls.push({ id: event.id, attempt: context.attempt, context, at, succeed: () => succeed(), fail });
    });
  const notifier = new Notifier<string, unknown>({
    clock: options.clock?.(clock) ?? clock,
    timers,
    recipient: 'default',
    deliver: options.deliver ?? waitForTest,
    limits: {
      attempts: 5,
      giveUpAfterMs: Number.POSITIVE_INFINITY,
      isIdempotent: false,
      minDelayMs: 1_000,
      maxDelayMs: 60_000,
      attemptTimeoutMs: 10_000,
      concurrency: 32,
      maxPending: 1_000_000,
      maxDeadLetters: 10_000,
      deadLetterTtlMs: Number.POSITIVE_INFINITY,
      ...options.limits,
    },
    sink,
    log: {
      attempted: (id) => logged.push(`${id} attempted`),
      done: (id) => logged.push(`${id} done`),
      dead: ({ id }) => logged.push(`${id} dead`),
      failedLate: ({ id }) => logged.push(`${id} failed late`),
      replaced: (id) => logged.push(`${id} replaced`),
      retried: ({ id }) => logged.push(`${id} retried`),
    },
  });
  /** Pushes an event for each id, and lets what can happen now happen. */
  const push = async (...ids: string[]): Promise<void> => {
    for (const id of ids) notifier.push(endedEvent(id));
    await clock.advance(0);
  };
  return { clock, startedAt, timers, notifier, calls, told, delivered, errors, logged, push };
}
