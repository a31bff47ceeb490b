/** What the blocks of this chapter presume. They are run where PostgreSQL and Redis are. */
import assert from 'node:assert/strict';
import type { Job, Queue, Worker } from 'bullmq';
import type { Registry } from 'mapsweep';
import { Pool } from 'pg';

export const connectionString = process.env.DATABASE_URL ?? '';
export const redisPort = Number(process.env.REDIS_PORT);
export const leaving = new AbortController();
export const pool = new Pool({ connectionString });

type Names = Readonly<Record<string, unknown>>;
const endRun = (names: Names): void => {
  const made = names.registry as Registry;
  (made.maps as Readonly<Record<string, Map<unknown, unknown>>>).runs?.set('run-7', {});
  made.end('run-7');
};

/** The job that the block before has left. */
const hears = async (worker: Worker): Promise<void> => {
  const { data } = await new Promise<Job>((resolve) => worker.on('completed', resolve));
  assert.equal(data.key, 'run-7');
  await worker.close();
};

export const afterwards: Readonly<Record<string, (names: Names) => Promise<void>>> = {
  'Several processes': async (names) => {
    const made = names.pool as Pool;
    await made.query('create table if not exists runs (id text, over boolean)');
    await made.query("insert into runs values ('run-7', false)");
    endRun(names);
    await (names.registry as Registry).close();
    const isOver = async (): Promise<boolean> =>
      (await made.query<{ over: boolean }>("select over from runs where id = 'run-7'")).rows[0]?.over ===
      true;
    while (!(await isOver())) await new Promise((resolve) => setTimeout(resolve, 20));
    leaving.abort();
    await names.draining;
    await made.end();
  },
  'A queue of BullMQ': async (names) => {
    if (names.worker !== undefined) return hears(names.worker as Worker);
    const queue = names.queue as Queue;
    endRun(names);
    await (names.registry as Registry).close();
    assert.equal((await queue.getJobs())[0]?.data.key, 'run-7');
    await queue.close();
  },
};

export const end = (): Promise<void> => pool.end();
