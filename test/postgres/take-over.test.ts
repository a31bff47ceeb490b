import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { eventually, Fleet } from './gateways.js';
import { CuttableProxy } from './proxy.js';
import { PostgresServer } from './server.js';

let server: PostgresServer;
let fleet: Fleet;

beforeAll(async () => {
  server = await PostgresServer.start();
  fleet = new Fleet(server);
});

beforeEach(() => fleet.reset());

afterAll(async () => {
  await fleet?.dispose();
  server?.dispose();
});

it('tells of the runs of a gateway that was killed for good, as lost and once', async () => {
  const dying = await fleet.start('a');
  await fleet.start('b');
  await dying.set('1', '2', '3');
  await dying.flushed();
  await dying.kill();
  const told = await fleet.heard(3);
  expect(told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'lost', 'b'],
    ['2', 'lost', 'b'],
    ['3', 'lost', 'b'],
  ]);
  await sleep(2_000);
  expect(fleet.told.length).toBe(3);
});

const times = (count: number): string[] => Array.from({ length: count }, (_, index) => `run ${index}`);
const counted = (words: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
};

it('takes over 3,000 runs in portions, with four peers at once and no double, though one of them is killed in the midst of it', async () => {
  const dying = await fleet.start('a');
  const peers = [];
  for (const name of ['b', 'c', 'd', 'e']) peers.push(await fleet.start(name));
  await dying.set(...times(3_000));
  await dying.flushed();
  await dying.kill();
  await fleet.heard(300);
  const { by } = fleet.told[0]!;
  await peers[['b', 'c', 'd', 'e'].indexOf(by)]!.kill();
  await eventually(
    () => new Set(fleet.told.map(({ id }) => id)).size === 3_000 || undefined,
    'all of them told',
  );
  await sleep(2_500);
  const { told } = fleet;
  expect(new Set(told.map(({ id }) => id)).size).toBe(3_000);
  expect(counted(told.map(({ reason }) => reason))).toEqual({ lost: told.length });
  // At most once more per crash: what the killed one had told, and could not write any more.
  const again = told.map(({ id }) => id).filter((id, index, ids) => ids.indexOf(id) !== index);
  expect(new Set(again).size).toBe(again.length);
  const toldByKilled = new Set(told.filter((one) => one.by === by).map(({ id }) => id));
  expect(again.filter((id) => !toldByKilled.has(id))).toEqual([]);
});

it('lets a gateway that is started again within takeOverAfter go on with its own', async () => {
  const options = { takeOverAfter: 3_000 };
  const first = await fleet.start('a', options);
  await fleet.start('b', options);
  await first.set('1', '2');
  await first.flushed();
  await first.kill();
  await sleep(1_500);
  const second = await fleet.start('a', options);
  await second.set('1');
  expect(await second.end('1')).toEqual(['claimed']);
  await fleet.heard(1);
  await sleep(4_000);
  expect(fleet.told.map(({ key, reason, by }) => [key, reason, by])).toEqual([['1', 'completed', 'a']]);
});

it('delivers an ending that was claimed and not delivered with its own reason, detail or not', async () => {
  // Nobody hears of it: the table is not there.
  server.sql('alter table told rename to away');
  const dying = await fleet.start('a');
  await dying.set('1', '2');
  expect(await dying.end('1')).toEqual(['claimed']);
  await dying.flushed();
  await dying.kill();
  server.sql('alter table away rename to told');
  await fleet.start('b');
  const told = await fleet.heard(2);
  expect(told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'completed', 'b'],
    ['2', 'lost', 'b'],
  ]);
});

it('takes over from a gateway whose journal has had more rows than fit into an integer', async () => {
  const dying = await fleet.start('a');
  await dying.set('1', '2');
  await dying.flushed();
  await dying.kill();
  server.sql('update mapsweep.records set number = number + 3000000000');
  server.sql('update mapsweep.instances set first_number = first_number + 3000000000');
  await fleet.start('b');
  const told = await fleet.heard(2);
  expect(told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'lost', 'b'],
    ['2', 'lost', 'b'],
  ]);
});

it('leaves a stopped gateway its own, however long it is stopped', async () => {
  const stopped = await fleet.start('a');
  await fleet.start('b');
  await stopped.set('1', '2');
  await stopped.flushed();
  stopped.signal('SIGSTOP');
  await sleep(3_000);
  stopped.signal('SIGCONT');
  expect(await stopped.end('1', '2')).toEqual(['claimed', 'claimed']);
  const told = await fleet.heard(2);
  expect(counted(told.map(({ by, reason }) => `${by} ${reason}`))).toEqual({ 'a completed': 2 });
  expect(stopped.failures).toEqual([]);
});

it('tells a gateway that was cut off what was taken over, and lets it go on with the rest', async () => {
  const proxy = await CuttableProxy.to(server.options.port);
  const cut = await fleet.start('a', {
    connection: { ...server.options, port: proxy.port },
    maxWait: 60_000,
  });
  await fleet.start('b');
  await cut.set('1', '2', '3');
  await cut.flushed();
  proxy.cut();
  // It goes on meanwhile: one that ends, and a new one.
  expect(await cut.end('1')).toEqual(['claimed']);
  await cut.set('4', '5');
  await fleet.heard(3);
  proxy.heal();
  await eventually(
    () => cut.failures.find(({ code }) => code === 'ERR_JOURNAL_TAKEN_OVER'),
    'words of what was taken over',
  );
  await cut.flushedAtLast();
  expect(await cut.end('2', '3', '4')).toEqual(['duplicate', 'duplicate', 'claimed']);
  await fleet.heard(4);
  // What is open still is told when it dies, and nothing else.
  await cut.kill();
  await fleet.heard(5);
  await sleep(2_000);
  expect(fleet.told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'lost', 'b'],
    ['2', 'lost', 'b'],
    ['3', 'lost', 'b'],
    ['4', 'completed', 'a'],
    ['5', 'lost', 'b'],
  ]);
  proxy.close();
});

it('tells of the runs of a gateway that had none when it was cut off, and died after it had come back', async () => {
  const proxy = await CuttableProxy.to(server.options.port);
  const cut = await fleet.start('a', { connection: { ...server.options, port: proxy.port } });
  await fleet.start('b');
  const isSettled = (): true | undefined =>
    server.sql(`select settled_at is not null from mapsweep.instances where instance = 'a'`) === 't' ||
    undefined;
  proxy.cut();
  await eventually(isSettled, 'a takeover');
  proxy.heal();
  await cut.set('1', '2');
  await cut.flushedAtLast();
  await cut.kill();
  const told = await fleet.heard(2);
  expect(counted(told.map(({ by, reason }) => `${by} ${reason}`))).toEqual({ 'b lost': 2 });
  expect(cut.failures.filter(({ code }) => code === 'ERR_JOURNAL_TAKEN_OVER')).toEqual([]);
  proxy.close();
});

it('keeps its lock and loses nothing if the connection of the lock alone is cut, again and again', async () => {
  const proxy = await CuttableProxy.to(server.options.port);
  const cut = await fleet.start('a', { connection: { ...server.options, port: proxy.port } });
  await fleet.start('b');
  for (let round = 0; round < 10; round += 1) {
    await cut.set(`${round}`);
    await cut.flushed();
    proxy.cutOldest(1);
    await sleep(300);
  }
  expect(await cut.end(...Array.from({ length: 10 }, (_, n) => `${n}`))).toEqual(Array(10).fill('claimed'));
  const told = await fleet.heard(10);
  expect(counted(told.map(({ by, reason }) => `${by} ${reason}`))).toEqual({ 'a completed': 10 });
  proxy.close();
});

it('finds out that its connections hang, and goes on with others', async () => {
  const proxy = await CuttableProxy.to(server.options.port);
  const connection = { ...server.options, port: proxy.port };
  const hanging = await fleet.start('a', { connection, maxWait: 500, takeOverAfter: 30_000 });
  await hanging.set('1');
  await hanging.flushed();
  const lockHolder = (): string =>
    server.sql(`select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and granted`);
  const before = lockHolder();
  proxy.swallow();
  expect(await hanging.end('1')).toEqual(['claimed']);
  // The ending waits for maxWait at most, and the journal says that it takes nothing.
  await fleet.heard(1);
  const said = await eventually(() => hanging.failures[0], 'words of a journal that takes nothing');
  expect(said).toMatchObject({ code: 'ERR_JOURNAL_IO', isFinal: false });
  await hanging.set('2');
  await hanging.flushedAtLast();
  expect(await hanging.end('2')).toEqual(['claimed']);
  await fleet.heard(2);
  // The lock too is held on another connection in the end.
  await eventually(() => {
    const holder = lockHolder();
    return holder !== '' && holder !== before ? true : undefined;
  }, 'another holder of the lock');
  proxy.close();
});

it('takes over nothing if it only observes, has no deliver, or tells of another map', async () => {
  const dying = await fleet.start('a');
  await fleet.start('observing', { mode: 'observe' });
  await fleet.start('silent', { isSilent: true });
  await fleet.start('other', { map: 'jobs' });
  await dying.set('1');
  await dying.flushed();
  await dying.kill();
  await sleep(4_000);
  expect(fleet.told).toEqual([]);
  await fleet.start('b');
  await fleet.heard(1);
});

it('takes over from the others though it fails for one of the dead at each look, and says so once', async () => {
  const dying = [await fleet.start('a'), await fleet.start('c')];
  const heir = await fleet.start('b');
  for (const [index, gateway] of dying.entries()) {
    await gateway.set(`${index}`);
    await gateway.flushed();
  }
  server.sql(`
    create function mapsweep.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'this one is refused'; end $$;
    create trigger refuse before update on mapsweep.instances
      for each row when (old.instance = 'a') execute function mapsweep.refuse()`);
  for (const gateway of dying) await gateway.kill();
  expect((await fleet.heard(1)).map(({ key, by }) => `${key} ${by}`)).toEqual(['1 b']);
  await sleep(1_000);
  expect(heir.failures.map(({ message }) => message)).toEqual([
    expect.stringContaining('this one is refused'),
  ]);
  server.sql('drop trigger refuse on mapsweep.instances');
  expect((await fleet.heard(2)).map(({ key, by }) => `${key} ${by}`)).toEqual(['1 b', '0 b']);
});

it('goes on after PostgreSQL was restarted, and takes nobody for dead for that', async () => {
  const one = await fleet.start('a');
  const two = await fleet.start('b');
  for (const mode of ['fast', 'immediate'] as const) {
    await one.set(`one ${mode}`);
    await two.set(`two ${mode}`);
    await Promise.all([one.flushed(), two.flushed()]);
    server.down(mode);
    await one.set(`one during ${mode}`);
    await sleep(1_500);
    server.up();
    await Promise.all([one.flushedAtLast(), two.flushedAtLast()]);
    await sleep(2_000);
  }
  expect(await one.end('one fast', 'one immediate', 'one during fast', 'one during immediate')).toEqual(
    Array(4).fill('claimed'),
  );
  expect(await two.end('two fast', 'two immediate')).toEqual(Array(2).fill('claimed'));
  const told = await fleet.heard(6);
  expect(counted(told.map(({ by, reason }) => `${by} ${reason}`))).toEqual({
    'a completed': 4,
    'b completed': 2,
  });
});

it('writes everything anew when rows have gone that were written, and says so once', async () => {
  const gateway = await fleet.start('a');
  await gateway.set('1', '2');
  await gateway.flushed();
  await gateway.set('3');
  await gateway.flushed();
  expect(await gateway.end('3')).toEqual(['claimed']);
  await fleet.heard(1);
  await gateway.flushed();
  // What a replica that is behind has when it becomes the primary.
  server.sql('delete from mapsweep.records where number > (select min(number) from mapsweep.records)');
  // It goes on writing before it looks.
  await gateway.set('4');
  await gateway.flushed();
  await eventually(() => gateway.failures.length || undefined, 'the loss told');
  await gateway.flushed();
  await sleep(1_000);
  expect(gateway.failures.map(({ message }) => message)).toEqual([
    expect.stringMatching(/\d+ rows of .* had been written and have gone/),
  ]);
  await gateway.kill();
  await fleet.start('b');
  const told = await fleet.heard(4);
  expect(told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'lost', 'b'],
    ['2', 'lost', 'b'],
    ['3', 'completed', 'a'],
    ['4', 'lost', 'b'],
  ]);
});

it('writes everything anew when all of its rows have gone', async () => {
  const gateway = await fleet.start('a');
  await gateway.set('1');
  await gateway.flushed();
  server.sql('truncate mapsweep.records');
  await eventually(() => gateway.failures.length || undefined, 'the loss told');
  await gateway.flushed();
  await gateway.kill();
  await fleet.start('b');
  const told = await fleet.heard(1);
  expect(told.map(({ key, reason, by }) => [key, reason, by])).toEqual([['1', 'lost', 'b']]);
});

it('delivers nothing more from its next look on, if another process has opened its instance while it was stopped', async () => {
  const stopped = await fleet.start('a');
  await stopped.set('1');
  server.sql('alter table told rename to away');
  expect(await stopped.end('1')).toEqual(['claimed']);
  await stopped.flushed();
  stopped.signal('SIGSTOP');
  server.sql('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()');
  await fleet.start('a');
  stopped.signal('SIGCONT');
  await eventually(
    () => stopped.failures.find(({ code }) => code === 'ERR_JOURNAL_LOST'),
    'words of the loss',
  );
  server.sql('alter table away rename to told');
  await fleet.heard(1);
  await sleep(2_000);
  expect(fleet.told.map(({ key, reason }) => [key, reason])).toEqual([['1', 'completed']]);
  expect(stopped.failures.filter(({ code, isFinal }) => isFinal || code === 'ERR_JOURNAL_LOST')).toEqual([
    expect.objectContaining({ code: 'ERR_JOURNAL_LOST', isFinal: true }),
  ]);
  await expect(stopped.flushed()).rejects.toThrow("is no longer this process's");
});

it('is refused by a name that somebody has, and loses it to nobody', async () => {
  await fleet.start('a');
  await expect(fleet.start('a')).rejects.toThrow(
    "the instance 'a' of the schema 'mapsweep' belongs to another process",
  );
});

it('knows after a death for good what was told meanwhile, if it comes back all the same', async () => {
  const first = await fleet.start('a');
  await fleet.start('b');
  await first.set('1', '2');
  await first.flushed();
  await first.kill();
  await fleet.heard(2);
  const second = await fleet.start('a');
  await second.set('1', '3');
  // Taken over: the entry is back, its end was told.
  expect(await second.end('1', '2', '3')).toEqual(['duplicate', 'duplicate', 'claimed']);
  await fleet.heard(3);
  await sleep(1_500);
  expect(fleet.told.map(({ key, by }) => `${key} ${by}`).sort()).toEqual(['1 b', '2 b', '3 a']);
});

it('delivers what it has taken over in its next life, if it dies before', async () => {
  const dying = await fleet.start('a');
  await dying.set('1', '2');
  await dying.flushed();
  await dying.kill();
  server.sql('alter table told rename to away');
  const heir = await fleet.start('b');
  await eventually(
    () => server.sql('select 1 from mapsweep.instances where settled_at is not null') || undefined,
    'a takeover',
  );
  await heir.kill();
  server.sql('alter table away rename to told');
  await fleet.start('b');
  const told = await fleet.heard(2);
  await sleep(2_000);
  expect(fleet.told.length).toBe(2);
  expect(told.map(({ key, reason, by }) => [key, reason, by]).sort()).toEqual([
    ['1', 'lost', 'b'],
    ['2', 'lost', 'b'],
  ]);
});
