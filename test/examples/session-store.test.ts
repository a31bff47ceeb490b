import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, vi } from 'vitest';
import { playDay } from '../../examples/session-store/day.ts';
import type { SessionEntry } from '../../examples/session-store/entry.ts';
import { openJsonStore } from '../../examples/session-store/json-store.ts';
import { openTrackedStore, type TrackedStoreOptions } from '../../examples/session-store/tracked-store.ts';
import { itIn, ofExample } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const hours = 3_600_000;

const it = itIn(makeWorld);

async function makeWorld() {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-session-store-test-'));
  mkdirSync(join(folder, 'transcripts'));
  const clock = createManualClock();
  const stores: Array<Awaited<ReturnType<typeof openTrackedStore>>> = [];
  const transcripts = () => readdirSync(join(folder, 'transcripts'));
  return {
    folder,
    clock,
    transcripts,
    open: async (options?: TrackedStoreOptions) => {
      // A disk that answers at once: the real one knows nothing of the clock, and would be late.
      const removeTranscript = async (path: string) => rmSync(path, { force: true });
      const store = await openTrackedStore(folder, { clock, removeTranscript, ...options });
      stores.push(store);
      return store;
    },
    /** An entry with a transcript on the disk. */
    entry: (name: string): SessionEntry => {
      const transcript = join(folder, 'transcripts', name);
      writeFileSync(transcript, '{}\n');
      return { updatedAt: clock.now(), transcript, skills: '' };
    },
    /** Lets time pass, and what it has set off on the disk be done. */
    until: async (ms: number, check: () => void) => {
      await clock.advance(ms);
      await vi.waitFor(check, { interval: 5, timeout: 20_000 });
    },
    end: async () => {
      for (const store of stores) await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

it('loses who comes back in the evening, and leaves every transcript, as it was', async ({ world }) => {
  const { folder, clock, transcripts } = world;
  const store = openJsonStore(folder, { cap: 20 });
  const { lost } = await playDay(store, { folder, clock, runs: 100, entryBytes: 500 });
  expect(lost).toBe(2);
  expect(store.size).toBe(20);
  expect(transcripts()).toHaveLength(102);
});

it('loses nobody on the same day, and each run leaves with its transcript a day after', async ({ world }) => {
  const { folder, clock, transcripts, until } = world;
  const store = await world.open();
  const day = { folder, clock, runs: 100, entryBytes: 500 };
  expect(await playDay(store, day)).toMatchObject({ lost: 0 });
  // The first run of the day is a day old.
  expect(store.size).toBe(101);
  expect(transcripts()).toHaveLength(101);

  expect(await playDay(store, { ...day, day: 2 })).toMatchObject({ lost: 0 });
  // Those of the second day, and what the next sweep of the hour removes.
  expect(store.size).toBeGreaterThanOrEqual(101);
  expect(store.size).toBeLessThanOrEqual(101 + 5);
  await until(25 * hours, () => expect(transcripts().sort()).toEqual(['chat-ann.jsonl', 'chat-bob.jsonl']));
  expect([...store.registry.maps.sessions.keys()].sort()).toEqual(['chat:ann', 'chat:bob']);
});

it.for([
  ['24h', 25, 0],
  ['7d', 25, 1],
  ['7d', 170, 0],
  [false, 24 * 29, 1],
] as const)(
  'keeps a run for %s: after %d h there are %d',
  async ([cronRetention, after, left], { world }) => {
    const store = await world.open({ cronRetention });
    store.save('cron:digest:run:1', world.entry('run'));
    store.save('chat:ann', world.entry('ann'));
    await world.until(after * hours, () => expect(store.size).toBe(left + 1));
    expect(world.transcripts()).toHaveLength(left + 1);
    expect(store.get('chat:ann')).toBeDefined();
  },
);

it('is there again after a restart, with the ages that entries had', async ({ world }) => {
  const first = await world.open();
  first.save('cron:digest:run:1', world.entry('run'));
  await world.clock.advance(20 * hours);
  await first.close();
  const second = await world.open();
  expect(second.get('cron:digest:run:1')).toMatchObject({ skills: '' });
  await world.until(5 * hours, () => expect(second.size).toBe(0));
  expect(world.transcripts()).toEqual([]);
});

it('evicts beyond its maxEntries what was idle longest, with its transcript, and nothing that a turn holds', async ({
  world,
}) => {
  const { clock, transcripts, entry, until } = world;
  const store = await world.open({ maxEntries: 3, removeTranscript: undefined });
  store.save('chat:ann', entry('ann'));
  let finish = (): void => {};
  const turn = store.during('chat:ann', new Promise<void>((resolve) => (finish = resolve)));
  for (const run of ['1', '2', '3', '4']) {
    await clock.advance(60_000);
    store.save(`cron:digest:run:${run}`, entry(run));
  }
  await until(0, () => expect(transcripts().sort()).toEqual(['3', '4', 'ann']));
  expect([...store.registry.maps.sessions.keys()]).toContain('chat:ann');
  finish();
  await turn;
});

it('keeps an entry whose transcript cannot be removed, and tries it again by itself', async ({ world }) => {
  const { clock, entry } = world;
  const asked: string[] = [];
  let isReadOnly = true;
  const store = await world.open({
    removeTranscript: async (path) => {
      asked.push(path.slice(-1));
      if (isReadOnly && path.endsWith('2')) throw new Error('EROFS');
    },
  });
  for (const run of ['1', '2', '3']) store.save(`cron:digest:run:${run}`, entry(run));
  await clock.advance(25 * hours);
  expect(asked.slice(0, 3)).toEqual(['1', '2', '3']);
  expect([...store.registry.maps.sessions.keys()]).toEqual(['cron:digest:run:2']);
  isReadOnly = false;
  await clock.advance(3 * hours);
  expect(store.size).toBe(0);
  expect(asked.filter((run) => run !== '2')).toEqual(['1', '3']);
});

it('leaves nothing of 100 runs, nor by a net', async ({ world }) => {
  const { entry, transcripts } = world;
  const store = await world.open();
  const scenario = (run: number) => store.save(`cron:digest:run:${run}`, entry(`${run}`));
  await expect(scenario).toReturnToBaseline({ registry: store.registry, nets: 'fail' });
  expect(transcripts()).toEqual([]);
});

it('measures both side by side: the tracked one writes and holds the loop a tenth at most, and loses nobody', async () => {
  const runs = 120;
  const [program, args, options] = ofExample('session-store/measure.ts', `${runs}`);
  const { stdout } = await promisify(execFile)(program, args, options);
  const row = (name: string): number[] => {
    const cells = new RegExp(`│ ${name} +│ +([\\d.]+) +│ +([\\d.]+) +│`).exec(stdout);
    return cells!.slice(1).map(Number);
  };
  for (const name of ['written, MB a day', 'saves held the loop, s a day']) {
    const [json, tracked] = row(name) as [number, number];
    expect(json, name).toBeGreaterThan(10 * tracked);
    expect(json, name).toBeGreaterThan(0);
  }
  expect(row('entries left')).toEqual([50, runs + 1]);
  expect(row('transcripts left')).toEqual([2 * (runs + 1), runs + 1]);
  expect(row('people whose session was gone')).toEqual([4, 0]);
  for (const name of ['longest turn of the loop, ms', 'opened again, ms', 'longest turn meanwhile, ms']) {
    for (const figure of row(name)) expect(figure, name).toBeGreaterThan(0);
  }
});
