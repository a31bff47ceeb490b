/** What there is to measure. */
export const scenarios = [
  'life',
  'operations',
  'sweeps',
  'memory',
  'batch',
  'gateway',
  'endings',
  'scrape',
  'journal',
] as const;

/** One of them. */
export type Scenario = (typeof scenarios)[number];

/** What one child process measures: one contender, in one scenario, at one size. */
export interface Job {
  readonly scenario: Scenario;
  readonly contender: string;
  /** Entries, or calls of `end()`; 0 where the scenario has a size of its own. */
  readonly size: number;
  readonly isShort: boolean;
}
