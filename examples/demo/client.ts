/**
 * The client: plays the batch against the gateway, in real HTTP requests over loopback.
 *
 * Gateway time stands still while requests are under way and is moved on between them. Requests of the same second go
 * out together, those of one run after one another.
 */
import { Agent, request } from 'node:http';
import type { ManualClock } from 'mapsweep/testing';
import { type Action, type Batch, createRandom, type Operation } from './batch.ts';

const SOCKETS = 8;
const WARM_UP_REQUESTS = 300;

/** How far the batch is. */
export interface Progress {
  /** Requests answered, and to be sent. */
  sent: number;
  total: number;
  /** Gateway time since the start of the batch. */
  gatewayMs: number;
}

/** Talks to one gateway on 127.0.0.1. */
export class GatewayClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
  readonly #seed: number;
  readonly #words: string;

  constructor(port: number, seed: number) {
    this.#port = port;
    this.#seed = seed;
    this.#words = wordsOf(seed);
  }

  /** Sends requests that change nothing, so that neither side is measured while it compiles. */
  async warmUp(): Promise<void> {
    for (let index = 0; index < WARM_UP_REQUESTS; index++) await this.#post('/warm-up', { index });
  }

  /** Sends the whole batch. Resolves with the indexes of the runs that were at work and that the gateway had lost. */
  async play(
    batch: Batch,
    clock: ManualClock,
    onProgress: (progress: Progress) => void,
  ): Promise<Set<number>> {
    const lost = new Set<number>();
    const { operations } = batch;
    const total = operations.length;
    let gatewayMs = 0;
    let sent = 0;
    while (sent < total) {
      const { atMs } = operations[sent]!;
      let end = sent;
      while (end < total && operations[end]!.atMs === atMs) end++;
      await clock.advance(atMs - gatewayMs);
      gatewayMs = atMs;

      const lanes = new Map<number, Operation[]>();
      for (const operation of operations.slice(sent, end)) {
        const lane = lanes.get(operation.run);
        if (lane === undefined) lanes.set(operation.run, [operation]);
        else lane.push(operation);
      }
      await Promise.all(
        Array.from(lanes, async ([run, lane]) => {
          for (const operation of lane) {
            const known = await this.send(operation);
            if (operation.alive && !known) lost.add(run);
          }
        }),
      );
      sent = end;
      onProgress({ sent, total, gatewayMs });
    }
    await clock.advance(batch.endMs - gatewayMs);
    onProgress({ sent, total, gatewayMs: batch.endMs });
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

  /** Closes the sockets. */
  close(): void {
    this.#agent.destroy();
  }

  /** A text of its own for each run: it names the run, and goes on with words from where the seed says. */
  #text(runId: string, size: number): string {
    const random = createRandom(this.#seed ^ size);
    const from = Math.floor(random() * (this.#words.length - size));
    return `Run ${runId}. ${this.#words.slice(from, from + size)}`;
  }

  #post(path: string, body: Action | Record<string, unknown>): Promise<number> {
    const payload = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sending = request(
        {
          agent: this.#agent,
          host: '127.0.0.1',
          port: this.#port,
          method: 'POST',
          path,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
        },
        (response) => {
          response.resume();
          response.on('error', reject);
          response.on('end', () => resolve(response.statusCode ?? 0));
        },
      );
      sending.on('error', reject);
      sending.end(payload);
    });
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
