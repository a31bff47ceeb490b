import { RegistrationSites } from '../diagnosis/registration-sites.js';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { readInteger, readOneOf, readOptions } from '../policy/read-options.js';
import type { Engine } from '../sweeping/engine.js';
import { yieldToEventLoop } from '../time/clock.js';
import type { BaselineResult } from './baseline-outcome.js';
import { baselineResult } from './baseline-result.js';
import { BaselineWalk } from './baseline-walk.js';
import { pendingOf } from './drained.js';
import { RunNumbers } from './run-numbers.js';
import { type RunningCheck, toldOnce, whileChecking } from './running-check.js';
import { Scenario } from './scenario.js';
import { notASubject, type Subject, subjectOf } from './subject.js';
import { type Advancer, makesTimePass, readAdvancer, testTimeOf } from './test-time.js';

const defaultRunTimeoutMs = 60_000;

/** The options of {@link returnToBaseline}. */
export interface BaselineOptions {
  /** The registry whose maps are compared; or a single TrackedMap, adopted map or handle. */
  registry: object;
  /**
   * How often the scenario runs in a stretch. From 1. Default 100. Where something stays it runs as often again, up to
   * five times more (where what stays is rare, one of these is four times as long), to see whether that goes on.
   */
  times?: number;
  /** How often it runs before the first stretch, so that what is made once is there. From 0. Default 10. */
  warmup?: number;
  /**
   * Whether entries that only a lifetime removes get the time to leave, after the warm-up and after each stretch. `true` lets
   * pass what they need, at most 7 days; a duration no more than that; `false` compares as it is.
   * Default `true`. A duration needs something that lets it pass: see `clock`.
   */
  drain?: boolean | Duration;
  /**
   * What becomes of entries that left only by a safety net: `maxIdle`, `maxAge`, `orphanAfter`, or an eviction before
   * their time had begun. `'pass'` tells of them; `'fail'` takes them for a leak. Default `'pass'`.
   */
  nets?: 'pass' | 'fail';
  /**
   * What lets time pass while draining. Default: the manual clock that the maps were made with. For the fake timers of
   * a test runner: `{ advance: (ms) => jest.advanceTimersByTimeAsync(ms) }`; for real time, with `setTimeout` of
   * `node:timers/promises`: `{ advance: (ms) => setTimeout(ms) }`.
   */
  clock?: Advancer;
  /** How long one run of the scenario may take, in real time. From 1 ms. Default `'1m'`. */
  runTimeout?: Duration;
}

/**
 * Runs a scenario again and again, and sees which of the entries that it makes are still there: what stays, more and
 * more of it, is a leak, named by map, by its growth per run, and by its first survivors. What stays and does not grow,
 * such as a cache that is full, is none. No garbage collection is asked, so the answer is the same every time.
 *
 * Meanwhile every registration has its call site sampled. A growth by a factor at each run ends the check at once.
 *
 * @param scenario called with the number of the run, from 0, or, where a check of the same maps has failed before, from where
 *   that left off, since what it set may be there still; a promise is awaited before the next run. What it throws rejects the
 *   result
 * @throws MapsweepTypeError or MapsweepRangeError if an option is wrong
 * @throws MapsweepError `ERR_NO_CLOCK` if a clock is given that the maps do not follow, `drain` is a duration and nothing
 *   can let it pass, or the scenario waits for a clock that stands still; `ERR_CALLBACK_TIMEOUT` if a run does not settle
 *   within `runTimeout`; `ERR_CLOSED` if the registry is closed; `ERR_NOT_AWAITED` if another check of it runs
 */
export function returnToBaseline(
  scenario: (run: number) => unknown,
  options: BaselineOptions,
): Promise<BaselineResult> {
  return toldOnce(baselineWithFallback('returnToBaseline', scenario, options));
}

/** As {@link returnToBaseline}, for a check of another name and with the fake timers of its test runner. */
export async function baselineWithFallback(
  check: string,
  scenario: unknown,
  options: unknown,
  fallback?: {
    readonly fakeTimers: Advancer | undefined;
    /** Is told of the check when it has begun. */
    readonly began?: (current: RunningCheck) => void;
  },
): Promise<BaselineResult> {
  if (typeof scenario !== 'function') {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      `${check} takes the scenario as a function, which it calls many times; ${notASubject(scenario)}`,
    );
  }
  if (subjectOf(options) !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      `${check} takes its options as an object, and received what it is about: write { registry }`,
    );
  }
  const read = readOptions('', options ?? {}, {
    registry: readSubject,
    times: (value, option) => readInteger(value, option, { min: 1 }),
    warmup: (value, option) => readInteger(value, option),
    drain: (value, option) => (typeof value === 'boolean' ? value : durationMs(value, option)),
    nets: (value, option) => readOneOf(value, option, ['pass', 'fail']),
    clock: readAdvancer,
    runTimeout: (value, option) => durationMs(value, option, { min: 1 }),
  });
  const given = read.registry ?? readSubject(undefined, 'registry');
  const subject = { ...given, sites: sitesOfMap(given) };
  const { times = 100, warmup = 10, drain = true, nets = 'pass', runTimeout = defaultRunTimeoutMs } = read;
  const time = testTimeOf(subject.engine, read.clock, fallback?.fakeTimers);
  if (typeof drain === 'number' && drain > 0 && time === undefined) throw cannotDrain(check);
  return whileChecking(check, subject, async (current) => {
    fallback?.began?.(current);
    // Mocha sets the timer of a test once it has called that: it is none of what a run waits for.
    await yieldToEventLoop();
    const { engine, registry } = subject;
    const runner = new Scenario({
      run: scenario as (run: number) => unknown,
      runTimeoutMs: runTimeout,
      check: current,
      engine,
      advancer: time?.advancer,
      deliveries: () => ({
        failed: registry?.deliveries?.outcomes.failed ?? 0,
        pending: pendingOf(subject),
      }),
    });
    const numbers = new RunNumbers(subject);
    const walk = new BaselineWalk(subject, {
      times,
      warmup,
      numbers,
      drain,
      time,
      scenario: runner,
      current,
    });
    let held = false;
    try {
      await walk.run();
      current.assertGoingOn();
      const result = baselineResult(subject, walk, { times, nets, drain, isTimed: time !== undefined });
      held = result.held;
      return result;
    } finally {
      numbers.end(subject, held || !walk.isTouched);
    }
  });
}

function cannotDrain(check: string): MapsweepError {
  return new MapsweepError(
    'ERR_NO_CLOCK',
    `${check} is to let time pass by its option drain, and here nothing ${makesTimePass()}`,
  );
}

const readSubject = (value: unknown, option: string): Subject => {
  const subject = subjectOf(value);
  if (subject !== undefined) return subject;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${option} must be a registry, a TrackedMap, an adopted Map or Set, or its handle; ${notASubject(value)}`,
  );
};

// One for all checks of a map, since each listens to its engine.
const sitesOfMaps = new WeakMap<Engine, RegistrationSites>();

/** Where a single map's entries are registered, while nobody else samples that. */
function sitesOfMap({ engine, sites, trackers }: Subject): RegistrationSites | undefined {
  if (sites !== undefined || trackers().some(({ onRegistered }) => onRegistered !== undefined)) return sites;
  const ofMap = sitesOfMaps.get(engine) ?? new RegistrationSites(engine, 0);
  sitesOfMaps.set(engine, ofMap);
  return ofMap;
}
