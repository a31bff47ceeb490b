export { isCollectable } from './testing/collectable.js';
export { type DrainResult, type DrainWithinOptions, drainWithin } from './testing/drain-within.js';
export { assertDrained } from './testing/drained.js';
export { assertEndedEveryRunOnce, assertEndedExactlyOnce } from './testing/ended-runs.js';
export { recordEndings } from './testing/endings-record.js';
export { createManualClock, type ManualClock, type ManualClockOptions } from './testing/manual-clock.js';
export {
  type BaselineMap,
  type BaselineOptions,
  type BaselineResult,
  returnToBaseline,
} from './testing/return-to-baseline.js';
export type { Survivor } from './testing/survivors.js';
export type { Advancer } from './testing/test-time.js';
