/**
 * How many obligations a second one PostgreSQL carries here, and how many bytes a run has:
 *
 *     npx tsx examples/fleet/measure.ts [--gateways 1,4,8] [--seconds 10] [--pace 100]
 *
 * With `--pace` each gateway registers so many runs a second, else as many as PostgreSQL takes.
 *
 * An obligation is all of it: the registration is committed, then the claim of its end, then the ending in the outbox, and
 * in the journal that it was told.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import pg from 'pg';
import { openDatabase } from './database.ts';
import type { LoadCommand } from './load.ts';

const { values } = parseArgs({
  options: {
    gateways: { type: 'string', default: '1,4,8' },
    seconds: { type: 'string', default: '10' },
    pace: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const pace = values.pace === undefined ? null : Number(values.pace);
const counts = values.gateways.split(',').map(Number);
const schema = 'mapsweep_fleet_measure';
const stayingRuns = 20_000;

const database = await openDatabase(leave);
const pool = new pg.Pool(database.connection);
pool.on('error', () => {});
const children = new Set<ChildProcess>();
let leaving: Promise<void> | undefined;

/** Ends what is under way, and leaves the database as it was. */
function leave(): Promise<void> {
  leaving ??= (async () => {
    for (const child of children) child.kill('SIGKILL');
    await pool.query(`drop schema if exists ${schema} cascade`).catch(() => {});
    await pool.end();
  })();
  return leaving;
}

async function start(instance: string, staying = 0): Promise<void> {
  const child = fork(fileURLToPath(new URL('load.ts', import.meta.url)));
  children.add(child);
  const { connection } = database;
  child.send({ connection, schema, instance, staying, pace } satisfies LoadCommand);
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error(`${instance} could not begin`);
    }),
  ]);
}

async function endAll(): Promise<void> {
  for (const child of children) {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
  children.clear();
  await pool.query(`drop schema if exists ${schema} cascade`);
}

const ask = async (text: string): Promise<Record<string, number>> => {
  const [row] = (await pool.query(text)).rows as Record<string, unknown>[];
  return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]));
};

interface Sample {
  told: number;
  wal: number;
  at: number;
  commits: number;
}

const sample = async (): Promise<Sample> =>
  (await ask(`select
    (select count(*) from ${schema}.outbox) as told,
    pg_current_wal_insert_lsn() - '0/0' as wal,
    (select xact_commit from pg_stat_database where datname = current_database()) as commits,
    extract(epoch from clock_timestamp()) as at`)) as unknown as Sample;

const round = (value: number, digits = 0): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits });

/** Bytes that an open run has in the journal, and one that was told in the outbox. */
async function bytes(): Promise<string> {
  await start('staying', stayingRuns);
  const { text, table } = await ask(
    `select sum(length(body)) as text, pg_total_relation_size('${schema}.records') as table from ${schema}.records`,
  );
  await endAll();
  return `an open run: ${round(text! / stayingRuns)} bytes of records, ${round(table! / stayingRuns)} bytes of their table`;
}

const cores = availableParallelism();
const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');

try {
  console.log(`${cores} cores, load before: ${load()}`);
  await pool.query(`drop schema if exists ${schema} cascade`);
  console.log(await bytes());
  const table = new Table({
    head: ['gateways', 'obligations/s', 'commits/s', 'WAL bytes a run', 'outbox bytes a run', 'load after'],
    colAligns: ['right', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const count of counts) {
    await Promise.all(Array.from({ length: count }, (_, index) => start(`gateway-${index}`)));
    await sleep(3_000);
    const before = await sample();
    await sleep(seconds * 1_000);
    const after = await sample();
    const told = after.told - before.told;
    const elapsed = after.at - before.at;
    const { size } = await ask(`select pg_total_relation_size('${schema}.outbox') as size`);
    table.push([
      count,
      round(told / elapsed),
      round((after.commits - before.commits) / elapsed),
      round((after.wal - before.wal) / told),
      round(size! / after.told),
      load(),
    ]);
    await endAll();
  }
  console.log(table.toString());
} finally {
  await leave();
}
