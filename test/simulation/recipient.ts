import type { DeliveryContext, EndedEvent } from '../../src/events/ended-event.js';
import type { ModelAttempt } from './delivery-model.js';
import type { Random } from './random.js';
import type { Item, OutcomeName, Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** What a recipient does to the world, and whom it tells. */
export interface RecipientHost {
  readonly scenario: Scenario;
  readonly time: SimulatedTime;
  /** `false` once faults have stopped. */
  isFaulty(): boolean;
  /** The handler is through, and what it did is done if it succeeded. */
  settles(attempt: ModelAttempt, succeeded: boolean): void;
  /** The recipient has acted on an ending. */
  acted(attempt: ModelAttempt, key: string): void;
  /** The process is killed, from inside of the handler. */
  crash(): void;
  /** The handler calls back into the registry. */
  callBack(event: EndedEvent<string, Item>): void;
}

const oddAnswers: readonly (() => unknown)[] = [
  () => null,
  () => 0,
  () => 'no',
  // biome-ignore lint/suspicious/noThenProperty: looks like a thenable and is none
  () => ({ then: 'not a function' }),
  // biome-ignore lint/suspicious/noThenProperty: a thenable that is no promise
  () => ({ then: (resolve: () => void) => resolve() }),
  () => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable that settles twice and then throws is the point
    then: (resolve: () => void, reject: (error: unknown) => void) => {
      resolve();
      resolve();
      reject(new Error('too late'));
      throw new Error('too late as well');
    },
  }),
];

const oddErrors: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 'not an error',
  // biome-ignore lint/suspicious/noThenProperty: what is thrown is a thenable, which nobody may await
  () => ({ then: (resolve: () => void) => resolve() }),
];

/** The other end of the deliveries: succeeds, fails, hangs and crashes as the seed says. */
export class Recipient {
  readonly #host: RecipientHost;
  readonly #random: Random;

  constructor(host: RecipientHost, random: Random) {
    this.#host = host;
    this.#random = random;
  }

  /** Handles an ending for a process that lives: `isAlive` says for how long. */
  handle(
    event: EndedEvent<string, Item>,
    { signal }: DeliveryContext,
    attempt: ModelAttempt,
    isAlive: () => boolean,
    trace: (outcome: string) => void,
  ): unknown {
    const { scenario, time } = this.#host;
    const outcome: OutcomeName = this.#host.isFaulty()
      ? this.#random.weighted(scenario.outcomes)
      : 'succeeds';
    trace(outcome);
    this.#host.callBack(event);
    if (!isAlive()) return new Promise(() => {});
    const { key } = event;
    const settle = (succeeded: boolean): void => {
      if (succeeded) this.#host.acted(attempt, key);
      this.#host.settles(attempt, succeeded);
    };
    const { attemptTimeoutMs } = scenario;
    const later = (least: number, most: number, succeeded: boolean): Promise<unknown> =>
      new Promise((resolve, reject) => {
        time.later(this.#random.between(least, most), () => {
          if (!isAlive()) return;
          settle(succeeded);
          // One that heeds its signal rejects with the reason.
          if (succeeded) resolve(this.#random.pick([undefined, 'done']));
          else reject(signal.aborted && this.#random.chance(0.5) ? signal.reason : new Error('refused'));
        });
      });
    switch (outcome) {
      case 'succeeds':
        settle(true);
        return this.#random.chance(0.5) ? undefined : Promise.resolve();
      case 'answersOddly':
        settle(true);
        return this.#random.pick(oddAnswers)();
      case 'succeedsLater':
        return later(1, attemptTimeoutMs - 1, true);
      case 'throws':
        settle(false);
        if (this.#random.chance(0.5)) return Promise.reject(new Error('refused'));
        throw new Error('refused');
      case 'throwsOddly':
        settle(false);
        throw this.#random.pick(oddErrors)();
      case 'rejectsLater':
        return later(1, attemptTimeoutMs - 1, false);
      case 'hangs':
        return new Promise(() => {});
      case 'succeedsLate':
        return later(attemptTimeoutMs, attemptTimeoutMs * 3, true);
      case 'rejectsLate':
        return later(attemptTimeoutMs, attemptTimeoutMs * 3, false);
      case 'crashesBefore':
        this.#host.crash();
        return new Promise(() => {});
      case 'crashesAfter':
        this.#host.acted(attempt, key);
        this.#host.crash();
        return undefined;
    }
  }
}
