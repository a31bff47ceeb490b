import { createRegistry, type PolicyOf } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { StubbornMap } from '../maps/owner-maps.js';

interface Session {
  endedAt?: number;
}
type Sessions = Map<string, Session>;

const minute = 60_000;

function setup(policy: PolicyOf<Sessions>, options: object = {}) {
  const clock = createManualClock();
  const registry = createRegistry<{ sessions: Sessions }>({ maps: { sessions: policy }, clock, ...options });
  return { clock, registry, sessions: registry.maps.sessions };
}

describe('isDue', () => {
  it('says so from the very ms on, before any sweep, and not 1 ms earlier', async () => {
    const { clock, registry, sessions } = setup({ maxIdle: '90s' });
    sessions.set('s', {});
    await clock.advance(90_000 - 1);
    expect(registry.isDue('sessions', 's')).toBe(false);
    await clock.advance(1);
    expect([registry.isDue('sessions', 's'), sessions.has('s')]).toEqual([true, true]);
    registry.touch('sessions', 's');
    expect(registry.isDue('sessions', 's')).toBe(false);
    registry.stop();
  });

  it('goes by what the value says now, and asks no more than that', async () => {
    const { clock, registry, sessions } = setup({ ttl: '5m', since: (session) => session.endedAt });
    const session: Session = {};
    sessions.set('s', session);
    await clock.advance(10 * minute);
    expect(registry.isDue('sessions', 's')).toBe(false);
    session.endedAt = clock.now() - 5 * minute;
    expect(registry.isDue('sessions', 's')).toBe(true);
    registry.stop();
  });

  it('is false of what a guard or a hold keeps, until maxAge, and of a policy that fails', async () => {
    const { clock, registry, sessions } = setup(
      {
        maxIdle: '1m',
        maxAge: '1h',
        keepWhile: (_, key) => key === 'guarded',
        activeAt: (_, key) => {
          if (key === 'failing') throw new Error('no');
          return undefined;
        },
      },
      { sweepEvery: '2h' },
    );
    for (const key of ['plain', 'guarded', 'held', 'failing']) sessions.set(key, {});
    registry.hold('sessions', 'held');
    await clock.advance(2 * minute);
    const due = () => [...sessions.keys()].filter((key) => registry.isDue('sessions', key));
    expect(due()).toEqual(['plain']);
    expect(registry.report().callbackErrors).toEqual([]);
    await clock.advance(58 * minute);
    expect(due()).toEqual(['plain', 'guarded', 'held', 'failing']);
    registry.stop();
  });

  it('is false of a key without an entry, of one that its policy removes when asked, and of an unknown map an error', () => {
    const { registry, sessions } = setup({
      ttl: 1,
      since: (_, key) => {
        sessions.delete(key);
        return 0;
      },
    });
    sessions.set('s', {});
    expect(registry.isDue('sessions', 'absent')).toBe(false);
    expect(registry.isDue('sessions', 's')).toBe(false);
    expect(() => registry.isDue('session' as 'sessions', 's')).toThrow('there is no map');
    registry.stop();
  });

  it('is true of what is only observed, and of what waits for its beforeSweep', async () => {
    const observed = setup({ maxIdle: '1m', mode: 'observe' });
    const waiting = setup({ maxIdle: '1m', beforeSweep: () => new Promise(() => {}) });
    for (const { clock, registry, sessions } of [observed, waiting]) {
      sessions.set('s', {});
      await clock.advance(2 * minute);
      expect(registry.isDue('sessions', 's')).toBe(true);
      registry.stop();
    }
  });
});

describe('delete', () => {
  it('removes the registration that is meant, and none that has come after it', () => {
    const { registry, sessions } = setup({}, { ended: { map: 'sessions' } });
    const told: unknown[] = [];
    registry.on('ended', ({ key, reason, generation }) => told.push([key, reason, generation]));
    sessions.set('s', {});
    const { generation } = registry.stamps('sessions', 's') as { generation: number };
    sessions.delete('s');
    sessions.set('s', {});
    const later = registry.stamps('sessions', 's')?.generation as number;
    expect(registry.delete('sessions', 's', { generation })).toBe(false);
    expect(sessions.has('s')).toBe(true);
    expect(registry.delete('sessions', 's', { generation: later })).toBe(true);
    expect(sessions.has('s')).toBe(false);
    expect(told).toEqual([
      ['s', 'deleted', generation],
      ['s', 'deleted', later],
    ]);
    expect(registry.delete('sessions', 's', { generation: later })).toBe(false);
    registry.stop();
  });

  it('removes whichever there is without a generation, by the delete of the owner’s class', () => {
    const clock = createManualClock();
    const stubborn = new StubbornMap<string, Session>([['s', {}]]);
    const registry = createRegistry({ maps: { sessions: { adopt: stubborn } }, clock });
    stubborn.obstacle = true;
    expect(registry.delete('sessions', 's')).toBe(false);
    stubborn.obstacle = false;
    expect(registry.delete('sessions', 's')).toBe(true);
    expect(registry.delete('sessions', 's')).toBe(false);
    registry.stop();
  });

  it.each([-1, 1.5, '1', null])('refuses the generation %s, and deletes nothing', (generation) => {
    const { registry, sessions } = setup({});
    sessions.set('s', {});
    expect(() => registry.delete('sessions', 's', { generation: generation as never })).toThrow('generation');
    expect(() => registry.delete('sessions', 's', { generations: 1 } as never)).toThrow('generation');
    expect(sessions.has('s')).toBe(true);
    registry.stop();
  });
});
