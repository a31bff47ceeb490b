import type { EndedEvent } from './ended-event.js';

/** An ending that the library does not try to deliver again by itself. */
export interface DeadLetter<K = unknown, V = unknown> {
  /** The id of its event, for `redeliver()`. */
  id: string;
  /** Who was to be told: `default`, or the name that `ended.deliver` has for it. */
  recipient: string;
  /** What was to be told. */
  event: EndedEvent<K, V>;
  /** Attempts made in the last round; 0 after an overflow. */
  attempts: number;
  /** What the last attempt threw; after a time-out the MapsweepError that says so; `undefined` if none failed. */
  error: unknown;
  /** True if an attempt may have succeeded all the same: it timed out and still runs, or its process ended during it. */
  ambiguous: boolean;
  /** When it became a dead letter, epoch ms. */
  at: number;
  /** `given-up`: after `giveUpAfter`. `timed-out`: nobody knows the outcome, and another attempt might tell twice. */
  cause: 'attempts-exhausted' | 'given-up' | 'timed-out' | 'overflow';
}
