import { AssertionError } from 'node:assert';
import { createRegistry, TrackedMap } from 'mapsweep';
import { assertDrained, createManualClock, drainWithin } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.ts';
import type { Tracker } from '../../src/sweeping/tracker.ts';
import { leavesAt } from '../../src/testing/leaves-at.ts';

describe('assertDrained(mapOrRegistry)', () => {
  it('returns for what is drained, and throws an AssertionError that names the map for what is not', () => {
    const runs = new TrackedMap<string, number>(undefined, { name: 'runs', ttl: '5m' });
    assertDrained(runs);
    runs.set('run-1', 1);
    const check = () => assertDrained(runs);
    expect(check).toThrow(AssertionError);
    expect(check).toThrow(
      /^expected the map 'runs' to be drained, but it holds:\n {2}runs: 1 entry\n {4}'run-1': live/,
    );
  });

  it('refuses what nothing tracks', () => {
    expect(() => assertDrained(new Map())).toThrow(
      'assertDrained takes a registry, a TrackedMap, an adopted Map or Set, or its handle; received a Map that nothing tracks',
    );
  });
});

describe('drainWithin(mapOrRegistry, duration)', () => {
  it('knows when what names its leader by another key will leave', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: {
        sessions: { ttl: '5m' },
        tokens: { follows: { map: 'sessions', key: ({ session }: { session: string }) => session } },
      },
      clock,
    });
    registry.maps.sessions.set('s', 1);
    registry.maps.tokens.set('t', { session: 's' });
    await clock.advance(60_000);
    // Not the leader of that token.
    registry.maps.sessions.set('t', 2);
    const tracker = internalsOf(registry)?.engine.trackers.get('tokens') as Tracker;
    const now = clock.monotonic();
    expect(leavesAt(tracker, 't', now) - now).toBe(240_000);
    expect(await drainWithin(registry, '1h')).toMatchObject({ drained: true });
  });

  it('says whether it drained, after how much time, and what is left', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, number> }>({ maps: { runs: { ttl: '5m' } }, clock });
    registry.maps.runs.set('run-1', 1);
    const early = await drainWithin(registry, '4m');
    expect(early).toMatchObject({ drained: false, elapsedMs: 240_000 });
    expect(early.message).toContain("'run-1': live, due by ttl in 1m");
    expect(await drainWithin(registry, '1h')).toEqual({
      drained: true,
      elapsedMs: 60_000,
      left: { runs: { ttl: 1 } },
      message: 'the registry is drained after 1m and stays so until 1h are over; entries left: runs 1 by ttl',
    });
  });

  it('says that no clock is given where nothing can make time pass', async () => {
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } } });
    await expect(drainWithin(registry, '5m')).rejects.toMatchObject({
      code: 'ERR_NO_CLOCK',
      message: expect.stringContaining('the registry has no manual clock, and no clock is given'),
    });
    registry.stop();
  });
});
