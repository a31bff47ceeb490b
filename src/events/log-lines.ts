import { type Clock, giveWay } from '../time/clock.js';
import type { CallbackFailures } from './callback-failures.js';
import { shownText } from './shown.js';
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

/** So many lines a second are written at most, of those that are limited. */
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
  #inThisSecond = 0;
  /** By event, those that were one too many. */
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

  /** Writes a line, or counts it where there have been too many in this second. */
  writeLimited(level: LogLevel, fields: Line['fields'], message: string): void {
    if (!this.#hasRoom()) {
      this.#leftOut.set(fields.event, (this.#leftOut.get(fields.event) ?? 0) + 1);
      return;
    }
    this.tellLeftOut();
    this.#inThisSecond += 1;
    this.write(level, fields, message);
  }

  /**
   * Says how many lines were left out, if any were and that has not been said.
   *
   * @param isLast also if there were too many in this second: nobody else will say it
   */
  tellLeftOut(isLast = false): void {
    if (this.#leftOut.size === 0) return;
    this.#beginSecond();
    if (this.#inThisSecond >= mostLinesASecond && !isLast) return;
    const leftOut = this.#leftOut;
    this.#leftOut = new Map();
    let count = 0;
    for (const ofEvent of leftOut.values()) count += ofEvent;
    this.#inThisSecond += 1;
    const fields = { event: 'lines-left-out', count, of: Object.fromEntries(leftOut) };
    this.write('warn', fields, `${count} lines were left out: at most ${mostLinesASecond} a second`);
  }

  #beginSecond(): void {
    const now = this.#clock.monotonic();
    if (now - this.#secondBeganAt < 1_000) return;
    this.#secondBeganAt = now;
    this.#inThisSecond = 0;
  }

  #hasRoom(): boolean {
    this.#beginSecond();
    // What was left out before has a line of its own.
    return this.#inThisSecond + (this.#leftOut.size > 0 ? 1 : 0) < mostLinesASecond;
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
