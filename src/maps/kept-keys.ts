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

interface Found {
  readonly value: unknown;
}

/**
 * The keys under which a class of the owner's keeps entries that it is given under others: `Run-1` as `run-1`. What it does
 * with a key is its own affair, so an entry is found by what came of it, and remembered until it leaves. Where more than one may
 * be meant, none is. Where entries come under ever new ones, the first and the last of each are remembered.
 */
class KeptKeys implements EntryFinder {
  readonly #tracker: Tracker;
  readonly #byGiven = new Map<unknown, Kept>();
  // Stands behind the last entry that it has seen, so that a new one is found without a search.
  #tail: Iterator<unknown>;
  #hasToldUnknown = false;
  /** The class has been seen to give out something else than it keeps. */
  #showsOthers = false;
  #isAsking = false;
  /** What its `get` has given back first that its `has` knows nothing of. */
  #givenBack: unknown;

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

  /**
   * Finds the entry that a `set` of a key has written under another. Returns its slot if it was there before; `undefined`: it is
   * new, there is none, or it cannot be told.
   *
   * @param wasInStep there were as many stamps as entries before the `set`: what has none now was written by it, unless the class
   *   has moved an entry unseen
   */
  find(given: unknown, givenValue: unknown, wasInStep: boolean): number | undefined {
    const { stamps } = this.#tracker;
    const registered = this.#registerNew();
    const isOne = wasInStep && registered.length === 1;
    const found = this.#search(given, givenValue, isOne ? { value: registered[0] } : undefined);
    if (found === undefined) return undefined;
    const isNew = stamps.slotOf(found.value) === undefined || registered.includes(found.value);
    reconcileKey(this.#tracker, found.value);
    const slot = stamps.slotOf(found.value);
    if (slot === undefined) return undefined;
    this.#byGiven.set(given, { slot, generation: stamps.generation[slot] as number });
    this.#dropMost();
    return isNew ? undefined : slot;
  }

  /** Registers the entries that have no stamps. Returns their keys. */
  #registerNew(): unknown[] {
    const { native, stamps } = this.#tracker;
    const keys: unknown[] = [];
    // Never asked for more than there is: an iterator that has come to its end sees nothing that is added later.
    while (native.size() > stamps.size) {
      const { value, done } = this.#tail.next();
      if (done) {
        this.#tail = native.keys();
        break;
      }
      if (stamps.slotOf(value) !== undefined) continue;
      reconcileKey(this.#tracker, value);
      keys.push(value);
    }
    return keys;
  }

  /**
   * Returns the key of the only entry that holds what the owner's class has under another.
   *
   * @param written the only new key: meant if it holds that, and where what the class gives out says nothing of any
   */
  #search(given: unknown, givenValue: unknown, written: Found | undefined): Found | undefined {
    const { native } = this.#tracker;
    const answer = this.#ask(given, givenValue);
    if (answer === undefined) return written;
    if (written !== undefined && this.#isMeant(written.value, answer.value)) return written;
    if (native.size() === 0) return this.#tellElsewhere(given);
    // Of a Set nothing is kept beside the member, and that is not what was given.
    if (native.kind === 'set' || native.size() > largestSearched) return written ?? this.#tellUnknown(given);
    let found: Found | undefined;
    for (const [key, value] of native.entries()) {
      if (!Object.is(value, answer.value)) continue;
      if (found !== undefined) return this.#tellUnknown(given);
      found = { value: key };
    }
    if (found !== undefined || written === undefined) return found ?? this.#tellElsewhere(given);
    this.#showsOthers = true;
    return written;
  }

  /** Asks the owner's class what it has under a key; `undefined`: nothing, or it throws. */
  #ask(given: unknown, givenValue: unknown): Found | undefined {
    const { target } = this.#tracker.native;
    // It may set the key when it is asked for it.
    if (this.#isAsking) return undefined;
    this.#isAsking = true;
    try {
      const isThere = target.has(given);
      // Its `has` may be that of the native map, though what it is given is elsewhere.
      if (!isThere && givenValue === undefined) return undefined;
      const value = 'get' in target ? target.get(given) : given;
      if (isThere) return { value };
      if (!Object.is(value, givenValue)) return undefined;
      // What is no object may be what it refuses, and gives for every key, such as 0: it takes two to tell that it keeps them.
      this.#givenBack ??= value;
      return Object(value) === value || !Object.is(value, this.#givenBack) ? { value } : undefined;
    } catch {
      return undefined;
    } finally {
      this.#isAsking = false;
    }
  }

  #isMeant(written: unknown, value: unknown): boolean {
    return this.#showsOthers || Object.is(this.#tracker.native.get(written), value);
  }

  #tellElsewhere(given: unknown): undefined {
    if (this.#tracker.isKeptElsewhere) return;
    this.#tracker.isKeptElsewhere = true;
    this.#tell(given, 'keeps entries where they cannot be seen: they are not tracked');
  }

  /** The entry is tracked, but nobody can tell which it is. */
  #tellUnknown(given: unknown): undefined {
    if (this.#hasToldUnknown) return;
    this.#hasToldUnknown = true;
    const what = `keeps ${shownKey(given)} under another key, and under which cannot be told`;
    this.#tell(given, `${what}: that it was written again is not seen`);
  }

  #tell(given: unknown, what: string): void {
    const { name, shared } = this.#tracker;
    const error = new MapsweepError('ERR_NOT_ADOPTABLE', `${shownKey(name)} ${what}`);
    shared.failures.report(name, 'set', given, error);
  }

  /** Where too many are remembered: as many again come before the next time, so that a `set` does not go through all of them. */
  #dropMost(): void {
    const { size } = this.#tracker.stamps;
    if (this.#byGiven.size <= 3 * size + 16) return;
    // Those of entries that have left.
    for (const given of this.#byGiven.keys()) this.slotOf(given);
    if (this.#byGiven.size <= 2 * size) return;
    const first = new Set<number>();
    const last = new Map<number, unknown>();
    for (const [given, { slot }] of this.#byGiven) {
      if (first.has(slot)) {
        if (last.has(slot)) this.#byGiven.delete(last.get(slot));
        last.set(slot, given);
      } else first.add(slot);
    }
  }
}

/** Returns the key under which an entry is kept that its owner calls by another; else that other. */
export function keptKey(tracker: Tracker, given: unknown): unknown {
  if (tracker.keptKeys === undefined) return given;
  const slot = tracker.keptKeys.slotOf(given);
  return slot === undefined ? given : tracker.stamps.keyOf(slot);
}

/**
 * A `set` of the owner's class has left nothing under the key that it was given: returns the slot of what it has overwritten.
 * `undefined` if that is new, if it has written nothing, or where nobody can tell what, which is told once.
 *
 * @param wasInStep there were as many stamps as entries before the `set`
 */
export function slotOverwritten(
  tracker: Tracker,
  given: unknown,
  givenValue: unknown,
  wasInStep: boolean,
): number | undefined {
  tracker.keptKeys ??= new KeptKeys(tracker);
  return tracker.keptKeys.find(given, givenValue, wasInStep);
}
