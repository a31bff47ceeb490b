import type { Tracker } from '../sweeping/tracker.js';
import { clearThrough, deleteKey, deleteThrough } from './owner-removals.js';
import { computeThrough, insertThrough, setKey, setThrough } from './owner-writes.js';

// biome-ignore lint/suspicious/noExplicitAny: methods of foreign classes, passed on with whatever they are given
type Method = (this: unknown, ...parameters: any[]) => any;

const intrinsicSet = Map.prototype.set as Method;
const intrinsicDeletes = new Set<Method>([Map.prototype.delete, Set.prototype.delete]);

/** The methods that write, by kind of collection. Those the engine does not have are not wrapped. */
const writers = {
  map: ['set', 'delete', 'clear', 'getOrInsert', 'getOrInsertComputed'],
  set: ['add', 'delete', 'clear'],
} as const;

/**
 * Makes the writing methods of a live Map or Set tell its tracker, by own properties of that one object. Its class,
 * its prototype and its reading methods stay as they are; its own `delete`, `set` and `clear` are still what runs.
 *
 * @returns undoes it and leaves no trace; where somebody else has wrapped a method since, theirs stays and ours
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
    const wrapper = wrap(name, original as Method, target, () => live);
    if (name === 'delete' && intrinsicDeletes.has(original as Method)) {
      tracker.plainDelete = wrapper as (key: unknown) => boolean;
    }
    Object.defineProperty(target, name, {
      value: wrapper,
      writable: true,
      configurable: true,
      // Not enumerable: an inspected or copied map looks as it did.
      enumerable: before?.enumerable ?? false,
    });
    undo.push(() => {
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

function wrap(
  name: string,
  original: Method,
  target: object,
  live: () => Tracker | undefined,
): (...parameters: never[]) => unknown {
  switch (name) {
    case 'set':
      return {
        set(this: unknown, key: unknown, value: unknown, ...rest: unknown[]): unknown {
          const tracker = this === target ? live() : undefined;
          if (tracker === undefined) return original.call(this, key, value, ...rest);
          if (original !== intrinsicSet) {
            return setThrough(tracker, key, () => original.call(this, key, value, ...rest));
          }
          setKey(tracker, target as Map<unknown, unknown>, key, value);
          return target;
        },
      }.set;
    case 'add':
      return {
        add(this: unknown, member: unknown, ...rest: unknown[]): unknown {
          const tracker = this === target ? live() : undefined;
          if (tracker === undefined) return original.call(this, member, ...rest);
          return setThrough(tracker, member, () => original.call(this, member, ...rest));
        },
      }.add;
    case 'delete':
      return {
        delete(this: unknown, key: unknown, ...rest: unknown[]): unknown {
          const tracker = this === target ? live() : undefined;
          if (tracker === undefined) return original.call(this, key, ...rest);
          if (intrinsicDeletes.has(original)) return deleteKey(tracker, key);
          return deleteThrough(tracker, key, () => original.call(this, key, ...rest));
        },
      }.delete;
    case 'clear':
      return {
        clear(this: unknown, ...rest: unknown[]): unknown {
          const tracker = this === target ? live() : undefined;
          if (tracker === undefined) return original.call(this, ...rest);
          return clearThrough(tracker, () => original.call(this, ...rest));
        },
      }.clear;
    default: {
      const insert = function (this: unknown, key: unknown, second: unknown, ...rest: unknown[]): unknown {
        const tracker = this === target ? live() : undefined;
        if (tracker === undefined) return original.call(this, key, second, ...rest);
        const run = (given: unknown): unknown => original.call(this, key, given, ...rest);
        return name === 'getOrInsertComputed' && typeof second === 'function'
          ? computeThrough(tracker, key, second as (key: unknown) => unknown, run)
          : insertThrough(tracker, key, () => run(second));
      };
      Object.defineProperty(insert, 'name', { value: name, configurable: true });
      return insert;
    }
  }
}
