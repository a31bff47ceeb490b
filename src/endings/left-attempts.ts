import { processWide } from '../events/process-wide.js';

/** An attempt to deliver that runs on though its registry is detached or closed. */
export interface LeftAttempt {
  readonly recipient: string;
  /** Of the ending. */
  readonly id: string;
  /** Its number in its round, from 1 on: the journal may have counted it or not. */
  readonly attempt: number;
  /** Settles as the attempt does. */
  readonly outcome: Promise<unknown>;
}

// What is loaded anew in this process may be another copy of this package.
const place = Symbol.for('mapsweep.left-attempts');

/** By the name of the journal that knows what they are about. */
const leftAttempts = (): Map<string, LeftAttempt[]> => processWide(place, () => new Map());

/**
 * Remembers attempts that still run when their registry gives its journal back, and what comes of them: whoever opens it next
 * in this process must not make them a second time. Those of a journal that nobody opens again are few, and stay.
 */
export function leaveAttempts(journal: string, attempts: readonly LeftAttempt[]): void {
  if (attempts.length === 0) return;
  const left = leftAttempts();
  left.set(journal, [...(left.get(journal) ?? []), ...attempts]);
}

/** Returns the attempts that the last owner of a journal in this process has left, and forgets them. */
export function takeAttempts(journal: string): readonly LeftAttempt[] {
  const left = leftAttempts();
  const attempts = left.get(journal) ?? [];
  left.delete(journal);
  return attempts;
}
