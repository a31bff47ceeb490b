import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PostgresServer } from '../postgres/server.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs the example as its README does. */
const example = (): Promise<{ status: unknown; output: string }> =>
  new Promise((resolve) => {
    const command = ['--import', 'tsx', 'examples/fleet/main.ts'];
    execFile(process.execPath, command, { cwd: root }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });

it('has the peers of a gateway that dies for good tell of its runs as lost, none never and none twice', async () => {
  const { status, output } = await example();
  expect(output).toMatch(/│ gateway-2 │ lost +│ gateway-[13] │ +\d+ │/);
  expect(output).toMatch(/\d+ runs that PostgreSQL knew of, \d+ told: 0 never, 0 twice\./);
  expect(status).toBe(0);
}, 120_000);

it('leaves no server, no folder and no gateway behind when it is ended by Ctrl-C', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-fleet-example-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // The user that runs PostgreSQL has to come through.
  chmodSync(folder, 0o755);
  const { DATABASE_URL: _, ...env } = process.env;
  const command = ['--import', 'tsx', 'examples/fleet/main.ts'];
  const main = spawn(process.execPath, command, { cwd: root, env: { ...env, TMPDIR: folder } });
  onTestFinished(() => void main.kill('SIGKILL'));
  const serverFolders = () => readdirSync(folder).filter((name) => name.startsWith('mapsweep-postgres-'));
  await once(createInterface(main.stdout), 'line');
  expect(serverFolders()).toHaveLength(1);
  const gateways = readFileSync(`/proc/${main.pid}/task/${main.pid}/children`, 'utf8').trim().split(' ');
  expect(gateways).toHaveLength(3);
  main.kill('SIGINT');
  expect(await once(main, 'exit')).toEqual([130, null]);
  expect(serverFolders()).toEqual([]);
  await vi.waitFor(() => expect(gateways.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]), 10_000);
}, 120_000);

it('leaves no schema behind in the database that it is given, when it is ended by Ctrl-C', async () => {
  const server = await PostgresServer.start();
  onTestFinished(() => server.dispose());
  const { host, port, user, database } = server.options;
  const env = { ...process.env, DATABASE_URL: `postgres://${user}@${host}:${port}/${database}` };
  const schemas = () => server.sql("select nspname from pg_namespace where nspname like 'mapsweep%'");
  const main = spawn(process.execPath, ['--import', 'tsx', 'examples/fleet/main.ts'], { cwd: root, env });
  onTestFinished(() => void main.kill('SIGKILL'));
  await once(createInterface(main.stdout), 'line');
  expect(schemas()).toBe('mapsweep_fleet_example');
  main.kill('SIGINT');
  expect(await once(main, 'exit')).toEqual([130, null]);
  expect(schemas()).toBe('');
}, 120_000);
