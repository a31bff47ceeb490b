import { createRegistry } from 'mapsweep';
import { registerMetrics } from 'mapsweep/prometheus';
import { createManualClock } from 'mapsweep/testing';
import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { heldBy } from '../restart/held-by.js';

type Numbers = Map<string, number>;

const namesOfObjects = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '0'];

/** An object with an own property of that name, which a literal would take for something else. */
const named = <Value>(name: string, value: Value): Record<string, Value> =>
  Object.fromEntries([[name, value]]);

describe.each(namesOfObjects)("a map that is called '%s'", (name) => {
  function started() {
    const clock = createManualClock();
    const registry = createRegistry<Record<string, Numbers>>({
      maps: { ...named(name, { ttl: '1m' }), companion: { follows: name } },
      ended: { map: name },
      clock,
    });
    return { clock, registry, map: registry.maps[name] as Numbers };
  }

  it('is swept, ended, explained and told of like any other', async () => {
    const { clock, registry, map } = started();
    const told: unknown[] = [];
    registry.on('swept', (event) => told.push([event.map, event.key]));
    map.set('a', 1);
    registry.maps.companion?.set('a', 1);
    expect(registry.touch(name, 'a')).toBe(true);
    expect(registry.stamps(name, 'a')).toBeDefined();
    expect(registry.explain(name, 'a')).toMatchObject({ map: name, state: 'live' });
    expect(registry.report().maps[0]).toMatchObject({ name, size: 1 });
    expect(registry.end('a')).toBe('claimed');
    await clock.advance(60_000);
    const report = await registry.sweep();
    expect(Object.keys(report.maps).sort()).toEqual([name, 'companion'].sort());
    expect(Object.hasOwn(report.maps, name)).toBe(true);
    expect(told).toEqual([[name, 'a']]);
    expect(registry.maps.companion?.size).toBe(0);
    registry.stop();
  });

  it('has series of its own, which go when it goes', async () => {
    const { registry } = started();
    const register = new Register();
    registerMetrics(registry, { register });
    const adopted = createRegistry({ clock: createManualClock() });
    const handle = adopted.adopt(name, new Map([['a', 1]]));
    expect(await register.metrics()).toContain(`mapsweep_entries{map="${name}",registry="default"} 0\n`);
    handle.release();
    expect(adopted.report().maps).toEqual([]);
    registry.stop();
    adopted.stop();
  });

  it('travels in a snapshot, also as one that is not adopted yet', () => {
    const { clock, registry, map } = started();
    map.set('a', 1);
    const snapshot = JSON.parse(JSON.stringify(registry.snapshot()));
    expect(heldBy(snapshot).entries(name)).toMatchObject([{ key: 'a' }]);
    const next = createRegistry({ maps: { other: {} }, ended: { map: 'other' }, clock });
    expect(() => next.restore(snapshot)).toThrow(name);
    registry.stop();
    next.stop();
  });

  it('comes back when it is adopted', () => {
    const clock = createManualClock();
    const policy = { persist: true };
    const registry = createRegistry({ clock });
    registry.adopt(name, new Map([['a', 1]]), policy);
    const stamps = registry.stamps(name, 'a');
    const next = createRegistry({ clock });
    next.restore(JSON.parse(JSON.stringify(registry.snapshot())));
    expect(heldBy(JSON.parse(JSON.stringify(next.snapshot()))).entries(name)).toMatchObject([{ key: 'a' }]);
    const handle = next.adopt(name, new Map([['a', 1]]));
    expect(handle.stamps('a')).toEqual(stamps);
    registry.stop();
    next.stop();
  });
});
