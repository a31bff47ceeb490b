interface Wait {
  readonly upTo: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Who waits until so many utterances are written. */
export class FlushWaits {
  #waits: Wait[] = [];

  /** Resolves when so many are. */
  until(upTo: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waits.push({ upTo, resolve, reject });
    });
  }

  /** So many are. */
  written(count: number): void {
    const reached = this.#waits.filter(({ upTo }) => upTo <= count);
    this.#waits = this.#waits.filter(({ upTo }) => upTo > count);
    for (const { resolve } of reached) resolve();
  }

  /** They cannot be written at present. */
  reject(error: unknown): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const wait of waits) wait.reject(error);
  }
}
