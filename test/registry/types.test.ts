import {
  adopt,
  createGatewayRegistry,
  createRegistry,
  type PolicyOf,
  type Registry,
  type RegistryMaps,
  type RegistryOptions,
  TrackedMap,
} from 'mapsweep';
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

  it("are inferred from the annotations of the policies' functions, as in the first example", async () => {
    interface Transport {
      close(): void;
    }
    const registry = createRegistry({
      maps: {
        sessions: { ttl: '5m', since: (session: Session) => session.endedAt, maxIdle: '24h' },
        transports: { follows: 'sessions', dispose: (transport: Transport) => transport.close() },
      },
      ended: {
        map: 'sessions',
        deliver: (event) => {
          expectTypeOf(event.key).toEqualTypeOf<unknown>();
          expectTypeOf(event.value).toEqualTypeOf<Session | undefined>();
        },
      },
    });
    expectTypeOf(registry.maps.sessions).toEqualTypeOf<TrackedMap<unknown, Session>>();
    expectTypeOf(registry.maps.transports).toEqualTypeOf<TrackedMap<unknown, Transport>>();
    expectTypeOf(registry).toExtend<Registry>();
    // @ts-expect-error no Session
    registry.maps.sessions.set('a', { endedAt: 'yesterday' });
    await registry.close();
  });

  it("are inferred from any of the functions, the rules' too, key and value each from where it is said", async () => {
    const live = new Map<number, Session>();
    const registry = createRegistry({
      maps: {
        keyed: { keepWhile: (session: Session, key: string) => session.endedAt === key.length },
        two: {
          activeAt: (session: Session) => session.endedAt,
          keepWhile: (_session, _key: `run:${string}`) => true,
        },
        ruled: {
          rules: [{ match: (key: string) => key === '', expiresAt: (session: Session) => session.endedAt }],
        },
        without: { keepWhile: () => true, since: 'lastActiveAt', ttl: '1h' },
        asked: {
          beforeSweep: async (session: Session, _key: string, { signal }) => {
            expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
            session.endedAt = 1;
          },
        },
        live: {
          adopt: live,
          keepWhile: (session, key) => {
            expectTypeOf(session).toEqualTypeOf<Session>();
            expectTypeOf(key).toEqualTypeOf<number>();
            return true;
          },
        },
      },
    });
    expectTypeOf(registry.maps.keyed).toEqualTypeOf<TrackedMap<string, Session>>();
    expectTypeOf(registry.maps.two).toEqualTypeOf<TrackedMap<`run:${string}`, Session>>();
    expectTypeOf(registry.maps.ruled).toEqualTypeOf<TrackedMap<unknown, Session>>();
    expectTypeOf(registry.maps.without).toEqualTypeOf<TrackedMap<unknown, unknown>>();
    expectTypeOf(registry.maps.asked).toEqualTypeOf<TrackedMap<string, Session>>();
    expectTypeOf(registry.maps.live).toEqualTypeOf<Map<number, Session>>();
    await registry.close();
  });

  it('are of a TrackedMap where no policy adopts, which passes for a Map wherever one is expected', async () => {
    interface Maps {
      runs: Map<string, Session>;
      plain: Map<unknown, unknown>;
    }
    const start = (): Registry<Maps> =>
      createRegistry({ maps: { runs: { keepWhile: (_run: Session, _key: string) => true }, plain: {} } });
    const registry = createRegistry({
      maps: { runs: { keepWhile: (_run: Session, _key: string) => true }, plain: {} },
    });
    registry.maps.runs.set('a', {});
    expect(registry.maps.runs.touch('a')).toBe(true);
    expectTypeOf(registry.maps.runs.stamps('a')).toEqualTypeOf(registry.stamps('runs', 'a'));
    // @ts-expect-error no key of that map
    expect(registry.maps.runs.touch(1)).toBe(false);
    const runs: Map<string, Session> = registry.maps.runs;
    const registries: Registry<Maps>[] = [registry, start()];
    expect([registries.length, runs.size]).toEqual([2, 1]);
    const known = createRegistry<{ runs: TrackedMap<string, Session> }>({ maps: { runs: { ttl: '5m' } } });
    expect(known.maps.runs.touch('a')).toBe(false);
    await Promise.all([...registries, known].map((each) => each.close()));
  });

  it('are unknown where nothing tells, and never any', async () => {
    const registry = createRegistry({
      maps: {
        plain: { ttl: '5m' },
        unannotated: {
          ttl: '5m',
          since: (value, key) => {
            expectTypeOf(value).toEqualTypeOf<unknown>();
            expectTypeOf(key).toEqualTypeOf<unknown>();
            return undefined;
          },
          rules: [
            {
              match: (key) => {
                expectTypeOf(key).toEqualTypeOf<unknown>();
                return true;
              },
            },
          ],
        },
      },
      ended: {
        map: 'plain',
        deliver: (event) => {
          expectTypeOf(event.value).toEqualTypeOf<unknown>();
        },
      },
    });
    expectTypeOf(registry.maps.plain).toEqualTypeOf<TrackedMap<unknown, unknown>>();
    expectTypeOf(registry.maps.unannotated).toEqualTypeOf<TrackedMap<unknown, unknown>>();
    // @ts-expect-error nobody knows what is in there
    expect(registry.maps.plain.get('a')?.endedAt).toBeUndefined();
    const any: Registry = registry;
    expectTypeOf(any.maps.whatever).toEqualTypeOf<Map<unknown, unknown> | Set<unknown> | undefined>();
    const alone = new TrackedMap(null, { ttl: '5m', since: (session: Session) => session.endedAt });
    expectTypeOf(alone).toEqualTypeOf<TrackedMap<unknown, Session>>();
    await registry.close();
  });

  it('take what `ended` says of a map that nothing else tells of', async () => {
    const registry = createRegistry({
      maps: { runs: { ttl: '5m' } },
      ended: { map: 'runs', settled: (run: Session, key: string) => run.endedAt === key.length },
    });
    await registry.close();
  });

  it('refuse a Set, a class of its own, and what is no collection, without `adopt`', async () => {
    class Indexed extends Map<string, Session> {
      readonly index = new Map<string, string>();
    }
    const compiles = (): void => {
      createRegistry<{ members: Set<string>; indexed: Indexed }>({
        maps: { members: { adopt: new Set<string>() }, indexed: { adopt: new Indexed(), ttl: '5m' } },
      }).stop();
      createRegistry<{ made: TrackedMap<string, Session> }>({ maps: { made: { ttl: '5m' } } }).stop();
      // @ts-expect-error a TrackedMap has no add
      createRegistry<{ members: Set<string> }>({ maps: { members: { ttl: '5m' } } }).stop();
      // @ts-expect-error a TrackedMap has no index
      createRegistry<{ indexed: Indexed }>({ maps: { indexed: { ttl: '5m' } } }).stop();
      // @ts-expect-error no collection
      createRegistry<{ count: number }>({ maps: { count: {} } }).stop();
    };
    expect(compiles).not.toThrow();
  });

  it.each([
    // @ts-expect-error misspelt
    () => createRegistry({ maps: { runs: { maxIdel: '5m' } } }),
    // @ts-expect-error misspelt
    () => createRegistry({ maps: { runs: { maxIdel: '5m', since: (run: Session) => run.endedAt } } }),
    // @ts-expect-error misspelt
    () => createRegistry({ maps: { runs: { rules: [{ match: /a/, tlt: '5m' }] } } }),
    // @ts-expect-error a unit that ms does not know
    () => createRegistry({ maps: { runs: { ttl: '5 fortnights' } } }),
    // @ts-expect-error no such map
    () => createRegistry({ maps: { runs: {} }, ended: { map: 'run' } }),
  ])('refuse misspelt options, in rules too, and an `ended` of no map, as the run time does: %#', (call) => {
    expect(call).toThrow();
  });

  it('refuse answers of a wrong type, and functions of what the adopted map does not hold', () => {
    const live = new Map<string, Session>();
    // @ts-expect-error no boolean
    createRegistry({ maps: { runs: { keepWhile: (run: Session) => run.endedAt } } }).stop();
    // @ts-expect-error no URLs
    createRegistry({ maps: { runs: { adopt: live, keepWhile: (run: URL) => run.hash === '' } } }).stop();
  });

  it('refuse a misspelt name and a wrong key wherever a map is named', async () => {
    const registry = createRegistry<{ runs: Map<string, Session>; seats: Map<number, Session> }>({
      maps: { runs: {}, seats: {} },
      ended: { map: 'runs' },
    });
    const late = registry.adopt('late', new Map<string, number>(), { follows: 'runs' });
    registry.touch('runs', 'a');
    registry.stamps('seats', 1);
    registry.explain('runs', 'a');
    registry.end('a');
    registry.transfer('a', 'b');
    // @ts-expect-error no such map
    expect(() => registry.touch('run', 'a')).toThrow("there is no map 'run'");
    // @ts-expect-error no such map
    expect(() => registry.stamps('seat', 1)).toThrow("there is no map 'seat'");
    // @ts-expect-error no such map
    expect(() => registry.explain('Runs', 'a')).toThrow("there is no map 'Runs'");
    const other = new Map<string, number>();
    // @ts-expect-error no such map
    expect(() => registry.adopt('later', other, { follows: 'rnus' })).toThrow("there is no map 'rnus'");
    // @ts-expect-error no key of that map
    expect(registry.touch('runs', 1)).toBe(false);
    // @ts-expect-error no key of that map
    expect(registry.stamps('seats', 'a')).toBeUndefined();
    // @ts-expect-error no key of that map
    expect(registry.explain('runs', {}).state).toBe('absent');
    // @ts-expect-error no such map
    expect(() => registry.hasRoom('rnus')).toThrow("there is no map 'rnus'");
    expect(registry.hasRoom('runs')).toBe(true);
    // @ts-expect-error no key of any map
    expect(registry.end({ id: 'a' })).toBe('unknown');
    // @ts-expect-error no key of any map
    expect(registry.transfer('a', null)).toBe('unknown');
    // @ts-expect-error no key of the map
    expect(late.touch(1)).toBe(false);
    await registry.close();
  });

  it('take the keys of runs beside a Set, whose members are others', async () => {
    const registry = createRegistry({
      maps: { runs: { adopt: new Map<string, Session>() }, ports: { adopt: new Set<number>() } },
      ended: { map: 'runs' },
    });
    expect(registry.end('a')).toBe('unknown');
    expect(registry.transfer('a', 'b')).toBe('unknown');
    // @ts-expect-error no key of any map
    expect(registry.end({ id: 'a' })).toBe('unknown');
    await registry.close();
  });

  it('take names and keys that only run time knows: of a map adopted later, of an event', async () => {
    const registry = createRegistry<{ runs: Map<string, Session> }>({
      maps: { runs: {} },
      ended: { map: 'runs' },
    });
    const late = registry.adopt('late', new Map<string, number>());
    const later = registry.adopt(`later-${1}`, new Map<string, number>(), { follows: late.name });
    expect(registry.touch(late.name, 'a')).toBe(false);
    expect(registry.explain(later.name, 5).state).toBe('absent');
    expect(registry.stamps(`later-${Number('1')}`, 'a')).toBeUndefined();
    registry.on('swept', ({ map, key }) => {
      registry.touch(map, key);
      registry.touch('runs', key);
      registry.end(key);
    });
    const empty = createRegistry({});
    empty.adopt('a', new Map<string, number>());
    expect(empty.touch('a', 'x')).toBe(false);
    expect(empty.end('x')).toBe('unknown');
    await Promise.all([registry.close(), empty.close()]);
  });

  it('leave a registry what it is to a function that takes any, or one of a type argument', async () => {
    const start = <M extends RegistryMaps>(options: RegistryOptions<M>): Registry<M> =>
      createRegistry<M>(options);
    const registry = start<{ runs: Map<string, Session> }>({ maps: { runs: { ttl: '5m' } } });
    expectTypeOf(registry.maps.runs).toEqualTypeOf<Map<string, Session>>();
    const policy: PolicyOf<Map<string, Session>> = { maxIdle: '1h', follows: 'other' };
    const maps: NonNullable<RegistryOptions<{ runs: Map<string, Session> }>['maps']> = { runs: policy };
    expect(maps.runs.maxIdle).toBe('1h');
    const sizeOf = ({ maps }: Registry): number => maps.runs?.size ?? 0;
    expect(sizeOf(registry)).toBe(0);
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

  it('are inferred from persist and from follows.key, annotated as they are', async () => {
    const registry = createRegistry({
      maps: {
        sessions: {
          maxIdle: '30m',
          persist: {
            encode: (session: Session) => ({ endedAt: session.endedAt }),
            decode: (json: unknown): Session => json as Session,
          },
        },
        tokens: { follows: { map: 'sessions', key: (token: { session: string }) => token.session } },
      },
    });
    expectTypeOf(registry.maps.sessions.get('a')).toEqualTypeOf<Session | undefined>();
    expectTypeOf(registry.maps.tokens.get('a')).toEqualTypeOf<{ session: string } | undefined>();
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
