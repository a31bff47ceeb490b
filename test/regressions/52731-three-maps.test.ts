import { createGatewayRegistry } from 'mapsweep';
import type { ManualClock } from 'mapsweep/testing';
import { every, minutes, regression, type World, watched } from './regression.js';

interface Run {
  archiveAtMs?: number;
  endedAt?: number;
  cleanupCompletedAt?: number;
}

interface PendingError {
  endedAt: number;
  timer: unknown;
}

interface Context {
  prompt: string;
  lastActiveAt?: number;
}

const graceMs = 15_000;

/** A session-mode run ends with an error that nobody retries; its context is cleared on the happy path alone. */
function failingRun(
  clock: ManualClock,
  maps: {
    subagentRuns: Map<string, Run>;
    runContextById: Map<string, Context>;
    pendingLifecycleErrors: Map<string, PendingError>;
  },
): World['scenario'] {
  return (number) => {
    const runId = `run-${number}`;
    maps.subagentRuns.set(runId, {});
    maps.runContextById.set(runId, { prompt: 'You are a subagent.' });
    const endedAt = clock.now();
    maps.subagentRuns.set(runId, { endedAt, cleanupCompletedAt: endedAt });
    const timer = clock.setTimeout(() => {}, graceMs);
    maps.pendingLifecycleErrors.set(runId, { endedAt, timer });
  };
}

regression('three registries of a gateway keep an entry for every session-mode run (openclaw#52731)', {
  plain: (clock) => {
    const subagentRuns = new Map<string, Run>();
    const runContextById = new Map<string, Context>();
    const pendingLifecycleErrors = new Map<string, PendingError>();
    const maps = { subagentRuns, runContextById, pendingLifecycleErrors };
    const stop = every(clock, minutes(1), () => {
      for (const [runId, { archiveAtMs }] of subagentRuns) {
        // A run in session mode has no such date, and is skipped for ever.
        if (archiveAtMs !== undefined && archiveAtMs <= clock.now()) subagentRuns.delete(runId);
      }
    });
    return { registry: watched(clock, maps), scenario: failingRun(clock, maps), stop };
  },
  swept: (clock) => {
    const registry = createGatewayRegistry<Run, Context, PendingError>({ clock });
    return {
      registry,
      scenario: failingRun(clock, registry.maps),
    };
  },
  leaks: { subagentRuns: 1, runContextById: 1, pendingLifecycleErrors: 1 },
  because: /'run-0': live, 'subagentRuns' has no lifetime: it stays until its owner deletes it; age 2h/,
});
