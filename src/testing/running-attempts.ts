import { realSetTimeout } from '../time/real-timers.js';
import type { Subject } from './subject.js';

/** How long a check waits in all for attempts of which none comes to its end meanwhile. Real ms. */
const patienceMs = 1_000;
const lookEveryMs = 2;

/**
 * The attempts to deliver that run while a check does. What they wait for may be real, such as the answer of a server: it
 * takes real time, and fake time that passes meanwhile has them time out.
 */
export class RunningAttempts {
  readonly #subject: Subject;
  #patienceMs = patienceMs;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** Waits in real time until none runs; not for long where none gets any further, as one that waits for a fake clock. */
  async settle(): Promise<void> {
    let outcomes = this.#outcomes();
    while (this.#isAnyRunning() && this.#patienceMs > 0) {
      await new Promise((resolve) => realSetTimeout(resolve, lookEveryMs));
      const now = this.#outcomes();
      if (now === outcomes) this.#patienceMs -= lookEveryMs;
      outcomes = now;
    }
  }

  #isAnyRunning(): boolean {
    const recipients = this.#subject.registry?.deliveries?.recipients ?? [];
    return recipients.some(({ notifier }) => {
      if (notifier.runningCount > 0) return true;
      // One that has timed out may succeed yet, and takes its dead letter back then.
      for (const { obligation } of notifier.letters()) if ((obligation?.unsettled ?? 0) > 0) return true;
      return false;
    });
  }

  #outcomes(): string {
    return Object.values(this.#subject.registry?.deliveries?.outcomes ?? {}).join('/');
  }
}
