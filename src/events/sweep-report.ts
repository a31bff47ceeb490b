/** What one sweep did. */
export interface SweepReport {
  /** When it began, epoch ms. */
  readonly startedAt: number;
  /** From the first slice to the last, waiting between them included; ms. */
  readonly durationMs: number;
  /** The longest slice, ms. */
  readonly longestSliceMs: number;
  /** How many there were. */
  readonly slices: number;
  /** Entries that were looked at. */
  readonly examined: number;
  /** Entries that were removed because they were due, companions of theirs not counted. */
  readonly swept: number;
  /** Per map: what was removed because it was due, and what stayed although it is. */
  readonly maps: Readonly<Record<string, MapSweepReport>>;
  /**
   * Why it did not go through: `late-tick` where the timer came more than one interval late, `stopped` where the
   * registry was stopped in the middle, or where it failed, which is a `callback-failed`. `undefined`: it went through.
   */
  readonly skipped: 'late-tick' | 'stopped' | undefined;
}

/** One map's part of a sweep. */
export interface MapSweepReport {
  /** Removed because it was due, companions not counted. */
  readonly swept: number;
  /** Due and still there: guarded, held, observed, or waiting for a `beforeSweep`. */
  readonly overdue: number;
}
