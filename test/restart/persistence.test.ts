import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, type RegistrySnapshot } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapsweep-persist-'));
  path = join(folder, 'state.json');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function live(clock: ManualClock, options: object = {}) {
  const told: unknown[] = [];
  const failures: unknown[] = [];
  const registry = createRegistry<{ runs: Map<unknown, object> }>({
    clock,
    maps: { runs: { maxIdle: '1h' } },
    ended: { map: 'runs', deliver: ({ key, reason }) => void told.push([key, reason]) },
    persistTo: path,
    ...options,
  });
  registry.on('callback-failed', ({ callback, error }) =>
    failures.push([callback, (error as Error).message]),
  );
  return { registry, told, failures };
}

const onDisk = (): RegistrySnapshot => JSON.parse(readFileSync(path, 'utf8'));
const keysOnDisk = (): unknown[] =>
  existsSync(path) ? (onDisk().maps.runs?.entries ?? []).map(({ key }) => key) : [];

describe('persistTo', () => {
  it('writes every 10 s, and on close()', async () => {
    const clock = createManualClock();
    const { registry } = live(clock);
    registry.maps.runs.set('a', {});
    await clock.advance(9_999);
    expect(existsSync(path)).toBe(false);
    await clock.advance(1);
    await vi.waitFor(() => expect(keysOnDisk()).toEqual(['a']));
    registry.maps.runs.set('b', {});
    await registry.close();
    expect(keysOnDisk()).toEqual(['a', 'b']);
    for (const suffix of ['.lock', '.owner', '.tmp']) expect(existsSync(path + suffix)).toBe(false);
    expect(clock.pendingTimers).toBe(0);
  });

  it('loads what is there at creation, before the maps are filled', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('open', {});
    first.registry.maps.runs.set('ended', {});
    first.registry.end('ended');
    await first.registry.close();
    const later = createManualClock({ startAt: clock.now() + 60_000 });
    const next = live(later);
    next.registry.maps.runs.set('ended', {});
    expect(next.registry.end('ended')).toBe('duplicate');
    await later.advance(10 * 60_000);
    expect(next.told).toEqual([['open', 'lost']]);
    await next.registry.close();
  });

  it('gives adopted maps that are full already what is held for them', async () => {
    const clock = createManualClock();
    const adopted = new Map([['a', {}]]);
    const first = live(clock, { maps: { runs: { adopt: adopted, maxIdle: '1h' } } });
    const { registeredAt } = first.registry.stamps('runs', 'a') as { registeredAt: number };
    await first.registry.close();
    const next = live(createManualClock({ startAt: clock.now() + 60_000 }), {
      maps: { runs: { adopt: adopted, maxIdle: '1h' } },
    });
    expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(registeredAt);
    await next.registry.close();
  });

  it('refuses a path that another registry of this process has', async () => {
    const { registry } = live(createManualClock());
    expect(() => live(createManualClock())).toThrow(expect.objectContaining({ code: 'ERR_SNAPSHOT_LOCKED' }));
    await registry.close();
    await live(createManualClock()).registry.close();
  });

  it('refuses a path that a live process has, naming it, and takes it over as soon as that is dead', async () => {
    const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], {
      stdio: 'pipe',
    });
    await once(holder.stdout, 'data');
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.owner`, JSON.stringify({ pid: holder.pid, host: hostname() }));
    expect(() => live(createManualClock())).toThrow(`is locked by process ${holder.pid} on ${hostname()}`);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await live(createManualClock()).registry.close();
  });

  it('takes over the lock of an earlier life that had its own pid, as in a container', async () => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.owner`, JSON.stringify({ pid: process.pid, host: hostname() }));
    await live(createManualClock()).registry.close();
  });

  it('leaves the lock of another host alone', () => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.owner`, JSON.stringify({ pid: 1, host: 'elsewhere' }));
    expect(() => live(createManualClock())).toThrow('is locked by process 1 on elsewhere');
  });

  it('says what is wrong with a damaged file and what to do, adopts nothing, and gives the lock back', async () => {
    const adopted = new Map();
    writeFileSync(path, '{"format":"mapsweep-snapshot","version":1,"takenAt":1,"maps":{"runs":{"entries":[');
    const make = () => live(createManualClock(), { maps: { runs: { adopt: adopted } } });
    expect(make).toThrow(/is damaged: .*Move it away to start without it/);
    expect(Object.getOwnPropertyNames(adopted)).toEqual([]);
    rmSync(path);
    await make().registry.close();
  });

  it('undoes everything where the file holds the endings of another map', async () => {
    await live(createManualClock()).registry.close();
    const adopted = new Map();
    const make = () =>
      createRegistry({ maps: { other: { adopt: adopted } }, ended: { map: 'other' }, persistTo: path });
    expect(make).toThrow(/holds endings of 'runs'/);
    expect(Object.getOwnPropertyNames(adopted)).toEqual([]);
    await live(createManualClock()).registry.close();
  });

  it('is not confused by a torn temporary file, which a crash in the middle of a write leaves', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    await first.registry.close();
    writeFileSync(`${path}.tmp`, '{"format":"maps');
    const next = live(createManualClock({ startAt: clock.now() }));
    next.registry.maps.runs.set('a', {});
    expect(next.registry.stamps('runs', 'a')?.generation).toBe(1);
    await next.registry.close();
    expect(keysOnDisk()).toEqual(['a']);
  });

  it('tells of a write that fails, keeps the snapshot before it, and goes on', async () => {
    const clock = createManualClock();
    const { registry, failures } = live(clock);
    registry.maps.runs.set('a', {});
    await clock.advance(10_000);
    await vi.waitFor(() => expect(keysOnDisk()).toEqual(['a']));
    mkdirSync(`${path}.tmp`);
    await clock.advance(10_000);
    await vi.waitFor(() => expect(failures).toEqual([['persistTo', `persistTo: cannot write '${path}'`]]));
    expect(keysOnDisk()).toEqual(['a']);
    rmSync(`${path}.tmp`, { recursive: true });
    registry.maps.runs.set('b', {});
    await clock.advance(10_000);
    await vi.waitFor(() => expect(keysOnDisk()).toEqual(['a', 'b']));
    await registry.close();
  });

  it('keeps what close() could not deliver within its deadline', async () => {
    const clock = createManualClock();
    const { registry } = live(clock, { ended: { map: 'runs', deliver: () => new Promise(() => {}) } });
    registry.maps.runs.set('a', {});
    registry.end('a');
    const closing = registry.close({ deadline: '1s' });
    await clock.advance(1_000);
    expect(await closing).toEqual({ undelivered: 1 });
    expect(onDisk().ended?.pending).toMatchObject([{ event: { key: 'a' }, attempts: 1 }]);
  });
});
