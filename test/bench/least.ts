/** An entry is forgotten to exist. */
const none = -1;

/**
 * The least that stamps beside a native Map can cost: a second Map from the key to a slot, the key, two stamps. It knows
 * no time, so it never reads a clock; it files nothing, tells nobody, finds no write that went past it, and can remove
 * nothing by itself. What mapsweep costs beyond this is its own; what this costs beyond a Map is the price of stamps.
 */
export class LeastStampedMap<K, V> extends Map<K, V> {
  readonly #slots = new Map<K, number>();
  readonly #keys: (K | undefined)[] = [];
  readonly #free: number[] = [];
  #registeredAt = new Float64Array(16);
  #lastActiveAt = new Float64Array(16);
  #now = 0;

  override set(key: K, value: V): this {
    const known = this.#slots.get(key) ?? none;
    super.set(key, value);
    const slot = known === none ? this.#register(key) : known;
    this.#lastActiveAt[slot] = this.#now;
    return this;
  }

  override delete(key: K): boolean {
    const isGone = super.delete(key);
    const slot = this.#slots.get(key);
    if (slot === undefined) return isGone;
    this.#slots.delete(key);
    this.#keys[slot] = undefined;
    this.#free.push(slot);
    return isGone;
  }

  touch(key: K): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#lastActiveAt[slot] = this.#now;
    return true;
  }

  #register(key: K): number {
    const slot = this.#free.pop() ?? this.#keys.length;
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    if (slot >= this.#registeredAt.length) this.#grow();
    this.#registeredAt[slot] = this.#now;
    return slot;
  }

  #grow(): void {
    const [registeredAt, lastActiveAt] = [this.#registeredAt, this.#lastActiveAt];
    this.#registeredAt = new Float64Array(2 * registeredAt.length);
    this.#registeredAt.set(registeredAt);
    this.#lastActiveAt = new Float64Array(2 * lastActiveAt.length);
    this.#lastActiveAt.set(lastActiveAt);
  }
}
