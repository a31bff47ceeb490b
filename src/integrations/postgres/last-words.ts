import { createRequire } from 'node:module';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { MapsweepError } from '../../errors.js';
import { describe } from '../../events/shown.js';
import { connectsByItself, type PostgresClient, type PostgresPool } from './database.js';

/** Last words that have not been taken after so long are given up, ms: the process has to end. */
const longestMs = 5_000;

/** Runs in a thread of its own, on a connection of its own, while the one that speaks waits. */
const threadSource = `
const { workerData: { driver, config, text, values, port, signal } } = require('node:worker_threads');
const answer = (message) => {
  port.postMessage(message);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
};
(async () => {
  const { Client } = require(driver);
  const client = new Client(config);
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query(text, values);
  await client.end();
  return rows;
})().then(
  (rows) => answer({ rows }),
  (error) => answer({ error: String(error && error.message), code: error && error.code }),
);
`;

/**
 * Runs one statement on the caller's time, in a thread of its own with a connection of its own: for the last words of a
 * process, since the driver knows no other way to wait.
 *
 * @param client an open connection of the pool, for a password that a function has given
 * @param patienceMs for how long it may try; 5 s at most
 * @throws MapsweepError `ERR_JOURNAL_IO`
 */
export function askNow(
  pool: PostgresPool,
  client: PostgresClient | undefined,
  text: string,
  values: readonly unknown[],
  patienceMs = longestMs,
): readonly Record<string, unknown>[] {
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(4));
  let worker: Worker | undefined;
  try {
    const driver = createRequire(import.meta.url).resolve('pg');
    const mostMs = Math.min(patienceMs, longestMs);
    const config = { ...configOf(pool, client), connectionTimeoutMillis: mostMs };
    worker = new Worker(threadSource, {
      eval: true,
      execArgv: [],
      workerData: { driver, config, text, values, port: port2, signal },
      transferList: [port2],
    });
    worker.unref();
    worker.on('error', () => {});
    if (Atomics.wait(signal, 0, 0, mostMs) === 'timed-out') throw new Error(`no answer within ${mostMs} ms`);
    const { rows, error } = receiveMessageOnPort(port1)?.message ?? {};
    if (rows === undefined) throw new Error(error ?? 'no answer');
    return rows;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : describe(cause);
    throw new MapsweepError(
      'ERR_JOURNAL_IO',
      `persistTo: what was said last could not be written to PostgreSQL: ${message}. close() in time needs no ` +
        'second connection for it',
      { cause },
    );
  } finally {
    port1.close();
    void worker?.terminate();
  }
}

/** What another thread needs to connect as the pool does. Functions cannot go there. */
function configOf(pool: PostgresPool, client: PostgresClient | undefined): Record<string, unknown> {
  const options = pool.options as Record<string, unknown>;
  if (connectsByItself(pool))
    throw new Error('the pool makes its connections in a way that another thread cannot');
  const config: Record<string, unknown> = {};
  for (const name of [
    'connectionString',
    'host',
    'port',
    'user',
    'database',
    'ssl',
    'application_name',
    'options',
  ]) {
    if (options[name] !== undefined) config[name] = withoutFunctions(options[name]);
  }
  const known = (client as { password?: unknown } | undefined)?.password;
  const { password } = options;
  config.password = typeof password === 'string' ? password : typeof known === 'string' ? known : undefined;
  return config;
}

function withoutFunctions(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const plain: Record<string, unknown> = {};
  for (const name of Object.getOwnPropertyNames(value)) {
    const part = (value as Record<string, unknown>)[name];
    if (typeof part !== 'function') plain[name] = part;
  }
  return plain;
}
