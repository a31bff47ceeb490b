import { createRegistry, type Registry, type RegistryOptions, type RegistrySnapshot } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { slowClock } from '../time/slow-clock.js';
import { heldBy } from './held-by.js';

interface Run {
  done?: boolean;
  text?: string;
}

type Maps = { runs: Map<unknown, Run>; contexts: Map<unknown, object> };

interface Delivery {
  key: unknown;
  reason: string;
  id: string;
  attempt: number;
  value: unknown;
  detail: unknown;
}

/** One life of a process: a registry, and what its context engine was told. */
function live(clock: ManualClock, options: Partial<RegistryOptions<Maps>> & { fails?: boolean } = {}) {
  const told: Delivery[] = [];
  const failures: string[] = [];
  const { fails = false, ended, ...rest } = options;
  const registry = createRegistry<Maps>({
    clock,
    maps: { runs: { maxIdle: '1h' }, contexts: { follows: 'runs', orphanAfter: '10m' } },
    ...rest,
    ended: {
      map: 'runs',
      deliver: ({ key, reason, id, value, detail }, { attempt }) => {
        if (fails) throw new Error('recipient is down');
        told.push({ key, reason, id, attempt, value, detail });
      },
      ...(ended as object),
    } as RegistryOptions<Maps>['ended'],
  });
  registry.on('callback-failed', ({ callback }) => failures.push(callback));
  return { registry, told, failures };
}

const throughJson = (snapshot: RegistrySnapshot): RegistrySnapshot => JSON.parse(JSON.stringify(snapshot));

/** The clock of the next life, after the machine was booted: monotonic time starts anew, wall time goes on. */
const clockAfter = (clock: ManualClock, downtimeMs = 0) =>
  createManualClock({ startAt: clock.now() + downtimeMs });

describe('a snapshot', () => {
  it('is plain JSON of version 2, unchanged by a round trip', async () => {
    const clock = createManualClock();
    const { registry } = live(clock, { fails: true });
    registry.maps.runs.set('a', {});
    registry.maps.contexts.set('a', {});
    registry.maps.runs.set('b', {});
    registry.end('b', { reason: 'error', detail: { code: 7 } });
    await clock.advance(3_000);
    const snapshot = registry.snapshot();
    expect(snapshot).toMatchObject({ format: 'mapsweep-snapshot', version: 2 });
    expect(throughJson(snapshot)).toEqual(snapshot);
    const held = heldBy(snapshot);
    expect(held.entries('contexts')).toMatchObject([{ key: 'a' }]);
    expect(held.pending).toMatchObject([{ key: 'b', reason: 'error', detail: { code: 7 } }]);
    expect(held.pending[0]?.attempts).toBeGreaterThanOrEqual(2);
    await registry.close({ deadline: 0 });
  });

  it('leaves out an entry whose key JSON cannot carry, which is counted each time and said once', () => {
    const clock = createManualClock();
    const { registry, failures } = live(clock);
    registry.maps.runs.set('kept', {});
    for (const key of [Symbol('left out'), { id: 4 }, undefined, 7n]) registry.maps.runs.set(key, {});
    expect(heldBy(registry.snapshot()).entries('runs')).toMatchObject([{ key: 'kept' }]);
    expect(failures).toEqual(['persist']);
    expect(registry.report().callbackErrors).toContainEqual({ map: 'runs', callback: 'persist', count: 4 });
  });

  it('holds values with encode alone, each as encode gives it', () => {
    const clock = createManualClock();
    const without = live(clock);
    without.registry.maps.runs.set('a', { text: 'secret' });
    expect(JSON.stringify(without.registry.snapshot())).not.toContain('secret');
    const encode = ({ text }: Run) => ({ shown: text });
    const { registry } = live(clock, { maps: { runs: { persist: { encode } }, contexts: {} } });
    registry.maps.runs.set('a', { text: 'public' });
    expect(heldBy(registry.snapshot()).entries('runs')).toMatchObject([{ value: { shown: 'public' } }]);
  });

  it('drops a detail that JSON cannot carry, and counts it', async () => {
    const clock = createManualClock();
    const { registry, failures } = live(clock, { fails: true });
    const circular: { self?: unknown } = {};
    circular.self = circular;
    for (const [key, detail] of [
      ['a', circular],
      ['b', 7n],
      ['c', () => {}],
      ['d', { fine: true }],
    ] as const) {
      registry.maps.runs.set(key, {});
      registry.end(key, { detail });
    }
    const details = heldBy(registry.snapshot()).pending.map(({ detail }) => detail);
    expect(details).toEqual([undefined, undefined, undefined, { fine: true }]);
    expect(failures.filter((callback) => callback === 'detail')).toHaveLength(1);
    expect(registry.report().callbackErrors).toContainEqual({ map: 'runs', callback: 'detail', count: 3 });
    await registry.close({ deadline: 0 });
  });

  it('taken while the owner deletes holds the run as open: the claim may yet be taken back', () => {
    const clock = createManualClock();
    const snapshots: RegistrySnapshot[] = [];
    class Owned extends Map<unknown, Run> {
      override delete(key: unknown): boolean {
        snapshots.push(registry.snapshot());
        return super.delete(key);
      }
    }
    const { registry } = live(clock, { maps: { runs: { adopt: new Owned(), maxIdle: '1h' }, contexts: {} } });
    registry.maps.runs.set('a', {});
    registry.maps.runs.delete('a');
    const inside = heldBy(snapshots[0] as RegistrySnapshot);
    expect(inside.openKeys('runs')).toEqual(['a']);
    expect(inside.pending).toEqual([]);
    const after = heldBy(registry.snapshot());
    expect(after.entries('runs')).toEqual([]);
    expect(after.pending).toMatchObject([{ key: 'a', reason: 'deleted' }]);
  });

  it('taken inside dispose holds the ending as pending: a crash there loses nothing', () => {
    const clock = createManualClock();
    let inside: RegistrySnapshot | undefined;
    const { registry } = live(clock, {
      maps: {
        runs: {
          maxIdle: '1h',
          dispose: () => {
            inside = registry.snapshot();
          },
        },
        contexts: {},
      },
    });
    registry.maps.runs.set('a', {});
    registry.maps.runs.delete('a');
    const held = heldBy(inside as RegistrySnapshot);
    expect(held.pending).toMatchObject([{ key: 'a', reason: 'deleted', attempts: 0 }]);
    expect(held.entries('runs')).toEqual([]);
  });
});

describe('restore', () => {
  it.each(['before', 'after'] as const)(
    'gives a key set %s it the stamps, generation and id it had',
    async (when) => {
      const clock = createManualClock();
      const first = live(clock);
      first.registry.maps.runs.set('a', {});
      await clock.advance(60_000);
      first.registry.touch('runs', 'a');
      const stamps = first.registry.stamps('runs', 'a');
      const snapshot = throughJson(first.registry.snapshot());

      const next = live(clockAfter(clock, 5_000));
      if (when === 'before') next.registry.maps.runs.set('a', {});
      next.registry.restore(snapshot);
      if (when === 'after') next.registry.maps.runs.set('a', {});
      expect(next.registry.stamps('runs', 'a')).toEqual(stamps);
      next.registry.end('a');
      await Promise.resolve();
      expect(next.told).toMatchObject([{ id: heldBy(snapshot).entries('runs')[0]?.id }]);
    },
  );

  it('lets ages go on by the wall clock: due at the millisecond it would have been', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    await clock.advance(40 * 60_000);
    const later = clockAfter(clock, 10 * 60_000);
    const next = live(later, { sweepEvery: '1h' });
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', {});
    await later.advance(10 * 60_000 - 1);
    await next.registry.sweep();
    expect(next.registry.maps.runs.has('a')).toBe(true);
    await later.advance(1);
    await next.registry.sweep();
    expect(next.registry.maps.runs.has('a')).toBe(false);
  });

  it('counts no time between two boots if the wall clock was set back meanwhile: never below 0', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    await clock.advance(60_000);
    const snapshot = throughJson(first.registry.snapshot());
    const earlier = createManualClock({ startAt: clock.now() - 3_600_000 });
    const next = live(earlier);
    next.registry.restore(snapshot);
    next.registry.maps.runs.set('a', {});
    expect(next.registry.stamps('runs', 'a')).toMatchObject({
      registeredAt: earlier.now() - 60_000,
      lastActiveAt: earlier.now() - 60_000,
    });
  });

  it('counts the time between two lives of one boot, whatever the wall clock did meanwhile', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    await clock.advance(60_000);
    const snapshot = throughJson(first.registry.snapshot());
    first.registry.stop();
    clock.jumpWall(-12 * 3_600_000);
    await clock.advance(30_000);
    const next = live(clock);
    next.registry.restore(snapshot);
    next.registry.maps.runs.set('a', {});
    expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(clock.now() - 90_000);
  });

  it.each([5, -12])(
    'keeps ages over a jump of the wall clock by %i h that no tick has seen',
    async (hours) => {
      const clock = createManualClock();
      const first = live(clock);
      first.registry.maps.runs.set('a', {});
      await clock.advance(61_000);
      clock.jumpWall(hours * 3_600_000);
      await clock.advance(1_000);
      const snapshot = throughJson(first.registry.snapshot());
      const later = clockAfter(clock);
      const next = live(later);
      next.registry.restore(snapshot);
      next.registry.maps.runs.set('a', {});
      expect(next.registry.stamps('runs', 'a')?.registeredAt).toBe(later.now() - 62_000);
      await next.registry.sweep();
      expect(next.registry.maps.runs.has('a')).toBe(true);
    },
  );

  it('gives later registrations greater generations than any before', () => {
    const clock = createManualClock();
    const first = live(clock);
    for (const key of ['a', 'b', 'c']) first.registry.maps.runs.set(key, {});
    const before = first.registry.stamps('runs', 'c')?.generation as number;
    const next = live(clockAfter(clock));
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('new', {});
    expect(next.registry.stamps('runs', 'new')?.generation).toBeGreaterThan(before);
  });

  it('knows a run that had ended before the restore by the generation that it has since', () => {
    const clock = createManualClock();
    const first = live(clock).registry;
    for (const key of ['a', 'b', 'c']) first.maps.runs.set(key, {});
    const { registry } = live(clockAfter(clock));
    registry.maps.runs.set('z', {});
    registry.end('z');
    registry.restore(throughJson(first.snapshot()));
    const generation = registry.stamps('runs', 'z')?.generation as number;
    expect(generation).toBeGreaterThan(3);
    registry.maps.runs.delete('z');
    expect(registry.end('z', { generation })).toBe('duplicate');
  });

  it('keeps a claim: an ended run that comes back is a duplicate, and nobody is told', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    first.registry.end('a');
    await clock.advance(0);
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', {});
    expect(next.registry.end('a')).toBe('duplicate');
    next.registry.maps.runs.delete('a');
    await later.advance(20 * 60_000);
    expect(next.told).toEqual([]);
  });

  it('takes a key that had left for a new run: no reused key loses an ending', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    first.registry.maps.runs.delete('a');
    await clock.advance(0);
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', {});
    expect(next.registry.end('a')).toBe('claimed');
    await later.advance(0);
    expect(next.told).toMatchObject([{ key: 'a', reason: 'completed' }]);
    expect(next.told[0]?.id).not.toBe(first.told[0]?.id);
  });

  it('takes a key that had left for the announced run that settled says it is (openclaw#64071)', async () => {
    const clock = createManualClock();
    const settled = (run: Run) => run.done === true;
    const first = live(clock, { ended: { settled } as never });
    first.registry.maps.runs.set('a', {});
    first.registry.maps.runs.delete('a');
    await clock.advance(0);
    const later = clockAfter(clock);
    const next = live(later, { ended: { settled } as never });
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', { done: true });
    expect(next.registry.end('a')).toBe('duplicate');
    await later.advance(20 * 60_000);
    expect(next.told).toEqual([]);
  });

  it('ends runs that have not come back when the window closes as lost, once, with their id', async () => {
    const clock = createManualClock();
    const first = live(clock);
    for (const key of ['back', 'lost']) first.registry.maps.runs.set(key, {});
    const snapshot = throughJson(first.registry.snapshot());
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(snapshot);
    next.registry.maps.runs.set('back', {});
    await later.advance(10 * 60_000 - 1);
    expect(next.told).toEqual([]);
    await later.advance(1);
    const lostId = heldBy(snapshot)
      .entries('runs')
      .find(({ key }) => key === 'lost')?.id;
    expect(next.told).toMatchObject([{ key: 'lost', reason: 'lost', id: lostId }]);
    expect(next.registry.end('lost')).toBe('duplicate');
    await later.advance(20 * 60_000);
    expect(next.told).toHaveLength(1);
  });

  describe('when the window closes over many runs that have not come back', () => {
    /** A life that waits for `count` runs; `inPause` is called in each pause of its long work. */
    function waiting(count: number, inPause: (registry: Registry<Maps>) => void) {
      const clock = createManualClock();
      const first = live(clock, { fails: true });
      for (let n = 0; n < count; n += 1) first.registry.maps.runs.set(n, {});
      const snapshot = first.registry.snapshot();
      first.registry.stop();
      const later = clockAfter(clock);
      const lost: unknown[] = [];
      const life = live(later, { clock: slowClock(later, 0.1, () => inPause(life.registry)) });
      life.registry.on('subagent-ended', ({ key, reason }) => {
        if (reason === 'lost') lost.push(key);
      });
      life.registry.restore(snapshot);
      return { clock: later, life, lost, snapshot };
    }

    it('ends 100,000 as lost in slices, in order, but for one that comes back in a pause', async () => {
      const seen: number[] = [];
      const { clock, life, lost } = waiting(100_000, (registry) => {
        seen.push(lost.length);
        if (lost.length > 0) registry.maps.runs.set(99_999, {});
      });
      await clock.advance(10 * 60_000);
      expect(lost).toEqual(Array.from({ length: 99_999 }, (_, n) => n));
      const slices = seen.map((count, index) => count - (seen[index - 1] ?? 0));
      // 5 ms of readings, of 0.1 ms each, of which every run takes several.
      expect(Math.max(...slices)).toBeLessThanOrEqual(50);
      expect(life.registry.end(99_999)).toBe('claimed');
      life.registry.stop();
    }, 60_000);

    it('takes a key that is set after its run was lost for a new run, though the others are still being lost', async () => {
      const { clock, life, lost } = waiting(1_000, (registry) => {
        if (lost.length > 0 && !registry.maps.runs.has(0)) registry.maps.runs.set(0, {});
      });
      await clock.advance(10 * 60_000);
      expect(lost).toHaveLength(1_000);
      expect(life.registry.end(0)).toBe('claimed');
      life.registry.stop();
    });

    it('ends with stop() in a pause, and leaves the rest to the next life', async () => {
      const { clock, life, lost } = waiting(1_000, (registry) => {
        if (lost.length > 0) registry.stop();
      });
      await clock.advance(10 * 60_000);
      expect(lost.length).toBeGreaterThan(0);
      expect(lost.length).toBeLessThanOrEqual(50);
      expect(heldBy(life.registry.snapshot()).openKeys('runs')).toHaveLength(1_000 - lost.length);
    });

    it('loses none of them twice when the same snapshot is restored in a pause', async () => {
      let restoredAfter: number | undefined;
      const { clock, life, lost, snapshot } = waiting(1_000, (registry) => {
        if (lost.length === 0 || restoredAfter !== undefined) return;
        restoredAfter = lost.length;
        registry.restore(snapshot);
      });
      await clock.advance(10 * 60_000);
      expect(restoredAfter).toBeGreaterThan(0);
      expect(lost).toHaveLength(1_000);
      await clock.advance(20 * 60_000);
      expect(lost).toHaveLength(1_000);
      life.registry.stop();
    });
  });

  it('claims nothing as lost in observe mode', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('lost', {});
    const later = clockAfter(clock);
    const next = live(later, { mode: 'observe' });
    next.registry.restore(throughJson(first.registry.snapshot()));
    await later.advance(11 * 60_000);
    expect(next.told).toEqual([]);
  });

  it('ends no run as lost because the registry is closed, however long that takes', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('absent', {});
    const later = clockAfter(clock);
    const reasons: string[] = [];
    const next = live(later, {
      restoreWindow: '1s',
      ended: {
        deliver: ({ reason }: { reason: string }) => {
          reasons.push(reason);
          return new Promise(() => {});
        },
      } as never,
    });
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('hangs', {});
    next.registry.end('hangs');
    const closing = next.registry.close({ deadline: '5s' });
    await later.advance(5_000);
    expect(await closing).toEqual({ undelivered: 1, undisposed: 0 });
    expect(reasons).toEqual(['completed']);
    expect(heldBy(next.registry.snapshot()).openKeys('runs')).toContain('absent');
  });

  it('keeps runs that have not come back in the next snapshot', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    const snapshot = throughJson(first.registry.snapshot());
    const second = live(clockAfter(clock));
    second.registry.restore(snapshot);
    const held = heldBy(throughJson(second.registry.snapshot()));
    const { generation, id } = heldBy(snapshot).entries('runs')[0] as { generation: number; id: string };
    expect(held.entries('runs')).toMatchObject([{ key: 'a', generation, id, claimed: false }]);
  });

  it('awaits them no longer than the window, over all lives and snapshots of them', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    const snapshot = throughJson(first.registry.snapshot());
    const clock2 = clockAfter(clock);
    const life2 = live(clock2);
    life2.registry.restore(snapshot);
    await clock2.advance(7 * 60_000);
    const snapshot2 = throughJson(life2.registry.snapshot());
    life2.registry.stop();
    const clock3 = clockAfter(clock2, 60 * 60_000);
    const life3 = live(clock3);
    life3.registry.restore(snapshot2);
    await clock3.advance(3 * 60_000 - 1);
    expect(life3.told).toEqual([]);
    await clock3.advance(1);
    expect(life3.told).toMatchObject([{ key: 'a', reason: 'lost' }]);
    life3.registry.stop();
  });

  it('lets a run that has not come back be ended, once', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(throughJson(first.registry.snapshot()));
    expect(next.registry.end('a', { reason: 'completed' })).toBe('claimed');
    expect(next.registry.end('a')).toBe('duplicate');
    next.registry.maps.runs.set('a', {});
    expect(next.registry.end('a')).toBe('duplicate');
    await later.advance(20 * 60_000);
    expect(next.told).toMatchObject([{ key: 'a', reason: 'completed' }]);
  });

  it('asks settled about a run that comes back: what its value says was announced is not announced again', async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    const later = clockAfter(clock);
    const next = live(later, { ended: { settled: (run: Run) => run.done === true } as never });
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', { done: true });
    expect(next.registry.end('a')).toBe('duplicate');
    await later.advance(20 * 60_000);
    expect(next.told).toEqual([]);
  });

  it('goes on with pending deliveries: attempts are not forgotten', async () => {
    const clock = createManualClock();
    const first = live(clock, { fails: true });
    first.registry.maps.runs.set('a', {});
    first.registry.end('a');
    await clock.advance(2_500);
    const snapshot = throughJson(first.registry.snapshot());
    const [pending] = heldBy(snapshot).pending;
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(snapshot);
    await later.advance(60_000);
    expect(next.told).toMatchObject([
      { key: 'a', attempt: (pending?.attempts as number) + 1, id: pending?.id },
    ]);
  });

  it('makes an ambiguous dead letter of a delivery whose last attempt was under way', async () => {
    const clock = createManualClock();
    const first = live(clock, { ended: { attempts: 1, deliver: () => new Promise(() => {}) } as never });
    first.registry.maps.runs.set('a', {});
    first.registry.end('a');
    await clock.advance(0);
    const snapshot = throughJson(first.registry.snapshot());
    expect(heldBy(snapshot).pending).toMatchObject([{ attempts: 1 }]);
    const next = live(clockAfter(clock), { ended: { attempts: 1 } as never });
    next.registry.restore(snapshot);
    expect(next.registry.deadLetters()).toMatchObject([{ event: { key: 'a' }, ambiguous: true }]);
  });

  it('keeps dead letters, which can be delivered again', async () => {
    const clock = createManualClock();
    const first = live(clock, { fails: true, ended: { attempts: 1 } as never });
    first.registry.maps.runs.set('a', {});
    first.registry.end('a');
    await clock.advance(0);
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(throughJson(first.registry.snapshot()));
    const [letter] = next.registry.deadLetters();
    expect(letter).toMatchObject({ event: { key: 'a' }, attempts: 1, ambiguous: false });
    expect(String(letter?.error)).toContain('recipient is down');
    expect(next.registry.redeliver(letter?.id as string)).toBe(true);
    await later.advance(0);
    expect(next.told).toMatchObject([{ key: 'a' }]);
    expect(next.registry.deadLetters()).toEqual([]);
  });

  it('changes nothing the second time', async () => {
    const clock = createManualClock();
    const first = live(clock, { fails: true });
    for (const key of ['open', 'pending']) first.registry.maps.runs.set(key, {});
    first.registry.end('pending');
    await clock.advance(0);
    const snapshot = throughJson(first.registry.snapshot());
    const later = clockAfter(clock);
    const next = live(later);
    next.registry.restore(snapshot);
    next.registry.maps.runs.set('open', {});
    next.registry.end('open');
    await later.advance(5_000);
    next.registry.restore(snapshot);
    next.registry.maps.runs.delete('open');
    await later.advance(60 * 60_000);
    expect(next.told.map(({ key }) => key).sort()).toEqual(['open', 'pending']);
  });

  it('refuses another snapshot than the one it has restored, and says so', () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    const snapshot = throughJson(first.registry.snapshot());
    first.registry.maps.runs.set('b', {});
    const another = throughJson(first.registry.snapshot());
    const next = live(clockAfter(clock));
    next.registry.restore(snapshot);
    const before = next.registry.snapshot();
    expect(() => next.registry.restore(another)).toThrow(/another one was restored before/);
    expect(next.registry.snapshot()).toEqual(before);
  });

  it('gives a map that is adopted later what is held for it', async () => {
    const clock = createManualClock();
    const first = createRegistry({ clock, maps: {} });
    first.adopt('late', new Map([['a', 1]]), { maxIdle: '1h' });
    await clock.advance(60_000);
    const stamps = first.stamps('late' as never, 'a');
    const snapshot = throughJson(first.snapshot());
    const next = createRegistry({ clock: clockAfter(clock), maps: {} });
    next.restore(snapshot);
    next.adopt('late', new Map([['a', 1]]), { maxIdle: '1h' });
    expect(next.stamps('late' as never, 'a')).toEqual(stamps);
  });

  it("keeps a companion's activity as its leader's: being loaded is no activity", async () => {
    const clock = createManualClock();
    const first = live(clock);
    first.registry.maps.runs.set('a', {});
    await clock.advance(50 * 60_000);
    first.registry.maps.contexts.set('a', {});
    await clock.advance(20 * 60_000);
    const later = clockAfter(clock);
    const next = live(later, { sweepEvery: '1h' });
    next.registry.restore(throughJson(first.registry.snapshot()));
    next.registry.maps.runs.set('a', {});
    next.registry.maps.contexts.set('a', {});
    // The run was last active through its context 20 minutes before.
    await later.advance(40 * 60_000 - 1);
    await next.registry.sweep();
    expect(next.registry.maps.runs.has('a')).toBe(true);
    await later.advance(1);
    await next.registry.sweep();
    expect(next.registry.maps.runs.has('a')).toBe(false);
    expect(next.registry.maps.contexts.has('a')).toBe(false);
  });
});

describe('a damaged snapshot', () => {
  const clock = createManualClock();
  const { registry } = live(clock, { fails: true });
  registry.maps.runs.set('a', {});
  registry.maps.runs.set('b', {});
  registry.maps.runs.delete('b');
  const whole = throughJson(registry.snapshot());
  registry.stop();

  it.each<[damage: string, where: RegExp, change: (snapshot: RegistrySnapshot) => unknown]>([
    ['no object', /^snapshot.*received (text|'torn'|"torn"|undefined)/, () => 'torn'],
    ['another format', /^snapshot\.format/, (snapshot) => ({ ...snapshot, format: 'other' })],
    ['another version', /^snapshot\.version: expected 1 or 2/, (snapshot) => ({ ...snapshot, version: 3 })],
    ['no records', /^snapshot\.records: expected an array/, ({ records: _, ...rest }) => rest],
    [
      'a record that is none',
      /records\[0\]: expected an array/,
      (snapshot) => ({ ...snapshot, records: [7] }),
    ],
    ['an entry without a key', /records\[\d+\].*expected a key/, spoil('set', 2, undefined)],
    ['a stamp that is text', /records\[\d+\].*expected a number of ms, found "now"/, spoil('set', 4, 'now')],
    ['a negative generation', /records\[\d+\].*at least 0, found -1/, spoil('set', 3, -1)],
    ['an entry of an unknown map', /records\[\d+\].*no map of the index 9/, spoil('set', 1, 9)],
    ['an ending without an id', /records\[\d+\].*expected a string, found undefined/, spoil('end', 7, {})],
    ['a record of a later version', /records\[\d+\].*later version/, spoil('set', 0, 'hologram')],
    [
      'an entry before its life',
      /records\[0\]/,
      (snapshot) => ({ ...snapshot, records: snapshot.records.slice(1) }),
    ],
  ])('with %s changes nothing, and says where', (_damage, where, change) => {
    const next = live(clockAfter(clock));
    const untouched = next.registry.snapshot();
    const damage = change(throughJson(whole)) as RegistrySnapshot;
    expect(() => next.registry.restore(damage)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_SNAPSHOT', message: expect.stringMatching(where) }),
    );
    expect(next.registry.snapshot()).toEqual(untouched);
    // It does not count as the one that a registry may restore.
    next.registry.restore(throughJson(whole));
  });

  it('with endings of another map says which', () => {
    const next = createRegistry({ clock: clockAfter(clock), maps: { other: {} }, ended: { map: 'other' } });
    expect(() => next.restore(whole)).toThrow(
      /holds endings of 'runs', this registry announces those of 'other'/,
    );
  });

  /** Puts something else into the first record of a kind. */
  function spoil(
    kind: string,
    place: number,
    content: unknown,
  ): (snapshot: RegistrySnapshot) => RegistrySnapshot {
    return (snapshot) => {
      const record = snapshot.records.find(([first]) => first === kind) as unknown[];
      record[place] = content;
      return snapshot;
    };
  }
});
