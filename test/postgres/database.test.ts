import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Database, isUnsure } from '../../src/integrations/postgres/database.js';
import { eventually } from './gateways.js';
import { startPooler } from './pooler.js';
import { CuttableProxy } from './proxy.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
  server.sql('create table blocked (n integer)');
});

afterAll(() => server?.dispose());

/** Backends that wait for a lock. */
const waiting = (): number =>
  Number(server.sql(`select count(*) from pg_stat_activity where wait_event_type = 'Lock'`));

it('leaves nothing behind in PostgreSQL of statements that it gives up, behind a pooler too', async () => {
  const pooler = await startPooler(server, 'session');
  const pools = [server.options.port, pooler.port].map((port) => new pg.Pool({ ...server.options, port }));
  const databases = pools.map((pool) => new Database(pool, 'test', 'ERR_JOURNAL_IO'));
  const blocker = new pg.Client(server.options);
  blocker.on('error', () => {});
  await blocker.connect();
  await blocker.query('begin; lock table blocked');
  const failures = databases.flatMap((database) =>
    [
      database.query('insert into blocked values ($1)', [1]),
      database.transaction((client) => database.ask(client, 'insert into blocked values ($1)', [2])),
    ].map((asked) => asked.catch((error: Error) => error)),
  );
  await eventually(() => (waiting() === 4 ? true : undefined), 'four that wait for the lock');
  for (const error of await Promise.all(failures)) {
    expect(error).toMatchObject({
      code: 'ERR_JOURNAL_IO',
      message: expect.stringContaining('an answer has taken longer than 10000 ms'),
    });
    expect(isUnsure(error)).toBe(false);
  }
  expect(waiting()).toBe(0);
  await blocker.end();
  await databases[0]?.query('insert into blocked values ($1)', [3]);
  expect(server.sql('select n from blocked')).toBe('3');
  for (const pool of pools) await pool.end();
  pooler.close();
});

it('gives no connection back for which it has asked to cancel a statement that was answered after all', async () => {
  const proxy = await CuttableProxy.to(server.options.port);
  const pool = new pg.Pool({ ...server.options, port: proxy.port, max: 1 });
  const database = new Database(pool, 'test', 'ERR_JOURNAL_IO');
  await database.query('select 1');
  expect(pool.idleCount).toBe(1);
  proxy.hold();
  const answer = database.query('select 2 as n');
  await sleep(9_400);
  proxy.letGo();
  expect(await answer).toEqual([{ n: 2 }]);
  // The request is on its way, or may be, and would cancel a statement of whoever has the connection next.
  expect([pool.totalCount, pool.idleCount]).toEqual([0, 0]);
  await pool.end();
  proxy.close();
});

it('asks nobody to cancel for a pool that makes its connections itself, to an address that only it knows', async () => {
  let heard = 0;
  const bystander = createServer((socket) => {
    heard += 1;
    socket.destroy();
  });
  bystander.listen(0, '127.0.0.1');
  await once(bystander, 'listening');
  const { port } = bystander.address() as AddressInfo;
  class Tunnel extends Socket {
    override connect(): this {
      return super.connect(server.options.port, '127.0.0.1');
    }
  }
  const pool = new pg.Pool({ ...server.options, host: '127.0.0.1', port, stream: () => new Tunnel() });
  pool.on('error', () => {});
  const database = new Database(pool, 'test', 'ERR_JOURNAL_IO');
  await expect(database.query('select pg_sleep(12)')).rejects.toThrow('longer than 10000 ms');
  expect(heard).toBe(0);
  await pool.end();
  bystander.close();
});
