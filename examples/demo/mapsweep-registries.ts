/**
 * The same four Maps, adopted by mapsweep.
 *
 * The gateway goes on using its own Map objects, without a line of clean-up added. What it says besides is that a run
 * ended, or goes on under another id; all else is the preset's.
 */
import { type Clock, createGatewayRegistry } from 'mapsweep';
import type { ContextEngine } from './context-engine.ts';
import type { PendingError, Registries, RunContext, RunRecord } from './gateway.ts';

export function createMapsweepRegistries(engine: ContextEngine, clock: Clock) {
  const registry = createGatewayRegistry({
    adopt: {
      subagentRuns: new Map<string, RunRecord>(),
      runContextById: new Map<string, RunContext>(),
      seqByRun: new Map<string, number>(),
      pendingLifecycleErrors: new Map<string, PendingError>(),
    },
    onSubagentEnded: (event) => engine.subagentEnded(event.key),
    clock,
  });

  const registries: Registries = {
    ...registry.maps,
    ended: (runId, reason) => {
      registry.end(runId, { reason });
    },
    restarted: (from, to) => {
      registry.transfer(from, to);
    },
  };
  return { registry, registries };
}
