/** What a look has to find: so many rows with numbers from the first of these to the last. */
export interface ExpectedRows {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** How many of them no look has found yet. */
  readonly unseen: number;
  /** Of what had to be there then. */
  readonly version: number;
}

/**
 * The rows of a journal that are known to be written, and not superseded, so that a look can tell whether PostgreSQL still has
 * them. It loses what it has confirmed last, whatever is written after that: a look counts what has come since the one
 * before, with the last row that this has found.
 */
export class WrittenRows {
  #first: number;
  #last: number;
  /** Up to here has been looked, and the last row of that was there, or not. */
  #seenTo: number;
  #isSeenThere = true;
  #unseen = 0;
  #sinceCheckpoint = 0;
  #version = 0;

  /** @param first the number from which on rows count; up to `last` all that there are have been read */
  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
    this.#seenTo = last;
  }

  /** Rows before this one are superseded. */
  get first(): number {
    return this.#first;
  }

  /** A row is there. */
  add(number: number): void {
    this.#last = Math.max(this.#last, number);
    if (number > this.#seenTo) this.#unseen += 1;
    this.#sinceCheckpoint += 1;
  }

  /** A checkpoint begins: it supersedes what is there so far. */
  beginCheckpoint(): void {
    this.#sinceCheckpoint = 0;
  }

  /** The checkpoint has come to its end: its first row is this one. */
  supersede(first: number): void {
    this.#first = first;
    if (this.#seenTo < first) this.#unseen = this.#sinceCheckpoint;
    this.#version += 1;
  }

  /** All that there are up to the last one have been read anew. */
  readTo(last: number): void {
    this.#last = last;
    this.#seenTo = last;
    this.#isSeenThere = true;
    this.#unseen = 0;
    this.#version += 1;
  }

  /** What the next look has to find. */
  get expected(): ExpectedRows {
    const isSeen = this.#isSeenThere && this.#seenTo >= this.#first;
    const from = isSeen ? this.#seenTo : Math.max(this.#seenTo + 1, this.#first);
    const [to, unseen, version] = [this.#last, this.#unseen, this.#version];
    return { from, to, count: unseen + Number(isSeen), unseen, version };
  }

  /** A look has found so many of the expected rows. Returns how many are missing; it says so once. */
  missing(found: number, { to, count, unseen, version }: ExpectedRows): number {
    // What had to be there is something else by now.
    if (version !== this.#version || count === 0) return 0;
    this.#seenTo = to;
    this.#unseen -= unseen;
    this.#isSeenThere = found >= count;
    return Math.max(0, count - found);
  }
}
