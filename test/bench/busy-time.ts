import { stopwatch } from './shifted-time.js';

/**
 * Measures time that this process was busy: the smaller of the time that passed and of the time its threads ran. On a
 * machine that is busy with other things the first counts theirs; the second counts our own helper threads besides. The
 * main thread was busy for no longer than either.
 */
export class BusyTime {
  #began = stopwatch();
  #cpu = process.cpuUsage();

  /** What has passed since it was made or restarted, ms. */
  get wallMs(): number {
    return stopwatch() - this.#began;
  }

  /** How much of that this process was busy at most, ms. */
  get busyMs(): number {
    const wallMs = this.wallMs;
    const { user, system } = process.cpuUsage(this.#cpu);
    return Math.min(wallMs, (user + system) / 1_000);
  }

  restart(): void {
    this.#cpu = process.cpuUsage();
    this.#began = stopwatch();
  }
}
