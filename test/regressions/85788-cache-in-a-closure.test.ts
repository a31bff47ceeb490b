import { createRegistry, type Registry } from 'mapsweep';
import { regression, watched } from './regression.js';

/** A resolver with a cache that nobody outside can reach, and that is only ever added to. */
function createResolver(cache: Map<string, string>) {
  return (handle: string): string => {
    let id = cache.get(handle);
    if (id === undefined) {
      id = `id of ${handle}`;
      cache.set(handle, id);
    }
    return id;
  };
}

const mostCached = 10;

regression('a cache inside a closure is only ever added to (openclaw#85788)', {
  plain: (clock) => {
    const cache = new Map<string, string>();
    const resolve = createResolver(cache);
    return { registry: watched(clock, { cache }), scenario: (number) => resolve(`@user-${number}`) };
  },
  swept: (clock) => {
    const registry = createRegistry<{ cache: Map<string, string> }>({
      maps: { cache: { maxEntries: mostCached, maxIdle: '1h' } },
      clock,
    });
    const resolve = createResolver(registry.maps.cache);
    return { registry: registry as Registry, scenario: (number) => resolve(`@user-${number}`) };
  },
  leaks: { cache: 1 },
  because: /'@user-0': live, 'cache' has no lifetime/,
});
