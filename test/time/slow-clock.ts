import type { Clock } from 'mapsweep';
import type { ManualClock } from 'mapsweep/testing';

/** A clock on which each reading takes a while, as if every step of a sweep did; `onYield` is told which pause it is. */
export function slowClock(
  clock: ManualClock,
  stepMs: number,
  onYield: (pause: number) => void = () => {},
): Clock {
  let [spent, pauses] = [0, 0];
  return {
    ...clock,
    monotonic: () => {
      spent += stepMs;
      return clock.monotonic() + spent;
    },
    now: () => clock.now() + spent,
    yield: async () => onYield(++pauses),
  };
}
