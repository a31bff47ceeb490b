import { randomUUID } from 'node:crypto';
import { MapsweepError } from '../../errors.js';
import { type Duration, durationMs, timerRange } from '../../policy/duration.js';
import { invalidRange, invalidType, readName, readOptions } from '../../policy/read-options.js';
import { type OpenJournal, openInSlices } from '../../restart/open-journal.js';
import { Succession } from '../../restart/succession.js';
import { clientOf, Database, type PostgresPool, readPool } from './database.js';
import { InstanceLock } from './instance-lock.js';
import { InstanceRows } from './instance-rows.js';
import { defaultSchema, isKept, lockKey, prepareSchema, readSchema, tableIn } from './layout.js';
import { PostgresJournal } from './postgres-journal.js';
import { Watch } from './watch.js';

/** How a registry keeps its journal in PostgreSQL. */
export interface PostgresJournalOptions {
  /**
   * The name of this process among those that share the schema, the same at each start: who starts under it goes on with
   * what the last one left. A name that is never used again is a death: after `takeOverAfter` its open runs end as
   * `lost`.
   */
  instance: string;
  /** The schema of the tables, made if it is missing. One for each service. Default `'mapsweep'`. */
  schema?: string;
  /**
   * A peer whose lock was free for so long is dead: its obligations are taken over. Longer than a restart takes. From
   * `'1s'`. Default `'2m'`.
   */
  takeOverAfter?: Duration;
  /**
   * How long an ending waits for its claim to be committed, when PostgreSQL is slow or away; then it is delivered all the
   * same. From 1 ms. Default `'5s'`.
   */
  maxWait?: Duration;
}

const defaultTakeOverAfterMs = 120_000;
const shortestTakeOverAfterMs = 1_000;
const defaultMaxWaitMs = 5_000;

/** A predecessor that has just died, or was just given back, has its lock freed within this, ms. */
const defaultLockPatienceMs = 2_000;

/**
 * Opens the journal of an instance in PostgreSQL, takes it for this process, and reads it. Hand it to `createRegistry` as
 * `persistTo`; each journal serves one registry.
 *
 * The lock lives in a connection of its own, one beside those of the pool, for as long as the journal is open; statements
 * take those. What instances of the same schema owed that have died for good is taken over, if this registry has a `deliver`
 * and does more than observe.
 *
 * @param pool of `pg` 8, each connection of which is a session of its own; what only behaves like one, and has no `Client`,
 *   needs two, since the lock keeps one of them
 * @throws MapsweepError, as a rejection: `ERR_JOURNAL_LOCKED` if another process has the instance, `ERR_JOURNAL_DAMAGED`,
 *   `ERR_JOURNAL_VERSION`, `ERR_JOURNAL_IO`, `ERR_INVALID_OPTION` behind a pooler in transaction mode
 */
export async function postgresJournal(
  pool: PostgresPool,
  options: PostgresJournalOptions,
): Promise<OpenJournal> {
  const read = readOptions('', options, {
    instance: readInstance,
    schema: readSchema,
    takeOverAfter: (value, path) => durationMs(value, path, { ...timerRange, min: shortestTakeOverAfterMs }),
    maxWait: (value, path) => durationMs(value, path, timerRange),
  });
  const { instance, schema = defaultSchema } = read;
  const { takeOverAfter = defaultTakeOverAfterMs, maxWait = defaultMaxWaitMs } = read;
  if (instance === undefined)
    throw invalidType('instance', 'the name of this process, the same at each start', undefined);
  assertTwo(pool);
  const journal = await openPostgresJournal(pool, { instance, schema, takeOverAfterMs: takeOverAfter });
  return openInSlices(journal, { maxWaitMs: maxWait }, Succession);
}

function readInstance(value: unknown, option: string): string {
  const name = readName(value, option);
  if (isKept(name)) return name;
  throw invalidRange(option, 'a text without NUL and lone surrogates', name);
}

/** How to open a journal, without what its registry does with it. */
export interface OpenOptions {
  readonly instance: string;
  readonly schema: string;
  readonly takeOverAfterMs?: number;
  /** How long the lock is waited for. */
  readonly lockPatienceMs?: number;
}

/** Opens the journal itself, as {@link postgresJournal} does. Rejects as that does. */
export async function openPostgresJournal(
  pool: PostgresPool,
  {
    instance,
    schema,
    takeOverAfterMs = defaultTakeOverAfterMs,
    lockPatienceMs = defaultLockPatienceMs,
  }: OpenOptions,
): Promise<PostgresJournal> {
  const database = new Database(pool, 'persistTo', 'ERR_JOURNAL_IO');
  await prepareSchema(database, schema);
  let watch: Watch | undefined;
  const key = lockKey(schema, instance);
  const lock = new InstanceLock(database, key, () => watch?.lockBroken());
  const rows = new InstanceRows(database, schema);
  const makeWatch = (journal: PostgresJournal): Watch => {
    watch = new Watch({ rows, lock, takeOverAfterMs }, journal);
    return watch;
  };
  try {
    if (!(await lock.take(lockPatienceMs))) throw locked(instance, schema);
    const name = `${tableIn(schema, 'records')} of '${instance}'`;
    const parts = { name, instance, owner: randomUUID(), rows, lock, watch: makeWatch };
    return await PostgresJournal.open(parts, key);
  } catch (error) {
    watch?.end();
    lock.release();
    throw error;
  }
}

/** @throws MapsweepTypeError `ERR_INVALID_OPTION` for what is no pool; MapsweepRangeError for one that is too small */
function assertTwo(pool: unknown): void {
  const known = readPool(pool);
  const max = known.options?.max;
  if (max === undefined || max >= 2 || clientOf(known) !== undefined) return;
  throw invalidRange(
    'pool.options.max',
    'at least 2, since the lock of the instance keeps one connection for itself',
    max,
  );
}

function locked(instance: string, schema: string): MapsweepError {
  return new MapsweepError(
    'ERR_JOURNAL_LOCKED',
    `persistTo: the instance '${instance}' of the schema '${schema}' belongs to another process, or to another registry of ` +
      'this one. Each needs a name of its own; this one is free as soon as its owner has ended or called close(). If its ' +
      'machine has vanished, that takes half a minute',
  );
}
