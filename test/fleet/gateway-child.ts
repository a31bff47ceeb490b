/**
 * One gateway of the fleet: a process whose runs come and go by themselves, with its journal in PostgreSQL and two
 * recipients, an outbox there and a queue of BullMQ.
 */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import { toBullQueue } from '../../src/bullmq.js';
import { createRegistry } from '../../src/index.js';
import { postgresJournal, toOutbox } from '../../src/postgres.js';
import type { BeginGateway, GatewayCommand, GatewayWord } from './protocol.js';

const say = (word: GatewayWord): void => void process.send?.(word);
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code);

/** How often runs are registered and ended, ms. */
const everyMs = 50;
const longestRunMs = 3_000;

process.once('message', (begin: BeginGateway) => {
  live(begin).catch((error: Error) => {
    say({ kind: 'failed', code: codeOf(error), message: error.message });
    // Disconnecting lets the word out first.
    process.exitCode = 1;
    process.disconnect?.();
    setTimeout(() => process.exit(1), 100).unref();
  });
});

async function live(begin: BeginGateway): Promise<void> {
  const { connection, redisPort, queue: name, instance, takeOverAfterMs, decodes, runsASecond } = begin;
  const pool = new pg.Pool({ ...connection, max: 6, connectionTimeoutMillis: 2_000 });
  const redis = new Redis({
    host: '127.0.0.1',
    port: redisPort,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    retryStrategy: () => 200,
  });
  redis.on('error', () => {});
  const queue = new Queue(name, {
    connection: redis,
    defaultJobOptions: { attempts: 1_000, backoff: 200 },
  });
  queue.on('error', () => {});
  const registry = createRegistry<{ runs: Map<string, { n: number }> }>({
    maps: {
      runs: {
        maxIdle: longestRunMs,
        persist: {
          encode: (value: { n: number }) => value,
          ...(decodes && { decode: (json: unknown) => json as { n: number } }),
        },
      },
    },
    sweepEvery: '500ms',
    ended: {
      map: 'runs',
      deliver: { outbox: toOutbox(pool), jobs: toBullQueue(queue) },
      idempotent: true,
      minDelay: '50ms',
      maxDelay: '500ms',
    },
    persistTo: await postgresJournal(pool, { instance, takeOverAfter: takeOverAfterMs, maxWait: '1s' }),
    restoreWindow: '3s',
  });
  registry.on('journal-failed', ({ error }) =>
    say({ kind: 'failed', code: codeOf(error), message: (error as Error).message }),
  );
  registry.on('dead-letter', ({ letter: { recipient, cause } }) =>
    say({ kind: 'dead letter', recipient, cause }),
  );
  const churn = new Churn(registry.maps.runs, (key) => registry.end(key), `${instance}/${process.pid}`);
  let timer: NodeJS.Timeout | undefined;
  process.on('message', (command: GatewayCommand) => {
    clearInterval(timer);
    const runs = command === 'go' ? (runsASecond * everyMs) / 1_000 : 0;
    if (command === 'wind down') churn.endAll();
    timer = setInterval(() => churn.turn(runs), everyMs);
  });
  say({ kind: 'ready' });
}

/** Registers runs, and ends each of them in one of the ways in which runs end. */
class Churn {
  readonly #runs: Map<string, { n: number }>;
  readonly #end: (key: string) => unknown;
  readonly #prefix: string;
  readonly #due: { readonly at: number; readonly key: string }[] = [];
  #registered = 0;
  #owed = 0;

  constructor(runs: Map<string, { n: number }>, end: (key: string) => unknown, prefix: string) {
    this.#runs = runs;
    this.#end = end;
    this.#prefix = prefix;
  }

  turn(more: number): void {
    const now = performance.now();
    for (const due of this.#due.splice(0)) {
      if (due.at > now) this.#due.push(due);
      else this.#over(due.key);
    }
    for (this.#owed += more; this.#owed >= 1; this.#owed -= 1) {
      this.#registered += 1;
      const key = `${this.#prefix}/${this.#registered}`;
      this.#runs.set(key, { n: this.#registered });
      const way = Math.random();
      // One in ten is left to the sweeper, and one in ten ends in the turn that it began in.
      if (way < 0.1) this.#over(key);
      else if (way < 0.9) this.#due.push({ at: now + Math.random() * longestRunMs, key });
    }
  }

  endAll(): void {
    for (const key of [...this.#runs.keys()]) this.#over(key);
  }

  #over(key: string): void {
    if (Math.random() < 0.7) this.#end(key);
    this.#runs.delete(key);
  }
}
