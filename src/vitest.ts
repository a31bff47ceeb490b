import { expect, onTestFinished, type TestContext, vi } from 'vitest';
import type { Duration } from './policy/duration.js';
import type { DrainWithinOptions } from './testing/drain-within.js';
import { recordEndings } from './testing/endings-record.js';
import {
  type MatcherContext,
  type TestRunner,
  toBecomeCollectable,
  toBeDrained,
  toDrainWithin,
  toHaveEndedEveryRunOnce,
  toHaveEndedExactlyOnce,
  toReturnToBaseline,
} from './testing/matchers.js';
import type { BaselineOptions } from './testing/return-to-baseline.js';

/** The matchers that `import 'mapsweep/vitest'` adds to `expect`. */
export interface MapsweepMatchers {
  /**
   * Of a registry: every map that has a lifetime or a leader is empty, and no notification is pending. Of a TrackedMap,
   * an adopted map or its handle: it is empty. Sweeps nothing.
   */
  toBeDrained(): void;
  /**
   * Lets time pass, sweeping on the way, until a registry or a map is drained; fails where it is not after `duration`.
   * Advances the manual clock that it was made with, else vitest's fake timers; throws where neither is in force.
   */
  toDrainWithin(duration: Duration, options?: DrainWithinOptions): Promise<void>;
  /**
   * Runs a scenario again and again and compares every map of the registry before and after. Fails where one has grown,
   * naming it, its growth per run, and its first survivors: why they are still there, and where they were registered.
   */
  toReturnToBaseline(options: BaselineOptions): Promise<void>;
  /**
   * The run of a key ended exactly once: one `subagent-ended` on the bus and, where the registry has `deliver`, one
   * delivery that succeeded. Fails for one that is open, pending, a dead letter, or told twice. A key that was registered
   * several times has had several runs, each of which must have ended once.
   */
  toHaveEndedExactlyOnce(key: unknown): void;
  /** Every run that was ever registered ended exactly once, and there was one. */
  toHaveEndedEveryRunOnce(): void;
  /**
   * The value behind a WeakRef gets collected, so that nothing holds it any more. Fails where this runtime cannot be
   * made to collect garbage.
   */
  toBecomeCollectable(): Promise<void>;
}

declare module 'vitest' {
  // The name and default of the type parameter must repeat vitest's own declaration.
  // biome-ignore lint/suspicious/noExplicitAny: as above
  interface Matchers<T = any> extends MapsweepMatchers {}
}

/** What the matchers read of vitest's own context. */
interface VitestContext extends MatcherContext {
  /** The test that the assertion belongs to; `undefined` outside of one, and always before vitest 4. */
  readonly task?: { readonly context?: Pick<TestContext, 'onTestFinished'> };
}

const runner: TestRunner<VitestContext> = {
  fakeTimers: {
    inForce: () => (vi.isFakeTimers() ? { advance: (ms) => vi.advanceTimersByTimeAsync(ms) } : undefined),
    hint: 'call vi.useFakeTimers() before it is made',
  },
  atTestEnd: ({ task }, call) => {
    try {
      if (task?.context === undefined) onTestFinished(call);
      else task.context.onTestFinished(call);
    } catch {
      // Outside of a test, or in a hook of the same kind. The next check or close() tells then.
    }
  },
};

expect.extend({
  toBeDrained,
  toDrainWithin: toDrainWithin(runner),
  toReturnToBaseline: toReturnToBaseline(runner),
  toHaveEndedExactlyOnce,
  toHaveEndedEveryRunOnce,
  toBecomeCollectable: toBecomeCollectable(runner),
});
recordEndings();
