import type { Portion, Successor } from '../../restart/journal.js';
import { isUnsure, pause } from './database.js';
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
 * peer takes over too, the epoch is another one, and nothing more is taken.
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
  let state: Absentee & { last: number } = { ...dead, last: past.at(-1)?.number ?? 0 };
  for (const portion of portions) {
    if (!successor.mayTakeOver) return 'partly';
    let next: typeof state | undefined;
    await successor.between(async () => {
      next = await transfer(parts, state, portion);
    });
    if (next === undefined) return 'partly';
    state = next;
  }
  await markSettled(rows, state);
  return 'whole';
}

type Known = Absentee & { readonly last: number };

/** Takes over one portion. `undefined` if the dead one is not as it was known, or this owner was cut off itself. */
async function transfer(
  { rows, journal }: TakeOverParts,
  { instance, epoch, last }: Known,
  portion: Portion,
): Promise<Known | undefined> {
  if (journal.isReleased) return undefined;
  const own = journal.newRow(portion.taken);
  const theirs = bodyOf(portion.settled);
  const ownEpoch = journal.epoch;
  const insert = `insert into ${rows.records} (instance, number, epoch, body) values ($1, $2, $3, $4)`;
  let raised: number | undefined;
  let isDone: boolean;
  try {
    isDone = await rows.database.transaction(async (client) => {
      // If this process is cut off in the midst of it, PostgreSQL gives it up, and not after hours.
      await rows.database.ask(client, `set local idle_in_transaction_session_timeout = ${longestIdleMs}`);
      if (!(await rows.holds(client, journal.instance, ownEpoch))) return false;
      raised = await rows.raise(client, instance, epoch);
      if (raised === undefined) return false;
      // Nothing can come in any more; what has come in before shows that it lives.
      const [row] = await rows.database.ask(
        client,
        `select coalesce(max(number), 0) as last from ${rows.records} where instance = $1`,
        [instance],
      );
      if (Number(row?.last) !== last) throw new HasWritten();
      await rows.database.ask(client, insert, [journal.instance, own.number, ownEpoch, own.body]);
      await rows.database.ask(client, insert, [instance, last + 1, raised, theirs]);
      return true;
    });
  } catch (error) {
    if (error instanceof HasWritten) return undefined;
    if (!isUnsure(error)) throw error;
    isDone = await findOut(() => rows.wasCommitted(journal.instance, ownEpoch, own), journal);
  }
  if (!isDone || raised === undefined) return undefined;
  journal.wasWritten(own);
  portion.accept();
  return { instance, epoch: raised, last: last + 1 };
}

/** Ends a transaction that finds the dead one alive. */
class HasWritten extends Error {}

/**
 * Asks until there is an answer. Until then nothing else may be written: if what was committed were taken for lost, the
 * next checkpoint would drop it.
 */
async function findOut(ask: () => Promise<boolean>, journal: PostgresJournal): Promise<boolean> {
  for (let pauseMs = firstPauseMs; !journal.isReleased; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await ask();
    } catch {
      await pause(pauseMs);
    }
  }
  // The next life reads it, or another peer.
  return false;
}

/** Nobody needs to look at it any more, until it comes back. */
async function markSettled(rows: InstanceRows, { instance, epoch }: Absentee): Promise<void> {
  await rows.database.query(
    `update ${rows.instances} set settled_at = now() where instance = $1 and epoch = $2`,
    [instance, epoch],
  );
}
