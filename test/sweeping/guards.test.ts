import { createRegistry, type PolicyOf, type Registry, type RemovedEvent } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

interface Session {
  inFlight?: boolean;
}
type Sessions = Map<string, Session>;

const minute = 60_000;

function guarded(policy: PolicyOf<Sessions>, streams: PolicyOf<Sessions> = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Sessions; streams: Sessions }>({
    maps: {
      sessions: { keepWhile: (session) => session.inFlight === true, ...policy },
      streams: { follows: 'sessions', keepWhile: (stream) => stream.inFlight === true, ...streams },
    },
    clock,
  });
  const { sessions, streams: ofSessions } = registry.maps;
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  const row = (name = 'sessions') => registry.report().maps.find((map) => map.name === name);
  return { clock, registry, sessions, streams: ofSessions, row, end };
}

describe('a guard that holds', () => {
  it('counts as activity: an entry is idle from the end of its guard, within one interval', async () => {
    const { clock, registry, sessions, row, end } = guarded({ maxIdle: '10m' });
    const session: Session = { inFlight: true };
    sessions.set('s', session);
    await clock.advance(12 * minute);
    expect(row()).toMatchObject({ guarded: 1, overdue: 1 });
    expect(registry.stamps('sessions', 's')?.lastActiveAt).toBe(clock.now());
    expect(registry.explain('sessions', 's')).toMatchObject({ state: 'guarded' });
    await clock.advance(minute - 1);
    session.inFlight = false;
    await clock.advance(1);
    expect(row()).toMatchObject({ guarded: 0, overdue: 0 });
    await clock.advance(9 * minute - 1);
    expect(sessions.has('s')).toBe(true);
    await clock.advance(1);
    expect(sessions.has('s')).toBe(false);
    end();
  });

  it('is asked again at every sweep, though the entry is not due yet since it counts as active', async () => {
    let calls = 0;
    const { clock, sessions, end } = guarded({
      maxIdle: '10m',
      keepWhile: (session) => {
        calls += 1;
        return session.inFlight === true;
      },
    });
    sessions.set('s', { inFlight: true });
    await clock.advance(10 * minute - 1);
    expect(calls).toBe(0);
    await clock.advance(5 * minute + 1);
    expect(calls).toBe(6);
    end();
  });

  it('found by an eviction counts too, and the entry is not evicted', async () => {
    const { clock, registry, sessions, row, end } = guarded({ maxEntries: 2 });
    sessions.set('busy', { inFlight: true }).set('idle', {});
    await clock.advance(5_000);
    sessions.set('new', {});
    await clock.advance(1);
    expect([...sessions.keys()]).toEqual(['busy', 'new']);
    expect(registry.stamps('sessions', 'busy')?.lastActiveAt).toBeGreaterThanOrEqual(clock.now() - 1);
    expect(row()).toMatchObject({ guarded: 1, overdue: 0 });
    end();
  });

  it('counts no more once an eviction has found that it does not', async () => {
    const { clock, sessions, row, end } = guarded({ maxIdle: '10m', maxEntries: 2 });
    const session: Session = { inFlight: true };
    sessions.set('s', session);
    await clock.advance(12 * minute);
    expect(row()).toMatchObject({ guarded: 1, overdue: 1 });
    session.inFlight = false;
    // It was active later than what is evicted.
    await clock.advance(1);
    sessions.set('a', {}).set('b', {}).set('s', session);
    await clock.advance(minute);
    expect([...sessions.keys()]).toEqual(['s', 'b']);
    expect(row()).toMatchObject({ guarded: 0, overdue: 0 });
    end();
  });

  it('does not outlast maxAge', async () => {
    const { clock, sessions, end } = guarded({ maxIdle: '2m', maxAge: '1h' });
    sessions.set('s', { inFlight: true });
    await clock.advance(60 * minute - 1);
    expect(sessions.size).toBe(1);
    await clock.advance(1);
    expect(sessions.size).toBe(0);
    end();
  });
});

describe('an entry that leaves at its maxAge', () => {
  const gone = async (policy: PolicyOf<Map<string, object>>, use?: (registry: Registry<Kept>) => void) => {
    const clock = createManualClock();
    const registry: Registry<Kept> = createRegistry<Kept>({ maps: { map: policy }, clock });
    const events: RemovedEvent[] = [];
    registry.on('swept', (event) => events.push(event));
    registry.maps.map.set('a', {});
    use?.(registry);
    await clock.advance(60 * minute);
    expect(registry.maps.map.size).toBe(0);
    registry.stop();
    return events.map(({ rule, keptBy }) => [rule, keptBy]);
  };
  type Kept = { map: Map<string, object> };

  it('is swept by that, and says what kept it until then', async () => {
    const keepWhile = () => true;
    expect(await gone({ ttl: '5m', maxAge: '1h', keepWhile })).toEqual([['maxAge', 'keepWhile']]);
    expect(await gone({ ttl: '5m', maxAge: '1h' }, (registry) => registry.hold('map', 'a'))).toEqual([
      ['maxAge', 'hold'],
    ]);
    const rules = [{ match: /^a/, ttl: '5m', maxAge: '1h' }] as const;
    expect(await gone({ rules, keepWhile })).toEqual([['rules[0].maxAge', 'keepWhile']]);
  });

  it('says the same where a cap takes it first', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { map: { maxIdle: '1m', maxAge: '12m', maxEntries: 1 } },
      clock,
      sweepEvery: '5m',
    });
    const evicted: unknown[] = [];
    registry.on('evicted', ({ key, rule, keptBy }) => evicted.push([key, rule, keptBy]));
    registry.maps.map.set('a', {});
    registry.hold('map', 'a');
    await clock.advance(13 * minute);
    registry.maps.map.set('b', {});
    await clock.advance(0);
    expect(evicted).toEqual([['a', 'maxAge', 'hold']]);
    registry.stop();
  });

  it('is swept by its ttl where nothing kept it, however late, and by its maxAge where that is first', async () => {
    expect(await gone({ ttl: '50s', maxAge: '55s', keepWhile: () => false })).toEqual([['ttl', undefined]]);
    expect(await gone({ ttl: '2h', maxAge: '1h' })).toEqual([['maxAge', undefined]]);
    const held = await gone({ ttl: '2h', maxAge: '1h' }, (registry) => registry.hold('map', 'a'));
    expect(held).toEqual([['maxAge', undefined]]);
  });

  it('leaves though its guard, or its since, touches it whenever it is asked', async () => {
    let registry: Registry<Kept> | undefined;
    const touch = () => registry?.touch('map', 'a') ?? true;
    const use = (made: Registry<Kept>) => {
      registry = made;
    };
    expect(await gone({ ttl: '5m', maxAge: '1h', keepWhile: touch }, use)).toEqual([['maxAge', 'keepWhile']]);
    const since = () => Number(!touch());
    expect(await gone({ ttl: '5m', maxAge: '1h', since }, use)).toEqual([['ttl', undefined]]);
  });
});

describe('a guard of a companion', () => {
  it("holds its leader's entry, counts as activity there, and lets both go together", async () => {
    const { clock, registry, sessions, streams, row, end } = guarded({ maxIdle: '5m' });
    const stream: Session = { inFlight: true };
    sessions.set('s', {});
    streams.set('s', stream);
    await clock.advance(30 * minute);
    expect([sessions.size, streams.size]).toEqual([1, 1]);
    expect(row()).toMatchObject({ guarded: 1 });
    expect(registry.explain('sessions', 's').why).toContain('streams');
    stream.inFlight = false;
    await clock.advance(5 * minute);
    expect([sessions.size, streams.size]).toEqual([0, 0]);
    end();
  });

  it("does not stop the owner's delete", () => {
    const { sessions, streams, end } = guarded({});
    sessions.set('s', {});
    streams.set('s', { inFlight: true });
    sessions.delete('s');
    expect(streams.size).toBe(0);
    end();
  });

  it("holds nothing beyond the companion's own maxAge, nor its leader beyond that of the leader", async () => {
    const one = guarded({ maxIdle: '5m' }, { maxAge: '20m' });
    one.sessions.set('s', {});
    one.streams.set('s', { inFlight: true });
    await one.clock.advance(19 * minute);
    expect(one.sessions.size).toBe(1);
    await one.clock.advance(6 * minute);
    expect([one.sessions.size, one.streams.size]).toEqual([0, 0]);
    one.end();
    const other = guarded({ maxIdle: '5m', maxAge: '20m' });
    other.sessions.set('s', {});
    other.streams.set('s', { inFlight: true });
    await other.clock.advance(20 * minute);
    expect([other.sessions.size, other.streams.size]).toEqual([0, 0]);
    other.end();
  });

  it("keeps its leader's entry from being evicted", async () => {
    const { clock, sessions, streams, end } = guarded({ maxEntries: 1 });
    sessions.set('busy', {});
    streams.set('busy', { inFlight: true });
    await clock.advance(1_000);
    sessions.set('new', {});
    await clock.advance(1);
    expect([...sessions.keys()]).toEqual(['busy']);
    end();
  });

  describe('may ask about another entry of the leader, which says nothing of the one that is judged', () => {
    type Asking = { sessions: Map<string, number>; streams: Map<string, number> };

    /** Sessions of which one has other lifetimes, and streams whose guard asks about that one. */
    function asking(policy: PolicyOf<Map<string, number>>, isBusy: () => boolean) {
      const clock = createManualClock();
      const registry = createRegistry<Asking>({
        maps: {
          sessions: policy,
          streams: {
            follows: 'sessions',
            keepWhile: () => {
              registry.isDue('sessions', 'pinned');
              return isBusy();
            },
          },
        },
        clock,
      });
      const swept: string[] = [];
      registry.on('swept', ({ key, rule }) => swept.push(`${String(key)} ${rule}`));
      const { sessions, streams } = registry.maps;
      sessions.set('pinned', 1).set('s', 1);
      streams.set('s', 1);
      const end = (): void => {
        registry.stop();
        expect(clock.pendingTimers).toBe(0);
      };
      return { clock, registry, sessions, swept, end };
    }
    const pinned = { match: (key: string) => key === 'pinned' };

    it('while it holds: that one is overdue, and leaves after the guard has let go', async () => {
      let isBusy = true;
      const { clock, registry, sessions, swept, end } = asking(
        { maxIdle: '10m', rules: [pinned] },
        () => isBusy,
      );
      await clock.advance(10 * minute);
      expect(registry.report().maps[0]).toMatchObject({ guarded: 1, overdue: 1 });
      isBusy = false;
      await clock.advance(11 * minute);
      expect([...sessions.keys()]).toEqual(['pinned']);
      expect(swept).toEqual(['s maxIdle']);
      end();
    });

    it('when it does not hold: that one is told as due by a lifetime of its own', async () => {
      const { clock, sessions, swept, end } = asking(
        { maxIdle: '10m', rules: [{ ...pinned, ttl: '1h' }] },
        () => false,
      );
      await clock.advance(10 * minute);
      expect([...sessions.keys()]).toEqual(['pinned']);
      expect(swept).toEqual(['s maxIdle']);
      end();
    });
  });

  it.each(['swept', 'evicted'])(
    'keeps nothing if it removes its own entry, and the leader is %s',
    async (by) => {
      const { clock, registry, sessions, streams, row, end } = guarded(
        by === 'swept' ? { maxIdle: '10m' } : { maxEntries: 1 },
        { keepWhile: (_stream, key) => streams.delete(key) },
      );
      sessions.set('s', {});
      streams.set('s', {});
      await clock.advance(10 * minute - 1);
      if (by === 'evicted') sessions.set('new', {});
      await clock.advance(1);
      expect([sessions.has('s'), streams.has('s')]).toEqual([false, false]);
      expect(row()).toMatchObject({ guarded: 0, overdue: 0, removed: { [by]: 1 } });
      expect(registry.report().maps[1]).toMatchObject({ removed: { deleted: 1 } });
      end();
    },
  );

  it('is not asked about an entry that another function of the policy has just removed', async () => {
    const asked: unknown[] = [];
    const { clock, sessions, end } = guarded({
      ttl: 0,
      expiresAt: () => void sessions.clear(),
      keepWhile: (session) => asked.push(session) === 0,
    });
    sessions.set('s', {});
    await clock.advance(minute);
    expect(sessions.size).toBe(0);
    expect(asked).toEqual([]);
    end();
  });

  it('is not asked about an entry that was deleted past the wrapper, and nothing is disposed of then', async () => {
    const asked: unknown[] = [];
    const disposed: unknown[] = [];
    const { clock, sessions, end } = guarded({
      maxEntries: 1,
      keepWhile: (session) => asked.push(session) === 0,
      dispose: (session) => disposed.push(session),
    });
    const [first, second, third] = [{}, {}, {}];
    sessions.set('first', first).set('second', second).set('third', third);
    Map.prototype.delete.call(sessions, 'first');
    await clock.advance(1);
    expect([...sessions.keys()]).toEqual(['third']);
    expect(asked).not.toContain(undefined);
    expect(disposed).toEqual([second]);
    end();
  });
});
