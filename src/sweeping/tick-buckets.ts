import { capacityFor, resized } from '../stamps/typed-arrays.js';

const noSlot = -1;
const unfiled = -0x7fffffff;
const initialCapacity = 16;

/**
 * A timing wheel with one bucket per sweep tick: entries wait, by slot, in the bucket of the tick in which they may
 * become due, so that a sweep touches what may be due and nothing else.
 *
 * The idea is the hashed timing wheel of Varghese and Lauck ("Hashed and Hierarchical Timing Wheels", 1987), with a
 * `Map` in place of the fixed ring: a bucket exists only while something waits in it. Buckets are doubly linked lists
 * in two integer arrays, so that filing, moving and removing an entry allocates nothing and takes constant time; within
 * a bucket, first in is first out.
 *
 * Two kinds of entry: *filed* under a tick, or *watched*, which every sweep looks at.
 */
export class TickBuckets {
  // Neighbours by slot; at either end of a bucket ~bucket stands in place of a neighbour.
  #next = new Int32Array(initialCapacity);
  #previous = new Int32Array(initialCapacity).fill(unfiled);
  #heads: number[] = [noSlot];
  #tails: number[] = [noSlot];
  #ticks: (number | undefined)[] = [undefined];
  #freeBuckets: number[] = [];
  readonly #bucketOfTick = new Map<number, number>();
  #watched = 0;
  // Buckets that a pass took and has not emptied yet, first in last out; they survive a pass that was interrupted.
  #taken: number[] = [];
  #takenTick = Number.NEGATIVE_INFINITY;
  #cachedTick = Number.NaN;
  #cachedBucket = 0;

  /** Files a slot under `tick`, wherever it was before. A tick that has been taken already counts as the last taken. */
  file(slot: number, tick: number): void {
    this.#append(slot, this.#bucketFor(Math.max(tick, this.#takenTick)));
  }

  /** Has every pass look at a slot. */
  watch(slot: number): void {
    this.#append(slot, this.#watched);
  }

  /** Takes a slot out, wherever it is; one that is nowhere is left alone. */
  remove(slot: number): void {
    if (this.has(slot)) this.#unlink(slot);
  }

  /** Gives all memory back: all entries have left. */
  clear(): void {
    this.#next = new Int32Array(initialCapacity);
    this.#previous = new Int32Array(initialCapacity).fill(unfiled);
    this.#heads = [noSlot];
    this.#tails = [noSlot];
    this.#ticks = [undefined];
    this.#freeBuckets = [];
    this.#bucketOfTick.clear();
    this.#watched = 0;
    this.#taken = [];
    this.#cachedTick = Number.NaN;
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#previous.length <= capacity) return;
    this.#next = resized(this.#next, capacity);
    this.#previous = resized(this.#previous, capacity);
  }

  /** Nothing is filed but what the pass has taken. */
  get isAllTaken(): boolean {
    return this.#bucketOfTick.size === 0 && this.#heads[this.#watched] === noSlot;
  }

  /** Returns whether the slot waits anywhere. */
  has(slot: number): boolean {
    return slot < this.#previous.length && this.#previous[slot] !== unfiled;
  }

  /**
   * Begins a pass: what is filed up to `tick`, then what is watched, will come out of `takeNext()` once.
   *
   * @param withWatched `false` leaves out what is watched
   */
  take(tick: number, withWatched = true): void {
    const due = [...this.#ticksUpTo(tick)].map((at) => {
      const bucket = this.#bucketOfTick.get(at) as number;
      this.#bucketOfTick.delete(at);
      return bucket;
    });
    if (withWatched && this.#heads[this.#watched] !== noSlot) {
      due.push(this.#watched);
      this.#watched = this.#newBucket(undefined);
    }
    this.#taken = [...due.reverse(), ...this.#taken];
    this.#cachedTick = Number.NaN;
    if (tick > this.#takenTick) this.#takenTick = tick;
  }

  /** Takes out the next slot of the pass; -1 at its end. Slots filed or watched meanwhile wait for the next pass. */
  takeNext(): number {
    while (this.#taken.length > 0) {
      const bucket = this.#taken[this.#taken.length - 1] as number;
      const slot = this.#heads[bucket] as number;
      if (slot !== noSlot) {
        this.#unlink(slot);
        return slot;
      }
      this.#taken.pop();
      this.#freeBuckets.push(bucket);
    }
    return noSlot;
  }

  #ticksUpTo(tick: number): number[] {
    const gap = tick - this.#takenTick;
    if (gap >= 0 && gap <= this.#bucketOfTick.size) {
      const ticks: number[] = [];
      for (let at = this.#takenTick; at <= tick; at += 1) if (this.#bucketOfTick.has(at)) ticks.push(at);
      return ticks;
    }
    return [...this.#bucketOfTick.keys()].filter((at) => at <= tick).sort((a, b) => a - b);
  }

  #bucketFor(tick: number): number {
    if (tick === this.#cachedTick) return this.#cachedBucket;
    let bucket = this.#bucketOfTick.get(tick);
    if (bucket === undefined) {
      bucket = this.#newBucket(tick);
      this.#bucketOfTick.set(tick, bucket);
    }
    this.#cachedTick = tick;
    this.#cachedBucket = bucket;
    return bucket;
  }

  #newBucket(tick: number | undefined): number {
    const bucket = this.#freeBuckets.pop() ?? this.#heads.length;
    this.#heads[bucket] = noSlot;
    this.#tails[bucket] = noSlot;
    this.#ticks[bucket] = tick;
    return bucket;
  }

  #append(slot: number, bucket: number): void {
    if (slot >= this.#previous.length) this.#grow(slot);
    if (this.#previous[slot] !== unfiled) this.#unlink(slot, bucket);
    const tail = this.#tails[bucket] as number;
    this.#next[slot] = ~bucket;
    if (tail === noSlot) {
      this.#previous[slot] = ~bucket;
      this.#heads[bucket] = slot;
    } else {
      this.#previous[slot] = tail;
      this.#next[tail] = slot;
    }
    this.#tails[bucket] = slot;
  }

  #unlink(slot: number, keep?: number): void {
    const next = this.#next[slot] as number;
    const previous = this.#previous[slot] as number;
    if (next >= 0) this.#previous[next] = previous;
    else this.#tails[~next] = previous >= 0 ? previous : noSlot;
    if (previous >= 0) this.#next[previous] = next;
    else this.#heads[~previous] = next >= 0 ? next : noSlot;
    this.#previous[slot] = unfiled;
    if (next < 0 && previous < 0 && ~next !== keep) this.#giveBack(~next);
  }

  // A bucket whose last entry left before its tick came: churn must not leave a trail of them.
  #giveBack(bucket: number): void {
    const tick = this.#ticks[bucket];
    if (tick === undefined || this.#bucketOfTick.get(tick) !== bucket) return;
    this.#bucketOfTick.delete(tick);
    this.#freeBuckets.push(bucket);
    if (this.#cachedBucket === bucket) this.#cachedTick = Number.NaN;
  }

  #grow(slot: number): void {
    const capacity = capacityFor(slot, this.#previous.length);
    this.#next = resized(this.#next, capacity);
    this.#previous = resized(this.#previous, capacity, unfiled);
  }
}
