import { describe } from '../events/shown.js';
import type { SweepReport } from '../events/sweep-report.js';
import { ask, FAILED } from '../policy/ask.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';

/** How many entries of a map are weighed after a pass. */
const weighedAPass = 8;

/** How many slots are looked at for these: a map that was much larger once has mostly empty ones. */
const probesAPass = 64;

/** Older weights count less: a map whose values grow is to show it within half an hour of sweeps. */
const remembered = 256;

/** Steps of this length fill an interval evenly, however many there are (Weyl's sequence of the golden ratio). */
const goldenStep = (Math.sqrt(5) - 1) / 2;

interface Mean {
  bytes: number;
  count: number;
}

/**
 * Estimates what maps weigh, from a few entries weighed after each pass: those of a small map all, those of a large one
 * spread over its slots.
 */
export class Weights {
  readonly #engine: Engine;
  readonly #means = new WeakMap<Tracker, Mean>();
  #position = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.afterPass.add((report) => this.#passFinished(report));
  }

  /** Returns the mean weight times the number of entries; 0 before the first sweep, `undefined` without a `weigh`. */
  estimatedBytes(tracker: Tracker): number | undefined {
    if (tracker.policy.weigh === undefined) return undefined;
    return (this.#means.get(tracker)?.bytes ?? 0) * tracker.native.size();
  }

  #passFinished(report: SweepReport): void {
    if (report.skipped !== undefined) return;
    for (const tracker of [...this.#engine.trackers.values()]) {
      if (tracker.policy.weigh !== undefined) this.#sample(tracker);
    }
  }

  #sample(tracker: Tracker): void {
    const isSmall = tracker.stamps.size <= weighedAPass;
    const keys = isSmall ? [...tracker.stamps.keys()] : this.#spreadKeys(tracker);
    const weights = keys.map((key) => this.#weigh(tracker, key)).filter((bytes) => bytes !== FAILED);
    if (weights.length === 0) return;
    let mean = this.#means.get(tracker);
    // All of it was weighed, so what was there before says nothing any more.
    if (mean === undefined || isSmall) {
      mean = { bytes: 0, count: 0 };
      this.#means.set(tracker, mean);
    }
    for (const bytes of weights) {
      mean.count = Math.min(mean.count + 1, remembered);
      mean.bytes += (bytes - mean.bytes) / mean.count;
    }
  }

  #spreadKeys({ stamps }: Tracker): unknown[] {
    const slots = new Set<number>();
    for (let probe = 0; probe < probesAPass && slots.size < weighedAPass; probe += 1) {
      this.#position = (this.#position + goldenStep) % 1;
      const slot = Math.floor(this.#position * stamps.capacity);
      if (stamps.isUsed(slot)) slots.add(slot);
    }
    if (slots.size > 0) return [...slots].map((slot) => stamps.keyOf(slot));
    // Hardly anything is left of what was there: the first ones are as good as any.
    const keys: unknown[] = [];
    for (const key of stamps.keys()) if (keys.push(key) >= weighedAPass) break;
    return keys;
  }

  #weigh({ name, native, policy }: Tracker, key: unknown): number | typeof FAILED {
    // An entry weighed before may have had others removed.
    if (policy.weigh === undefined || !native.has(key)) return FAILED;
    return ask(
      'weigh',
      policy.weigh,
      native.get(key),
      key,
      (answer) => (isWeight(answer) ? undefined : `a number of bytes, got ${describe(answer)}`),
      (error) => this.#engine.failures.report(name, 'weigh', key, error),
    );
  }
}

function isWeight(answer: unknown): boolean {
  return typeof answer === 'number' && answer >= 0 && answer < Number.POSITIVE_INFINITY;
}
