import { createRegistry } from 'mapsweep';
import { minutes, regression, watched } from './regression.js';

interface PendingError {
  endedAt: number;
  error: string;
}

regression('the sweeper stops when one map is empty while its sibling holds entries (openclaw#68487)', {
  plain: (clock) => {
    const subagentRuns = new Map<string, { archiveAtMs: number }>();
    const pendingLifecycleErrors = new Map<string, PendingError>();
    let timer: unknown;
    const sweep = (): void => {
      timer = undefined;
      for (const [runId, { archiveAtMs }] of subagentRuns) {
        if (archiveAtMs <= clock.now()) subagentRuns.delete(runId);
      }
      for (const [runId, { endedAt }] of pendingLifecycleErrors) {
        if (clock.now() - endedAt > minutes(5)) pendingLifecycleErrors.delete(runId);
      }
      if (subagentRuns.size > 0) timer = clock.setTimeout(sweep, minutes(1));
    };
    return {
      registry: watched(clock, { subagentRuns, pendingLifecycleErrors }),
      maps: { pendingLifecycleErrors },
      scenario: async (number) => {
        const runId = `run-${number}`;
        subagentRuns.set(runId, { archiveAtMs: clock.now() + minutes(1) });
        timer ??= clock.setTimeout(sweep, minutes(1));
        pendingLifecycleErrors.set(runId, { endedAt: clock.now(), error: 'overloaded' });
        await clock.advance(minutes(2));
      },
      stop: () => clock.clearTimeout(timer),
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{
      subagentRuns: Map<string, { archiveAtMs: number }>;
      pendingLifecycleErrors: Map<string, PendingError>;
    }>({
      maps: {
        subagentRuns: { expiresAt: (run) => run.archiveAtMs },
        pendingLifecycleErrors: { ttl: '5m', since: (pending) => pending.endedAt },
      },
      clock,
    });
    const { subagentRuns, pendingLifecycleErrors } = registry.maps;
    return {
      registry,
      scenario: async (number) => {
        const runId = `run-${number}`;
        subagentRuns.set(runId, { archiveAtMs: clock.now() + minutes(1) });
        pendingLifecycleErrors.set(runId, { endedAt: clock.now(), error: 'overloaded' });
        await clock.advance(minutes(2));
      },
    };
  },
  // The next run revives the sweeper; what is younger than 5 minutes at its last stop is stranded until then.
  leaks: {},
  strands: ['pendingLifecycleErrors'],
  because: "'pendingLifecycleErrors' has no lifetime",
});
