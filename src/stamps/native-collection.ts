// The intrinsics: a subclass that overrides `has` or `get` must not be able to hide what is in the map, and reads on
// behalf of the sweeper must not run its code. They work on Maps of another realm too.
const mapHas = Map.prototype.has;
const mapGet = Map.prototype.get;
const mapSet = Map.prototype.set;
const mapKeys = Map.prototype.keys;
const mapEntries = Map.prototype.entries;
const mapDelete = Map.prototype.delete;
const mapClear = Map.prototype.clear;
const mapSize = Object.getOwnPropertyDescriptor(Map.prototype, 'size')?.get as (this: unknown) => number;
const setHas = Set.prototype.has;
const setAdd = Set.prototype.add;
const setKeys = Set.prototype.keys;
const setEntries = Set.prototype.entries;
const setDelete = Set.prototype.delete;
const setClear = Set.prototype.clear;
const setSize = Object.getOwnPropertyDescriptor(Set.prototype, 'size')?.get as (this: unknown) => number;

/** What is really in a Map or a Set, read past anything that overrides or wraps its methods. */
export interface NativeCollection<K, V> {
  readonly kind: 'map' | 'set';
  readonly target: Map<K, V> | Set<K>;
  size(): number;
  has(key: K): boolean;
  /** Returns the value; of a Set the member itself. */
  get(key: K): V | undefined;
  keys(): IterableIterator<K>;
  entries(): IterableIterator<[K, V]>;
  /** Sets a key past everything; to a Set adds it. */
  put(key: K, value: V): void;
  /** Removes a key past everything, and returns whether it was there. */
  remove(key: K): boolean;
  /** Removes all keys past everything. */
  empty(): void;
}

/** Returns whether an entry, whose value was read, is not there: deleted past the wrapper, which nobody has noticed yet. */
export const isMissing = (
  native: NativeCollection<unknown, unknown>,
  key: unknown,
  value: unknown,
): boolean => value === undefined && !native.has(key);

/** A Map, or an object of a class that extends it. */
export class NativeMap<K, V> implements NativeCollection<K, V> {
  readonly kind = 'map';
  readonly target: Map<K, V>;

  constructor(target: Map<K, V>) {
    this.target = target;
  }

  size(): number {
    return mapSize.call(this.target);
  }

  has(key: K): boolean {
    return mapHas.call(this.target, key);
  }

  get(key: K): V | undefined {
    return mapGet.call(this.target, key) as V | undefined;
  }

  keys(): IterableIterator<K> {
    return mapKeys.call(this.target) as IterableIterator<K>;
  }

  entries(): IterableIterator<[K, V]> {
    return mapEntries.call(this.target) as IterableIterator<[K, V]>;
  }

  put(key: K, value: V): void {
    mapSet.call(this.target, key, value);
  }

  remove(key: K): boolean {
    return mapDelete.call(this.target, key);
  }

  empty(): void {
    mapClear.call(this.target);
  }
}

/** A Set: every member is its own value. */
export class NativeSet<K> implements NativeCollection<K, K> {
  readonly kind = 'set';
  readonly target: Set<K>;

  constructor(target: Set<K>) {
    this.target = target;
  }

  size(): number {
    return setSize.call(this.target);
  }

  has(key: K): boolean {
    return setHas.call(this.target, key);
  }

  get(key: K): K | undefined {
    return this.has(key) ? key : undefined;
  }

  keys(): IterableIterator<K> {
    return setKeys.call(this.target) as IterableIterator<K>;
  }

  entries(): IterableIterator<[K, K]> {
    return setEntries.call(this.target) as IterableIterator<[K, K]>;
  }

  put(key: K): void {
    setAdd.call(this.target, key);
  }

  remove(key: K): boolean {
    return setDelete.call(this.target, key);
  }

  empty(): void {
    setClear.call(this.target);
  }
}

/** Returns the right reader for a live Map or Set. */
export function nativeOf(target: Map<unknown, unknown> | Set<unknown>): NativeCollection<unknown, unknown> {
  // By the intrinsic that works on it, not by `instanceof`: it may come from another realm.
  return isSet(target) ? new NativeSet(target) : new NativeMap(target as Map<unknown, unknown>);
}

function isSet(target: Map<unknown, unknown> | Set<unknown>): target is Set<unknown> {
  try {
    setHas.call(target, undefined);
    return true;
  } catch {
    return false;
  }
}
