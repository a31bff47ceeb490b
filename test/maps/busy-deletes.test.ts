import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

/** A Map whose `delete` does something else first. */
class Busy extends Map<string, string> {
  first: (key: string) => void = () => {};

  override delete(key: string): boolean {
    const { first } = this;
    this.first = () => {};
    first(key);
    return super.delete(key);
  }
}

function busy() {
  const clock = createManualClock();
  const live = new Busy();
  const told: string[] = [];
  const registry = createRegistry({
    maps: {
      live: {
        adopt: live,
        ttl: '5m',
        dispose: (value: string, key: string, reason) => void told.push(`${key}=${value} ${reason}`),
        replaced: (value: string, key: string) => void told.push(`${key}=${value} replaced`),
      },
    },
    ended: { map: 'live' },
    clock,
  });
  registry.on('ended', ({ key, reason, value }) =>
    told.push(`${String(key)}=${String(value)} ended: ${reason}`),
  );
  return { clock, registry, live, told };
}

describe("an owner's delete", () => {
  it.each(['delete', 'sweep'] as const)(
    'that sets another value first disposes of each once (%s)',
    async (how) => {
      const { clock, registry, live, told } = busy();
      live.set('k', 'one');
      live.first = (key) => live.set(key, 'two');
      if (how === 'delete') live.delete('k');
      else await clock.advance(300_000);
      const reason = how === 'delete' ? 'deleted' : 'swept';
      expect(told).toEqual(['k=one replaced', `k=two ${reason}`, `k=one ended: ${reason}`]);
      expect(registry.stamps('live', 'k')).toBe(undefined);
      registry.stop();
    },
  );

  it('that removes its key and sets it anew first tells of both registrations, and leaves no stamp', () => {
    const { registry, live, told } = busy();
    live.set('k', 'one');
    live.first = (key) => {
      live.delete(key);
      live.set(key, 'two');
    };
    live.delete('k');
    expect(told).toEqual(['k=one deleted', 'k=one ended: deleted', 'k=two deleted', 'k=two ended: deleted']);
    expect([live.size, registry.stamps('live', 'k')]).toEqual([0, undefined]);
    expect(registry.report().maps[0]).toMatchObject({ registered: 2, removed: { deleted: 2 } });
    registry.stop();
  });

  it('that sets other keys leaves them alone', () => {
    const { live, told } = busy();
    live.set('k', 'one');
    live.first = () => live.set('other', 'two');
    live.delete('k');
    expect(told).toEqual(['k=one deleted', 'k=one ended: deleted']);
    expect([...live.keys()]).toEqual(['other']);
  });
});

describe('a dispose that sets its key again, beyond a cap', () => {
  it('lets time pass: its passes do not follow one another at one instant for ever', async () => {
    const clock = createManualClock();
    let removals = 0;
    const registry = createRegistry<{ map: Map<string, number> }>({
      maps: {
        map: {
          maxAge: 0,
          maxEntries: 4,
          beforeSweep: () => {},
          dispose: (value, key) => {
            removals += 1;
            registry.maps.map.set(key, value);
          },
        },
      },
      clock,
    });
    for (let n = 0; n < 5; n += 1) registry.maps.map.set(`k${n}`, n);
    await clock.advance(10);
    expect(registry.maps.map.size).toBe(5);
    expect(removals).toBeGreaterThan(1);
    expect(removals).toBeLessThan(1_000);
    registry.stop();
  });
});
