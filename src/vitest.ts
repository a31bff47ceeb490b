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
   * Of a registry: every map that has a lifetime or a leader is empty, and no notification is pending; throws if it has
   * none such, or is closed. Of a TrackedMap, an adopted map or its handle: it is empty. Sweeps nothing.
   */
  toBeDrained(): void;
  /**
   * Lets all of `duration` pass, sweeping on the way, and sees whether a registry or a map is drained at the end of it.
   * Advances the manual clock that it was made with, else vitest's fake timers; throws if neither is in force.
   */
  toDrainWithin(duration: Duration, options?: DrainWithinOptions): Promise<void>;
  /**
   * Runs a scenario again and again, and follows the entries that it makes. Fails if more and more of them stay, naming
   * the map, its growth per run, and its first survivors: why they are still there, and where they were registered. Fails
   * too if values, or the maps themselves, pile up, if deliveries are owed or were given up, if the scenario
   * touches no map and, with `nets: 'fail'`, if entries left only by a safety net.
   */
  toReturnToBaseline(options: BaselineOptions): Promise<void>;
  /**
   * The run of a key ended exactly once: one `ended` on the bus and, where the registry has `deliver`, one
   * delivery that succeeded. Fails for one that is open, pending, a dead letter, or told twice. A key that was registered
   * several times has had several runs, each of which must have ended once.
   */
  toHaveEndedExactlyOnce(key: unknown): void;
  /**
   * Every run that was ever registered ended exactly once, and there was one. What became of each is recorded from the
   * moment that 'mapsweep/vitest' is loaded: a dead letter that was dropped, or a tombstone that is gone, hides nothing.
   */
  toHaveEndedEveryRunOnce(): void;
  /**
   * The value behind a WeakRef gets collected, so that nothing holds it any more. Fails if this runtime cannot be
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
  readonly task?: {
    /** `_local` is vitest's own: whether the test has used the `expect` of its context. */
    readonly context?: Pick<TestContext, 'onTestFinished'> & { readonly _local?: boolean };
  };
}

const runner: TestRunner<VitestContext> = {
  fakeTimers: {
    inForce: () => (vi.isFakeTimers() ? { advance: (ms) => vi.advanceTimersByTimeAsync(ms) } : undefined),
    hint: 'call vi.useFakeTimers() before it is made',
  },
  atTestEnd: ({ task }, call) => {
    const ofOwnExpect = task?.context?._local === true;
    const ended = ({ task: { concurrent }, signal }: TestContext): void => {
      // Of tests that run at once the global `expect` takes the one that began last for that of each assertion.
      if (!concurrent || ofOwnExpect) call(signal.aborted);
    };
    try {
      if (task?.context === undefined) onTestFinished(ended);
      else task.context.onTestFinished(ended);
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
