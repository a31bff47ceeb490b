import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, onTestFinished, it as test, vi } from 'vitest';
import { type RunnerOptions, startRunner } from '../../examples/job-runner/runner.ts';
import { ofExample } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const minutes = 60_000;
/** A real process is awaited, however busy the machine is. */
const eventually = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { interval: 5, timeout: 20_000 });

/** The processes of a group that run; of what is killed nobody may have taken note yet. */
const groupOf = (pid: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const [, state, , group] = /\) (\w) (\d+) (\d+) /.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))!;
        return Number(group) === pid && state !== 'Z';
      } catch {
        return false;
      }
    })
    .map(Number);

interface World {
  folder: string;
  told: Array<{ id: string; reason: string; code: number | undefined }>;
  start: (options?: Partial<RunnerOptions>) => ReturnType<typeof startRunner>;
}

const it = test.extend<{ world: World }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  world: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'mapsweep-job-runner-'));
    const told: World['told'] = [];
    const runners: Array<ReturnType<typeof startRunner>> = [];
    const start: World['start'] = (options) => {
      const deliver: RunnerOptions['deliver'] = ({ id, reason, detail }) => {
        told.push({ id, reason, code: (detail as { code?: number } | undefined)?.code });
      };
      const runner = startRunner({ folder, deliver, ...options });
      runners.push(runner);
      return runner;
    };
    await use({ folder, told, start });
    for (const runner of runners) {
      for (const id of [...runner.registry.maps.jobs.keys()]) runner.cancel(id);
      await runner.close();
    }
    rmSync(folder, { recursive: true, force: true });
  },
});

it('tells of each end once, with its code, and forgets the job five minutes after', async ({ world }) => {
  const { told, folder } = world;
  const clock = createManualClock();
  const { registry, run } = world.start({ clock });
  const [done, failed] = [await run('true'), await run('sh', '-c', 'exit 3')];
  await eventually(() => expect(told).toHaveLength(2));
  expect(told).toContainEqual({ id: done, reason: 'completed', code: 0 });
  expect(told).toContainEqual({ id: failed, reason: 'failed', code: 3 });
  await clock.advance(4 * minutes);
  expect(registry.maps.jobs.size).toBe(2);
  await clock.advance(2 * minutes);
  expect(registry.maps.jobs.size).toBe(0);
  expect(readdirSync(join(folder, 'jobs'))).toEqual([]);
  expect(registry).toHaveEndedEveryRunOnce();
});

it('kills a job that hangs at its maxAge, with what it has started, and no other before', async ({
  world,
}) => {
  const { told, folder } = world;
  const clock = createManualClock();
  const { registry, run, processOf } = world.start({ clock });
  const id = await run('sh', '-c', `sleep 1000 & echo $! >${folder}/grandchild; trap "" TERM; wait`);
  await eventually(() => expect(readFileSync(join(folder, 'grandchild'), 'utf8')).toMatch(/\n/));
  const pids = [processOf(id)!, Number(readFileSync(join(folder, 'grandchild'), 'utf8'))];
  await clock.advance(59 * minutes);
  for (const pid of pids) expect(process.kill(pid, 0)).toBe(true);
  await clock.advance(1 * minutes);
  // What is left of a killed process is not its to run: nobody may have taken note of its end yet.
  const isRunning = (pid: number) =>
    existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  await eventually(() => expect(pids.filter(isRunning)).toEqual([]));
  await eventually(() => expect(told).toEqual([{ id, reason: 'swept', code: undefined }]));
  expect(registry.maps.jobs.size).toBe(0);
});

it('never forgets a job that runs, however many have ended', async ({ world }) => {
  const { told } = world;
  const clock = createManualClock();
  const { registry, run, processOf } = world.start({ clock, maxEntries: 3 });
  const running = await Promise.all(Array.from({ length: 4 }, () => run('sleep', '1000')));
  for (let job = 0; job < 5; job += 1) await run('true');
  await eventually(() => expect(told).toHaveLength(5));
  await clock.advance(minutes);
  expect([...registry.maps.jobs.keys()].sort()).toEqual(running.sort());
  for (const id of running) expect(processOf(id)).toBeDefined();
  expect(told).toHaveLength(5);
});

it('tells of a job that is cancelled as such, and no second time when its process has ended', async ({
  world,
}) => {
  const { told } = world;
  const { registry, run, cancel, processOf } = world.start();
  const id = await run('sleep', '1000');
  await eventually(() => expect(processOf(id)).toBeDefined());
  expect(cancel(id)).toBe(true);
  // Its process is killed, and its end is told to the registry a second time.
  await eventually(() => expect(registry.report().endings).toMatchObject({ duplicates: 1, delivered: 1 }));
  expect(told).toEqual([{ id, reason: 'cancelled', code: undefined }]);
  expect(processOf(id)).toBeUndefined();
});

it('kills each of 30 jobs that are cancelled as soon as they run, and leaves no file of them', async ({
  world,
}) => {
  const { told, folder } = world;
  const { registry, run, cancel } = world.start();
  const groups: number[] = [];
  for (let job = 0; job < 30; job += 1) {
    const id = await run('sleep', '1000');
    groups.push(registry.maps.jobs.get(id)!.child!.pid!);
    expect(cancel(id)).toBe(true);
  }
  await eventually(() => expect(groups.flatMap(groupOf)).toEqual([]));
  await eventually(() => expect(registry.report().endings).toMatchObject({ duplicates: 30, delivered: 30 }));
  expect(told.filter(({ reason }) => reason === 'cancelled')).toHaveLength(30);
  expect(readdirSync(join(folder, 'jobs'))).toEqual([]);
});

it('starts no process of a job that is cancelled before it has begun', async ({ world }) => {
  const { told, folder } = world;
  const { registry, run, cancel } = world.start();
  const running = run('sh', '-c', `echo >${folder}/has-begun`);
  const [id] = [...registry.maps.jobs.keys()] as [string];
  expect(cancel(id)).toBe(true);
  expect(await running).toBe(id);
  // One that begins after it has ended long before.
  await run('true');
  await eventually(() => expect(told).toHaveLength(2));
  expect(told[0]).toEqual({ id, reason: 'cancelled', code: undefined });
  expect(existsSync(join(folder, 'has-begun'))).toBe(false);
});

it.for([
  ['sleep 1000 & sleep 1000', 'lost', 'SIGKILL'],
  ['sleep 1000 & exit 0', 'completed', undefined],
] as const)(
  'leaves nothing that runs behind `%s`, which is %s',
  async ([command, reason, signal], { world }) => {
    const { told } = world;
    const { registry, run } = world.start();
    const id = await run('sh', '-c', command);
    const { pid } = registry.maps.jobs.get(id)!.child!;
    if (signal !== undefined) {
      await eventually(() => expect(groupOf(pid!).length).toBeGreaterThan(2));
      // The shell around the job, and no other.
      process.kill(pid!, signal);
    }
    await eventually(() => expect(told).toMatchObject([{ id, reason }]));
    await eventually(() => expect(groupOf(pid!)).toEqual([]));
  },
);

it('leaves nothing of jobs that end, fail, hang or are killed by somebody else', async ({ world }) => {
  const { told } = world;
  const clock = createManualClock();
  const { registry, run, processOf } = world.start({ clock });
  const scenario = async (nr: number) => {
    told.length = 0;
    const id = await run(...(nr % 4 < 2 ? ['sh', '-c', `exit ${nr % 4}`] : ['sleep', '1000']));
    if (nr % 4 === 2) {
      await eventually(() => process.kill(-processOf(id)!, 'SIGKILL'));
    }
    if (nr % 4 === 3) {
      await eventually(() => expect(processOf(id)).toBeDefined());
      await clock.advance(60 * minutes);
    }
    await eventually(() => expect(told).toHaveLength(1));
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 20, warmup: 4 });
  expect(registry).toHaveEndedEveryRunOnce();
});

it('ends by Ctrl-C while a job runs, which the next runner takes over', async ({ world }) => {
  const { told, folder } = world;
  const first = spawn(...ofExample('job-runner/main.ts', folder, 'sleep 1000'));
  onTestFinished(() => void first.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface(first.stdout).on('line', (line) => lines.push(line));
  await eventually(() => expect(lines).toHaveLength(2));
  first.kill('SIGINT');
  expect(await once(first, 'exit')).toEqual([0, null]);

  const second = world.start();
  const id = lines[0]!.split(' ')[1]!;
  await eventually(() => expect(second.processOf(id)).toBeDefined());
  expect(second.cancel(id)).toBe(true);
  await eventually(() => expect(told).toEqual([{ id, reason: 'cancelled', code: undefined }]));
});

it('tells each end once over a kill of the runner: before it, meanwhile, after it, and of what hangs', async ({
  world,
}) => {
  const { told, folder } = world;
  const go = join(folder, 'go');
  const commands = ['true', 'sleep 0.1', `until [ -e ${go} ]; do sleep 0.02; done`, 'sleep 1000'];
  const first = spawn(...ofExample('job-runner/main.ts', folder, ...commands));
  let output = '';
  for (const stream of [first.stdout, first.stderr]) stream.on('data', (text) => (output += text));
  await eventually(() => expect(output).toMatch(/ended .*completed/));
  await eventually(() => expect(output.match(/started/g)).toHaveLength(4));
  const ids = [...output.matchAll(/started (\S+)/g)].map(([, id]) => id!);
  first.kill('SIGKILL');
  await once(first, 'exit');
  await eventually(() => expect(existsSync(join(folder, 'jobs', `${ids[1]}.exit`))).toBe(true));

  const second = world.start({ sweepEvery: '100ms', maxAge: '2s' });
  writeFileSync(go, '');
  await eventually(() => expect(second.registry.maps.jobs.has(ids[3]!)).toBe(false));
  await eventually(() => expect(second.registry.report().endings!.pending).toBe(0));
  await second.close();

  const log = readFileSync(join(folder, 'ended.log'), 'utf8').trim().split('\n');
  const inFirst = log.map((line) => (JSON.parse(line) as { id: string }).id);
  expect(inFirst).toContain(ids[0]);
  // Again only what a kill had left in doubt, and that under the id which its recipient knows.
  const everybody = [...new Set([...inFirst, ...told.map(({ id }) => id)])];
  expect(everybody.sort()).toEqual([...ids].sort());
  expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
  expect(told).toContainEqual({ id: ids[2], reason: 'completed', code: 0 });
  expect(told).toContainEqual({ id: ids[3], reason: 'swept', code: undefined });
  expect(second.processOf(ids[3]!)).toBeUndefined();
});
