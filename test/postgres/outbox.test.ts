import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRegistry, type EndedEvent } from 'mapsweep';
import { drainOutbox, type EndingMessage, purgeOutbox, toOutbox } from 'mapsweep/postgres';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { endedEvent } from '../endings/recorded-notifier.js';
import { eventually } from './gateways.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;
let pool: pg.Pool;

beforeAll(async () => {
  server = await PostgresServer.start();
  pool = new pg.Pool(server.options);
});

beforeEach(() => {
  server.sql(`
    drop schema if exists mapsweep cascade; drop table if exists effects;
    create table effects (id text, key text, primary key (id))`);
});

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

const event = (id: string, more: Partial<EndedEvent> = {}): EndedEvent => ({
  ...endedEvent(id),
  value: { secret: 'of the owner' },
  detail: { exit: 0 },
  ...more,
});
const attempt = { attempt: 1, signal: new AbortController().signal };

const effect = async ({ id, key }: EndingMessage, client: pg.PoolClient): Promise<void> => {
  await client.query('insert into effects (id, key) values ($1, $2)', [id, key]);
};
const effects = (): string[] => server.sql('select id from effects order by id').split('\n').filter(Boolean);

it.each<[string, unknown, string]>([
  ['nothing', undefined, 'undefined'],
  ['an object that is no pool', {}, 'an object'],
  ['a connection string', 'postgres://localhost', '"postgres://localhost"'],
])('refuses %s in the place of a pool, and says what to install', async (_, given, received) => {
  const none = given as pg.Pool;
  const message = `pool must be a Pool of pg 8 (npm install pg@8); received ${received}`;
  // Twice, since what was refused is not remembered as a pool.
  for (const refused of [1, 2].flatMap(() => [
    async () => toOutbox(none),
    () => drainOutbox(none, effect),
    () => purgeOutbox(none),
  ]))
    await expect(refused()).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION', message });
});

describe('drainOutbox with a pause', () => {
  it('ends at once when it is aborted while its last batch is under way', async () => {
    const stop = new AbortController();
    const looking = Object.create(pool) as pg.Pool;
    looking.connect = (() => {
      stop.abort();
      return pool.connect();
    }) as never;
    const drained = drainOutbox(looking, effect, { every: '1h', signal: stop.signal });
    expect(await drained).toEqual({ handled: 0, failed: 0 });
  });

  it('warns of what it fails with, once until that has passed', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const stop = new AbortController();
    await toOutbox(pool)(event('a'), attempt);
    server.sql('alter table mapsweep.outbox rename to away');
    let batches = 0;
    const counting = Object.create(pool) as pg.Pool;
    counting.connect = (() => {
      batches += 1;
      return pool.connect();
    }) as never;
    const drained = drainOutbox(counting, effect, { every: 10, signal: stop.signal });
    await eventually(() => (batches > 6 ? true : undefined), 'six batches');
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/^drainOutbox: .*outbox" does not exist/), { code: 'MAPSWEEP_OUTBOX_FAILED' }],
    ]);
    server.sql('alter table mapsweep.away rename to outbox');
    await eventually(() => (effects().length === 1 ? true : undefined), 'its effect');
    stop.abort();
    expect(await drained).toEqual({ handled: 1, failed: 0 });
    expect(warn).toHaveBeenCalledTimes(1);
    warn.mockRestore();
  });

  it('does not go on asking tables of a later version', async () => {
    await drainOutbox(pool, effect);
    server.sql('update mapsweep.layout set version = 2');
    await expect(drainOutbox(pool, effect, { every: '1h' })).rejects.toMatchObject({
      code: 'ERR_JOURNAL_VERSION',
    });
  });
});

describe('toOutbox', () => {
  it('has an ending once, however often it is delivered, also in one turn', async () => {
    const deliver = toOutbox(pool);
    for (let round = 0; round < 3; round += 1)
      await Promise.all(['a', 'b', 'a'].map((id) => deliver(event(id), attempt)));
    expect(server.sql('select id from mapsweep.outbox order by id')).toBe('a\nb');
  });

  it('writes everything of an ending but its value, and that if it is asked for', async () => {
    await toOutbox(pool)(event('a'), attempt);
    await toOutbox(pool, { value: () => ({ size: 2 }) })(event('b'), attempt);
    const heard: unknown[] = [];
    await drainOutbox(pool, (message) => heard.push(message));
    const { value: _, ...all } = event('a');
    expect(heard).toEqual([all, { ...all, id: 'b', key: 'key of b', value: { size: 2 } }]);
  });

  it('carries every text and every id: NUL, halves of a pair, what looks escaped', async () => {
    const ids = ['\0', '"\\u0000"', '\ud800', '\ud801', 'ü€😀', '"', ''];
    const deliver = toOutbox(pool);
    await Promise.all(ids.map((id) => deliver(event(id, { detail: id }), attempt)));
    const heard: EndingMessage[] = [];
    await drainOutbox(pool, (message) => heard.push(message));
    expect(heard.map(({ id, detail }) => [id, detail])).toEqual(ids.map((id) => [id, id]));
  });

  it('tells of an ending without the detail that JSON cannot carry, and says so once', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const deliver = toOutbox(pool);
    await Promise.all(['a', 'b'].map((id) => deliver(event(id, { detail: 1n }), attempt)));
    expect(server.sql(`select event->'detail' is null from mapsweep.outbox`)).toBe('t\nt');
    expect(warn.mock.calls.map(([, options]) => options)).toEqual([{ code: 'MAPSWEEP_DETAIL_LEFT_OUT' }]);
    warn.mockRestore();
  });

  it('rejects one that PostgreSQL refuses, and writes those beside it', async () => {
    await toOutbox(pool)(event('first'), attempt);
    server.sql(`alter table mapsweep.outbox add constraint odd check (id <> 'b')`);
    const deliver = toOutbox(pool);
    const results = await Promise.allSettled(['a', 'b', 'c'].map((id) => deliver(event(id), attempt)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((results[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_OUTBOX_IO' });
  });

  it('writes 2,000 endings of a registry in a few statements', async () => {
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: {} },
      ended: { map: 'runs', deliver: toOutbox(pool), concurrency: 500 },
    });
    for (let index = 0; index < 2_000; index += 1) {
      registry.maps.runs.set(`run ${index}`, {});
      registry.end(`run ${index}`);
    }
    expect(await registry.close()).toMatchObject({ undelivered: 0 });
    expect(server.sql('select count(*), count(distinct xmin::text) < 40 from mapsweep.outbox')).toBe(
      '2000|t',
    );
  });

  it('writes a text as it is where the database has its characters, and escaped where it may lack them', async () => {
    const deliver = toOutbox(pool);
    await deliver(event('a', { detail: '日本 \0 \ud800' }), attempt);
    expect(server.sql('select event::text from mapsweep.outbox')).toContain(
      '"detail":"日本 \\u0000 \\ud800"',
    );
    server.sql('truncate mapsweep.outbox');
    const narrow = new pg.Pool({ ...server.options, options: '-c client_encoding=LATIN1' });
    narrow.on('connect', (client) => void client.query("set client_encoding = 'LATIN1'"));
    await toOutbox(narrow)(event('a', { detail: '日本' }), attempt);
    await narrow.end();
    expect(server.sql('select event::text from mapsweep.outbox')).toContain('"detail":"\\u65e5\\u672c"');
  });

  it('makes no statement of more than 256 k characters and one ending, and no less than one', async () => {
    const deliver = toOutbox(pool);
    const texts = [...Array.from({ length: 40 }, () => 20_000), 600_000, 10, 10].map((size) =>
      '日'.repeat(size),
    );
    await Promise.all(texts.map((detail, index) => deliver(event(`${index}`, { detail }), attempt)));
    const sizes = server
      .sql('select count(*) from mapsweep.outbox group by xmin::text order by min(position)')
      .split('\n')
      .map(Number);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(43);
    expect(sizes).toEqual([13, 13, 13, 1, 1, 2]);
  });

  it('asks for one connection at a time, and rejects all that wait for it when there is none', async () => {
    const asked: ((error: Error) => void)[] = [];
    const exhausted = Object.create(pool) as pg.Pool;
    exhausted.connect = (() => new Promise((_, reject) => asked.push(reject))) as never;
    const deliver = toOutbox(exhausted);
    const outcomes: Promise<unknown>[] = [];
    for (const id of ['a', 'b', 'c']) {
      outcomes.push(Promise.allSettled([deliver(event(id), attempt)]));
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    expect(asked.length).toBe(1);
    asked[0]?.(new Error('all are in use'));
    for (const [outcome] of (await Promise.all(outcomes)) as PromiseRejectedResult[][])
      expect(outcome?.reason).toMatchObject({
        code: 'ERR_OUTBOX_IO',
        message: expect.stringContaining('all are in use'),
      });
    expect(asked.length).toBe(1);
    exhausted.connect = pool.connect.bind(pool) as never;
    await Promise.all(['a', 'b', 'c'].map((id) => deliver(event(id), attempt)));
    expect(server.sql('select count(*) from mapsweep.outbox')).toBe('3');
  });

  it('writes in one statement what comes in one turn of the event loop, be it some microtasks apart', async () => {
    const deliver = toOutbox(pool);
    await deliver(event('first'), attempt);
    const first = deliver(event('a'), attempt);
    for (let count = 0; count < 20; count += 1) await undefined;
    await Promise.all([first, deliver(event('b'), attempt)]);
    expect(server.sql('select count(distinct xmin::text) from mapsweep.outbox')).toBe('2');
  });

  it('makes the tables once though four begin at the same time', async () => {
    await Promise.all([1, 2, 3, 4].map((n) => toOutbox(pool)(event(`${n}`), attempt)));
    expect(server.sql('select count(*) from mapsweep.outbox')).toBe('4');
  });
});

describe('drainOutbox', () => {
  const fill = async (count: number): Promise<string[]> => {
    const deliver = toOutbox(pool);
    const ids = Array.from({ length: count }, (_, index) => `run-${String(index).padStart(4, '0')}`);
    await Promise.all(ids.map((id) => deliver(event(id), attempt)));
    return ids;
  };

  it('has the effect of each ending once, the oldest first', async () => {
    const ids = await fill(250);
    const order: string[] = [];
    const outcome = await drainOutbox(pool, async (message, client: pg.PoolClient) => {
      order.push(message.id);
      await effect(message, client);
    });
    expect(outcome).toEqual({ handled: 250, failed: 0 });
    expect(order).toEqual(ids);
    expect(effects()).toEqual(ids);
    expect(await drainOutbox(pool, effect)).toEqual({ handled: 0, failed: 0 });
  });

  it('has it once with four consumers at a time, whose connections are killed again and again', async () => {
    const ids = await fill(1_000);
    const stop = new AbortController();
    const consumers = [1, 2, 3, 4].map(() =>
      drainOutbox(pool, effect, { every: 20, batch: 20, signal: stop.signal, minDelay: 10 }),
    );
    for (let round = 0; round < 15; round += 1) {
      await sleep(30);
      server.sql(`select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and usename = 'mapsweep' and random() < 0.5`);
    }
    await eventually(() => (effects().length === ids.length ? true : undefined), 'all effects');
    stop.abort();
    await Promise.all(consumers);
    expect(server.sql('select count(*) from mapsweep.outbox where handled_at is null')).toBe('0');
  });

  it('undoes what a handler did that throws, goes on with the others, and tries it again later', async () => {
    await fill(3);
    const attempts: number[] = [];
    const failing = async (
      message: EndingMessage,
      client: pg.PoolClient,
      { attempt: count }: { attempt: number },
    ): Promise<void> => {
      await effect(message, client);
      if (message.id !== 'run-0001') return;
      attempts.push(count);
      if (count < 3) throw new Error('not yet');
    };
    expect(await drainOutbox(pool, failing, { minDelay: 30 })).toEqual({ handled: 2, failed: 1 });
    expect(effects()).toEqual(['run-0000', 'run-0002']);
    expect(server.sql(`select attempts, error from mapsweep.outbox where handled_at is null`)).toBe(
      '1|Error: not yet',
    );
    await eventually(async () => {
      await drainOutbox(pool, failing, { minDelay: 30 });
      return attempts.length === 3 ? true : undefined;
    }, 'a third attempt');
    expect(attempts).toEqual([1, 2, 3]);
    expect(effects()).toEqual(['run-0000', 'run-0001', 'run-0002']);
  });

  it('has PostgreSQL notice within half a minute that its machine has vanished, and leaves the connection as it was', async () => {
    await fill(1);
    const names = ['idle', 'interval', 'count'].map((name) => `tcp_keepalives_${name}`);
    const shown = [...names, 'tcp_user_timeout'].map((name) => `current_setting('${name}')::int`);
    const ask = async (client: pg.Pool | pg.PoolClient): Promise<unknown[]> => {
      const { rows } = await client.query({ text: `select ${shown.join(', ')}`, rowMode: 'array' });
      return rows[0] as unknown[];
    };
    const single = new pg.Pool({ ...server.options, max: 1 });
    const before = await ask(single);
    let during: unknown[] = [];
    await drainOutbox(single, async (_, client: pg.PoolClient) => {
      during = await ask(client);
    });
    expect(during).toEqual([10, 5, 3, 25_000]);
    expect(await ask(single)).toEqual(before);
    await single.end();
  });

  it('goes on in a database that lacks the characters of an id or an error', async () => {
    server.sql(`create database latin encoding 'LATIN1' locale 'C' template template0`);
    const latin = new pg.Pool({ ...server.options, database: 'latin' });
    try {
      const deliver = toOutbox(latin);
      await Promise.all(['a', '日本', 'z'].map((id) => deliver(event(id), attempt)));
      const outcome = await drainOutbox(latin, ({ id }) => {
        if (id !== 'z') throw new Error(`${'x'.repeat(300)} 日本`);
      });
      expect(outcome).toEqual({ handled: 1, failed: 2 });
      const { rows } = await latin.query(
        'select id, error from mapsweep.outbox where attempts = 1 order by position',
      );
      expect(rows).toEqual(
        ['a', '"\\u65e5\\u672c"'].map((id) => ({
          id,
          error: expect.stringMatching(/^Error: x+\\u2026$/),
        })),
      );
    } finally {
      await latin.end();
      server.sql('drop database latin');
    }
  });

  it('counts the pause after a failure from that on, however long the batch has taken', async () => {
    await fill(2);
    await drainOutbox(
      pool,
      async ({ id }, client: pg.PoolClient) => {
        await client.query('select pg_sleep(0.5)');
        if (id === 'run-0001') throw new Error('not yet');
      },
      { minDelay: 5_000 },
    );
    // Of the one that was handled it says when the batch began.
    const began = '(select max(handled_at) from mapsweep.outbox)';
    expect(
      server.sql(`select due_at - ${began} >= interval '6 s' from mapsweep.outbox where handled_at is null`),
    ).toBe('t');
  });

  it('goes on after a statement of a handler that PostgreSQL refused', async () => {
    await fill(2);
    const outcome = await drainOutbox(pool, async (message, client: pg.PoolClient) => {
      if (message.id === 'run-0000') await client.query('select 1 / 0');
      await effect(message, client);
    });
    expect(outcome).toEqual({ handled: 1, failed: 1 });
    expect(effects()).toEqual(['run-0001']);
  });

  it('undoes and postpones what a handler did that catches the error of a statement, and goes on', async () => {
    await fill(3);
    const outcome = await drainOutbox(pool, async (message, client: pg.PoolClient) => {
      await effect(message, client);
      if (message.id === 'run-0001') await effect(message, client).catch(() => {});
    });
    expect(outcome).toEqual({ handled: 2, failed: 1 });
    expect(effects()).toEqual(['run-0000', 'run-0002']);
    expect(
      server.sql('select attempts, due_at > now(), error from mapsweep.outbox where handled_at is null'),
    ).toMatch(/^1\|t\|a statement of the handler failed, whose error it caught/);
  });

  it('keeps what a handler did that goes back to a savepoint of its own', async () => {
    await fill(1);
    const outcome = await drainOutbox(pool, async (message, client: pg.PoolClient) => {
      await effect(message, client);
      await client.query('savepoint own');
      await effect(message, client).catch(() => client.query('rollback to savepoint own'));
    });
    expect(outcome).toEqual({ handled: 1, failed: 0 });
    expect(effects()).toEqual(['run-0000']);
  });

  it('rejects, and has counted no attempt, when the connection is lost while a handler has it', async () => {
    await fill(2);
    const drained = drainOutbox(pool, async (_, client: pg.PoolClient) => {
      await client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
    });
    await expect(drained).rejects.toMatchObject({ code: 'ERR_OUTBOX_IO' });
    expect(server.sql('select sum(attempts) from mapsweep.outbox')).toBe('0');
  });

  it('handles all the others, and counts the attempts of one whose handling loses the connection, each time', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const impatient = new pg.Pool({
      ...server.options,
      options: '-c idle_in_transaction_session_timeout=700',
    });
    const ids = await fill(20);
    const stop = new AbortController();
    const calls = new Map<string, number>();
    const drained = drainOutbox(
      impatient,
      async (message, client: pg.PoolClient) => {
        calls.set(message.id, (calls.get(message.id) ?? 0) + 1);
        await effect(message, client);
        if (message.id === 'run-0003') await once(client, 'error');
      },
      { every: 10, minDelay: 100, signal: stop.signal },
    );
    // Not on the time of the consumer, whose connection would be lost by that.
    const isTrue = async (condition: string): Promise<true | undefined> =>
      (await pool.query(`select from mapsweep.outbox where ${condition}`)).rowCount === 1 || undefined;
    await eventually(() => isTrue(`id = 'run-0003' and attempts >= 3`), 'a third attempt');
    await fill(21);
    await eventually(() => isTrue(`id = 'run-0020' and handled_at is not null`), 'one that came later');
    stop.abort();
    await drained;
    await impatient.end();
    expect(effects()).toEqual([...ids.filter((id) => id !== 'run-0003'), 'run-0020']);
    expect(
      server.sql(`select error from mapsweep.outbox where due_at > written_at + interval '100 ms'`),
    ).toMatch(/^undone with its transaction: .*idle-in-transaction timeout/);
    // Undone with it once, and never again.
    expect([calls.get('run-0002'), calls.get('run-0004'), calls.get('run-0020')]).toEqual([2, 1, 1]);
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      expect.stringMatching(/^drainOutbox: .*'run-0003'.*idle-in-transaction timeout/),
    ]);
    warn.mockRestore();
  });

  it('handles all the others beside one whose effect PostgreSQL refuses at the commit, and says why', async () => {
    server.sql('alter table effects add constraint late unique (key) deferrable initially deferred');
    await fill(5);
    const calls: string[] = [];
    const handle = async (message: EndingMessage, client: pg.PoolClient): Promise<void> => {
      calls.push(message.id);
      await effect({ ...message, key: message.id.replace('0002', '0001') }, client);
    };
    expect(await drainOutbox(pool, handle, { minDelay: 2_000 })).toEqual({ handled: 4, failed: 1 });
    expect(effects()).toEqual(['run-0000', 'run-0001', 'run-0003', 'run-0004']);
    expect(server.sql('select id, attempts, error from mapsweep.outbox where handled_at is null')).toMatch(
      /^run-0002\|1\|undone with its transaction: error: duplicate key value violates unique constraint "late"$/,
    );
    // It undoes nothing of others any more when it is tried again with them.
    await fill(8);
    calls.length = 0;
    await eventually(async () => {
      await drainOutbox(pool, handle, { minDelay: 50 });
      return calls.filter((id) => id === 'run-0002').length > 1 ? true : undefined;
    }, 'two attempts more');
    expect(calls.filter((id) => id !== 'run-0002')).toEqual(['run-0005', 'run-0006', 'run-0007']);
  });

  it('handles all the others beside one whose handler ends the transaction', async () => {
    await fill(3);
    const outcome = await drainOutbox(pool, async (message, client: pg.PoolClient) => {
      await effect(message, client);
      if (message.id === 'run-0001') await client.query('rollback');
    });
    expect(outcome).toEqual({ handled: 2, failed: 1 });
    expect(effects()).toEqual(['run-0000', 'run-0002']);
    expect(server.sql('select id, attempts, error from mapsweep.outbox where handled_at is null')).toMatch(
      /^run-0001\|1\|undone with its transaction: /,
    );
  });

  it('blames none for an outage: counts no attempt, and goes on with all of them when PostgreSQL is back', async () => {
    const ids = await fill(3);
    let isDown = false;
    const failing = drainOutbox(pool, async (message, client: pg.PoolClient) => {
      if (message.id === 'run-0001') server.down('immediate');
      isDown = true;
      await effect(message, client);
    });
    await expect(failing).rejects.toMatchObject({ code: 'ERR_OUTBOX_IO' });
    expect(isDown).toBe(true);
    server.up();
    expect(server.sql('select sum(attempts), count(error) from mapsweep.outbox')).toBe('0|0');
    expect(await drainOutbox(pool, effect)).toEqual({ handled: 3, failed: 0 });
    expect(effects()).toEqual(ids);
  });

  it('refuses options that it does not know, and no function', async () => {
    await expect(drainOutbox(pool, effect, { bach: 1 } as never)).rejects.toThrow(/batch/);
    await expect(drainOutbox(pool, 'x' as never)).rejects.toThrow(/handle must be a function/);
  });
});

describe('purgeOutbox', () => {
  it('deletes what was handled longer ago than olderThan, and nothing that is not handled', async () => {
    const deliver = toOutbox(pool);
    await Promise.all(['old', 'young', 'open'].map((id) => deliver(event(id), attempt)));
    server.sql(`
      update mapsweep.outbox set handled_at = now() - interval '9 days' where id = 'old';
      update mapsweep.outbox set handled_at = now() - interval '7 days' where id = 'young';
      update mapsweep.outbox set written_at = now() - interval '90 days' where id = 'open'`);
    expect(await purgeOutbox(pool)).toBe(1);
    expect(server.sql('select id from mapsweep.outbox order by id')).toBe('open\nyoung');
    expect(await purgeOutbox(pool, { olderThan: '1d' })).toBe(1);
    expect(await purgeOutbox(pool, { olderThan: '1d' })).toBe(0);
  });
});
