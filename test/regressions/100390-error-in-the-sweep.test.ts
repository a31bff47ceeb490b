import { createRegistry } from 'mapsweep';
import { every, minutes, regression, watched } from './regression.js';

interface Session {
  endedAt: number;
  transport: { close(): void };
}

const broken = { close: () => neverDeclared() };
const sound = { close: () => {} };

/** Stands for the ReferenceError of a sweep function. */
function neverDeclared(): never {
  throw new ReferenceError('sweepTransports is not defined');
}

regression('an error in one sweep function ends every sweep at the same entry (openclaw#100390)', {
  plain: (clock) => {
    const sessions = new Map<string, Session>();
    const stop = every(clock, minutes(1), () => {
      try {
        for (const [key, { endedAt, transport }] of sessions) {
          if (clock.now() - endedAt < minutes(5)) continue;
          transport.close();
          sessions.delete(key);
        }
      } catch {
        // The maintenance tick logs it, and comes again in a minute.
      }
    });
    return {
      registry: watched(clock, { sessions }),
      scenario: (number) => {
        const transport = number === 0 ? broken : sound;
        sessions.set(`session-${number}`, { endedAt: clock.now(), transport });
      },
      stop,
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{ sessions: Map<string, Session> }>({
      maps: {
        sessions: {
          ttl: '5m',
          since: (session) => session.endedAt,
          dispose: (session) => session.transport.close(),
        },
      },
      clock,
    });
    return {
      registry,
      scenario: (number) => {
        const transport = number === 0 ? broken : sound;
        registry.maps.sessions.set(`session-${number}`, { endedAt: clock.now(), transport });
      },
    };
  },
  leaks: { sessions: 1 },
  because: "'sessions' has no lifetime",
});
