import { MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { isThenable, swallowRejection } from '../events/unawaited.js';
import type { Engine } from '../sweeping/engine.js';
import { type CompiledLeakDetection, LeakJudge } from './leak-judge.js';
import type { LeakVerdict } from './leak-verdict.js';

/** A size that is no Map's: a number that the owner says. */
export class WatchedSize {
  readonly name: string;
  /** To what the owner bounds it; `Infinity`: to nothing. */
  readonly max: number;
  readonly judge: LeakJudge;
  readonly #engine: Engine;
  readonly #question: () => number;
  #size = 0;

  constructor(
    engine: Engine,
    name: string,
    question: () => number,
    options: CompiledLeakDetection & { max: number },
  ) {
    this.#engine = engine;
    this.name = name;
    this.max = options.max;
    this.#question = question;
    this.judge = new LeakJudge({ ...options, originAt: engine.timeline.now() });
    this.ask();
  }

  /** As it was when it was asked for last. */
  get size(): number {
    return this.#size;
  }

  get verdict(): LeakVerdict {
    return this.judge.verdict;
  }

  /** Asks for it. What throws, or answers no size, is counted and said once, and leaves it as it was. */
  ask(): number {
    try {
      const answer: unknown = this.#question();
      if (typeof answer === 'number' && answer >= 0 && answer < Number.POSITIVE_INFINITY) {
        this.#size = answer;
        return answer;
      }
      if (isThenable(answer)) swallowRejection(answer, () => {});
      const message = `watch must answer a number from 0 on, got ${describe(answer)}`;
      throw new MapsweepTypeError('ERR_INVALID_ANSWER', message);
    } catch (error) {
      this.#engine.failures.reportOnce(this.name, 'watch', undefined, error);
    }
    return this.#size;
  }
}

/** The sizes that a registry watches beside its maps. */
export class WatchedSizes {
  readonly #engine: Engine;
  readonly #options: CompiledLeakDetection;
  readonly #sizes = new Map<string, WatchedSize>();

  constructor(engine: Engine, options: CompiledLeakDetection) {
    this.#engine = engine;
    this.#options = options;
  }

  has(name: string): boolean {
    return this.#sizes.has(name);
  }

  /** In the order in which they were added. */
  all(): WatchedSize[] {
    return [...this.#sizes.values()];
  }

  /** Returns whether a size has not been ended. */
  isWatching(watched: WatchedSize): boolean {
    return this.#sizes.get(watched.name) === watched;
  }

  /**
   * Watches a size under a name that is free. Returns what ends that.
   *
   * @param ended called once when it has been ended so
   */
  add(name: string, question: () => number, max: number, ended: (watched: WatchedSize) => void): () => void {
    const { failures, measurements } = this.#engine;
    failures.add(name);
    const watched = new WatchedSize(this.#engine, name, question, { ...this.#options, max });
    this.#sizes.set(name, watched);
    measurements.tell((listener) => listener.mapAdded?.());
    return () => {
      if (!this.isWatching(watched)) return;
      this.#sizes.delete(name);
      failures.forget(name);
      measurements.tell((listener) => listener.mapRemoved?.(name));
      ended(watched);
    };
  }

  /** The registry is closed. */
  clear(): void {
    this.#sizes.clear();
  }
}
