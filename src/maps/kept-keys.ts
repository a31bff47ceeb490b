import { MapsweepError } from '../errors.js';
import { shownKey } from '../events/shown.js';
import { reconcileKey } from '../sweeping/reconcile.js';
import type { EntryFinder, Tracker } from '../sweeping/tracker.js';

/** In a larger map an entry is not searched for, since that would take longer than a `set` may. */
const largestSearched = 10_000;

interface Kept {
  readonly slot: number;
  readonly generation: number;
}

/**
 * The keys under which a class of the owner's keeps entries that it is given under others: `Run-1` as `run-1`. What it does
 * with a key is its own affair, so an entry is found by what came of it, and remembered until it leaves.
 */
class KeptKeys implements EntryFinder {
  readonly #tracker: Tracker;
  readonly #byGiven = new Map<unknown, Kept>();
  // Stands behind the last entry that it has seen, so that a new one is found without a search.
  #tail: Iterator<unknown>;

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
    this.#tail = tracker.native.keys();
  }

  slotOf(given: unknown): number | undefined {
    const kept = this.#byGiven.get(given);
    if (kept === undefined) return undefined;
    if (this.#tracker.stamps.holds(kept.slot, kept.generation)) return kept.slot;
    this.#byGiven.delete(given);
    return undefined;
  }

  /** Finds the entry that a `set` of a key has written under another. Returns its slot; `undefined`: there is none. */
  find(given: unknown): number | undefined {
    const key = this.#newest() ?? this.#search(given);
    const slot = key === undefined ? undefined : this.#tracker.stamps.slotOf(key.value);
    if (slot === undefined) return undefined;
    this.#byGiven.set(given, { slot, generation: this.#tracker.stamps.generation[slot] as number });
    this.#dropLeft();
    return slot;
  }

  #newest(): { readonly value: unknown } | undefined {
    const { native, stamps } = this.#tracker;
    let newest: { readonly value: unknown } | undefined;
    // Never asked for more than there is: an iterator that has come to its end sees nothing that is added later.
    while (native.size() > stamps.size) {
      const { value, done } = this.#tail.next();
      if (done) {
        this.#tail = native.keys();
        return undefined;
      }
      if (stamps.slotOf(value) !== undefined) continue;
      reconcileKey(this.#tracker, value);
      newest = { value };
    }
    return newest;
  }

  #search(given: unknown): { readonly value: unknown } | undefined {
    const { native } = this.#tracker;
    const answer = askOwner(native.target, given);
    if (answer === undefined) return undefined;
    if (native.size() <= largestSearched) {
      for (const [key, value] of native.entries()) if (Object.is(value, answer.value)) return { value: key };
    }
    this.#tell(given);
    return undefined;
  }

  #tell(given: unknown): void {
    if (this.#tracker.isKeptElsewhere) return;
    this.#tracker.isKeptElsewhere = true;
    const { name, shared } = this.#tracker;
    const message = `${shownKey(name)} keeps entries elsewhere, or under keys that cannot be told from those it is given: they are not tracked`;
    shared.failures.report(name, 'set', given, new MapsweepError('ERR_NOT_ADOPTABLE', message));
  }

  #dropLeft(): void {
    if (this.#byGiven.size <= 2 * this.#tracker.stamps.size + 16) return;
    for (const given of this.#byGiven.keys()) this.slotOf(given);
  }
}

/** Asks the owner's class what it has under a key; `undefined`: nothing, or it throws. */
function askOwner(
  target: Map<unknown, unknown> | Set<unknown>,
  given: unknown,
): { readonly value: unknown } | undefined {
  try {
    if (!target.has(given)) return undefined;
    return { value: 'get' in target ? target.get(given) : given };
  } catch {
    return undefined;
  }
}

/** Returns the key under which an entry is kept that its owner calls by another; else that other. */
export function keptKey(tracker: Tracker, given: unknown): unknown {
  if (tracker.keptKeys === undefined) return given;
  const slot = tracker.keptKeys.slotOf(given);
  return slot === undefined ? given : tracker.stamps.keyOf(slot);
}

/**
 * A `set` of the owner's class has left nothing under the key that it was given: returns the slot of what it has written.
 * `undefined` if it has written nothing, or where nobody finds it, which is told once.
 */
export function slotWritten(tracker: Tracker, given: unknown): number | undefined {
  tracker.keptKeys ??= new KeptKeys(tracker);
  return tracker.keptKeys.find(given);
}
