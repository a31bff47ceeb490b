/*
 * A gateway that restarts inside of its process, or loads its plugins anew: the plugin releases the maps and adopts them again,
 * 120 times. Nothing is told or removed twice, no map bears a trace, and the heap stays.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Logger, Service } from '../../../examples/openclaw-plugin/gateway-api.js';
import { createPlugin } from '../../../examples/openclaw-plugin/index.js';
import { heapUsed } from '../../heap-used.js';
import { loadPlugin } from './load-plugin.js';

const TIMES = 120;
/** After so many V8 has compiled nearly all that it will. */
const WARM_UP = 30;
const MINUTE = 60_000;
const MOST_BYTES = 1_000_000;
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';

/** A Map that counts how often each key is deleted from it by its own method. */
class CountingMap extends Map<string, unknown> {
  readonly deletions = new Map<string, number>();

  override delete(key: string): boolean {
    const isThere = super.delete(key);
    if (isThere) this.deletions.set(key, (this.deletions.get(key) ?? 0) + 1);
    return isThere;
  }
}

describe('a plugin that is loaded 120 times', () => {
  let clock: ManualClock;
  let lines: string[];
  let contexts: CountingMap;
  let counters: CountingMap;
  let root: object;

  const log: Logger = {
    info: (message) => void lines.push(`info ${message}`),
    warn: (message) => void lines.push(`warn ${message}`),
    error: (message) => void lines.push(`error ${message}`),
  };
  const traces = () => [contexts, counters].flatMap((map) => Object.getOwnPropertyNames(map));
  const load = (plugin: ReturnType<typeof createPlugin>): Service => loadPlugin(plugin, log);
  const play = (round: number): void => {
    for (let run = 0; run < 20; run += 1) {
      const id = `run-${round}-${run}`;
      contexts.set(id, {});
      counters.set(id, 1);
      // Half of them end by themselves.
      if (run % 2 === 0) contexts.delete(id);
    }
  };
  /** What is left is swept, each entry once, and the counter of each with it. */
  const sweepAll = async (): Promise<void> => {
    await clock.advance(40 * MINUTE);
    expect([contexts.size, counters.size]).toEqual([0, 0]);
    expect(contexts.deletions.size).toBe(TIMES * 20);
    expect(
      [...contexts.deletions.values(), ...counters.deletions.values()].every((count) => count === 1),
    ).toBe(true);
  };

  beforeEach(() => {
    clock = createManualClock();
    lines = [];
    contexts = new CountingMap();
    counters = new CountingMap();
    // Fields of the class are no traces of a wrapper.
    for (const map of [contexts, counters]) Object.defineProperty(map, 'deletions', { enumerable: false });
    root = {
      [Symbol.for('openclaw.agentEvents.state')]: { seqByRun: counters, runContextById: contexts },
    };
  });

  it('by restarts inside of the process tells each start once, and its heap grows by less than 1 MB', async () => {
    const service = load(createPlugin({ root, clock }));
    let before = 0;
    for (let round = 0; round < TIMES; round += 1) {
      await service.start({ logger: log });
      play(round);
      await clock.advance(MINUTE);
      await service.stop();
      expect(traces()).toEqual(['deletions', 'deletions']);
      expect(clock.pendingTimers).toBe(0);
      if (round === WARM_UP - 1) before = heapUsed();
    }
    expect(heapUsed() - before).toBeLessThan(MOST_BYTES);
    expect(lines.filter((line) => line.includes(' tracks '))).toHaveLength(TIMES);
    expect(lines.filter((line) => !line.startsWith('info'))).toEqual([]);
    await service.start({ logger: log });
    await sweepAll();
    await service.stop();
  });

  it('by hot reloads takes over at the next look what the old copy lets go late, and its heap grows by less than 1 MB', async () => {
    let old: Service | undefined;
    let before = 0;
    for (let round = 0; round < TIMES; round += 1) {
      const service = load(createPlugin({ root, clock }));
      await service.start({ logger: log });
      await old?.stop();
      play(round);
      await clock.advance(MINUTE);
      old = service;
      if (round === WARM_UP - 1) before = heapUsed();
    }
    expect(heapUsed() - before).toBeLessThan(MOST_BYTES);
    const refused = lines.filter((line) => line.includes(`${COUNTERS} cannot be tracked`));
    expect(refused).toHaveLength(TIMES - 1);
    expect(lines.filter((line) => line.includes('now tracks'))).toHaveLength(TIMES - 1);
    await sweepAll();
    await old?.stop();
    expect(traces()).toEqual(['deletions', 'deletions']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is one of two copies of everything, of which one tracks and the other waits', async () => {
    const first = load(createPlugin({ root, clock }));
    await first.start({ logger: log });
    vi.resetModules();
    const copy = await import('../../../examples/openclaw-plugin/index.js');
    expect(copy.createPlugin).not.toBe(createPlugin);
    const second = load(copy.createPlugin({ root, clock }));
    await second.start({ logger: log });
    for (let round = 0; round < TIMES; round += 1) {
      play(round);
      await clock.advance(MINUTE);
      // In turn, so that each of them has to let the other one have the maps.
      const [stopped] = round % 2 === 0 ? [first] : [second];
      await stopped.stop();
      await clock.advance(MINUTE);
      await stopped.start({ logger: log });
    }
    await sweepAll();
    await first.stop();
    await second.stop();
    expect(traces()).toEqual(['deletions', 'deletions']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('in a worker thread sees the maps of that thread alone, and keeps the thread from nothing', () => {
    const file = fileURLToPath(new URL('./in-a-worker.ts', import.meta.url));
    const env = {
      ...process.env,
      TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)),
    };
    const output = execFileSync(process.execPath, ['--import', 'tsx', file], {
      env,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(JSON.parse(output)).toEqual({
      worker: { starts: TIMES, tracked: 1, traces: [] },
      main: { tracked: 1, entries: 1, isTracked: true },
      exitCode: 0,
    });
  }, 60_000);
});
