import type { Advancer } from '../test-time.js';

/** The fake timers of a test runner. */
export interface FakeTimers {
  /** What lets time pass, while they are in force. */
  inForce(): Advancer | undefined;
  /** How to put them in force, for messages: a clause that follows "or". */
  readonly hint: string;
}
