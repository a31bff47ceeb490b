import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Database } from '../../src/integrations/postgres/database.js';
import { InstanceRows } from '../../src/integrations/postgres/instance-rows.js';
import { openPostgresJournal } from '../../src/integrations/postgres/open.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;
let pool: pg.Pool;

beforeAll(async () => {
  server = await PostgresServer.start();
  pool = new pg.Pool(server.options);
});

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

/** The megabytes of rows, page by page, as they are read from the second one on. */
async function pagesOf(instance: string, megabytes: readonly number[]): Promise<number[][]> {
  const options = { schema: 'mapsweep', instance };
  const journal = await openPostgresJournal(pool, options);
  const rows = new InstanceRows(new Database(pool, 'test', 'ERR_JOURNAL_IO'), options.schema);
  for (const [index, size] of megabytes.entries())
    await rows.put(instance, journal.epoch, index + 1, Buffer.alloc(size * 1_000_000, 'x'));
  journal.release();
  const pages: number[][] = [];
  for await (const page of rows.rows(instance, 2))
    pages.push(page.map(({ body }) => Buffer.from(body, 'base64').length / 1_000_000));
  return pages;
}

it('reads 4 MB of rows at once at most, and a row that is larger alone', async () => {
  expect(await pagesOf('large', [9, 1, 1, 2, 1, 5, 6, 3, 2])).toEqual([[1, 1, 2], [1], [5], [6], [3], [2]]);
});

it('reads 32 small rows at once, and all of them', async () => {
  const pages = await pagesOf('small', Array(66).fill(0.001));
  expect(pages.map(({ length }) => length)).toEqual([32, 32, 1]);
  expect(await pagesOf('even', Array(65).fill(0.001))).toHaveLength(2);
  expect(await pagesOf('none', [1])).toEqual([]);
});
