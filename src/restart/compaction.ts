import type { Journal } from './journal.js';

/** So much may lie in a journal beside twice what is live, before it is written anew. */
const slackBytes = 3 * 1024 * 1024;

/** Says when a journal has to be written anew: when what is of no use any more is as much as what is. */
export class Compaction {
  readonly #journal: Journal;
  readonly #liveBytes: () => number;
  #bytesAfterLast = 0;

  /** @param liveBytes estimates how much the journal would hold if it were written anew */
  constructor(journal: Journal, liveBytes: () => number) {
    this.#journal = journal;
    this.#liveBytes = liveBytes;
  }

  get isDue(): boolean {
    const { size } = this.#journal;
    // What is live is only estimated: where that is far too little, a checkpoint would follow a checkpoint.
    if (size <= 1.5 * this.#bytesAfterLast + slackBytes / 2) return false;
    return size > 2 * this.#liveBytes() + slackBytes;
  }

  /** It was written anew. */
  done(): void {
    this.#bytesAfterLast = this.#journal.size;
  }
}
