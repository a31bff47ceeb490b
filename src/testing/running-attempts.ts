import { realSetTimeout } from '../time/real-timers.js';
import { activeResources, moreGoingOn } from './active-resources.js';
import type { Subject } from './subject.js';

/** How long a check waits for callbacks of which none comes to its end meanwhile. Real ms. */
const patienceMs = 1_000;
/** The same while something goes on in the process that did not before the check, such as a request. */
const patienceWhileBusyMs = 4_000;
const lookEveryMs = 2;

/**
 * The attempts to deliver, and the calls of `beforeSweep`, that run while a check does. What they wait for may be real, such
 * as the answer of a server: it takes real time, and fake time that passes meanwhile has them time out.
 */
export class RunningAttempts {
  readonly #subject: Subject;
  readonly #isAbandoned: () => boolean;
  readonly #before = activeResources();
  #isOutOfPatience = false;

  constructor(subject: Subject, isAbandoned: () => boolean) {
    this.#subject = subject;
    this.#isAbandoned = isAbandoned;
  }

  /**
   * Waits in real time until none runs; not for long where none gets any further, as one that waits for a fake clock, and
   * no more after that.
   */
  async settle(): Promise<void> {
    let outcomes = this.#outcomes();
    let waitedMs = 0;
    while (this.#isAnyRunning() && !this.#isOutOfPatience && !this.#isAbandoned()) {
      await new Promise((resolve) => realSetTimeout(resolve, lookEveryMs));
      const now = this.#outcomes();
      waitedMs = now === outcomes ? waitedMs + lookEveryMs : 0;
      outcomes = now;
      this.#isOutOfPatience =
        waitedMs >= patienceMs && (waitedMs >= patienceWhileBusyMs || moreGoingOn(this.#before).length === 0);
    }
  }

  #isAnyRunning(): boolean {
    if (this.#subject.engine.hooks.runningCount > 0) return true;
    const recipients = this.#subject.registry?.deliveries?.recipients ?? [];
    return recipients.some(({ notifier }) => {
      if (notifier.runningCount > 0) return true;
      // One that has timed out may succeed yet, and takes its dead letter back then.
      for (const { obligation } of notifier.letters()) if ((obligation?.unsettled ?? 0) > 0) return true;
      return false;
    });
  }

  #outcomes(): string {
    const { engine, registry } = this.#subject;
    const ofHooks = [...engine.trackers.values()].map(({ beforeSweepTotal }) => beforeSweepTotal);
    return [registry?.deliveries?.outcomes ?? {}, ...ofHooks]
      .flatMap((outcomes) => Object.values(outcomes))
      .join('/');
  }
}
