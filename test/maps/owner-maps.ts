import { runInNewContext } from 'node:vm';

/** A Map as gateways write it: its own `set`, `delete` and `clear` keep an index in step. */
export class IndexedMap<V = unknown> extends Map<string, V> {
  readonly byInitial = new Map<string, Set<string>>();
  readonly deleteCalls: unknown[] = [];

  override set(key: string, value: V): this {
    const initial = String(key).charAt(0);
    const keys = this.byInitial.get(initial) ?? new Set();
    this.byInitial.set(initial, keys.add(key));
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    this.deleteCalls.push(key);
    const keys = this.byInitial.get(String(key).charAt(0));
    keys?.delete(key);
    if (keys?.size === 0) this.byInitial.delete(String(key).charAt(0));
    return super.delete(key);
  }

  override clear(): void {
    for (const key of [...this.keys()]) this.delete(key);
  }
}

/** A Map whose `delete` can be told to refuse or to throw. */
export class StubbornMap<K, V> extends Map<K, V> {
  /** `true` refuses; an error is thrown, before or after the entry has gone. */
  obstacle: boolean | { before: unknown } | { after: unknown } = false;
  attempts = 0;

  override delete(key: K): boolean {
    this.attempts += 1;
    const { obstacle } = this;
    if (obstacle === true) return false;
    if (obstacle !== false && 'before' in obstacle) throw obstacle.before;
    const was = super.delete(key);
    if (obstacle !== false) throw obstacle.after;
    return was;
  }

  override clear(): void {
    for (const key of [...this.keys()]) this.delete(key);
  }
}

/** A Map that keeps its keys in lower case. */
export class LowerCaseMap<V> extends Map<string, V> {
  override get(key: string): V | undefined {
    return super.get(key.toLowerCase());
  }

  override has(key: string): boolean {
    return super.has(key.toLowerCase());
  }

  override set(key: string, value: V): this {
    return super.set(key.toLowerCase(), value);
  }

  override delete(key: string): boolean {
    return super.delete(key.toLowerCase());
  }
}

/** A Map whose class, prototype and methods belong to another realm. */
export function foreignMap<K, V>(entries: Iterable<readonly [K, V]> = []): Map<K, V> {
  const map = runInNewContext('new Map()') as Map<K, V>;
  for (const [key, value] of entries) map.set(key, value);
  return map;
}
