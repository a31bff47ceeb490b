import { createHash } from 'node:crypto';
import { MapsweepError, MapsweepTypeError } from '../../errors.js';
import type { Deliver, DeliveryContext, EndedEvent } from '../../events/ended-event.js';
import { describe } from '../../events/shown.js';
import { callback } from '../../policy/checks.js';
import { type Duration, durationMs } from '../../policy/duration.js';
import { invalidType, readName, readOptions } from '../../policy/read-options.js';
import { realClearTimeout, realSetTimeout } from '../../time/real-timers.js';
import { messageText, type ValueForMessage } from '../ending-message.js';

/** A queue of BullMQ 5 or 6: what of it is needed. */
export interface BullQueue {
  /** Its name, for messages. */
  readonly name: string;
  /** What it was made with. */
  readonly opts: {
    /** How it reaches Redis. */
    readonly connection?: unknown;
  };
  /** Resolves when Redis has answered for the first time. */
  waitUntilReady(): Promise<unknown>;
  /** Adds a job. */
  // BullMQ's own types make more of the name and the data than can be said here.
  // biome-ignore lint/suspicious/noExplicitAny: a queue of any data
  add(name: any, data: any, options?: any): Promise<unknown>;
}

/** How endings become jobs. */
export interface BullQueueOptions<K = unknown, V = unknown> {
  /**
   * How long a finished or failed job is kept: as long as it is there, an ending that is delivered again is known. Not
   * shorter than the tombstones live, and than `giveUpAfter`. From `'1s'`. Default `'24h'`.
   */
  keepFor?: Duration;
  /** The name of the jobs. Default `'ended'`. */
  jobName?: string;
  /** Makes of a value what is to travel with its ending. Default: no value travels. */
  value?: ValueForMessage<K, V>;
}

const oneDayMs = 24 * 60 * 60 * 1_000;

/** Redis that has never answered is given up for this attempt after so long, ms: nothing has been sent then. */
const patienceMs = 2_000;

/**
 * Makes a `deliver` that adds endings to a queue of BullMQ as jobs, for its workers. The id of a job is made of the id of
 * the ending, and BullMQ ignores a job whose id it has, so a worker hears of each once however often it is delivered: set
 * `idempotent: true`.
 *
 * @param queue on a connection with `enableOfflineQueue: false`: else a delivery would hang for as long as Redis is away
 * @throws MapsweepTypeError `ERR_INVALID_OPTION` for another one
 */
export function toBullQueue<K = unknown, V = unknown>(
  queue: BullQueue,
  options: BullQueueOptions<K, V> = {},
): Deliver<K, V> {
  assertQueue(queue);
  const {
    keepFor = oneDayMs,
    jobName = 'ended',
    value,
  } = readOptions('', options, {
    keepFor: (given, path) => durationMs(given, path, { min: 1_000 }),
    jobName: readName,
    value: callback<ValueForMessage<K, V>>('of a value and its key'),
  });
  const age = Math.ceil(keepFor / 1_000);
  const kept = { removeOnComplete: { age }, removeOnFail: { age } };
  const firstAnswer = new FirstAnswer(queue);
  const sentJobs = new SentJobs();
  // A caller in between may hand on the event alone.
  return async (event: EndedEvent<K, V>, context?: DeliveryContext): Promise<void> => {
    const data: unknown = JSON.parse(messageText(event, value, 'value'));
    await firstAnswer.wait();
    const jobId = jobIdOf(event.id);
    await sentJobs.send(jobId, context?.signal, () => queue.add(jobName, data, { ...kept, jobId }));
  };
}

/** BullMQ refuses a `:` in a job's id, and an integer. */
const jobIdOf = (id: string): string =>
  `ended-${createHash('sha256').update(JSON.stringify(id)).digest('hex')}`;

function assertQueue(queue: BullQueue): void {
  const { add, opts, name } = (queue ?? {}) as Partial<BullQueue>;
  if (typeof add !== 'function' || typeof opts !== 'object')
    throw invalidType('queue', 'a Queue of bullmq (npm install bullmq ioredis)', queue);
  const connection = opts.connection as { options?: object } | undefined;
  const { enableOfflineQueue, disableOfflineQueue } = (connection?.options ?? connection ?? {}) as Record<
    string,
    unknown
  >;
  // What ioredis calls the one, node-redis calls the other.
  if (enableOfflineQueue === false || disableOfflineQueue === true) return;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `queue: the connection of ${describe(name)} keeps commands while Redis is away, so that a delivery would hang until it is ` +
      'back, and be sent though it was given up. Give the queue a connection of its own with enableOfflineQueue: false',
  );
}

/**
 * The first answer of Redis, for which BullMQ itself waits for ever. It is asked for once, and knows only those who wait: a
 * promise that may never settle would keep whatever was chained to it.
 */
class FirstAnswer {
  readonly #queue: BullQueue;
  readonly #waiting = new Set<(error?: unknown) => void>();
  #state: 'unasked' | 'asked' | 'there' = 'unasked';

  constructor(queue: BullQueue) {
    this.#queue = queue;
  }

  /** Resolves when it is there. Rejects with `ERR_REDIS_AWAY` if that takes too long. */
  wait(): Promise<void> {
    if (this.#state === 'there') return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown): void => {
        realClearTimeout(timer);
        this.#waiting.delete(settle);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = realSetTimeout(() => {
        const message = `toBullQueue: Redis, where the queue ${describe(this.#queue.name)} is, has not been reached yet`;
        settle(new MapsweepError('ERR_REDIS_AWAY', message));
      }, patienceMs);
      this.#waiting.add(settle);
      // Now that this one waits: it may throw at once.
      if (this.#state === 'unasked') void this.#ask();
    });
  }

  async #ask(): Promise<void> {
    this.#state = 'asked';
    let failure: unknown;
    try {
      await this.#queue.waitUntilReady();
      this.#state = 'there';
      void warnOfEviction(this.#queue).catch(() => {
        // A Redis that does not tell has told nothing wrong.
      });
    } catch (error) {
      this.#state = 'unasked';
      failure = error ?? new Error('waitUntilReady() has failed');
    }
    for (const settle of this.#waiting) settle(failure);
  }
}

/**
 * Jobs that were sent, and Redis has not answered yet. A command cannot be taken back: while Redis hangs, each that is sent
 * stays with the connection, so an attempt waits for what an earlier one has sent.
 */
class SentJobs {
  readonly #waiting = new Map<string, Set<(error?: unknown) => void>>();

  /** Resolves when the job is there. Rejects as `add` does; and if the signal of an attempt is aborted that only waits. */
  async send(jobId: string, signal: AbortSignal | undefined, add: () => Promise<unknown>): Promise<void> {
    const others = this.#waiting.get(jobId);
    if (others !== undefined) return waitAmong(others, signal);
    const waiting = new Set<(error?: unknown) => void>();
    this.#waiting.set(jobId, waiting);
    let failure: unknown;
    try {
      await add();
    } catch (error) {
      failure = error ?? new Error('add() has failed');
      throw failure;
    } finally {
      this.#waiting.delete(jobId);
      for (const settle of waiting) settle(failure);
    }
  }
}

/** Waits with others until somebody settles them all, or the signal is aborted, and leaves nothing behind then. */
function waitAmong(others: Set<(error?: unknown) => void>, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown): void => {
      others.delete(settle);
      signal?.removeEventListener('abort', giveUp);
      if (error === undefined) resolve();
      else reject(error);
    };
    const giveUp = (): void => settle(signal?.reason);
    others.add(settle);
    signal?.addEventListener('abort', giveUp);
  });
}

/** A Redis that is full and drops keys drops jobs, and what is known of those that are over. */
async function warnOfEviction(queue: BullQueue): Promise<void> {
  // BullMQ 5 has the one, BullMQ 6 the other.
  const { client, getBackend } = queue as { client?: unknown; getBackend?: () => { client?: unknown } };
  const redis = await (client ?? getBackend?.call(queue).client);
  const text = await (redis as { info?(section: string): Promise<unknown> }).info?.('memory');
  const [, policy] = /^maxmemory_policy:(\S+)/m.exec(String(text)) ?? [];
  if (policy === undefined || policy === 'noeviction') return;
  process.emitWarning(
    `The Redis of the queue ${describe(queue.name)} has the maxmemory-policy '${policy}': when it is full it drops jobs, and ` +
      "endings with them. Set it to 'noeviction'",
    { code: 'MAPSWEEP_REDIS_EVICTION' },
  );
}
