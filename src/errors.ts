/** Machine-readable reasons of the errors that mapsweep throws itself. */
export type MapsweepErrorCode =
  | 'ERR_INVALID_OPTION'
  | 'ERR_UNKNOWN_OPTION'
  | 'ERR_INVALID_DURATION'
  | 'ERR_NOT_A_MAP'
  | 'ERR_NOT_ADOPTABLE'
  | 'ERR_ALREADY_TRACKED'
  | 'ERR_DUPLICATE_NAME'
  | 'ERR_UNKNOWN_MAP'
  | 'ERR_UNKNOWN_RECIPIENT'
  | 'ERR_FOLLOW_CYCLE'
  | 'ERR_CLOSED'
  | 'ERR_INVALID_SNAPSHOT'
  | 'ERR_JOURNAL_KEY'
  | 'ERR_JOURNAL_LOCKED'
  | 'ERR_JOURNAL_LOST'
  | 'ERR_JOURNAL_TAKEN_OVER'
  | 'ERR_JOURNAL_DAMAGED'
  | 'ERR_JOURNAL_VERSION'
  | 'ERR_JOURNAL_IO'
  | 'ERR_OUTBOX_IO'
  | 'ERR_REDIS_AWAY'
  | 'ERR_RESTORED'
  | 'ERR_ENTRIES_DROPPED'
  | 'ERR_METRICS_CONFLICT'
  | 'ERR_MISSING_PEER'
  | 'ERR_AMBIGUOUS_PEER'
  | 'ERR_CALLBACK_TIMEOUT'
  | 'ERR_CALLBACK_OBSOLETE'
  | 'ERR_BATCH_FAILED'
  | 'ERR_DELETE_REFUSED'
  | 'ERR_INVALID_ANSWER'
  | 'ERR_NO_CLOCK'
  | 'ERR_NO_GC'
  | 'ERR_NOT_DRAINED'
  | 'ERR_NOT_AWAITED'
  | 'ERR_NOTHING_PROVED';

/** A value that an option or argument does not take. `message` names the option, what was received and what is allowed. */
export class MapsweepTypeError extends TypeError {
  /** What went wrong, for a program to read. */
  readonly code: MapsweepErrorCode;

  constructor(code: MapsweepErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    MapsweepTypeError.prototype.name = 'TypeError';
  }
}

/** A value of the right type that is outside the allowed range. */
export class MapsweepRangeError extends RangeError {
  /** What went wrong, for a program to read. */
  readonly code: MapsweepErrorCode;

  constructor(code: MapsweepErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    MapsweepRangeError.prototype.name = 'RangeError';
  }
}

/** A failure at run time: a callback that timed out, a snapshot that cannot be read, a `delete` that refused. */
export class MapsweepError extends Error {
  /** What went wrong, for a program to read. */
  readonly code: MapsweepErrorCode;

  constructor(code: MapsweepErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    MapsweepError.prototype.name = 'MapsweepError';
  }
}
