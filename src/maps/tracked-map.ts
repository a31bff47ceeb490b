import { type Explanation, explain } from '../diagnosis/explain.js';
import type { SweepReport } from '../events/sweep-report.js';
import { compilePolicy } from '../policy/compile-policy.js';
import type { CompiledPolicy, Policy } from '../policy/policy.js';
import { readName, readOptions } from '../policy/read-options.js';
import type { EntryStamps } from '../stamps/entry-stamps.js';
import { mapKey } from '../stamps/map-key.js';
import { nativeOf } from '../stamps/native-collection.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { Clock } from '../time/clock.js';
import { stampsByKey } from './by-key.js';
import { keepShapes } from './kept-shapes.js';
import { clearThrough, deleteKey } from './owner-removals.js';
import { setKey, touch } from './owner-writes.js';
import { checkStandalone, readClock, splitOptions, standaloneEngine } from './standalone.js';
import { markTracked } from './tracked-mark.js';

/** The options of a map that is used alone: a policy, and a name for messages. */
export interface TrackedMapOptions<K, V> extends Omit<Policy<K, V>, 'adopt' | 'follows' | 'orphanAfter'> {
  /** 1 to 128 characters. Default: `TrackedMap`. */
  name?: string;
  /** Default: the clock of the process. */
  clock?: Clock;
}

/** What a registry hands to a map that it makes. */
export class TrackedMapSetup {
  readonly engine: Engine;
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;

  constructor(engine: Engine, name: string, policy: CompiledPolicy<unknown, unknown>) {
    this.engine = engine;
    this.name = name;
    this.policy = policy;
  }
}

/**
 * A `Map` whose entries carry stamps and leave by a policy. Everything a `Map` does it does in the same way: values stay
 * in the native Map, so that reads cost what they cost there, and `structuredClone`, `util.inspect` and foreign code see
 * a Map.
 *
 * Made by `createRegistry`, it is swept by the registry's timer. Made alone, it has no timer and is swept by `sweep()`.
 */
export class TrackedMap<K, V> extends Map<K, V> {
  readonly #tracker: Tracker;
  readonly #engine: Engine;

  /**
   * @throws MapsweepTypeError or MapsweepRangeError if an option is wrong
   */
  constructor(entries?: Iterable<readonly [K, V]> | null, options: TrackedMapOptions<K, V> = {}) {
    // Without the entries: `super(entries)` would call `set` before there is a tracker.
    super();
    keepShapes('TrackedMap', () => new TrackedMap());
    const { engine, name, policy } =
      (options as unknown) instanceof TrackedMapSetup
        ? (options as unknown as TrackedMapSetup)
        : standaloneSetup(options as TrackedMapOptions<unknown, unknown>);
    this.#engine = engine;
    this.#tracker = engine.add(name, policy, nativeOf(this));
    this.#tracker.plainDelete = TrackedMap.prototype.delete as (key: unknown) => boolean;
    markTracked(this, { engine, tracker: this.#tracker });
    if (entries === undefined || entries === null) return;
    for (const entry of entries) {
      // A function is an object too, here as to a Map.
      if ((typeof entry !== 'object' && typeof entry !== 'function') || entry === null) {
        throw new TypeError(`Iterator value ${String(entry)} is not an entry object`);
      }
      this.set(entry[0], entry[1]);
    }
  }

  /** The name in metrics, reports and messages. */
  get name(): string {
    return this.#tracker.name;
  }

  override set(key: K, value: V): this {
    setKey(this.#tracker, key, value);
    return this;
  }

  override delete(key: K): boolean {
    return deleteKey(this.#tracker, key);
  }

  override clear(): void {
    clearThrough(this.#tracker, () => super.clear());
  }

  /** Counts as activity of the entry, as a `set` does. Returns `false` if there is no such entry. */
  touch(key: K): boolean {
    return touch(this.#tracker, key);
  }

  /** Returns when the entry was registered and last active; `undefined` if there is no such entry. */
  stamps(key: K): EntryStamps | undefined {
    return stampsByKey(this.#tracker, key);
  }

  /** Says whether the entry is due, by which lifetime, and why it is still there. */
  explain(key: K): Explanation {
    return explain(this.#engine, this.#tracker, key);
  }

  /**
   * Removes everything that is due now. In a registry that is a sweep of all its maps. The first slice runs before this
   * returns; a small map is swept by then.
   */
  sweep(): Promise<SweepReport> {
    return this.#engine.sweeper.sweep();
  }

  static {
    addInsertMethods(TrackedMap.prototype);
  }
}

function standaloneSetup(options: TrackedMapOptions<unknown, unknown>): TrackedMapSetup {
  const { own, policy } = splitOptions(options, ['name', 'clock']);
  const { name = 'TrackedMap', clock } = readOptions('', own, { name: readName, clock: readClock });
  const compiled = compilePolicy('', policy as Policy<unknown, unknown>);
  checkStandalone(compiled);
  return new TrackedMapSetup(standaloneEngine(clock), name, compiled);
}

/**
 * Adds `getOrInsert` and `getOrInsertComputed`, if the engine has them: its own write past `set`. A key that is there is
 * read, which is no activity.
 */
function addInsertMethods(prototype: TrackedMap<unknown, unknown>): void {
  const native = Map.prototype as unknown as Record<
    string,
    ((...parameters: unknown[]) => unknown) | undefined
  >;
  if (native.getOrInsert === undefined || native.getOrInsertComputed === undefined) return;
  const { getOrInsertComputed } = native;
  const methods = {
    getOrInsert(this: TrackedMap<unknown, unknown>, key: unknown, value: unknown): unknown {
      if (Map.prototype.has.call(this, key)) return Map.prototype.get.call(this, key);
      TrackedMap.prototype.set.call(this, key, value);
      return value;
    },
    getOrInsertComputed(this: TrackedMap<unknown, unknown>, key: unknown, compute: unknown): unknown {
      // The native one says what is wrong with an argument that is no function.
      if (typeof compute !== 'function' || Map.prototype.has.call(this, key)) {
        return getOrInsertComputed.call(this, key, compute);
      }
      const value: unknown = compute.call(undefined, mapKey(key));
      TrackedMap.prototype.set.call(this, key, value);
      return value;
    },
  };
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true, enumerable: false });
  }
}
