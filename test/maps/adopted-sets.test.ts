import { discover, policyFor } from 'mapsweep/discover';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { createRegistry } from '../../src/registry/registry.js';

const MINUTE = 60_000;

describe('a Set in the maps of a registry', () => {
  it('is the very object that was adopted, with its own type', async () => {
    const open = new Set<number>();
    const registry = createRegistry({ maps: { open: { adopt: open } }, clock: createManualClock() });
    expect(registry.maps.open).toBe(open);
    expectTypeOf(registry.maps.open).toEqualTypeOf<Set<number>>();
    await registry.close();
    expect(Object.getOwnPropertyNames(open)).toEqual([]);
  });

  it('is swept like a map: a member leaves 1 min after it was last added', async () => {
    const clock = createManualClock();
    const open = new Set(['old', 'kept']);
    const registry = createRegistry({
      maps: { open: { adopt: open, maxIdle: '1m' } },
      sweepEvery: '1s',
      clock,
    });
    await clock.advance(MINUTE - 1_000);
    open.add('kept');
    await clock.advance(1_000);
    expect([...open]).toEqual(['kept']);
    expect(registry.report().maps[0]).toMatchObject({ size: 1, registered: 2, removed: { swept: 1 } });
    await registry.close();
  });

  it('leads and follows: members leave with the entry of the same key', async () => {
    const clock = createManualClock();
    const sessions = new Map([['a', { user: 'x' }]]);
    const dirty = new Set(['a']);
    const labels = new Map([['a', 'first']]);
    const registry = createRegistry({
      maps: {
        sessions: { adopt: sessions, ttl: '5m' },
        dirty: { adopt: dirty, follows: 'sessions' },
        labels: { adopt: labels, follows: 'dirty' },
      },
      clock,
    });
    sessions.delete('a');
    expect([dirty.size, labels.size]).toEqual([0, 0]);
    sessions.set('b', { user: 'y' });
    await clock.advance(4 * MINUTE);
    dirty.add('b');
    labels.set('b', 'second');
    await clock.advance(2 * MINUTE);
    expect([sessions.size, dirty.size, labels.size]).toEqual([0, 0, 0]);
    await registry.close();
  });

  it('opens an obligation for each member where endings are kept for it', async () => {
    const clock = createManualClock();
    const runs = new Set<string>();
    const ended: unknown[] = [];
    const registry = createRegistry({
      maps: { runs: { adopt: runs, ttl: '1m' } },
      ended: { map: 'runs' },
      clock,
    });
    registry.on('subagent-ended', ({ key, reason }) => ended.push([key, reason]));
    runs.add('a').add('b');
    runs.delete('a');
    await clock.advance(3 * MINUTE);
    expect(ended).toEqual([
      ['a', 'deleted'],
      ['b', 'swept'],
    ]);
    await registry.close();
  });

  it('is evicted from beyond maxEntries, the longest idle member first', async () => {
    const clock = createManualClock();
    const recent = new Set<number>();
    const registry = createRegistry({ maps: { recent: { adopt: recent, maxEntries: 2 } }, clock });
    for (const member of [1, 2, 3]) {
      recent.add(member);
      await clock.advance(1);
    }
    expect([...recent]).toEqual([2, 3]);
    await registry.close();
  });
});

describe('discovered maps and policies by path pattern', () => {
  it('adopts what matches under its path, and leaves the others alone', async () => {
    const clock = createManualClock();
    const root = {
      [Symbol.for('openclaw.a.state')]: { seqByRun: new Map([['run', 1]]), listeners: new Set([1]) },
      [Symbol.for('openclaw.b.state')]: { seqByRun: new Map([['run', 1]]) },
    };
    const patterns = [
      { match: 'openclaw.*.state/seqByRun', policy: { maxIdle: '5m' } },
      { match: /\/listeners$/, policy: { mode: 'observe' } },
    ] as const;
    const registry = createRegistry({ clock });
    for (const { path, ref } of discover({ root })) {
      const policy = policyFor<object>(path, patterns);
      if (policy !== undefined) registry.adopt(path, ref as Set<unknown>, policy);
    }
    await clock.advance(7 * MINUTE);
    expect(registry.report().maps.map(({ name, size }) => [name, size])).toEqual([
      ['openclaw.a.state/listeners', 1],
      ['openclaw.a.state/seqByRun', 0],
      ['openclaw.b.state/seqByRun', 0],
    ]);
    await registry.close();
  });
});
