import type { Clock } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';

/** Clocks that can drift apart: the wall clock shows whole ms, and each look at the other one is a little later. */
export function driftingClock() {
  const manual: ManualClock = createManualClock({ startAt: 1_700_000_000_000.9 });
  let [passed, driftMs] = [0, 0];
  const clock: Clock = {
    ...manual,
    now: () => Math.floor(manual.now() + passed + driftMs),
    monotonic: () => {
      passed += 0.000_5;
      return manual.monotonic() + passed;
    },
  };
  return {
    manual,
    clock,
    /** Lets time pass in which no timer fires. */
    pass: (ms: number): void => {
      passed += ms;
    },
    /** Has the wall clock go ahead by so much in all. */
    drift: (ms: number): void => {
      driftMs = ms;
    },
  };
}
