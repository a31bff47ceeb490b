/**
 * The context engine: whoever has to be told, once, that a run has ended, to tear down what it keeps for that run.
 *
 * It is outside the gateway and fails at times. Which calls fail depends on the seed and the run alone, so that it is
 * no kinder to one side. It counts what it was told, and that count is the figure in the table.
 */
import { createRandom } from './batch.ts';

const FIRST_CALL_FAILS = 0.06;
const SECOND_CALL_FAILS_TOO = 0.3;

/** Counts, per run id, the calls that came through. */
export class ContextEngine {
  readonly #seed: number;
  readonly #calls = new Map<string, number>();
  readonly #teardowns = new Map<string, number>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Tears down what belongs to the run. Rejects while the engine cannot be reached. */
  async subagentEnded(runId: string): Promise<void> {
    const call = (this.#calls.get(runId) ?? 0) + 1;
    this.#calls.set(runId, call);
    if (call <= this.#callsThatFail(runId)) throw new Error('the context engine cannot be reached');
    this.#teardowns.set(runId, this.teardownsOf(runId) + 1);
  }

  /** How often the end of this run came through. */
  teardownsOf(runId: string): number {
    return this.#teardowns.get(runId) ?? 0;
  }

  #callsThatFail(runId: string): number {
    let hash = this.#seed;
    for (let index = 0; index < runId.length; index++)
      hash = (Math.imul(hash, 31) + runId.charCodeAt(index)) | 0;
    const random = createRandom(hash);
    if (random() >= FIRST_CALL_FAILS) return 0;
    return random() < SECOND_CALL_FAILS_TOO ? 2 : 1;
  }
}
