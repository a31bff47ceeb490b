import { createRegistry } from 'mapsweep';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { PostgresServer } from './server.js';

const sessions = 10_000;

let server: PostgresServer;
let pool: pg.Pool;

beforeAll(async () => {
  server = await PostgresServer.start();
  // A connection for each call that a registry makes at once, so that it is the database that has the queue. What waits for the
  // disk says nothing of that, and is left out.
  pool = new pg.Pool({ ...server.options, max: 32, options: '-c synchronous_commit=off' });
  await Promise.all(Array.from({ length: 32 }, () => pool.query('select pg_sleep(0.2)')));
});

const fill = () =>
  server.sql(`
    drop table if exists sessions;
    create table sessions (id text primary key);
    insert into sessions select 's' || n from generate_series(0, ${sessions - 1}) n`);

beforeEach(fill);

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

const eventually = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 120_000, interval: 50 });

/** What the database gets to do, as it says itself. */
class Load {
  requests = 0;
  /** How many requests it was busy with, each time it was asked. */
  readonly #busy: number[] = [];
  readonly #startedAt: number[] = [];
  readonly #observer = new pg.Client(server.options);
  #observing: Promise<void> = Promise.resolve();
  #isOver = false;

  async begin(): Promise<this> {
    await this.#observer.connect();
    this.#observing = (async () => {
      while (!this.#isOver) {
        const { rows } = await this.#observer.query<{ count: string }>(
          "select count(*) from pg_stat_activity where state = 'active' and query like 'delete%'",
        );
        if (this.requests > 0) this.#busy.push(Number(rows[0]!.count));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    return this;
  }

  async end(): Promise<this> {
    this.#isOver = true;
    await this.#observing;
    await this.#observer.end();
    return this;
  }

  async delete(ids: readonly string[]): Promise<void> {
    this.requests += 1;
    this.#startedAt.push(performance.now());
    await pool.query('delete from sessions where id = any($1)', [ids]);
  }

  get spanMs(): number {
    return this.#startedAt.at(-1)! - this.#startedAt[0]!;
  }

  /** Requests a second. */
  get rate(): number {
    return (1_000 * this.requests) / this.spanMs;
  }

  /** The share of the requests that the busiest tenth of the span had. */
  get busiestTenth(): number {
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const at of this.#startedAt)
      tenths[Math.floor((9.999 * (at - this.#startedAt[0]!)) / this.spanMs)]! += 1;
    return Math.max(...tenths) / this.requests;
  }

  /** How many requests the database was busy with, in the mean over the span. */
  get meanQueue(): number {
    return this.#busy.reduce((sum, count) => sum + count, 0) / this.#busy.length;
  }

  toString(): string {
    const most = Math.max(...this.#busy);
    return `${this.requests} requests in ${(this.spanMs / 1_000).toFixed(1)} s, ${this.rate.toFixed(0)} a second; the database was busy with ${this.meanQueue.toFixed(1)} in the mean, ${most} at most`;
  }
}

/** What it is like without any pace: the next one as soon as one of 32 is done. */
async function allAtOnce(batch: number): Promise<Load> {
  const load = await new Load().begin();
  let next = 0;
  const work = async () => {
    while (next < sessions) await load.delete(Array.from({ length: batch }, () => `s${next++}`));
  };
  await Promise.all(Array.from({ length: 32 }, work));
  return load.end();
}

function expire(beforeSweep: object, intervalMs: number) {
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
  ])(
    'reach a real database over an interval, %s, and no queue forms there',
    { timeout: 300_000 },
    async (how, batch) => {
      const unpaced = await allAtOnce(batch);
      fill();
      // So that the pace is what takes the time, however slow the machine is.
      const intervalMs = Math.ceil(Math.max(3_000, 4 * unpaced.spanMs));
      const load = await new Load().begin();
      const registry = expire(
        batch === 1
          ? (_value: number, id: string) => load.delete([id])
          : { batch, run: (entries: [string, number][]) => load.delete(entries.map(([id]) => id)) },
        intervalMs,
      );
      await eventually(() => expect(registry.maps.sessions.size).toBe(0));
      await load.end();
      console.info(`${how}, over ${(intervalMs / 1_000).toFixed(1)} s: ${load}\n  all at once: ${unpaced}`);
      expect(server.sql('select count(*) from sessions')).toBe('0');
      // The last call of a burst may be for what its slice had found by then.
      expect(load.requests).toBeGreaterThanOrEqual(sessions / batch);
      expect(load.requests).toBeLessThanOrEqual(batch === 1 ? sessions : (1.1 * sessions) / batch);
      expect(load.spanMs, 'spread').toBeGreaterThan(0.8 * intervalMs);
      expect(load.rate, 'requests a second').toBeLessThan(unpaced.rate / 2);
      expect(load.busiestTenth, 'evenly').toBeLessThan(0.3);
      expect(load.meanQueue, 'queue').toBeLessThan(Math.max(1, unpaced.meanQueue / 2));
      await registry.close();
    },
  );

  it('stay where the database says that their key failed, and go the next time', async () => {
    server.sql('create table kept (id text primary key); insert into kept select id from sessions limit 5');
    const load = new Load();
    const run = {
      batch: 1_000,
      run: async (entries: [string, number][]) => {
        const ids = entries.map(([id]) => id);
        const { rows } = await pool.query<{ id: string }>('select id from kept where id = any($1)', [ids]);
        const failed = new Set(rows.map(({ id }) => id));
        await load.delete(ids.filter((id) => !failed.has(id)));
        return failed;
      },
    };
    const registry = expire(run, 3_000);
    registry.on('callback-failed', () => {});
    await eventually(() => expect(registry.maps.sessions.size).toBe(5));
    expect(server.sql('select count(*) from sessions')).toBe('5');
    server.sql('drop table kept; create table kept (id text)');
    await eventually(() => expect(registry.maps.sessions.size).toBe(0));
    server.sql('drop table kept');
    await registry.close();
  });
});
