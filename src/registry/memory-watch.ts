import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Worker } from 'node:worker_threads';
import type { MemoryPressureEvent } from '../events/event-bus.js';
import { detached } from '../time/async-context.js';
import { giveWay } from '../time/clock.js';
import type { RegistryInternals } from './internals.js';
import type { CompiledMemory } from './memory-options.js';
import { type MemoryReadings, ProcessReadings, type Taken } from './memory-readings.js';
import { memoryReportOf, type ReportFacts } from './memory-report.js';
import { newReportPath, writeReport } from './memory-report-files.js';

/** After so many registrations it is looked again. */
const registrationsALook = 1_000;
/** So far it has to fall below `warnAt` before the next warning: a saw-tooth around it tells once. */
const releaseShare = 0.05;
/** The growth of a map is told from as long ago. */
const growthMs = 3_600_000;

type Kind = MemoryPressureEvent['kind'];
type MemoryPressure = ReportFacts['pressure'];

interface Sizes {
  /** Monotonic ms. */
  readonly at: number;
  readonly sizes: ReadonlyMap<string, number>;
}

const sizesOf = ({ engine, watched }: RegistryInternals): Sizes => ({
  at: engine.timeline.now(),
  // No map and watched size have one name.
  sizes: new Map([
    ...[...engine.trackers].map(([name, tracker]) => [name, tracker.native.size()] as const),
    ...watched.all().map(({ name, size }) => [name, size] as const),
  ]),
});

/** A crossed threshold, which has yet to be told. */
interface Crossing extends Taken {
  readonly kind: Kind;
  readonly isWarning: boolean;
  readonly isToShed: boolean;
}

/**
 * Watches the memory of the process, and says before it is full who has it.
 *
 * It is looked at after each major collection, in a turn of its own, with each sweep, and every 1,000 registrations. The
 * last may be in the midst of somebody's `set`: what they find is told in a later turn of the event loop. After maps have shed
 * nothing more is shed before the next major collection, which alone shows what came of it.
 */
export class MemoryWatch {
  readonly #parts: RegistryInternals;
  readonly #options: CompiledMemory;
  readonly #readings: MemoryReadings;
  readonly #warned = new Set<Kind>();
  readonly #afterPass = (): void => this.#passFinished();
  /** The sizes of the maps an hour or two ago, or when it began, and those that are to be an hour old. */
  #past: Sizes;
  #latest: Sizes;
  #registrationsLeft = registrationsALook;
  #shedAfter = -1;
  #isTelling = false;
  #isWriting = false;
  #workers = 0;

  constructor(
    parts: RegistryInternals,
    options: CompiledMemory,
    readings: MemoryReadings = new ProcessReadings(),
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#readings = readings;
    this.#latest = sizesOf(parts);
    this.#past = this.#latest;
  }

  /** Begins watching. */
  start(): void {
    const { engine } = this.#parts;
    engine.memory = this;
    engine.afterPass.add(this.#afterPass);
    subscribe('worker_threads', this.#workerStarted);
    this.#readings.start((delayMs) => this.#tellAll(delayMs));
  }

  /** Watches no more. Idempotent. */
  stop(): void {
    const { engine } = this.#parts;
    engine.memory = undefined;
    engine.afterPass.delete(this.#afterPass);
    unsubscribe('worker_threads', this.#workerStarted);
    this.#readings.stop();
  }

  /** An entry was registered in one of the maps. */
  registered(): void {
    this.#registrationsLeft -= 1;
    if (this.#registrationsLeft > 0) return;
    this.#registrationsLeft = registrationsALook;
    this.#look();
  }

  readonly #workerStarted = (message: unknown): void => {
    this.#workers += 1;
    (message as { worker: Worker }).worker.once('exit', () => {
      this.#workers -= 1;
    });
  };

  #passFinished(): void {
    this.#readings.readLimits();
    this.#look();
    if (this.#parts.engine.timeline.now() - this.#latest.at < growthMs) return;
    this.#past = this.#latest;
    this.#latest = sizesOf(this.#parts);
  }

  #look(): void {
    if (this.#isTelling || this.#crossings().length === 0) return;
    this.#isTelling = true;
    const { timeline } = this.#parts.engine;
    const lookedAt = timeline.now();
    void detached(() => giveWay(timeline.clock)).then(() => {
      this.#isTelling = false;
      this.#tellAll(timeline.now() - lookedAt);
    });
  }

  /** There was a major collection since something was shed. */
  get #mayShed(): boolean {
    return this.#readings.collections > this.#shedAfter;
  }

  #crossings(): Crossing[] {
    return [
      this.#crossing('heap', this.#readings.heap()),
      this.#crossing('rss', this.#readings.resident()),
    ].filter((crossing) => crossing !== undefined);
  }

  #tellAll(delayMs: number): void {
    try {
      for (const crossing of this.#crossings()) this.#tell(crossing, delayMs);
    } catch (error) {
      this.#parts.engine.failures.report('', 'memory', undefined, error);
    }
  }

  #crossing(kind: Kind, taken: Taken | undefined): Crossing | undefined {
    if (taken === undefined) return undefined;
    const { warnAt, shedAt } = this.#options;
    const ratio = taken.usedBytes / taken.limitBytes;
    if (ratio < warnAt - releaseShare) this.#warned.delete(kind);
    const isWarning = ratio >= warnAt && !this.#warned.has(kind);
    const isToShed = ratio >= shedAt && this.#mayShed;
    return isWarning || isToShed ? { ...taken, kind, isWarning, isToShed } : undefined;
  }

  #tell({ kind, usedBytes, limitBytes, isWarning, ...crossing }: Crossing, delayMs: number): void {
    const { engine } = this.#parts;
    // It was stopped meanwhile.
    if (engine.memory !== this) return;
    if (isWarning) this.#warned.add(kind);
    // What the heap has had shed need not be shed again for the resident set.
    const isToShed = crossing.isToShed && this.#mayShed;
    const shedding = isToShed ? this.#shed() : [];
    if (!isWarning && shedding.length === 0) return;
    const pressure = {
      kind,
      level: isToShed ? ('shed' as const) : ('warn' as const),
      ratio: usedBytes / limitBytes,
      usedBytes,
      limitBytes,
    };
    const report = isWarning ? this.#report(pressure, delayMs) : undefined;
    engine.bus.emit('memory-pressure', { ...pressure, shedding, report });
  }

  /** Has the maps that may shed evict a tenth. Returns which, and how many entries at most. */
  #shed(): MemoryPressureEvent['shedding'] {
    const { engine } = this.#parts;
    this.#shedAfter = this.#readings.collections;
    if (engine.isStopped) return [];
    return [...engine.trackers.values()].flatMap((tracker) => {
      const entries = engine.capacity.shed(tracker);
      return entries > 0 ? [{ map: tracker.name, entries }] : [];
    });
  }

  /** Begins to write a report, unless one is being written. Returns its path. */
  #report(pressure: MemoryPressure, delayMs: number): string | undefined {
    const { reportTo } = this.#options;
    if (reportTo === undefined || this.#isWriting) return undefined;
    try {
      return this.#beginReport(reportTo, pressure, delayMs);
    } catch (error) {
      // What says how full the memory is has to be said without it.
      this.#parts.engine.failures.report('', 'reportTo', undefined, error);
      return undefined;
    }
  }

  #beginReport(reportTo: string, pressure: MemoryPressure, delayMs: number): string {
    const { timeline, failures } = this.#parts.engine;
    const { at, sizes } = this.#past;
    const hours = Math.max(timeline.now() - at, 1_000) / 3_600_000;
    const { text, data } = memoryReportOf(this.#parts, {
      pressure,
      heapBytes: this.#readings.heap()?.usedBytes,
      perHour: (map, size) => (size - (sizes.get(map) ?? 0)) / hours,
      workers: this.#workers,
      delayMs,
    });
    const path = newReportPath(reportTo, timeline.clock.now());
    this.#isWriting = true;
    void writeReport(reportTo, path, text, `${JSON.stringify(data, undefined, 2)}\n`)
      .catch((error: unknown) => failures.report('', 'reportTo', undefined, error))
      .finally(() => {
        this.#isWriting = false;
      });
    return `${path}.txt`;
  }
}

/** Begins to watch the memory of the process for a registry. */
export function startMemoryWatch(parts: RegistryInternals, options: CompiledMemory): MemoryWatch {
  const watch = new MemoryWatch(parts, options);
  watch.start();
  return watch;
}
