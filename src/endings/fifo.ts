interface Link<T> {
  readonly value: T;
  next: Link<T> | undefined;
}

/**
 * A queue whose `push` and `shift` are O(1) at any length: linked, because `Array.prototype.shift` moves a million
 * elements, and a ring has to be copied when it grows.
 */
export class Fifo<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(value: T): void {
    const link: Link<T> = { value, next: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.next = link;
    this.#last = link;
    this.#size += 1;
  }

  /** Takes the oldest value out; `undefined` from an empty queue. */
  shift(): T | undefined {
    const link = this.#first;
    if (link === undefined) return undefined;
    this.#first = link.next;
    if (this.#first === undefined) this.#last = undefined;
    // A link that reached the old generation would keep the whole chain behind it from minor collections.
    link.next = undefined;
    this.#size -= 1;
    return link.value;
  }
}
