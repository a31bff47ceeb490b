import { createRegistry } from 'mapsweep';
import { every, minutes, regression, watched } from './regression.js';

interface Session {
  lastActiveAt: number;
  /** Set when a run begins, and reset where it ends well. */
  isRunning: boolean;
}

const crashedSession = (now: number): Session => ({ lastActiveAt: now, isRunning: true });

regression(
  'a session whose run crashed counts as running for ever, and its guard never lets go (openclaw#91697)',
  {
    plain: (clock) => {
      const sessions = new Map<string, Session>();
      const stop = every(clock, minutes(1), () => {
        for (const [key, { isRunning, lastActiveAt }] of sessions) {
          if (isRunning) continue;
          if (clock.now() - lastActiveAt > minutes(30)) sessions.delete(key);
        }
      });
      return {
        registry: watched(clock, { sessions }),
        scenario: (number) => sessions.set(`session-${number}`, crashedSession(clock.now())),
        stop,
      };
    },
    swept: (clock) => {
      const registry = createRegistry<{ sessions: Map<string, Session> }>({
        maps: { sessions: { maxIdle: '30m', keepWhile: (session) => session.isRunning, maxAge: '90m' } },
        clock,
      });
      const { sessions } = registry.maps;
      return {
        registry,
        scenario: (number) => sessions.set(`session-${number}`, crashedSession(clock.now())),
      };
    },
    leaks: { sessions: 1 },
    because: /'session-0': live, 'sessions' has no lifetime/,
  },
);
