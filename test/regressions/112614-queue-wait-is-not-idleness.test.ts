import { createRegistry } from 'mapsweep';
import type { ManualClock } from 'mapsweep/testing';
import { every, minutes, regression, watched } from './regression.js';

interface Context {
  lastActiveAt: number;
  isQueued: boolean;
}

interface Gateway {
  contexts: Map<string, Context>;
  lostRuns: Map<string, string>;
}

/** A run waits 40 minutes for a slot, works, and ends; it is lost if its context is gone when it is admitted. */
async function queuedRun(clock: ManualClock, { contexts, lostRuns }: Gateway, number: number): Promise<void> {
  const runId = `run-${number}`;
  contexts.set(runId, { lastActiveAt: clock.now(), isQueued: true });
  await clock.advance(minutes(40));
  if (!contexts.has(runId)) lostRuns.set(runId, 'lost active execution context');
  else contexts.set(runId, { lastActiveAt: clock.now(), isQueued: false });
  await clock.advance(minutes(1));
  contexts.delete(runId);
}

regression('the wait in a queue counts as idleness, and healthy runs are lost (openclaw#112614)', {
  plain: (clock) => {
    const gateway: Gateway = { contexts: new Map(), lostRuns: new Map() };
    const stop = every(clock, minutes(1), () => {
      for (const [runId, { lastActiveAt }] of gateway.contexts) {
        if (clock.now() - lastActiveAt > minutes(30)) gateway.contexts.delete(runId);
      }
    });
    return {
      registry: watched(clock, { ...gateway }),
      scenario: (number) => queuedRun(clock, gateway, number),
      stop,
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{ contexts: Map<string, Context>; lostRuns: Map<string, string> }>({
      maps: {
        contexts: { maxIdle: '30m', keepWhile: (context) => context.isQueued, maxAge: '24h' },
        lostRuns: {},
      },
      clock,
    });
    return { registry, scenario: (number) => queuedRun(clock, registry.maps, number) };
  },
  leaks: { lostRuns: 1 },
  because: "'lostRuns' has no lifetime",
});
