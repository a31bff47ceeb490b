import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { systemClock } from '../time/clock.js';
import { Slices } from '../time/slices.js';
import type { Journal } from './journal.js';
import { type Past, played, playedInSlices, RecordError } from './past.js';

/** How a registry uses its journal. */
export interface JournalUse {
  /** How long an ending waits for its claim to be written, ms: then it is delivered all the same. */
  readonly maxWaitMs: number;
  /** Of more bytes than this that wait for a journal that takes nothing all are dropped. Default 16 MB. */
  readonly mostUnwrittenBytes?: number;
}

/** A journal that a registry has taken. */
export interface TakenJournal {
  readonly journal: Journal;
  readonly past: Past;
  readonly use: JournalUse;
}

/** The time that reading a journal may take of one turn of the event loop, ms. */
const readBudgetMs = 5;

/**
 * A journal that this process owns, with what earlier lives left in it. To be handed to `createRegistry` as
 * `persistTo`, once.
 */
export class OpenJournal {
  /** Where it is kept. */
  readonly name: string;
  readonly #journal: Journal;
  readonly #use: JournalUse;
  #past: Past | undefined;

  /** Use `openJournal`. */
  constructor(journal: Journal, past: Past, use: JournalUse) {
    this.name = journal.name;
    this.#journal = journal;
    this.#past = past;
    this.#use = use;
  }

  /** The map whose runs end, as the last life said; `undefined` if none did, or once the journal is handed over. */
  get endedMap(): string | undefined {
    return this.#past?.endedMap;
  }

  /**
   * Hands over the journal and its past.
   *
   * @throws MapsweepError `ERR_CLOSED` the second time
   */
  take(): TakenJournal {
    const past = this.#past;
    this.#past = undefined;
    if (past !== undefined) return { journal: this.#journal, past, use: this.#use };
    throw new MapsweepError(
      'ERR_CLOSED',
      `persistTo: the journal '${this.name}' is closed, or serves another registry. Open one for each`,
    );
  }

  /** Gives the journal back if no registry has taken it. Idempotent. */
  close(): void {
    if (this.#past === undefined) return;
    this.#past = undefined;
    this.#journal.release();
  }
}

/**
 * Plays what is in a journal, on the caller's time. A journal that cannot be read is given back.
 *
 * @throws MapsweepError `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_IO`
 */
export function openNow(journal: Journal, use: JournalUse): OpenJournal {
  try {
    return new OpenJournal(journal, played(journal.takePast()), use);
  } catch (error) {
    journal.release();
    throw unreadable(journal, error);
  }
}

/** Plays what is in a journal, in slices. A journal that cannot be read is given back. Rejects as `openNow` throws. */
export async function openInSlices(journal: Journal, use: JournalUse): Promise<OpenJournal> {
  const slices = new Slices({ clock: systemClock, budgetMs: readBudgetMs, stepsPerReading: 32 });
  try {
    return new OpenJournal(journal, await playedInSlices(journal.takePast(), slices), use);
  } catch (error) {
    journal.release();
    throw unreadable(journal, error);
  }
}

/** Refuses a journal with runs of another map that are open or have ends to deliver. @throws `ERR_INVALID_OPTION` */
export function assertSameMap({ journal, past }: TakenJournal, own: string | undefined): void {
  const { endedMap: its, maps, endings } = past;
  if (own === undefined || its === undefined || its === own) return;
  const isOpen = [...(maps.get(its)?.entries.values() ?? [])].some(({ claimed }) => !claimed);
  if (!isOpen && endings.size === 0) return;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `persistTo: the journal '${journal.name}' holds endings of '${its}', this registry announces those of '${own}'. ` +
      'Move it away to start without it',
  );
}

/** Says which journal cannot be read, and what to do; what the journal itself has found says so already. */
function unreadable({ name }: Journal, error: unknown): unknown {
  if (!(error instanceof RecordError)) return error;
  const { code, message, cause } = error;
  const before = code === 'ERR_JOURNAL_VERSION' ? 'Start that version, or move it' : 'Move it';
  return new MapsweepError(
    code,
    `persistTo: the journal '${name}': ${message}. ${before} away to start without it`,
    {
      cause,
    },
  );
}
