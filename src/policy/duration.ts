import ms, { type StringValue } from 'ms';
import { invalidRange, invalidType } from './read-options.js';

type Unit =
  | 'milliseconds'
  | 'millisecond'
  | 'msecs'
  | 'msec'
  | 'ms'
  | 'seconds'
  | 'second'
  | 'secs'
  | 'sec'
  | 's'
  | 'minutes'
  | 'minute'
  | 'mins'
  | 'min'
  | 'm'
  | 'hours'
  | 'hour'
  | 'hrs'
  | 'hr'
  | 'h'
  | 'days'
  | 'day'
  | 'd'
  | 'weeks'
  | 'week'
  | 'w'
  | 'years'
  | 'year'
  | 'yrs'
  | 'yr'
  | 'y';

type UnitInAnyCase = Unit | Capitalize<Unit> | Uppercase<Unit>;

/**
 * A length of time: a number of milliseconds, or a string of the `ms` package such as `'500'` (milliseconds), `'5m'`,
 * `'1.5 hours'` or `'24H'`. From 0 to 100 years, fractions allowed.
 *
 * The type catches a misspelt unit. What it cannot see (`'-5m'`, `'1e3m'`, `NaN`) is rejected at run time.
 */
export type Duration = number | `${number}` | `${number}${UnitInAnyCase}` | `${number} ${UnitInAnyCase}`;

/** The limits of one option that takes a duration. */
export interface DurationLimits {
  /** `true` takes `false` too, as "never". Default `false`. */
  allowFalse?: boolean;
  /** The shortest duration allowed, in milliseconds. Default 0. */
  min?: number;
  /** The longest duration allowed, in milliseconds. Default {@link LONGEST_DURATION_MS}. */
  max?: number;
}

/**
 * 100 years. Nobody means longer: such a number is in microseconds or nanoseconds by mistake. It also keeps the sum of
 * the present and a duration a valid `Date`, exact to well below a millisecond.
 */
export const LONGEST_DURATION_MS = ms('100y');

/** The longest delay that a timer takes, ms; Node turns a longer one into 1 ms. */
export const longestTimerMs = 2 ** 31 - 1;

/** The limits of a duration that a timer has to take in one piece. */
export const timerRange = { min: 1, max: longestTimerMs };

// `ms` returns undefined for longer strings. Checked here, so that another version's throw cannot get past us.
const LONGEST_STRING = 100;

/**
 * Reads a duration as milliseconds; `false` reads as `Infinity` if it is allowed.
 *
 * @param option the path of the option, for the message
 * @throws {MapsweepTypeError} `ERR_INVALID_DURATION`: not a number, and not a string that `ms` understands
 * @throws {MapsweepRangeError} `ERR_INVALID_DURATION`: `NaN`, infinite, or outside of `min` to `max`
 */
export function durationMs(value: unknown, option: string, limits: DurationLimits = {}): number {
  const { allowFalse = false, min = 0, max = LONGEST_DURATION_MS } = limits;
  if (value === false && allowFalse) return Infinity;
  const parsed = typeof value === 'string' ? parse(value) : value;
  const allowed =
    `a number of milliseconds or a string such as '500ms', '30s', '5m', '24h' or '7d', from ${min} ms to ` +
    `${max === LONGEST_DURATION_MS ? '100 years' : `${max} ms`}${allowFalse ? ', or false for never' : ''}`;
  if (typeof parsed !== 'number') throw invalidType(option, allowed, value, '', 'ERR_INVALID_DURATION');
  // Written so that NaN fails it.
  if (!(parsed >= min && parsed <= max)) {
    throw invalidRange(option, allowed, value, '', 'ERR_INVALID_DURATION');
  }
  // '-0s' is nothing but 0; -0 would print as such in reports.
  return parsed + 0;
}

function parse(text: string): number | undefined {
  // `ms` throws on an empty string.
  if (text.length === 0 || text.length > LONGEST_STRING) return undefined;
  // Its declared result is a number, but it answers undefined for what it does not understand.
  return ms(text as StringValue) as number | undefined;
}
