import { LRUCache } from 'lru-cache';
import { turn } from './event-loop.js';
import { LeastStampedMap } from './least.js';

/** So many runs come, end or are swept in one turn of the event loop. */
export const runsATurn = 200;

interface Ending<Run> {
  readonly id: string;
  readonly registeredAt: number;
  readonly endedAt: number;
  readonly value: Run;
}

/** A map whose activity counts for those that it follows. */
class LeastFollower<V> extends LeastStampedMap<string, V> {
  readonly #leaders: readonly { touch(key: string): boolean }[];

  constructor(...leaders: { touch(key: string): boolean }[]) {
    super();
    this.#leaders = leaders;
  }

  override set(key: string, value: V): this {
    super.set(key, value);
    for (const leader of this.#leaders) leader.touch(key);
    return this;
  }
}

/**
 * The least that does what the gateway's maps are for: stamps, activity that counts for what a map follows, a tombstone for
 * each run so that no second end is delivered, an event, and a handler that is awaited. It judges nothing, tells nobody else,
 * counts nothing, and retries nothing.
 */
export function leastGateway<Run>() {
  const runs = new LeastStampedMap<string, Run>();
  const contexts = new LeastStampedMap<string, object>();
  const sequences = new LeastFollower<number>(contexts, runs);
  const errors = new LeastStampedMap<string, unknown>();
  const ended = new LRUCache<string, { at: number }>({ maxSize: 100_000, sizeCalculation: () => 1 });
  let waiting: Ending<Run>[] = [];
  let isDelivering = false;
  let delivered = 0;
  const handler = async (_: Ending<Run>): Promise<void> => {
    delivered += 1;
  };
  const deliver = async (): Promise<void> => {
    isDelivering = true;
    await Promise.resolve();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      for (const ending of batch) await handler(ending);
    }
    isDelivering = false;
  };
  const end = (id: string): void => {
    const value = runs.get(id);
    if (value === undefined || ended.has(id)) return;
    const at = performance.now();
    ended.set(id, { at });
    waiting.push({ id, registeredAt: at, endedAt: Date.now(), value });
    if (!isDelivering) void deliver();
  };
  /** Removes all runs, and has the ends of those delivered that have not ended. */
  const sweep = async (): Promise<void> => {
    let count = 0;
    for (const id of runs.keys()) {
      end(id);
      for (const map of [runs, contexts, sequences, errors]) map.delete(id);
      count += 1;
      if (count % runsATurn === 0) await turn();
    }
  };
  return {
    runs,
    contexts,
    sequences,
    errors,
    end,
    sweep,
    /** How many ends have been delivered. */
    delivered: (): number => delivered,
    size: (): number => runs.size + contexts.size + sequences.size + errors.size,
    close: (): void => {},
  };
}
