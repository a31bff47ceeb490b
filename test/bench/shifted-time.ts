/**
 * Lets minutes pass in no time, for every contender in the same way: the clocks that libraries read are moved. Has to be
 * installed before a contender is loaded, because some keep a reference to a clock.
 */

const realNow = performance.now.bind(performance);
const realDate = Date;
let offsetMs = 0;

/** Puts the shifted clocks in place of the real ones. */
export function installShiftedTime(): void {
  performance.now = () => realNow() + offsetMs;
  realDate.now = (
    (now) => () =>
      now() + offsetMs
  )(realDate.now);
  // `new Date()` reads no `Date.now`.
  globalThis.Date = class extends realDate {
    constructor(...parameters: [] | [number]) {
      if (parameters.length === 0) super(realDate.now());
      else super(...parameters);
    }
  } as DateConstructor;
}

/** Moves the clocks forward. Timers of the event loop are not moved. */
export function passTime(ms: number): void {
  offsetMs += ms;
}

/** Milliseconds of the real clock, which no contender reads. */
export const stopwatch = realNow;
