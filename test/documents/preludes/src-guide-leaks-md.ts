/** What the blocks of this chapter presume. */
import { EventEmitter } from 'node:events';
import { createRegistry } from 'mapsweep';

export const id = 'a';
export const emitter = new EventEmitter();
export const registry = createRegistry<{ sessions: Map<string, { endedAt?: number }> }>({
  maps: { sessions: { ttl: '5m', since: (session) => session.endedAt, maxIdle: '12h' } },
});
registry.maps.sessions.set(id, {});
