import type { EndedEvent } from './ended-event.js';

/** A notification that will not be tried again by itself. */
export interface DeadLetter<K = unknown, V = unknown> {
  /** The id of its event, for `redeliver()`. */
  id: string;
  event: EndedEvent<K, V>;
  /** Attempts made in the last round; 0 after an overflow. */
  attempts: number;
  /** What the last attempt threw; after a time-out the MapsweepError that says so; `undefined` where none failed. */
  error: unknown;
  /** Whether the last attempt may have succeeded all the same: it timed out, or its process ended during it. */
  ambiguous: boolean;
  /** When it became a dead letter, epoch ms. */
  at: number;
  cause: 'attempts-exhausted' | 'timed-out' | 'overflow';
}
