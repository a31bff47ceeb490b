/** The bounds of the pauses between attempts. */
export interface BackoffLimits {
  /** Milliseconds, no pause is shorter. */
  readonly minDelayMs: number;
  /** Milliseconds, no pause is longer; at least `minDelayMs`. */
  readonly maxDelayMs: number;
}

/** 2^52 times any delay is beyond any maximum; without a bound, 0 ms times 2^1024 would be NaN. */
const MOST_DOUBLINGS = 52;

/**
 * The pause after the failed attempt number `attempt` (from 1), in ms: a random point in the upper half of a span that
 * doubles from attempt to attempt. With 1 s and 1 min: 1-2 s, 2-4 s, 4-8 s, 8-16 s, 16-32 s, 30-60 s from then on.
 *
 * This is "equal jitter" from Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). His "full jitter" spreads a crowd
 * better, but starts at 0 and would break the promise of a shortest pause.
 *
 * @param random gives a number in [0, 1); anything else counts as one half
 */
export function retryDelayMs(attempt: number, limits: BackoffLimits, random: () => number): number {
  const { minDelayMs, maxDelayMs } = limits;
  const longest = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt, MOST_DOUBLINGS));
  const shortest = longest / 2;
  const drawn = random();
  const share = drawn >= 0 && drawn < 1 ? drawn : 0.5;
  const delayMs = Math.round(shortest + share * (longest - shortest));
  return Math.min(Math.max(delayMs, minDelayMs), maxDelayMs);
}
