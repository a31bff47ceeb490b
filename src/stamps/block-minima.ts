import { resized } from './typed-arrays.js';

const blockBits = 10;
const blockSize = 1 << blockBits;

/**
 * The least of many numbers that come and go, each at a slot of its own, in steps of 1,024 slots: the least of a block
 * is known until that very number leaves, and then looked for when somebody asks.
 *
 * So a number costs one comparison when it comes and one when it goes, and a question a thousandth of the slots, plus
 * the blocks that have lost their least since the last one. Numbers that mostly come in rising order and in
 * neighbouring slots, as instants do, lose few.
 */
export class BlockMinima {
  // NaN stands for a block that has lost its least; it compares false with everything, so nothing mends it by chance.
  #least = new Float64Array(1).fill(Number.POSITIVE_INFINITY);

  /** A number is at this slot now. */
  add(slot: number, value: number): void {
    const block = slot >>> blockBits;
    if (block >= this.#least.length) this.#grow(block);
    if (value < (this.#least[block] as number)) this.#least[block] = value;
  }

  /** The number at this slot is leaving. */
  remove(slot: number, value: number): void {
    const block = slot >>> blockBits;
    if (value === this.#least[block]) this.#least[block] = Number.NaN;
  }

  /** Returns the least of all; `Infinity` for none. `valueAt` tells a slot's number, `Infinity` for an empty one. */
  least(valueAt: (slot: number) => number): number {
    this.#mend(valueAt);
    let least = Number.POSITIVE_INFINITY;
    for (const ofBlock of this.#least) if (ofBlock < least) least = ofBlock;
    return least;
  }

  /** Returns the slots of the least numbers, at most `count`, the least first and of equal ones that of the lower slot. */
  leastSlots(count: number, valueAt: (slot: number) => number): number[] {
    this.#mend(valueAt);
    // They are in the blocks with the least minima: each of so many blocks holds a number below that of all others.
    const blocks = leastOf(this.#least.keys(), count, (block) => this.#least[block] as number);
    return leastOf(blocks.sort((one, other) => one - other).flatMap(slotsOf), count, valueAt);
  }

  #mend(valueAt: (slot: number) => number): void {
    for (let block = 0; block < this.#least.length; block += 1) {
      if (Number.isNaN(this.#least[block])) this.#least[block] = leastIn(block, valueAt);
    }
  }

  /** All numbers have left. */
  clear(): void {
    this.#least = new Float64Array(1).fill(Number.POSITIVE_INFINITY);
  }

  #grow(block: number): void {
    this.#least = resized(this.#least, Math.max(block + 1, 2 * this.#least.length), Number.POSITIVE_INFINITY);
  }
}

const slotsOf = (block: number): number[] =>
  Array.from({ length: blockSize }, (_, index) => (block << blockBits) + index);

/** Those with the least finite values, at most `count`, the least first and equal ones in their order. */
function leastOf(items: Iterable<number>, count: number, valueAt: (item: number) => number): number[] {
  const least: Array<[item: number, value: number]> = [];
  for (const item of items) {
    const value = valueAt(item);
    if (!(value < (least[count - 1]?.[1] ?? Number.POSITIVE_INFINITY))) continue;
    let place = Math.min(least.length, count - 1);
    while (place > 0 && (least[place - 1]?.[1] as number) > value) place -= 1;
    least.splice(place, 0, [item, value]);
    if (least.length > count) least.pop();
  }
  return least.map(([item]) => item);
}

function leastIn(block: number, valueAt: (slot: number) => number): number {
  let least = Number.POSITIVE_INFINITY;
  const end = (block + 1) << blockBits;
  for (let slot = end - blockSize; slot < end; slot += 1) {
    const value = valueAt(slot);
    if (value < least) least = value;
  }
  return least;
}
