import { type Duration, durationMs } from '../../policy/duration.js';
import { readOptions } from '../../policy/read-options.js';
import { Database, type PostgresPool } from './database.js';
import { defaultSchema, prepareSchema, readSchema, tableIn } from './layout.js';

/** What of an outbox is deleted. */
export interface PurgeOptions {
  /** The schema of the table `outbox`. Default `'mapsweep'`. */
  schema?: string;
  /**
   * Endings that were handled longer ago than this. As long as they are there, one that is delivered again is known:
   * longer than `giveUpAfter`, and than `deadLetterTtl` if dead letters are redelivered. Default `'8d'`.
   */
  olderThan?: Duration;
}

const eightDaysMs = 8 * 24 * 60 * 60 * 1_000;
const deletedAtOnce = 1_000;

/**
 * Deletes endings that were handled long ago, some at a time. Nothing does so by itself: call it once in a while.
 *
 * @returns how many there were
 * @throws MapsweepError, as a rejection, `ERR_OUTBOX_IO`, `ERR_JOURNAL_VERSION`
 */
export async function purgeOutbox(pool: PostgresPool, options: PurgeOptions = {}): Promise<number> {
  const { schema = defaultSchema, olderThan = eightDaysMs } = readOptions('', options, {
    schema: readSchema,
    olderThan: (value, path) => durationMs(value, path),
  });
  const database = new Database(pool, 'purgeOutbox', 'ERR_OUTBOX_IO');
  await prepareSchema(database, schema);
  const table = tableIn(schema, 'outbox');
  let total = 0;
  for (;;) {
    const gone = await database.query(
      `delete from ${table} where id in (
         select id from ${table} where handled_at < now() - $1 * interval '1 millisecond'
         order by handled_at limit ${deletedAtOnce} for update skip locked
       ) returning 1`,
      [olderThan],
    );
    total += gone.length;
    if (gone.length < deletedAtOnce) return total;
  }
}
