import type { EndedEvent } from './ended-event.js';

/** An ending that the library does not try to deliver again by itself. */
export interface DeadLetter<K = unknown, V = unknown> {
  /** The id of its event, for `redeliver()`. */
  id: string;
  event: EndedEvent<K, V>;
  /** Attempts made in the last round; 0 after an overflow. */
  attempts: number;
  /** What the last attempt threw; after a time-out the MapsweepError that says so; `undefined` if none failed. */
  error: unknown;
  /** True if the last attempt may have succeeded all the same: it timed out, or its process ended during it. */
  ambiguous: boolean;
  /** When it became a dead letter, epoch ms. */
  at: number;
  cause: 'attempts-exhausted' | 'timed-out' | 'overflow';
}
