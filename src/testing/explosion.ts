/** Below this a growth is no danger, however steep it is. */
const harmless = 1_000;

/** So many doublings in a row must have taken no longer and longer. */
const doublings = 4;

/** Looked at again when there is so much more than at the last look. */
const nextLook = 1.25;

/**
 * Sees that a map grows by a factor at each run, so that a check ends before the memory does: the latest doubling of
 * what has come took no more runs than those before. Where every run adds as much as the last one, or a little more,
 * each doubling takes longer.
 */
export class GrowthWatch {
  /** The size before the first run. */
  readonly base: number;
  readonly #grown: number[] = [];
  #lookAt = harmless;

  /** @param size of the map before the first run */
  constructor(size: number) {
    this.base = size;
  }

  /** How many runs it has seen. */
  get runs(): number {
    return this.#grown.length;
  }

  /** Notes the size of the map after a run, and returns whether it explodes. */
  explodes(size: number): boolean {
    const grown = size - this.base;
    this.#grown.push(grown);
    if (grown < this.#lookAt) return false;
    this.#lookAt = grown * nextLook;
    return this.#doublesAsFast();
  }

  #doublesAsFast(): boolean {
    let at = this.#grown.length - 1;
    const runs: number[] = [];
    for (let doubling = 0; doubling < doublings; doubling += 1) {
      const half = this.#lastAtMost((this.#grown[at] as number) / 2, at);
      if (half < 0 || (this.#grown[half] as number) < 1) return false;
      runs.push(at - half);
      at = half;
    }
    return (runs[0] as number) <= (runs.at(-1) as number) + 1;
  }

  #lastAtMost(grown: number, before: number): number {
    for (let at = before - 1; at >= 0; at -= 1) if ((this.#grown[at] as number) <= grown) return at;
    return -1;
  }
}
