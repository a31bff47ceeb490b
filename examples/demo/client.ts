/**
 * The client: plays the batch against the gateway, in real HTTP requests over loopback.
 *
 * Gateway time stands still while requests are under way and is moved on between them. Requests of the same second go
 * out together, those of one run after one another.
 */
import type { ManualClock } from 'mapsweep/testing';
import { BATCH_STARTS_AT, type Batch, createRandom, type Operation } from './batch.ts';
import { HttpLane } from './http-lane.ts';

const CONNECTIONS = 8;
const WARM_UP_REQUESTS = 100;

/** How far the batch is. */
export interface Progress {
  /** Requests answered, and to be sent. */
  sent: number;
  total: number;
  /** Gateway time since the start of the batch. */
  gatewayMs: number;
}

/** How a batch is played. */
export interface Playing {
  /** Requests before this one have been answered, in an earlier life of the gateway. Default 0. */
  from?: number;
  /** Called before the clock is moved on to the next requests. */
  beforeStep?: (progress: Progress) => void;
  /** Called when the requests of a second have been answered, and at the end. */
  onProgress?: (progress: Progress) => void;
}

/** Talks to one gateway on 127.0.0.1. */
export class GatewayClient {
  readonly #lanes: readonly HttpLane[];
  readonly #seed: number;
  readonly #words: string;
  #sent = 0;

  constructor(port: number, seed: number) {
    this.#lanes = Array.from({ length: CONNECTIONS }, () => new HttpLane(port));
    this.#seed = seed;
    this.#words = wordsOf(seed);
  }

  /** Sends requests that change nothing, so that neither side is measured while it compiles. */
  async warmUp(): Promise<void> {
    for (let index = 0; index < WARM_UP_REQUESTS; index++) await this.#post('/warm-up', { index });
  }

  /**
   * Sends the batch, and lets its time pass to the end. Resolves with the indexes of the runs that were at work and that
   * the gateway had lost. Requests whose time is over when it begins, since the gateway was down, go out at once.
   */
  async play(
    batch: Batch,
    clock: ManualClock,
    { from = 0, beforeStep, onProgress }: Playing = {},
  ): Promise<Set<number>> {
    const lost = new Set<number>();
    const { operations } = batch;
    const total = operations.length;
    const advanceTo = (atMs: number) => clock.advance(Math.max(0, BATCH_STARTS_AT + atMs - clock.now()));
    let sent = from;
    while (sent < total) {
      const { atMs } = operations[sent]!;
      let end = sent;
      while (end < total && operations[end]!.atMs === atMs) end++;
      beforeStep?.({ sent, total, gatewayMs: atMs });
      await advanceTo(atMs);

      const byRun = new Map<number, Operation[]>();
      for (const operation of operations.slice(sent, end)) {
        const ofRun = byRun.get(operation.run);
        if (ofRun === undefined) byRun.set(operation.run, [operation]);
        else ofRun.push(operation);
      }
      await Promise.all(
        Array.from(byRun, async ([run, ofRun]) => {
          for (const operation of ofRun) {
            const known = await this.send(operation);
            if (operation.alive && !known) lost.add(run);
          }
        }),
      );
      sent = end;
      onProgress?.({ sent, total, gatewayMs: atMs });
    }
    await advanceTo(batch.endMs);
    onProgress?.({ sent, total, gatewayMs: batch.endMs });
    return lost;
  }

  /** Sends one request. Resolves with whether the gateway knew the run. */
  async send({ runId, action }: Pick<Operation, 'runId' | 'action'>): Promise<boolean> {
    const run = `/runs/${encodeURIComponent(runId)}`;
    const status = await (() => {
      switch (action.kind) {
        case 'spawn':
          return this.#post('/runs', { runId, mode: action.mode });
        case 'start':
          return this.#post(`${run}/events`, { type: 'start', prompt: this.#text(runId, action.promptSize) });
        case 'event':
          return this.#post(`${run}/events`, { type: 'tool' });
        case 'error':
          return this.#post(`${run}/error`, { error: 'overloaded' });
        case 'restart':
          return this.#post(`${run}/restart`, { to: action.to });
        case 'end':
          return this.#post(`${run}/end`, {
            outcome: action.outcome,
            result: this.#text(runId, action.resultSize),
          });
        case 'cleanup':
          return this.#post(`${run}/cleanup`, {});
      }
    })();
    if (status !== 204 && status !== 404)
      throw new Error(`${action.kind} of ${runId}: the gateway answered ${status}`);
    return status === 204;
  }

  /** Closes the connections. */
  close(): void {
    for (const lane of this.#lanes) lane.close();
  }

  /** A text of its own for each run: it names the run, and goes on with words from where the seed says. */
  #text(runId: string, size: number): string {
    const random = createRandom(this.#seed ^ size);
    const from = Math.floor(random() * (this.#words.length - size));
    return `Run ${runId}. ${this.#words.slice(from, from + size)}`;
  }

  #post(path: string, body: Readonly<Record<string, unknown>>): Promise<number> {
    return this.#lanes[this.#sent++ % CONNECTIONS]!.post(path, body);
  }
}

/** Prose enough to cut prompts from. */
function wordsOf(seed: number): string {
  const random = createRandom(seed);
  const syllables = [
    'ga',
    'te',
    'way',
    'run',
    'map',
    'sweep',
    'er',
    'ly',
    'no',
    'ti',
    'fy',
    'con',
    'text',
    'ed',
  ];
  let words = '';
  while (words.length < 128 * 1024) {
    const length = 1 + Math.floor(random() * 3);
    for (let index = 0; index < length; index++) words += syllables[Math.floor(random() * syllables.length)];
    words += ' ';
  }
  return words;
}
