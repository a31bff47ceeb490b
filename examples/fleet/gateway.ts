/**
 * One gateway, as a process of its own: runs come and go, PostgreSQL knows of them, and whatever ends is told through the
 * outbox there. `main.ts` starts three of them.
 */
import { once } from 'node:events';
import { createRegistry, type Duration } from 'mapsweep';
import { postgresJournal, toOutbox } from 'mapsweep/postgres';
import pg from 'pg';

/** What a gateway is started with, and told later. */
export type GatewayCommand =
  | { kind: 'begin'; connection: pg.PoolConfig; schema: string; instance: string; takeOverAfter: Duration }
  | { kind: 'close' };

/** What a gateway says: which runs PostgreSQL knows of, for certain. */
export type GatewayWord = { kind: 'ready' } | { kind: 'registered'; keys: string[] };

const say = (word: GatewayWord): void => void process.send?.(word);

// Its parent has ended, or has told it to close.
process.once('disconnect', () => process.exit());
const [begin] = (await once(process, 'message')) as [Extract<GatewayCommand, { kind: 'begin' }>];
const { connection, schema, instance, takeOverAfter } = begin;
const pool = new pg.Pool(connection);
const write = toOutbox(pool, { schema });

const registry = createRegistry<{ runs: Map<string, { n: number }> }>({
  maps: { runs: { maxIdle: '2s' } },
  ended: {
    map: 'runs',
    // What the table says beside the ending itself: who has told it.
    deliver: (event, attempt) => write({ ...event, detail: { by: instance } }, attempt),
    idempotent: true,
  },
  sweepEvery: '500ms',
  persistTo: await postgresJournal(pool, { instance, schema, takeOverAfter }),
});
say({ kind: 'ready' });

const { runs } = registry.maps;
const later = (ms: number, act: () => void): void => void setTimeout(act, ms);
let started = 0;
const timer = setInterval(async () => {
  const keys: string[] = [];
  for (let left = 2; left > 0; left -= 1) {
    started += 1;
    const key = `${instance}/run-${started}`;
    keys.push(key);
    runs.set(key, { n: started });
    // Of ten runs seven end as they should, one is deleted, and two are forgotten: the sweeper finds those.
    const rest = started % 10;
    if (rest < 7) {
      later(Math.random() * 1_500, () => {
        if (runs.has(key)) registry.end(key);
        runs.delete(key);
      });
    } else if (rest < 8) later(1_000, () => runs.delete(key));
  }
  try {
    await registry.flushed();
    say({ kind: 'registered', keys });
  } catch {
    // PostgreSQL does not know of them yet, and may never.
  }
}, 100);

process.on('message', async ({ kind }: GatewayCommand) => {
  if (kind !== 'close') return;
  clearInterval(timer);
  // Those that are still there end, and what is to be told is told.
  for (const key of [...runs.keys()]) runs.delete(key);
  await registry.close();
  await pool.end();
  process.disconnect();
});
