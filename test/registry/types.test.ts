import { adopt, createGatewayRegistry, createRegistry, type Registry, TrackedMap } from 'mapsweep';
import { describe, expect, expectTypeOf, it } from 'vitest';

interface Session {
  endedAt?: number;
}

describe('types', () => {
  it('follow the type argument of createRegistry', async () => {
    const registry = createRegistry<{ sessions: Map<string, Session>; transports: Map<string, URL> }>({
      maps: {
        sessions: {
          ttl: '5m',
          since: (session) => {
            expectTypeOf(session).toEqualTypeOf<Session>();
            return session.endedAt;
          },
        },
        transports: { follows: 'sessions' },
      },
      ended: {
        map: 'sessions',
        deliver: (event) => {
          expectTypeOf(event.key).toEqualTypeOf<string>();
          expectTypeOf(event.value).toEqualTypeOf<Session | undefined>();
        },
      },
    });
    expectTypeOf(registry.maps.sessions).toEqualTypeOf<Map<string, Session>>();
    expectTypeOf(registry).toExtend<Registry>();
    await registry.close();
  });

  it('are inferred from maps that are adopted', async () => {
    const live = new Map<number, Session>();
    const members = new Set<URL>();
    const registry = createRegistry({
      maps: { live: { adopt: live, maxIdle: '1h' }, members: { adopt: members } },
      ended: { map: 'live', settled: (session) => session.endedAt !== undefined },
    });
    expectTypeOf(registry.maps.live).toEqualTypeOf<Map<number, Session>>();
    expectTypeOf(registry.maps.members).toEqualTypeOf<Set<URL>>();
    expect(registry.maps.live).toBe(live);
    await registry.close();
  });

  it('know the names of maps that nothing else tells of, also beside adopted ones', async () => {
    const live = new Map<number, Session>();
    const registry = createRegistry({
      maps: {
        runs: { ttl: '5m', since: (run: Session) => run.endedAt },
        live: { adopt: live, follows: 'runs' },
      },
      ended: { map: 'runs' },
    });
    registry.maps.runs.set('a', { endedAt: 1 });
    expectTypeOf(registry.maps.live).toEqualTypeOf<Map<number, Session>>();
    // @ts-expect-error no such map
    expect(registry.maps.run).toBeUndefined();
    expect(registry.touch('runs', 'a')).toBe(true);
    await registry.close();
  });

  it('check durations and names of options', () => {
    // @ts-expect-error a unit that ms does not know
    expect(() => new TrackedMap<string, number>(null, { ttl: '5 fortnights' })).toThrow(/ttl/);
    // @ts-expect-error a misspelt option
    expect(() => new TrackedMap<string, number>(null, { maxIdel: '5m' })).toThrow(/maxIdle/);
    // @ts-expect-error a map of its own follows nothing
    expect(() => adopt(new Map(), { follows: 'sessions' })).toThrow(/createRegistry/);
  });

  it("are the caller's own records in a gateway registry", async () => {
    interface Run extends Session {
      runId: string;
    }
    const subagentRuns = new Map<string, Run>();
    const registry = createGatewayRegistry({
      adopt: { subagentRuns },
      onSubagentEnded: (event) => {
        expectTypeOf(event.value).toEqualTypeOf<Run | undefined>();
      },
      overrides: { subagentRuns: { keepWhile: (run) => run.runId === '' } },
    });
    expectTypeOf(registry.maps.subagentRuns).toEqualTypeOf<Map<string, Run>>();
    expectTypeOf(registry.maps.seqByRun).toEqualTypeOf<Map<string, number>>();
    await registry.close();
  });
});
