import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openPostgresJournal } from '../../src/integrations/postgres/open.js';
import type { Journal } from '../../src/restart/journal.js';
import { describeJournal, type Medium } from '../restart/journal-suite.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;
let pool: pg.Pool;

beforeAll(async () => {
  server = await PostgresServer.start();
  pool = new pg.Pool(server.options);
  // The tables are there before the first test has writes fail.
  (await openPostgresJournal(pool, { schema: 'mapsweep', instance: 'first' })).release();
  server.sql(`
    create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'the disk is full'; end $$`);
});

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

/** A medium for the suite: an instance of its own, or a copy of one. */
function instanceMedium(schema: string, instance: string = randomUUID()): Medium {
  const literal = (name: string): string => `'${name}'`;
  return {
    open: (): Promise<Journal> => openPostgresJournal(pool, { schema, instance, lockPatienceMs: 500 }),
    copy: () => {
      const copy = randomUUID();
      server.sql(`
        insert into "${schema}".instances (instance, epoch, owner, lock, first_number)
          select ${literal(copy)}, epoch, owner, 0, first_number from "${schema}".instances
          where instance = ${literal(instance)};
        insert into "${schema}".records (instance, number, epoch, body)
          select ${literal(copy)}, number, epoch, body from "${schema}".records
          where instance = ${literal(instance)}`);
      return instanceMedium(schema, copy);
    },
    fail: (isFailing) =>
      server.sql(
        isFailing
          ? `create or replace trigger refuse before insert on "${schema}".records
               execute function refuse();
             create or replace trigger refuse before update of first_number on "${schema}".instances
               execute function refuse()`
          : `drop trigger if exists refuse on "${schema}".records;
             drop trigger if exists refuse on "${schema}".instances`,
      ),
    dispose: () => {},
  };
}

describeJournal('a journal in PostgreSQL', () => instanceMedium('mapsweep'));

it('has the size of what counts, though rows are still there that a killed life has left out', async () => {
  const options = { schema: 'mapsweep', instance: randomUUID() };
  const killed = await openPostgresJournal(pool, options);
  killed.begin(() => []);
  for (const record of ['["left out"]', '["a"]']) await killed.append([record]);
  killed.release();
  server.sql(`update mapsweep.instances set first_number = 2 where instance = '${options.instance}'`);
  const journal = await openPostgresJournal(pool, options);
  const count = `select count(*) from mapsweep.records where instance = '${options.instance}'`;
  await vi.waitFor(() => expect(server.sql(count)).toBe('1'));
  journal.begin(() => []);
  await journal.append(['["b"]']);
  expect(journal.size).toBe('[["a"]]'.length + '[["b"]]'.length);
  await journal.beginCheckpoint();
  await journal.append(['["c"]']);
  await journal.endCheckpoint();
  expect(journal.size).toBe('[["c"]]'.length);
  journal.release();
});

it('has the odd names of a schema and an instance', async () => {
  const options = { schema: `Ödd "schema"; drop table x; --`, instance: `it's "odd" \\ ; --` };
  const journal = await openPostgresJournal(pool, options);
  journal.begin(() => []);
  await journal.append(['["a"]']);
  journal.release();
  const next = await openPostgresJournal(pool, options);
  expect([...next.takePast()]).toEqual([[['a']]]);
  next.release();
});
