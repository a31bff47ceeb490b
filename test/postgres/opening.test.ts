import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRegistry, type Registry } from 'mapsweep';
import { type PostgresPool, postgresJournal } from 'mapsweep/postgres';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openPostgresJournal } from '../../src/integrations/postgres/open.js';
import { compileParts } from '../crash/compile.js';
import { startPooler } from './pooler.js';
import { freePort, PostgresServer } from './server.js';

let server: PostgresServer;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => server?.dispose());

function newPool(options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ ...server.options, ...options });
  closing.push(() => pool.end());
  return pool;
}

async function newPooler(mode: 'session' | 'transaction', sessions?: number): Promise<number> {
  const { port, close } = await startPooler(server, mode, sessions);
  closing.push(close);
  return port;
}

const registryOn = async (
  pool: pg.Pool,
  instance: string,
): Promise<Registry<{ runs: Map<string, object> }>> => {
  const registry = createRegistry<{ runs: Map<string, object> }>({
    maps: { runs: {} },
    ended: { map: 'runs', deliver: async () => {} },
    persistTo: await postgresJournal(pool, { instance }),
  });
  closing.push(() => registry.close());
  return registry;
};

/** All records of an instance. */
const writtenBy = (instance: string): string =>
  server.sql(
    `select string_agg(convert_from(body, 'UTF8'), ' ' order by number) from mapsweep.records where instance = '${instance}'`,
  );

describe('postgresJournal', () => {
  it('refuses a pooler in transaction mode and says what to do, and takes one in session mode', async () => {
    // With one session it cannot give the connection another one: it lets it wait.
    for (const sessions of [1, 20, 20, 20]) {
      const port = await newPooler('transaction', sessions);
      await expect(postgresJournal(newPool({ port }), { instance: 'a' })).rejects.toThrow(
        /pooler in transaction mode.*Give postgresJournal a pool that connects to PostgreSQL itself/,
      );
    }
    const port = await newPooler('session');
    const registry = await registryOn(newPool({ port }), 'a');
    registry.maps.runs.set('a', {});
    await registry.flushed();
  });

  it('needs one connection of the pool, and for its lock one beside that', async () => {
    const registry = await registryOn(newPool({ max: 1 }), 'a');
    registry.maps.runs.set('a', {});
    await registry.flushed();
  });

  it('shows the connection of its lock to who listens for those of the pool, as to set a role', async () => {
    const pool = newPool();
    pool.on('connect', (client) => void client.query(`set application_name = 'shown'`));
    await registryOn(pool, 'shown');
    expect(
      server.sql(`
        select distinct application_name from pg_stat_activity join pg_locks using (pid)
        where locktype = 'advisory' and objsubid = 1 and granted and application_name = 'shown'`),
    ).toBe('shown');
  });

  it('refuses what is no pool, one of a single connection that cannot have another beside it, and options that it does not know', async () => {
    const options = { instance: 'a' };
    await expect(postgresJournal(undefined as never, options)).rejects.toThrow(
      'pool must be a Pool of pg 8 (npm install pg@8); received undefined',
    );
    // One that does not say how to open a connection beside it.
    const closed = Object.create(newPool({ max: 1 }), { Client: { value: undefined } }) as pg.Pool;
    await expect(postgresJournal(closed, options)).rejects.toThrow(
      'pool.options.max must be at least 2, since the lock of the instance keeps one connection for itself; received 1',
    );
    const pool = newPool();
    await expect(postgresJournal(pool, {} as never)).rejects.toThrow(/^instance must be/);
    await expect(postgresJournal(pool, { instance: '' })).rejects.toThrow(/^instance must be/);
    for (const name of ['a\0', 'a\ud800', '\udc00a']) {
      await expect(postgresJournal(pool, { instance: name })).rejects.toMatchObject({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringMatching(/^instance must be/),
      });
      await expect(postgresJournal(pool, { instance: 'a', schema: name })).rejects.toThrow(/^schema must be/);
    }
    await expect(postgresJournal(pool, { instance: 'a', takeOverAfter: 999 })).rejects.toThrow(
      /^takeOverAfter must be/,
    );
    await expect(postgresJournal(pool, { instance: 'a', schema: 'x'.repeat(64) })).rejects.toThrow(
      /^schema must be/,
    );
    await expect(postgresJournal(pool, { instance: 'a', takeoverAfter: 1 } as never)).rejects.toThrow(
      "Did you mean 'takeOverAfter'?",
    );
  });

  it('refuses tables of a later version, and a database that is away', async () => {
    const pool = newPool();
    (await openPostgresJournal(pool, { instance: 'a', schema: 'later' })).release();
    server.sql('update later.layout set version = 2');
    await expect(postgresJournal(pool, { instance: 'a', schema: 'later' })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_VERSION',
    });
    const away = newPool({ port: await freePort() });
    await expect(postgresJournal(away, { instance: 'a' })).rejects.toMatchObject({ code: 'ERR_JOURNAL_IO' });
  });

  it('refuses a damaged row and names it, and leaves the lock free', async () => {
    const pool = newPool();
    const registry = await registryOn(pool, 'damaged');
    registry.maps.runs.set('a', {});
    await registry.flushed();
    await registry.close();
    server.sql(`update mapsweep.records set body = 'x' where instance = 'damaged'`);
    for (let attempt = 0; attempt < 2; attempt += 1)
      await expect(postgresJournal(pool, { instance: 'damaged' })).rejects.toThrow(
        /row 1 of the records of .*'damaged'/,
      );
  });

  it('needs no right to make tables once they are there', async () => {
    (await openPostgresJournal(newPool(), { instance: 'a', schema: 'given' })).release();
    server.sql(`
      create role plain login;
      grant usage on schema given to plain;
      grant select, insert, update, delete on all tables in schema given to plain`);
    const journal = await openPostgresJournal(newPool({ user: 'plain' }), { instance: 'b', schema: 'given' });
    journal.begin(() => []);
    await journal.append(['["a"]']);
    journal.release();
  });

  it('says what to grant to a role that lacks a right', async () => {
    (await openPostgresJournal(newPool(), { instance: 'a', schema: 'mapsweep' })).release();
    server.sql(`
      create role nothing login; create role reader login;
      grant usage on schema mapsweep to reader; grant select on all tables in schema mapsweep to reader`);
    for (const [user, schema, denied] of [
      ['nothing', 'missing', 'permission denied for database postgres'],
      ['nothing', 'mapsweep', 'permission denied for schema mapsweep'],
      ['reader', 'mapsweep', 'permission denied for table instances'],
    ] as const) {
      const opened = postgresJournal(newPool({ user }), { instance: 'a', schema });
      await expect(opened).rejects.toThrow(`${denied}. Grant its role usage on the schema`);
    }
  });

  it('says once that it may not delete what counts no more, so that the table grows', async () => {
    (await openPostgresJournal(newPool(), { instance: 'a', schema: 'growing' })).release();
    server.sql(`
      create role keeper login; grant usage on schema growing to keeper;
      grant select, insert, update on all tables in schema growing to keeper`);
    const journal = await openPostgresJournal(newPool({ user: 'keeper' }), {
      instance: 'b',
      schema: 'growing',
    });
    closing.push(() => journal.release());
    journal.begin(() => []);
    const failures: unknown[] = [];
    journal.join({
      mayTakeOver: false,
      examine: async () => undefined,
      between: (act) => act(),
      forfeit: async () => {},
      rowsLost: () => {},
      lost: () => {},
      failed: (error) => void failures.push((error as Error).message),
    });
    for (let round = 0; round < 3; round += 1) {
      await journal.append(['["a"]']);
      await journal.beginCheckpoint();
      await journal.append(['["b"]']);
      await journal.endCheckpoint();
      await sleep(200);
    }
    expect(failures).toEqual([
      expect.stringMatching(
        /^"growing"\."records" of 'b' grows.* permission denied for table records\. Grant its role/,
      ),
    ]);
  });

  it('writes what waits when a pool that was full has room again, and makes nobody wait meanwhile', async () => {
    const pool = newPool({ max: 2 });
    const registry = await registryOn(pool, 'full');
    const taken = [await pool.connect(), await pool.connect()];
    registry.maps.runs.set('a', {});
    let isWritten = false;
    const flushed = registry.flushed().then(() => {
      isWritten = true;
    });
    await sleep(200);
    expect(isWritten).toBe(false);
    for (const client of taken) client.release();
    await flushed;
    expect(server.sql(`select count(*) from mapsweep.records where instance = 'full'`)).toBe('1');
  });

  it('writes at close() what waits, though the pool is full until then, or was ended before', async () => {
    for (const [instance, use] of [
      ['full at the end', async (pool: pg.Pool) => void [await pool.connect(), await pool.connect()]],
      ['ended at the end', (pool: pg.Pool) => void pool.end()],
    ] as const) {
      const pool = new pg.Pool({ ...server.options, max: 2 });
      const registry = await registryOn(pool, instance);
      const failures: unknown[] = [];
      registry.on('journal-failed', ({ error, isFinal }) => isFinal && failures.push(error));
      registry.maps.runs.set('a', {});
      await registry.flushed();
      await use(pool);
      registry.maps.runs.set('b', {});
      await sleep(500);
      expect(writtenBy(instance)).not.toContain('"b"');
      expect(await registry.close({ deadline: '8s' })).toEqual({ undelivered: 0, undisposed: 0 });
      expect(writtenBy(instance)).toContain('"b"');
      expect(failures).toEqual([]);
    }
  });

  it('writes its records in one statement for all of a turn', async () => {
    const registry = await registryOn(newPool(), 'batch');
    for (let run = 0; run < 1_000; run += 1) registry.maps.runs.set(`${run}`, {});
    await registry.flushed();
    expect(server.sql(`select count(*) from mapsweep.records where instance = 'batch'`)).toBe('1');
  });

  it('does not keep a process from ending that has nothing else to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mapsweep-idle-'));
    closing.push(() => rmSync(folder, { recursive: true, force: true }));
    const program = compileParts(folder, ['src', 'test/postgres'], 'test/postgres/idle-child.js');
    const child = spawn(process.execPath, [program, JSON.stringify(server.options)], { stdio: 'inherit' });
    closing.push(() => child.kill('SIGKILL'));
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect(server.sql(`select count(*) from mapsweep.records where instance = 'idle'`)).toBe('1');
  });

  it('takes any pool that lends what behaves like a client', async () => {
    const inner = newPool();
    const outer: PostgresPool = {
      options: {},
      connect: () => inner.connect(),
      on: () => {},
    };
    const journal = await openPostgresJournal(outer, { instance: 'outer', schema: 'mapsweep' });
    journal.begin(() => []);
    await journal.append(['["a"]']);
    journal.release();
  });
});
