import type { Tracker } from '../sweeping/tracker.js';
import { type HiddenField, hiddenField } from './hidden-field.js';
import { clearThrough, deleteKey, deleteThrough } from './owner-removals.js';
import { computeThrough, insertThrough, setKey, setThrough } from './owner-writes.js';

// biome-ignore lint/suspicious/noExplicitAny: methods of foreign classes, passed on with whatever they are given
type Method = (this: unknown, ...parameters: any[]) => any;

/** What stands in for an intrinsic method, of every object that has no other: it finds the tracker of the one at hand. */
interface PlainWrapper {
  readonly method: Method;
  /** The trackers of those objects that it stands in for it on. */
  readonly trackers: HiddenField<Tracker>;
}

// One function for all objects. V8 keeps what it has compiled of one as long as that function is there, and those that are made
// for one object go with it.
const plainWrappers = new Map<unknown, PlainWrapper>([
  [Map.prototype.set, plainSet(Map.prototype.set)],
  [Set.prototype.add, plainAdd(Set.prototype.add)],
  [Map.prototype.delete, plainDelete(Map.prototype.delete)],
  [Set.prototype.delete, plainDelete(Set.prototype.delete)],
]);

/** The methods that write, by kind of collection. Those the engine does not have are not wrapped. */
const writers = {
  map: ['set', 'delete', 'clear', 'getOrInsert', 'getOrInsertComputed'],
  set: ['add', 'delete', 'clear'],
} as const;

/**
 * Makes the writing methods of a live Map or Set tell its tracker, by own properties of that one object. Its class,
 * its prototype and its reading methods stay as they are; its own `delete`, `set` and `clear` are still what runs.
 *
 * @returns undoes it and leaves no trace; if somebody else has wrapped a method since, theirs stays and ours
 *   becomes a pass-through
 */
export function instrument(tracker: Tracker): () => void {
  const { target, kind } = tracker.native;
  const undo: (() => void)[] = [];
  let live: Tracker | undefined = tracker;
  for (const name of writers[kind]) {
    const original = (target as unknown as Record<string, unknown>)[name];
    if (typeof original !== 'function') continue;
    const before = Object.getOwnPropertyDescriptor(target, name);
    const plain = plainWrappers.get(original);
    const wrapper = plain?.method ?? wrap(name, original as Method, target, () => live);
    if (name === 'delete') tracker.plainDelete = plain?.method;
    plain?.trackers.put(target, tracker);
    Object.defineProperty(target, name, {
      value: wrapper,
      writable: true,
      configurable: true,
      // Not enumerable: an inspected or copied map looks as it did.
      enumerable: before?.enumerable ?? false,
    });
    undo.push(() => {
      plain?.trackers.put(target, undefined);
      if (Object.getOwnPropertyDescriptor(target, name)?.value !== wrapper) return;
      if (before === undefined) Reflect.deleteProperty(target, name);
      else Reflect.defineProperty(target, name, before);
    });
  }
  return () => {
    live = undefined;
    for (const restore of undo.splice(0)) restore();
  };
}

function plainSet(original: Method): PlainWrapper {
  const trackers = hiddenField<Tracker>();
  const methods = {
    set(this: unknown, key: unknown, value: unknown): unknown {
      const tracker = trackers.of(this);
      if (tracker === undefined) return original.call(this, key, value);
      setKey(tracker, key, value);
      return this;
    },
  };
  return { method: methods.set, trackers };
}

function plainAdd(original: Method): PlainWrapper {
  const trackers = hiddenField<Tracker>();
  const methods = {
    add(this: unknown, member: unknown): unknown {
      const tracker = trackers.of(this);
      if (tracker === undefined) return original.call(this, member);
      setKey(tracker, member, member);
      return this;
    },
  };
  return { method: methods.add, trackers };
}

function plainDelete(original: Method): PlainWrapper {
  const trackers = hiddenField<Tracker>();
  const methods = {
    delete(this: unknown, key: unknown): boolean {
      const tracker = trackers.of(this);
      return tracker === undefined ? original.call(this, key) : deleteKey(tracker, key);
    },
  };
  return { method: methods.delete, trackers };
}

/** Makes what stands in for a method of the owner's, or one that is seldom called, on one object. */
function wrap(name: string, original: Method, target: object, live: () => Tracker | undefined): Method {
  const { wrapper } = {
    // What runs the original is made anew for each way: one for all of them would take two to three times as long.
    wrapper(this: unknown, ...given: unknown[]): unknown {
      const tracker = this === target ? live() : undefined;
      if (tracker === undefined) return original.apply(this, given);
      // By index: to take an array apart by a pattern goes by its iterator.
      const key = given[0];
      const compute = given[1];
      if (name === 'set' || name === 'add')
        return setThrough(tracker, key, given[1], () => original.apply(this, given));
      if (name === 'delete') return deleteThrough(tracker, key, () => original.apply(this, given));
      if (name === 'clear') return clearThrough(tracker, () => original.apply(this, given));
      if (name === 'getOrInsert' || typeof compute !== 'function')
        return insertThrough(tracker, key, () => original.apply(this, given));
      return computeThrough(tracker, key, compute as (key: unknown) => unknown, (compared) => {
        given[1] = compared;
        return original.apply(this, given);
      });
    },
  };
  return Object.defineProperties(wrapper, {
    name: { value: name, configurable: true },
    length: { value: original.length, configurable: true },
  });
}
