import type { DeadLetter } from '../events/dead-letter.js';
import { tracedDeliver } from '../events/diagnostics-channels.js';
import type { Deliver, EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { CompiledEnded } from './ended-policy.js';
import type { LeftAttempt } from './left-attempts.js';
import { Notifier } from './notifier.js';
import type { ObligationLog } from './notifier-options.js';
import { endedTooLate, warnOfUndelivered } from './undelivered.js';

/** How deliveries went. */
export interface DeliveryOutcomes {
  /** Endings that were delivered. */
  delivered: number;
  /** Attempts that failed or timed out. */
  failed: number;
  /** Endings that became dead letters. */
  dead: number;
  /** Dead letters that were dropped, because there were too many or their time was over. */
  dropped: number;
}

/** One of those who are told of endings, whatever comes of it with the others. */
export interface Recipient {
  readonly name: string;
  readonly notifier: Notifier<unknown, unknown>;
  readonly outcomes: DeliveryOutcomes;
}

/** Tells every recipient of a registry of every ending. Failures and outcomes are counted and told on the registry's bus. */
export class Deliveries {
  /** In the order of the option. */
  readonly recipients: readonly Recipient[];
  readonly #registry: string | undefined;
  #hasWarned = false;

  constructor(engine: Engine, ended: CompiledEnded, log?: ObligationLog) {
    this.#registry = engine.name;
    this.recipients = [...ended.deliver].map(([name, deliver]) =>
      newRecipient(name, deliver, { engine, ended, log }),
    );
  }

  /** The notifier of a recipient; `undefined` if this registry has none of that name. */
  of(name: string): Notifier<unknown, unknown> | undefined {
    return this.recipients.find((recipient) => recipient.name === name)?.notifier;
  }

  /** Returns the names of those to whom an ending is owed, as a dead letter too; not those that are owed another one of its id. */
  owing(event: EndedEvent): string[] {
    return this.recipients.filter(({ notifier }) => notifier.owesThis(event)).map(({ name }) => name);
  }

  /** Returns the recipients that are owed the ending of an id, each with what has become of it there. */
  owedOf(id: string): [recipient: string, state: string][] {
    return this.recipients.flatMap(({ name, notifier }) =>
      notifier.owes(id) ? [[name, notifier.hasGivenUp(id) ? 'given up' : 'pending']] : [],
    );
  }

  /** As `Notifier.push`, for each recipient; the same of those below. */
  push(event: EndedEvent, awaitsStart: boolean): void {
    if (!awaitsStart && this.recipients.some(({ notifier }) => notifier.isOver)) this.#warn();
    for (const { notifier } of this.recipients) notifier.push(event, awaitsStart);
  }

  start(id: string): void {
    for (const { notifier } of this.recipients) notifier.start(id);
  }

  pauseRetries(): void {
    for (const { notifier } of this.recipients) notifier.pauseRetries();
  }

  halt(): void {
    for (const { notifier } of this.recipients) notifier.halt();
  }

  /** As `Notifier.leave`, of each recipient. */
  leave(): LeftAttempt[] {
    return this.recipients.flatMap(({ notifier }) => notifier.leave());
  }

  async finish(deadlineAtMonotonic: number): Promise<void> {
    await Promise.all(this.recipients.map(({ notifier }) => notifier.finish(deadlineAtMonotonic)));
  }

  /** Returns the dead letters of all recipients, the oldest first. */
  deadLetters(): DeadLetter[] {
    const letters = this.recipients.flatMap(({ notifier }) => notifier.deadLetters());
    // One recipient's are in that order, whatever the wall clock has done.
    return this.recipients.length === 1 ? letters : letters.sort((a, b) => a.at - b.at);
  }

  /** As `Notifier.forfeit`, for one recipient. */
  forfeit(id: string, recipient: string): boolean {
    return this.of(recipient)?.forfeit(id) ?? false;
  }

  /** Starts a new round for the dead letters of an id. Returns whether there was one that could be tried again. */
  redeliver(id: string): boolean {
    return this.recipients.filter(({ notifier }) => notifier.redeliver(id)).length > 0;
  }

  /** Starts new rounds for all dead letters, in slices. Returns for how many. */
  redeliverAll(): number {
    return this.#sum(({ notifier }) => notifier.redeliverAll());
  }

  get undelivered(): number {
    return this.#sum(({ notifier }) => notifier.undelivered);
  }

  get pendingCount(): number {
    return this.#sum(({ notifier }) => notifier.pendingCount);
  }

  get deadLetterCount(): number {
    return this.#sum(({ notifier }) => notifier.deadLetterCount);
  }

  /** Since when the first one has been pending, monotonic ms; `undefined` if none is. */
  get oldestPendingAt(): number | undefined {
    const all = this.recipients.map(
      ({ notifier }) => notifier.oldestPending?.since ?? Number.POSITIVE_INFINITY,
    );
    const oldest = Math.min(...all);
    return oldest === Number.POSITIVE_INFINITY ? undefined : oldest;
  }

  /** The outcomes of all recipients. */
  get outcomes(): DeliveryOutcomes {
    return {
      delivered: this.#sum(({ outcomes }) => outcomes.delivered),
      failed: this.#sum(({ outcomes }) => outcomes.failed),
      dead: this.#sum(({ outcomes }) => outcomes.dead),
      dropped: this.#sum(({ outcomes }) => outcomes.dropped),
    };
  }

  #sum(count: (recipient: Recipient) => number): number {
    return this.recipients.reduce((sum, recipient) => sum + count(recipient), 0);
  }

  #warn(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    warnOfUndelivered(endedTooLate(this.#registry));
  }
}

interface Parts {
  readonly engine: Engine;
  readonly ended: CompiledEnded;
  readonly log: ObligationLog | undefined;
}

function newRecipient(
  name: string,
  deliver: Deliver<unknown, unknown>,
  { engine, ended, log }: Parts,
): Recipient {
  const { bus, failures, timers, timeline } = engine;
  const outcomes: DeliveryOutcomes = { delivered: 0, failed: 0, dead: 0, dropped: 0 };
  const notifier = new Notifier({
    clock: timeline.clock,
    timers,
    recipient: name,
    deliver: tracedDeliver(deliver, { registry: engine.name, map: ended.map, recipient: name }),
    limits: ended.limits,
    log,
    // The bus, the failures and the observers are guarded: nothing that a listener throws reaches the notifier.
    sink: {
      delivered: (event, startedAt) => {
        outcomes.delivered += 1;
        if (engine.measurements.size === 0) return;
        const durationMs = timeline.now() - startedAt;
        engine.measurements.tell((listener) => listener.delivered?.(durationMs, event, name));
      },
      attemptFailed: (failure) => {
        outcomes.failed += 1;
        failures.report(ended.map, 'deliver', failure.event.key, failure.error);
        bus.emit('delivery-failed', failure);
      },
      deadLetter: (event) => {
        outcomes[event.dropped ? 'dropped' : 'dead'] += 1;
        bus.emit('dead-letter', event);
      },
      failedLate: (error) => failures.report(ended.map, 'deliver', undefined, error),
    },
  });
  return { name, notifier, outcomes };
}
