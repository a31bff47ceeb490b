/** An attempt to deliver that runs on though its registry is detached. */
export interface LeftAttempt {
  readonly recipient: string;
  /** Of the ending. */
  readonly id: string;
  /** Settles as the attempt does. */
  readonly outcome: Promise<unknown>;
}

// On the global object and by a registered symbol: what is loaded anew in this process may be another copy of this package.
const place = Symbol.for('mapsweep.left-attempts');

/** By the name of the journal that knows what they are about. */
type LeftAttempts = Map<string, LeftAttempt[]>;

/**
 * Remembers attempts that still run when their registry gives its journal back, and what comes of them: whoever opens it next
 * in this process must not make them a second time. Those of a journal that nobody opens again are few, and stay.
 */
export function leaveAttempts(journal: string, attempts: readonly LeftAttempt[]): void {
  if (attempts.length === 0) return;
  const holder = globalThis as { [place]?: LeftAttempts };
  holder[place] ??= new Map();
  holder[place].set(journal, [...(holder[place].get(journal) ?? []), ...attempts]);
  // Whoever takes them over waits for them; nobody else does.
  for (const { outcome } of attempts) outcome.catch(() => {});
}

/** Returns the attempts that the last owner of a journal in this process has left, and forgets them. */
export function takeAttempts(journal: string): readonly LeftAttempt[] {
  const left = (globalThis as { [place]?: LeftAttempts })[place];
  const attempts = left?.get(journal) ?? [];
  left?.delete(journal);
  return attempts;
}
