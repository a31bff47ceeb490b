import type { MapsweepError } from '../../errors.js';
import { describe, shownError } from '../../events/shown.js';
import { type Duration, durationMs, timerRange } from '../../policy/duration.js';
import { invalidType, readInteger, readOptions } from '../../policy/read-options.js';
import { realPause } from '../../time/real-timers.js';
import type { EndingMessage } from '../ending-message.js';
import { Database, keepAlive, type PostgresClient, type PostgresPool, type Row } from './database.js';
import { inAscii } from './in-ascii.js';
import { defaultSchema, prepareSchema, readSchema, tableIn } from './layout.js';

/** What a handler knows of an ending beside its message. */
export interface OutboxAttempt {
  /** Counts from 1. */
  readonly attempt: number;
}

/**
 * Has the effect of an ending, through `client`: whatever it does there is committed together with the mark that says
 * so. A throw or a rejection undoes it, and it is tried again later; so does a statement that fails, though its error is
 * caught, unless that is undone to a savepoint of the handler's own. It must not end the transaction.
 */
export type HandleEnding<Client extends PostgresClient = PostgresClient> = (
  event: EndingMessage,
  client: Client,
  attempt: OutboxAttempt,
) => unknown | Promise<unknown>;

/** How an outbox is drained. */
export interface DrainOptions {
  /** The schema of the table `outbox`. Default `'mapsweep'`. */
  schema?: string;
  /** So many endings share one transaction, from 1. Default 100. */
  batch?: number;
  /**
   * Goes on until `signal` is aborted, with such a pause whenever there is nothing to do, or PostgreSQL cannot be asked.
   * Default: ends then.
   */
  every?: Duration;
  /** Ends it after the batch that is under way. */
  signal?: AbortSignal;
  /** The pause after the first failure of an ending, which doubles. Default `'1s'`. */
  minDelay?: Duration;
  /** The longest pause. Default `'1m'`. */
  maxDelay?: Duration;
}

/** What came of it. */
export interface DrainedOutbox {
  /** Endings whose effect is committed. */
  readonly handled: number;
  /** Attempts that failed. */
  readonly failed: number;
}

/** So much of an error is kept beside the ending. */
const longestError = 500;

/**
 * Hands each ending of the outbox to a handler, the oldest first, in a transaction that marks it as handled: so its effect
 * in this database is there exactly once. Any number of processes may drain one outbox at a time; they do not wait for one
 * another.
 *
 * Resolves when nothing is due any more, or `signal` is aborted. Rejects when PostgreSQL cannot be asked, unless `every`
 * is given: then it is tried again, and a warning of the process, `MAPSWEEP_OUTBOX_FAILED`, says why, once for as long as
 * that stays the same.
 *
 * @throws MapsweepError, as a rejection, `ERR_OUTBOX_IO`, or `ERR_JOURNAL_VERSION` if the tables are a later version's
 */
export async function drainOutbox<Client extends PostgresClient>(
  pool: Omit<PostgresPool, 'connect'> & { connect(): Promise<Client> },
  handle: HandleEnding<Client>,
  options: DrainOptions = {},
): Promise<DrainedOutbox> {
  if (typeof handle !== 'function') throw invalidType('handle', 'a function', handle);
  const read = readOptions('', options, {
    schema: readSchema,
    batch: (value, path) => readInteger(value, path, { min: 1, max: 10_000 }),
    every: (value, path) => durationMs(value, path, timerRange),
    signal: (value, path) => {
      if (value instanceof AbortSignal) return value;
      throw invalidType(path, 'an AbortSignal', value);
    },
    minDelay: (value, path) => durationMs(value, path, timerRange),
    maxDelay: (value, path) => durationMs(value, path, timerRange),
  });
  const { schema = defaultSchema, batch = 100, every, signal, minDelay = 1_000, maxDelay = 60_000 } = read;
  const database = new Database(pool, 'drainOutbox', 'ERR_OUTBOX_IO');
  const drain = new Drain(database, handle as HandleEnding, {
    table: tableIn(schema, 'outbox'),
    batch,
    minDelay,
    maxDelay,
  });
  const total = { handled: 0, failed: 0 };
  let isPrepared = false;
  let warned = '';
  while (signal?.aborted !== true) {
    let found = 0;
    try {
      if (!isPrepared) await prepareSchema(database, schema);
      isPrepared = true;
      const { handled, failed } = await drain.batch();
      total.handled += handled;
      total.failed += failed;
      found = handled + failed;
      warned = '';
    } catch (error) {
      const { code, message } = error as MapsweepError;
      // What is no outage does not pass by itself.
      if (every === undefined || code !== 'ERR_OUTBOX_IO') throw error;
      // Nobody hears of a promise that goes on.
      if (message !== warned) process.emitWarning(message, { code: 'MAPSWEEP_OUTBOX_FAILED' });
      warned = message;
    }
    if (found > 0) continue;
    if (every === undefined) break;
    // It rejects if that is aborted, which ends the loop.
    await realPause(every, undefined, { signal }).catch(() => {});
  }
  return total;
}

/** A consumer whose machine vanishes must not keep its batch from the others. A handler may take its time all the same. */
const noticeVanished = `select ${Object.entries(keepAlive)
  .map(([name, value]) => `set_config('${name}', '${value}', true)`)
  .join(', ')}`;

/** Whether PostgreSQL takes nothing more in this transaction, since a statement of it has failed. */
const isAborted = (error: unknown): boolean =>
  ((error as Error).cause as { code?: unknown } | undefined)?.code === '25P02';

interface DrainLimits {
  readonly table: string;
  readonly batch: number;
  readonly minDelay: number;
  readonly maxDelay: number;
}

/** Handles a batch in one transaction. */
class Drain {
  readonly #database: Database;
  readonly #handle: HandleEnding;
  readonly #limits: DrainLimits;

  constructor(database: Database, handle: HandleEnding, limits: DrainLimits) {
    this.#database = database;
    this.#handle = handle;
    this.#limits = limits;
  }

  batch(): Promise<DrainedOutbox> {
    const { table, batch } = this.#limits;
    return this.#database.transaction(async (client) => {
      await this.#database.ask(client, noticeVanished);
      const rows = await this.#database.ask(
        client,
        `select id, event::text as event, attempts from ${table}
         where handled_at is null and due_at <= now() order by due_at, position limit $1
         for update skip locked`,
        [batch],
      );
      const handled: unknown[] = [];
      for (const row of rows) {
        await this.#database.ask(client, 'savepoint ending');
        const error = await this.#failureOf(row, client);
        if (error === undefined) {
          handled.push(row.id);
        } else {
          await this.#database.ask(client, 'rollback to savepoint ending');
          await this.#postpone(row, error, client);
        }
      }
      if (handled.length > 0)
        await this.#database.ask(
          client,
          `update ${table} set handled_at = now(), error = null where id = any($1)`,
          [handled],
        );
      return { handled: handled.length, failed: rows.length - handled.length };
    });
  }

  /** Why an attempt has failed, as a text; `undefined` if the handler has done its work, and that is kept. */
  async #failureOf({ event, attempts }: Row, client: PostgresClient): Promise<string | undefined> {
    try {
      const message = JSON.parse(String(event)) as EndingMessage;
      await this.#handle(message, client, { attempt: Number(attempts) + 1 });
    } catch (error) {
      return error instanceof Error ? shownError(error) : describe(error);
    }
    try {
      await this.#database.ask(client, 'release savepoint ending');
      return undefined;
    } catch (error) {
      if (!isAborted(error)) throw error;
      return 'a statement of the handler failed, whose error it caught: PostgreSQL has aborted the transaction';
    }
  }

  async #postpone({ id, attempts }: Row, error: string, client: PostgresClient): Promise<void> {
    const { table, minDelay, maxDelay } = this.#limits;
    const delayMs = Math.min(maxDelay, minDelay * 2 ** Math.min(Number(attempts), 30));
    await this.#database.ask(
      client,
      `update ${table} set attempts = attempts + 1, error = $2, due_at = clock_timestamp() + $3 * interval '1 millisecond'
       where id = $1`,
      [id, inAscii(error.slice(0, longestError)), delayMs],
    );
  }
}
