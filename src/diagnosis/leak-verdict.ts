/**
 * Whether something leaks.
 *
 * - `ok`: it does not, as far as can be seen
 * - `filling`: it grows, and has a known bound
 * - `growing`: nothing that is old leaves, for 4 hours, and no bound is known
 * - `leaking`: what has survived its youth never leaves; or it has grown for 12 hours, nothing that is old has left, and
 *   no bound is known
 */
export type LeakState = 'ok' | 'filling' | 'growing' | 'leaking';

/** What is known about whether something leaks, as of the last sweep. */
export interface LeakVerdict {
  /** `ok` while nothing speaks for a leak. */
  readonly state: LeakState;
  /** Why, in words; of a leak that has brought nothing for 6 hours or more, that too. */
  readonly reason: string;
  /** What was judged: the number of entries, or what they weigh. */
  readonly by: 'entries' | 'weight';
  /**
   * How many entries (or bytes) more there are after each hour, where some come and others stay by the last day of which
   * that is known; 0 while the state is `ok`, and once a leak has brought nothing for a day.
   */
  readonly perHour: number;
  /** Since when, monotonic ms; `undefined` while the state is `ok`. */
  readonly since: number | undefined;
  /** The age beyond which nothing leaves, ms; `undefined` unless that was found. */
  readonly noneLeaveAfterMs: number | undefined;
  /** While filling or growing: the hours until the bound, or the heap limit, is reached; `undefined` if nobody knows. */
  readonly hoursToLimit: number | undefined;
}

/** How bad a verdict is: the greater the worse. */
export const badness: Readonly<Record<LeakState, number>> = { ok: 0, filling: 1, growing: 2, leaking: 3 };

/** Returns the worse of two verdicts, the first if they are equally bad. */
export const worse = (one: LeakVerdict, other: LeakVerdict): LeakVerdict =>
  badness[other.state] > badness[one.state] ? other : one;

/** Returns the verdict about what does not leak. */
export const okVerdict = (by: LeakVerdict['by']): LeakVerdict =>
  Object.freeze({
    state: 'ok',
    reason: 'nothing speaks for a leak',
    by,
    perHour: 0,
    since: undefined,
    noneLeaveAfterMs: undefined,
    hoursToLimit: undefined,
  });
