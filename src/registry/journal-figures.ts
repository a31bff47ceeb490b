import { span } from '../diagnosis/explain.js';
import { shownError, shownText } from '../events/shown.js';
import { bytes } from './figures.js';
import type { RegistryInternals } from './internals.js';

/** How a journal is doing. */
export interface JournalFigures {
  readonly name: string;
  readonly bytes: number;
  /** For how long something has been waiting to be written, ms; `undefined` if nothing does. */
  readonly waitingMs: number | undefined;
  /** Records were dropped, and what is live is not written anew yet. */
  readonly isBehind: boolean;
  /** It is no longer this process's: somebody else has taken it, or it was removed. */
  readonly isLost: boolean;
  /** The last failure, while nothing has been taken since. */
  readonly error: string | undefined;
}

/**
 * Returns how the journal is doing; `undefined` without one.
 *
 * @param shown how its error is shown
 */
export function journalFigures(
  { engine, restart: { recorder } }: RegistryInternals,
  shown: (error: unknown) => string = shownError,
): JournalFigures | undefined {
  if (recorder === undefined) return undefined;
  const { error, waitingSince, isBehind, isLost } = recorder.writer.state;
  return {
    name: shownText(recorder.journalName),
    bytes: recorder.journalBytes,
    waitingMs: waitingSince === undefined ? undefined : engine.timeline.now() - waitingSince,
    isBehind,
    isLost,
    error: error === undefined ? undefined : shown(error),
  };
}

/** Says how the journal is doing. */
export function journalWords({ bytes: size, waitingMs, isBehind, isLost, error }: JournalFigures): string {
  const waiting = isLost
    ? "It is no longer this process's: nothing more is written."
    : waitingMs === undefined
      ? 'Nothing waits to be written.'
      : `Something has waited to be written for ${span(waitingMs)}.`;
  const behind = isBehind ? ' Records were dropped, and what is live is yet to be written anew.' : '';
  return `${bytes(size)}. ${waiting}${behind}${error === undefined ? '' : ` The last attempt failed: ${error}`}`;
}
