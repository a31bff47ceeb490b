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

  /** How many bytes are kept now, files that a checkpoint has superseded and that are still there included. */
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

  /** Appends at once, on the caller's time: for the last words of a process. @throws as `append` rejects */
  appendNow(records: readonly string[]): void;

  /** Begins a checkpoint: all that is live will be appended from here on, beside whatever else is. */
  beginCheckpoint(): Promise<void>;

  /** All that was live at `beginCheckpoint()` has been appended: what was there before that may be dropped. */
  endCheckpoint(): Promise<void>;

  /**
   * Gives the journal back, so that another owner may have it at once. Nothing can be appended any more; a write that is
   * under way may still come to its end. Idempotent.
   */
  release(): void;
}

/** A record as it was read: an array of plain JSON, the kind first. */
export type JournalRecord = readonly unknown[];
