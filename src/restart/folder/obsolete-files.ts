import { join } from 'node:path';
import type { Ownership } from './ownership.js';
import { run, type Steps } from './steps.js';
import { removeFile } from './system-calls.js';

/** Files that are no part of the journal any more, until they are removed. */
export class ObsoleteFiles {
  readonly #ownership: Ownership;
  readonly #flushRest: () => Steps<void>;
  /** Their lengths by their names. */
  readonly #files = new Map<string, number>();
  #isRemoving = false;
  #isStopped = false;

  /** `flushRest` sees to it that all that has taken the files' place is on the disk. */
  constructor(ownership: Ownership, flushRest: () => Steps<void>) {
    this.#ownership = ownership;
    this.#flushRest = flushRest;
  }

  /** How many bytes they have. */
  get bytes(): number {
    let bytes = 0;
    for (const length of this.#files.values()) bytes += length;
    return bytes;
  }

  /** Adds files; they stay until `remove` is called. */
  add(files: readonly { readonly name: string; readonly bytes: number }[]): void {
    for (const { name, bytes } of files) this.#files.set(name, bytes);
  }

  /** Removes them, beside whatever is appended meanwhile. Those that cannot be removed stay for the next time. */
  remove(): void {
    if (!this.#isRemoving) run(this.#removal()).catch(() => {});
  }

  /** Leaves those that are still there to the next owner. */
  stop(): void {
    this.#isStopped = true;
  }

  *#removal(): Steps<void> {
    this.#isRemoving = true;
    try {
      while (this.#files.size > 0 && !this.#isStopped) {
        const names = [...this.#files.keys()];
        // After a power cut a name may be gone sooner than what has taken its place is there.
        yield* this.#flushRest();
        for (const name of names) {
          if (this.#isStopped) return;
          yield* this.#ownership.check();
          yield* removeFile(join(this.#ownership.folder, name));
          this.#files.delete(name);
        }
      }
    } finally {
      this.#isRemoving = false;
    }
  }
}
