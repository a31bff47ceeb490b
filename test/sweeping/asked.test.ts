import { createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

interface Session {
  endsAt?: number | undefined;
  activeAt?: number | undefined;
}
type Sessions = Map<string, Session>;

const minute = 60_000;

function asked(policy: PolicyOf<Sessions>) {
  const clock = createManualClock();
  const registry = createRegistry<{ map: Sessions }>({ maps: { map: policy }, clock });
  const { map } = registry.maps;
  const evicted: string[] = [];
  registry.on('evicted', ({ key, rule }) => evicted.push(`${String(key)} by ${rule}`));
  const end = (): void => {
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, registry, map, evicted, keys: () => [...map.keys()], end };
}

describe('a lifetime that is a function', () => {
  it('is asked at every look: a deadline that moves nearer counts, and one that moves away', async () => {
    const { clock, map, keys, end } = asked({ expiresAt: (session) => session.endsAt });
    const revoked: Session = { endsAt: clock.now() + 1_000 * minute };
    const renewed: Session = { endsAt: clock.now() + minute };
    map.set('revoked', revoked).set('renewed', renewed);
    await clock.advance(minute - 1);
    revoked.endsAt = clock.now();
    renewed.endsAt = clock.now() + 10 * minute;
    await clock.advance(1);
    expect(keys()).toEqual(['renewed']);
    renewed.endsAt = undefined;
    await clock.advance(100 * minute);
    expect(keys()).toEqual(['renewed']);
    renewed.endsAt = clock.now() - 1;
    await clock.advance(minute);
    expect(keys()).toEqual([]);
    end();
  });

  it('is asked of every entry once a sweep, in the order of the map, and never by a set or a touch', async () => {
    const calls: string[] = [];
    const { clock, registry, map, end } = asked({
      ttl: '1h',
      since: (_session, key) => {
        calls.push(key);
        return undefined;
      },
    });
    for (const key of ['c', 'a', 'b']) map.set(key, {});
    map.delete('c');
    map.set('c', {}).set('a', {});
    registry.touch('map', 'b');
    expect(calls).toEqual([]);
    await clock.advance(minute);
    expect(calls.splice(0)).toEqual(['a', 'b', 'c']);
    await registry.sweep();
    expect(calls).toEqual(['a', 'b', 'c']);
    end();
  });

  it('keeps 10,000 entries in step with their stamps while some are removed and set anew past the wrapper', async () => {
    const { clock, registry, map, end } = asked({ expiresAt: (session) => session.endsAt });
    const soon = clock.now() + 1;
    for (let n = 0; n < 10_000; n += 1) map.set(`k${n}`, { endsAt: n % 2 === 0 ? soon : undefined });
    Map.prototype.delete.call(map, 'k1');
    Map.prototype.set.call(map, 'late', { endsAt: soon });
    await clock.advance(minute);
    expect(map.has('late') && registry.stamps('map', 'late') === undefined).toBe(false);
    await clock.advance(minute);
    expect([map.size, map.has('late')]).toEqual([4_999, false]);
    expect(registry.report().maps[0]).toMatchObject({ size: 4_999 });
    end();
  });

  it('that adds a key at every look does not keep its sweep from ending', async () => {
    const { clock, registry, map, end } = asked({
      expiresAt: (_session, key) => {
        map.delete(key);
        map.set(`${key}'`, {});
        return undefined;
      },
    });
    map.set('a', {}).set('b', {});
    expect((await registry.sweep()).examined).toBe(2);
    expect(map.size).toBe(2);
    await clock.advance(minute);
    end();
  });
});

describe('a rule', () => {
  it('is chosen once, at the registration; one that fails is asked again until it can say', async () => {
    const calls: string[] = [];
    let isBroken = true;
    const { clock, registry, map, keys, end } = asked({
      maxIdle: '1h',
      rules: [
        {
          match: (key) => {
            calls.push(key);
            if (isBroken && key === 'broken') throw new Error('no');
            return key !== 'other';
          },
          ttl: '3m',
        },
      ],
    });
    map.set('a', {}).set('other', {}).set('broken', {});
    expect([...new Set(calls.splice(0))]).toEqual(['a', 'other', 'broken']);
    map.set('a', {});
    registry.touch('map', 'other');
    await clock.advance(2 * minute);
    expect(calls.splice(0)).toEqual(['broken', 'broken']);
    isBroken = false;
    await clock.advance(minute);
    expect(calls.splice(0)).toEqual(['broken']);
    expect(keys()).toEqual(['other']);
    map.set('a', {});
    expect(calls).toEqual(['a']);
    end();
  });
});

describe('an eviction from a map that is asked', () => {
  it('takes what its value says is due before any that lives, among 3,000', async () => {
    const { clock, map, evicted, end } = asked({ maxEntries: 3_000, expiresAt: (session) => session.endsAt });
    const revoked: Session = {};
    for (let n = 0; n < 2_999; n += 1) map.set(`k${n}`, {});
    map.set('revoked', revoked);
    await clock.advance(1_000);
    revoked.endsAt = clock.now();
    map.set('new', {});
    await clock.advance(1);
    expect(evicted).toEqual(['revoked by expiresAt']);
    map.set('newer', {});
    await clock.advance(1);
    expect(evicted[1]).toBe('k0 by maxEntries');
    end();
  });

  it('asks all of them the first time after a sweep, and later only what it is about to evict', async () => {
    let calls = 0;
    const { clock, map, end } = asked({
      maxEntries: 1_000,
      expiresAt: () => {
        calls += 1;
        return undefined;
      },
    });
    for (let n = 0; n < 1_000; n += 1) map.set(`k${n}`, {});
    const add = async (key: string): Promise<number> => {
      calls = 0;
      map.set(key, {});
      await clock.advance(1);
      return calls;
    };
    // All of them, and once more the one that goes.
    expect(await add('a')).toBe(1_002);
    expect([await add('b'), await add('c')]).toEqual([1, 1]);
    await clock.advance(minute);
    expect(await add('d')).toBe(1_002);
    end();
  });

  describe.each<[string, PolicyOf<Sessions>]>([
    ['maxEntries', { maxEntries: 3 }],
    ['maxPerOwner', { maxPerOwner: { owner: () => 'all', max: 3 } }],
  ])(
    'by %s judges what it is about to evict by what its value says now, though it was asked before',
    (cap, policy) => {
      const second = async (
        lifetimes: PolicyOf<Sessions>,
        change: (session: Session, now: number, map: Sessions) => void,
      ) => {
        const { clock, registry, map, evicted, keys, end } = asked({ ...policy, ...lifetimes });
        const failed: unknown[] = [];
        registry.on('callback-failed', ({ callback, key }) => failed.push([callback, key]));
        const b: Session = {};
        for (const [key, session] of [
          ['a', {}],
          ['b', b],
          ['c', {}],
          ['d', {}],
        ] as const) {
          map.set(key, session);
          await clock.advance(1);
        }
        expect(evicted.splice(0)).toEqual([`a by ${cap}`]);
        change(b, clock.now(), map);
        map.set('e', {});
        await clock.advance(1);
        end();
        return { evicted, keys: keys().join(''), failed };
      };

      it('one that has become due leaves by its lifetime', async () => {
        const became = (lifetimes: PolicyOf<Sessions>) =>
          second(lifetimes, (session, now) => {
            session.endsAt = now - 2 * 60 * minute;
          });
        const since = await became({ ttl: '1h', since: (session) => session.endsAt });
        expect(since).toMatchObject({ evicted: ['b by ttl'], keys: 'cde', failed: [] });
        const expiresAt = await became({ expiresAt: (session) => session.endsAt });
        expect(expiresAt).toMatchObject({ evicted: ['b by expiresAt'], keys: 'cde', failed: [] });
      });

      it('an answer that is none is counted and said, and keeps nothing from a cap', async () => {
        const invalid = await second({ expiresAt: (session) => session.endsAt }, (session) => {
          session.endsAt = Number.NaN;
        });
        expect(invalid).toMatchObject({
          evicted: [`b by ${cap}`],
          keys: 'cde',
          failed: [['expiresAt', 'b']],
        });
      });

      it('a guard keeps one that has become due', async () => {
        const guarded = await second(
          { expiresAt: (session) => session.endsAt, keepWhile: (session) => session.endsAt !== undefined },
          (session, now) => {
            session.endsAt = now;
          },
        );
        expect(guarded).toMatchObject({ evicted: [`c by ${cap}`], keys: 'bde' });
      });

      it('one that its function removes is gone, and nothing else goes for it', async () => {
        let remove = (): unknown => undefined;
        const expiresAt = (session: Session) => (session.endsAt === undefined ? undefined : void remove());
        const removed = await second({ expiresAt }, (session, _, map) => {
          session.endsAt = 1;
          remove = () => map.delete('b');
        });
        expect(removed).toMatchObject({ evicted: [], keys: 'cde' });
      });
    },
  );

  it('remembers what was due and did not have to go', async () => {
    const { clock, map, evicted, end } = asked({ maxEntries: 4, expiresAt: (session) => session.endsAt });
    for (const key of ['a', 'b', 'c', 'd']) map.set(key, {});
    await clock.advance(1_000);
    for (const key of ['c', 'd']) (map.get(key) as Session).endsAt = clock.now();
    for (const key of ['e', 'f', 'g']) {
      map.set(key, {});
      await clock.advance(1);
    }
    expect(evicted).toEqual(['c by expiresAt', 'd by expiresAt', 'a by maxEntries']);
    end();
  });

  it('goes by the activity that a value records, also when that has changed since', async () => {
    const { clock, map, evicted, end } = asked({ maxEntries: 3, activeAt: (session) => session.activeAt });
    const busy: Session = {};
    map.set('busy', busy);
    await clock.advance(1_000);
    map.set('idle', {}).set('quiet', {});
    await clock.advance(1_000);
    busy.activeAt = clock.now();
    for (const key of ['x', 'y']) {
      map.set(key, {});
      await clock.advance(1);
    }
    expect(evicted).toEqual(['idle by maxEntries', 'quiet by maxEntries']);
    map.set('z', {});
    await clock.advance(1);
    expect(evicted[2]).toBe('busy by maxEntries');
    end();
  });
});
