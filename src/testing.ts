export { isCollectable } from './collectable.js';
export { type DrainResult, type DrainWithinOptions, drainWithin } from './drain-within.js';
export { assertDrained } from './drained.js';
export { assertEndedEveryRunOnce, assertEndedExactlyOnce } from './ended-runs.js';
export { recordEndings } from './endings-record.js';
export { createManualClock, type ManualClock, type ManualClockOptions } from './manual-clock.js';
export {
  type BaselineMap,
  type BaselineOptions,
  type BaselineResult,
  returnToBaseline,
} from './return-to-baseline.js';
export type { Survivor } from './survivors.js';
export type { Advancer } from './test-time.js';
