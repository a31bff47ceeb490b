import { createHash } from 'node:crypto';
import { MapsweepError } from '../../errors.js';
import { invalidRange, invalidType, type Reader } from '../../policy/read-options.js';
import type { Database } from './database.js';

/** The version of the tables. */
const layoutVersion = 1;

/** PostgreSQL cuts a longer name, so that two might become one. */
const longestName = 63;

/** Whether PostgreSQL keeps a name as it is: no NUL and no half of a character, so that two names are never one. */
export const isKept = (name: string): boolean =>
  !name.includes('\0') && Buffer.from(name).toString() === name;

/** Reads the name of a schema. */
export const readSchema: Reader<string> = (value, option) => {
  const allowed = `the name of a schema, of 1 to ${longestName} bytes`;
  if (typeof value !== 'string') throw invalidType(option, allowed, value);
  const { length } = Buffer.from(value);
  if (length === 0 || length > longestName || !isKept(value)) throw invalidRange(option, allowed, value);
  return value;
};

/** The default of the option `schema`. */
export const defaultSchema = 'mapsweep';

/** A name as it stands in a statement. */
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A table in a schema, as it stands in a statement. */
export const tableIn = (schema: string, table: string): string => `${quoted(schema)}.${quoted(table)}`;

/** The key of an advisory lock for something in a schema: 64 bits, as decimal text. */
export function lockKey(schema: string, what: string): string {
  const hash = createHash('sha256').update(JSON.stringify(['mapsweep', schema, what]));
  return String(hash.digest().readBigInt64BE());
}

const tables = (schema: string): Record<string, string> => ({
  // One row: the version.
  layout: 'version integer not null',
  // `owner` is of one life of the process, `epoch` of one right to write: raised by each owner, and by who takes over.
  instances: `
    instance text primary key,
    epoch bigint not null,
    owner text not null,
    lock bigint not null,
    first_number bigint not null default 1,
    settled_at timestamptz`,
  // Records, those of one append in a row, in the order of their numbers. `epoch` says who has written them.
  records: `
    instance text not null,
    number bigint not null,
    epoch bigint not null,
    body bytea not null,
    primary key (instance, number)`,
  // Endings for a consumer. `position` is about the order in which they came.
  outbox: `
    id text primary key,
    position bigint generated always as identity,
    event json not null,
    written_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    error text,
    handled_at timestamptz`,
  [`outbox_due on ${tableIn(schema, 'outbox')} (due_at, position) where handled_at is null`]: '',
  [`outbox_handled on ${tableIn(schema, 'outbox')} (handled_at) where handled_at is not null`]: '',
});

/**
 * Makes the schema and its tables if they are not there. Needs the right to do so only then.
 *
 * @throws MapsweepError `ERR_JOURNAL_VERSION` if a later version made them; `ERR_JOURNAL_IO`
 */
export async function prepareSchema(database: Database, schema: string): Promise<void> {
  const found = await versionOf(database, schema);
  if (found === undefined) await makeTables(database, schema);
  else if (found > layoutVersion) {
    throw new MapsweepError(
      'ERR_JOURNAL_VERSION',
      `the schema '${schema}' was made by a later version of mapsweep (its tables are of version ${found}, this one knows ` +
        `${layoutVersion}). Start that version, or name another schema`,
    );
  }
}

async function versionOf(database: Database, schema: string): Promise<number | undefined> {
  const layout = tableIn(schema, 'layout');
  const [found] = await database.query('select to_regclass($1) is not null as is_there', [layout]);
  if (found?.is_there !== true) return undefined;
  const [row] = await database.query(`select version from ${layout}`);
  return row === undefined ? undefined : Number(row.version);
}

async function makeTables(database: Database, schema: string): Promise<void> {
  await database.transaction(async (client) => {
    // Two processes that make the same table at once are an error for one of them, `if not exists` or not.
    await database.ask(client, 'select pg_advisory_xact_lock($1::bigint)', [lockKey(schema, 'layout')]);
    // `if not exists` asks a cache that may not have heard of who was first while this waited for the lock.
    const found = await database.ask(client, 'select from pg_namespace where nspname = $1', [schema]);
    if (found.length === 0) await database.ask(client, `create schema ${quoted(schema)}`);
    for (const [name, columns] of Object.entries(tables(schema))) {
      const statement =
        columns === ''
          ? `create index if not exists ${name}`
          : `create table if not exists ${tableIn(schema, name)} (${columns})`;
      await database.ask(client, statement);
    }
    await database.ask(
      client,
      `insert into ${tableIn(schema, 'layout')} (version)
       select $1 where not exists (select from ${tableIn(schema, 'layout')})`,
      [layoutVersion],
    );
  });
}
