/*
 * The command queue of the release that keeps one lane a session for ever, as it was published, swept by the plugin's
 * built-in list; and by an idle time alone, which breaks its order.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../examples/openclaw-plugin/config.ts';
import { knownMapsOf } from '../../examples/openclaw-plugin/known-maps.ts';
import { MapFollower } from '../../examples/openclaw-plugin/map-follower.ts';
import { type CommandQueue, fetchCommandQueue, loadCommandQueue, OPENCLAW } from './openclaw-package.ts';

const HOUR = 3_600_000;
const LANES = 'openclaw.commandQueueState/lanes';

const published = await fetchCommandQueue();
const unreachable = 'unreachable' in published ? published.unreachable : undefined;
if (unreachable) console.warn(`SKIPPED: the package registry cannot be reached (${unreachable})`);

describe.skipIf(unreachable !== undefined)(`the command queue of ${OPENCLAW.version}`, () => {
  let queue: CommandQueue;
  let clock: ManualClock;
  let follower: MapFollower | undefined;

  beforeEach(async () => {
    if ('unreachable' in published) return;
    queue = await loadCommandQueue(published);
    clock = createManualClock();
  });

  afterEach(async () => {
    await follower?.close();
    follower = undefined;
  });

  const follow = (maps?: object): void => {
    const silent = () => {};
    const log = { info: silent, warn: silent, error: silent };
    const config = readConfig({ maps }, knownMapsOf(OPENCLAW.version));
    follower = new MapFollower(config, log, { root: queue.root, clock });
  };
  const reportOfLanes = () => follower?.registry.report().maps.find(({ name }) => name === LANES);

  /** Runs two tasks in one lane, the second after hours of the first; answers how many ran at once. */
  const runTwo = async (lane: string): Promise<number> => {
    let running = 0;
    let most = 0;
    const task = () => {
      let resolve = (): void => {};
      const promise = new Promise<void>((settle) => {
        resolve = settle;
      });
      const run = async () => {
        running += 1;
        most = Math.max(most, running);
        await promise;
        running -= 1;
      };
      return { done: queue.enqueueCommandInLane(lane, run), finish: resolve };
    };
    const first = task();
    await clock.advance(5 * HOUR);
    const second = task();
    await turn();
    first.finish();
    second.finish();
    await Promise.all([first.done, second.done]);
    return most;
  };

  it('keeps one lane for each of 1,000 sessions that are over', async () => {
    for (let session = 0; session < 1_000; session += 1) {
      await queue.enqueueCommandInLane(`session:${session}`, async () => session);
    }
    expect(queue.lanes.size).toBe(1_001);
  });

  it('loses them within an hour by the built-in list, and no lane of its own', async () => {
    queue.setCommandLaneConcurrency('main', 4);
    follow();
    for (let session = 0; session < 1_000; session += 1) {
      await queue.enqueueCommandInLane(`session:${session}`, async () => session);
    }
    await clock.advance(HOUR);
    expect([...queue.lanes].map(([name, { maxConcurrent }]) => [name, maxConcurrent])).toEqual([['main', 4]]);
    expect(reportOfLanes()?.removed.swept).toBe(1_000);
  });

  it('runs one task of a lane after the other by the built-in list, though the first takes 5 hours', async () => {
    follow();
    expect(await runTwo('session:1')).toBe(1);
    await clock.advance(HOUR);
    expect(queue.lanes.has('session:1')).toBe(false);
  });

  it('runs two tasks of a lane at once where it is swept by idle time alone', async () => {
    follow({ [LANES]: { maxIdle: '30m' } });
    expect(await runTwo('session:1')).toBe(2);
  });

  it('never loses a lane that has work, in 300 random steps of 20 sessions', async () => {
    follow();
    const running: Array<() => void> = [];
    const done: Array<Promise<unknown>> = [];
    const starts = new Map<string, number[]>();
    let seed = 20_260_408;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let step = 0; step < 300; step += 1) {
      const lane = `session:${random(20)}`;
      const run = () => {
        starts.set(lane, [...(starts.get(lane) ?? []), step]);
        return new Promise<void>((resolve) => running.push(resolve));
      };
      if (random(3) > 0) done.push(queue.enqueueCommandInLane(lane, run));
      else running.splice(random(running.length), 1)[0]?.();
      await turn();
      const busy = [...queue.lanes].filter(([, state]) => state.queue.length + state.activeTaskIds.size > 0);
      await clock.advance(random(50) * 60_000);
      for (const [name, state] of busy) expect(queue.lanes.get(name)).toBe(state);
    }
    while (running.length > 0) {
      for (const finish of running.splice(0)) finish();
      await turn();
    }
    await Promise.all(done);
    for (const order of starts.values()) expect(order).toEqual(order.toSorted((a, b) => a - b));
    await clock.advance(HOUR);
    expect([...queue.lanes.keys()]).toEqual(['main']);
    expect(reportOfLanes()?.removed.swept).toBeGreaterThan(20);
  });
});
