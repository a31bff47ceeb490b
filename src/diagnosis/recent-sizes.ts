/** So many sizes are kept; of more, each is that of twice the time. */
const mostKept = 48;

/**
 * The sizes of something since it began to be watched, the smallest of each step. Steps double as time goes by, so that
 * it never takes more room.
 */
export class RecentSizes {
  readonly #originAt: number;
  #stepMs: number;
  /** The step of the latest, counted from the origin. */
  #step = -1;
  #floors: number[] = [];

  /**
   * @param originAt when the first step began, monotonic ms
   * @param stepMs how long the steps are at first
   */
  constructor(originAt: number, stepMs: number) {
    this.#originAt = originAt;
    this.#stepMs = stepMs;
  }

  /** What is kept, oldest first; of steps in which nothing was added there is none. */
  get floors(): readonly number[] {
    return this.#floors;
  }

  /** Takes the size as it is now. */
  add(at: number, size: number): void {
    const latest = this.#floors.length - 1;
    if (this.#stepAt(at) === this.#step) {
      this.#floors[latest] = Math.min(this.#floors[latest] as number, size);
      return;
    }
    if (this.#floors.length === mostKept) this.#double();
    this.#step = this.#stepAt(at);
    this.#floors.push(size);
  }

  #stepAt(at: number): number {
    return Math.floor((at - this.#originAt) / this.#stepMs);
  }

  #double(): void {
    const { length } = this.#floors;
    this.#stepMs *= 2;
    this.#floors = Array.from({ length: length / 2 }, (_, index) =>
      Math.min(this.#floors[2 * index] as number, this.#floors[2 * index + 1] as number),
    );
  }
}
