import { describe, shownError, shownKey } from '../../events/shown.js';
import type { EndingMessage } from '../ending-message.js';
import { type Database, keepAlive, type PostgresClient, type Row } from './database.js';
import { inAscii } from './in-ascii.js';
import { isRefusal } from './refusal.js';

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

/** By what endings are handled. */
export interface BatchLimits {
  /** As it stands in a statement. */
  readonly table: string;
  readonly mostAtOnce: number;
  /** ms. */
  readonly minDelay: number;
  /** ms. */
  readonly maxDelay: number;
}

/** What came of a batch. */
interface Batch {
  /** So many were due, whatever came of them: others may be. */
  readonly found: number;
  readonly handled: number;
  readonly failed: number;
}

/** So much of an error is kept beside the ending. */
const longestError = 500;

/** A consumer whose machine vanishes must not keep its batch from the others. A handler may take its time all the same. */
const noticeVanished = `select ${Object.entries(keepAlive)
  .map(([name, value]) => `set_config('${name}', '${value}', true)`)
  .join(', ')}`;

/** Begins the error of an ending that is handled in a transaction of its own, since it may have undone that of others. */
const undone = 'undone with its transaction: ';
const goesAlone = ({ error }: Row): boolean => String(error).startsWith(undone);

const causeOf = (error: unknown): unknown => (error as { cause?: unknown }).cause ?? error;

/** Whether PostgreSQL takes nothing more in this transaction, since a statement of it has failed. */
const isAborted = (error: unknown): boolean => (causeOf(error) as { code?: unknown }).code === '25P02';

type Ask = (text: string, values: unknown[]) => Promise<Row[]>;

/** How far a transaction has come. */
interface Course {
  /** Those of which one will have undone it, if it is undone now. */
  suspects: readonly Row[];
  /** With what the connection was lost, which statements after that do not say. */
  lostBy: unknown;
}

/**
 * Handles what is due, a batch in one transaction.
 *
 * What undoes the whole transaction must not do so for ever, and nobody can tell at once whose fault it is: an outage looks
 * like a handler that loses its connection, and a deferred constraint fails when all have been handled. So those that may
 * be to blame are marked, which only works if PostgreSQL is there, and each of them is handled alone. If that is undone
 * too, it is its own fault, and it waits. The mark outlasts the process.
 */
export class OutboxBatches {
  readonly #database: Database;
  readonly #handle: HandleEnding;
  readonly #limits: BatchLimits;
  #isNextAlone = false;

  constructor(database: Database, handle: HandleEnding, limits: BatchLimits) {
    this.#database = database;
    this.#handle = handle;
    this.#limits = limits;
  }

  /** @throws MapsweepError if PostgreSQL cannot be asked */
  async next(): Promise<Batch> {
    const course: Course = { suspects: [], lostBy: undefined };
    try {
      return await this.#database.transaction(async (client) => {
        const noteLoss = (error: Error): void => {
          course.lostBy ??= error;
        };
        client.on('error', noteLoss);
        try {
          return await this.#handleDue(client, course);
        } finally {
          client.removeListener('error', noteLoss);
        }
      });
    } catch (error) {
      return this.#blame(course, error);
    }
  }

  async #handleDue(client: PostgresClient, course: Course): Promise<Batch> {
    await this.#database.ask(client, noticeVanished);
    const ask: Ask = (text, values) => this.#database.ask(client, text, values);
    const rows = await this.#takeDue(ask);
    const handled: Row[] = [];
    for (const row of rows) {
      await this.#database.ask(client, 'savepoint ending');
      course.suspects = [row];
      const error = await this.#failureOf(row, client);
      if (error === undefined) {
        handled.push(row);
      } else {
        await this.#database.ask(client, 'rollback to savepoint ending');
        await this.#postpone(row, error, ask);
      }
    }
    course.suspects = handled;
    if (handled.length > 0)
      await ask(`update ${this.#limits.table} set handled_at = now(), error = null where id = any($1)`, [
        handled.map(({ id }) => id),
      ]);
    return { found: rows.length, handled: handled.length, failed: rows.length - handled.length };
  }

  /** Locks what is due, the oldest first, up to one that goes alone, or that one. */
  async #takeDue(ask: Ask): Promise<Row[]> {
    const { table, mostAtOnce } = this.#limits;
    const rows = await ask(
      `select id, event::text as event, attempts, error from ${table}
       where handled_at is null and due_at <= now() order by due_at, position limit $1
       for update skip locked`,
      [this.#isNextAlone ? 1 : mostAtOnce],
    );
    const place = rows.findIndex(goesAlone);
    // There are more beside it as a rule, and what is locked for nothing is kept from other consumers.
    this.#isNextAlone = place >= 0;
    return this.#isNextAlone ? rows.slice(0, Math.max(place, 1)) : rows;
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

  /** Sees to it that the transaction is not undone again and again. @throws MapsweepError unless there is reason to go on */
  async #blame({ suspects, lostBy }: Course, failure: unknown): Promise<Batch> {
    const [suspect] = suspects;
    if (suspect === undefined) throw failure;
    const cause = lostBy ?? causeOf(failure);
    const error = undone + shownError(cause);
    const ask: Ask = (text, values) => this.#database.query(text, values);
    const isFault = suspects.length === 1 && goesAlone(suspect);
    let known: Row[] = [];
    try {
      known = await (isFault ? this.#postpone(suspect, error, ask) : this.#note(suspects, error, ask));
    } catch {
      // It is an outage, and no fault of an ending.
    }
    const mayGoOn = known.length > 0 && (isFault || isRefusal(failure));
    if (mayGoOn) return { found: suspects.length, handled: 0, failed: isFault ? 1 : 0 };
    const what = suspects.length > 1 ? 'PostgreSQL' : `while the ending ${shownKey(suspect.id)} was handled`;
    throw this.#database.failure(what, cause);
  }

  #postpone(row: Row, error: string, ask: Ask): Promise<Row[]> {
    const { minDelay, maxDelay } = this.#limits;
    const delayMs = Math.min(maxDelay, minDelay * 2 ** Math.min(Number(row.attempts), 30));
    return this.#note([row], error, ask, delayMs);
  }

  /**
   * Writes an error beside endings; with a delay, that an attempt failed by it. Waits for whoever has them in hand: it may be the
   * transaction that has just been undone, for PostgreSQL says so before it gives back the locks.
   */
  #note(rows: readonly Row[], error: string, ask: Ask, delayMs?: number): Promise<Row[]> {
    const failed = `, attempts = attempts + 1, due_at = clock_timestamp() + $3 * interval '1 millisecond'`;
    const text = `update ${this.#limits.table} set error = $2${delayMs === undefined ? '' : failed}
      where id = any($1) and handled_at is null returning 1`;
    const ids = rows.map(({ id }) => id);
    const values = [ids, inAscii(error.slice(0, longestError))];
    return ask(text, delayMs === undefined ? values : [...values, delayMs]);
  }
}
