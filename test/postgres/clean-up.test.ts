import { createRegistry } from 'mapsweep';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { PostgresServer } from './server.js';

const sessions = 10_000;
const intervalMs = 3_000;

let server: PostgresServer;
let pool: pg.Pool;

beforeAll(async () => {
  server = await PostgresServer.start();
  pool = new pg.Pool({ ...server.options, max: 4 });
});

beforeEach(() => {
  server.sql(`
    drop table if exists sessions;
    create table sessions (id text primary key);
    insert into sessions select 's' || n from generate_series(0, ${sessions - 1}) n`);
});

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 50 });

/** What the database got to do. */
class Load {
  requests = 0;
  /** The most that waited for a connection. */
  longestQueue = 0;
  readonly #startedAt: number[] = [];

  async delete(ids: readonly string[]): Promise<void> {
    this.requests += 1;
    this.#startedAt.push(performance.now());
    const done = pool.query('delete from sessions where id = any($1)', [ids]);
    this.longestQueue = Math.max(this.longestQueue, pool.waitingCount);
    await done;
  }

  /** Of the span from the first request to the last, how many of its tenths had a request. */
  get tenths(): number {
    const [first = 0] = this.#startedAt;
    const last = this.#startedAt.at(-1) ?? 0;
    return new Set(this.#startedAt.map((at) => Math.floor((9.999 * (at - first)) / (last - first)))).size;
  }

  get spanMs(): number {
    return (this.#startedAt.at(-1) ?? 0) - (this.#startedAt[0] ?? 0);
  }
}

function expire(beforeSweep: object) {
  const registry = createRegistry<{ sessions: Map<string, number> }>({
    maps: { sessions: { ttl: 1, beforeSweep: beforeSweep as never } },
    sweepEvery: intervalMs,
  });
  for (let index = 0; index < sessions; index += 1) registry.maps.sessions.set(`s${index}`, index);
  return registry;
}

describe('10,000 sessions that fall due in one instant', () => {
  it.each([
    ['one by one', 1],
    ['in batches of 100', 100],
  ])('reach a real database over an interval, %s, and no queue forms there', async (how, batch) => {
    const load = new Load();
    const registry = expire(
      batch === 1
        ? (_value: number, id: string) => load.delete([id])
        : { batch, run: (entries: [string, number][]) => load.delete(entries.map(([id]) => id)) },
    );
    const left = () => registry.maps.sessions.size;
    await eventually(() => expect(left()).toBe(0));
    expect(server.sql('select count(*) from sessions')).toBe('0');
    // The last call of a burst may be for what its slice had found by then.
    expect(load.requests).toBeGreaterThanOrEqual(sessions / batch);
    expect(load.requests).toBeLessThanOrEqual(batch === 1 ? sessions : (1.1 * sessions) / batch);
    expect(load.longestQueue).toBeLessThanOrEqual(32);
    // In one turn it would be one of them; a busy machine leaves some out.
    expect(load.tenths, 'spread').toBeGreaterThanOrEqual(6);
    expect(load.spanMs).toBeGreaterThan(intervalMs / 2);
    const rate = (1_000 * load.requests) / load.spanMs;
    console.info(
      `${how}: ${load.requests} requests, ${rate.toFixed(0)} a second, at most ${load.longestQueue} waited for a connection`,
    );
    await registry.close();
  });

  it('stay where the database says that their key failed, and go the next time', async () => {
    server.sql('create table kept (id text primary key); insert into kept select id from sessions limit 5');
    const load = new Load();
    const registry = expire({
      batch: 1_000,
      run: async (entries: [string, number][]) => {
        const ids = entries.map(([id]) => id);
        const { rows } = await pool.query<{ id: string }>('select id from kept where id = any($1)', [ids]);
        const failed = new Set(rows.map(({ id }) => id));
        await load.delete(ids.filter((id) => !failed.has(id)));
        return failed;
      },
    });
    registry.on('callback-failed', () => {});
    await eventually(() => expect(registry.maps.sessions.size).toBe(5));
    expect(server.sql('select count(*) from sessions')).toBe('5');
    server.sql('drop table kept; create table kept (id text)');
    await eventually(() => expect(registry.maps.sessions.size).toBe(0));
    server.sql('drop table kept');
    await registry.close();
  });
});
