import { createRegistry } from 'mapsweep';
import { every, minutes, regression, watched } from './regression.js';

interface Run {
  archiveAtMs: number;
}

/** The session store behind an RPC that is down for the first call about every session. */
class SessionStore {
  readonly rows = new Map<string, string>();
  readonly #called = new Set<string>();

  async delete(key: string): Promise<void> {
    const isFirst = !this.#called.has(key);
    this.#called.add(key);
    if (isFirst) throw new Error('gateway unavailable');
    this.#called.delete(key);
    this.rows.delete(key);
  }
}

regression('a run is forgotten before the deletion of its session fails (openclaw#49000)', {
  plain: (clock) => {
    const subagentRuns = new Map<string, Run>();
    const store = new SessionStore();
    const stop = every(clock, minutes(1), () => {
      for (const [runId, { archiveAtMs }] of subagentRuns) {
        if (archiveAtMs > clock.now()) continue;
        subagentRuns.delete(runId);
        void store.delete(runId).catch(() => {});
      }
    });
    return {
      registry: watched(clock, { subagentRuns, sessions: store.rows }),
      scenario: (number) => {
        store.rows.set(`run-${number}`, 'transcript');
        subagentRuns.set(`run-${number}`, { archiveAtMs: clock.now() + minutes(60) });
      },
      stop,
    };
  },
  swept: (clock) => {
    const store = new SessionStore();
    const registry = createRegistry<{ subagentRuns: Map<string, Run> }>({
      maps: {
        subagentRuns: {
          expiresAt: (run) => run.archiveAtMs,
          beforeSweep: (_run, runId) => store.delete(runId),
        },
      },
      clock,
    });
    registry.adopt('sessions', store.rows);
    return {
      registry,
      scenario: (number) => {
        store.rows.set(`run-${number}`, 'transcript');
        registry.maps.subagentRuns.set(`run-${number}`, { archiveAtMs: clock.now() + minutes(60) });
      },
    };
  },
  leaks: { sessions: 1 },
  because: "'sessions' has no lifetime",
});
