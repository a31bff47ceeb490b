import type { Engine } from '../sweeping/engine.js';
import type { TimerTicket } from '../time/timer-queue.js';
import type { SnapshotFile } from './snapshot-file.js';
import type { RegistrySnapshot } from './snapshot-format.js';

/** Keeps the snapshot of a registry on disk: at an interval, and once more at the end. */
export class Persistence {
  readonly #engine: Engine;
  readonly #file: SnapshotFile;
  readonly #everyMs: number;
  readonly #take: () => RegistrySnapshot;
  #ticket: TimerTicket | undefined;
  #isWriting = false;

  constructor(engine: Engine, file: SnapshotFile, everyMs: number, take: () => RegistrySnapshot) {
    this.#engine = engine;
    this.#file = file;
    this.#everyMs = everyMs;
    this.#take = take;
    this.#schedule();
  }

  /** Writes the last snapshot and gives the file back. Failures are told, and hold nothing up. */
  async close(): Promise<void> {
    if (this.#ticket !== undefined) this.#engine.timers.cancel(this.#ticket);
    await this.#write();
    await this.#file.close();
  }

  #schedule(): void {
    const { timers, timeline } = this.#engine;
    this.#ticket = timers.schedule(timeline.now() + this.#everyMs, () => {
      this.#schedule();
      // A disk that is slower than the interval gets the next one: snapshots must not queue up.
      if (!this.#isWriting) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      await this.#file.write(this.#take());
    } catch (error) {
      this.#engine.failures.report('', 'persistTo', this.#file.path, error);
    } finally {
      this.#isWriting = false;
    }
  }
}
