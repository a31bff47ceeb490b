import { createRegistry, type PolicyOf, type RemovalReason } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it, vi } from 'vitest';

interface Token {
  session: string | undefined;
}
type Sessions = Map<string, number>;
type Tokens = Map<string, Token>;

const minutes = (count: number): number => count * 60_000;

function setup(tokens: Partial<PolicyOf<Tokens>> = {}, sessions: PolicyOf<Sessions> = {}) {
  const clock = createManualClock();
  const gone: string[] = [];
  const dispose = (_: unknown, key: string, reason: RemovalReason) => void gone.push(`${key} ${reason}`);
  const registry = createRegistry<{ sessions: Sessions; tokens: Tokens }>({
    maps: {
      sessions: { dispose, ...sessions },
      tokens: { follows: { map: 'sessions', key: ({ session }: Token) => session }, dispose, ...tokens },
    },
    clock,
  });
  const failures: string[] = [];
  registry.on('callback-failed', ({ map, callback }) => failures.push(`${map} ${callback}`));
  return { clock, registry, gone, failures, sessions: registry.maps.sessions, tokens: registry.maps.tokens };
}

describe('companions whose value names the key of their leader', () => {
  it('stay where their delete refused while their leader left, and they have come to name nobody', async () => {
    const { registry, sessions, tokens } = setup({ orphanAfter: false });
    sessions.set('s', 1);
    tokens.set('t', { session: 's' });
    tokens.delete = () => false;
    sessions.delete('s');
    Reflect.deleteProperty(tokens, 'delete');
    tokens.set('t', { session: undefined });
    await registry.sweep();
    expect([...tokens.keys()]).toEqual(['t']);
    registry.stop();
  });

  it.each([
    ['deleted', ({ sessions }) => void sessions.delete('s')],
    ['cleared', ({ sessions }) => sessions.clear()],
    ['swept', ({ clock }) => clock.advance(minutes(120))],
  ] as [RemovalReason, (all: ReturnType<typeof setup>) => unknown][])(
    'leave in the same step as a leader that is %s, after it, and others stay',
    async (reason, remove) => {
      const all = setup({ orphanAfter: false }, { ttl: '1h' });
      all.sessions.set('s', 1);
      for (const key of ['t1', 't2']) all.tokens.set(key, { session: 's' });
      all.tokens.set('other', { session: 'u' });
      await remove(all);
      expect(all.gone).toEqual([`s ${reason}`, 't1 companion', 't2 companion']);
      expect([...all.tokens.keys()]).toEqual(['other']);
      all.registry.stop();
    },
  );

  it('follow whom the value names that the question itself has set', () => {
    const all = setup({
      follows: {
        map: 'sessions',
        key: ({ session }, key) => {
          if (session === 's') all.tokens.set(key, { session: 't' });
          return session;
        },
      },
    });
    all.sessions.set('s', 1).set('t', 2);
    all.tokens.set('token', { session: 's' });
    all.sessions.delete('t');
    expect(all.gone).toEqual(['t deleted', 'token companion']);
    all.registry.stop();
  });

  it('are found without a scan: of a hundred thousand, those of one session are asked', () => {
    const key = vi.fn(({ session }: Token, _: string) => session);
    const { sessions, tokens, registry } = setup({ follows: { map: 'sessions', key } });
    for (let index = 0; index < 50_000; index += 1) {
      sessions.set(`s${index}`, index);
      for (const which of ['a', 'b']) tokens.set(`${which}${index}`, { session: `s${index}` });
    }
    key.mockClear();
    sessions.delete('s777');
    expect(key.mock.calls.map(([, asked]) => asked)).toEqual(['a777', 'b777']);
    expect(tokens.size).toBe(99_998);
    registry.stop();
  });

  it('count as activity of the leader they name, when they are registered, set or touched', async () => {
    const { clock, sessions, tokens, registry } = setup({}, { maxIdle: '3m' });
    for (const key of ['s', 'u', 'never']) sessions.set(key, 1);
    tokens.set('t', { session: 's' });
    await clock.advance(minutes(2));
    tokens.set('new', { session: 's' });
    tokens.set('moves', { session: 'u' });
    await clock.advance(minutes(2));
    expect([...sessions.keys()]).toEqual(['s', 'u']);
    registry.touch('tokens', 't');
    await clock.advance(minutes(2));
    expect([...sessions.keys()]).toEqual(['s']);
    await clock.advance(minutes(2));
    expect([sessions.size, tokens.size]).toEqual([0, 0]);
    registry.stop();
  });

  it('follow whom they name after a set or touch, and are asked once more before they leave', () => {
    const { sessions, tokens, gone, registry } = setup();
    for (const key of ['a', 'b']) sessions.set(key, 1);
    const moved: Token = { session: 'a' };
    tokens.set('set', { session: 'a' }).set('touched', moved).set('unseen', { session: 'a' });
    tokens.set('set', { session: 'b' });
    moved.session = 'b';
    registry.touch('tokens', 'touched');
    // Changed in place, of which nobody has told: whether it leaves with `a` is asked when `a` leaves.
    (tokens.get('unseen') as Token).session = 'b';
    sessions.delete('a');
    expect(gone).toEqual(['a deleted']);
    sessions.delete('b');
    expect(gone.slice(2).sort()).toEqual(['set companion', 'touched companion', 'unseen companion']);
    registry.stop();
  });

  it('join a leader that comes later, and are orphans before', async () => {
    const { clock, sessions, tokens, gone, registry } = setup();
    tokens.set('early', { session: 's' }).set('late', { session: 'u' });
    await clock.advance(minutes(29));
    sessions.set('s', 1);
    await clock.advance(minutes(5));
    expect(gone).toEqual(['late swept']);
    sessions.delete('s');
    expect(gone.slice(1)).toEqual(['s deleted', 'early companion']);
    registry.stop();
  });

  it('that come to name a key that is not there are orphans from then on', async () => {
    const { clock, sessions, tokens, gone, registry } = setup({ ttl: '24h' });
    sessions.set('s', 1);
    const seen = { session: 's' };
    tokens.set('set', { session: 's' }).set('touched', seen).set('stays', { session: 's' });
    await clock.advance(minutes(1));
    tokens.set('set', { session: 'gone' });
    seen.session = 'gone';
    registry.touch('tokens', 'touched');
    await clock.advance(minutes(29));
    expect(gone).toEqual([]);
    await clock.advance(minutes(2));
    expect(gone).toEqual(['set swept', 'touched swept']);
    registry.stop();
  });

  it('that name nobody are no orphans, and stay', async () => {
    const { clock, tokens, registry } = setup();
    tokens.set('anonymous', { session: undefined });
    await clock.advance(minutes(600));
    expect(tokens.size).toBe(1);
    registry.stop();
  });

  it('keep their leader by a guard or a hold, and that is activity there', async () => {
    let isBusy = true;
    const { clock, sessions, tokens, registry } = setup({ keepWhile: () => isBusy }, { maxIdle: '5m' });
    sessions.set('s', 1);
    tokens.set('t', { session: 's' });
    await clock.advance(minutes(20));
    expect(registry.explain('sessions', 's').why).toContain(
      "keepWhile of its companion in 'tokens' holds it",
    );
    const hold = registry.hold('tokens', 't');
    isBusy = false;
    await clock.advance(minutes(20));
    expect(registry.explain('sessions', 's').why).toContain("a hold of its companion in 'tokens' taken");
    hold.release();
    await clock.advance(minutes(4));
    expect(sessions.size).toBe(1);
    await clock.advance(minutes(2));
    expect([sessions.size, tokens.size]).toEqual([0, 0]);
    registry.stop();
  });

  it('whose key function throws stay whose they were; it is counted and said once', () => {
    let fails = false;
    const key = ({ session }: Token): string | undefined => {
      if (fails) throw new Error('no key');
      return session;
    };
    const { sessions, tokens, failures, gone, registry } = setup({ follows: { map: 'sessions', key } });
    sessions.set('s', 1);
    tokens.set('t', { session: 's' });
    fails = true;
    registry.touch('tokens', 't');
    registry.touch('tokens', 't');
    sessions.delete('s');
    expect(gone).toEqual(['s deleted', 't companion']);
    expect(failures).toEqual(['tokens follows.key']);
    registry.stop();
  });

  it('may be set and removed by the function that is asked', () => {
    const all = setup({
      follows: {
        map: 'sessions',
        key: ({ session }: Token, key: string) => {
          if (key === 'gone') all.tokens.delete('gone');
          if (key === 'again') all.tokens.set('again', { session: 'u' });
          return session;
        },
      },
    });
    all.sessions.set('s', 1);
    all.tokens.set('gone', { session: 's' });
    all.tokens.set('again', { session: 's' });
    expect(() => all.sessions.delete('s')).not.toThrow();
    expect(all.tokens.has('gone')).toBe(false);
    expect(all.failures).toEqual([]);
    all.registry.stop();
  });

  it('that come while others leave stay, though one of those was where they are now', () => {
    let isLeaving = false;
    const all = setup({
      follows: {
        map: 'sessions',
        key: ({ session }: Token, key: string) => {
          if (isLeaving && key === 'first') {
            isLeaving = false;
            all.tokens.delete('second');
            all.tokens.set('third', { session: 's' });
          }
          return session;
        },
      },
    });
    all.sessions.set('s', 1);
    for (const key of ['first', 'second']) all.tokens.set(key, { session: 's' });
    isLeaving = true;
    all.sessions.delete('s');
    expect([...all.tokens.keys()]).toEqual(['third']);
    all.registry.stop();
  });

  it('find their leader again after a restart', async () => {
    const persist = { encode: (value: unknown) => value, decode: (json: unknown) => json as never };
    const first = setup({ persist }, { persist });
    first.sessions.set('s', 1);
    first.tokens.set('t', { session: 's' });
    const next = setup({ persist }, { persist });
    next.registry.restore(first.registry.snapshot());
    expect([...next.tokens.keys()]).toEqual(['t']);
    next.sessions.delete('s');
    expect(next.gone).toEqual(['s deleted', 't companion']);
    for (const { registry } of [first, next]) registry.stop();
  });

  it('are orphans after a restart that their leader did not come back from', async () => {
    const persist = { encode: (value: unknown) => value, decode: (json: unknown) => json as never };
    const first = setup({ persist });
    first.sessions.set('s', 1);
    first.tokens.set('t', { session: 's' });
    const next = setup({ persist });
    next.registry.restore(first.registry.snapshot());
    await next.clock.advance(minutes(32));
    expect(next.gone).toEqual(['t swept']);
    for (const { registry } of [first, next]) registry.stop();
  });

  it('leave through a chain: rooms of a member of a socket', () => {
    const registry = createRegistry<{ sockets: Sessions; members: Tokens; rooms: Tokens }>({
      maps: {
        rooms: { follows: { map: 'members', key: ({ session }: Token) => session } },
        members: { follows: { map: 'sockets', key: ({ session }: Token) => session } },
        sockets: { maxIdle: '1h' },
      },
    });
    const { sockets, members, rooms } = registry.maps;
    sockets.set('socket', 1);
    members.set('member', { session: 'socket' });
    rooms.set('room', { session: 'member' });
    sockets.delete('socket');
    expect([sockets.size, members.size, rooms.size]).toEqual([0, 0, 0]);
    registry.stop();
  });

  it('are found in a Set, whose member is both value and key', () => {
    const registry = createRegistry<{ rooms: Sessions; members: Set<string> }>({
      maps: {
        rooms: {},
        members: {
          adopt: new Set(['r1/ann']),
          follows: { map: 'rooms', key: (member: string) => member.split('/')[0] },
        },
      },
    });
    registry.maps.rooms.set('r1', 1);
    registry.maps.members.add('r1/bob').add('r2/eve');
    registry.maps.rooms.delete('r1');
    expect([...registry.maps.members]).toEqual(['r2/eve']);
    registry.stop();
  });

  it.each([0, -0])('leave with the key 0, which a Map also has as -0, when %o is deleted', (given) => {
    const registry = createRegistry<{ rooms: Map<number, string>; seats: Map<string, { room: number }> }>({
      maps: { rooms: {}, seats: { follows: { map: 'rooms', key: ({ room }) => room } } },
    });
    const { rooms, seats } = registry.maps;
    rooms.set(0, 'x');
    seats.set('s', { room: 0 }).set('t', { room: -0 }).set('u', { room: 1 });
    rooms.delete(given);
    expect([...seats.keys()]).toEqual(['u']);
    registry.stop();
  });

  it('leaves nothing behind about what has left, and slots that are used again name nobody by chance', () => {
    const { sessions, tokens, gone, registry } = setup();
    sessions.set('s', 1);
    tokens.set('first', { session: 's' });
    tokens.delete('first');
    tokens.set('second', { session: undefined });
    sessions.delete('s');
    expect(gone).toEqual(['first deleted', 's deleted']);
    registry.stop();
  });
});

it.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'in a random course of sets, touches and deletes those leave that name their leader and were known to, seed %i',
  (seed) => {
    let state = seed * 2_654_435_761;
    const random = (below: number): number => {
      state = (Math.imul(state ^ (state >>> 15), 2_246_822_507) + 1_013_904_223) >>> 0;
      return state % below;
    };
    const { sessions, tokens, registry } = setup({ orphanAfter: false });
    /** Whom the library has been told of, and whom the value names now. */
    const model = new Map<string, { told: string | undefined; token: Token }>();
    const session = (): string | undefined => (random(5) === 0 ? undefined : `s${random(4)}`);
    let left = 0;
    for (let step = 0; step < 4_000; step += 1) {
      const leader = `s${random(4)}`;
      const key = `t${random(12)}`;
      const known = model.get(key);
      switch (random(5)) {
        case 0:
          sessions.set(leader, step);
          break;
        case 1:
          if (!sessions.delete(leader)) break;
          for (const [companion, of] of model) {
            if (of.told !== leader) continue;
            of.told = of.token.session;
            if (of.told !== leader) continue;
            model.delete(companion);
            left += 1;
          }
          break;
        case 2:
          tokens.delete(key);
          model.delete(key);
          break;
        case 3:
          if (known === undefined) break;
          known.token.session = session();
          if (random(2) === 0) break;
          registry.touch('tokens', key);
          known.told = known.token.session;
          break;
        default: {
          const token = { session: session() };
          tokens.set(key, token);
          model.set(key, { told: token.session, token });
        }
      }
      expect([...tokens.keys()].sort(), `step ${step}`).toEqual([...model.keys()].sort());
      const orphans = [...model.values()].filter(({ told }) => told !== undefined && !sessions.has(told));
      expect(registry.report().maps[1]?.orphaned, `step ${step}`).toBe(orphans.length);
    }
    expect(left).toBeGreaterThan(50);
    registry.stop();
  },
);

describe('a companion for which nobody can say who its leader is', () => {
  it('is failing, with the error, and health() warns until it names one or has left', async () => {
    const { clock, registry, failures, sessions, tokens } = setup(
      {
        follows: { map: 'sessions', key: (token: Token) => (token.session as unknown as { id: string }).id },
        orphanAfter: false,
      },
      {},
    );
    sessions.set('s', 1);
    const token = { session: undefined } as unknown as { session: { id: string } };
    for (const key of ['a', 'b', 'c']) tokens.set(key, token as never);
    await clock.advance(minutes(60));
    const error = "TypeError: Cannot read properties of undefined (reading 'id')";
    expect(registry.explain('tokens', 'a')).toMatchObject({
      state: 'failing',
      why: `its follows.key failed; last error in this map: ${error}; age 1h, idle 1h`,
    });
    const warning = {
      status: 'warning',
      reasons: [`follows.key of the map 'tokens' fails, and what it fails for follows no leader: ${error}`],
    };
    expect(registry.health()).toEqual(warning);
    expect(registry.report().callbackErrors).toEqual([{ map: 'tokens', callback: 'follows.key', count: 3 }]);
    tokens.delete('a');
    token.session = { id: 's' };
    tokens.set('b', token as never);
    expect(registry.health()).toEqual(warning);
    expect(registry.explain('tokens', 'b').state).toBe('live');
    expect(registry.explain('tokens', 'c')).toMatchObject({
      state: 'failing',
      why: expect.stringContaining('; age 1h'),
    });
    tokens.clear();
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    expect(failures).toEqual(['tokens follows.key']);
    registry.stop();
  });

  it('is no warning where the function has removed it before it failed', () => {
    const { registry, tokens } = setup({
      follows: {
        map: 'sessions',
        key: (_token: Token, key: string) => {
          tokens.delete(key);
          throw new Error('no session');
        },
      },
    });
    tokens.set('t', { session: 's' });
    expect(tokens.size).toBe(0);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    registry.stop();
  });

  it('leaves by a lifetime of its own all the same, and explain() says when', async () => {
    const { clock, registry, tokens } = setup({
      maxIdle: '1h',
      follows: {
        map: 'sessions',
        key: () => {
          throw new Error('no session');
        },
      },
    });
    tokens.set('t', { session: 's' });
    expect(registry.explain('tokens', 't')).toMatchObject({
      state: 'failing',
      rule: 'maxIdle',
      why: expect.stringContaining('Error: no session, and due by maxIdle in 1h'),
    });
    await clock.advance(minutes(61));
    expect(tokens.size).toBe(0);
    expect(registry.health().status).toBe('ok');
    registry.stop();
  });

  it('is live where it names none, and explain() says so', () => {
    const { registry, tokens } = setup();
    tokens.set('t', { session: undefined });
    expect(registry.explain('tokens', 't')).toMatchObject({
      state: 'live',
      why: 'its follows.key named no leader; age 0ms, idle 0ms',
    });
    expect(registry.health().status).toBe('ok');
    registry.stop();
  });
});
