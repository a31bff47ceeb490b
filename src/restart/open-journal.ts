import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { counted } from '../events/shown.js';
import { systemClock } from '../time/clock.js';
import { Slices } from '../time/slices.js';
import { version } from '../version.js';
import type { Journal, JournalUse } from './journal.js';
import { type Past, played, playedInSlices, RecordError } from './past.js';
import type { Succession } from './succession.js';

/** A journal that a registry has taken. */
export interface TakenJournal {
  readonly journal: Journal;
  readonly past: Past;
  readonly use: JournalUse;
  /** What takes over for other owners, if it came with the journal. */
  readonly succession: typeof Succession | undefined;
}

/** The time that reading a journal may take of one turn of the event loop, ms. */
const readBudgetMs = 5;

/** Its symbol is registered, since a registry may come from another copy of this package than its journal. */
const openedBy: unique symbol = Symbol.for('mapsweep.open-journal') as never;

/**
 * A journal that this process owns, with what earlier lives left in it. To be handed to `createRegistry` as
 * `persistTo`, once.
 */
export class OpenJournal {
  /** The version of the copy of this package that has opened it. */
  readonly [openedBy]: string = version;
  /** Where it is kept. */
  readonly name: string;
  readonly #journal: Journal;
  readonly #use: JournalUse;
  readonly #succession: typeof Succession | undefined;
  #past: Past | undefined;

  /** Use `openJournal`. */
  constructor(journal: Journal, past: Past, use: JournalUse, succession?: typeof Succession) {
    this.name = journal.name;
    this.#journal = journal;
    this.#past = past;
    this.#use = use;
    this.#succession = succession;
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
    if (past !== undefined) {
      return { journal: this.#journal, past, use: this.#use, succession: this.#succession };
    }
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

/** Returns whether a value is an open journal, of whichever copy of this package. */
export function isOpenJournal(value: unknown): value is OpenJournal {
  return (value as Partial<OpenJournal> | null | undefined)?.[openedBy] !== undefined;
}

/**
 * Reads an open journal, of this copy of the package or another one of the same version: what they have inside is the same.
 *
 * @throws MapsweepTypeError `ERR_INVALID_OPTION` if it is of another version
 */
export function readOpenJournal(journal: OpenJournal, option: string): OpenJournal {
  if (journal[openedBy] === version) return journal;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${option} was opened by another copy of mapsweep, of version ${journal[openedBy]}; this one has ${version}. Open it by the ` +
      'copy that createRegistry comes from',
  );
}

/**
 * Plays what is in a journal, on the caller's time. A journal that cannot be read is given back.
 *
 * @param succession for a journal that can be joined. It comes with the journal, so that a registry that needs none has none
 * @throws MapsweepError `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_IO`
 */
export function openNow(journal: Journal, use: JournalUse, succession?: typeof Succession): OpenJournal {
  try {
    return new OpenJournal(journal, played(journal.takePast()), use, succession);
  } catch (error) {
    journal.release();
    throw unreadable(journal, error);
  }
}

/** Plays what is in a journal, in slices. A journal that cannot be read is given back. Rejects as `openNow` throws. */
export async function openInSlices(
  journal: Journal,
  use: JournalUse,
  succession?: typeof Succession,
): Promise<OpenJournal> {
  const slices = new Slices({ clock: systemClock, budgetMs: readBudgetMs, stepsPerReading: 32 });
  try {
    const past = await playedInSlices(journal.takePast(), slices);
    return new OpenJournal(journal, past, use, succession);
  } catch (error) {
    journal.release();
    throw unreadable(journal, error);
  }
}

/** Refuses a journal with runs of another map that are open or have ends to deliver. @throws `ERR_INVALID_OPTION` */
export function assertSameMap({ journal, past }: TakenJournal, own: string | undefined): void {
  const { endedMap: its, maps, endings } = past;
  if (own === undefined || its === undefined || its === own) return;
  let open = 0;
  for (const { claimed } of maps.get(its)?.entries.values() ?? []) if (!claimed) open += 1;
  if (open + endings.size === 0) return;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `persistTo: the journal '${journal.name}' holds endings of '${its}', this registry announces those of '${own}'. ` +
      `Call the map '${its}' as before, or let the version before it end its runs first: moved away, ` +
      `${counted(endings.size, 'ending')} and ${counted(open, 'open run')} of it are never told`,
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
