/** What can be in a {@link LinkedList}, one at a time. Written by that alone. */
export interface Linked<T> {
  /** The list that it is in. */
  list: unknown;
  earlier: T | undefined;
  later: T | undefined;
}

/**
 * A list, in the order in which things are added, from which any of them is taken in O(1), at any length. A Set keeps what passes
 * through it until the next major collection, as `Pending` says, and is rebuilt as it grows, which takes 50 ms at a million.
 */
export class LinkedList<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that was added first of those that are there. */
  get first(): T | undefined {
    return this.#first;
  }

  /** Adds one that is in no list. */
  add(item: T): void {
    item.list = this;
    item.earlier = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.later = item;
    this.#last = item;
    this.#size += 1;
  }

  /** Returns whether it was there. */
  delete(item: T): boolean {
    if (item.list !== this) return false;
    const { earlier, later } = item;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    // One that has become old would keep its neighbours.
    item.list = undefined;
    item.earlier = undefined;
    item.later = undefined;
    this.#size -= 1;
    return true;
  }
}
