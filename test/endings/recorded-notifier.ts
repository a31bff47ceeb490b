import { Notifier, type NotifierLimits } from '../../src/endings/notifier.js';
import type { NotifierHooks } from '../../src/endings/notifier-hooks.js';
import type { Deliver, DeliveryContext, EndedEvent } from '../../src/events/ended-event.js';
import { createManualClock } from '../../src/testing/manual-clock.js';
import type { Clock } from '../../src/time/clock.js';
import { TimerQueue } from '../../src/time/timer-queue.js';

export type Hooks = NotifierHooks<string, unknown>;
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
    hooks?: Partial<Hooks>;
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
  const recorded: Hooks = {
    delivered(event, durationMs, attempt) {
      delivered.push(event.id);
      told.push(`${event.id} delivered by attempt ${attempt} in ${durationMs} ms`);
    },
    attemptFailed(event, attempt, error, willRetry, delayMs) {
      told.push(
        `${event.id} attempt ${attempt} failed: ${String(error)}; ${willRetry ? `retry in ${delayMs}` : 'over'}`,
      );
    },
    deadLetter(letter) {
      told.push(`${letter.id} dead: ${letter.cause}${letter.ambiguous ? ', ambiguous' : ''}`);
    },
    deadLetterDropped: (letter) => told.push(`${letter.id} dropped`),
    handlerFailed: (error) => errors.push(error),
  };
  const hooks = { ...recorded };
  for (const [name, hook] of Object.entries(options.hooks ?? {})) {
    const both = (...parameters: never[]): void => {
      (recorded[name as keyof Hooks] as (...parameters: never[]) => void)(...parameters);
      (hook as (...parameters: never[]) => void)(...parameters);
    };
    Object.assign(hooks, { [name]: both });
  }
  const waitForTest: Deliver<string, unknown> = (event, context) =>
    new Promise<void>((succeed, fail) => {
      const at = clock.monotonic() - startedAt;
      calls.push({ id: event.id, attempt: context.attempt, context, at, succeed: () => succeed(), fail });
    });
  const notifier = new Notifier<string, unknown>({
    clock: options.clock?.(clock) ?? clock,
    timers,
    deliver: options.deliver ?? waitForTest,
    limits: {
      attempts: 5,
      minDelayMs: 1_000,
      maxDelayMs: 60_000,
      attemptTimeoutMs: 10_000,
      concurrency: 32,
      maxPending: 1_000_000,
      maxDeadLetters: 10_000,
      ...options.limits,
    },
    hooks,
  });
  /** Pushes an event for each id, and lets what can happen now happen. */
  const push = async (...ids: string[]): Promise<void> => {
    for (const id of ids) notifier.push(endedEvent(id));
    await clock.advance(0);
  };
  return { clock, startedAt, timers, notifier, calls, told, delivered, errors, push };
}
