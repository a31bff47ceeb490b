/**
 * A gateway that does nothing but register runs and end them half a second later, as fast as PostgreSQL takes it or so many a second: for
 * `measure.ts`, which starts some of these.
 */
import { once } from 'node:events';
import { createRegistry } from 'mapsweep';
import { postgresJournal, toOutbox } from 'mapsweep/postgres';
import pg from 'pg';

/** What it is started with. */
export interface LoadCommand {
  connection: pg.PoolConfig;
  schema: string;
  instance: string;
  /** Registers so many runs that stay, and no others. */
  staying: number;
  /** Registers so many runs a second; `null` as many as PostgreSQL takes. */
  pace: number | null;
}

const runMs = 500;
/** So many runs are open or untold at most: then PostgreSQL is what is waited for. */
const mostUnderWay = 2_000;
const turnMs = 10;
const mostATurn = 50;

// Its parent has ended.
process.once('disconnect', () => process.exit());
const [command] = (await once(process, 'message')) as [LoadCommand];
const { connection, schema, instance, staying, pace } = command;
const pool = new pg.Pool({ ...connection, max: 4 });
const write = toOutbox(pool, { schema });
let told = 0;
const registry = createRegistry<{ runs: Map<string, object> }>({
  maps: { runs: { maxIdle: '24h' } },
  ended: {
    map: 'runs',
    deliver: async (event, attempt) => {
      await write(event, attempt);
      told += 1;
    },
    idempotent: true,
    concurrency: 500,
  },
  persistTo: await postgresJournal(pool, { instance, schema }),
});
const { runs } = registry.maps;
let registered = 0;
// As long as those that agents have.
const register = (): string => {
  registered += 1;
  const key = `agent:main:subagent:${instance}-${String(registered).padStart(24, '0')}`;
  runs.set(key, {});
  return key;
};

if (staying > 0) {
  for (let left = staying; left > 0; left -= 1) register();
  await registry.flushed();
} else {
  let owed = 0;
  setInterval(() => {
    const keys: string[] = [];
    owed = pace === null ? mostATurn : owed + (pace * turnMs) / 1_000;
    for (; owed >= 1 && registered - told < mostUnderWay; owed -= 1) keys.push(register());
    setTimeout(() => {
      for (const key of keys) {
        registry.end(key);
        runs.delete(key);
      }
    }, runMs);
  }, turnMs);
}
process.send?.('ready');
