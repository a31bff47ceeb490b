/**
 * A seeded source of random numbers: sfc32 ("small fast counter") by Chris Doty-Humphrey, of PractRand, public domain
 * (http://pracrand.sourceforge.net; in JavaScript: https://github.com/bryc/code/blob/master/jshash/PRNGs.md).
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Sources of the same seed, an integer, give the same numbers. */
  constructor(seed: number) {
    this.#a = 0x9e3779b9;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = seed | 0;
    // As PractRand does: until neighbouring seeds have nothing in common any more.
    for (let round = 0; round < 12; round += 1) this.next();
  }

  /** In [0, 1). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)] as T;
  }

  /** One of the names, each as likely as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return entries.at(-1)![0];
  }

  /** A source of its own, so that how often one consumer asks changes nothing for the others. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32) + Math.floor(this.next() * 2 ** 20) * 2 ** 32);
  }
}
