/** A file of JSON lines that is only ever appended to, and read again by the next life of the process. */
import { existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';

/** Reads the lines that are whole. */
export function readLines<Line>(path: string): Line[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

/** Appends lines of JSON. */
export class DurableLines<Line> {
  readonly #file: number;

  /** Opens the file, or makes it. Half a line, left by a kill in the middle of a write, is cut off. */
  constructor(path: string) {
    this.#file = openSync(path, 'a');
    const text = readFileSync(path);
    truncateSync(path, text.lastIndexOf('\n') + 1);
  }

  /** What is written survives the process; what is flushed survives the machine as well. */
  append(line: Line, { flush = false }: { flush?: boolean } = {}): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
    if (flush) fsyncSync(this.#file);
  }
}
