import { createHash } from 'node:crypto';

const tailLength = 60;

/**
 * What happened in a run, line by line: the last lines, and a hash over all of them. Ids are random, so they are told
 * by the order in which they came up.
 */
export class Trace {
  readonly #hash = createHash('sha1');
  readonly #tail: string[] = [];
  readonly #ordinals = new Map<string, number>();
  #length = 0;
  readonly #print: ((line: string) => void) | undefined;

  /** `print` gets every line as it comes. */
  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  /** How many lines there were. */
  get length(): number {
    return this.#length;
  }

  add(line: string): void {
    this.#length += 1;
    this.#hash.update(line);
    this.#hash.update('\n');
    this.#tail.push(line);
    if (this.#tail.length > tailLength) this.#tail.shift();
    this.#print?.(line);
  }

  /** `#1` for the first id that came up. */
  id(id: string): string {
    let ordinal = this.#ordinals.get(id);
    if (ordinal === undefined) {
      ordinal = this.#ordinals.size + 1;
      this.#ordinals.set(id, ordinal);
    }
    return `#${ordinal}`;
  }

  /** The last lines. */
  tail(): string[] {
    return [...this.#tail];
  }

  /** To be called once, at the end. */
  hash(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }
}
