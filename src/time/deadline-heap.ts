/** A place in a {@link DeadlineHeap}. Its fields are written by the heap alone. */
export interface DeadlineEntry<T> {
  /** The deadline, in the unit of the heap's owner. */
  readonly at: number;
  /** `undefined` once the entry has left the heap, so that a kept entry pins nothing. */
  readonly value: T | undefined;
}

class Entry<T> implements DeadlineEntry<T> {
  readonly at: number;
  /** Breaks ties: of equal deadlines the one inserted first is the earlier. */
  readonly order: number;
  value: T | undefined;
  index: number;

  constructor(at: number, order: number, value: T, index: number) {
    this.at = at;
    this.order = order;
    this.value = value;
    this.index = index;
  }
}

/**
 * A binary min-heap of deadlines. Each entry knows its index, so that any of them is removed in O(log n) and a
 * cancelled deadline leaves nothing behind. Entries of equal deadlines come in the order of their insertion.
 */
export class DeadlineHeap<T> {
  readonly #entries: Entry<T>[] = [];
  #inserted = 0;

  /** How many entries it holds. */
  get size(): number {
    return this.#entries.length;
  }

  /** How many entries were ever inserted. An entry whose {@link DeadlineHeap.isBefore} it is was there already. */
  get inserted(): number {
    return this.#inserted;
  }

  /** Returns the earliest entry, which stays. O(1). */
  peek(): DeadlineEntry<T> | undefined {
    return this.#entries[0];
  }

  /** Returns whether `entry` was inserted before the count of insertions reached `inserted`. */
  isBefore(entry: DeadlineEntry<T>, inserted: number): boolean {
    return (entry as Entry<T>).order < inserted;
  }

  /** Adds a deadline. `at` must not be NaN, which has no place in an order. O(log n). */
  insert(at: number, value: T): DeadlineEntry<T> {
    const entry = new Entry(at, this.#inserted, value, this.#entries.length);
    this.#inserted += 1;
    this.#entries.push(entry);
    this.#siftUp(entry);
    return entry;
  }

  /** Takes the earliest entry out and returns its value; `undefined` from an empty heap. O(log n). */
  pop(): T | undefined {
    const earliest = this.#entries[0];
    return earliest === undefined ? undefined : this.remove(earliest);
  }

  /** Takes an entry out and returns its value; `undefined` if it is not (any more) in this heap. O(log n). */
  remove(entry: DeadlineEntry<T>): T | undefined {
    const entries = this.#entries;
    const removed = entry as Entry<T>;
    const index = removed.index;
    if (entries[index] !== removed) return undefined;
    const value = removed.value;
    removed.value = undefined;
    const last = entries.pop()!;
    if (last !== removed) {
      last.index = index;
      entries[index] = last;
      // The last entry may come from another branch, so it may belong above this place as well as below it.
      this.#siftUp(last);
      this.#siftDown(last);
    }
    return value;
  }

  /** Takes everything out. */
  clear(): void {
    for (const entry of this.#entries) entry.value = undefined;
    this.#entries.length = 0;
  }

  #siftUp(entry: Entry<T>): void {
    while (entry.index > 0) {
      const parent = this.#entries[(entry.index - 1) >> 1]!;
      if (comesBefore(parent, entry)) return;
      this.#swap(parent, entry);
    }
  }

  #siftDown(entry: Entry<T>): void {
    const entries = this.#entries;
    for (;;) {
      const left = entries[entry.index * 2 + 1];
      if (left === undefined) return;
      const right = entries[entry.index * 2 + 2];
      const child = right !== undefined && comesBefore(right, left) ? right : left;
      if (comesBefore(entry, child)) return;
      this.#swap(entry, child);
    }
  }

  #swap(upper: Entry<T>, lower: Entry<T>): void {
    const index = upper.index;
    this.#entries[lower.index] = upper;
    this.#entries[index] = lower;
    upper.index = lower.index;
    lower.index = index;
  }
}

function comesBefore(first: Entry<unknown>, second: Entry<unknown>): boolean {
  return first.at < second.at || (first.at === second.at && first.order < second.order);
}
