/** What is told about a registration that ended. One object per ending, the same one at every attempt. */
export interface EndedEvent<K = unknown, V = unknown> {
  /** Unique per registration and stable across retries and restores: the idempotency key. */
  id: string;
  /** The key of the entry. */
  key: K;
  /**
   * Greater at each later registration of the same key; not consecutive. 0 for the run of another process, which this
   * one has taken over: its generations are not those of this one.
   */
  generation: number;
  /** `completed`, `swept`, `evicted`, `deleted`, `lost`, or what the owner gave to `end()`. */
  reason: string;
  /** Epoch ms. */
  registeredAt: number;
  /** Of the entry or of a companion, epoch ms. */
  lastActiveAt: number;
  /** Epoch ms. */
  endedAt: number;
  /** The value at its end; `undefined` where it is not known any more, as after a restart without `persist: { encode }`. */
  value: V | undefined;
  /** What the owner gave to `end()`. */
  detail: unknown;
}

/** What an attempt to deliver knows of itself. */
export interface DeliveryContext {
  /** Counts from 1 in each round of attempts; `redeliver()` starts a new round. */
  readonly attempt: number;
  /** Aborted when the attempt times out, or when `close()` gives it up at its deadline. */
  readonly signal: AbortSignal;
}

/**
 * Hands an ending to its recipient. Success is a return or a fulfilled promise, whatever the value; a throw or a
 * rejection is retried. Runs in a microtask or a timer, after all state has changed, outside any request's async
 * context; it may call back into the registry.
 */
export type Deliver<K, V> = (event: EndedEvent<K, V>, context: DeliveryContext) => unknown | Promise<unknown>;
