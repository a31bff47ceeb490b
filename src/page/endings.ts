import type { DeadLetter } from '../events/dead-letter.js';
import { type RecipientReport, recipientReports } from '../registry/figures.js';
import type { RegistryInternals } from '../registry/internals.js';
import { take } from '../stamps/take.js';
import type { KeyWords } from './keys.js';

/** So many dead letters of a recipient are shown, the oldest first. */
export const mostLetters = 50;

/** An ending that is not delivered by itself any more. Of the value of its entry nothing is shown. */
export interface LetterLine {
  /** What addresses it on the page: made of its recipient and its id, which may be as long as it likes. */
  readonly handle: string;
  readonly id: string;
  readonly key: string;
  readonly recipient: string;
  readonly reason: string;
  readonly attempts: number;
  readonly cause: DeadLetter['cause'];
  readonly ambiguous: boolean;
  readonly error: string;
  /** Epoch ms. */
  readonly at: number;
}

/** The endings. */
export interface EndingsView {
  readonly map: string;
  readonly ended: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly pending: number;
  /** For how long the first of them has been pending, ms. */
  readonly oldestPendingMs: number | undefined;
  readonly deadLetters: number;
  readonly recipients: readonly RecipientReport[];
  /** The oldest of them. */
  readonly letters: readonly LetterLine[];
}

/**
 * Describes the endings.
 *
 * @param handleOf what addresses a dead letter
 */
export function viewEndings(
  { engine, endings, deliveries }: RegistryInternals,
  keys: KeyWords,
  handleOf: (letter: DeadLetter) => string,
): EndingsView | undefined {
  if (endings === undefined) return undefined;
  const line = (letter: DeadLetter): LetterLine => ({
    handle: handleOf(letter),
    id: keys.id(letter.id),
    key: keys.key(letter.event.key),
    recipient: letter.recipient,
    // Those by which endings are counted are known, and name nobody.
    reason: Object.hasOwn(endings.endedTotal, letter.event.reason)
      ? letter.event.reason
      : keys.reason(letter.event.reason),
    attempts: letter.attempts,
    cause: letter.cause,
    ambiguous: letter.ambiguous,
    error: letter.error === undefined ? '' : keys.error(letter.error),
    at: letter.at,
  });
  const letters = (deliveries?.recipients ?? []).flatMap(({ notifier }) =>
    [...take(notifier.letters(), mostLetters)].map(({ letter }) => line(letter)),
  );
  const pendingSince = deliveries?.oldestPendingAt;
  return {
    map: endings.tracker.name,
    ended: { ...endings.endedTotal },
    duplicates: endings.duplicatesTotal,
    pending: deliveries?.pendingCount ?? 0,
    oldestPendingMs:
      pendingSince === undefined ? undefined : Math.max(0, engine.timeline.now() - pendingSince),
    deadLetters: deliveries?.deadLetterCount ?? 0,
    recipients: recipientReports(deliveries, keys.error),
    letters: letters.sort((one, other) => one.at - other.at),
  };
}
