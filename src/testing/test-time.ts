import { MapsweepError } from '../errors.js';
import { invalidType, type Reader } from '../policy/read-options.js';
import type { Engine } from '../sweeping/engine.js';
import { yieldToEventLoop } from '../time/clock.js';

/** Whatever lets time pass in a test: a manual clock, or a wrapper around the fake timers of a test runner. */
export interface Advancer {
  /** Lets `ms` pass; a promise is awaited. */
  advance(ms: number): unknown;
}

/** Reads the option that says how time passes. */
export const readAdvancer: Reader<Advancer> = (value, option) => {
  if (isAdvancer(value)) return value;
  throw invalidType(option, 'a manual clock, or { advance(ms) }', value);
};

/** How a check is given fake timers that it cannot find itself: the words for messages, which name those of Jest only there. */
function fakeTimersAsClock(): string {
  return process.env.JEST_WORKER_ID === undefined
    ? 'clock: { advance }, a function that lets so many ms pass on them; the mock.timers of node:test do not do'
    : 'clock: { advance: (ms) => jest.advanceTimersByTimeAsync(ms) }';
}

/** How a check is given real time: the words for messages. */
export const realTimeAsClock =
  "clock: { advance: (ms) => setTimeout(ms) }, with setTimeout of 'node:timers/promises'";

/** How time can pass without fake timers: what follows "make the registry" in messages. */
export const withTestTime = `with { clock: createManualClock() } of 'mapsweep/testing', let real time pass, by ${realTimeAsClock}`;

/** What to do where nothing does: the end of a message. */
export const makesTimePass = (): string =>
  `makes time pass: make the registry ${withTestTime}, or use fake timers. Vitest's matchers find those; returnToBaseline is given them, as ${fakeTimersAsClock()}.`;

/** Turns of the event loop after which promises that wait for nothing else have settled. */
const settlingTurns = 5;

/** Lets promises settle that wait for nothing but each other. No time passes. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < settlingTurns; turn += 1) await yieldToEventLoop();
}

/** Time in a test that can be made to pass, and is seen to. */
export class TestTime {
  readonly #engine: Engine;
  readonly advancer: Advancer;
  /** How much time was let pass so far, ms. */
  passedMs = 0;

  constructor(engine: Engine, advancer: Advancer) {
    this.#engine = engine;
    this.advancer = advancer;
  }

  /** @throws MapsweepError `ERR_NO_CLOCK` if the clock of the maps stood still meanwhile */
  async pass(ms: number): Promise<void> {
    const { timeline } = this.#engine;
    const before = timeline.now();
    await this.advancer.advance(ms);
    await settle();
    this.passedMs += ms;
    if (timeline.now() - before >= ms / 2) return;
    throw new MapsweepError(
      'ERR_NO_CLOCK',
      `time was advanced by ${ms} ms, and the clock of the maps did not follow: it is another one. Fake timers have ` +
        'to replace performance.now() too, and a clock that is given must be the one that the registry was made with',
    );
  }
}

/**
 * The time of a test: that of the advancer that is given, else of the manual clock that the maps were made with, else
 * of the test runner's fake timers while these are in force.
 *
 * @returns `undefined` if there is none of these: time passes by itself, and cannot be waited for
 */
export function testTimeOf(engine: Engine, ...candidates: (Advancer | undefined)[]): TestTime | undefined {
  const [given, ...others] = candidates;
  const { clock } = engine.timeline;
  const advancer = [given, isAdvancer(clock) ? clock : undefined, ...others].find(
    (each) => each !== undefined,
  );
  return advancer && new TestTime(engine, advancer);
}

/** What to say of a check that failed where the clock of the maps had gone back before it; empty if it had not. */
export function goneBackLines({ timeline, sweeper, sweepEveryMs }: Engine): string[] {
  if (timeline.now() >= sweeper.lastTickAt - sweepEveryMs) return [];
  return [
    '  The clock of the maps had gone back before the check, as where fake timers begin anew in each test: nothing leaves ' +
      'before it has caught up. Make the registry in the test, after them, or use them for the whole file.',
  ];
}

/** Returns whether a value can let time pass. */
export function isAdvancer(value: unknown): value is Advancer {
  return (
    typeof value === 'object' && value !== null && typeof (value as Partial<Advancer>).advance === 'function'
  );
}
