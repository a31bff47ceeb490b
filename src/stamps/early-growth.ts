/** That of an empty Map. */
const leastCapacity = 4;
/** Tables with room for fewer keys are rebuilt in less than a millisecond. */
const shortCapacity = 1 << 16;
/** To rebuild one with room for so many keys takes more than that. */
const longCapacity = 1 << 17;
/** V8 has no larger ones: there no key may stand in the way of those of the owner. */
const mostCapacity = 1 << 24;
/** A table is rebuilt by so many keys earlier: one in so many of its capacity. */
const earlierBy = 128;

/**
 * Has the table of a Map rebuilt in another call than that of a Map with the same keys. V8 rebuilds the table of a Map in
 * the call that finds it full, which takes 20 ms at a million keys, and two Maps that get the same keys would do so in one
 * call. What was deleted takes room in a table until it is rebuilt, so a key that is set and deleted often enough has one
 * of them be full earlier. It shrinks the table in the call that leaves it a quarter full: with one key more, *nobody's*, it does
 * that one call later, until the next table is the largest there is.
 *
 * When a table is full is reckoned here as V8 does (`OrderedHashTable::EnsureCapacityForAdding` and `Shrink` in
 * `src/objects/ordered-hash-table.cc`). If it did otherwise one day, both would be rebuilt in one call again.
 */
export class EarlyGrowth {
  readonly #map: Map<unknown, unknown>;
  readonly #nobody: unknown;
  readonly #mostCapacity: number;
  #hasNobody: boolean;
  #capacity = leastCapacity;
  #room: number;

  /**
   * @param map one with a table of the least size, which has had no more keys than it has
   * @param nobody the one of them that is nobody's, if there is one
   * @param most the capacity of the largest table
   */
  constructor(map: Map<unknown, unknown>, nobody?: unknown, most = mostCapacity) {
    this.#map = map;
    this.#nobody = nobody;
    this.#hasNobody = nobody !== undefined;
    this.#mostCapacity = most;
    this.#room = leastCapacity - map.size;
  }

  /** Whether nobody's key is still there. */
  get hasNobody(): boolean {
    return this.#hasNobody;
  }

  /** How many keys the table has room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** How many more keys can be set until it is rebuilt. */
  get room(): number {
    return this.#room;
  }

  /**
   * Whether the table is rebuilt in the call that deletes the next key, or that of a Map with one key less, and takes more than a
   * millisecond for that.
   */
  get isAboutToShrink(): boolean {
    const beyond = this.#map.size - (this.#capacity >> 2);
    return (beyond === 0 || beyond === 1) && this.#capacity >= longCapacity;
  }

  /** A key that was not there was set. */
  added(): void {
    if (this.#room === 0) this.#rebuilt();
    this.#room -= 1;
    // What was deleted before a table is rebuilt takes no room in the next one.
    if (this.#room === 0 && this.#hasNobody && this.#capacity * 2 >= this.#mostCapacity) this.#forgetNobody();
  }

  /** A key was deleted. */
  deleted(): void {
    if (this.#map.size >= this.#capacity >> 2) return;
    this.#capacity = Math.max(leastCapacity, this.#capacity >> 1);
    this.#room = this.#capacity - this.#map.size;
  }

  #forgetNobody(): void {
    this.#hasNobody = false;
    this.#map.delete(this.#nobody);
    this.deleted();
  }

  #rebuilt(): void {
    const before = this.#map.size - 1;
    const deleted = this.#capacity - before;
    if (deleted < this.#capacity >> 1) this.#capacity *= 2;
    this.#room = this.#capacity - before;
    if (this.#capacity < shortCapacity || this.#capacity >= this.#mostCapacity) return;
    const count = this.#capacity / earlierBy;
    for (let index = 0; index < count; index += 1) {
      // Another one each time: what is deleted stays in the chain of its hash until then.
      const nobody = {};
      this.#map.set(nobody, undefined);
      this.#map.delete(nobody);
    }
    this.#room -= count;
  }
}
