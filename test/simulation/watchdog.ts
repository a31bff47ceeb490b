import { Worker } from 'node:worker_threads';

/** A seed takes a tenth of a second; so long only one that finds no end. */
const longestSeedMs = 120_000;

/** Looks from another thread, since one that finds no end lets this one do nothing. */
const lookout = `
const { workerData: { beat, longestMs } } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const words = new Int32Array(beat);
for (let seen = 0; ; seen = Atomics.load(words, 0)) {
  if (Atomics.wait(words, 0, seen, longestMs) !== 'timed-out') continue;
  const name = Buffer.from(beat, 8, words[1]).toString();
  writeSync(2, 'no end after ' + longestMs / 1000 + ' s: ' + name + '\\n');
  process.kill(process.pid, 'SIGKILL');
}`;

/** Ends the process where a seed finds no end, and says which: else it would wait for ever. */
export class Watchdog {
  readonly #beat = new SharedArrayBuffer(1_024);
  readonly #words = new Int32Array(this.#beat, 0, 2);
  readonly #name = new Uint8Array(this.#beat, 8);

  constructor(longestMs = longestSeedMs) {
    new Worker(lookout, { eval: true, execArgv: [], workerData: { beat: this.#beat, longestMs } }).unref();
  }

  /** What begins now, and has to end: the next one has to begin in time. */
  begins(name: string): void {
    this.#words[1] = new TextEncoder().encodeInto(name, this.#name).written;
    Atomics.add(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }
}
