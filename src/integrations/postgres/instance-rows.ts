import { MapsweepError } from '../../errors.js';
import type { JournalRecord } from '../../restart/journal.js';
import type { Database, PostgresClient, Row } from './database.js';
import { tableIn } from './layout.js';

/** An instance as its row says. */
export interface InstanceState {
  readonly epoch: number;
  readonly owner: string;
}

/** Records as they are kept: those of one append in a row. */
export interface RecordRow {
  readonly number: number;
  readonly epoch: number;
  /** Base64 of a JSON array. */
  readonly body: string;
}

/** So many rows are read at once, and so many bytes, or one row: all of an answer has to be there before patience is over. */
const rowsAtOnce = 32;
const bytesAtOnce = 4 * 1024 * 1024;

/** So many superseded rows are deleted at once. */
const deletedAtOnce = 200;

/** Advisory locks that somebody holds in this database. */
export const heldLocks = `
  select (classid::bigint << 32) | objid::bigint as key from pg_locks
  where locktype = 'advisory' and objsubid = 1 and granted
    and database = (select oid from pg_database where datname = current_database())`;

/** What is asked about instances and their records: the statements, and nothing else. */
export class InstanceRows {
  readonly database: Database;
  readonly instances: string;
  readonly records: string;

  constructor(database: Database, schema: string) {
    this.database = database;
    this.instances = tableIn(schema, 'instances');
    this.records = tableIn(schema, 'records');
  }

  /**
   * Begins the epoch of a new owner. Whatever an earlier one has under way is refused from here on, also where its row was
   * removed meanwhile: the first epoch is the instant, and none comes twice.
   */
  async own(instance: string, owner: string, lock: string): Promise<{ epoch: number; firstNumber: number }> {
    const [row] = await this.database.query(
      `insert into ${this.instances} as known (instance, epoch, owner, lock)
       values ($1, floor(extract(epoch from clock_timestamp()) * 1000), $2, $3)
       on conflict (instance) do update
         set epoch = known.epoch + 1, owner = excluded.owner, lock = excluded.lock, settled_at = null
       returning epoch, first_number`,
      [instance, owner, lock],
    );
    return { epoch: Number(row?.epoch), firstNumber: Number(row?.first_number) };
  }

  /** An owner goes on that was cut off, in an epoch of its own. `undefined` if the row has changed meanwhile. */
  async ownAgain(instance: string, { epoch, owner }: InstanceState): Promise<number | undefined> {
    const [row] = await this.database.query(
      `update ${this.instances} set epoch = epoch + 1, settled_at = null
       where instance = $1 and epoch = $2 and owner = $3 returning epoch`,
      [instance, epoch, owner],
    );
    return row === undefined ? undefined : Number(row.epoch);
  }

  async state(instance: string): Promise<InstanceState | undefined> {
    const [row] = await this.database.query(
      `select epoch, owner from ${this.instances} where instance = $1`,
      [instance],
    );
    return row && { epoch: Number(row.epoch), owner: String(row.owner) };
  }

  /** The first row that counts, and the last one: 0 if there is none. */
  async extent(instance: string): Promise<{ first: number; last: number }> {
    const [row] = await this.database.query(
      `select i.first_number as first, coalesce(max(r.number), 0) as last
       from ${this.instances} i left join ${this.records} r on r.instance = i.instance
       where i.instance = $1 group by i.first_number`,
      [instance],
    );
    return { first: Number(row?.first ?? 1), last: Number(row?.last ?? 0) };
  }

  /** Rows from a number on, in their order, some at a time. */
  async *rows(instance: string, from: number): AsyncGenerator<RecordRow[]> {
    for (let next = from; ; ) {
      const found = await this.database.query(
        `select number, epoch, encode(body, 'base64') as body from (
           select number, epoch, body, sum(length(body)) over (order by number) as bytes from ${this.records}
           where instance = $1 and number >= $2 order by number limit ${rowsAtOnce}
         ) as page where bytes <= ${bytesAtOnce} or bytes = length(body) order by number`,
        [instance, next],
      );
      if (found.length === 0) return;
      yield found.map(recordRow);
      next = Number(found.at(-1)?.number) + 1;
    }
  }

  /**
   * Writes one row, unless it is there. Returns `false`, and has written nothing, if the epoch is over: the lock on the
   * instance's row keeps anybody from raising it before this is committed.
   */
  async put(instance: string, epoch: number, number: number, body: Buffer): Promise<boolean> {
    const [row] = await this.database.query(
      `with mine as (select from ${this.instances} where instance = $1 and epoch = $2 for share),
         put as (
           insert into ${this.records} (instance, number, epoch, body)
           select $1, $3, $2, $4 from mine on conflict do nothing
         )
       select count(*) as mine from mine`,
      [instance, epoch, number, body],
    );
    return Number(row?.mine) === 1;
  }

  /** The statement of `put` for several rows, bodies as base64: for somebody who has to send it in another way. */
  putAll(
    instance: string,
    epoch: number,
    rows: ReadonlyArray<{ number: number; body: Buffer }>,
  ): [string, unknown[]] {
    return [
      `with mine as (select from ${this.instances} where instance = $1 and epoch = $2 for share),
         put as (
           insert into ${this.records} (instance, number, epoch, body)
           select $1, given.number, $2, decode(given.body, 'base64')
           from mine, unnest($3::bigint[], $4::text[]) as given (number, body) on conflict do nothing
         )
       select count(*) as mine from mine`,
      [instance, epoch, rows.map(({ number }) => number), rows.map(({ body }) => body.toString('base64'))],
    ];
  }

  /** Whether a row is there that was written in an epoch. */
  async has(instance: string, epoch: number, number: number): Promise<boolean> {
    const found = await this.database.query(
      `select from ${this.records} where instance = $1 and number = $2 and epoch = $3`,
      [instance, number, epoch],
    );
    return found.length > 0;
  }

  /**
   * Whether a row was written by a transaction whose answer was lost. It may not have ended: another row of that number
   * waits until it has, and takes its place if there is none.
   */
  async wasCommitted(
    instance: string,
    epoch: number,
    { number, body }: { number: number; body: Buffer },
  ): Promise<boolean> {
    await this.put(instance, epoch, number, bodyOf([]));
    const found = await this.database.query(
      `select from ${this.records} where instance = $1 and number = $2 and epoch = $3 and body = $4`,
      [instance, number, epoch, body],
    );
    return found.length > 0;
  }

  /** Leaves out all rows before one from now on, however late the statement comes. `false` if the epoch is over. */
  async supersede(instance: string, epoch: number, first: number): Promise<boolean> {
    const found = await this.database.query(
      `update ${this.instances} set first_number = greatest(first_number, $3)
       where instance = $1 and epoch = $2 returning 1`,
      [instance, epoch, first],
    );
    return found.length > 0;
  }

  /** Deletes some rows before one, which must be superseded. `false` when there was none left. */
  async deleteSome(instance: string, before: number): Promise<boolean> {
    const gone = await this.database.query(
      `delete from ${this.records} where instance = $1 and number in (
         select number from ${this.records} where instance = $1 and number < $2 order by number limit ${deletedAtOnce}
       ) returning 1`,
      [instance, before],
    );
    return gone.length > 0;
  }

  /** Locks the row of an instance for this transaction, if it has its epoch. */
  async holds(client: PostgresClient, instance: string, epoch: number): Promise<boolean> {
    const found = await this.database.ask(
      client,
      `select from ${this.instances} where instance = $1 and epoch = $2 for share`,
      [instance, epoch],
    );
    return found.length > 0;
  }

  /**
   * Raises the epoch of an instance that has this one, has left out no more rows, and whose lock nobody holds.
   * `undefined` if there is none.
   */
  async raise(
    client: PostgresClient,
    { instance, epoch, first }: { instance: string; epoch: number; first: number },
  ): Promise<number | undefined> {
    const [row] = await this.database.ask(
      client,
      `update ${this.instances} set epoch = epoch + 1
       where instance = $1 and epoch = $2 and first_number = $3 and lock not in (${heldLocks}) returning epoch`,
      [instance, epoch, first],
    );
    return row === undefined ? undefined : Number(row.epoch);
  }
}

const recordRow = ({ number, epoch, body }: Row): RecordRow => ({
  number: Number(number),
  epoch: Number(epoch),
  body: String(body),
});

/** How records stand in a row: as a JSON array, a line each. */
export const bodyOf = (records: readonly string[]): Buffer => Buffer.from(`[${records.join(',\n')}]`);

/** The records of rows, as they are asked for. @throws MapsweepError `ERR_JOURNAL_DAMAGED` naming the row */
export function* recordsIn(name: string, rows: Iterable<RecordRow>): Generator<readonly JournalRecord[]> {
  for (const { number, body } of rows) {
    try {
      yield JSON.parse(Buffer.from(body, 'base64').toString()) as JournalRecord[];
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      throw new MapsweepError(
        'ERR_JOURNAL_DAMAGED',
        `persistTo: row ${number} of the records of ${name} is damaged. Delete the instance's rows to start without them`,
        { cause },
      );
    }
  }
}
