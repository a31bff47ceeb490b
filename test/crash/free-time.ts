import { stat } from 'node:fs';

/** The event loop and the thread pool count as free while a call through both takes no longer than this, ms. */
const freeWithinMs = 25;
const probeEveryMs = 5;

/** How long this process has had a free event loop, thread pool and disk: on a busy machine nobody has. */
export class FreeTime {
  readonly #path: string;
  #askedAt = performance.now();
  #freeSince = performance.now();

  /** @param path a file or folder, which is asked about again and again */
  constructor(path: string) {
    this.#path = path;
    this.#probe();
  }

  /** How long it has been free without a break since an instant, ms; 0 if there was a break. */
  since(instant: number): number {
    const now = performance.now();
    this.#judge(now);
    return this.#freeSince <= instant ? now - instant : 0;
  }

  #probe(): void {
    this.#askedAt = performance.now();
    stat(this.#path, () => {
      this.#judge(performance.now());
      this.#askedAt = performance.now();
      setTimeout(() => {
        this.#judge(performance.now() - probeEveryMs);
        this.#probe();
      }, probeEveryMs);
    });
  }

  #judge(now: number): void {
    if (now - this.#askedAt > freeWithinMs) this.#freeSince = now;
  }
}
