/** The PostgreSQL of this example: the one that `DATABASE_URL` names, or one that is started for it and ends with the process. */
import type pg from 'pg';
// Starts the server of Debian's package `postgresql` below a temporary folder, on a port of its own.
import { PostgresServer } from '../../test/postgres/server.ts';

export interface Database {
  readonly connection: pg.PoolConfig;
}

export async function openDatabase(): Promise<Database> {
  const { DATABASE_URL: connectionString } = process.env;
  if (connectionString) return { connection: { connectionString } };
  // A signal would end the process without its 'exit'.
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const server = await PostgresServer.start();
  process.once('exit', () => server.dispose());
  return { connection: { ...server.options } };
}
