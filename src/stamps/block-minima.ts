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
    let least = Number.POSITIVE_INFINITY;
    for (let block = 0; block < this.#least.length; block += 1) {
      let ofBlock = this.#least[block] as number;
      if (Number.isNaN(ofBlock)) {
        ofBlock = leastIn(block, valueAt);
        this.#least[block] = ofBlock;
      }
      if (ofBlock < least) least = ofBlock;
    }
    return least;
  }

  /** All numbers have left. */
  clear(): void {
    this.#least = new Float64Array(1).fill(Number.POSITIVE_INFINITY);
  }

  #grow(block: number): void {
    const grown = new Float64Array(Math.max(block + 1, 2 * this.#least.length)).fill(
      Number.POSITIVE_INFINITY,
    );
    grown.set(this.#least);
    this.#least = grown;
  }
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
