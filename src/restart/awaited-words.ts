import { counted, shownError, shownKey } from '../events/shown.js';

/** Entries of one map that are awaited. */
export interface AwaitedShare {
  readonly map: string;
  readonly count: number;
  /**
   * Why they cannot come back, as this life is: `decode` fails for them, or there is no map of that name. `undefined` where
   * their owner has but to set them.
   */
  readonly stuckBy: 'decode' | 'map' | undefined;
  /** Says how many there are, for how long yet, and why. */
  readonly words: string;
}

/** Says what becomes of entries of an earlier life. */
export const pastEntries = (map: string, count: number, what: string): string =>
  `${counted(count, 'entry', 'entries')} of ${shownKey(map)} of an earlier life ${what}`;

/** Says why they cannot come back. @param decodeError what `decode` fails with; `undefined` where there is no map of that name */
export const whyStuck = (decodeError: unknown, shown = shownError): string =>
  decodeError === undefined ? ': there is no map of that name' : `: decode fails: ${shown(decodeError)}`;
