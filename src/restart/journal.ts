/**
 * What a registry writes to survive a restart: records in order, kept by one owner at a time.
 *
 * A record is a JSON array whose first element is its kind. A journal keeps records, their order and their owner; what
 * they mean is the registry's business. Calls follow one another: the next one is made when the promise of the one
 * before is settled. No method blocks the event loop for longer than a turn's budget.
 */
export interface Journal {
  /** Where it is kept, for messages. */
  readonly name: string;

  /**
   * How many bytes are kept now. Files that a checkpoint has superseded count while they are there; rows of a database that it
   * has superseded do not, since nobody reads them any more.
   */
  readonly size: number;

  /**
   * Hands over what earlier owners left, oldest first, once: later calls give nothing. What a completed checkpoint has
   * superseded is left out; records that it repeats may come twice.
   */
  takePast(): Iterable<readonly JournalRecord[]>;

  /**
   * Says which records have to stand before all others wherever somebody may begin to read. Called once, before the
   * first `append`; `preamble` is asked at the beginning of each file and must not throw.
   */
  begin(preamble: () => readonly string[]): void;

  /**
   * Appends records, each a JSON text. When the promise is fulfilled the next owner will know of them, as far as the
   * journal promises. When it is rejected nobody knows; the same records may be appended again.
   */
  append(records: readonly string[]): Promise<void>;

  /**
   * Appends at once, on the caller's time: for the last words of a process.
   *
   * @param patienceMs for how long it may try, if it {@link hasOtherWay}. Default: as long as the journal sees fit
   * @throws as `append` rejects
   */
  appendNow(records: readonly string[], patienceMs?: number): void;

  /**
   * Whether `appendNow` goes another way than `append`, and comes back in time: then it is tried though `append` fails or
   * hangs. Without that it is not, since a disk that does not answer would hold the process.
   */
  readonly hasOtherWay?: boolean;

  /** Begins a checkpoint: all that is live will be appended from here on, beside whatever else is. */
  beginCheckpoint(): Promise<void>;

  /** All that was live at `beginCheckpoint()` has been appended: what was there before that may be dropped. */
  endCheckpoint(): Promise<void>;

  /**
   * Gives the journal back, so that another owner may have it at once. Nothing can be appended any more; a write that is
   * under way may still come to its end. Idempotent.
   */
  release(): void;

  /**
   * Joins the other owners of journals in the same place, if there is such a thing: they take over what one of them owed
   * that is dead for good. Called once, after `begin`.
   */
  join?(successor: Successor): void;
}

/** A record as it was read: an array of plain JSON, the kind first. */
export type JournalRecord = readonly unknown[];

/** Some of what a dead owner owed, to be written in one step. */
export interface Portion {
  /** For the journal of the one who takes over: who is to be told of what. Each a JSON text. */
  readonly taken: readonly string[];
  /** For the journal of the dead one: nobody is to be told of it any more. Each a JSON text. */
  readonly settled: readonly string[];
  /** Both are written: has it delivered. */
  accept(): void;
}

/** What a registry does for a journal whose owners take over for one another. */
export interface Successor {
  /** Whether it takes over what others owe: it has somebody to tell, and does not only observe. May change. */
  readonly mayTakeOver: boolean;

  /**
   * Goes through what a dead owner has left, in slices.
   *
   * @param past as the journal keeps it, oldest first
   * @returns what it owed, which is found in slices too; `undefined` if that is not for this registry: its runs are of another map
   * @throws MapsweepError what cannot be read, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_DAMAGED`
   */
  examine(
    past: Iterable<readonly JournalRecord[]>,
  ): Promise<AsyncIterable<Portion> | Iterable<Portion> | undefined>;

  /**
   * Has something done between two calls of the journal, so that nothing else is written meanwhile and no checkpoint
   * begins or ends. Rejects as it does, or if the journal is given back before its turn.
   */
  between(act: () => Promise<void>): Promise<void>;

  /**
   * A peer has taken over while this owner was cut off, and has appended these records: what they settle is not this
   * registry's to tell any more. To be called while a call of the journal is under way.
   */
  forfeit(records: readonly JournalRecord[]): Promise<void>;

  /** What the journal had confirmed is gone: has all that is live written anew, and tells the owner. Must not throw. */
  rowsLost(error: unknown): void;

  /** Tells the owner of something that went wrong besides. Must not throw. */
  failed(error: unknown): void;

  /**
   * The journal is somebody else's now, which was found out in another way than by a call of it: nothing is written or delivered
   * any more. Must not throw.
   *
   * @param error `ERR_JOURNAL_LOST`
   */
  lost(error: unknown): void;
}

/** How a registry uses its journal. */
export interface JournalUse {
  /** How long an ending waits for its claim to be written, ms: then it is delivered all the same. */
  readonly maxWaitMs: number;
  /** Of more bytes than this that wait for a journal that takes nothing all are dropped. Default 16 MB. */
  readonly mostUnwrittenBytes?: number;
}
