import { span } from '../diagnosis/explain.js';
import { MapsweepError } from '../errors.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { readOptions } from '../policy/read-options.js';
import { isDrained, notDrainable, remainderLines } from './drained.js';
import { type Subject, subjectOf } from './subject.js';
import { type Advancer, readAdvancer, settle, type TestTime, testTimeOf } from './test-time.js';

/** The options of {@link drainWithin}. */
export interface DrainWithinOptions {
  /**
   * What lets time pass. Default: the manual clock that the maps were made with. For the fake timers of a test runner:
   * `{ advance: (ms) => jest.advanceTimersByTimeAsync(ms) }`.
   */
  clock?: Advancer;
}

/** What came of {@link drainWithin}. */
export interface DrainResult {
  readonly drained: boolean;
  /** How much time was let pass, ms: whole sweep intervals, or 2,000ths of the duration where these are longer. */
  readonly elapsedMs: number;
  /** What is left and why, or that nothing is. */
  readonly message: string;
}

/** However long the time, sweeping on the way is done in about this many steps. */
const mostSteps = 2_000;

/**
 * Lets time pass, sweeping on the way, until a registry or a map is drained or `duration` is over. The last sweep is at
 * the very end of it, so that what is due after exactly `duration` is swept.
 *
 * @param duration from 0 to 100 years, such as `'5m'`
 * @throws MapsweepTypeError where the value is neither a registry nor a map that something tracks, or an option is wrong
 * @throws MapsweepError `ERR_NO_CLOCK` where nothing can make time pass
 */
export function drainWithin(
  mapOrRegistry: unknown,
  duration: Duration,
  options: DrainWithinOptions = {},
): Promise<DrainResult> {
  return drainWithFallback('drainWithin', { mapOrRegistry, duration, options });
}

/** As {@link drainWithin}, for a check of another name and with the fake timers of its test runner. */
export async function drainWithFallback(
  check: string,
  given: { mapOrRegistry: unknown; duration: unknown; options: unknown },
  fallback?: { readonly fakeTimers: Advancer | undefined; readonly hint: string },
): Promise<DrainResult> {
  const subject = subjectOf(given.mapOrRegistry);
  if (subject === undefined) throw notDrainable(check, given.mapOrRegistry);
  const withinMs = durationMs(given.duration, 'duration');
  const { clock } = readOptions('', given.options, { clock: readAdvancer });
  const time = testTimeOf(subject.engine, clock, fallback?.fakeTimers);
  if (time === undefined) {
    throw new MapsweepError(
      'ERR_NO_CLOCK',
      `${check} makes time pass, and here nothing can: ${subject.called} has no manual clock` +
        `${fallback === undefined ? ', and no clock is given' : ', and no fake timers are in force'}. Make it with ` +
        `{ clock: createManualClock() } of 'mapsweep/testing'${fallback === undefined ? '' : `, or ${fallback.hint}`}`,
    );
  }
  const elapsedMs = await passUntil(subject, time, withinMs, () => isDrained(subject));
  const drained = isDrained(subject);
  const message = drained
    ? `${subject.called} is drained after ${span(elapsedMs)}`
    : [
        `${subject.called} is not drained after ${span(withinMs)}; it holds:`,
        ...remainderLines(subject),
      ].join('\n');
  return { drained, elapsedMs, message };
}

/** Sweeps, and lets time pass, until `isDone` or for `withinMs`. Returns how much time was let pass. */
export async function passUntil(
  subject: Subject,
  time: TestTime,
  withinMs: number,
  isDone: () => boolean,
): Promise<number> {
  const stepMs = Math.max(subject.engine.sweepEveryMs, Math.ceil(withinMs / mostSteps));
  let elapsedMs = 0;
  for (;;) {
    await sweepNow(subject);
    if (isDone() || elapsedMs >= withinMs) return elapsedMs;
    const ms = Math.min(stepMs, withinMs - elapsedMs);
    await time.pass(ms);
    elapsedMs += ms;
  }
}

/** Sweeps what is due now, and lets the callbacks of that settle. */
export async function sweepNow({ engine }: Subject): Promise<void> {
  await engine.sweeper.sweep();
  await settle();
}
