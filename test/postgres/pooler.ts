import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, type PostgresServer } from './server.js';

/** A pooler in front of a server, on a port of its own. */
export async function startPooler(
  { options: { port: serverPort } }: PostgresServer,
  mode: 'session' | 'transaction',
  sessions = 20,
): Promise<{ readonly port: number; close(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-pgbouncer-'));
  const port = await freePort();
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
postgres = user=mapsweep host=127.0.0.1 port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${sessions}
${userInfo().uid === 0 ? 'user = postgres' : ''}
`,
    { mode: 0o644 },
  );
  const child = spawn('pgbouncer', [join(folder, 'pgbouncer.ini')], { stdio: 'ignore', cwd: '/' });
  let failure: Error | undefined;
  child.on('error', (cause) => {
    failure = new Error(
      'pgbouncer could not be run. Install it: apt-get update && apt-get install -y pgbouncer',
      { cause },
    );
  });
  spawn('chmod', ['755', folder]);
  const close = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  while (!(await answers(port))) {
    if (failure === undefined && child.exitCode === null) await sleep(20);
    else {
      close();
      throw failure ?? new Error(`pgbouncer ended with ${child.exitCode}`);
    }
  }
  return { port, close };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
