import { MapsweepError, type MapsweepErrorCode } from '../../errors.js';
import { shownError } from '../../events/shown.js';
import { invalidType } from '../../policy/read-options.js';
import { realClearTimeout, realSetTimeout } from '../../time/real-timers.js';
import { cancel } from './cancel.js';

/** A row as a driver gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** One connection to PostgreSQL: the `Client` of `pg`, as its pool lends it. */
export interface PostgresClient {
  /** Runs one statement. */
  query(
    text: string,
    values?: unknown[],
  ): Promise<{
    /** What it answers. */
    rows: Row[];
    /** How many rows it changed or answered. */
    rowCount: number | null;
  }>;
  /** Gives it back to its pool; with `true` it is closed. */
  release(destroy?: Error | boolean): void;
  /** Is called back when the connection is gone. */
  on(event: 'error' | 'end', listener: (error: Error) => void): unknown;
  /** Takes back an `on`. */
  removeListener(event: 'error' | 'end', listener: (error: Error) => void): unknown;
}

/** A connection that belongs to no pool: the `Client` of `pg`. */
interface LonePostgresClient extends Omit<PostgresClient, 'release'> {
  /** Opens it. */
  connect(): Promise<unknown>;
  /** Closes it. */
  end(): Promise<void>;
  /** Its socket is in there: `end` does not close one that is being opened. */
  readonly connection?: { readonly stream?: { destroy?(): void } };
}

/** Connections to one PostgreSQL database: a `Pool` of `pg` 8, or what behaves like one. */
export interface PostgresPool {
  /** Lends a connection. */
  connect(): Promise<PostgresClient>;
  /** What it was made with. */
  readonly options: {
    /** How many connections it has at most. */
    readonly max?: number | undefined;
  };
  /** Is called back when a connection fails that is not lent. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Is called back when a connection is lent. */
  on(event: 'acquire', listener: (client: PostgresClient) => void): unknown;
}

/** A connection that has not answered for so long counts as one that hangs, ms. */
const defaultPatienceMs = 10_000;
/**
 * So long before that PostgreSQL is asked to cancel the statement, ms. One that waits for a lock does not notice that its
 * connection is closed: it would keep its place among those that PostgreSQL has until it gets the lock.
 */
const cancelBeforeMs = 1_000;

/** Rejects when something has not come to its end in time; what it gives later goes to `late`. */
function within<T>(
  patienceMs: number,
  what: string,
  work: Promise<T>,
  late: (result: T) => void = () => {},
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let isOver = false;
    const timer = realSetTimeout(() => {
      isOver = true;
      reject(overdue(what, patienceMs));
    }, patienceMs);
    work.then(
      (result) => {
        realClearTimeout(timer);
        if (isOver) late(result);
        else resolve(result);
      },
      (error) => {
        realClearTimeout(timer);
        reject(error);
      },
    );
  });
}

class Overdue extends Error {}

const overdue = (what: string, patienceMs: number, cause?: unknown): Error =>
  new Overdue(`${what} has taken longer than ${patienceMs} ms`, { cause });

/** Whether an error of ours says that there was no answer in time. */
export const isOverdue = (error: unknown): boolean => (error as { cause?: unknown }).cause instanceof Overdue;

/**
 * How PostgreSQL finds out that the machine of a connection has vanished, whose locks would be held for hours otherwise:
 * after 10 s without a word it asks, and after another 15 s without an answer the connection is closed.
 */
export const keepAlive: Readonly<Record<string, number>> = {
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
  tcp_user_timeout: 25_000,
};

const insufficientPrivilege = '42501';
const whatToGrant =
  '. Grant its role usage on the schema, and select, insert, update and delete on its tables (to make them, create on the database)';

const ignore = (): void => {};
const guarded = new WeakSet<object>();

/** Whether a pool makes its connections in a way of its own, to an address that only it knows. */
export const connectsByItself = ({ options }: PostgresPool): boolean => {
  const { stream, Client } = (options ?? {}) as { readonly stream?: unknown; readonly Client?: unknown };
  return typeof stream === 'function' || typeof Client === 'function';
};

/** Returns what makes one more connection such as a pool has, as the `Pool` of `pg` does itself; `undefined` if it has none. */
export function clientOf(pool: PostgresPool): (() => LonePostgresClient) | undefined {
  const { Client } = pool as { readonly Client?: new (options: unknown) => LonePostgresClient };
  // As it is: `pg` hides the password in there from whoever copies it.
  return typeof Client === 'function' ? () => new Client(pool.options) : undefined;
}

/** Reads what is to be a pool, by what it is asked for. @throws MapsweepTypeError `ERR_INVALID_OPTION` for what is none */
export function readPool(given: unknown): PostgresPool {
  const { connect, on } = (given ?? {}) as Partial<PostgresPool>;
  if (typeof connect === 'function' && typeof on === 'function') return given as PostgresPool;
  throw invalidType('pool', 'a Pool of pg 8 (npm install pg@8)', given);
}

/**
 * A connection that PostgreSQL ends, as at its restart, would end the process if nobody listened: one at rest, and one
 * that its pool has just lent, for which whoever awaits it comes too late. What was asked of it rejects all the same.
 */
function guard(pool: PostgresPool): void {
  if (guarded.has(pool)) return;
  guarded.add(pool);
  pool.on('error', ignore);
  pool.on('acquire', (client) => {
    if (guarded.has(client)) return;
    guarded.add(client);
    client.on('error', ignore);
  });
}

/** What is asked of PostgreSQL through a pool, none of it for ever: what hangs is cancelled, and its connection closed. */
export class Database {
  readonly pool: PostgresPool;
  readonly #what: string;
  readonly #code: MapsweepErrorCode;
  readonly #patienceMs = defaultPatienceMs;

  /**
   * @param what begins the messages of errors: the option or the function that the pool was given to
   * @param code of those errors
   * @throws MapsweepTypeError `ERR_INVALID_OPTION` for what is no pool
   */
  constructor(pool: PostgresPool, what: string, code: MapsweepErrorCode) {
    this.pool = readPool(pool);
    this.#what = what;
    this.#code = code;
    guard(pool);
  }

  /** Takes a connection, which the caller gives back. @throws MapsweepError if none is to be had in time */
  async connect(): Promise<PostgresClient> {
    try {
      return await within(
        this.#patienceMs,
        'to get a connection, since all of the pool are in use or PostgreSQL does not answer,',
        this.pool.connect(),
        (client) => client.release(),
      );
    } catch (cause) {
      throw this.failure('no connection to PostgreSQL', cause);
    }
  }

  /**
   * Opens a connection beside those of the pool, which waits for none of them. Who listens for the pool's connections is shown it,
   * as to set a role. Of a pool that does not say how, it is one of these. The caller gives it back.
   *
   * @throws MapsweepError if none is to be had in time
   */
  async connectBeside(): Promise<PostgresClient> {
    const makeClient = clientOf(this.pool);
    if (makeClient === undefined) return this.connect();
    const client = makeClient();
    const close = (): void => void client.end().catch(ignore);
    client.on('error', ignore);
    try {
      await within(this.#patienceMs, 'to connect', client.connect());
      (this.pool as { emit?(event: 'connect', client: unknown): void }).emit?.('connect', client);
    } catch (cause) {
      close();
      client.connection?.stream?.destroy?.();
      throw this.failure('no connection to PostgreSQL', cause);
    }
    return Object.assign(client, { release: close });
  }

  /** Runs one statement on a connection that somebody holds. @throws MapsweepError */
  async ask(client: PostgresClient, text: string, values: unknown[] = []): Promise<Row[]> {
    const what = 'an answer';
    let isCancelled = false;
    const timer = realSetTimeout(() => {
      isCancelled = true;
      if (connectsByItself(this.pool)) return;
      cancelled.add(client);
      cancel(client, cancelBeforeMs);
    }, this.#patienceMs - cancelBeforeMs);
    try {
      const { rows } = await within(this.#patienceMs, what, client.query(text, values));
      return rows;
    } catch (cause) {
      throw this.failure('PostgreSQL', isCancelled ? overdue(what, this.#patienceMs, cause) : cause);
    } finally {
      realClearTimeout(timer);
    }
  }

  /** Runs one statement, a transaction of its own. @throws MapsweepError */
  query(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.#with((client) => this.ask(client, text, values));
  }

  /**
   * Runs statements in one transaction. After an error nothing of it is there, unless it is the answer to the commit that
   * was lost: {@link isUnsure} says so.
   *
   * @throws MapsweepError, or what `run` threw
   */
  transaction<T>(run: (client: PostgresClient) => Promise<T>): Promise<T> {
    return this.#with(async (client) => {
      await this.ask(client, 'begin isolation level read committed');
      const result = await run(client);
      try {
        await this.ask(client, 'commit');
      } catch (error) {
        unsure.add(error as object);
        throw error;
      }
      return result;
    });
  }

  /** The error for something that PostgreSQL or the network refused; one of ours stays as it is. */
  failure(what: string, cause: unknown): MapsweepError {
    if (cause instanceof MapsweepError) return cause;
    const hint = (cause as { code?: unknown } | undefined)?.code === insufficientPrivilege ? whatToGrant : '';
    return new MapsweepError(this.#code, `${this.#what}: ${what}: ${shownError(cause)}${hint}`, { cause });
  }

  async #with<T>(use: (client: PostgresClient) => Promise<T>): Promise<T> {
    const client = await this.connect();
    try {
      const result = await use(client);
      // What was to be cancelled has answered after all: the request may arrive later, and cancel what comes next.
      client.release(cancelled.has(client));
      return result;
    } catch (error) {
      // In whatever state it is: closed, it ends its transaction, and nobody else gets it.
      client.release(true);
      throw error;
    }
  }
}

/** Connections for which PostgreSQL was asked to cancel a statement. */
const cancelled = new WeakSet<PostgresClient>();
const unsure = new WeakSet<object>();

/** Whether a transaction that ended with this error may have been committed. */
export const isUnsure = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && unsure.has(error);
