/** The PostgreSQL of this example: the one that `DATABASE_URL` names, or one that is started for it. */
import type pg from 'pg';
// Starts the server of Debian's package `postgresql` below a temporary folder, on a port of its own.
import { PostgresServer } from '../../test/postgres/server.ts';

export interface Database {
  readonly connection: pg.PoolConfig;
  readonly isOurs: boolean;
  dispose(): void;
}

export async function openDatabase(): Promise<Database> {
  const { DATABASE_URL: connectionString } = process.env;
  if (connectionString) return { connection: { connectionString }, isOurs: false, dispose: () => {} };
  const server = await PostgresServer.start();
  return { connection: { ...server.options }, isOurs: true, dispose: () => server.dispose() };
}
