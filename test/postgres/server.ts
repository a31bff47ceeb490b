import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const hint = 'Install the package that has it: apt-get update && apt-get install -y postgresql';

/** The newest PostgreSQL that Debian has installed. */
function programs(): string {
  const root = '/usr/lib/postgresql';
  const [version] = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  if (version === undefined) throw new Error(`PostgreSQL could not be run. ${hint}`);
  return join(root, version, 'bin');
}

/** PostgreSQL does not run as root: there a user of Debian's package runs it. */
const asUser = userInfo().uid === 0 ? 'postgres' : undefined;

function run(program: string, args: readonly string[], user?: string): string {
  const [file, ...rest] =
    user === undefined ? [program, ...args] : ['runuser', '-u', user, '--', program, ...args];
  const { status, stdout, stderr, error } = spawnSync(file as string, rest, {
    encoding: 'utf8',
    cwd: '/',
    // pg_ctl leaves its server behind, which must not hold our pipes.
    stdio: program.endsWith('pg_ctl') ? 'ignore' : 'pipe',
  });
  if (status === 0) return stdout ?? '';
  throw new Error(`${program} ${args.join(' ')}: ${stderr ?? ''}${error?.message ?? ''}`);
}

/** A port of the loopback interface that nobody has. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

/** How to connect to a {@link PostgresServer}. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/** A PostgreSQL server of a test's own, below a temporary folder. */
export class PostgresServer {
  readonly options: ConnectionOptions;
  readonly #bin = programs();
  readonly #folder: string;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.options = { host: '127.0.0.1', port, user: 'mapsweep', database: 'postgres' };
  }

  /** Makes one and starts it. */
  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), 'mapsweep-postgres-'));
    if (asUser !== undefined) {
      const [uid, gid] = ['-u', '-g'].map((option) => Number(run('id', [option, asUser])));
      chownSync(folder, uid as number, gid as number);
    }
    const server = new PostgresServer(folder, await freePort());
    const data = ['-D', join(folder, 'data')];
    run(
      join(server.#bin, 'initdb'),
      [...data, '-U', server.options.user, '-A', 'trust', '-E', 'UTF8', '--no-sync'],
      asUser,
    );
    server.up();
    return server;
  }

  /** Starts it again after `down`. */
  up(): void {
    const { port } = this.options;
    const settings = `-p ${port} -h 127.0.0.1 -c unix_socket_directories='' -c max_connections=200`;
    this.#control(['start', '-w', '-o', settings, '-l', join(this.#folder, 'log')]);
  }

  /** Stops it, as a restart does (`fast`) or as a crash does (`immediate`). */
  down(mode: 'fast' | 'immediate' = 'fast'): void {
    this.#control(['stop', '-w', '-m', mode]);
  }

  /** Runs SQL on the caller's time. Returns what it gives, a row a line. */
  sql(text: string): string {
    const { host, port, user, database } = this.options;
    const args = ['-h', host, '-p', String(port), '-U', user, '-d', database, '-v', 'ON_ERROR_STOP=1'];
    return run(join(this.#bin, 'psql'), [...args, '-qAt', '-c', text]).trim();
  }

  /** Stops it and removes what it has kept. */
  dispose(): void {
    try {
      this.down('immediate');
    } catch {
      // It is down already.
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #control(args: readonly string[]): void {
    run(join(this.#bin, 'pg_ctl'), ['-D', join(this.#folder, 'data'), ...args], asUser);
  }
}
