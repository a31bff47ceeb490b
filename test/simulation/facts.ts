/** Numbers what happens in one process, and knows up to which number it is certain that the next process knows of it. */
export class Facts {
  #count = 0;
  /** All facts up to this one are in the journal. */
  certain = 0;

  /** The number of a fact that has come about now. From 1. */
  next(): number {
    this.#count += 1;
    return this.#count;
  }

  get count(): number {
    return this.#count;
  }

  /** Returns whether a fact, if it is one, is certain to be known. */
  isCertain(fact: number | undefined): boolean {
    return fact !== undefined && fact <= this.certain;
  }
}
