import type { NativeCollection } from './native-collection.js';
import type { StampStore } from './stamp-store.js';

/** What is done about a key that was written past the wrapper. */
export interface BypassHandlers {
  /** The map has a key without a stamp. */
  appeared(key: unknown): void;
  /** A stamp has no key. */
  vanished(slot: number, key: unknown): void;
}

/**
 * Compares a map with its stamps, one entry a step. Both loops end even where a callback adds keys for ever: each looks
 * at no more than was there at its start.
 */
export function* reconcile(
  native: NativeCollection<unknown, unknown>,
  stamps: StampStore<unknown>,
  { appeared, vanished }: BypassHandlers,
): Generator<void> {
  let left = stamps.size;
  for (const [key, slot] of stamps.entries()) {
    if (left-- <= 0) break;
    if (!native.has(key)) vanished(slot, key);
    yield;
  }
  left = native.size();
  for (const key of native.keys()) {
    if (left-- <= 0) break;
    if (stamps.slotOf(key) === undefined) appeared(key);
    yield;
  }
}
