import type { MapsweepError } from '../../errors.js';
import { type Duration, durationMs, timerRange } from '../../policy/duration.js';
import { invalidType, readInteger, readOptions } from '../../policy/read-options.js';
import { realPause } from '../../time/real-timers.js';
import { Database, type PostgresClient, type PostgresPool } from './database.js';
import { defaultSchema, prepareSchema, readSchema, tableIn } from './layout.js';
import { type HandleEnding, OutboxBatches } from './outbox-batches.js';

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

/**
 * Hands each ending of the outbox to a handler, the oldest first, in a transaction that marks it as handled: so its effect
 * in this database is there exactly once. Any number of processes may drain one outbox at a time; they do not wait for one
 * another. One whose handling undoes the transaction, since the connection is lost or PostgreSQL refuses the commit, is
 * handled next in a transaction of its own, and tried again later if that is undone too.
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
  const {
    schema = defaultSchema,
    batch: mostAtOnce = 100,
    every,
    signal,
    minDelay = 1_000,
    maxDelay = 60_000,
  } = read;
  const database = new Database(pool, 'drainOutbox', 'ERR_OUTBOX_IO');
  const batches = new OutboxBatches(database, handle as HandleEnding, {
    table: tableIn(schema, 'outbox'),
    mostAtOnce,
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
      const batch = await batches.next();
      total.handled += batch.handled;
      total.failed += batch.failed;
      found = batch.found;
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
