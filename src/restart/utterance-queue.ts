/** Something to be written that is turned into a record when its turn comes: two numbers say more of it. */
export type Utterance = object | string;

/** What one that waits takes, roughly: three fields. */
const bytesOfOne = 24;

/** What has been said and is not made into records yet, in order. */
export class UtteranceQueue {
  // Three fields an utterance. What has been taken is cut off when all of it has.
  #fields: unknown[] = [];
  #taken = 0;
  #textLength = 0;

  /** How many wait. */
  get size(): number {
    return (this.#fields.length - this.#taken) / 3;
  }

  /** What those that wait take, roughly. Of what is no text, there is only a reference here. */
  get bytes(): number {
    return this.size * bytesOfOne + this.#textLength;
  }

  push(what: Utterance, first: number, second: number): void {
    this.#fields.push(what, first, second);
    if (typeof what === 'string') this.#textLength += what.length;
  }

  /** Takes the next one, which there must be, and returns what is made of it. */
  take<T>(make: (what: Utterance, first: number, second: number) => T): T {
    const fields = this.#fields;
    const at = this.#taken;
    this.#taken += 3;
    const made = make(fields[at] as Utterance, fields[at + 1] as number, fields[at + 2] as number);
    fields[at] = undefined;
    if (this.#taken === fields.length) this.clear();
    return made;
  }

  clear(): void {
    this.#fields = [];
    this.#taken = 0;
    this.#textLength = 0;
  }
}
