/** The PostgreSQL of this example: the one that `DATABASE_URL` names, or one that is started for it and ends with the process. */
import type pg from 'pg';
// Starts the server of Debian's package `postgresql` below a temporary folder, on a port of its own.
import { PostgresServer } from '../../test/postgres/server.ts';

export interface Database {
  readonly connection: pg.PoolConfig;
}

/** @param leave takes back what was made in a database that is not ours, before a signal ends the process */
export async function openDatabase(leave: () => Promise<void>): Promise<Database> {
  const { DATABASE_URL: connectionString } = process.env;
  if (connectionString) {
    endAtSignals(leave);
    return { connection: { connectionString } };
  }
  endAtSignals(async () => {});
  const server = await PostgresServer.start();
  process.once('exit', () => server.dispose());
  return { connection: { ...server.options } };
}

/** A signal would end the process without its 'exit', and at once. */
function endAtSignals(leave: () => Promise<void>): void {
  process.once('SIGINT', () => void leave().finally(() => process.exit(130)));
  process.once('SIGTERM', () => void leave().finally(() => process.exit(143)));
}
