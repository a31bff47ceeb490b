import { randomInt } from 'node:crypto';
import { MapsweepError } from '../../errors.js';
import { realPause } from '../../time/real-timers.js';
import { type Database, isOverdue, keepAlive, type PostgresClient, type Row } from './database.js';

/** How often a lock that somebody has is tried again while it is waited for, ms. */
const tryEveryMs = 50;

/** It is at rest nearly always, and must not be closed for that. */
const settings = { ...keepAlive, idle_session_timeout: 0 };

/** Ends the backend that holds a lock, if that bears the mark as well. */
const endMarkedHolder = `
  select pg_terminate_backend(held.pid) from pg_locks as held join pg_locks as mark using (pid)
  where held.locktype = 'advisory' and held.objsubid = 1 and held.granted
    and (held.classid::bigint << 32) | held.objid::bigint = $1::bigint
    and mark.locktype = 'advisory' and mark.objsubid = 2 and mark.granted
    and mark.classid::bigint = $2::int and mark.objid::bigint = $3::int`;

/** A session that a lock is held in, and what became of it. */
interface Session {
  readonly client: PostgresClient;
  isBroken: boolean;
  readonly markBroken: () => void;
}

/**
 * The lock that says that an instance lives: a session-level advisory lock on a connection of its own, which PostgreSQL
 * frees when the process dies. Where it can, beside those of the pool: while all of these are in use it could not be taken again.
 */
export class InstanceLock {
  readonly #database: Database;
  readonly #key: string;
  readonly #broken: () => void;
  /**
   * An advisory lock that all sessions of this lock share, and nobody else's. The number of a backend would not say whose session
   * it is: PostgreSQL, or a pooler, may have given it to another process meanwhile.
   */
  readonly #mark = [randomInt(2 ** 31), randomInt(2 ** 31)];
  #session: Session | undefined;
  #taking: Promise<boolean> | undefined;
  #isReleased = false;

  /**
   * @param key of the advisory lock, 64 bits as decimal text
   * @param broken is called once for each connection that breaks while it is in use
   */
  constructor(database: Database, key: string, broken: () => void) {
    this.#database = database;
    this.#key = key;
    this.#broken = broken;
  }

  get isHeld(): boolean {
    return this.#session !== undefined && !this.#session.isBroken;
  }

  /** The connection that holds the lock. */
  get client(): PostgresClient | undefined {
    return this.isHeld ? this.#session?.client : undefined;
  }

  /**
   * Takes the lock, unless it is held already. Whoever asks while it is being taken gets the same answer.
   *
   * @param patienceMs for how long it is tried
   * @returns whether it is held now
   * @throws MapsweepError `ERR_JOURNAL_IO`; `ERR_INVALID_OPTION` behind a pooler that does not keep sessions
   */
  take(patienceMs: number): Promise<boolean> {
    this.#taking ??= this.#take(patienceMs).finally(() => {
      this.#taking = undefined;
    });
    return this.#taking;
  }

  async #take(patienceMs: number): Promise<boolean> {
    if (this.isHeld) return true;
    this.#drop();
    const session = await this.#connect();
    try {
      await assertOwnSession(this.#database, session.client);
      for (const [name, value] of Object.entries(settings))
        await this.#askIfAllowed(session.client, `set ${name} = ${value}`);
      const isTaken = await this.#tryFor(session.client, patienceMs);
      if (isTaken && !session.isBroken && !this.#isReleased) {
        this.#session = session;
        return true;
      }
      // The network may have dropped an earlier connection without a word: PostgreSQL would keep the lock for that for ever.
      if (!isTaken) await this.#askIfAllowed(session.client, endMarkedHolder, [this.#key, ...this.#mark]);
    } catch (error) {
      close(session);
      throw error;
    }
    close(session);
    return false;
  }

  /** Runs a statement on the connection that holds the lock. One that fails takes the lock with it. @throws as it does */
  async ask(text: string, values: unknown[] = []): Promise<Row[]> {
    const session = this.#session;
    if (session === undefined || session.isBroken)
      throw new MapsweepError('ERR_JOURNAL_IO', 'persistTo: the connection of the lock is broken');
    try {
      return await this.#database.ask(session.client, text, values);
    } catch (error) {
      session.markBroken();
      throw error;
    }
  }

  /** Gives the lock back. Idempotent. */
  release(): void {
    this.#isReleased = true;
    this.#drop();
  }

  /** Gives the lock back, and may take it again. */
  #drop(): void {
    if (this.#session !== undefined) close(this.#session);
    this.#session = undefined;
  }

  async #connect(): Promise<Session> {
    const client = await this.#database.connectBeside();
    const session: Session = {
      client,
      isBroken: false,
      markBroken: () => {
        if (session.isBroken) return;
        session.isBroken = true;
        if (this.#session === session) this.#broken();
      },
    };
    client.on('error', session.markBroken);
    client.on('end', session.markBroken);
    // A lock is no reason for a process to stay.
    (client as { unref?: () => void }).unref?.();
    return session;
  }

  /** What this server does not have, not on this kind of connection, or does not allow, is done without. */
  async #askIfAllowed(client: PostgresClient, text: string, values?: unknown[]): Promise<void> {
    try {
      await this.#database.ask(client, text, values);
    } catch (error) {
      if (typeof (error as { cause?: { code?: unknown } }).cause?.code !== 'string') throw error;
    }
  }

  async #tryFor(client: PostgresClient, patienceMs: number): Promise<boolean> {
    for (let waited = 0; ; waited += tryEveryMs) {
      const [row] = await this.#database.ask(
        client,
        'select pg_try_advisory_lock($1::bigint) as taken, pg_try_advisory_lock_shared($2::int, $3::int)',
        [this.#key, ...this.#mark],
      );
      if (row?.taken === true) return true;
      if (waited >= patienceMs || this.#isReleased) return false;
      await realPause(tryEveryMs);
    }
  }
}

function close({ client, markBroken }: Session): void {
  client.removeListener('end', markBroken);
  client.release(true);
}

/** How many times a connection is compared with another one of the same pool. */
const comparisons = 3;

/**
 * Makes sure that a connection is a session of its own in PostgreSQL. A pooler in transaction mode gives it another one at
 * each transaction: then a lock would be somebody else's at once.
 *
 * @throws MapsweepError `ERR_INVALID_OPTION`, saying what to do
 */
async function assertOwnSession(database: Database, client: PostgresClient): Promise<void> {
  const own = await backendOf(database, client);
  // What PostgreSQL itself said to the driver; a pooler says what it likes.
  if ((client as { processID?: unknown }).processID === own) return;
  for (let left = comparisons; left > 0; left -= 1) {
    // While another transaction has the session that was this connection's, a pooler has to give it another one.
    const second = await database.connectBeside();
    let other = own;
    try {
      await database.ask(second, 'begin');
      const backend = await backendOf(database, second);
      // One that has a single session lets the connection wait for the end of this transaction.
      const again = await backendOf(database, client).catch((error) => {
        if (!isOverdue(error)) throw error;
      });
      if (again === own) other = backend;
    } finally {
      second.release(true);
    }
    if (other !== own) continue;
    throw new MapsweepError(
      'ERR_INVALID_OPTION',
      'persistTo: between this process and PostgreSQL there is a pooler in transaction mode, where no lock lasts longer than ' +
        'a transaction. Give postgresJournal a pool that connects to PostgreSQL itself, or to a pooler in session mode',
    );
  }
}

async function backendOf(database: Database, client: PostgresClient): Promise<number> {
  const [row] = await database.ask(client, 'select pg_backend_pid() as pid');
  return Number(row?.pid);
}
