/**
 * The consumer of the fleet: drains the outbox and works off the queue. What it does is a row for each ending, and a row
 * for each job, in tables without a key that would hide a second one.
 */
import { Worker } from 'bullmq';
import pg from 'pg';
import { drainOutbox } from '../../src/postgres.js';
import type { BeginConsumer } from './protocol.js';

process.once('message', ({ connection, redisPort, queue }: BeginConsumer) => {
  const pool = new pg.Pool({ ...connection, max: 8, connectionTimeoutMillis: 2_000 });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  void drainOutbox(
    pool,
    ({ id, key, reason }, client: pg.PoolClient) =>
      client.query('insert into public.effects (id, key, reason) values ($1, $2, $3)', [id, key, reason]),
    { every: '50ms', minDelay: '100ms', maxDelay: '1s' },
  );
  const worker = new Worker(
    queue,
    // BullMQ does a job again that Redis has not heard the end of: by its id and the instant at which it was made it is
    // known. A job that was made twice has another instant, and is a row of its own.
    ({ id, timestamp, data }) =>
      pool.query(
        `insert into public.job_effects as known (job, made_at, id, key, reason) values ($1, $2, $3, $4, $5)
         on conflict (job, made_at) do update set times = known.times + 1`,
        [id, timestamp, data.id, data.key, data.reason],
      ),
    {
      connection: { host: '127.0.0.1', port: redisPort, retryStrategy: () => 200 },
      concurrency: 8,
      lockDuration: 3_000,
      stalledInterval: 2_000,
      maxStalledCount: 1_000,
    },
  );
  worker.on('error', () => {});
  process.send?.({ kind: 'ready' });
});
