import { randomUUID } from 'node:crypto';
import { MapsweepError } from '../errors.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { invalidType, numeric, readInteger, readOptions } from '../policy/read-options.js';
import { type Clock, yieldToEventLoop } from '../time/clock.js';
import { type DeadlineEntry, DeadlineHeap } from '../time/deadline-heap.js';

/** What {@link createManualClock} takes. */
export interface ManualClockOptions {
  /** Wall time at the start, epoch ms, above 0. Default 1_700_000_000_000 (2023-11-14T22:13:20Z). */
  startAt?: number;
  /** Seed of `random()`, an integer from 0 to 2^32-1. Default 1. */
  seed?: number;
}

/** A clock for tests: time passes when `advance` says so, and not otherwise. Its methods need no `this`. */
export interface ManualClock extends Clock {
  /**
   * Lets `time` pass on both clocks: a finite number of milliseconds from 0 on, or a string such as `'2m'`. Timers due within fire in the order of their
   * instants, then of their creation, each at its own instant; those they set inside the window fire too.
   *
   * Before the first, after each, and at the end, promises settle: the event loop takes five turns, and more for as
   * long as somebody awaits `yield()`. Calls that overlap queue up, in the order of the calls.
   *
   * What a timer throws stops no other one; it rejects the promise at the end, several as an AggregateError. The
   * promise rejects with MapsweepError `ERR_NOT_DRAINED` where 100,000 timers fire at one instant, which timers of
   * 0 ms that set each other do for ever.
   */
  advance(time: Duration): Promise<void>;
  /** Moves the wall clock alone by `ms`, a finite number that may be negative. Fires nothing. */
  jumpWall(ms: number): void;
  /** How many timers are set and have neither fired nor been cleared. */
  readonly pendingTimers: number;
  /** A turn of the real event loop, whatever fake timers are installed. No time passes. */
  yield(): Promise<void>;
  /** One boot for each manual clock: registries that share it see the same time pass between their lives. */
  boot(): {
    /** The same for all of one boot. */
    readonly id: string;
    /** The time of that boot, ms. */
    readonly at: number;
  };
  /** A number in [0, 1). Clocks of the same seed give the same sequence. */
  random(): number;
  /**
   * Calls `fn` once, when the clock was advanced to `ms` from now; 0 means as soon as it is advanced at all.
   * Stricter than Node, which turns a NaN, a negative or too long delay into 1 ms and a 0 as well: such a delay is
   * a mistake, and a test should find it.
   * @throws MapsweepTypeError where `fn` is no function or `ms` no number; MapsweepRangeError where `ms` is not
   *   from 0 to 2^31-1
   */
  setTimeout(fn: () => void, ms: number): unknown;
}

const DEFAULT_START_AT = 1_700_000_000_000;
const LATEST_START_AT = 8.64e15;
/** Above 0, since 0 is "unset" to lru-cache, and far from the wall clock, so that a mix-up of the two shows. */
const MONOTONIC_START = 1_000;
const LONGEST_DELAY_MS = 2 ** 31 - 1;
const QUIET_TURNS = 5;
/** Where somebody yields for ever, `advance` must still come back. */
const MOST_TURNS = 10_000;
const MOST_TIMERS_AT_ONE_INSTANT = 100_000;

/**
 * Makes a {@link ManualClock}. It is independent of the fake timers of test runners, and works beside them.
 * @throws MapsweepTypeError, MapsweepRangeError for an invalid option
 */
export function createManualClock(options: ManualClockOptions = {}): ManualClock {
  const { startAt = DEFAULT_START_AT, seed = 1 } = readOptions('', options, {
    startAt: (value, option) => readFinite(value, option, Number.MIN_VALUE, LATEST_START_AT),
    seed: (value, option) => readInteger(value, option, { max: 2 ** 32 - 1 }),
  });
  const timers = new DeadlineHeap<() => void>();
  let monotonic = MONOTONIC_START;
  let wallOffset = startAt - MONOTONIC_START;
  let yields = 0;
  const bootId = `manual clock ${randomUUID()}`;
  let lastAdvance: Promise<void> = Promise.resolve();

  const settle = async (): Promise<void> => {
    let quietTurns = 0;
    for (let turn = 0; quietTurns < QUIET_TURNS && turn < MOST_TURNS; turn += 1) {
      const yieldsBefore = yields;
      await yieldToEventLoop();
      quietTurns = yields === yieldsBefore ? quietTurns + 1 : 0;
    }
  };

  const pass = async (ms: number): Promise<void> => {
    const end = monotonic + ms;
    const errors: unknown[] = [];
    let firedAtThisInstant = 0;
    for (;;) {
      // Before the look at the timers: promises may set and clear some, and at the end of the window too.
      await settle();
      const next = timers.peek();
      if (next !== undefined && next.at <= end) {
        firedAtThisInstant = next.at > monotonic ? 1 : firedAtThisInstant + 1;
        if (firedAtThisInstant > MOST_TIMERS_AT_ONE_INSTANT) {
          throw new MapsweepError(
            'ERR_NOT_DRAINED',
            `advance(${ms}) fired ${MOST_TIMERS_AT_ONE_INSTANT} timers at one instant: does a timer of 0 ms set itself?`,
          );
        }
        monotonic = Math.max(monotonic, next.at);
        try {
          timers.pop()!();
        } catch (error) {
          errors.push(error);
        }
      } else if (monotonic < end) {
        monotonic = end;
      } else {
        break;
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1)
      throw new AggregateError(errors, `${errors.length} timers threw during advance(${ms})`);
  };

  return {
    now: () => monotonic + wallOffset,
    monotonic: () => monotonic,
    setTimeout: (fn, ms) => {
      if (typeof fn !== 'function') throw invalidType('fn', 'a function', fn);
      return timers.insert(monotonic + readFinite(ms, 'ms', 0, LONGEST_DELAY_MS), fn);
    },
    clearTimeout: (handle) => {
      if (typeof handle === 'object' && handle !== null) timers.remove(handle as DeadlineEntry<() => void>);
    },
    advance: async (time) => {
      const ms = typeof time === 'string' ? durationMs(time, 'time') : readFinite(time, 'time', 0);
      const advanced = lastAdvance.then(() => pass(ms));
      lastAdvance = advanced.catch(() => {});
      return advanced;
    },
    jumpWall: (ms) => {
      wallOffset += readFinite(ms, 'ms', -Number.MAX_VALUE);
    },
    get pendingTimers() {
      return timers.size;
    },
    yield: () => {
      yields += 1;
      return yieldToEventLoop();
    },
    random: mulberry32(seed),
    boot: () => ({ id: bootId, at: monotonic }),
  };
}

function readFinite(value: unknown, option: string, min: number, max = Number.MAX_VALUE): number {
  const allowed = `a number of milliseconds${rangeInWords(min, max)}`;
  const fits = (given: number): boolean => Number.isFinite(given) && given >= min && given <= max;
  return numeric(allowed, fits)(value, option);
}

function rangeInWords(min: number, max: number): string {
  if (max < Number.MAX_VALUE) return min > 0 ? ` above 0, at most ${max}` : ` from 0 to ${max}`;
  return min === 0 ? ', finite and at least 0' : ', finite';
}

/**
 * mulberry32 by Tommy Ettinger, public domain: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c.
 * 32 bits of state are plenty for jitter that a test can repeat.
 */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
