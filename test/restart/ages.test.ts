import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hours, type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

afterEach(() => machine.powerOff());

const start = (options?: LifeOptions): Life => machine.start(options);

const ageOf = (life: Life, key: unknown): number =>
  machine.clock.now() - (life.registry.stamps('runs', key)?.registeredAt as number);
const idleOf = (life: Life, key: unknown): number =>
  machine.clock.now() - (life.registry.stamps('runs', key)?.lastActiveAt as number);

/** Lets time pass while nothing runs. */
const down = (ms: number) => machine.clock.advance(ms);

describe('an age goes on', () => {
  it.each(['close', 'kill'] as const)('over a %s and an hour of downtime', async (how) => {
    const first = start();
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    if (how === 'close') await first.registry.close();
    else first.kill();
    await down(hours(1));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(hours(1) + minutes(7));
  });

  const jumps = [hours(5), -hours(12), hours(24 * 365 * 10)];

  it.each(jumps)('over a jump of the wall clock by %d ms between two lives of one boot', async (jump) => {
    const first = start();
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    first.kill();
    machine.clock.jumpWall(jump);
    await down(minutes(3));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(minutes(10));
  });

  it.each(jumps)('over a jump by %d ms during a life, and a reboot', async (jump) => {
    const first = start();
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    machine.clock.jumpWall(jump);
    await machine.clock.advance(minutes(2));
    first.kill();
    machine.reboot();
    await down(minutes(1));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(minutes(10));
  });

  it.each(jumps)('over a jump by %d ms before the first life, and in every life after it', async (jump) => {
    machine.clock.jumpWall(jump);
    let life = start();
    life.runs.set('a', {});
    for (let times = 1; times <= 4; times += 1) {
      await machine.clock.advance(minutes(1));
      machine.clock.jumpWall(-jump / 2);
      await machine.clock.advance(minutes(1));
      life.kill();
      if (times % 2 === 0) machine.reboot();
      life = start();
      life.runs.set('a', {});
      expect(ageOf(life, 'a')).toBe(minutes(2 * times));
    }
  });

  it('by the wall clock over a reboot', async () => {
    const first = start();
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    first.kill();
    machine.reboot();
    await down(hours(8));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(hours(8) + minutes(7));
  });

  it('from what it was, never below, if the wall clock was set back over a reboot after a clean end', async () => {
    const first = start();
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    await first.registry.close();
    machine.reboot();
    machine.clock.jumpWall(-hours(12));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(minutes(7));
  });

  it('never below 0, whatever was written and whatever the clock says', async () => {
    const first = start();
    first.runs.set('a', {});
    await down(0);
    first.kill();
    machine.reboot();
    machine.clock.jumpWall(-hours(12));
    const next = start();
    next.runs.set('a', {});
    expect(ageOf(next, 'a')).toBe(0);
    expect(idleOf(next, 'a')).toBe(0);
  });

  it('over twenty lives that the journal was written anew in between', async () => {
    let life = start();
    life.runs.set('a', {});
    for (let times = 1; times <= 20; times += 1) {
      await machine.clock.advance(2_500);
      life.kill();
      await down(1_500);
      if (times % 3 === 0) machine.reboot();
      life = start();
      life.runs.set('a', {});
      expect(ageOf(life, 'a')).toBe(times * 4_000);
    }
  });
});

describe('the last activity', () => {
  it('is at least as late as it was, and one interval later at most, so that nothing leaves early', async () => {
    for (const idle of [0, 1, 30_000, 59_999, 60_000, 60_001, 200_000]) {
      machine = new Machine();
      const first = start();
      first.runs.set('a', {});
      await machine.clock.advance(minutes(10) + 1_234);
      first.registry.touch('runs', 'a');
      await machine.clock.advance(45_678);
      first.registry.touch('runs', 'a');
      await first.registry.flushed();
      await machine.clock.advance(idle);
      first.kill();
      await down(minutes(5));
      const next = start();
      next.runs.set('a', {});
      const truly = idle + minutes(5);
      expect(idleOf(next, 'a'), `idle for ${idle} ms`).toBeLessThanOrEqual(truly);
      expect(idleOf(next, 'a'), `idle for ${idle} ms`).toBeGreaterThanOrEqual(truly - minutes(1));
    }
  });

  it.each([0, 1, 59_999, 60_000, 60_001, hours(3)])(
    'is known of an entry that is touched once, %d ms after its registration, and then the process dies',
    async (after) => {
      const first = start();
      first.runs.set('a', {});
      await machine.clock.advance(after);
      first.registry.touch('runs', 'a');
      await machine.clock.advance(100);
      first.kill();
      await down(minutes(30));
      const next = start({ maps: { runs: { maxIdle: minutes(30) + 101 } } });
      next.runs.set('a', {});
      await next.registry.sweep();
      expect(next.runs.has('a')).toBe(true);
    },
  );

  it('is known of an entry that was in the map before, and is touched soon', async () => {
    const runs = () => ({ adopt: new Map([['a', {}]]), unstamped: 'expired', maxIdle: '1h' });
    const first = start({ maps: { runs: runs() } });
    first.registry.touch('runs', 'a');
    await machine.clock.advance(100);
    first.kill();
    const next = start({ maps: { runs: runs() } });
    await next.registry.sweep();
    expect(next.runs.has('a')).toBe(true);
  });

  it('goes on over a crash loop in which nobody is active: an idle entry leaves at its time', async () => {
    const maps = { runs: { maxIdle: '1h' } };
    let life = start({ maps });
    life.runs.set('a', {});
    await machine.clock.advance(minutes(10));
    life.registry.touch('runs', 'a');
    await machine.clock.advance(minutes(1));
    // Each life is longer than an interval, and every eighth writes anew what is only known to an interval.
    let idleMs = minutes(1);
    while (life.ended.length === 0 && idleMs < minutes(90)) {
      life.kill();
      life = start({ maps });
      life.runs.set('a', {});
      await machine.clock.advance(90_000);
      idleMs += 90_000;
    }
    expect(life.ended).toEqual([['a', 'swept']]);
    expect(idleMs).toBeGreaterThanOrEqual(minutes(60));
    expect(idleMs).toBeLessThanOrEqual(minutes(60 + 8 + 2));
  });

  it('of a companion counts as that of its leader in the next life, too', async () => {
    const maps = { runs: { maxIdle: '1h' } };
    const first = start({ maps });
    first.runs.set('a', {});
    await machine.clock.advance(minutes(50));
    first.contexts.set('a', {});
    await machine.clock.advance(minutes(20));
    first.kill();
    const next = start({ maps, registry: { sweepEvery: '30m' } });
    next.runs.set('a', {});
    // The context was set 20 minutes before, and known to be so within a minute or two.
    await machine.clock.advance(minutes(40) - 1);
    await next.registry.sweep();
    expect(next.runs.has('a')).toBe(true);
    await machine.clock.advance(minutes(2) + 1);
    await next.registry.sweep();
    expect(next.runs.has('a')).toBe(false);
  });

  it('is not written of an entry that its own guard has removed, as the last of a burst', async () => {
    const life = machine.start({
      maps: {
        runs: { maxIdle: '10m' },
        contexts: { keepWhile: (_: Run, key: unknown) => life.contexts.delete(key) },
      },
    });
    const { runs, contexts } = life;
    runs.set(1_999, {});
    for (let key = 0; key < 2_000; key += 1) contexts.set(key, {});
    for (let key = 0; key < 1_999; key += 1) contexts.delete(key);
    await machine.clock.advance(minutes(10));
    expect(contexts.size).toBe(0);
    const next = await machine.restart(life);
    expect(next.journalFailures).toEqual([]);
  });

  it('is never later than the present', async () => {
    const first = start();
    first.runs.set('a', {});
    first.contexts.set('a', {});
    await machine.clock.advance(minutes(1));
    first.registry.touch('runs', 'a');
    await first.registry.close();
    const next = start();
    next.runs.set('a', {});
    next.contexts.set('a', {});
    expect(idleOf(next, 'a')).toBeGreaterThanOrEqual(0);
    const { lastActiveAt } = next.registry.stamps('contexts', 'a') as { lastActiveAt: number };
    expect(lastActiveAt).toBeLessThanOrEqual(machine.clock.now());
  });
});

describe('instants that were told', () => {
  it('stay as they were, in whatever life they are delivered', async () => {
    const first = start({ deliver: () => Promise.reject(new Error('down')) });
    first.runs.set('a', {});
    await machine.clock.advance(minutes(7));
    first.registry.end('a');
    await machine.clock.advance(1);
    const at = machine.clock.now() - 1;
    first.kill();
    machine.reboot();
    machine.clock.jumpWall(-hours(3));
    const events: unknown[] = [];
    start({ deliver: ({ registeredAt, endedAt }) => void events.push({ registeredAt, endedAt }) });
    await machine.clock.advance(minutes(1));
    expect(events).toEqual([{ registeredAt: at - minutes(7), endedAt: at }]);
  });
});
