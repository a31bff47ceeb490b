import type { Portion, Successor } from '../../restart/journal.js';
import { realPause } from '../../time/real-timers.js';
import { isUnsure, type PostgresClient } from './database.js';
import { bodyOf, type InstanceRows, type RecordRow, recordsIn } from './instance-rows.js';
import type { PostgresJournal } from './postgres-journal.js';
import type { Absentee } from './vigil.js';

/** The pauses between two questions whether a commit came through, ms: the first, which doubles, and the longest. */
const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** A transaction that has heard nothing for so long is over, ms. */
const longestIdleMs = 30_000;

/** What became of a takeover: all of it, or whatever there was before somebody else came, or it is not for this registry. */
export type Outcome = 'whole' | 'partly' | 'not ours';

/** Who takes over, and from where. */
export interface TakeOverParts {
  readonly rows: InstanceRows;
  readonly journal: PostgresJournal;
  readonly successor: Successor;
}

/**
 * Takes over what a dead instance owed, a portion at a time: in one transaction its epoch is raised, what it owed is
 * written into this owner's journal, and that it is settled into its own. If it comes back in the midst of it, or another
 * peer takes over too, the epoch is another one, and nothing more is taken. At the end its epoch is raised once more, so
 * that one that owed nothing finds out too that nobody looks at it any more.
 *
 * @throws MapsweepError what cannot be read or reached
 */
export async function takeOver(parts: TakeOverParts, dead: Absentee): Promise<Outcome> {
  const { rows, successor } = parts;
  const past: RecordRow[] = [];
  const { first } = await rows.extent(dead.instance);
  for await (const some of rows.rows(dead.instance, first)) past.push(...some);
  const portions = await successor.examine(recordsIn(`the instance '${dead.instance}'`, past));
  if (portions === undefined) return 'not ours';
  let state: Known = { ...dead, first, last: past.at(-1)?.number ?? first - 1 };
  for await (const portion of portions) {
    if (!successor.mayTakeOver) return 'partly';
    let next: Known | undefined;
    await successor.between(async () => {
      next = await transfer(parts, state, portion);
    });
    if (next === undefined) return 'partly';
    state = next;
  }
  return (await markSettled(rows, state)) ? 'whole' : 'partly';
}

/** A dead one, and the rows of it that were read. */
type Known = Absentee & { readonly first: number; readonly last: number };

/** Takes over one portion. `undefined` if the dead one is not as it was known, or this owner was cut off itself. */
async function transfer(
  { rows, journal }: TakeOverParts,
  known: Known,
  portion: Portion,
): Promise<Known | undefined> {
  if (journal.isReleased) return undefined;
  const own = journal.newRow(portion.taken);
  const theirs = bodyOf(portion.settled);
  const ownEpoch = journal.epoch;
  const last = known.last + 1;
  const insert = `insert into ${rows.records} (instance, number, epoch, body) values ($1, $2, $3, $4)`;
  let raised: number | undefined;
  let isDone: boolean;
  try {
    isDone = await shortTransaction(rows, async (client) => {
      if (!(await rows.holds(client, journal.instance, ownEpoch))) return false;
      raised = await raise(rows, client, known);
      await rows.database.ask(client, insert, [journal.instance, own.number, ownEpoch, own.body]);
      await rows.database.ask(client, insert, [known.instance, last, raised, theirs]);
      return true;
    });
  } catch (error) {
    if (error instanceof HasChanged) return undefined;
    if (!isUnsure(error)) throw error;
    isDone = await findOut(() => rows.wasCommitted(journal.instance, ownEpoch, own), journal);
  }
  if (!isDone || raised === undefined) return undefined;
  journal.wasWritten(own);
  portion.accept();
  return { ...known, epoch: raised, last };
}

/** Nobody needs to look at it any more, until it comes back. `false` if it is not as it was known. */
async function markSettled(rows: InstanceRows, known: Known): Promise<boolean> {
  try {
    await shortTransaction(rows, async (client) => {
      await raise(rows, client, known);
      await rows.database.ask(client, `update ${rows.instances} set settled_at = now() where instance = $1`, [
        known.instance,
      ]);
    });
    return true;
  } catch (error) {
    if (error instanceof HasChanged) return false;
    throw error;
  }
}

/** If this process is cut off in the midst of a transaction, PostgreSQL gives it up, and not after hours. */
const shortTransaction = <T>(
  { database }: InstanceRows,
  run: (client: PostgresClient) => Promise<T>,
): Promise<T> =>
  database.transaction(async (client) => {
    await database.ask(client, `set local idle_in_transaction_session_timeout = ${longestIdleMs}`);
    return run(client);
  });

/** Raises the epoch of a dead one, so that nothing can come in any more. @throws HasChanged if it is not as it was known */
async function raise(rows: InstanceRows, client: PostgresClient, known: Known): Promise<number> {
  const raised = await rows.raise(client, known);
  if (raised === undefined) throw new HasChanged();
  // What has come in before shows that it lives.
  const [row] = await rows.database.ask(
    client,
    `select coalesce(max(number), $2::bigint - 1) as last from ${rows.records} where instance = $1 and number >= $2`,
    [known.instance, known.first],
  );
  if (Number(row?.last) !== known.last) throw new HasChanged();
  return raised;
}

/** Ends a transaction that finds the dead one alive, or another peer at work. */
class HasChanged extends Error {}

/**
 * Asks until there is an answer. Until then nothing else may be written: if what was committed were taken for lost, the
 * next checkpoint would drop it.
 */
async function findOut(ask: () => Promise<boolean>, journal: PostgresJournal): Promise<boolean> {
  for (let pauseMs = firstPauseMs; !journal.isReleased; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await ask();
    } catch {
      await realPause(pauseMs);
    }
  }
  // The next life reads it, or another peer.
  return false;
}
