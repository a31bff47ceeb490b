/** Something to be written that is turned into a record when its turn comes: two numbers say more of it. */
export type Utterance = object | string;

/** What one that waits takes, roughly: three fields. */
const bytesOfOne = 24;
/** The fields of so many stand in one array. */
const pageLength = 3 * 1_024;

/** What has been said and is not made into records yet, in order. */
export class UtteranceQueue {
  // Three fields an utterance, in pages, of which each goes when all of it has been taken: a queue that never becomes empty
  // gives its memory back too.
  #pages: unknown[][] = [];
  // Fields of the first page.
  #taken = 0;
  #size = 0;
  #textLength = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** What those that wait take, roughly. Of what is no text, there is only a reference here. */
  get bytes(): number {
    return this.size * bytesOfOne + this.#textLength;
  }

  push(what: Utterance, first: number, second: number): void {
    let page = this.#pages.at(-1);
    if (page === undefined || page.length === pageLength) {
      page = [];
      this.#pages.push(page);
    }
    page.push(what, first, second);
    this.#size += 1;
    if (typeof what === 'string') this.#textLength += what.length;
  }

  /** Takes the next one, which there must be, and returns what is made of it. */
  take<T>(make: (what: Utterance, first: number, second: number) => T): T {
    const page = this.#pages[0] as unknown[];
    const at = this.#taken;
    const what = page[at] as Utterance;
    page[at] = undefined;
    this.#taken += 3;
    this.#size -= 1;
    if (typeof what === 'string') this.#textLength -= what.length;
    if (this.#taken === page.length) {
      this.#pages.shift();
      this.#taken = 0;
    }
    return make(what, page[at + 1] as number, page[at + 2] as number);
  }

  clear(): void {
    this.#pages = [];
    this.#taken = 0;
    this.#size = 0;
    this.#textLength = 0;
  }
}
