import { type Clock, giveWay } from '../time/clock.js';
import type { CallbackFailures } from './callback-failures.js';
import { counted, shownText } from './shown.js';
import { swallowRejection } from './unawaited.js';

/**
 * What the library writes lines to: pino, or anything that takes an object and then a message. Called synchronously after
 * state has changed; it may call back into the registry. What it throws is counted and goes no further.
 */
export interface Logger {
  /** Of what goes as it should: a start, an end. */
  info(fields: object, message: string): unknown;
  /** Of what somebody should know of. */
  warn(fields: object, message: string): unknown;
  /** Of what failed and needs somebody. */
  error(fields: object, message: string): unknown;
}

/** The methods of a {@link Logger}. */
export const logLevels = ['info', 'warn', 'error'] as const;

/** How bad it is. */
export type LogLevel = (typeof logLevels)[number];

/**
 * So many lines of one kind are written a second at most, of those that are limited. Each kind has its own limit, so that what comes
 * once is not crowded out by what repeats.
 */
const mostLinesASecond = 10;

interface Line {
  readonly level: LogLevel;
  readonly fields: { readonly event: string; readonly [field: string]: unknown };
  readonly message: string;
}

/**
 * The lines of one registry. None is written while another one is: what a logger that calls back into the registry sets off is
 * written in a later turn of the event loop, so that nothing recurses, and nothing loops within a turn.
 */
export class LogLines {
  readonly #logger: Logger;
  readonly #registry: string;
  readonly #clock: Clock;
  readonly #failures: CallbackFailures;
  #waiting: Line[] = [];
  #isWriting = false;
  #secondBeganAt = Number.NEGATIVE_INFINITY;
  /** By kind, those that were written. */
  readonly #inThisSecond = new Map<string, number>();
  /** By event, those that were too many in this second. */
  #leftOut = new Map<string, number>();

  constructor(logger: Logger, registry: string, clock: Clock, failures: CallbackFailures) {
    this.#logger = logger;
    this.#registry = shownText(registry);
    this.#clock = clock;
    this.#failures = failures;
  }

  /** Writes a line, however many there are. */
  write(level: LogLevel, fields: Line['fields'], message: string): void {
    const line = { level, fields, message };
    if (this.#isWriting) this.#postpone(line);
    else this.#hand(line);
  }

  /**
   * Writes a line, or counts it where there have been too many of its kind in this second.
   *
   * @param kind the event, or something narrower
   */
  writeLimited(level: LogLevel, fields: Line['fields'], message: string, kind = fields.event): void {
    this.tellLeftOut();
    const written = this.#inThisSecond.get(kind) ?? 0;
    if (written >= mostLinesASecond) {
      this.#leftOut.set(fields.event, (this.#leftOut.get(fields.event) ?? 0) + 1);
      return;
    }
    this.#inThisSecond.set(kind, written + 1);
    this.write(level, fields, message);
  }

  /**
   * Says how many lines were left out, if any were in a second that is over.
   *
   * @param isLast also of this second: nobody else will say it
   */
  tellLeftOut(isLast = false): void {
    const now = this.#clock.monotonic();
    const isOver = now - this.#secondBeganAt >= 1_000;
    if (isOver) {
      this.#secondBeganAt = now;
      this.#inThisSecond.clear();
    }
    if (this.#leftOut.size === 0 || !(isOver || isLast)) return;
    const leftOut = this.#leftOut;
    this.#leftOut = new Map();
    let count = 0;
    for (const ofEvent of leftOut.values()) count += ofEvent;
    const fields = { event: 'lines-left-out', count, of: Object.fromEntries(leftOut) };
    this.write(
      'warn',
      fields,
      `${counted(count, 'line was', 'lines were')} left out: at most ${mostLinesASecond} a second of each kind`,
    );
  }

  #postpone(line: Line): void {
    this.#waiting.push(line);
    if (this.#waiting.length > 1) return;
    void giveWay(this.#clock).then(() => {
      for (const waiting of this.#waiting.splice(0))
        this.write(waiting.level, waiting.fields, waiting.message);
    });
  }

  #hand({ level, fields, message }: Line): void {
    const failed = (error: unknown) => this.#failures.reportOnce('', 'logger', undefined, error);
    this.#isWriting = true;
    try {
      const result = this.#logger[level]({ registry: this.#registry, ...fields }, `mapsweep: ${message}`);
      swallowRejection(result, failed);
    } catch (error) {
      failed(error);
    } finally {
      this.#isWriting = false;
    }
  }
}
