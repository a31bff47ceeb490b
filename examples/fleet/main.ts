/**
 * Three gateways on one PostgreSQL. One of them dies for good in the middle, and its peers tell of the runs that it had.
 *
 *     npx tsx examples/fleet/main.ts
 *
 * Ends with 1 if a run that PostgreSQL knew of was told never, or twice. Takes about 20 s.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { drainOutbox } from 'mapsweep/postgres';
import pg from 'pg';
import { openDatabase } from './database.ts';
import type { GatewayCommand, GatewayWord } from './gateway.ts';

const schema = 'mapsweep_fleet_example';
const takeOverAfter = '2s';
const names = ['gateway-1', 'gateway-2', 'gateway-3'];
const [, dying = ''] = names;

const database = await openDatabase(leave);
const pool = new pg.Pool(database.connection);
pool.on('error', () => {});
const gateways = new Map<string, ChildProcess>();
/** Runs that PostgreSQL knew of. */
const registered = new Set<string>();
let draining: Promise<unknown> | undefined;
const abort = new AbortController();
let leaving: Promise<void> | undefined;
const began = performance.now();
const tell = (what: string): void =>
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${what}`);

/** Ends what is under way, and leaves the database as it was. */
function leave(): Promise<void> {
  leaving ??= (async () => {
    abort.abort();
    for (const child of gateways.values()) child.kill('SIGKILL');
    await draining;
    await pool.query(`drop schema if exists ${schema} cascade`).catch(() => {});
    await pool.end();
  })();
  return leaving;
}

async function start(instance: string): Promise<void> {
  const child = fork(fileURLToPath(new URL('gateway.ts', import.meta.url)));
  gateways.set(instance, child);
  const ready = new Promise<void>((resolve, reject) => {
    child.on('message', (word: GatewayWord) => {
      if (word.kind === 'ready') resolve();
      else for (const key of word.keys) registered.add(key);
    });
    child.once('exit', () => reject(new Error(`${instance} could not begin`)));
  });
  const { connection } = database;
  child.send({ kind: 'begin', connection, schema, instance, takeOverAfter } satisfies GatewayCommand);
  await ready;
}

interface Effect {
  key: string;
  reason: string;
  by: string;
}

const effects = async (): Promise<Effect[]> =>
  (await pool.query<Effect>(`select key, reason, by from ${schema}.effects`)).rows;

const untold = async (): Promise<string[]> => {
  const told = new Set((await effects()).map(({ key }) => key));
  return [...registered].filter((key) => !told.has(key));
};

async function play(signal: AbortSignal): Promise<boolean> {
  await pool.query(`drop schema if exists ${schema} cascade`);
  await pool.query(`create schema ${schema}`);
  await pool.query(`create table ${schema}.effects (key text, reason text, by text)`);
  // The recipient: its effect, and the mark that it is there, are committed together.
  draining = drainOutbox(
    pool,
    ({ key, reason, detail }, client: pg.PoolClient) =>
      client.query(`insert into ${schema}.effects values ($1, $2, $3)`, [
        key,
        reason,
        (detail as { by: string }).by,
      ]),
    { schema, every: '100ms', signal },
  );
  await Promise.all(names.map(start));
  tell('three gateways are at work');
  await sleep(5_000);
  gateways.get(dying)?.kill('SIGKILL');
  tell(
    `${dying} dies for good, with ${(await untold()).filter(isOf(dying)).length} runs of which nobody has been told`,
  );
  for (let left = 150; left > 0 && (await untold()).some(isOf(dying)); left -= 1) await sleep(100);
  tell('its peers have told of them');
  await sleep(1_000);
  for (const [name, child] of gateways) {
    if (name === dying) continue;
    child.send({ kind: 'close' } satisfies GatewayCommand);
    await once(child, 'exit');
  }
  for (let left = 50; left > 0 && (await untold()).length > 0; left -= 1) await sleep(100);
  tell('the others have ended in peace\n');
  return show(await effects(), await untold());
}

const isOf =
  (instance: string) =>
  (key: string): boolean =>
    key.startsWith(`${instance}/`);

/** Prints who was told what. Returns whether it is as it should be. */
function show(told: readonly Effect[], never: readonly string[]): boolean {
  const counts = new Map<string, number>();
  const times = new Map<string, number>();
  for (const { key, reason, by } of told) {
    const row = [key.split('/')[0], reason, by].join(' ');
    counts.set(row, (counts.get(row) ?? 0) + 1);
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  const table = new Table({
    head: ['runs of', 'ended as', 'told by', 'runs'],
    colAligns: ['left', 'left', 'left', 'right'],
    style: { head: [], border: [] },
  });
  for (const [row, count] of [...counts].sort()) table.push([...row.split(' '), count]);
  console.log(table.toString());
  const twice = [...times.values()].filter((count) => count > 1).length;
  console.log(
    `\n${registered.size} runs that PostgreSQL knew of, ${told.length} told: ${never.length} never, ${twice} twice.`,
  );
  return never.length === 0 && twice === 0 && registered.size > 0;
}

try {
  process.exitCode = (await play(abort.signal)) ? 0 : 1;
} finally {
  await leave();
}
