import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import {
  Database,
  type PostgresClient,
  type PostgresPool,
} from '../../src/integrations/postgres/database.js';
import { InstanceLock } from '../../src/integrations/postgres/instance-lock.js';
import { InstanceRows } from '../../src/integrations/postgres/instance-rows.js';
import { lockKey } from '../../src/integrations/postgres/layout.js';
import { openPostgresJournal } from '../../src/integrations/postgres/open.js';
import type { PostgresJournal } from '../../src/integrations/postgres/postgres-journal.js';
import { takeOver } from '../../src/integrations/postgres/take-over.js';
import type { Absentee } from '../../src/integrations/postgres/vigil.js';
import type { JournalRecord, Portion, Successor } from '../../src/restart/journal.js';
import { eventually } from './gateways.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;
let pool: pg.Pool;
const opened: PostgresJournal[] = [];

beforeAll(async () => {
  server = await PostgresServer.start();
  pool = new pg.Pool(server.options);
});

afterEach(() => {
  for (const journal of opened.splice(0)) journal.release();
});

afterAll(async () => {
  await pool?.end();
  server?.dispose();
});

const schema = 'mapsweep';
const rowsOf = (of: PostgresPool = pool): InstanceRows =>
  new InstanceRows(new Database(of, 'test', 'ERR_JOURNAL_IO'), schema);

let instances = 0;
async function open(takeOverAfterMs?: number): Promise<PostgresJournal> {
  instances += 1;
  const instance = `instance ${instances}`;
  const journal = await openPostgresJournal(pool, { schema, instance, takeOverAfterMs });
  journal.begin(() => []);
  opened.push(journal);
  return journal;
}

/** One that has written `["a"]` and is dead. */
async function deadOne(): Promise<{ instance: string; epoch: number }> {
  const journal = await open();
  await journal.append(['["a"]']);
  journal.release();
  const { instance, epoch } = journal;
  await eventually(async () => ((await lockIsHeld(instance)) ? undefined : true), 'a free lock');
  return { instance, epoch };
}

const lockIsHeld = async (instance: string): Promise<boolean> => {
  const [row] = await rowsOf().database.query(
    'select pg_try_advisory_lock($1::bigint) as taken, pg_advisory_unlock($1::bigint)',
    [lockKey(schema, instance)],
  );
  return row?.taken !== true;
};

/** The backend that holds the lock of an instance. */
const holderOf = ({ instance }: PostgresJournal): string =>
  server.sql(`
    select pid from pg_locks join mapsweep.instances on objid = lock & x'ffffffff'::bigint
    where locktype = 'advisory' and granted and instance = '${instance}'`);

const recordsOf = (instance: string): string =>
  server.sql(
    `select string_agg(convert_from(body, 'UTF8'), ' ' order by number) from mapsweep.records where instance = '${instance}'`,
  );

const isSettled = ({ instance }: Absentee): boolean =>
  server.sql(`select settled_at is not null from mapsweep.instances where instance = '${instance}'`) === 't';

/** A registry that takes over one portion, or as many as are said, and does something in the midst of it. */
function successor(
  meanwhile: () => unknown = () => {},
  portions = 1,
): Successor & { accepted: number; forfeited: JournalRecord[]; losses: string[] } {
  const fake = {
    mayTakeOver: true,
    accepted: 0,
    forfeited: [] as JournalRecord[],
    losses: [] as string[],
    examine: async (): Promise<Portion[]> => {
      await meanwhile();
      const accept = (): void => {
        fake.accepted += 1;
      };
      return Array(portions).fill({ taken: ['["taken"]'], settled: ['["settled"]'], accept });
    },
    between: (act: () => Promise<void>) => act(),
    forfeit: async (records: readonly JournalRecord[]) => void fake.forfeited.push(...records),
    rowsLost: () => {},
    failed: () => {},
    lost: (error: unknown) => void fake.losses.push((error as { code: string }).code),
  };
  return fake;
}

it('takes over in one transaction: its own rows, the rows of the dead one and the epoch', async () => {
  const dead = await deadOne();
  const journal = await open();
  const heir = successor();
  expect(await takeOver({ rows: rowsOf(), journal, successor: heir }, dead)).toBe('whole');
  expect(heir.accepted).toBe(1);
  expect(recordsOf(journal.instance)).toBe('["taken"]'.replace(/^/, '[').concat(']'));
  expect(recordsOf(dead.instance)).toBe('[["a"]] [["settled"]]');
  expect(isSettled(dead)).toBe(true);
});

it('raises the epoch of a dead one that owed nothing, so that it is settled no more when it is back', async () => {
  const cut = await open();
  const journal = await open();
  const { instance, epoch } = cut;
  // As if it had lost its lock.
  server.sql(`update mapsweep.instances set lock = 0 where instance = '${instance}'`);
  const parts = { rows: rowsOf(), journal, successor: successor(undefined, 0) };
  expect(await takeOver(parts, { instance, epoch })).toBe('whole');
  expect(isSettled(cut)).toBe(true);
  await cut.append(['["a"]']);
  expect(isSettled(cut)).toBe(false);
});

it('settles one that has left out all its rows', async () => {
  const dead = await deadOne();
  const rows = rowsOf();
  await rows.supersede(dead.instance, dead.epoch, 2);
  expect(await takeOver({ rows, journal: await open(), successor: successor(undefined, 0) }, dead)).toBe(
    'whole',
  );
  expect(isSettled(dead)).toBe(true);
});

it('settles none that owed nothing, but has written meanwhile, left out rows, or has its lock again', async () => {
  const journal = await open();
  const rows = rowsOf();
  const locker = await pool.connect();
  for (const meanwhile of [
    ({ instance, epoch }: Absentee) => rows.put(instance, epoch, 99, Buffer.from('[["late"]]')),
    ({ instance, epoch }: Absentee) => rows.supersede(instance, epoch, 2),
    ({ instance }: Absentee) =>
      locker.query('select pg_advisory_lock($1::bigint)', [lockKey(schema, instance)]),
  ]) {
    const dead = await deadOne();
    const heir = successor(() => meanwhile(dead), 0);
    expect(await takeOver({ rows, journal, successor: heir }, dead)).toBe('partly');
    expect(isSettled(dead)).toBe(false);
  }
  locker.release(true);
});

it('takes nothing from one that has written meanwhile', async () => {
  const dead = await deadOne();
  const journal = await open();
  const rows = rowsOf();
  const heir = successor(() => rows.put(dead.instance, dead.epoch, 99, Buffer.from('[["late"]]')));
  expect(await takeOver({ rows, journal, successor: heir }, dead)).toBe('partly');
  expect(heir.accepted).toBe(0);
  expect(recordsOf(dead.instance)).toBe('[["a"]] [["late"]]');
  expect(recordsOf(journal.instance)).toBe('');
});

it('takes nothing from one that has its lock again, or was opened anew', async () => {
  const dead = await deadOne();
  const journal = await open();
  const client = await pool.connect();
  const withLock = successor(() =>
    client.query('select pg_advisory_lock($1::bigint)', [lockKey(schema, dead.instance)]),
  );
  expect(await takeOver({ rows: rowsOf(), journal, successor: withLock }, dead)).toBe('partly');
  client.release(true);
  const anew = successor(async () => {
    opened.push(await openPostgresJournal(pool, { schema, instance: dead.instance }));
  });
  expect(await takeOver({ rows: rowsOf(), journal, successor: anew }, dead)).toBe('partly');
  expect(withLock.accepted + anew.accepted).toBe(0);
});

it('takes its lock again while a takeover waits, for the database or for its own writer', async () => {
  const dead = await deadOne();
  const journal = await open(1_000);
  let goOn: (() => void) | undefined;
  const heir = successor();
  heir.between = async (act) => {
    if (goOn === undefined)
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    await act();
  };
  journal.join(heir);
  const end = await eventually(() => goOn, 'a takeover');
  for (let round = 0; round < 2; round += 1) {
    const before = holderOf(journal);
    server.sql(`select pg_terminate_backend(${before})`);
    await eventually(
      () => (['', before].includes(holderOf(journal)) ? undefined : true),
      'another holder of the lock',
    );
  }
  expect(heir.accepted).toBe(0);
  end();
  await eventually(() => isSettled(dead) || undefined, 'the rest of the takeover');
});

it('takes its lock again though a call of the journal is under way that takes long', async () => {
  const journal = await open(1_000);
  await journal.append(['["a"]']);
  const [blocker, locker] = [await pool.connect(), await pool.connect()];
  await blocker.query('begin');
  await blocker.query('select from mapsweep.instances where instance = $1 for update', [journal.instance]);
  let isDone = false;
  const append = journal.append(['["b"]']).then(() => {
    isDone = true;
  });
  const own = holderOf(journal);
  const theirs = locker.query('select pg_advisory_lock($1::bigint)', [lockKey(schema, journal.instance)]);
  await eventually(
    () =>
      Number(server.sql(`select count(*) from pg_locks where locktype = 'advisory' and not granted`)) ||
      undefined,
    'somebody else who waits for the lock',
  );
  server.sql(`select pg_terminate_backend(${own})`);
  await theirs;
  const other = holderOf(journal);
  // Meanwhile it finds that somebody else has it, and waits to know what became of its epoch.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  locker.release(true);
  await eventually(() => (['', other].includes(holderOf(journal)) ? undefined : true), 'a lock again');
  expect(isDone).toBe(false);
  await blocker.query('commit');
  blocker.release();
  await append;
});

it('takes its lock again though all connections of the pool are in use', async () => {
  const full = new pg.Pool({ ...server.options, max: 2 });
  const journal = await openPostgresJournal(full, { schema, instance: 'full', takeOverAfterMs: 1_000 });
  opened.push(journal);
  const taken = [await full.connect(), await full.connect()];
  const before = holderOf(journal);
  server.sql(`select pg_terminate_backend(${before})`);
  await eventually(() => (['', before].includes(holderOf(journal)) ? undefined : true), 'a lock again');
  for (const client of taken) client.release();
  journal.release();
  await full.end();
});

it('takes its lock once, though two ask for it at once', async () => {
  const database = new Database(pool, 'test', 'ERR_JOURNAL_IO');
  const lock = new InstanceLock(database, lockKey(schema, 'asked twice'), () => {});
  expect(await Promise.all([lock.take(0), lock.take(0)])).toEqual([true, true]);
  lock.release();
});

it('takes nothing when it was taken over from itself', async () => {
  const dead = await deadOne();
  const journal = await open();
  const heir = successor(() =>
    server.sql(`update mapsweep.instances set epoch = epoch + 1 where instance = '${journal.instance}'`),
  );
  expect(await takeOver({ rows: rowsOf(), journal, successor: heir }, dead)).toBe('partly');
  expect(heir.accepted).toBe(0);
});

/** A pool whose connections break at a commit: before PostgreSQL has it, or after it. */
function breakingAtCommit(when: 'before' | 'after'): PostgresPool {
  let isBroken = false;
  return {
    options: {},
    on: () => {},
    connect: async () => {
      const client = (await pool.connect()) as unknown as PostgresClient;
      return {
        on: () => {},
        removeListener: () => {},
        release: (destroy) => client.release(destroy),
        query: async (text, values) => {
          if (text !== 'commit' || isBroken) return client.query(text, values);
          isBroken = true;
          if (when === 'after') await client.query(text, values);
          throw new Error('Connection terminated unexpectedly');
        },
      };
    },
  };
}

it('finds out what became of a commit whose answer was lost, and accepts what is there', async () => {
  for (const [when, outcome, accepted] of [
    ['after', 'whole', 1],
    ['before', 'partly', 0],
  ] as const) {
    const dead = await deadOne();
    const journal = await open();
    const heir = successor();
    const parts = { rows: rowsOf(breakingAtCommit(when)), journal, successor: heir };
    expect(await takeOver(parts, dead)).toBe(outcome);
    expect(heir.accepted).toBe(accepted);
    expect(recordsOf(journal.instance)).toBe(when === 'after' ? '[["taken"]]' : '[]');
  }
});

it('waits for a commit that is late, and whose answer was lost, until that has come or is given up', async () => {
  for (const end of ['commit', 'rollback'] as const) {
    const journal = await open();
    const own = { number: 5, body: Buffer.from('[["taken"]]') };
    const client = await pool.connect();
    await client.query('begin');
    await client.query('insert into mapsweep.records values ($1, 5, $2, $3)', [
      journal.instance,
      journal.epoch,
      own.body,
    ]);
    let wasCommitted: boolean | undefined;
    const asked = rowsOf()
      .wasCommitted(journal.instance, journal.epoch, own)
      .then((answer) => {
        wasCommitted = answer;
      });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(wasCommitted).toBeUndefined();
    await client.query(end);
    client.release();
    await asked;
    expect(wasCommitted).toBe(end === 'commit');
  }
});

it('commits nothing while somebody is raising its epoch, and goes on after that in an epoch of its own', async () => {
  const journal = await open();
  const told = successor();
  journal.join(told);
  await journal.append(['["a"]']);
  const { instance, epoch } = journal;
  const client = await pool.connect();
  await client.query('begin');
  await client.query('update mapsweep.instances set epoch = epoch + 1 where instance = $1', [instance]);
  await client.query(`insert into mapsweep.records values ($1, 2, $2, '[["quiet",1]]')`, [
    instance,
    epoch + 1,
  ]);
  let isDone = false;
  const append = journal.append(['["b"]']).then(() => {
    isDone = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(isDone).toBe(false);
  await client.query('commit');
  client.release();
  await append;
  expect(told.forfeited).toEqual([['quiet', 1]]);
  expect(recordsOf(instance)).toBe('[["a"]] [["quiet",1]] [["b"]]');
  expect(journal.epoch).toBe(epoch + 2);
});

it('is lost for good to who opens it while it is cut off, and says so at each call', async () => {
  const journal = await open();
  await journal.append(['["a"]']);
  await rowsOf().own(journal.instance, 'somebody else', '1');
  for (let attempt = 0; attempt < 2; attempt += 1)
    await expect(journal.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
  await expect(journal.endCheckpoint()).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
  expect(() => journal.appendNow(['["b"]'])).toThrow(expect.objectContaining({ code: 'ERR_JOURNAL_LOST' }));
  expect(recordsOf(journal.instance)).toBe('[["a"]]');
});

it('says at its next look that it is lost, once, and holds no lock that would keep the new owner alive', async () => {
  for (const joins of ['before', 'after'] as const) {
    const journal = await open(1_000);
    const { instance } = journal;
    const told = successor();
    if (joins === 'before') journal.join(told);
    await rowsOf().own(instance, 'somebody else', lockKey(schema, instance));
    await eventually(async () => ((await lockIsHeld(instance)) ? undefined : true), 'a free lock');
    if (joins === 'after') journal.join(told);
    await expect(journal.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(told.losses).toEqual(['ERR_JOURNAL_LOST']);
    expect(await lockIsHeld(instance)).toBe(false);
  }
});

/** What a pooler in session mode is to its clients: it lends sessions that others have had, and hears of a broken client by itself. */
function sessionPooler(): { pool: PostgresPool; giveBackFirst(): Promise<void>; close(): void } {
  const opened = new Set<PostgresClient>();
  const idle: PostgresClient[] = [];
  const lent: PostgresClient[] = [];
  const connect = async (): Promise<PostgresClient> => {
    const client = idle.pop() ?? ((await pool.connect()) as unknown as PostgresClient);
    lent.push(client);
    if (!opened.has(client)) client.on('error', () => {});
    opened.add(client);
    const { processID } = client as unknown as { processID: number };
    const lends = {
      processID,
      query: (text: string, values?: unknown[]) => client.query(text, values),
      on: () => {},
      removeListener: () => {},
      release: () => {},
    };
    return lends;
  };
  return {
    pool: { options: {}, on: () => {}, connect },
    giveBackFirst: async () => {
      const client = lent.shift()!;
      await client.query('discard all');
      idle.push(client);
    },
    close: () => {
      for (const client of opened) client.release(true);
    },
  };
}

it('ends no backend but its own to have its lock back, nor one that was its own and is somebody else’s by now', async () => {
  const pooler = sessionPooler();
  const key = '987654321';
  const database = new Database(pooler.pool, 'test', 'ERR_JOURNAL_IO');
  const [first, second] = [0, 1].map(() => new InstanceLock(database, key, () => {}));
  const holder = (): string =>
    server.sql(
      `select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and objid = ${key} and granted`,
    );
  expect(await first!.take(0)).toBe(true);
  const before = holder();
  expect(await second!.take(0)).toBe(false);
  expect(holder()).toBe(before);
  await expect(first!.ask('nonsense')).rejects.toThrow();
  await pooler.giveBackFirst();
  expect(await second!.take(0)).toBe(true);
  expect(holder()).toBe(before);
  for (let attempt = 0; attempt < 3; attempt += 1) expect(await first!.take(0)).toBe(false);
  expect(holder()).toBe(before);
  expect(await second!.ask('select 1 as one')).toEqual([{ one: 1 }]);
  // Its own, of which PostgreSQL does not know that it has lost it.
  await expect(second!.ask('nonsense')).rejects.toThrow();
  await eventually(async () => (await second!.take(0)) || undefined, 'the lock taken again');
  expect(holder()).not.toBe(before);
  pooler.close();
});

it('writes nothing any more if its row was removed and somebody else has the name', async () => {
  const journal = await open();
  await journal.append(['["a"]']);
  server.sql(`delete from mapsweep.instances where instance = '${journal.instance}'`);
  await rowsOf().own(journal.instance, 'somebody else', '1');
  await expect(journal.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
  expect(recordsOf(journal.instance)).toBe('[["a"]]');
});

it('brings back no row that is left out, though the statement of an earlier checkpoint comes late', async () => {
  const { instance, epoch } = await open();
  const rows = rowsOf();
  for (const first of [3, 5, 3]) expect(await rows.supersede(instance, epoch, first)).toBe(true);
  expect(await rows.extent(instance)).toMatchObject({ first: 5 });
});

it('writes a row once whose answer was lost, however often it is tried', async () => {
  const journal = await open();
  await journal.append(['["a"]']);
  // The row is there, and the connection broke before anybody heard of it.
  server.sql(`insert into mapsweep.records values ('${journal.instance}', 2, ${journal.epoch}, '[["b"]]')`);
  await journal.append(['["b"]']);
  await journal.append(['["c"]']);
  expect(recordsOf(journal.instance)).toBe('[["a"]] [["b"]] [["c"]]');
});
