import { createRegistry } from 'mapsweep';
import type { ManualClock } from 'mapsweep/testing';
import { minutes, regression, watched } from './regression.js';

interface Run {
  startedAt?: number;
}

interface Gateway {
  runs: Map<string, Run>;
  timedOut: Map<string, string>;
}

/** A run is registered, starts 8 minutes later, and works for 5: less than the 10 that it may take. */
async function lateRun(clock: ManualClock, { runs, timedOut }: Gateway, number: number): Promise<void> {
  const runId = `run-${number}`;
  await clock.advance(minutes(8));
  runs.set(runId, { startedAt: clock.now() });
  await clock.advance(minutes(5));
  if (!runs.delete(runId)) timedOut.set(runId, 'timed out before its time');
}

regression('the time limit of a run is armed when it is registered, not when it starts (openclaw#121178)', {
  plain: (clock) => {
    const gateway: Gateway = { runs: new Map(), timedOut: new Map() };
    return {
      registry: watched(clock, { ...gateway }),
      scenario: async (number) => {
        const runId = `run-${number}`;
        gateway.runs.set(runId, {});
        clock.setTimeout(() => gateway.runs.delete(runId), minutes(10));
        await lateRun(clock, gateway, number);
      },
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{ runs: Map<string, Run>; timedOut: Map<string, string> }>({
      maps: { runs: { ttl: '10m', since: (run) => run.startedAt, maxIdle: '1h' }, timedOut: {} },
      clock,
    });
    return {
      registry,
      scenario: async (number) => {
        registry.maps.runs.set(`run-${number}`, {});
        await lateRun(clock, registry.maps, number);
      },
    };
  },
  leaks: { timedOut: 1 },
  because: "'timedOut' has no lifetime",
});
