import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';

/** A Map whose methods do something else first, once. */
class Busy extends Map<string, string> {
  first: ((key: string) => void) | undefined = undefined;

  override set(key: string, value: string): this {
    this.#doFirst(key);
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    this.#doFirst(key);
    return super.delete(key);
  }

  override clear(): void {
    this.#doFirst('');
    super.clear();
  }

  #doFirst(key: string): void {
    const { first } = this;
    this.first = undefined;
    first?.(key);
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

/** A Map whose `delete` sets its key first, by the wrapper where the class has no `set` of its own. */
class SettingFirst extends Map<string, string> {
  override delete(key: string): boolean {
    this.set(key, 'just set');
    return super.delete(key);
  }
}

describe("an owner's delete", () => {
  it('of a key that is not there, which sets it and removes that, disposes of what it has set', () => {
    const live = new SettingFirst();
    const told: string[] = [];
    const dispose = (value: string, key: string, reason: string): void =>
      void told.push(`${key}=${value} ${reason}`);
    createRegistry({ maps: { live: { adopt: live, ttl: '5m', dispose } }, clock: createManualClock() });
    live.delete('k');
    expect(told).toEqual(['k=just set deleted']);
    expect(live.size).toBe(0);
  });

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

  it('of a key that is not there, which it sets first, disposes of what it then removes', () => {
    const { registry, live, told } = busy();
    live.first = (key) => live.set(key, 'one');
    expect(live.delete('k')).toBe(true);
    expect(told).toEqual(['k=one deleted', 'k=one ended: deleted']);
    expect(registry.stamps('live', 'k')).toBe(undefined);
    registry.stop();
  });
});

describe("an owner's set", () => {
  it('that sets another value first disposes of that one too, and of the one before it once', () => {
    const { registry, live, told } = busy();
    live.set('k', 'one');
    live.first = (key) => live.set(key, 'two');
    live.set('k', 'three');
    expect(told).toEqual(['k=one replaced', 'k=two replaced']);
    expect(registry.report().maps[0]).toMatchObject({ registered: 1, size: 1 });
    registry.stop();
  });

  it('that registers its key with another value first disposes of that', () => {
    const { registry, live, told } = busy();
    live.first = (key) => live.set(key, 'one');
    live.set('k', 'two');
    expect(told).toEqual(['k=one replaced']);
    expect(registry.report().maps[0]).toMatchObject({ registered: 1, size: 1 });
    registry.stop();
  });
});

describe("an owner's clear", () => {
  it('that sets keys first, an old one and a new one, disposes of what it then removes', () => {
    const { registry, live, told } = busy();
    live.set('old', 'one');
    live.first = () => {
      live.set('old', 'two');
      live.set('new', 'three');
    };
    live.clear();
    const disposed = ['old=one replaced', 'old=two cleared', 'new=three cleared'];
    expect(told.filter((line) => !line.includes('ended'))).toEqual(disposed);
    expect(told.filter((line) => line.includes('ended')).length).toBe(2);
    expect(registry.stamps('live', 'new')).toBe(undefined);
    registry.stop();
  });

  it('disposes of every value, though a companion that leaves has a delete that asks for a sweep', async () => {
    const disposed: unknown[] = [];
    const companions = new Busy();
    const registry = createRegistry({
      maps: {
        live: { ttl: '5m', dispose: (value: string) => void disposed.push(value) },
        companions: { adopt: companions, follows: 'live' },
      },
      clock: createManualClock(),
    });
    const { live } = registry.maps;
    for (const key of ['a', 'b', 'c']) live.set(key, `value of ${key}`);
    companions.set('a', '');
    companions.first = () => void registry.sweep();
    live.clear();
    expect(disposed).toEqual(['value of a', 'value of b', 'value of c']);
    await registry.close();
  });

  it('takes a key that was removed past the wrapper for one, though as many were added there', () => {
    const { registry, live, told } = busy();
    live.set('gone', 'one');
    Map.prototype.delete.call(live, 'gone');
    Map.prototype.set.call(live, 'come', 'two');
    live.clear();
    expect(told.filter((line) => !line.includes('ended'))).toEqual(['come=two cleared']);
    registry.stop();
  });
});

describe("an owner's method that restores a snapshot first, after whose generations its own come", () => {
  /** A snapshot that holds runs of a map of this name, and none of key `k`. */
  const snapshot = () => {
    const earlier = busy();
    for (const key of ['x', 'y', 'z']) earlier.live.set(key, 'earlier');
    const taken = earlier.registry.snapshot();
    earlier.registry.stop();
    return taken;
  };

  it.each(['delete', 'clear', 'sweep'] as const)('disposes of what it then removes (%s)', async (how) => {
    const { clock, registry, live, told } = busy();
    live.set('k', 'one');
    const before = registry.stamps('live', 'k')?.generation;
    let generation: number | undefined;
    live.first = () => {
      registry.restore(snapshot());
      generation = registry.stamps('live', 'k')?.generation;
    };
    if (how === 'delete') live.delete('k');
    else if (how === 'clear') live.clear();
    else await clock.advance(300_000);
    expect(generation).toBeGreaterThan(before as number);
    const reason = { delete: 'deleted', clear: 'cleared', sweep: 'swept' }[how];
    expect(told).toEqual([`k=one ${reason}`, `k=one ended: ${how === 'clear' ? 'deleted' : reason}`]);
    expect([live.size, registry.stamps('live', 'k')]).toEqual([0, undefined]);
    expect(registry.report().maps[0]).toMatchObject({ size: 0, removed: { [reason]: 1 } });
    registry.stop();
  });

  it('takes the claim back if it then throws', () => {
    const { registry, live, told } = busy();
    live.set('k', 'one');
    live.first = () => {
      registry.restore(snapshot());
      throw new Error('not now');
    };
    expect(() => live.delete('k')).toThrow('not now');
    expect([...told, registry.end('k')]).toEqual(['claimed']);
    registry.stop();
  });

  it('ends the run that comes back by that', () => {
    const ids: string[] = [];
    const earlier = busy();
    earlier.live.set('k', 'earlier');
    earlier.registry.on('ended', ({ id }) => ids.push(id));
    const { registry, live, told } = busy();
    live.set('k', 'one');
    live.first = () => registry.restore(earlier.registry.snapshot());
    registry.on('ended', ({ id }) => ids.push(id));
    live.delete('k');
    earlier.live.delete('k');
    expect(told).toEqual(['k=one deleted', 'k=one ended: deleted']);
    expect(ids[0]).toBe(ids[1]);
    registry.stop();
  });

  it('disposes of what it then overwrites', () => {
    const { registry, live, told } = busy();
    live.set('k', 'one');
    live.first = () => registry.restore(snapshot());
    live.set('k', 'two');
    expect(told).toEqual(['k=one replaced']);
    registry.stop();
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
